"""Noise that is normal in the middle and exponential in the tails."""

from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.stats import norm
from numpyro.distributions.util import promote_shapes

from bayesmtl.outcomes import Cells, Outcome, average, locate, scale
from bayesmtl.priors import Positive, Real, Scale
from bayesmtl.sites import Array, sample


def huber(
    eta: Array,
    cells: Cells,
    *,
    link: Literal["identity"] = "identity",
    offset: Real = "normal(centre, 2.5 * unit)",
    sigma: Scale = "half_student_t(3, unit)",
    delta: Positive = 1.345,
) -> Outcome:
    """Noise whose negative log density is Huber's loss: an outlier pulls with a force that does not grow.

    The loss is half the squared error up to ``delta * sigma`` and linear from there on; its weight is
    ``1 / sigma^2``. At the default ``delta`` the mean keeps 95 % of its efficiency under normal noise. The
    density is normalised, so ``sigma`` and ``delta`` can be learned.

    References
    ----------
    Huber (1964). Robust estimation of a location parameter. Annals of Mathematical Statistics 35,
        73-101.
    """
    mean = locate(cells, offset) + eta
    spread = scale("sigma", cells, sigma)
    bend = sample("delta", delta, cells.task, support="Positive")[cells.of]
    distribution = Huber(mean, spread.cell, bend)
    return Outcome(
        distribution=distribution,
        mean=mean,
        information=distribution.middle * spread.cell**-2,
        loss="Huber loss",
        loss_weight=average(cells, spread.cell**-2, spread.task**-2),
        noise=jnp.sqrt(average(cells, distribution.variance)),
    )


class Huber(dist.Distribution):
    """The density ``exp(-rho(r)) / (scale Z)`` with ``r = (value - loc) / scale`` and Huber's ``rho``."""

    arg_constraints: ClassVar = {
        "loc": dist.constraints.real,
        "scale": dist.constraints.positive,
        "delta": dist.constraints.positive,
    }
    support = dist.constraints.real
    reparametrized_params: ClassVar = ["loc", "scale", "delta"]

    def __init__(self, loc: Any, scale: Any, delta: Any, *, validate_args: bool | None = None):
        self.loc, self.scale, self.delta = promote_shapes(loc, scale, delta)
        shape = jax.lax.broadcast_shapes(jnp.shape(loc), jnp.shape(scale), jnp.shape(delta))
        super().__init__(shape, validate_args=validate_args)

    @property
    def tail(self) -> Array:
        """The chance of either tail."""
        outer = jnp.exp(norm.logpdf(self.delta)) / self.delta
        return outer / (1 - 2 * norm.cdf(-self.delta) + 2 * outer)

    @property
    def middle(self) -> Array:
        """The chance of the normal part, which is the information about ``loc`` at scale 1."""
        return 1 - 2 * self.tail

    @property
    def mean(self) -> Array:
        """The place."""
        return jnp.broadcast_to(self.loc, self.batch_shape)

    @property
    def variance(self) -> Array:
        """The variance, in closed form."""
        return self.scale**2 * (self.middle + 4 * self.tail * (1 + self.delta**-2))

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws by the inverse of the distribution function."""
        shape = sample_shape + self.batch_shape
        u = jax.random.uniform(key, shape, minval=jnp.finfo(jnp.result_type(float)).tiny)
        edge = jnp.minimum(u, 1 - u)
        outer = -self.delta + jnp.log(jnp.minimum(edge / self.tail, 1.0)) / self.delta
        below, above = norm.cdf(-self.delta), norm.cdf(self.delta)
        inner = jnp.clip((edge - self.tail) / self.middle, 0.0, 1.0)
        inner = norm.ppf(below + inner * (above - below))
        low = jnp.where(edge < self.tail, outer, inner)
        return self.loc + self.scale * jnp.where(u < 0.5, low, -low)

    def log_prob(self, value: Array) -> Array:
        """The log density."""
        r = jnp.abs((value - self.loc) / self.scale)
        near = jnp.minimum(r, self.delta)
        normaliser = jnp.log(self.tail * self.delta) + 0.5 * self.delta**2
        return normaliser - near * (r - near / 2) - jnp.log(self.scale)

    def log_cdf(self, value: Array) -> Array:
        """The log distribution function, exact in the lower tail."""
        r = (value - self.loc) / self.scale
        outer = jnp.log(self.tail) + self.delta * (jnp.minimum(r, -self.delta) + self.delta)
        share = (norm.cdf(jnp.minimum(r, self.delta)) - norm.cdf(-self.delta)) / (
            1 - 2 * norm.cdf(-self.delta)
        )
        inner = jnp.log(self.tail + self.middle * jnp.maximum(share, 0.0))
        upper = jnp.log1p(-self.tail * jnp.exp(-self.delta * (jnp.maximum(r, self.delta) - self.delta)))
        return jnp.where(r < -self.delta, outer, jnp.where(r > self.delta, upper, inner))
