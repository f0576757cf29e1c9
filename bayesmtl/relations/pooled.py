"""Tasks that are all the same task."""

import jax.numpy as jnp

from bayesmtl.axes import Axis
from bayesmtl.sites import Array


def pooled(task: Axis, feature: Axis) -> Array:
    """One weight per feature, the same for every task.

    The prior correlation between any two tasks is 1. Weights are equal per standard deviation of the
    response and of the predictor, not in their units.

    References
    ----------
    Gelman and Hill (2007). Data analysis using regression and multilevel/hierarchical models, chapter
        12. Cambridge University Press.
    """
    return jnp.ones((len(task), 1))


def joined(task: Axis, new: Axis, feature: Axis) -> Array:
    """The loadings of known tasks and of new ones."""
    return pooled(task + new, feature)
