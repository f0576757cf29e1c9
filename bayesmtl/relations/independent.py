"""Tasks that share nothing."""

import jax.numpy as jnp

from bayesmtl.axes import Axis
from bayesmtl.sharing import Loading


def independent(task: Axis, feature: Axis) -> Loading:
    """One weight per task and feature, each of its own.

    The prior correlation between any two tasks is 0; only the size of a feature's weights is shared, by
    shrinkage. With another relation beside it, it shows what sharing did.

    References
    ----------
    Gelman and Hill (2007). Data analysis using regression and multilevel/hierarchical models, chapter
        12. Cambridge University Press.
    """
    return Loading(common=jnp.zeros((len(task), 0)), own=jnp.ones(len(task)))


def joined(task: Axis, new: Axis, feature: Axis) -> Loading:
    """The loadings of known tasks and of new ones."""
    return independent(task + new, feature)
