"""Tables as arrays: one cell for each measured pair of a row and a task."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayesmtl import configurations, formulas, gaps, groups, parts, predictor_model, tables
from bayesmtl.axes import Axis
from bayesmtl.configurations import Gaps
from bayesmtl.errors import Finding, ModelError
from bayesmtl.formulas import Encoding
from bayesmtl.groups import Grouping
from bayesmtl.layout import layout
from bayesmtl.pairs import set_of
from bayesmtl.predictor_model import Imputation
from bayesmtl.responses import Family, Response, families, response, scale, spread_formula
from bayesmtl.spec import Model, Task


@dataclass(frozen=True)
class Columns:
    """The columns of some formulae, in the user's units.

    Parameters
    ----------
    feature
        Their names.
    x
        Their values; [row, feature].
    mean, sd
        Of each where some cell needs it; [feature].
    uses
        Whether a task's formula has a column; [task, feature].
    encodings
        One for each formula.
    """

    feature: Axis
    x: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    uses: np.ndarray
    encodings: tuple[Encoding, ...]

    @property
    def centred(self) -> np.ndarray:
        """The values less their means; [row, feature]."""
        return self.x - self.mean


@dataclass(frozen=True)
class Design:
    """What a program reads.

    Parameters
    ----------
    model
        The model that was encoded.
    task
        The axis of its tasks.
    predictors
        The columns that the weights multiply.
    spread
        The columns of the formulae of scales.
    families
        The cells.
    groups
        The group terms.
    units
        The name of each row; [row].
    empty, unserved
        How many cells of each task are empty, and how many are left out as a predictor is missing; [task].
    gaps
        The predictors that are imputed; None where none are.
    """

    model: Model
    task: Axis
    predictors: Columns
    spread: Columns
    families: tuple[Family, ...]
    groups: tuple[Grouping, ...]
    units: np.ndarray
    empty: np.ndarray
    unserved: np.ndarray
    gaps: Gaps | None = None

    @property
    def line(self) -> Axis:
        """The linear predictors: one for each task, and one for each category but the first."""
        own = {name: lines for f in self.families for name, lines in zip(f.task.labels, f.lines, strict=True)}
        return Axis("task", tuple(label for name in self.task.labels for label in own[name]))

    @property
    def owner(self) -> np.ndarray:
        """Each linear predictor's task; [line]."""
        own = {name: len(lines) for f in self.families for name, lines in zip(f.task.labels, f.lines)}
        return np.repeat(np.arange(len(self.task)), [own[name] for name in self.task.labels])

    @property
    def x(self) -> np.ndarray:
        """The columns that the weights multiply; [row, feature]."""
        return self.predictors.x

    @property
    def mean(self) -> np.ndarray:
        """Of each column that the weights multiply; [feature]."""
        return self.predictors.mean

    @property
    def sd(self) -> np.ndarray:
        """Standard deviation of each column that the weights multiply; [feature]."""
        return self.predictors.sd

    @property
    def feature(self) -> Axis:
        """The axis of the columns that the weights multiply."""
        return self.predictors.feature

    @property
    def uses(self) -> np.ndarray:
        """Whether a linear predictor has a column; [line, feature]."""
        return self.predictors.uses[self.owner]

    @property
    def unit_of(self) -> np.ndarray:
        """The unit of each linear predictor; [line]."""
        return np.array([self.unit(self.task.labels[t])[1] for t in self.owner])

    @property
    def data(self) -> dict[str, Any]:
        """The arrays that change from table to table, as the program takes them."""
        spread = self.spread.centred / self.spread.sd
        cells = {
            f.name: {
                "of": f.of,
                "row": f.row,
                "y": f.y,
                "power": f.power,
                "columns": dict(f.columns),
                "noise_x": spread[f.row][:, self.spread_of(f)],
            }
            for f in self.families
        }
        grouped = {g.name: g.data for g in self.groups}
        data = {"x": self.predictors.centred, "cells": cells, "groups": grouped, "residual": self.joint}
        if self.gaps is None:
            return data
        every = {f.name: self.gaps.cells(f.row) for f in self.families}
        return data | {"gaps": {**self.gaps.data, "cells": every}}

    @property
    def partners(self) -> tuple[Family, ...]:
        """The families whose residuals are not independent."""
        if self.model.residual["kind"] == "independent":
            return ()
        paired = {name for pair in self.model.residual.get("pairs", ()) for name in pair}
        return tuple(f for f in self.families if not paired or paired & set(f.task.labels))

    @property
    def joint(self) -> dict[str, np.ndarray]:
        """Where the cells of the partners stand among each other."""
        line, row, count = [], [], 0
        for family in self.partners:
            line.append(family.of * len(family.lines[0]) + count)
            row.append(family.row)
            count += sum(map(len, family.lines))
        if not row:
            return {}
        pairs = self.model.residual.get("pairs", ())
        sets = set_of(self.partner, pairs) if self.model.residual["kind"] == "correlated" else None
        return layout(np.concatenate(row), np.concatenate(line), count, sets)

    @property
    def partner(self) -> Axis:
        """The linear predictors of the partners."""
        return Axis("task", tuple(label for f in self.partners for lines in f.lines for label in lines))

    def spread_of(self, family: Family) -> np.ndarray:
        """The columns of the formula of a family's scale."""
        return np.flatnonzero(self.spread.uses[self.task.labels.index(family.task.labels[0])])

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
    """Which rows have a response of a task; [row]."""
    own = tables.of_task(table, task.name, model.tasks["by"] if model.as_rows else None)
    return own & tables.complete(table, task.soft or [task.column])


