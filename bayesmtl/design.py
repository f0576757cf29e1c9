"""Tables as arrays: one cell for each measured pair of a row and a task."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesmtl import formulas, tables
from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, ModelError, listed
from bayesmtl.formulas import Encoding
from bayesmtl.parts import Part, settings
from bayesmtl.spec import Model, Task


@dataclass(frozen=True)
class Family:
    """Tasks that share a likelihood, as one vector of cells.

    Parameters
    ----------
    name
        The likelihood's name, with a number when several families have it.
    likelihood
        The part.
    task
        The member tasks.
    of, row, y
        Each cell's member, row of the table and response; [cell].
    centre, unit
        Mean and standard deviation of each member's response, on the scale of its linear predictor
        (1 where the link is not the identity); [member].
    grades
        Each member's grades, lowest first; empty for a response without grades.
    """

    name: str
    likelihood: Part
    task: Axis
    of: np.ndarray
    row: np.ndarray
    y: np.ndarray
    centre: np.ndarray
    unit: np.ndarray
    grades: tuple[tuple[Any, ...], ...]

    @property
    def values(self) -> np.ndarray:
        """The grades as numbers: their own, or their place from 0 if they are words; [member, grade]."""
        return np.array([_numbers(grades) for grades in self.grades], float)

    @property
    def responses(self) -> np.ndarray:
        """Each cell's response in the user's numbers; [cell]."""
        return self.in_numbers(self.y)

    def in_numbers(self, y: np.ndarray) -> np.ndarray:
        """Responses as the user's numbers, where the program has places of grades; [..., cell]."""
        return self.values[self.of, y.astype(int)] if self.values.size else y


@dataclass(frozen=True)
class Response:
    """One task's cells: their rows and values, its grades, and its centre and unit."""

    row: np.ndarray
    y: np.ndarray
    grades: tuple[Any, ...]
    centre: float
    unit: float


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
        counts = {
            name: int((f.of == i).sum()) for f in self.families for i, name in enumerate(f.task.labels)
        }
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


def response(task: Task, column: pd.Series) -> tuple[np.ndarray, tuple[Any, ...]]:
    """A task's measured responses as numbers, and its grades if it has them; [cell].

    Raises
    ------
    ModelError
        When a value is not a number, or not one of the grades.
    """
    where = f"tasks.{task.name}"
    options = settings("likelihoods", task.likelihood)
    if "levels" in options:
        grades = _grades(options["levels"], column, where)
        codes = {grade: i for i, grade in enumerate(grades)}
        bad = ~column.isin(grades)
        if bad.any():
            raise ModelError(
                Finding(
                    where,
                    f"has {listed(map(repr, column[bad].unique().tolist()), 4)} "
                    f"({tables.named(column.to_frame(), bad)}) "
                    f"outside its {len(grades)} levels.",
                    f"The levels are {listed(map(repr, grades), 10)}; mend the table or set levels.",
                )
            )
        return column.map(codes).to_numpy(int), tuple(grades)
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    bad = ~np.isfinite(numbers)
    if bad.any():
        raise ModelError(
            Finding(
                where,
                f"has {listed(column[bad].map(repr).unique(), 4)} "
                f"({tables.named(column.to_frame(), bad)}), which is no finite number.",
                "Leave a cell empty when it was not measured.",
            )
        )
    return numbers.to_numpy(), ()


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
        found.append(Response(np.flatnonzero(own), y, grades, *_scale(task.likelihood, y)))
    return found


def families(tasks: list[Task], responses: list[Response]) -> tuple[Family, ...]:
    """Tasks with the same likelihood, options and number of grades, as one family."""
    groups: dict[str, list[int]] = {}
    for i, (task, given) in enumerate(zip(tasks, responses, strict=True)):
        alike = repr((sorted(task.likelihood.items(), key=str), len(given.grades)))
        groups.setdefault(alike, []).append(i)
    found: list[Family] = []
    for members in groups.values():
        part = tasks[members[0]].likelihood
        kind = part["kind"].rpartition(":")[2]
        same = sum(f.likelihood["kind"] == part["kind"] for f in found)
        own = [responses[i] for i in members]
        found.append(
            Family(
                name=f"{kind}{same + 1}" if same else kind,
                likelihood=part,
                task=Axis("task", tuple(tasks[i].name for i in members)),
                of=np.concatenate([np.full(len(r.y), m) for m, r in enumerate(own)]),
                row=np.concatenate([r.row for r in own]),
                y=np.concatenate([r.y for r in own]),
                centre=np.array([r.centre for r in own]),
                unit=np.array([r.unit for r in own]),
                grades=tuple(r.grades for r in own),
            )
        )
    return tuple(found)


def _scale(part: Mapping[str, Any], y: np.ndarray) -> tuple[float, float]:
    """Centre and unit of a response on the scale of its linear predictor."""
    link = settings("likelihoods", part).get("link")
    if link == "identity":
        return float(y.mean()), float(y.std(ddof=1)) or 1.0
    if link == "log":
        return float(np.log(max(y.mean(), 0.5 / len(y)))), 1.0
    return 0.0, 1.0


def _numbers(grades: tuple[Any, ...]) -> list[float]:
    numeric = all(isinstance(g, int | float) and not isinstance(g, bool) for g in grades)
    return [float(g) for g in grades] if numeric else [float(i) for i in range(len(grades))]


def _grades(levels: int | list[Any], column: pd.Series, where: str) -> list[Any]:
    """The values of a graded response, lowest first."""
    if isinstance(levels, list | tuple):
        return list(levels)
    if hasattr(column, "cat"):
        return column.cat.categories.tolist()
    values = sorted(column.unique().tolist())
    if not pd.api.types.is_numeric_dtype(column):
        raise ModelError(
            Finding(where, "has grades in words.", 'Give their order: levels = ["low", "high"].')
        )
    if not levels:
        return values
    first = 0 if not values or values[0] <= 0 or values[-1] < levels else 1
    return list(range(first, first + levels))
