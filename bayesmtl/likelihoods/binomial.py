"""Successes among trials."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.outcomes import Cells, Outcome, locate, log_odds, no_scale
from bayesmtl.parts import Column
from bayesmtl.priors import Real
from bayesmtl.sites import Array


def binomial(
    eta: Array,
    cells: Cells,
    *,
    trials: Column = 1,
    link: Literal["logit", "probit"] = "logit",
    offset: Real = "normal(0, 2.5)",
) -> Outcome:
    """The number of successes among ``trials``, each with the probability that the linear predictor gives.

    ``trials`` is a column of the table, or one number for all cells. The mean is the expected number.

    References
    ----------
    McCullagh and Nelder (1989). Generalized linear models, chapter 4. Chapman and Hall.
    """
    odds, slope = log_odds(locate(cells, offset) + eta, link)
    of = jnp.broadcast_to(jnp.asarray(trials).astype(int), odds.shape)
    mean = jax.nn.sigmoid(odds)
    return Outcome(
        distribution=dist.BinomialLogits(odds, of),
        mean=of * mean,
        information=of * mean * jax.nn.sigmoid(-odds) * slope**2,
        **no_scale("log loss", cells),
    )
