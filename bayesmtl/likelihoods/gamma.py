"""Positive responses with a constant coefficient of variation."""

from typing import Literal

import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.outcomes import Cells, Outcome, average, locate, rate
from bayesmtl.priors import Positive, Real
from bayesmtl.sites import Array, sample


def gamma(
    eta: Array,
    cells: Cells,
    *,
    link: Literal["log"] = "log",
    offset: Real = "normal(centre, 2.5)",
    shape: Positive = "lognormal(1, 1.5)",
) -> Outcome:
    """Positive responses by a gamma distribution, with the logarithm of the mean the linear predictor.

    ``1 / sqrt(shape)`` is the coefficient of variation. The noise puts the weight ``shape`` before half the
    deviance, ``y / mean - 1 - log(y / mean)``.

    References
    ----------
    McCullagh and Nelder (1989). Generalized linear models, chapter 8. Chapman and Hall.
    """
    eta = locate(cells, offset) + eta
    own = sample("shape", shape, cells.task, support="Positive")
    mean, each = rate(eta), own[cells.of]
    return Outcome(
        distribution=dist.Gamma(each, each * rate(-eta)),
        mean=mean,
        information=each,
        loss="half deviance",
        loss_weight=own,
        noise=jnp.sqrt(average(cells, mean**2 / each)),
    )
