"""A summary as a design, whose rows are kinds of rows."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bayesmtl import tables
from bayesmtl.design import Columns, Design, Kinds
from bayesmtl.encoded import encode
from bayesmtl.errors import Finding, ModelError, unknown
from bayesmtl.groups import Grouping
from bayesmtl.responses import Family
from bayesmtl.served import measured, tasks_of
from bayesmtl.spec import Model, Task
from bayesmtl.summary import Summary

Array = np.ndarray


@dataclass(frozen=True)
class _Known:
    """What a summary knows of the rows of a design.

    Parameters
    ----------
    column
        The names of its numbers, and after them "1", whose are all 1.
    count, mean, cross
        Rows, means, and cross-products about these; [row], [row, column], [row, column, column].
    """

    column: tuple[str, ...]
    count: Array
    mean: Array
    cross: Array

    def at(self, names: Sequence[str]) -> list[int]:
        """The places of some numbers."""
        return [self.column.index(name) for name in names]

    def told(self, names: Sequence[str], needed: Array) -> tuple[Array, Array, Array]:
        """The means, and mean and sd over the rows that are needed; [row, name], [name], [name]."""
        at = self.at(names)
        values, square = self.mean[:, at], self.cross[:, at, at]
        weight = self.count[:, None] * needed
        total = weight.sum(0)
        mean = (weight * values).sum(0) / np.maximum(total, 1)
        square = (needed * square + weight * (values - mean) ** 2).sum(0)
        return values, mean, np.sqrt(square / np.maximum(total - 1, 1))


def rows_of(summary: Summary) -> pd.DataFrame:
    """A row of each kind, and those that hold the levels."""
    levels, first = summary.levels, summary.kinds.iloc[[0] * len(summary.levels)]
    others = [name for name in summary.factors if name not in levels]  # of any level, and of its type
    levels = levels.join(first[others].set_axis(levels.index))
    return pd.concat([summary.kinds, levels], ignore_index=True).rename_axis("kind of row")


def encode_kinds(model: Model, summary: Summary) -> Design:
    """A model and a summary as arrays: what ``encode`` gives of the whole table, with kinds for rows.

    Raises
    ------
    ModelError
        When the summary lacks what the model needs.
    """
    rows = rows_of(summary)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one kind has no standard deviation
        design = encode(model, rows)
    tasks, known = tasks_of(model, rows), _known(summary)
    terms = [label for group in design.groups for label in group.term.labels]
    responses = list(dict.fromkeys(task.column for task in tasks))
    wanted = [*design.feature.labels, *terms, *responses]
    if wrong := [unknown("table", "number", n, known.column) for n in wanted if n not in known.column]:
        raise ModelError(*wrong)
    served = np.zeros((len(rows), len(tasks)), bool)
    for family in design.families:
        places = np.array([design.task.labels.index(name) for name in family.task.labels])
        served[family.row, places[family.of]] = True
    own = [tables.of_task(rows, t.name, model.tasks["by"] if model.as_rows else None) for t in tasks]
    full = np.array([measured(model, task, rows) for task in tasks])
    needed = [served @ design.predictors.uses, *(served @ group.uses for group in design.groups)]
    every = np.hstack([*needed, np.ones((len(rows), len(responses)), bool)])
    at = known.at(wanted)
    cross = known.cross[:, at][:, :, at] * every[:, :, None] * every[:, None, :]
    return replace(
        design,
        predictors=_columns(design.predictors, known, needed[0]),
        families=tuple(_family(family, known, tasks) for family in design.families),
        groups=tuple(_group(g, known, own) for g, own in zip(design.groups, needed[1:], strict=True)),
        empty=((own & ~full) @ known.count).astype(int),
        unserved=((full & ~served.T) @ known.count).astype(int),
        kinds=Kinds(known.count, cross, np.array([responses.index(task.column) for task in tasks])),
    )


def faults(design: Design) -> Iterator[Finding]:
    """What is wrong with the cells that a design of kinds stands for."""
    for name, cells, empty, unserved in zip(
        design.task.labels, design.cells.values(), design.empty, design.unserved, strict=True
    ):
        where = f"tasks.{name}"
        if cells + unserved == 0:
            yield Finding(where, "has no measured cell.", "Drop the task, or look at its column.")
        elif cells < 2:
            problem = f"has {cells or 'no'} cell with all its predictors."
            yield Finding(where, problem, "Give at least two.")
        if unserved:
            problem = f"{unserved:,} cells are left out, as a predictor is empty."
            yield Finding(where, problem, level="warning")
        if empty:
            yield Finding(where, f"{empty:,} of {empty + unserved + cells:,} cells are empty.", level="note")


def _known(summary: Summary) -> _Known:
    """What a summary knows, with nothing of the rows that hold the levels."""
    none = len(summary.levels)
    mean = np.pad(summary.mean, ((0, none), (0, 1)), constant_values=((0, 0), (0, 1)))
    cross = np.pad(summary.cross, ((0, none), (0, 1), (0, 1)))
    return _Known((*summary.column, "1"), np.pad(summary.count, (0, none)), mean, cross)


def _columns(columns: Columns, known: _Known, needed: Array) -> Columns:
    x, mean, sd = known.told(columns.feature.labels, needed)
    return replace(columns, x=np.where(needed, x, mean), mean=mean, sd=np.where(sd > 0, sd, 1.0))


def _group(group: Grouping, known: _Known, needed: Array) -> Grouping:
    z, _, sd = known.told(group.term.labels, needed)
    return replace(group, z=np.where(needed, z, 0.0), sd=np.where(sd > 0, sd, 1.0))


def _family(family: Family, known: _Known, tasks: list[Task]) -> Family:
    column = {task.name: task.column for task in tasks}
    names = [column[name] for name in family.task.labels]
    cell = np.zeros((len(known.count), len(names)), bool)
    cell[family.row, family.of] = True
    y, centre, unit = known.told(names, cell)
    return replace(family, y=y[family.row, family.of], centre=centre, unit=np.where(unit > 0, unit, 1.0))
