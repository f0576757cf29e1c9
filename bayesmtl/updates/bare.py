"""The design of a posterior without its table: all that a program takes where cross-products are known."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayesmtl import parts
from bayesmtl.axes import Axis
from bayesmtl.design import Columns, Design, Kinds
from bayesmtl.formulas import Encoding
from bayesmtl.groups import Grouping
from bayesmtl.responses import Response, families
from bayesmtl.spec import Model, Task


def bare(post: xr.DataTree) -> Design:
    """The design of a posterior's model with a row for each task, which stands for all of its cells."""
    model, constant = Model.read(json.loads(post.attrs["model"])), post.constant_data
    task, grades = Axis("task", tuple(map(str, constant.task.values))), json.loads(post.attrs["grades"])
    tasks, each = model.listed_tasks(list(task.labels)), len(task)
    groups = [Grouping.read(text) for text in json.loads(post.attrs["groups"])]
    predictors = _columns(post, "", each)
    slots = len(predictors.feature) + sum(len(group.term) for group in groups) + 1
    scale = zip(constant.centre.values, constant.unit.values, strict=True)
    cells = [
        told(one, np.array([at]), np.zeros(1, int), grades.get(one.name, ()), centre, unit)
        for at, (one, (centre, unit)) in enumerate(zip(tasks, scale, strict=True))
    ]
    return Design(
        model=model,
        task=task,
        predictors=predictors,
        spread=_columns(post, "spread_", each),
        families=families(tasks, cells),
        groups=tuple(replace(g, index=np.zeros(each, int), z=np.zeros((each, len(g.term)))) for g in groups),
        units=np.arange(1, each + 1),
        empty=constant["empty"].values,
        unserved=constant.unserved.values,
        kinds=Kinds(constant.cells.values.astype(float), np.zeros((each, slots, slots)), np.zeros(each, int)),
    )


def told(
    task: Task, row: np.ndarray, y: np.ndarray, grades: Sequence[Any], centre: float, unit: float
) -> Response:
    """A task's cells on the scales of a fit; the columns that its likelihood names are 1."""
    names = parts.columns("likelihoods", task.likelihood)
    ones = {name: np.ones(len(row)) for name in names}
    power = np.full(len(row), float(task.importance))
    return Response(row, y, power, ones, tuple(grades), float(centre), float(unit))


def _columns(post: xr.DataTree, prefix: str, rows: int) -> Columns:
    """The columns of the fit's formulae at their means."""
    constant = post.constant_data
    texts = json.loads(post.attrs["spread" if prefix else "encodings"])
    mean, feature = constant[f"{prefix}mean"].values, constant[f"{prefix}feature"].values
    return Columns(
        feature=Axis("feature", tuple(map(str, feature))),
        x=np.tile(mean, (rows, 1)),
        mean=mean,
        sd=constant[f"{prefix}sd"].values,
        uses=constant[f"{prefix}uses"].values,
        encodings=tuple(map(Encoding.read, texts)),
    )
