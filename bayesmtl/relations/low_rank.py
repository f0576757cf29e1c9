"""Tasks that are driven by a few common factors."""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.axes import Axis, axis
from bayesmtl.parts import Count
from bayesmtl.priors import Fraction, Positive
from bayesmtl.sharing import Loading
from bayesmtl.sites import STANDARD, latent, record, sample


def low_rank(
    task: Axis,
    feature: Axis,
    *,
    rank: Count = 3,
    decay: Fraction = "beta(2, 2)",
    specific: Positive = "half_normal(1)",
) -> Loading:
    """A few common weight vectors, mixed differently by every task, and a part of each task's own.

    It is factor analysis of the weights: a correlation matrix of the tasks with few numbers, for many tasks.
    ``rank`` is the most factors there may be. Each is smaller than the one before it by a factor that is
    learned (``decay``), so that the data choose how many matter. ``specific`` is the size of a task's own
    part, where its loadings on the first factor have size one.

    Factors can be turned without changing a weight, so none are reported. ``communality`` is the share of a
    task's variance that comes from them, ``task_correlation`` what they make of the tasks.

    References
    ----------
    Ando and Zhang (2005). A framework for learning predictive structures from multiple tasks and unlabeled
        data. Journal of Machine Learning Research 6, 1817-1853.
    Bhattacharya and Dunson (2011). Sparse Bayesian infinite factor models. Biometrika 98, 291-306.
    """
    factor = axis("factor", min(rank, len(task)))
    size = jnp.ones(1)
    if len(factor) > 1:
        ratio = sample("decay", decay, factor.take(range(1, len(factor))), support="Fraction")
        size = jnp.concatenate([size, jnp.cumprod(ratio)])
    common = size * latent("loading" + STANDARD, dist.Normal(0.0, 1.0), task, factor)
    own = sample("specific", specific, task, support="Positive")
    length = jnp.sqrt((common**2).sum(1) + own**2)
    loading = Loading(common=common / length[:, None], own=own / length)
    record("communality", (loading.common**2).sum(1), task)
    alike = loading.common @ loading.common.T + jnp.diag(loading.own**2)
    record("task_correlation", alike, task, task.other())
    return loading
