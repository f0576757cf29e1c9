"""What is wrong with a table, given a model: its columns, and the predictors made of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from bayesmtl import cells, formulas, tables
from bayesmtl.checks import lacking, place
from bayesmtl.design import measured, tasks_of
from bayesmtl.errors import Finding, ModelError, listed
from bayesmtl.spec import Model, Task


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


def faults(model: Model, table: pd.DataFrame) -> Iterator[Finding]:
    """Everything wrong with a table, given a model."""
    if not isinstance(table, pd.DataFrame):
        remedy = "Give a pandas DataFrame, as bayesmtl.tables.read does."
        yield Finding("table", f"is a {type(table).__name__}.", remedy)
        return
    yield from tables.faults(table)
    table = table.set_axis(table.columns.map(str), axis=1).reset_index(drop=True)
    table = table.loc[:, ~table.columns.duplicated()]
    yield from lacking(model, table.columns.tolist())
    if len(table) == 0 or (model.as_rows and model.tasks["by"] not in table):
        return
    yield from _units(model, table)
    tasks = [task for task in tasks_of(model, table) if task.column in table]
    rows = {task.name: measured(model, task, table) for task in tasks}
    yield from _names(model, tasks, table)
    yield from cells.faults(model, tasks, rows, table)
    groups = _groups(model, tasks, rows)
    spoilt: set[str] = set()
    for finding in _raw(model, groups, table):
        spoilt.add(finding.where.removeprefix("table."))
        yield finding
    for group in groups:
        yield from _encoded(group, table, spoilt, model.data.get("units"))


def _units(model: Model, table: pd.DataFrame) -> Iterator[Finding]:
    """Units that stand in more than one row, or, for tasks as rows, twice for one task."""
    units = model.data.get("units")
    if units not in table:
        return
    if empty := tables.named(table, table[units].isna()):
        yield Finding("data.units", f'"{units}" is empty in {empty}.', "Name every row.")
    keys = [model.tasks["by"], units] if model.as_rows else [units]
    twice = table.loc[table.duplicated(keys) & table[keys].notna().all(axis=1), keys]
    if twice.empty:
        return
    names = twice[units].astype(str)
    if model.as_rows:
        names = names + " (" + twice[keys[0]].astype(str) + ")"
    per = f" of the same {keys[0]}" if model.as_rows else ""
    problem = f'"{units}" has {listed(dict.fromkeys(names), 5)} in more than one row{per}.'
    yield Finding("data.units", problem, "Give each row a unit of its own.")


def _names(model: Model, tasks: list[Task], table: pd.DataFrame) -> Iterator[Finding]:
    """What is wrong with the column that names the tasks."""
    if not model.as_rows:
        return
    by = model.tasks["by"]
    if empty := int(table[by].isna().sum()):
        level: Any = "note" if empty < len(table) else "error"
        problem = f'"{by}" is empty in {empty} of {len(table)} rows, which belong to no task.'
        yield Finding("tasks.by", problem, level=level)
    if bad := [task.name for task in tasks if "/" in task.name]:
        problem = f'"{by}" has {listed(bad)}, with a "/" in the name.'
        yield Finding("tasks.by", problem, "Rename them.")


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


def _needed(group: _Group) -> list[str]:
    try:
        return formulas.columns(group.formula, group.where)
    except ModelError:
        return []


def _raw(model: Model, groups: list[_Group], table: pd.DataFrame) -> Iterator[Finding]:
    """What is wrong with the predictors as they stand in the table, each column once."""
    uses: dict[str, list[_Group]] = {}
    for group in groups:
        for name in _needed(group):
            uses.setdefault(name, []).append(group)
    for name, users in uses.items():
        if name not in table:
            continue
        needed = np.logical_or.reduce([group.needed for group in users])
        plain = not all(f"C({formulas.quoted(name)}" in group.formula for group in users)
        yield from _column(name, table, needed, model.data.get("units"), plain)


def _column(
    name: str, table: pd.DataFrame, needed: np.ndarray, units: str | None, plain: bool
) -> Iterator[Finding]:
    column, where = table[name], f"table.{name}"
    if strange := formulas.strange(column):
        yield strange
        return
    if empty := tables.named(table, column.isna() & needed, units):
        problem = f"is empty where a task was measured: {empty}."
        yield Finding(where, problem, "Fill it in, or drop these rows.")
    if is_numeric_dtype(column) and not is_bool_dtype(column):
        if endless := tables.named(table, column.isin([np.inf, -np.inf]) & needed, units):
            yield Finding(where, f"is infinite: {endless}.", "Mend it, or drop these rows.")
    elif plain and not is_bool_dtype(column) and not hasattr(column, "cat"):
        numbers = pd.to_numeric(column, errors="coerce").notna()
        words = column.notna() & ~numbers
        remedy = f"Mend it, or write C({formulas.quoted(name)}) if these are categories."
        if not words.any() and numbers.any():
            yield Finding(where, "holds numbers as text.", remedy)
        elif numbers.sum() > words.sum():
            problem = f"holds text among numbers: {listed(column[words].map(repr).unique(), 4)}"
            yield Finding(where, f"{problem} ({tables.named(table, words, units)}).", remedy)
    if not is_numeric_dtype(column) and len(formulas.levels(column)) == 1:
        problem = f"is {formulas.levels(column)[0]!r} in every row."
        yield Finding(where, problem, "It makes no predictor; drop it.", "warning")


def _encoded(group: _Group, table: pd.DataFrame, spoilt: set[str], units: str | None) -> Iterator[Finding]:
    """What is wrong with the columns that a formula makes."""
    try:
        needed = formulas.columns(group.formula, group.where)
    except ModelError as error:
        yield from error.findings
        return
    if not set(needed) <= set(table.columns):
        return
    bad = [name for name in needed if name in spoilt]
    if not all(is_numeric_dtype(table[name]) for name in bad) or any(
        table[name].dtype.kind == "c" for name in bad
    ):
        return
    try:
        _, made = formulas.learn(group.formula, table, group.where)
    except ModelError as error:
        # a spoilt column is reported already, unless it is not what stands in the way
        yield from () if bad else error.findings
        return
    if not bad:
        for name in made:
            wrong = ~np.isfinite(made[name]) & group.needed
            if rows := tables.named(table, wrong, units):
                problem = f'"{name}" is no finite number: {rows}.'
                yield Finding(group.where, problem, "Mend that term, or drop these rows.")
    yield from _weak(group, made, table)


def _weak(group: _Group, made: pd.DataFrame, table: pd.DataFrame) -> Iterator[Finding]:
    """What the table can't tell of the weights; said once where all of several tasks share it."""
    found: dict[Finding, list[str]] = {}
    x = made.to_numpy(float)
    for task, rows in zip(group.tasks, group.rows, strict=True):
        given = cells.Predictors(task, made.columns, x[rows], table.loc[rows, task.column])
        for finding in cells.predictor_faults(given):
            found.setdefault(finding, []).append(task.name)
    for finding, names in found.items():
        shared = 1 < len(names) == len(group.tasks)
        for where in [group.where] if shared else [f"tasks.{name}" for name in names]:
            yield Finding(where, finding.problem, finding.remedy, finding.level)
