"""Tasks that are correlated, with the correlations learned."""

from bayesmtl.axes import Axis
from bayesmtl.priors import Correlation
from bayesmtl.sites import Array, correlation_root, record


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
