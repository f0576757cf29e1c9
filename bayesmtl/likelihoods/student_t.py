"""Heavy-tailed noise."""

from typing import Literal

import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.outcomes import Cells, Outcome, locate, scale
from bayesmtl.priors import Positive, Real
from bayesmtl.sites import Array, sample


def student_t(
    eta: Array,
    cells: Cells,
    *,
    link: Literal["identity"] = "identity",
    offset: Real = "normal(centre, 2.5 * unit)",
    sigma: Positive = "half_student_t(3, unit)",
    df: Positive = "gamma(2, 0.1)",
) -> Outcome:
    """Student-t noise with a scale ``sigma`` and degrees of freedom ``df`` per task.

    An outlying cell pulls less the further out it lies. The weight on the squared error is that of a
    normal with the same variance, ``sigma^2 df / (df - 2)``; it is 0 where the variance is infinite.

    References
    ----------
    Lange, Little and Taylor (1989). Robust statistical modeling using the t distribution. Journal of
        the American Statistical Association 84, 881-896.
    Juarez and Steel (2010). Model-based clustering of non-Gaussian panel data based on skew-t
        distributions. Journal of Business and Economic Statistics 28, 52-66. (The prior of ``df``.)
    """
    mean = locate(cells, offset) + eta
    noise = scale("sigma", cells, sigma)
    tail = sample("df", df, cells.task, support="Positive")
    variance = noise**2 * jnp.where(tail > 2, tail / (tail - 2), jnp.inf)
    return Outcome(
        distribution=dist.StudentT(tail[cells.of], mean, noise[cells.of]),
        mean=mean,
        information=((tail + 1) / (tail + 3) * noise**-2)[cells.of],
        loss="squared error",
        loss_weight=0.5 / variance,
        noise=jnp.sqrt(variance),
    )
