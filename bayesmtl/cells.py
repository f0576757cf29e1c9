"""What is wrong with the cells of a task: how many there are, and their responses."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from bayesmtl import categories, parts
from bayesmtl.errors import Finding, ModelError, listed
from bayesmtl.responses import response
from bayesmtl.spec import Model, Task
from bayesmtl.tables import named, of_task


@dataclass(frozen=True)
class _Checked:
    """A task's responses as numbers, and the columns that its likelihood's options name; [cell]."""

    task: Task
    y: pd.Series
    columns: Mapping[str, np.ndarray]


def faults(
    model: Model,
    tasks: list[Task],
    full: Mapping[str, np.ndarray],
    rows: Mapping[str, np.ndarray],
    table: pd.DataFrame,
) -> Iterator[Finding]:
    """Everything wrong with the responses; ``full`` are the rows with one, ``rows`` those with a cell."""
    alike: dict[str, list[_Checked]] = {}
    units = model.data.get("units")
    labels = table.index if units not in table else pd.Index(table[units].astype(str), name=units)
    for task in tasks:
        own, measured = rows[task.name], full[task.name]
        yield from _counts(model, task, table, int(measured.sum()), int(own.sum()))
        if not measured.any() or parts.faults("likelihoods", task.likelihood, ""):
            continue
        if task.soft:
            yield from _soft(task, table[list(task.soft)].set_axis(labels)[measured])
            continue
        column = table[task.column].set_axis(labels)[measured]
        y, grades = yield from _read(task, column)
        if y is None:
            continue
        if len(set(grades)) < len(grades):
            problem = f"has the levels {listed(grades)}, some of them twice."
            yield Finding(f"tasks.{task.name}", problem, "Name each once.")
        cells = own[measured]
        if cells.sum() > 1 and (y[cells] == y[cells][0]).all():
            value = column[cells].iloc[0]
            problem = f"has the same response, {value}, in all its {cells.sum()} cells."
            yield Finding(f"tasks.{task.name}", problem, "Drop the task: it has nothing to explain.")
        names = parts.columns("likelihoods", task.likelihood)
        if grades or not all(name in table and is_numeric_dtype(table[name]) for name in names):
            continue
        given = {name: table.loc[own, name].to_numpy(float) for name in names}
        alike.setdefault(repr(task.likelihood), []).append(
            _Checked(task, pd.Series(y, column.index)[cells], given)
        )
    for members in alike.values():
        yield from _support(members)


def _read(
    task: Task, column: pd.Series
) -> Generator[Finding, None, tuple[np.ndarray | None, tuple[Any, ...]]]:
    """What is wrong with a column as responses, and these as numbers with their grades."""
    where = f"tasks.{task.name}"
    if strange := categories.strange(column):
        yield Finding(where, strange.problem, strange.remedy)
        return None, ()
    try:
        return response(task, column)
    except ModelError as error:
        yield from error.findings
    except (TypeError, ValueError, OverflowError) as error:  # of Python objects, or of levels
        yield Finding(where, f"can't be read: {error}.", "Mend the column, or levels.")
    return None, ()


def _soft(task: Task, given: pd.DataFrame) -> Iterator[Finding]:
    """Probabilities of categories that are none."""
    where = f"tasks.{task.name}.soft"
    if words := [name for name in given if not is_numeric_dtype(given[name])]:
        yield Finding(where, f"{listed(words)} holds no numbers.", "Give probabilities.")
        return
    chance = given.astype(float)
    bad = pd.Series(~((chance >= 0).all(axis=1) & ((chance.sum(axis=1) - 1).abs() < 1e-6)).to_numpy())
    if rows := named(given, bad):
        yield Finding(where, f"are no probabilities that sum to 1: {rows}.", "Mend these rows.")


def _counts(model: Model, task: Task, table: pd.DataFrame, measured: int, served: int) -> Iterator[Finding]:
    """What is wrong with how many cells a task has."""
    where = f"tasks.{task.name}"
    every = int(of_task(table, task.name, model.tasks["by"] if model.as_rows else None).sum())
    if measured == 0:
        yield Finding(where, "has no measured cell.", "Drop the task, or look at its column.")
    elif served == 0:
        yield Finding(where, "has no cell with all its predictors.", "Fill them in, or drop the task.")
    elif served == 1:
        which = "measured cell" if measured == 1 else "cell with all its predictors"
        yield Finding(where, f"has one {which}.", "Give at least two.")
    if 0 < measured < every:
        yield Finding(where, f"{every - measured:,} of {every:,} cells are empty.", level="note")


def _support(members: list[_Checked]) -> Iterator[Finding]:
    """Responses that their likelihood gives no density, for tasks that have the same one."""
    likelihood = members[0].task.likelihood
    columns = {name: np.concatenate([m.columns[name] for m in members]) for name in members[0].columns}
    try:
        inside, words = allowed(likelihood, np.concatenate([m.y for m in members]), columns)
    except Exception as error:  # a part of the user's own may fail in any way
        problem = f"has a likelihood that fails: {type(error).__name__}: {error}."
        for member in members:
            yield Finding(f"tasks.{member.task.name}", problem, "Mend that part.")
        return
    ends = np.cumsum([len(m.y) for m in members])[:-1]
    for member, own in zip(members, np.split(inside, ends), strict=True):
        if not own.all():
            values = listed(dict.fromkeys(f"{value:g}" for value in member.y[~own]), 4)
            problem = f"has {values} ({named(member.y.to_frame(), pd.Series(~own))})."
            remedy = f"The likelihood {likelihood['kind']} takes {words}."
            yield Finding(f"tasks.{member.task.name}", problem, remedy)


def allowed(
    likelihood: parts.Part, y: np.ndarray, columns: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, str]:
    """Which responses a likelihood allows, and in words what it allows; [cell]."""
    import jax
    import jax.numpy as jnp
    from numpyro.distributions import constraints
    from numpyro.handlers import seed

    from bayesmtl.axes import Axis
    from bayesmtl.outcomes import Cells

    supports: list[Any] = []

    def inside(y: Any, columns: Mapping[str, Any]) -> Any:
        one, of = jnp.ones(1), jnp.zeros(len(y), int)
        cells = Cells(
            Axis("task", ("1",)), of, one, one, 0 * one, jnp.zeros((1, 0)), noise_x=jnp.zeros((len(y), 0))
        )
        part = seed(parts.bind("likelihoods", likelihood, columns), 0)
        support = part(jnp.zeros(len(y)), cells).distribution.support
        supports.append(support)
        if support is constraints.unit_interval:  # where a density is 0 or infinite at both ends
            support = constraints.open_interval(0, 1)
        return jnp.broadcast_to(support(y), y.shape)

    # compiled, of all that a likelihood computes only its support is left
    found = np.asarray(jax.jit(inside)(jnp.asarray(y), {k: jnp.asarray(v) for k, v in columns.items()}))
    words = [
        (constraints.boolean, "0 and 1"),
        (constraints.nonnegative_integer, "whole numbers from 0"),
        (constraints.positive, "positive numbers"),
        (constraints.nonnegative, "numbers from 0"),
        (constraints.unit_interval, "numbers between 0 and 1"),
    ]
    kind = type(supports[0]).__name__.strip("_")
    other = {
        "IntegerInterval": "whole numbers from 0 to the trials",
        "Interval": "numbers within its bounds",
        "GreaterThan": "numbers above its bound",
        "LessThan": "numbers below its bound",
    }
    known = next((text for same, text in words if supports[0] is same), other.get(kind, kind))
    return found, known
