"""A model and a table as a design: its columns, its cells and its groups."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bayesmtl import configurations, formulas, gaps, grouped, parts, predictor_model, tables
from bayesmtl.axes import Axis
from bayesmtl.design import Columns, Design
from bayesmtl.errors import Finding, ModelError
from bayesmtl.formulas import Encoding
from bayesmtl.predictor_model import Imputation
from bayesmtl.responses import Family, Response, families, response, scale, spread_formula
from bayesmtl.served import measured, served, tasks_of
from bayesmtl.spec import Model, Task


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
    own = [tables.of_task(table, t.name, model.tasks["by"] if model.as_rows else None) for t in tasks]
    found = families(tasks, _responses(tasks, table, rows))
    design = Design(
        model=model,
        task=Axis("task", tuple(task.name for task in tasks)),
        predictors=_columns(fixed, table, rows),
        spread=_columns(spread, table, rows),
        families=found,
        groups=grouped.learn(_lines(found, tasks, rows), table, model.folder),
        units=row_names(table, model).to_numpy(),
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


def row_names(table: pd.DataFrame, model: Model) -> pd.Index:
    """What each row is called: by its unit, else by an index that has a name, else by its place from 1."""
    units = model.data.get("units")
    if units in table:
        return pd.Index(table[units], name=units)
    return table.index if table.index.name else pd.RangeIndex(1, len(table) + 1)


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
