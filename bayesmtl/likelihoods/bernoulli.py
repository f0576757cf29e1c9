"""Yes or no."""

from typing import Literal

import jax
import numpyro.distributions as dist

from bayesmtl.outcomes import Cells, Outcome, locate, log_odds, no_scale
from bayesmtl.priors import Positive, Real
from bayesmtl.sites import Array, sample


def bernoulli(
    eta: Array,
    cells: Cells,
    *,
    link: Literal["logit", "probit"] = "logit",
    offset: Real = "normal(0, 2.5)",
    temperature: Positive = 1.0,
) -> Outcome:
    """Responses 0 or 1, with the probability of a 1 by the inverse link of the linear predictor.

    A ``temperature`` divides the linear predictor: above one, the responses are less sure than it says, and
    ``1 / temperature`` is the weight before a cell's error, ``y - probability``, in the gradient. It can't be
    told apart from the size of the weights, so learn it only where that size is fixed.

    References
    ----------
    Gelman, Jakulin, Pittau and Su (2008). A weakly informative default prior distribution for
        logistic and other regression models. Annals of Applied Statistics 2, 1360-1383.
    Guo, Pleiss, Sun and Weinberger (2017). On calibration of modern neural networks. Proceedings of
        Machine Learning Research 70, 1321-1330. (The temperature.)
    """
    eta = locate(cells, offset) + eta
    heat = sample("temperature", temperature, cells.task, support="Positive")
    odds, slope = log_odds(eta / heat[cells.of], link)
    mean = jax.nn.sigmoid(odds)
    return Outcome(
        distribution=dist.Bernoulli(logits=odds),
        mean=mean,
        information=mean * jax.nn.sigmoid(-odds) * (slope / heat[cells.of]) ** 2,
        **no_scale("log loss", cells) | {"loss_weight": 1 / heat},
    )
