"""Yes or no."""

from typing import Literal

import jax
import numpyro.distributions as dist
from jax.scipy.stats import norm

from bayesmtl.outcomes import Cells, Outcome, locate, no_scale
from bayesmtl.priors import Real
from bayesmtl.sites import Array


def bernoulli(
    eta: Array,
    cells: Cells,
    *,
    link: Literal["logit", "probit"] = "logit",
    offset: Real = "normal(0, 2.5)",
) -> Outcome:
    """Responses 0 or 1, with the probability of a 1 by the inverse link of the linear predictor.

    References
    ----------
    Gelman, Jakulin, Pittau and Su (2008). A weakly informative default prior distribution for
        logistic and other regression models. Annals of Applied Statistics 2, 1360-1383.
    """
    eta = locate(cells, offset) + eta
    if link == "logit":
        mean = jax.nn.sigmoid(eta)
        distribution, information = dist.Bernoulli(logits=eta), mean * (1 - mean)
    else:
        mean = norm.cdf(eta)
        # the log odds from log cdfs: exact in both tails, where the probability rounds to 0 or 1
        distribution = dist.Bernoulli(logits=norm.logcdf(eta) - norm.logcdf(-eta))
        information = jax.numpy.exp(2 * norm.logpdf(eta) - norm.logcdf(eta) - norm.logcdf(-eta))
    return Outcome(distribution, mean, information, **no_scale("log loss", cells))
