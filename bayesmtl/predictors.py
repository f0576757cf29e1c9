"""What is wrong with the predictors that formulae make of a table."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from bayesmtl import conflicts, formulas, grouped, identified, parts, tables
from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, ModelError
from bayesmtl.identified import Told
from bayesmtl.responses import response
from bayesmtl.served import tasks_of
from bayesmtl.spec import Model, Task
from bayesmtl.wanted import place


@dataclass(frozen=True)
class _Group:
    """The tasks of one formula, and which rows have a cell of each; [row]."""

    where: str
    formula: str
    tasks: tuple[Task, ...]
    rows: tuple[np.ndarray, ...]

    @property
    def needed(self) -> np.ndarray:
        """The rows where some cell needs the formula's columns; [row]."""
        return np.logical_or.reduce(self.rows)


def faults(
    model: Model, tasks: list[Task], rows: Mapping[str, np.ndarray], table: pd.DataFrame, spoilt: set[str]
) -> Iterator[Finding]:
    """Everything wrong with what the formulae make, save of columns that are ``spoilt`` as they stand."""
    features: list[str] = []
    told: list[Told] = []
    whole = len(tasks) == len(tasks_of(model, table))
    for group in _groups(model, tasks, rows):
        made = yield from _encoded(group, table, spoilt, model.data.get("units"))
        if made is None:
            whole = False
            continue
        features += made.columns.tolist()
        told += _told(group, made, table)
    yield from identified.faults(told, _shares(model))
    if whole and not spoilt:
        yield from _grouped(model, tasks, rows, table)
    names = [task.name for task in tasks]
    lines = [line for task in tasks for line in _lines(task, rows[task.name], table)]
    if whole and features and lines and not any(conflicts.names(model, names)):
        yield from _refused(model, names, lines, list(dict.fromkeys(features)))


def _grouped(
    model: Model, tasks: list[Task], rows: Mapping[str, np.ndarray], table: pd.DataFrame
) -> Iterator[Finding]:
    """What is wrong with the group terms: their files, their levels and the columns they make."""
    used = [task for task in tasks if task.formula and rows[task.name].any()]
    units = model.data.get("units")
    if units in table and table[units].is_unique:  # which findings then name
        table = table.set_axis(pd.Index(table[units].astype(str), name=units), axis=0)
    try:
        grouped.learn(
            [(task.name, task.formula, rows[task.name], place(model, task)) for task in used],
            table,
            model.folder,
        )
    except ModelError as error:
        yield from error.findings


def _lines(task: Task, rows: np.ndarray, table: pd.DataFrame) -> list[str]:
    """The labels of a task's linear predictors; none if they can't be told."""
    if parts.faults("likelihoods", task.likelihood, ""):
        return []
    if "categories" not in parts.settings("likelihoods", task.likelihood):
        return [task.name]
    try:
        grades = task.soft or response(task, table.loc[rows, task.column])[1]
    except (ModelError, TypeError, ValueError, OverflowError):
        return []
    return [f"{task.name}[{grade}]" for grade in grades[1:]]


def _refused(model: Model, names: list[str], lines: list[str], features: list[str]) -> Iterator[Finding]:
    """What the parts refuse of these tasks and features, told without computing anything."""
    import jax
    from numpyro.handlers import seed

    task, feature = Axis("task", tuple(lines)), Axis("feature", tuple(features))
    for where, role, part, given in (
        ("relation", "relations", model.relation, (task, feature)),
        ("shrinkage", "shrinkage", model.shrinkage, (task, feature)),
        ("residual", "residuals", model.residual, (Axis("task", tuple(names)), 2)),
    ):
        if parts.faults(role, part, ""):
            continue
        try:
            bound = parts.bind(role, part)
            jax.eval_shape(seed(lambda bound=bound, given=given: [bound(*given)][:0], 0))
        except ModelError as error:
            yield from error.findings
        except Exception as error:  # a part of the user's own may fail in any way
            yield Finding(where, f"fails: {type(error).__name__}: {error}.", "Mend that part.")


def _groups(model: Model, tasks: list[Task], rows: Mapping[str, np.ndarray]) -> list[_Group]:
    """The tasks that have cells, by their formulae."""
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        if task.formula and rows[task.name].any():
            groups.setdefault((place(model, task), task.formula), []).append(task)
    return [
        _Group(where, formula, tuple(own), tuple(rows[task.name] for task in own))
        for (where, formula), own in groups.items()
    ]


def _encoded(
    group: _Group, table: pd.DataFrame, spoilt: set[str], units: str | None
) -> Generator[Finding, None, pd.DataFrame | None]:
    """What is wrong with the columns that a formula makes, and these columns; [row, feature]."""
    try:
        needed = formulas.columns(group.formula, group.where)
    except ModelError as error:
        yield from error.findings
        return None
    if not set(needed) <= set(table.columns):
        return None
    bad = [name for name in needed if name in spoilt]
    if not all(is_numeric_dtype(table[name]) for name in bad) or any(
        table[name].dtype.kind == "c" for name in bad
    ):
        return None
    try:
        _, made = formulas.learn(group.formula, table, group.where)
    except ModelError as error:
        # a spoilt column is reported already, unless it is not what stands in the way
        yield from () if bad else error.findings
        return None
    if not bad:
        for name in made:
            wrong = ~np.isfinite(made[name]) & group.needed
            if rows := tables.named(table, wrong, units):
                problem = f'"{name}" is no finite number: {rows}.'
                yield Finding(group.where, problem, "Mend that term, or drop these rows.")
    return made


def _told(group: _Group, made: pd.DataFrame, table: pd.DataFrame) -> Iterator[Told]:
    """What the cells of each task tell of a formula's columns."""
    x = made.to_numpy(float)
    for task, rows in zip(group.tasks, group.rows, strict=True):
        column = None if task.soft else table.loc[rows, task.column]
        weak = tuple(identified.weaknesses(task, made.columns, x[rows], column))
        yield Told(task.name, group.where, group.formula, tuple(made.columns), weak)


def _shares(model: Model) -> bool:
    """Whether the relation lets a task's weights learn from the cells of others."""
    if parts.faults("relations", model.relation, ""):
        return False
    kinds = {part["kind"] for _, part in conflicts.nested("relations", model.relation, "")}
    return bool(kinds - {"independent", "sum_of"})
