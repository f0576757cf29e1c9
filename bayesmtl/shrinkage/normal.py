"""Every feature matters a little."""

from bayesmtl.axes import Axis
from bayesmtl.priors import Positive
from bayesmtl.sites import Array, sample


def normal(task: Axis, feature: Axis, *, scale: Positive = "half_normal(1)") -> Array:
    """Normal weights, with a learned standard deviation per feature that all tasks share.

    References
    ----------
    Gelman (2006). Prior distributions for variance parameters in hierarchical models. Bayesian Analysis
        1, 515-534.
    """
    return sample("scale", scale, feature, support="Positive")