def served(model: Model, task: Task, table: pd.DataFrame, imputed: Collection[str] = ()) -> np.ndarray:
    """Which rows have a cell of a task: its response, and all that predicts it, or is imputed; [row]."""
    needed = [name for name in needs(task) if name not in imputed]
    return measured(model, task, table) & tables.complete(table, needed)


def needs(task: Task) -> list[str]:
    """The columns that a row must have to serve a task, beside its response."""
    spread = spread_formula(task.likelihood)
    found = [
        *formulas.columns(task.formula or "0", f"tasks.{task.name}.formula"),
        *(formulas.columns(spread, f"tasks.{task.name}") if spread else []),
        *parts.columns("likelihoods", task.likelihood),
        *([task.weights] if task.weights else []),
    ]
    return list(dict.fromkeys(found))


def encode(model: Model, table: pd.DataFrame) -> Design:
    """A model and a table as arrays; an empty outcome is no cell, never a dropped row.

    Raises
    ------
    ModelError
        When a column is missing or can't be encoded; it names all of them.
    """
    tasks = tasks_of(model, table)
    full = np.array([measured(model, task, table) for task in tasks])
    plan = gaps.plan(model, tasks, table, {task.name: own for task, own in zip(tasks, full, strict=True)})
    rows = np.array([served(model, task, table, plan.imputed) for task in tasks])
    fixed = {task.name: task.formula for task in tasks}
    spread = {task.name: spread_formula(task.likelihood) for task in tasks}
    units = model.data.get("units")
    own = [tables.of_task(table, t.name, model.tasks["by"] if model.as_rows else None) for t in tasks]
    found = families(tasks, _responses(tasks, table, rows))
    design = Design(
        model=model,
        task=Axis("task", tuple(task.name for task in tasks)),
        predictors=_columns(fixed, table, rows),
        spread=_columns(spread, table, rows),
        families=found,
        groups=groups.learn(_lines(found, tasks, rows), table, model.folder),
        units=(table[units] if units else _numbered(table)).to_numpy(),
        empty=np.array([int((o & ~f).sum()) for o, f in zip(own, full, strict=True)]),
        unserved=full.sum(1) - rows.sum(1),
    )
    made = features(design.predictors, table) if plan.imputed else pd.DataFrame()
    return impute(design, table, rows, predictor_model.learn(plan, table, made, rows))


def impute(design: Design, table: pd.DataFrame, rows: np.ndarray, imputation: Imputation | None) -> Design:
    """A design with the missing predictors of its table; ``rows`` [task, row] have a cell of each task."""
    if imputation is None:
        return design
    columns, needs_of = design.predictors, np.zeros((len(imputation.columns), len(table)), bool)
    for task, own in zip(design.model.listed_tasks(list(design.task.labels)), rows, strict=True):
        used = formulas.columns(task.formula or "0")
        needs_of[[name in used for name in imputation.columns]] |= own
    made, needed = features(columns, table), rows.T @ columns.uses
    noun = design.model.data.get("units", "row")
    found = configurations.locate(
        imputation,
        table,
        lambda own: features(columns, own),
        dict(zip(imputation.columns, needs_of, strict=True)),
        needed,
        columns.mean,
        [f"{noun} {name}" for name in design.units],
    )
    known = predictor_model.complete(imputation, made)
    x = predictor_model.fill(np.where(needed, made, columns.mean), needed, known)
    return replace(design, predictors=replace(columns, x=x), gaps=found)


