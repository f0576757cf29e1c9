"""Residuals: what is left of a variable when others have explained its mean."""

from collections.abc import Iterable

import numpy as np
from scipy.interpolate import BSpline
from scipy.special import expit

from bayesmtl.evidence.variables import Link, Variable

_RIDGE = 0.01  # a prior sd of 10 per sd of a term: for categories that some terms tell apart for certain
_STEPS, _STEP, _DONE = 50, 5.0, 1e-6


def basis(given: Iterable[np.ndarray], rows: int) -> np.ndarray:
    """What regressions on some variables take: a constant, and splines of numbers; [row, term].

    The terms are orthonormal times the root of ``rows``. A number has a cubic spline with knots at quantiles,
    whose dimension grows as the fifth root of the rows, up to ten, and is less where numbers are many for the
    rows; one with few values has an indicator of each but the first.

    Parameters
    ----------
    given
        The numbers of each variable; [row, column].
    """
    columns = [column for y in given for column in y.T]
    numbers = sum(len(np.unique(column)) > 2 for column in columns)
    most = min(2 + int(rows**0.2), 10, max(rows // (10 * max(numbers, 1)), 1))
    x = np.hstack([np.ones((rows, 0)), *(_spline(column, most) for column in columns)])
    x = x - x.mean(axis=0)
    x = x / np.maximum(np.sqrt((x**2).mean(axis=0)), 1e-6)
    left, size, _ = np.linalg.svd(x, full_matrices=False)
    left = left[:, size > 1e-6 * max(size, default=0.0)]
    return np.column_stack([np.ones(rows), left * np.sqrt(rows)])


def residuals(given: Variable, terms: np.ndarray) -> np.ndarray:
    """A variable less its mean given some terms, by its family; [row, column].

    Ordered categories have one column, the probability-scale residual ``P(Y < y) - P(Y > y)``, from a
    logistic regression for each grade. Categories of fewer than five rows count as the commonest, and their
    columns are left out.

    References
    ----------
    Li and Shepherd (2012). A new residual for ordinal outcomes. Biometrika 99, 473-480.
    """
    y, rows = given.y, len(terms)
    if given.link == "logit" and given.size is None:
        y = y[:, (y.sum(axis=0) >= 5) & (y.sum(axis=0) <= rows - 5)]
    if given.link == "identity":
        return y - terms @ (terms.T @ y) / rows
    size = np.ones(rows) if given.size is None else given.size
    mean = means(terms, regressed(y, size, terms, given.link), given.link)
    if not given.ordered:
        return size[:, None] * (y - mean)
    if not y.shape[1]:
        return y
    at, chance = (np.pad(v, ((0, 0), (1, 1)), constant_values=((0, 0), (0, 1))) for v in (y, mean))
    return (np.diff(at) * (chance[:, 1:] + chance[:, :-1])).sum(axis=1, keepdims=True) - 1


def _spline(column: np.ndarray, most: int) -> np.ndarray:
    """A number as terms, at most so many."""
    values = np.unique(column)
    if len(values) <= most + 1:
        return (column[:, None] == values[1:]).astype(float)
    degree = min(3, most)
    inner = np.unique(np.quantile(column, np.linspace(0, 1, most - degree + 2)[1:-1]))
    inner = inner[(inner > values[0]) & (inner < values[-1])]
    knots = np.r_[[values[0]] * (degree + 1), inner, [values[-1]] * (degree + 1)]
    return BSpline.design_matrix(column, knots, degree).toarray()[:, 1:]


def regressed(y: np.ndarray, size: np.ndarray, terms: np.ndarray, link: Link) -> np.ndarray:
    """The coefficients of a regression of each column on terms such as those of ``basis``; [term, column].

    Logistic and log-linear ones are told by Newton's method. Their scores need the mean alone, so that the
    distribution need not be binomial or Poisson.
    """
    if link == "identity":
        return terms.T @ y / len(terms)
    rows, width = terms.shape
    start = (y + np.average(y, axis=0, weights=size)) / 2
    start = np.clip(start, 1e-3, None if link == "log" else 1 - 1e-3)
    eta = np.log(start) if link == "log" else np.log(start / (1 - start))
    beta = terms.T @ eta / rows
    ridge = _RIDGE * np.eye(width)
    ridge[0, 0] = 0.0
    for _ in range(_STEPS):
        mean = means(terms, beta, link)
        weight = size[:, None] * slopes(mean, link)
        score = terms.T @ (size[:, None] * (y - mean)) - ridge @ beta
        curve = terms.T @ (weight.T[:, :, None] * terms) + ridge
        step = np.linalg.solve(curve, score.T[:, :, None])[:, :, 0].T
        longest = np.abs(terms @ step).max(axis=0, initial=0.0)
        beta = beta + step * np.minimum(1.0, _STEP / np.maximum(longest, _STEP))
        if longest.max(initial=0.0) < _DONE:
            break
    return beta


def means(terms: np.ndarray, beta: np.ndarray, link: Link) -> np.ndarray:
    """What regressions expect; [row, column]."""
    eta = terms @ beta
    if link == "identity":
        return eta
    return np.exp(np.clip(eta, -30, 30)) if link == "log" else expit(np.clip(eta, -30, 30))


def slopes(mean: np.ndarray, link: Link) -> np.ndarray:
    """What a unit of the linear predictor adds to a mean; [row, column]."""
    if link == "identity":
        return np.ones_like(mean)
    return np.maximum(mean if link == "log" else mean * (1 - mean), 1e-10)
