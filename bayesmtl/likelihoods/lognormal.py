"""Normal noise on the logarithm."""

from typing import Literal

import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.outcomes import Cells, Outcome, average, locate, rate, scale
from bayesmtl.priors import Real, Scale
from bayesmtl.sites import Array


def lognormal(
    eta: Array,
    cells: Cells,
    *,
    link: Literal["log"] = "log",
    offset: Real = "normal(centre, 2.5 * unit)",
    sigma: Scale = "half_student_t(3, unit)",
) -> Outcome:
    """Positive responses whose logarithm is normal about the linear predictor, with ``sigma`` per task.

    ``exp(eta)`` is the median; the mean is ``exp(eta + sigma^2 / 2)``. The noise puts the weight
    ``1 / (2 sigma^2)`` before the squared error of the logarithm. Centre and unit are those of the logarithm.

    References
    ----------
    Limpert, Stahel and Abbt (2001). Log-normal distributions across the sciences. BioScience 51,
        341-352.
    """
    eta = locate(cells, offset) + eta
    spread = scale("sigma", cells, sigma)
    variance = spread.cell**2
    mean = rate(eta + variance / 2)
    return Outcome(
        distribution=dist.LogNormal(eta, spread.cell),
        mean=mean,
        information=1 / variance,
        loss="squared error of the logarithm",
        loss_weight=average(cells, 0.5 / variance, 0.5 * spread.task**-2),
        noise=jnp.sqrt(average(cells, mean**2 * jnp.expm1(variance))),
    )
