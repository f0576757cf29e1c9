"""Predictors that tell responses apart without error: no weight is too large for such a table."""

import numpy as np

MOST = 20_000  # constraints; beyond it the question is not asked


def separators(x: np.ndarray, grade: np.ndarray) -> list[int]:
    """The columns by which graded responses are separated, completely or but for ties.

    One column that does it alone if there is one; else those of a linear combination; none when the
    grades overlap. ``x`` is [cell, feature], ``grade`` counts from 0 without gaps; [cell].

    References
    ----------
    Albert and Anderson (1984). On the existence of maximum likelihood estimates in logistic
        regression models. Biometrika 71, 1-10.
    Konis (2007). Linear programming algorithms for detecting separated data in binary logistic
        regression models. University of Oxford.
    """
    if grade.max(initial=0) < 1 or len(x) > 10 * MOST:
        return []
    alone = [i for i in range(x.shape[1]) if _rises(x[:, i], grade) or _rises(-x[:, i], grade)]
    return alone or _combination(x, grade)


def _rises(column: np.ndarray, grade: np.ndarray) -> bool:
    """Whether no value of a grade lies above one of the next grade, and not all are equal."""
    order = np.lexsort((column, grade))
    starts = np.searchsorted(grade[order], np.arange(grade.max() + 1))
    lowest = column[order][starts]
    highest = column[order][np.append(starts[1:], len(order)) - 1]
    return bool((highest[:-1] <= lowest[1:]).all() and lowest[0] < highest[-1])


def _combination(x: np.ndarray, grade: np.ndarray) -> list[int]:
    """The columns of a direction along which the likelihood of a cumulative model never falls.

    Along it every response moves to the right side of the cuts beside its grade, or stays.
    """
    from scipy.optimize import linprog

    sides = _sides(x, grade)
    if len(sides) > MOST:
        return []
    features = x.shape[1]
    bounds = [(-1.0, 1.0)] * features + [(None, None)] * int(grade.max())
    # the sum of all moves to the right side, none of which may be to the wrong one
    best = linprog(-sides.sum(axis=0), A_ub=-sides, b_ub=np.zeros(len(sides)), bounds=bounds)
    if best.status != 0 or (sides @ best.x).max() < 1e-5:
        return []
    return [i for i in range(features) if abs(best.x[i]) > 1e-6]


def _sides(x: np.ndarray, grade: np.ndarray) -> np.ndarray:
    """How far a response is on the right side of a cut beside its grade; [side, weight or cut]."""
    cuts = np.eye(grade.max() + 2)[:, 1:-1]  # the outermost cuts are infinite
    above = np.hstack([x, -cuts[grade]])[grade > 0]
    below = np.hstack([-x, cuts[grade + 1]])[grade < grade.max()]
    return np.unique(np.vstack([above, below]), axis=0)
