"""Responses of which only a limit may be known."""

from typing import Any, ClassVar

import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.errors import Finding, ModelError
from bayesmtl.outcomes import Cells, Outcome
from bayesmtl.parts import Column, Likelihood
from bayesmtl.sites import Array
from bayesmtl.tails import check, is_count, is_positive, log_cdf, log_survival


def censored(
    eta: Array,
    cells: Cells,
    *,
    of: Likelihood = "gaussian",
    by: Column = 0,
) -> Outcome:
    """Responses that are seen, or of which only a limit is: the chance of lying beyond it.

    The column ``by`` says which: 0 is seen, 1 says that the truth lies above the number in the table (right
    censored), -1 that it lies at or below it (left censored). ``of`` is the likelihood of the truth, one of
    noise about a place, of positive responses or of counts. The mean and new draws are of the truth.

    References
    ----------
    Tobin (1958). Estimation of relationships for limited dependent variables. Econometrica 26, 24-36.
    """
    said = of(eta, cells)
    check(said.distribution, "censored.of")
    if said.marginal is not None:
        raise ModelError(Finding("censored.of", "has its sigma integrated out.", "Give sigma a prior."))
    by = jnp.broadcast_to(jnp.asarray(by), eta.shape)
    distribution = Censored(said.distribution, by)
    information = said.information
    if cells.y is not None:
        information = jnp.where(by == 0, information, _of_a_limit(said.distribution, cells.y))
    return Outcome(
        distribution=distribution,
        mean=said.mean,
        information=information,
        loss=said.loss,
        loss_weight=said.loss_weight,
        noise=said.noise,
    )


def _of_a_limit(base: dist.Distribution, y: Array) -> Array:
    """The information in knowing on which side of a limit a response lies."""
    # the derivative of the chance of more than y, by the linear predictor
    if is_count(base):
        slope = jnp.log(y + 1.0) + base.log_prob(y + 1.0)
    else:
        slope = base.log_prob(y) + (jnp.log(y) if is_positive(base) else 0.0)
    return jnp.exp(2 * slope - log_cdf(base, y) - log_survival(base, y))


class Censored(dist.Distribution):
    """A distribution of which a value is seen (0), a lower limit (1) or an upper one (-1)."""

    # NumPyro's own censored distributions cut the chances of the tails off at the rounding error
    arg_constraints: ClassVar[dict[str, Any]] = {}
    pytree_data_fields = ("base", "by")

    def __init__(self, base: dist.Distribution, by: Array, *, validate_args: bool | None = None):
        self.base, self.by = base, by
        super().__init__(base.batch_shape, validate_args=validate_args)

    @property
    def support(self) -> Any:
        """The values that the truth can have."""
        return self.base.support

    @property
    def mean(self) -> Array:
        """The mean of the truth."""
        return self.base.mean

    @property
    def variance(self) -> Array:
        """The variance of the truth."""
        return self.base.variance

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws of the truth."""
        return self.base.sample(key, sample_shape)

    def log_prob(self, value: Array) -> Array:
        """Log density of a value that is seen, log chance of the truth beyond a limit."""
        beyond = jnp.where(self.by > 0, log_survival(self.base, value), log_cdf(self.base, value))
        return jnp.where(self.by == 0, self.base.log_prob(value), beyond)
