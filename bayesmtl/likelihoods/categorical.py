"""One of several categories."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.outcomes import Cells, Outcome, locate, no_scale
from bayesmtl.priors import Positive, Real
from bayesmtl.sites import Array, sample


def categorical(
    eta: Array,
    cells: Cells,
    *,
    categories: int | list = 0,
    link: Literal["logit"] = "logit",
    offset: Real = "normal(0, 2.5)",
    temperature: Positive = 1.0,
) -> Outcome:
    """One of several categories without an order, with a linear predictor for each but the first.

    A linear predictor is the log odds of its category against the first. ``categories`` is their number
    (coded 0, 1, ... or 1, 2, ...) or their list; without it they are read from the table. The mean is that
    of the categories' numbers, or of their places from 0 if they are words. A ``temperature`` divides the
    log odds, and ``1 / temperature`` is the weight before a cell's error, ``y - probability``, in the
    gradient. It can't be told apart from the size of the weights, so learn it only where that size is fixed.

    References
    ----------
    McFadden (1974). Conditional logit analysis of qualitative choice behavior. In Zarembka (ed.),
        Frontiers in Econometrics, 105-142. Academic Press.
    Kendall, Gal and Cipolla (2018). Multi-task learning using uncertainty to weigh losses for scene
        geometry and semantics. Conference on Computer Vision and Pattern Recognition, 7482-7491.
    """
    heat = sample("temperature", temperature, cells.task, support="Positive")
    logits = jnp.pad(locate(cells, offset) + eta, [(0, 0), (1, 0)]) / heat[cells.of][:, None]
    probability = jax.nn.softmax(logits)
    rest = 1 - probability[:, 1:]
    return Outcome(
        distribution=dist.Categorical(logits=logits),
        mean=(probability * cells.grades[cells.of]).sum(1),
        information=probability[:, 1:] * rest / heat[cells.of][:, None] ** 2,
        **no_scale("log loss", cells) | {"loss_weight": 1 / heat},
    )
