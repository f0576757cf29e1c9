"""Tasks that are correlated, with the correlations learned."""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl import priors
from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, ModelError
from bayesmtl.priors import Correlation
from bayesmtl.sites import STANDARD, Array, latent, record
from bayesmtl.structured import correlation_root


def correlated(task: Axis, feature: Axis, *, correlation: Correlation = "lkj(2)") -> Array:
    """Weights with a correlation matrix over tasks, the same for every feature.

    Correlations may be negative: a task can learn from another one's weights turned round, where
    ``partial`` can only refuse. The prior ``lkj(1)`` is uniform over correlation matrices; larger numbers
    draw them towards 0.

    References
    ----------
    Lewandowski, Kurowicka and Joe (2009). Generating random correlation matrices based on vines and
        extended onion method. Journal of Multivariate Analysis 100, 1989-2001.
    Zhang and Yeung (2010). A convex formulation for learning task relationships in multi-task learning.
        Uncertainty in Artificial Intelligence, 733-742.
    """
    root = correlation_root("correlation_root", correlation, task)
    record("task_correlation", root @ root.T, task, task.other())
    return root


def joined(task: Axis, new: Axis, feature: Axis, *, correlation: Correlation = "lkj(2)") -> Array:
    """The loadings of known tasks and of new ones, each by itself.

    An LKJ matrix of one task more has for the others an LKJ matrix of a concentration larger by a half.
    """
    known = priors.read(correlation, "relation.correlation", "Correlation")
    concentration = known.numbers()[0] - 0.5  # type: ignore[union-attr]
    if concentration <= 0:
        raise ModelError(Finding("relation.correlation", "leaves no prior for a task more.", "Use lkj(1)."))
    root = jnp.linalg.cholesky(record("task_correlation", jnp.eye(len(task)), task, task.other()))
    way = latent("way" + STANDARD, dist.Normal(0.0, 1.0), new, task)
    reach = latent("reach" + STANDARD, dist.Beta(len(task) / 2, concentration), new)
    row = jnp.sqrt(reach)[:, None] * way / jnp.linalg.norm(way, axis=1, keepdims=True)
    return jnp.block([[root, jnp.zeros((len(task), len(new)))], [row, jnp.diag(jnp.sqrt(1 - reach))]])
