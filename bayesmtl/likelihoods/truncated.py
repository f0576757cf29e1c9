"""Responses that are in the table only between two ends."""

from math import ceil, floor
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import gammaln

from bayesmtl.errors import Finding, ModelError
from bayesmtl.outcomes import Cells, Outcome, average
from bayesmtl.parts import Likelihood
from bayesmtl.sites import Array
from bayesmtl.tails import check, coordinate, is_count, is_positive, log_mass, place, quantile

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)


def truncated(
    eta: Array,
    cells: Cells,
    *,
    of: Likelihood = "gaussian",
    lower: float | None = None,
    upper: float | None = None,
) -> Outcome:
    """Responses of which the table has only those from ``lower`` to ``upper``; the others were never seen.

    ``of`` is the likelihood of all, seen or not: one of noise about a place, of positive responses or of
    counts. The weights speak of all; the mean, the information and new draws are of what can be seen. Without
    one of the ends there is none on that side.

    References
    ----------
    Cohen (1991). Truncated and censored samples. Marcel Dekker.
    """
    if (lower is None and upper is None) or (lower is not None and upper is not None and lower >= upper):
        raise ModelError(Finding("truncated", f"goes from {lower} to {upper}.", "Give lower < upper."))
    said = of(eta, cells)
    check(said.distribution, "truncated.of")
    if said.marginal is not None:
        raise ModelError(Finding("truncated.of", "has its sigma integrated out.", "Give sigma a prior."))
    distribution = Truncated(said.distribution, lower, upper)
    mean, variance, information = _moments(distribution, said)
    return Outcome(
        distribution=distribution,
        mean=mean,
        information=information,
        loss=said.loss,
        loss_weight=said.loss_weight,
        noise=jnp.sqrt(average(cells, variance, said.noise**2)),
    )


class Truncated(dist.Distribution):
    """A distribution given that its value lies between two ends, both of them in."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    pytree_data_fields = ("base",)
    pytree_aux_fields = ("lower", "upper")

    def __init__(
        self,
        base: dist.Distribution,
        lower: float | None,
        upper: float | None,
        *,
        validate_args: bool | None = None,
    ):
        self.base, self.lower, self.upper = base, lower, upper
        super().__init__(base.batch_shape, validate_args=validate_args)

    @property
    def support(self) -> Any:
        """The values between the ends."""
        if is_count(self.base):
            low = max(ceil(self.lower or 0), 0)
            if self.upper is None:
                return dist.constraints.integer_greater_than(low)  # NumPyro's has its end in
            return dist.constraints.integer_interval(low, floor(self.upper))
        lowest = max(self.lower or 0.0, 0.0) if is_positive(self.base) else self.lower
        if lowest is None:
            return dist.constraints.less_than_eq(self.upper)
        if self.upper is None:
            return dist.constraints.greater_than_eq(lowest)
        return dist.constraints.interval(lowest, self.upper)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws by the inverse of the distribution function.

        Counts of which less than a billionth lies beyond the ends are drawn as if there were none: the
        inverse takes minutes for the rates that a prior allows.
        """
        shape = sample_shape + self.batch_shape
        u = jax.random.uniform(key, shape, minval=jnp.finfo(jnp.result_type(float)).tiny)
        if not is_count(self.base):
            return jnp.clip(quantile(self.base, u, self.lower, self.upper), self.lower, self.upper)
        whole = log_mass(self.base, self.lower, self.upper) > -1e-9
        plain: Any = self.base.sample(jax.random.fold_in(key, 1), sample_shape)
        rare = jax.tree.map(lambda value: jnp.where(whole, 0.5, value), self.base)
        drawn = jnp.where(whole, plain, quantile(rare, u, self.lower, self.upper))
        return jnp.clip(drawn, self.lower, self.upper)

    def log_prob(self, value: Array) -> Array:
        """Log density of a value between the ends."""
        return self.base.log_prob(value) - log_mass(self.base, self.lower, self.upper)


def _moments(one: Truncated, said: Outcome) -> tuple[Array, Array, Array]:
    """Mean and variance of what can be seen, and its information about the linear predictor; [cell]."""
    base: Any = one.base
    if is_count(base):
        first, second = _factorial(one, 1), _factorial(one, 2)
        variance = second + first - first**2
        # the score of counts is (y - mean) times the root of this
        return first, variance, variance * said.information / base.variance
    y, chance = _nodes(one)
    slope = jax.grad(lambda v: base.log_prob(v).sum())(y)
    score = -1 - y * slope if is_positive(base) else -slope
    first, average_score = ((chance * values).sum(0) for values in (y - said.mean, score))
    variance, square = ((chance * values**2).sum(0) for values in (y - said.mean, score))
    return said.mean + first, variance - first**2, square - average_score**2


def _factorial(one: Truncated, order: int) -> Array:
    """The mean of ``y (y - 1) ...``, of so many factors, over the counts that can be seen."""
    base: Any = one.base
    lower, upper = (None if end is None else end - order for end in (one.lower, one.upper))
    if isinstance(base, dist.Poisson):
        moved, log_whole = base, order * jnp.log(base.rate)
    else:
        moved = dist.NegativeBinomialLogits(base.total_count + order, base.logits)
        log_whole = gammaln(base.total_count + order) - gammaln(base.total_count) + order * base.logits
    # y (y - 1) ... times the chance of y is the mean of it over all counts times the chance of y - order
    return jnp.exp(log_whole + log_mass(moved, lower, upper) - log_mass(base, one.lower, one.upper))


def _nodes(one: Truncated) -> tuple[Array, Array]:
    """Places of a Gauss quadrature between the ends, and their chances; [node, cell]."""
    base: Any = one.base
    ends = quantile(base, jnp.array([[1e-15], [1 - 1e-15]]), one.lower, one.upper)
    low, high = coordinate(base, ends)
    if is_positive(base):
        edges = low + (high - low) * jnp.linspace(0.0, 1.0, 5)[:, None]
    else:  # pieces between which a density may have a kink
        bend = jnp.arcsinh(getattr(base, "delta", jnp.ones_like(low)))
        edges = jnp.stack([low, *(jnp.clip(kink, low, high) for kink in (-bend, 0.0, bend)), high])
    half = jnp.diff(edges, axis=0)[:, None] / 2
    z = (edges[:-1, None] + half + half * _NODES[:, None]).reshape(-1, *low.shape)
    y = place(base, z)
    stretch = y if is_positive(base) else base.scale * jnp.cosh(z)
    return y, jnp.exp(one.log_prob(y)) * stretch * (half * _WEIGHTS[:, None]).reshape(z.shape)
