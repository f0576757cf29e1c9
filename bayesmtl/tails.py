"""Chances of less and of more than a value, as logarithms that stay finite and have gradients."""

from math import ceil
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import betainc, gammainc, gammaincc
from jax.scipy.stats import norm

from bayesmtl.errors import Finding, ModelError
from bayesmtl.sites import Array

_STEPS = 70  # of a bisection
_BITS = 40  # of the largest count


def is_count(one: dist.Distribution) -> bool:
    """Whether a distribution is over counts."""
    return isinstance(one, dist.Poisson | dist.NegativeBinomialLogits)


def is_positive(one: dist.Distribution) -> bool:
    """Whether a distribution is over positive numbers, and its linear predictor the log of its scale."""
    return isinstance(one, dist.LogNormal | dist.Gamma)


def check(one: dist.Distribution, where: str) -> None:
    """Refuse a distribution whose tails are not known here."""
    if not (is_count(one) or is_positive(one) or hasattr(one, "loc")):
        remedy = "Take one of noise about a place, of positive responses or of counts."
        raise ModelError(Finding(where, "has a likelihood without known tails.", remedy))


def log_cdf(one: Any, y: Array | float) -> Array:
    """Log chance of at most ``y``."""
    match one:
        case dist.LogNormal():
            return norm.logcdf((_log(y) - one.loc) / one.scale)
        case dist.Gamma():
            return _log(gammainc(one.concentration, one.rate * jnp.maximum(y, 0.0)))
        case dist.Poisson():
            return _log(jnp.where(jnp.asarray(y) < 0, 0.0, gammaincc(_next(y), one.rate)))
        case dist.NegativeBinomialLogits():
            chance = incomplete_beta(one.total_count, _next(y), jax.nn.sigmoid(-one.logits))
            return _log(jnp.where(jnp.asarray(y) < 0, 0.0, chance))
        case dist.Laplace() | dist.StudentT():
            r = (y - one.loc) / one.scale
            far = _log_tail(one, jnp.where(r < 0, -r, r))
            return jnp.where(r < 0, far, jnp.log1p(-jnp.exp(far)))
        case _:
            return one.log_cdf(y)


def log_survival(one: Any, y: Array | float) -> Array:
    """Log chance of more than ``y``."""
    match one:
        case dist.LogNormal():
            return norm.logcdf((one.loc - _log(y)) / one.scale)
        case dist.Gamma():
            return _log(gammaincc(one.concentration, one.rate * jnp.maximum(y, 0.0)))
        case dist.Poisson():
            return _log(jnp.where(jnp.asarray(y) < 0, 1.0, gammainc(_next(y), one.rate)))
        case dist.NegativeBinomialLogits():
            chance = incomplete_beta(_next(y), one.total_count, jax.nn.sigmoid(one.logits))
            return _log(jnp.where(jnp.asarray(y) < 0, 1.0, chance))
        case _:
            return log_cdf(one, 2 * one.loc - y)  # a symmetric one


def log_mass(one: dist.Distribution, lower: float | None, upper: Array | float | None) -> Array:
    """Log chance of a value between two ends, both of them in; None has no end."""
    if is_count(one) and lower is not None:
        lower = ceil(lower) - 1 if lower > 0 else None
    if lower is None:
        return jnp.zeros(one.batch_shape) if upper is None else log_cdf(one, upper)
    if upper is None:
        return log_survival(one, lower)
    left, right = log_cdf(one, lower), log_survival(one, lower)
    # from the side on which the ends are further out: neither is then rounded to 1
    from_left = (log_cdf(one, upper), left)
    from_right = (right, log_survival(one, upper))
    side = left < right
    more, less = (jnp.where(side, a, b) for a, b in zip(from_left, from_right, strict=True))
    return more + jnp.log(-jnp.expm1(jnp.minimum(less - more, -1e-15)))


