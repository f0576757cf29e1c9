"""Heavy-tailed noise."""

from typing import Literal

import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.outcomes import Cells, Outcome, average, locate, scale
from bayesmtl.parts import Column
from bayesmtl.priors import Positive, Real, Scale
from bayesmtl.sites import Array, sample


def student_t(
    eta: Array,
    cells: Cells,
    *,
    link: Literal["identity"] = "identity",
    offset: Real = "normal(centre, 2.5 * unit)",
    sigma: Scale = "half_student_t(3, unit)",
    df: Positive = "gamma(2, 0.1)",
    se: Column = None,
) -> Outcome:
    """Student-t noise with a scale ``sigma`` and degrees of freedom ``df`` per task.

    An outlying cell pulls less the further out it lies. The weight on the squared error is that of a
    normal with the same variance, ``sigma^2 df / (df - 2)``; it is 0 where the variance is infinite. With a
    known standard error ``se`` the squared scale of a cell is ``sigma^2 + se^2``.

    References
    ----------
    Lange, Little and Taylor (1989). Robust statistical modeling using the t distribution. Journal of
        the American Statistical Association 84, 881-896.
    Juarez and Steel (2010). Model-based clustering of non-Gaussian panel data based on skew-t
        distributions. Journal of Business and Economic Statistics 28, 52-66. (The prior of ``df``.)
    """
    mean = locate(cells, offset) + eta
    spread = scale("sigma", cells, sigma, se)
    width = spread.cell
    if isinstance(df, str | int | float):
        tail = sample("df", df, cells.task, support="Positive")
    else:
        tail = jnp.broadcast_to(df, (len(cells.task),))  # that of the residuals of a row
    own = tail[cells.of]
    factor = jnp.where(tail > 2, tail / (tail - 2), jnp.inf)
    variance = width**2 * factor[cells.of]
    typical = spread.task**2 * factor
    return Outcome(
        distribution=dist.StudentT(own, mean, width),
        mean=mean,
        information=(own + 1) / (own + 3) * width**-2,
        loss="squared error",
        loss_weight=average(cells, 0.5 / variance, 0.5 / typical),
        noise=jnp.sqrt(average(cells, variance, typical)),
    )
