"""Normal noise."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import gammaln

from bayesmtl.errors import Finding, ModelError
from bayesmtl.outcomes import Cells, Outcome, Spread, average, locate, scale
from bayesmtl.parts import Column
from bayesmtl.priors import Real, Scale
from bayesmtl.sites import STANDARD, Array, latent, record

# The prior of a standard deviation that is integrated out: 1 / sigma^2 ~ gamma(SHAPE, RATE unit^2), which
# knows as much as one cell that lies 0.2 units off its mean. Half of it is below 0.3 units, its middle 90 %
# from 0.1 to 3.2.
SHAPE, RATE = 0.5, 0.02


def gaussian(
    eta: Array,
    cells: Cells,
    *,
    link: Literal["identity"] = "identity",
    offset: Real = "normal(centre, 2.5 * unit)",
    sigma: Scale | Literal["marginal"] = "half_student_t(3, unit)",
    se: Column = None,
) -> Outcome:
    """Normal noise with one standard deviation ``sigma`` per task.

    The negative log density is ``(y - mean)^2 / (2 sigma^2) + log sigma``: the noise puts the weight
    ``1 / (2 sigma^2)`` before the squared error, and learning it is uncertainty weighting.

    ``sigma = "marginal"`` integrates it out under ``1 / sigma^2 ~ gamma(1/2, unit^2 / 50)``, by which half
    of the prior is below 0.3 units, and draws it back for each draw that is recorded; up to that prior, the
    mode is that of the sum of ``cells / 2 * log(squared error)``, the LogSE loss. ``sigma = "pooled"`` learns
    how much the tasks differ, and ``sigma = { formula = "x" }`` lets the noise depend on predictors. With a
    known standard error ``se`` the variance of a cell is ``sigma^2 + se^2``, and ``sigma`` may be 0, as in a
    meta-analysis.

    References
    ----------
    Kendall, Gal and Cipolla (2018). Multi-task learning using uncertainty to weigh losses for scene
        geometry and semantics. Conference on Computer Vision and Pattern Recognition, 7482-7491.
    Ghasemi-Naraghi, Nickabadi and Safabakhsh (2022). LogSE: an uncertainty-based multi-task loss
        function for learning two regression tasks. Journal of Universal Computer Science 28, 141-159.
    """
    mean = locate(cells, offset) + eta
    if sigma == "marginal":
        if se is not None:
            problem = "can't be integrated out beside a known standard error."
            raise ModelError(Finding("sigma", problem, "Give sigma a prior."))
        noise, marginal = _integrated(mean, cells)
        spread = Spread(noise, noise[cells.of])
    else:
        spread, marginal = scale("sigma", cells, sigma, se), None
    width, typical = spread.cell, spread.task
    return Outcome(
        distribution=dist.Normal(mean, width),
        mean=mean,
        information=width**-2,
        loss="squared error",
        loss_weight=average(cells, 0.5 * width**-2, 0.5 * typical**-2),
        noise=jnp.sqrt(average(cells, width**2, typical**2)),
        marginal=marginal,
    )


def _integrated(mean: Array, cells: Cells) -> tuple[Array, Array | None]:
    """The standard deviation of each task, and the log density of its cells without it.

    The first is a draw given the cells where draws are recorded. Elsewhere, without a key, it is the one at
    the precision's mean given the cells, so that the loss weight is the one in the gradient of the density.
    """
    rate = RATE * cells.unit**2
    if cells.y is None:
        square = latent("sigma_square" + STANDARD, dist.InverseGamma(SHAPE, RATE), cells.task)
        return record("sigma", cells.unit * jnp.sqrt(square), cells.task), None
    zero = jnp.zeros(len(cells.task))
    half = 0.5 * zero.at[cells.of].add(1.0)
    error = 0.5 * zero.at[cells.of].add((cells.y - mean) ** 2)
    shape, left = SHAPE + half, rate + error
    density = SHAPE * jnp.log(rate) - shape * jnp.log(left) - half * jnp.log(2 * jnp.pi)
    density += gammaln(shape) - gammaln(SHAPE)
    precision = shape if cells.key is None else jax.random.gamma(cells.key, shape)
    return record("sigma", jnp.sqrt(left / precision), cells.task), density.sum()
