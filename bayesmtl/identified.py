"""What the cells of a task can't tell of its weights."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.linalg

from bayesmtl import formulas, parts
from bayesmtl.errors import Finding, ModelError, listed
from bayesmtl.responses import response
from bayesmtl.separation import separators
from bayesmtl.spec import Task

_BINARY = ("logit", "probit")  # the links of a probability


@dataclass(frozen=True)
class Predictors:
    """The columns of a task's formula where it was measured, [cell, feature], and the responses."""

    task: Task
    features: pd.Index
    x: np.ndarray
    column: pd.Series | None


def faults(predictors: Predictors) -> Iterator[Finding]:
    """Predictors that are constant, too many, or made of each other, over the cells of a task."""
    finite = np.isfinite(predictors.x).all(axis=1)
    x, names = predictors.x[finite], predictors.features
    if len(x) < 2:
        return
    x = x / np.maximum(np.abs(x).max(axis=0, initial=0.0), np.finfo(float).tiny)
    spread = x - x.mean(axis=0)
    size = np.sqrt((spread**2).sum(axis=0))
    varies = size > 1e-10 * np.sqrt(len(x))
    for name in names[~varies]:
        yield _predictor(f'"{name}" is constant over the cells.', "Its weight is the prior's; drop it.")
    x, names = spread[:, varies] / size[varies], names[varies]
    if len(names) >= len(x):
        problem = f"has {len(names)} predictors for {len(x)} cells."
        yield _predictor(problem, "Only the prior and the other tasks hold its weights.")
        return
    for name, others in _dependent(x, names):
        problem = f'"{name}" is a linear combination of {listed(others)}.'
        yield _predictor(problem, "Drop one of them: their weights can't be told apart.")
    column = predictors.column
    if column is not None and (by := _separators(predictors.task, column[finite], x)):
        problem = f"has responses that {_joined(names[by])} {'tells' if len(by) == 1 else 'tell'} apart."
        yield _predictor(problem, "No weight is too large for the table: the prior alone holds it.")


def _joined(names: pd.Index) -> str:
    return listed([f'"{name}"' for name in names])


def _separators(task: Task, column: pd.Series, x: np.ndarray) -> list[int]:
    """The predictors that separate the grades of a graded response, or its noes from its yeses."""
    if formulas.strange(column):
        return []
    try:
        y, grades = response(task, column)
    except (ModelError, TypeError, ValueError, OverflowError):
        return []
    options = parts.settings("likelihoods", task.likelihood)
    codes = np.unique(y, return_inverse=True)[1]
    if "categories" in options:
        return sorted({by for code in set(codes) for by in separators(x, (codes == code).astype(int))})
    binary = np.isin(y, [0, 1]).all() and options.get("link") in _BINARY and "trials" not in options
    return separators(x, codes) if grades or binary else []


def _predictor(problem: str, remedy: str) -> Finding:
    return Finding("", problem, remedy, "warning")


def _dependent(x: np.ndarray, names: pd.Index) -> Iterator[tuple[str, list[str]]]:
    """Each column that others make up, and these."""
    if not len(names):
        return
    triangle, order = scipy.linalg.qr(x, mode="r", pivoting=True)
    rank = int((np.abs(np.diag(triangle)) > 1e-7).sum())
    made = scipy.linalg.solve_triangular(triangle[:rank, :rank], triangle[:rank, rank:])
    for column, weights in zip(order[rank:], made.T, strict=True):
        others = sorted(order[:rank][np.abs(weights) > 1e-6])
        yield names[column], [f'"{names[i]}"' for i in others]
