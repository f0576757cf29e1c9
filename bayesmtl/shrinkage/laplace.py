"""Features are chosen for all tasks at once."""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.axes import Axis
from bayesmtl.priors import Positive
from bayesmtl.sites import STANDARD, Array, latent, record, sample


def laplace(task: Axis, feature: Axis, *, overall: Positive = "half_normal(1)") -> Array:
    """Row-wise Laplace: the Bayesian counterpart of the multi-task lasso, with its penalty learned.

    With ``independent`` tasks, the density of a feature's weights is proportional to ``exp(-rate * norm)``,
    where ``norm`` is the root of their sum of squares over tasks: its mode is that of the L2,1 penalty. Under
    another relation the norm is in that relation's metric. ``overall`` is the standard deviation of a weight,
    and ``rate`` is ``sqrt(tasks + 1) / overall``. Weights are never exactly 0 in a posterior.

    References
    ----------
    Argyriou, Evgeniou and Pontil (2006). Multi-task feature learning. Advances in Neural Information
        Processing Systems 19, 41-48.
    Park and Casella (2008). The Bayesian lasso. Journal of the American Statistical Association 103, 681-686.
    Raman, Fuchs, Wild, Dahl and Roth (2009). The Bayesian group-lasso for analyzing contingency tables.
        International Conference on Machine Learning, 881-888.
    """
    whole = sample("overall", overall, support="Positive")
    half = (len(task) + 1) / 2
    record("rate", jnp.sqrt(2 * half) / whole)
    local = latent("local" + STANDARD, dist.Gamma(half, half), feature)
    return record("scale", whole * jnp.sqrt(local), feature)
