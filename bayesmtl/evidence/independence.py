"""Conditional independence of two variables, tested by the covariance of their residuals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from bayesmtl.evidence.residualised import basis, residuals
from bayesmtl.evidence.variables import Variable


@dataclass(frozen=True)
class Independence:
    """A test of one independence.

    Parameters
    ----------
    statistic, df, p
        The squared length of the mean product of residuals in its standard errors, the number of products,
        and the chance of as much under independence; NaN where the rows are too few.
    effect
        The correlation of the residuals, or Cramér's V of these where a variable has several columns.
    n, dropped
        Rows with all of the variables, and those without.
    groups
        How many groups of dependent rows; 0 where rows are independent.
    """

    statistic: float
    df: int
    p: float
    effect: float
    n: int
    dropped: int
    groups: int


def independent(
    variables: Mapping[str, Variable],
    a: str,
    b: str,
    given: Sequence[str] = (),
    groups: np.ndarray | None = None,
) -> Independence:
    """Test that two variables are independent given others, by the generalised covariance measure.

    Each variable is regressed on splines of the others in its own family. Under independence the products of
    the two residuals have mean 0 if one regression is nearly right. Their sums over groups, or themselves,
    give the covariance of that mean; Hotelling's distribution allows for its being estimated, and degrees of
    freedom are taken off for the terms of the regressions. It can't see a dependence that leaves
    the residuals uncorrelated.

    Parameters
    ----------
    groups
        The group of each row, from 0; below 0 where it is not known. Rows of a group need not be independent;
        [row].

    References
    ----------
    Shah and Peters (2020). The hardness of conditional independence testing and the generalised covariance
        measure. Annals of Statistics 48, 1514-1538.
    Liang and Zeger (1986). Longitudinal data analysis using generalized linear models. Biometrika 73, 13-22.
    """
    rows, of, count = complete([variables[name] for name in (a, b, *given)], groups)
    n, dropped = int(rows.sum()), int((~rows).sum())
    many = 0 if groups is None else count
    unknown = Independence(np.nan, 0, np.nan, np.nan, n, dropped, many)
    if count < 3:
        return unknown
    terms = basis([variables[name].y[rows] for name in given], n)
    one, other = (_left(variables[name].at(rows), terms) for name in (a, b))
    statistic, df = _length(sums((one[:, :, None] * other[:, None, :]).reshape(n, -1), of, count))
    free = count - taken(terms, of, count)
    if df == 0 or free <= df:
        return unknown
    statistic *= free / count
    p = float(fdtrc(df, free - df, statistic * (free - df) / (df * (free - 1))))
    return Independence(statistic, df, p, _effect(one, other), n, dropped, many)


def complete(
    variables: Sequence[Variable], groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, int]:
    """The rows that have all of some variables, the group of each of these, and how many groups they are."""
    rows = np.logical_and.reduce([variable.seen for variable in variables])
    if groups is not None:
        rows = rows & (groups >= 0)
    _, of = np.unique(np.arange(len(rows))[rows] if groups is None else groups[rows], return_inverse=True)
    return rows, of, int(of.max(initial=-1)) + 1


def taken(terms: np.ndarray, of: np.ndarray, count: int) -> float:
    """How many of the groups the terms take: as much of each as they tell of its mean."""
    return float((sums(terms, of, count) ** 2).sum(axis=1) @ (1 / np.bincount(of)) / len(terms))


def sums(x: np.ndarray, of: np.ndarray, count: int) -> np.ndarray:
    """The sums of rows over groups; [group, column]."""
    return np.column_stack([np.ones((count, 0)), *(np.bincount(of, column, count) for column in x.T)])


def _left(variable: Variable, terms: np.ndarray) -> np.ndarray:
    """The residuals of a variable that are more than rounding."""
    left = residuals(variable, terms)
    return left[:, left.std(axis=0) > 1e-9 * np.abs(variable.y).max()]


def _length(sums: np.ndarray) -> tuple[float, int]:
    """The squared length of a total in its standard errors, and in how many directions it can lie."""
    sums = sums[:, sums.std(axis=0) > 0] if sums.size else sums
    if not sums.size:
        return np.nan, 0
    sums = sums / sums.std(axis=0)
    value, vector = np.linalg.eigh(np.atleast_2d(np.cov(sums.T)) * len(sums))
    kept = value > 1e-8 * value[-1]
    return float(((sums.sum(axis=0) @ vector[:, kept]) ** 2 / value[kept]).sum()), int(kept.sum())


def _effect(one: np.ndarray, other: np.ndarray) -> float:
    """The correlation of two columns, or Cramér's V of more."""
    if one.shape[1] == other.shape[1] == 1:
        return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))
    left, right = (np.linalg.svd(r, full_matrices=False)[0] for r in (one, other))
    return float(np.linalg.norm(left.T @ right) / np.sqrt(min(left.shape[1], right.shape[1])))
