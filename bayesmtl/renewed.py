"""The design of a posterior on a new table, encoded as in its fit."""

import json
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl import formulas, grouped, parts, tables
from bayesmtl.axes import Axis
from bayesmtl.design import Columns, Design
from bayesmtl.encoded import impute
from bayesmtl.errors import Finding, ModelError, unknown
from bayesmtl.formulas import Encoding
from bayesmtl.groups import Grouping
from bayesmtl.predictor_model import Imputation
from bayesmtl.responses import Response, families
from bayesmtl.spec import Model, Task


def renew(post: xr.DataTree, table: pd.DataFrame) -> Design:
    """The design of a posterior's model on a new table: a cell for every row that a task can have."""
    model = Model.read(json.loads(post.attrs["model"]))
    if found := tables.faults(table):
        raise ModelError(*found)
    constant = post.constant_data
    task = Axis("task", tuple(map(str, constant.task.values)))
    listed = model.listed_tasks(list(task.labels))
    rows = _rows(model, task, table)
    units = model.data.get("units", "")
    served = np.zeros((len(task), len(table)), bool)
    for t, own in enumerate(rows):
        served[t, own] = True
    found_families = families(listed, _responses(post, listed, table, rows))
    lines = [len(n) for f in found_families for n in f.lines]
    imputation = Imputation.read(post.attrs["imputation"]) if "imputation" in post.attrs else None
    design = Design(
        model=model,
        task=task,
        predictors=_columns(post, "", table, served, imputation),
        spread=_columns(post, "spread_", table, served),
        families=found_families,
        groups=tuple(
            grouped.apply(Grouping.read(text), table, np.repeat(served, lines, axis=0))
            for text in json.loads(post.attrs["groups"])
        ),
        units=(table[units] if units in table else pd.Series(range(1, len(table) + 1))).to_numpy(),
        empty=np.zeros(len(task), int),
        unserved=np.zeros(len(task), int),
    )
    return impute(design, table, served, imputation)


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
    made: dict[str, Any] = {}
    wrong: list[Finding] = []
    for encoding in encodings:
        if encoding.formula == "0":
            continue
        try:
            made |= dict(formulas.apply(encoding, table, "formula").items())
        except ModelError as error:
            wrong += [f for f in error.findings if f not in wrong]
    x = np.array([made[f] for f in feature.labels if f in made], float).reshape(-1, len(table)).T
    mean, uses = constant[f"{prefix}mean"].values, constant[f"{prefix}uses"].values
    needed = served.T @ uses
    known = imputation.given if imputation else feature.labels  # the others may be imputed
    lost = np.zeros(len(table), bool)
    if imputation and not wrong:
        lost = table[list(imputation.columns)].isna().any(axis=1).to_numpy()
    for k, name in enumerate([] if wrong else feature.labels):
        bad = needed[:, k] & ~np.isfinite(x[:, k]) & ~(lost & (name not in known))
        if bad.any():
            rows = tables.named(table, pd.Series(bad))
            wrong.append(Finding(f"table.{name}", f"is no finite number ({rows}).", "Fill it."))
    if wrong:
        raise ModelError(*wrong)
    x = np.where(needed & np.isfinite(x), x, mean)
    return Columns(feature, x, mean, constant[f"{prefix}sd"].values, uses, encodings)


def _rows(model: Model, task: Axis, table: pd.DataFrame) -> list[np.ndarray]:
    """For each task, the rows to predict it for."""
    if not model.as_rows:
        return [np.flatnonzero(tables.of_task(table, name)) for name in task.labels]
    by = model.tasks["by"]
    if by not in table:
        raise ModelError(unknown("table", "column", by, map(str, table.columns)))
    names = table[by].astype(str)
    if new := sorted(set(names) - set(task.labels)):
        raise ModelError(*(unknown(f"table.{by}", "task", name, task.labels) for name in new[:8]))
    return [np.flatnonzero(names == name) for name in task.labels]


def _responses(
    post: xr.DataTree, tasks: list[Task], table: pd.DataFrame, rows: list[np.ndarray]
) -> list[Response]:
    """Cells without values, on the scales of the fit."""
    grades, constant = json.loads(post.attrs["grades"]), post.constant_data
    found = []
    for task, own in zip(tasks, rows, strict=True):
        names = parts.columns("likelihoods", task.likelihood)
        if wrong := [unknown("table", "column", n, map(str, table)) for n in names if n not in table]:
            raise ModelError(*wrong)
        centre, unit = (float(constant[word].sel(task=task.name)) for word in ("centre", "unit"))
        found.append(
            Response(
                row=own,
                y=np.zeros(len(own)),
                power=np.ones(len(own)),
                columns={name: table[name].to_numpy(float)[own] for name in names},
                grades=tuple(grades.get(task.name, ())),
                centre=centre,
                unit=unit,
            )
        )
    return found