def quantile(one: dist.Distribution, share: Array, lower: float | None, upper: float | None) -> Array:
    """The value below which a share of what lies between two ends is, by bisection."""
    low, high = _range(one, lower, upper)
    target = jnp.log(share) + log_mass(one, lower, upper)
    shape = jnp.broadcast_shapes(jnp.shape(share), one.batch_shape)

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        left, right = ends
        middle = (left + right) / 2
        if is_count(one):
            middle = jnp.where(right - left > 1, jnp.floor(middle), right)
        enough = log_mass(one, lower, place(one, middle)) >= target
        return jnp.where(enough, left, middle), jnp.where(enough, middle, right)

    ends = (jnp.broadcast_to(low, shape), jnp.broadcast_to(high, shape))
    steps = _BITS + 1 if is_count(one) else _STEPS
    return place(one, jax.lax.fori_loop(0, steps, halve, ends)[1])


def place(one: Any, z: Array) -> Array:
    """A value by its coordinate, in which tails are short: sinh of it, its exponential, or itself."""
    if is_count(one):
        return z
    if is_positive(one):
        return jnp.exp(z)
    return one.loc + one.scale * jnp.sinh(z)


def coordinate(one: Any, y: Array) -> Array:
    """The coordinate of a value; the inverse of ``place``."""
    if is_count(one):
        return y
    if is_positive(one):
        return jnp.log(y)
    return jnp.arcsinh((y - one.loc) / one.scale)


def _range(one: dist.Distribution, lower: float | None, upper: float | None) -> tuple[Array, Array]:
    """The coordinates between which all values lie, of a count the lower one not itself."""
    if is_count(one):
        first, last = max(ceil(lower or 0) - 1.0, -1.0), 2.0**_BITS if upper is None else upper // 1
        return jnp.asarray(first, float), jnp.asarray(last, float)
    ends, widest = (lower, upper), 700.0 if is_positive(one) else 40.0
    if is_positive(one) and lower is not None and lower <= 0:
        ends = (None, upper)
    low, high = (
        jnp.asarray(side * widest) if end is None else coordinate(one, jnp.asarray(end, float))
        for side, end in zip((-1, 1), ends, strict=True)
    )
    return low, high


def _next(y: Array | float) -> Array:
    """The least count above ``y``, at least 1."""
    return jnp.floor(jnp.maximum(y, 0.0)) + 1.0


def _log(chance: Array | float) -> Array:
    return jnp.log(jnp.maximum(chance, jnp.finfo(jnp.result_type(chance, float)).tiny))


def _log_tail(one: dist.Laplace | dist.StudentT, r: Array) -> Array:
    """Log chance of a value more than ``r`` scales, at least 0, to one side."""
    if isinstance(one, dist.Laplace):
        return -r - jnp.log(2.0)
    return _log(0.5 * incomplete_beta(one.df / 2, jnp.full_like(r, 0.5), one.df / (one.df + r**2)))


@jax.custom_jvp
def incomplete_beta(a: Array, b: Array, x: Array) -> Array:
    """The regularised incomplete beta function; JAX's own has no gradient in ``a`` and ``b``."""
    return betainc(a, b, x)


@incomplete_beta.defjvp
def _incomplete_beta_jvp(primals: Any, tangents: Any) -> Any:
    a, b, x = jnp.broadcast_arrays(*map(jnp.asarray, primals))
    da, db, dx = tangents
    step = jnp.finfo(jnp.result_type(x)).eps ** (1 / 3)  # of a central difference
    by_a = (betainc(a * (1 + step), b, x) - betainc(a * (1 - step), b, x)) / (2 * step * a)
    by_b = (betainc(a, b * (1 + step), x) - betainc(a, b * (1 - step), x)) / (2 * step * b)
    inside = (x > 0) & (x < 1)
    by_x = jnp.where(inside, jnp.exp(dist.Beta(a, b).log_prob(jnp.where(inside, x, 0.5))), 0.0)
    return betainc(a, b, x), by_a * da + by_b * db + by_x * dx
