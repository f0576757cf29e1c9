"""Tasks that share nothing."""

import jax.numpy as jnp

from bayesmtl.axes import Axis
from bayesmtl.sites import Array


def independent(task: Axis, feature: Axis) -> Array:
    """One weight per task and feature, each of its own.

    The prior correlation between any two tasks is 0; only the size of a feature's weights is shared, by
    shrinkage. With another relation beside it, it shows what sharing did.

    References
    ----------
    Gelman and Hill (2007). Data analysis using regression and multilevel/hierarchical models, chapter
        12. Cambridge University Press.
    """
    return jnp.eye(len(task))
