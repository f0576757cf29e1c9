"""Normal noise."""

from typing import Literal

import numpyro.distributions as dist

from bayesmtl.outcomes import Cells, Outcome, locate, scale
from bayesmtl.priors import Positive, Real
from bayesmtl.sites import Array


def gaussian(
    eta: Array,
    cells: Cells,
    *,
    link: Literal["identity"] = "identity",
    offset: Real = "normal(centre, 2.5 * unit)",
    sigma: Positive = "half_student_t(3, unit)",
) -> Outcome:
    """Normal noise with one standard deviation ``sigma`` per task.

    The negative log density is ``(y - mean)^2 / (2 sigma^2) + log sigma``: the noise puts the weight
    ``1 / (2 sigma^2)`` before the squared error, and learning it is uncertainty weighting.

    References
    ----------
    Kendall, Gal and Cipolla (2018). Multi-task learning using uncertainty to weigh losses for scene
        geometry and semantics. Conference on Computer Vision and Pattern Recognition, 7482-7491.
    """
    mean = locate(cells, offset) + eta
    noise = scale("sigma", cells, sigma)
    return Outcome(
        distribution=dist.Normal(mean, noise[cells.of]),
        mean=mean,
        information=noise[cells.of] ** -2,
        loss="squared error",
        loss_weight=0.5 * noise**-2,
        noise=noise,
    )
