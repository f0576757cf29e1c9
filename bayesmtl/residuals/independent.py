"""Residuals that have nothing in common."""

from bayesmtl.axes import Axis
from bayesmtl.joint import Residual
from bayesmtl.sites import Array


def independent(task: Axis, rows: int, student: bool = False, unit: Array | float = 1.0) -> Residual:
    """Given their linear predictors, the cells of one row know nothing of each other.

    What the tasks share is then only what the predictors do.

    References
    ----------
    Zellner (1962). An efficient method of estimating seemingly unrelated regressions and tests for
        aggregation bias. Journal of the American Statistical Association 57, 348-368. (What is lost by it.)
    """
    return Residual(None, None, None)
