"""New rows with their responses as a design, encoded as in the fit of a posterior."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl import formulas, grouped, parts, tables
from bayesmtl.design import Design, Kinds
from bayesmtl.encoded import row_names
from bayesmtl.errors import Finding, ModelError, refuse, unknown
from bayesmtl.forecast.renewed import renew
from bayesmtl.responses import Response, families, response
from bayesmtl.served import measured, needs, served
from bayesmtl.spec import Model, Task
from bayesmtl.summary import Summary
from bayesmtl.updates.bare import bare, told

REMEDY = "Fit all rows."
EMPTY = Finding("table", "adds no cell.", "Give rows with a response and all its predictors.")

Array = np.ndarray


def observe(post: xr.DataTree, table: pd.DataFrame) -> Design:
    """The cells that new rows add to those of a posterior; levels that it never saw are ``new``.

    Raises
    ------
    ModelError
        When a column is missing, or a value can't be taken.
    """
    known = bare(post)
    model, tasks = known.model, known.model.listed_tasks(list(known.task.labels))
    refuse([*_rowwise(model, tasks), *tables.faults(table), *_lacking(model, tasks, table)])
    table = table.set_axis(row_names(table, model).rename("row"), axis=0)
    own, full, cells = _rows(model, tasks, table)
    kept = cells.any(0) | ~own.any(0)  # ``renew`` names rows of no task
    if not kept.any():
        raise ModelError(EMPTY)
    table, filled = table[kept], list({name for task in tasks for name in needs(task)})
    # a row that lacks what some task needs has no cell of it, whatever stands there
    design = renew(post, table.assign(**{name: table[name].ffill().bfill() for name in filled}))
    served_by = cells[:, kept].T
    needed = served_by @ design.predictors.uses
    found = [_cells(known, task, table, where) for task, where in zip(tasks, served_by.T, strict=True)]
    return replace(
        design,
        predictors=replace(design.predictors, x=np.where(needed, design.x, design.mean)),
        families=families(tasks, found),
        groups=tuple(
            replace(g, z=np.where(served_by[:, design.owner] @ g.uses, g.z, 0.0)) for g in design.groups
        ),
        empty=(own & ~full).sum(1),
        unserved=(full & ~cells).sum(1),
    )


def observe_kinds(post: xr.DataTree, summary: Summary) -> Design:
    """The cells that a summary of new rows adds to those of a posterior, with kinds for rows.

    Raises
    ------
    ModelError
        When it is of other columns, or has a category or a task that the fit never saw.
    """
    known, rows = bare(post), summary.kinds
    model, tasks = known.model, known.model.listed_tasks(list(known.task.labels))
    refuse([*_rowwise(model, tasks), *_lacking(model, tasks, rows), *_strange(known, summary)])
    own, full, cells = _rows(model, tasks, rows)
    if not cells.any():
        raise ModelError(EMPTY)
    column, outcomes = [*summary.column, "1"], list(dict.fromkeys(task.column for task in tasks))
    mean = np.pad(summary.mean, ((0, 0), (0, 1)), constant_values=((0, 0), (0, 1)))
    cross = np.pad(summary.cross, ((0, 0), (0, 1), (0, 1)))
    names = [known.feature.labels, *(group.term.labels for group in known.groups), outcomes]
    at = [np.array([column.index(name) for name in some], int) for some in names]
    needed = [cells.T @ known.predictors.uses, *(cells.T @ group.uses for group in known.groups)]
    every, slot = np.hstack([*needed, np.ones((len(rows), len(outcomes)), bool)]), np.concatenate(at)
    means = [np.where(own, mean[:, some], 0.0) for own, some in zip(needed, at, strict=False)]
    found = []
    for task, where in zip(tasks, cells, strict=True):
        found.append(_told(known, task, np.flatnonzero(where), mean[where, column.index(task.column)]))
    return replace(
        known,
        predictors=replace(known.predictors, x=np.where(needed[0], means[0], known.mean)),
        spread=replace(known.spread, x=np.zeros((len(rows), 0))),
        families=families(tasks, found),
        groups=tuple(
            replace(grouped.apply(group, rows, cells), z=z)
            for group, z in zip(known.groups, means[1:], strict=True)
        ),
        units=np.arange(1, len(rows) + 1),
        empty=((own & ~full) @ summary.count).astype(int),
        unserved=((full & ~cells) @ summary.count).astype(int),
        kinds=Kinds(
            summary.count,
            cross[:, slot][:, :, slot] * every[:, :, None] * every[:, None, :],
            np.array([outcomes.index(task.column) for task in tasks]),
        ),
    )


def _rowwise(model: Model, tasks: Sequence[Task]) -> Iterator[Finding]:
    """What of a model makes more of rows than cells of their own."""
    if model.missing == "impute":
        yield Finding("missing", "imputes predictors from all rows.", REMEDY)
    for task in tasks:
        if task.soft:
            yield Finding(f"tasks.{task.name}", "has soft labels.", REMEDY)
        if "marginal" in parts.settings("likelihoods", task.likelihood).values():
            yield Finding(f"tasks.{task.name}", "has its noise integrated out over all rows.", REMEDY)


def _lacking(model: Model, tasks: Sequence[Task], table: pd.DataFrame) -> Iterator[Finding]:
    """The columns that a table does not have."""
    columns = [name for task in tasks for name in (*needs(task), task.column)]
    columns += [model.tasks["by"]] if model.as_rows else []
    for name in dict.fromkeys(columns):
        if name not in table:
            yield unknown("table", "column", name, map(str, table))


def _strange(known: Design, summary: Summary) -> Iterator[Finding]:
    """Numbers that a summary has not, and categories and tasks of it that a fit never saw."""
    terms = [name for group in known.groups for name in group.term.labels if name != "1"]
    for name in dict.fromkeys([*known.feature.labels, *terms]):
        if name not in summary.column:
            yield unknown("summary", "number", name, summary.column)
    for encoding in (*known.predictors.encodings, *(e for g in known.groups for e in g.encodings)):
        try:
            formulas.apply(encoding, summary.levels, "summary") if encoding.formula != "0" else None
        except ModelError as error:
            yield from error.findings
    if known.model.as_rows:
        by = known.model.tasks["by"]
        for name in sorted(set(summary.kinds[by].dropna().astype(str)) - set(known.task.labels)):
            yield unknown(f"table.{by}", "task", name, known.task.labels)


def _rows(model: Model, tasks: Sequence[Task], table: pd.DataFrame) -> tuple[Array, Array, Array]:
    """The rows of each task, those with a response, and those that make a cell; [task, row] each."""
    by = model.tasks["by"] if model.as_rows else None
    own = np.array([tables.of_task(table, task.name, by) for task in tasks])
    full, cells = (np.array([rows(model, task, table) for task in tasks]) for rows in (measured, served))
    return own, full, cells


def _cells(known: Design, task: Task, table: pd.DataFrame, where: Array) -> Response:
    """A task's cells in some rows of a table."""
    one, likelihood = _told(known, task, np.flatnonzero(where), np.zeros(0)), task.likelihood
    if one.grades:
        option = "levels" if "levels" in parts.settings("likelihoods", likelihood) else "categories"
        likelihood = {**likelihood, option: list(one.grades)}
    y = response(replace(task, likelihood=likelihood), table.loc[where, task.column])[0]
    counts = table[task.weights].to_numpy(float)[where] if task.weights else 1.0
    columns = {name: table[name].to_numpy(float)[where] for name in one.columns}
    return replace(one, y=y, power=one.power * counts, columns=columns)


def _told(known: Design, task: Task, row: Array, y: Array) -> Response:
    family = next(f for f in known.families if task.name in f.task.labels)
    grades = family.grades[family.task.labels.index(task.name)]
    return told(task, row, y, grades, *known.unit(task.name))
