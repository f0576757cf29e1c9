"""What is wrong with a table, given a model: whose rows it has, and its columns as they stand."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from bayesmtl import cells, conflicts, gaps, predictors, tables, uses
from bayesmtl.errors import Finding, ModelError, gathered, listed
from bayesmtl.served import measured, needs, tasks_of
from bayesmtl.spec import Model, Task
from bayesmtl.wanted import lacking, owned


def faults(model: Model, table: Any) -> Iterator[Finding]:
    """Everything wrong with a table, given a model; what many tasks have alike is said once."""
    try:
        table = tables.frame(table)
    except ModelError as error:
        yield from error.findings
        return
    yield from tables.faults(table)
    table = table.set_axis(table.columns.map(str), axis=1)
    table = table.loc[:, ~table.columns.duplicated()]
    yield from gathered(_faults(model, table), [task.name for task in tasks_of(model, table)])


def _faults(model: Model, table: pd.DataFrame) -> Iterator[Finding]:
    """Everything wrong with a frame whose columns have names of their own."""
    owner = tables.owner(table)
    if owner is None:
        table = table.reset_index(drop=True)
    else:
        yield from _owned(model, owner)
    known = _known(table, owner)
    yield from lacking(model, known)
    if len(table) == 0 or (model.as_rows and (owner is not None or model.tasks["by"] not in table)):
        return
    yield from _units(model, table)
    has = {task.name: set(known.get(task.name, known.get("", ()))) for task in tasks_of(model, table)}
    tasks = [task for task in tasks_of(model, table) if {*(task.soft or [task.column])} <= has[task.name]]
    yield from _names(model, tasks, table)
    full = {task.name: measured(model, task, table) for task in tasks}
    needed = {task.name: [name for name in _needs(task) if name in has[task.name]] for task in tasks}
    impute = model.missing == "impute"
    plan = gaps.plan(replace(model, missing="impute"), tasks, table, full)
    imputed = plan.imputed if impute else frozenset()
    rows = {name: own & tables.complete(table, needed[name]) for name, own in full.items()}
    served = {
        name: own & tables.complete(table, [n for n in needed[name] if n not in imputed])
        for name, own in full.items()
    }
    yield from cells.faults(model, tasks, full, served, table)
    spoilt: set[str] = set()
    for finding in uses.faults(tasks, needed, full, table, model.data.get("units"), plan, impute):
        if finding.level == "error":
            spoilt.add(finding.where.removeprefix("table."))
        yield finding
    sound = [task for task in tasks if set(_needs(task)) <= has[task.name]]
    yield from predictors.faults(model, sound, rows, table, spoilt)


def _owned(model: Model, owner: pd.Series) -> Iterator[Finding]:
    """What is wrong with a table for each task."""
    if model.as_rows:
        problem = "is one for each task, and the model has its tasks as rows of one."
        yield Finding("table", problem, "Stack them, or name the tasks.")
        return
    yield from owned(model, owner.cat.categories, "data.table")
    if model.residual.get("kind") != "independent" and not model.tables:
        yield from conflicts.apart(model, "tables of their own")


def _known(table: pd.DataFrame, owner: pd.Series | None) -> dict[str, list[str]]:
    """The columns of each task's own table, or under "" those of the whole one."""
    every = [name for name in table.columns if name != tables.OWNER]
    if owner is None:
        return {"": every}
    given = table[every].notna()
    filled = given.any()
    return {
        str(task): [name for name in every if given.loc[owner == task, name].any() or not filled[name]]
        for task in owner.cat.categories
    }


def _units(model: Model, table: pd.DataFrame) -> Iterator[Finding]:
    """Units that stand in more than one row, or, for tasks as rows, twice for one task."""
    units, owner = model.data.get("units"), tables.owner(table)
    if units not in table:
        return
    if empty := tables.named(table, table[units].isna()):
        yield Finding("data.units", f'"{units}" is empty in {empty}.', "Name every row.")
    task = model.tasks["by"] if model.as_rows else tables.OWNER if owner is not None else None
    keys = [task, units] if task else [units]
    twice = table.loc[table.duplicated(keys) & table[keys].notna().all(axis=1), keys]
    if twice.empty:
        return
    names = twice[units].astype(str)
    if task:
        names = names + " (" + twice[task].astype(str) + ")"
    per = f" of the same {task.strip('()')}" if task else ""
    problem = f'"{units}" has {listed(dict.fromkeys(names), 5)} in more than one row{per}.'
    yield Finding("data.units", problem, "Give each row a unit of its own.")


def _names(model: Model, tasks: list[Task], table: pd.DataFrame) -> Iterator[Finding]:
    """What is wrong with the column that names the tasks, and with what names them in the model."""
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
    yield from conflicts.names(model, [task.name for task in tasks])


def _needs(task: Task) -> list[str]:
    """What ``needs`` gives, less what can't be read of a faulty task."""
    for sound in (task, replace(task, likelihood={"kind": "gaussian"}), replace(task, formula=None)):
        try:
            return needs(sound)
        except ModelError:
            continue
    return []
