"""Tasks that have a share of each weight in common."""

from typing import Any

import jax.numpy as jnp

from bayesmtl.axes import Axis
from bayesmtl.priors import Fraction
from bayesmtl.sharing import Loading
from bayesmtl.sites import sample


def partial(task: Axis, feature: Axis, *, share: Fraction = "beta(1, 1)") -> Loading:
    """A common weight and a weight of each task's own, in proportions that are learned per feature.

    ``share`` is the variance that the tasks' weights have in common, and so the prior correlation between
    any two of them: 0 is ``independent``, 1 is ``pooled``.

    References
    ----------
    Evgeniou and Pontil (2004). Regularized multi-task learning. International Conference on Knowledge
        Discovery and Data Mining, 109-117.
    Pillonetto, Dinuzzo and De Nicolao (2010). Bayesian online multitask learning of Gaussian processes.
        IEEE Transactions on Pattern Analysis and Machine Intelligence 32, 193-205.
    """
    common = sample("share", share, feature, support="Fraction")[:, None]
    same = jnp.ones((len(feature), len(task)))
    return Loading(common=(jnp.sqrt(common) * same)[..., None], own=jnp.sqrt(1 - common) * same)


def joined(task: Axis, new: Axis, feature: Axis, **options: Any) -> Loading:
    """The loadings of known tasks and of new ones."""
    return partial(task + new, feature, **options)
