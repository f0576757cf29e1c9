"""The design of a posterior on a new table, encoded as in its fit."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl import formulas, grouped, parts, tables, uses
from bayesmtl.axes import Axis
from bayesmtl.design import Columns, Design
from bayesmtl.encoded import impute, row_names
from bayesmtl.errors import Finding, ModelError, unknown
from bayesmtl.formulas import Encoding
from bayesmtl.gaps import Plan
from bayesmtl.groups import Grouping
from bayesmtl.predictor_model import Imputation
from bayesmtl.responses import Response, families, response
from bayesmtl.served import needs
from bayesmtl.spec import Model, Task
from bayesmtl.terms import named


def renew(
    post: xr.DataTree, table: pd.DataFrame, given: Collection[str] = (), anonymous: bool = False
) -> Design:
    """The design of a posterior's model on a new table: a cell for every row that a task can have.

    Parameters
    ----------
    given
        The tasks whose responses are read, nan where there is none.
    anonymous
        Whether rows whose level of a group is empty belong to one that nobody knows.

    Raises
    ------
    ModelError
        When a column is missing, or a value can't be taken; it names all of them.
    """
    model = Model.read(json.loads(post.attrs["model"]))
    task = Axis("task", tuple(map(str, post.constant_data.task.values)))
    listed = model.listed_tasks(list(task.labels))
    wrong = tables.faults(table)
    table = table.loc[:, ~table.columns.duplicated()]
    wrong += [unknown("given", "task", name, task.labels) for name in given if name not in task.labels]
    seen = [one for one in listed if one.name in given]
    wanted = dict.fromkeys([*reads(model, listed), *(one.column for one in seen)])
    wrong += [unknown("table", "column", name, map(str, table)) for name in wanted if name not in table]
    if len(table) == 0:
        raise ModelError(*wrong)
    units = row_names(table, model)
    table = table.set_axis(units.astype(str), axis=0)  # which findings then name
    wrong += _strangers(model, task, table)
    served = _served(model, task, table)
    wrong += _misfits(listed, served, table)
    imputation = Imputation.read(post.attrs["imputation"]) if "imputation" in post.attrs else None
    grades = json.loads(post.attrs["grades"])
    lines = [_lines(task, grades.get(task.name, ())) for task in listed]
    groups = []
    with _added(wrong):
        predictors = _columns(post, "", table, served, imputation)
    with _added(wrong):
        spread = _columns(post, "spread_", table, served)
    for text in json.loads(post.attrs["groups"]):
        with _added(wrong):
            rows = np.repeat(served, lines, axis=0)
            groups.append(grouped.apply(Grouping.read(text), table, rows, anonymous=anonymous))
    responses: dict[str, np.ndarray] = {}
    for one in seen:
        with _added(wrong):
            responses[one.name] = _seen(one, table, served[task.labels.index(one.name)])
    if wrong:
        raise ModelError(*dict.fromkeys(wrong))
    design = Design(
        model=model,
        task=task,
        predictors=predictors,
        spread=spread,
        families=families(listed, _responses(post, listed, table, served, responses)),
        groups=tuple(groups),
        units=units.to_numpy(),
        empty=np.zeros(len(task), int),
        unserved=np.zeros(len(task), int),
    )
    return impute(design, table, served, imputation)


@contextmanager
def _added(wrong: list[Finding]) -> Iterator[None]:
    """Add what a block raises to ``wrong``, and go on after it."""
    try:
        yield
    except ModelError as error:
        wrong += error.findings


def reads(model: Model, tasks: Iterable[Task]) -> list[str]:
    """The columns that predictions need."""
    wanted = [name for task in tasks for name in needs(replace(task, weights=None))]
    return list(dict.fromkeys([*([model.tasks["by"]] if model.as_rows else []), *wanted]))


def _strangers(model: Model, task: Axis, table: pd.DataFrame) -> list[Finding]:
    """Rows of no task that the fit knew."""
    by = model.tasks["by"] if model.as_rows else None
    if by not in table:
        return []
    where, found = f"table.{by}", []
    if rows := tables.named(table, table[by].isna()):
        found.append(Finding(where, f"is empty ({rows}).", "Fill it in, or drop these rows."))
    new = sorted(set(table[by].dropna().astype(str)) - set(task.labels))
    return found + [unknown(where, "task", name, task.labels) for name in new[:8]]


def _served(model: Model, task: Axis, table: pd.DataFrame) -> np.ndarray:
    """The rows to predict each task for; [task, row]."""
    by = model.tasks["by"] if model.as_rows else None
    if by is not None and by not in table:
        return np.zeros((len(task), len(table)), bool)
    return np.array([tables.of_task(table, name, by) for name in task.labels])


def _misfits(tasks: list[Task], served: np.ndarray, table: pd.DataFrame) -> Iterator[Finding]:
    """What is wrong with the columns that likelihoods name, in words of the fit's checks."""
    needed = {
        task.name: [name for name in parts.columns("likelihoods", task.likelihood) if name in table]
        for task in tasks
    }
    rows = {task.name: own for task, own in zip(tasks, served, strict=True)}
    found = uses.faults(tasks, needed, rows, table, None, Plan(), False)
    yield from (finding for finding in found if finding.level == "error")
    for task, names in needed.items():
        for name in names:
            numbers = pd.to_numeric(table[name].astype(object), errors="coerce")
            yield from _blank(name, numbers.isna() & rows[task], table)


