"""Counts that scatter more than Poisson's."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.outcomes import Cells, Outcome, average, locate, no_scale, rate
from bayesmtl.parts import Column
from bayesmtl.priors import Positive, Real
from bayesmtl.sites import Array, sample


def negative_binomial(
    eta: Array,
    cells: Cells,
    *,
    link: Literal["log"] = "log",
    offset: Real = "normal(centre, 2.5)",
    shape: Positive = "inverse_gamma(0.4, 0.3)",
    exposure: Column = 1,
) -> Outcome:
    """Counts of events whose rate varies from cell to cell: the variance is ``mean + mean^2 / shape``.

    The linear predictor is the logarithm of the mean rate; ``exposure``, a column of the table, multiplies it
    and leaves the shape. The loss is half the deviance at the same shape, so its weight is one.

    References
    ----------
    Hilbe (2011). Negative binomial regression. Cambridge University Press.
    """
    eta = locate(cells, offset) + eta + jnp.log(jnp.asarray(exposure, float))
    dispersion = sample("shape", shape, cells.task, support="Positive")
    own, mean = dispersion[cells.of], rate(eta)
    odds = jnp.log(mean) - jnp.log(own)
    noise = jnp.sqrt(average(cells, mean + mean**2 / own))
    return Outcome(
        distribution=dist.NegativeBinomialLogits(own, odds),
        mean=mean,
        information=own * jax.nn.sigmoid(odds),
        **no_scale("half deviance", cells) | {"noise": noise},
    )
