"""Counts."""

from typing import Literal

import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.outcomes import Cells, Outcome, locate, no_scale
from bayesmtl.priors import Real
from bayesmtl.sites import Array


def poisson(
    eta: Array,
    cells: Cells,
    *,
    link: Literal["log"] = "log",
    offset: Real = "normal(centre, 2.5)",
) -> Outcome:
    """Counts of events, with the logarithm of their rate the linear predictor.

    References
    ----------
    McCullagh and Nelder (1989). Generalized linear models, chapter 6. Chapman and Hall.
    """
    rate = jnp.exp(locate(cells, offset) + eta)
    return Outcome(dist.Poisson(rate), rate, rate, **no_scale("half deviance", cells))