def _blank(name: str, bad: Any, table: pd.DataFrame) -> Iterator[Finding]:
    """The rows where a number is missing that predictions need."""
    if rows := tables.named(table, pd.Series(bad)):
        yield Finding(f"table.{name}", f"is no finite number ({rows}).", "Fill it.")


def _columns(
    post: xr.DataTree,
    prefix: str,
    table: pd.DataFrame,
    served: np.ndarray,
    imputation: Imputation | None = None,
) -> Columns:
    """The columns of the fit's formulae on a new table."""
    constant = post.constant_data
    feature = Axis("feature", tuple(map(str, constant[f"{prefix}feature"].values)))
    encodings = tuple(
        Encoding.read(text) for text in json.loads(post.attrs["spread" if prefix else "encodings"])
    )
    mean, used = constant[f"{prefix}mean"].values, constant[f"{prefix}uses"].values
    needed = served.T @ used
    known = imputation.given if imputation else feature.labels  # the others may be imputed
    gaps = [name for name in imputation.columns if name in table] if imputation else []
    lost = table[gaps].isna().any(axis=1).to_numpy()
    made: dict[str, Any] = {}
    wrong: list[Finding] = []
    for encoding in encodings:
        if encoding.formula == "0":
            continue
        try:
            made |= dict(formulas.apply(encoding, table, "formula").items())
        except ModelError as error:
            wrong += error.findings
            own = needed[:, [name in encoding.features for name in feature.labels]].any(1)
            for name in named(encoding.fixed):
                if name in table and name not in gaps:
                    bad = table[name].isna() | table[name].isin([np.inf, -np.inf])
                    wrong += _blank(name, bad & own, table)
    for k, name in enumerate(feature.labels):
        if name in made:
            bad = needed[:, k] & ~np.isfinite(made[name]) & ~(lost & (name not in known))
            wrong += _blank(name, bad, table)
    if wrong:
        raise ModelError(*wrong)
    x = np.array([made[f] for f in feature.labels], float).reshape(-1, len(table)).T
    x = np.where(needed & np.isfinite(x), x, mean)
    return Columns(feature, x, mean, constant[f"{prefix}sd"].values, used, encodings)


def _lines(task: Task, grades: Sequence[Any]) -> int:
    """How many linear predictors a task has."""
    return len(grades) - 1 if "categories" in parts.settings("likelihoods", task.likelihood) else 1


def _seen(task: Task, table: pd.DataFrame, own: np.ndarray) -> np.ndarray:
    """A task's responses where a table has them, and nan; [cell]."""
    if task.column not in table:
        return np.zeros(0)
    column = table.loc[own, task.column]
    found = np.full(len(column), np.nan)
    full = column.notna().to_numpy()
    found[full] = response(task, column[full])[0]
    return found


def _responses(
    post: xr.DataTree,
    tasks: list[Task],
    table: pd.DataFrame,
    served: np.ndarray,
    seen: Mapping[str, np.ndarray],
) -> list[Response]:
    """Cells, without values save for those that are seen, on the scales of the fit."""
    grades, constant = json.loads(post.attrs["grades"]), post.constant_data
    found = []
    for task, own in zip(tasks, served, strict=True):
        names = parts.columns("likelihoods", task.likelihood)
        centre, unit = (float(constant[word].sel(task=task.name)) for word in ("centre", "unit"))
        found.append(
            Response(
                row=np.flatnonzero(own),
                y=seen.get(task.name, np.zeros(own.sum(), int if task.name in grades else float)),
                power=np.ones(own.sum()),
                columns={name: table[name].to_numpy(float)[own] for name in names},
                grades=tuple(grades.get(task.name, ())),
                centre=centre,
                unit=unit,
            )
        )
    return found