def features(columns: Columns, table: pd.DataFrame) -> pd.DataFrame:
    """The columns of some formulae on a table, as they were encoded before; [row, feature]."""
    made: dict[str, pd.Series] = {}
    for encoding in columns.encodings:
        if encoding.formula != "0":
            made |= dict(formulas.apply(encoding, table, "formula").items())
    return pd.DataFrame({name: made[name] for name in columns.feature.labels}, index=table.index)


def _numbered(table: pd.DataFrame) -> pd.Series:
    """The names of rows without units: those of the index if it has a name, else their places from 1."""
    return pd.Series(table.index if table.index.name else np.arange(1, len(table) + 1))


def _lines(
    found: tuple[Family, ...], tasks: list[Task], rows: np.ndarray
) -> list[tuple[str, str, np.ndarray]]:
    """Each linear predictor with its formula and the rows that need it."""
    labels = {name: lines for f in found for name, lines in zip(f.task.labels, f.lines, strict=True)}
    return [
        (label, task.formula or "0", own)
        for task, own in zip(tasks, rows, strict=True)
        for label in labels[task.name]
    ]


def _columns(formula_of: dict[str, str | None], table: pd.DataFrame, rows: np.ndarray) -> Columns:
    """The columns of each task's formula side by side; one that two formulae make stands once."""
    encodings, made = _features(formula_of, table)
    feature = Axis("feature", tuple(made.columns))
    by_formula = {encoding.formula: encoding for encoding in encodings}
    uses = np.array(
        [[f in by_formula[t or "0"].features for f in feature.labels] for t in formula_of.values()], bool
    )
    uses = uses.reshape(len(formula_of), len(feature))
    x = made.to_numpy(float)
    needed = (rows.T @ uses) & np.isfinite(x)  # [row, feature]: whether some cell needs the entry
    mean, sd = _moments(x, needed)
    return Columns(feature, np.where(needed, x, mean), mean, sd, uses, encodings)


def _moments(x: np.ndarray, needed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column where some cell needs it; [feature]."""
    rows = np.maximum(needed.sum(0), 1)
    mean = np.where(needed, x, 0.0).sum(0) / rows
    squares = np.where(needed, x - mean, 0.0) ** 2
    sd = np.sqrt(squares.sum(0) / np.maximum(rows - 1, 1))
    return mean, np.where(sd > 0, sd, 1.0)


def _features(
    formula_of: dict[str, str | None], table: pd.DataFrame
) -> tuple[tuple[Encoding, ...], pd.DataFrame]:
    """The encodings of some formulae and the columns they make."""
    encodings: list[Encoding] = []
    columns: dict[str, pd.Series] = {}
    for formula in dict.fromkeys(formula or "0" for formula in formula_of.values()):
        where = next(f"tasks.{name}.formula" for name, f in formula_of.items() if (f or "0") == formula)
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
        if task.soft:
            row, y, power, grades = _soft(task, table, own)
        else:
            y, grades = response(task, table.loc[own, task.column])
            row, power = np.flatnonzero(own), np.ones(len(y))
        names = parts.columns("likelihoods", task.likelihood)
        given = {name: table[name].to_numpy(float)[row] for name in names}
        counts = table[task.weights].to_numpy(float)[row] if task.weights else 1.0
        power = power * counts * task.importance
        found.append(Response(row, y, power, given, grades, *scale(task.likelihood, y, given)))
    return found


def _soft(
    task: Task, table: pd.DataFrame, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[Any, ...]]:
    """A row of probabilities is a cell for each category, raised to its probability."""
    chance = table.loc[own, list(task.soft)].to_numpy(float)
    row = np.repeat(np.flatnonzero(own), len(task.soft))
    y = np.tile(np.arange(len(task.soft)), int(own.sum()))
    kept = chance.ravel() > 0
    return row[kept], y[kept], chance.ravel()[kept], task.soft
