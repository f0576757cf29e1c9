"""Counts."""

from typing import Literal

import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.outcomes import Cells, Outcome, locate, no_scale, rate
from bayesmtl.parts import Column
from bayesmtl.priors import Real
from bayesmtl.sites import Array


def poisson(
    eta: Array,
    cells: Cells,
    *,
    link: Literal["log"] = "log",
    offset: Real = "normal(centre, 2.5)",
    exposure: Column = 1,
) -> Outcome:
    """Counts of events, with the logarithm of their rate the linear predictor.

    ``exposure`` is how long or how many each cell was watched, a column of the table: it multiplies the rate.

    References
    ----------
    McCullagh and Nelder (1989). Generalized linear models, chapter 6. Chapman and Hall.
    """
    mean = rate(locate(cells, offset) + eta + jnp.log(jnp.asarray(exposure, float)))
    return Outcome(dist.Poisson(mean), mean, mean, **no_scale("half deviance", cells))
