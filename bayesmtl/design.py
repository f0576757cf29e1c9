"""Tables as arrays: one cell for each measured pair of a row and a task."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesmtl import formulas
from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, ModelError
from bayesmtl.formulas import Encoding
from bayesmtl.responses import Family, Response, families, response, scale
from bayesmtl.spec import Model, Task


@dataclass(frozen=True)
class Design:
    """What a program reads.

    Parameters
    ----------
    model
        The model that was encoded.
    task, feature
        The axes of its weights.
    x
        The columns of all formulae, in the user's units; [row, feature].
    mean, sd
        Of each column; [feature].
    uses
        Whether a task's formula has a column; [task, feature].
    families
        The cells.
    encodings
        One for each formula.
    units
        The name of each row; [row].
    empty
        How many cells of each task are empty; [task].
    """

    model: Model
    task: Axis
    feature: Axis
    x: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    uses: np.ndarray
    families: tuple[Family, ...]
    encodings: tuple[Encoding, ...]
    units: np.ndarray
    empty: np.ndarray

    @property
    def data(self) -> dict[str, Any]:
        """The arrays that change from table to table, as the program takes them."""
        cells = {f.name: {"of": f.of, "row": f.row, "y": f.y} for f in self.families}
        return {"x": self.x - self.mean, "cells": cells}

    @property
    def cells(self) -> dict[str, int]:
        """How many cells each task has."""
        counts = {name: int((f.of == i).sum()) for f in self.families for i, name in enumerate(f.task.labels)}
        return {name: counts[name] for name in self.task.labels}

    def unit(self, task: str) -> tuple[float, float]:
        """Centre and unit of one task's linear predictor."""
        family = next(f for f in self.families if task in f.task.labels)
        i = family.task.labels.index(task)
        return float(family.centre[i]), float(family.unit[i])


def tasks_of(model: Model, table: pd.DataFrame) -> list[Task]:
    """The model's tasks, those that stand as rows read from the table in order of appearance."""
    if not model.as_rows:
        return model.listed_tasks()
    levels = table[model.tasks["by"]].dropna() if model.tasks["by"] in table else pd.Series([])
    return model.listed_tasks([str(level) for level in levels.unique()])


def measured(model: Model, task: Task, table: pd.DataFrame) -> np.ndarray:
    """Which rows have a cell of a task; [row]."""
    cell = table[task.column].notna().to_numpy()
    if model.as_rows:
        by = table[model.tasks["by"]]
        cell = cell & (by.astype(str) == task.name).to_numpy() & by.notna().to_numpy()
    return cell


def encode(model: Model, table: pd.DataFrame) -> Design:
    """A model and a table as arrays; an empty outcome is no cell, never a dropped row.

    Raises
    ------
    ModelError
        When a column is missing or can't be encoded; it names all of them.
    """
    tasks = tasks_of(model, table)
    encodings, made = _features(tasks, table)
    feature = Axis("feature", tuple(made.columns))
    x = made.to_numpy(float)
    by_formula = {encoding.formula: encoding for encoding in encodings}
    uses = np.array([[f in by_formula[t.formula or "0"].features for f in feature.labels] for t in tasks])
    uses = uses.reshape(len(tasks), len(feature))
    rows = np.array([measured(model, task, table) for task in tasks])
    needed = rows.T @ uses  # [row, feature]: whether some cell needs the entry
    mean, sd = _moments(x, needed)
    units = model.data.get("units")
    return Design(
        model=model,
        task=Axis("task", tuple(task.name for task in tasks)),
        feature=feature,
        x=np.where(needed, x, mean),
        mean=mean,
        sd=sd,
        uses=uses,
        families=families(tasks, _responses(tasks, table, rows)),
        encodings=encodings,
        units=(table[units] if units else pd.Series(np.arange(1, len(table) + 1))).to_numpy(),
        empty=(len(table) - rows.sum(1)) if not model.as_rows else _empty(model, tasks, table),
    )


def _moments(x: np.ndarray, needed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column where some cell needs it; [feature]."""
    rows = np.maximum(needed.sum(0), 1)
    mean = np.where(needed, x, 0.0).sum(0) / rows
    squares = np.where(needed, x - mean, 0.0) ** 2
    sd = np.sqrt(squares.sum(0) / np.maximum(rows - 1, 1))
    return mean, np.where(sd > 0, sd, 1.0)


def _empty(model: Model, tasks: list[Task], table: pd.DataFrame) -> np.ndarray:
    empty = table[table[model.tasks["outcome"]].isna()][model.tasks["by"]].astype(str)
    return np.array([(empty == task.name).sum() for task in tasks])


def _features(tasks: list[Task], table: pd.DataFrame) -> tuple[tuple[Encoding, ...], pd.DataFrame]:
    """Every formula's columns side by side; a column that two formulae make stands once."""
    encodings: list[Encoding] = []
    columns: dict[str, pd.Series] = {}
    for formula in dict.fromkeys(task.formula or "0" for task in tasks):
        where = next(f"tasks.{t.name}.formula" for t in tasks if (t.formula or "0") == formula)
        if formula == "0":
            encodings.append(Encoding("0"))
            continue
        encoding, made = formulas.learn(formula, table, where)
        encodings.append(encoding)
        for name in made:
            if name in columns and not np.array_equal(columns[name], made[name], equal_nan=True):
                raise ModelError(
                    Finding(where, f'makes another "{name}" than an earlier formula.', "Write it alike.")
                )
            columns.setdefault(name, made[name])
    return tuple(encodings), pd.DataFrame(columns, index=table.index)


def _responses(tasks: list[Task], table: pd.DataFrame, rows: np.ndarray) -> list[Response]:
    found = []
    for task, own in zip(tasks, rows, strict=True):
        y, grades = response(task, table.loc[own, task.column])
        found.append(Response(np.flatnonzero(own), y, grades, *scale(task.likelihood, y)))
    return found
