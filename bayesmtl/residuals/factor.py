"""Residuals with latent factors of each row, for tasks of any likelihood."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from bayesmtl.axes import Axis, axis
from bayesmtl.joint import Residual
from bayesmtl.pairs import members
from bayesmtl.parts import Count
from bayesmtl.priors import Positive
from bayesmtl.sites import STANDARD, Array, latent, record, sample


def factor(
    task: Axis,
    rows: int,
    student: bool = False,
    unit: Array | float = 1.0,
    *,
    factors: Count = 1,
    size: Positive = 1.0,
    pairs: list = [],  # noqa: B006
) -> Residual:
    """Each row has latent factors that add to all of its linear predictors, by a loading of each task.

    For tasks of any likelihoods together. The loadings are normal with the standard deviation ``size``, in
    units of the linear predictor: standard deviations of a normal response, one on the scale of logits and
    logarithms. With ``pairs``, such as ``[["a", "b"], ["b", "c"]]``, each pair has factors of its own.

    Reported is ``residual_covariance``, what the factors add to the covariance of the linear predictors of a
    row. The loadings are not: turned round together with the factors they say the same, and a loading that is
    held positive to forbid it would pile up at 0 and leave two modes in the others.

    How a task's own noise divides from what it shares is known only where three tasks or more share a factor.
    With two the covariance between them is learned, the variances lean on the prior, and where one is normal
    its ``sigma`` may come near 0, which the sampler finds hard. Two normal tasks are better ``correlated``,
    where nothing is latent.

    References
    ----------
    Skrondal and Rabe-Hesketh (2004). Generalized latent variable modeling: multilevel, longitudinal, and
        structural equation models. Chapman and Hall/CRC.
    Dunson (2000). Bayesian latent variable models for clustered mixed outcomes. Journal of the Royal
        Statistical Society B 62, 355-366.
    """
    joined = members(task, pairs, "residual.pairs") or [list(range(len(task)))]
    within = np.zeros((len(task), len(joined)))
    for i, one in enumerate(joined):
        within[one, i] = 1.0
    within = np.repeat(within, factors, axis=1)
    of = axis("residual_factor", within.shape[1])
    standard = latent("residual_loading" + STANDARD, dist.Normal(0.0, 1.0), task, of)
    loading = sample("residual_size", size, support="Positive") * standard * within
    row = latent("residual_factor" + STANDARD, dist.Normal(0.0, 1.0), axis("residual_row", rows), of)
    units = jnp.broadcast_to(jnp.asarray(unit), (len(task),))
    scaled = loading * units[:, None]
    covariance = scaled @ scaled.T
    recorded = record("residual_covariance", covariance, task, task.other())
    shift = row @ loading.T
    if recorded is not covariance:  # a posterior's draw has replaced it, and says nothing of loadings
        root = _square_root(recorded / units / units[:, None])
        each = latent("residual_own" + STANDARD, dist.Normal(0.0, 1.0), axis("residual_row", rows), task)
        shift = each @ root.T
    shift = record("residual_shift" + STANDARD, shift, axis("residual_row", rows), task)
    return Residual(shift, None, None)


def _square_root(covariance: Array) -> Array:
    """A matrix whose product with its transpose is a covariance, which may be singular."""
    variance, direction = jnp.linalg.eigh(covariance)
    return direction * jnp.sqrt(jnp.maximum(variance, 0.0))
