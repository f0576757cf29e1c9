"""What is wrong with a task's cells: its responses, and its predictors where it was measured."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg

from bayesmtl import formulas, parts
from bayesmtl.errors import Finding, ModelError, listed
from bayesmtl.responses import response
from bayesmtl.separation import separators
from bayesmtl.spec import Model, Task
from bayesmtl.tables import named

_BINARY = ("logit", "probit")  # the links of a probability


@dataclass(frozen=True)
class Predictors:
    """The columns of a task's formula where it was measured, [cell, feature], and the responses."""

    task: Task
    features: pd.Index
    x: np.ndarray
    column: pd.Series


def faults(
    model: Model, tasks: list[Task], rows: Mapping[str, np.ndarray], table: pd.DataFrame
) -> Iterator[Finding]:
    """Everything wrong with the responses."""
    units = model.data.get("units")
    alike: dict[str, list[tuple[Task, pd.Series]]] = {}
    labels = table.index if units not in table else pd.Index(table[units].astype(str), name=units)
    for task in tasks:
        column = table[task.column].set_axis(labels)[rows[task.name]]
        yield from _counts(model, task, table, len(column))
        if len(column) == 0 or parts.faults("likelihoods", task.likelihood, ""):
            continue
        if strange := formulas.strange(column):
            yield Finding(f"tasks.{task.name}", strange.problem, strange.remedy)
            continue
        try:
            y, grades = response(task, column)
        except ModelError as error:
            yield from error.findings
            continue
        except (TypeError, ValueError, OverflowError) as error:  # of Python objects, or of levels
            problem = f"can't be read: {error}."
            yield Finding(f"tasks.{task.name}", problem, "Mend the column, or levels.")
            continue
        if len(set(grades)) < len(grades):
            problem = f"has the levels {listed(grades)}, some of them twice."
            yield Finding(f"tasks.{task.name}", problem, "Name each once.")
        if len(y) > 1 and (y == y[0]).all():
            problem = f"has the same response, {column.iloc[0]}, in all its {len(y)} cells."
            yield Finding(f"tasks.{task.name}", problem, "Drop the task: it has nothing to explain.")
        if not grades:
            alike.setdefault(repr(task.likelihood), []).append((task, pd.Series(y, column.index)))
    for members in alike.values():
        yield from _support(members)


def _counts(model: Model, task: Task, table: pd.DataFrame, measured: int) -> Iterator[Finding]:
    where = f"tasks.{task.name}"
    of = table[model.tasks["by"]].astype(str) == task.name if model.as_rows else table[task.column]
    every = int(of.sum()) if model.as_rows else len(of)
    if measured == 0:
        yield Finding(where, "has no measured cell.", "Drop the task, or look at its column.")
    elif measured == 1:
        yield Finding(where, "has one measured cell.", "Give at least two.")
    if 0 < measured < every:
        yield Finding(where, f"{every - measured} of {every} cells are empty.", level="note")


def _support(members: list[tuple[Task, pd.Series]]) -> Iterator[Finding]:
    """Responses that their likelihood gives no density, for tasks that have the same one."""
    likelihood = members[0][0].likelihood
    try:
        inside, words = _allowed(likelihood, np.concatenate([y for _, y in members]))
    except Exception as error:  # a part of the user's own may fail in any way
        problem = f"has a likelihood that fails: {type(error).__name__}: {error}."
        for task, _ in members:
            yield Finding(f"tasks.{task.name}", problem, "Mend that part.")
        return
    ends = np.cumsum([len(y) for _, y in members])[:-1]
    for (task, y), own in zip(members, np.split(inside, ends), strict=True):
        if not own.all():
            values = listed(dict.fromkeys(f"{value:g}" for value in y[~own]), 4)
            problem = f"has {values} ({named(y.to_frame(), pd.Series(~own))})."
            remedy = f"The likelihood {likelihood['kind']} takes {words}."
            yield Finding(f"tasks.{task.name}", problem, remedy)


def _allowed(likelihood: parts.Part, y: np.ndarray) -> tuple[np.ndarray, str]:
    """Which responses a likelihood allows, and in words what it allows; [cell]."""
    from numpyro.distributions import constraints

    support = _supported(likelihood, len(y))
    words = [
        (constraints.boolean, "0 and 1"),
        (constraints.nonnegative_integer, "whole numbers from 0"),
        (constraints.positive, "positive numbers"),
        (constraints.nonnegative, "numbers from 0"),
        (constraints.unit_interval, "numbers between 0 and 1"),
    ]
    known = next((text for kind, text in words if support is kind), str(support))
    return np.broadcast_to(np.asarray(support(y)), y.shape), known


def _supported(likelihood: parts.Part, size: int) -> Any:
    """The support of a likelihood for some cells of one task, told without computing anything."""
    import jax
    import jax.numpy as jnp
    from numpyro.handlers import seed

    from bayesmtl.axes import Axis
    from bayesmtl.outcomes import Cells

    supports = []

    def trace() -> None:
        one = jnp.ones(1)
        of, none = jnp.zeros(size, int), jnp.zeros((1, 0))
        cells = Cells(Axis("task", ("1",)), of, one, one, 0 * one, none)
        outcome = seed(parts.bind("likelihoods", likelihood), 0)(jnp.zeros(size), cells)
        supports.append(outcome.distribution.support)

    jax.eval_shape(trace)
    return supports[0]


def predictor_faults(predictors: Predictors) -> Iterator[Finding]:
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
    if by := _separators(predictors.task, predictors.column[finite], x):
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
    if not grades and not np.isin(y, [0, 1]).all():
        return []
    if not grades and parts.settings("likelihoods", task.likelihood).get("link") not in _BINARY:
        return []
    return separators(x, np.unique(y, return_inverse=True)[1])


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
