"""Residuals that are correlated over the tasks of one row."""

import jax.numpy as jnp
import numpy as np

from bayesmtl.axes import Axis
from bayesmtl.joint import Residual
from bayesmtl.pairs import sets
from bayesmtl.priors import Correlation, Positive
from bayesmtl.sites import Array, record, sample
from bayesmtl.structured import correlation_root


def correlated(
    task: Axis,
    rows: int,
    student: bool = False,
    unit: Array | float = 1.0,
    *,
    correlation: Correlation = "lkj(1)",
    pairs: list = [],  # noqa: B006
    df: Positive = "gamma(2, 0.1)",
) -> Residual:
    """Residuals of the tasks of one row have a correlation matrix; tasks that were not measured are left out.

    For normal tasks, and for Student-t tasks. Correlated noise is another claim than related weights: a cause
    of several tasks that is no predictor, such as the health of the day. It sharpens the weights of tasks
    with other predictors or empty cells, and one task's cell predicts another's in the same row.

    ``pairs``, such as ``[["a", "b"], ["c", "d"]]``, are the only tasks that are correlated; without them all
    are. Pairs that share a task need all pairs of their set, since a correlation of 0 in an otherwise
    free matrix is a claim about the others.

    Student-t tasks have one ``df`` in common, and a row that is outlying is so in all of its tasks: they
    depend on each other even at a correlation of 0.

    References
    ----------
    Zellner (1962). An efficient method of estimating seemingly unrelated regressions and tests for
        aggregation bias. Journal of the American Statistical Association 57, 348-368.
    Lange, Little and Taylor (1989). Robust statistical modeling using the t distribution. Journal of
        the American Statistical Association 84, 881-896.
    Lewandowski, Kurowicka and Joe (2009). Generating random correlation matrices based on vines and
        extended onion method. Journal of Multivariate Analysis 100, 1989-2001.
    """
    together = sets(task, pairs)
    root = jnp.eye(len(task))
    for number, one in enumerate(together, 1):
        name = "residual_correlation" + (f"_{number}" if len(together) > 1 else "")
        # a set's tasks keep their order, so that its factor is a part of the whole factor
        root = root.at[np.ix_(one, one)].set(correlation_root(name, correlation, task.take(one)))
    matrix = root @ root.T
    recorded = record("residual_correlation", matrix, task, task.other())
    if recorded is not matrix:  # a posterior's draw has replaced it
        root = jnp.linalg.cholesky(recorded)
    tail = sample("residual_df", df, support="Positive") if student else None
    return Residual(None, root, tail)
