"""Proportions."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import polygamma

from bayesmtl.outcomes import Cells, Outcome, average, locate, log_odds
from bayesmtl.priors import Positive, Real
from bayesmtl.sites import Array, sample

_LEAST = 1e-30  # of the two concentrations: what a vanishing mean is rounded up to


def beta(
    eta: Array,
    cells: Cells,
    *,
    link: Literal["logit", "probit"] = "logit",
    offset: Real = "normal(0, 2.5)",
    precision: Positive = "lognormal(3, 1.5)",
) -> Outcome:
    """Proportions strictly between 0 and 1, with the mean by the inverse link of the linear predictor.

    The variance is ``mean (1 - mean) / (1 + precision)``: as a quasi-likelihood, the noise puts the weight
    ``1 + precision`` before the log loss.

    References
    ----------
    Ferrari and Cribari-Neto (2004). Beta regression for modelling rates and proportions. Journal of
        Applied Statistics 31, 799-815.
    """
    odds, slope = log_odds(locate(cells, offset) + eta, link)
    own = sample("precision", precision, cells.task, support="Positive")
    each = own[cells.of]
    mean, rest = jax.nn.sigmoid(odds), jax.nn.sigmoid(-odds)
    yes, no = jnp.maximum(each * mean, _LEAST), jnp.maximum(each * rest, _LEAST)
    # a^2 trigamma(a) tends to 1 as a vanishes, where trigamma(a) alone overflows
    information = (rest * yes) ** 2 * polygamma(1, yes) + (mean * no) ** 2 * polygamma(1, no)
    return Outcome(
        distribution=dist.Beta(yes, no),
        mean=mean,
        information=slope**2 * information,
        loss="log loss",
        loss_weight=1 + own,
        noise=jnp.sqrt(average(cells, mean * rest / (1 + each))),
    )
