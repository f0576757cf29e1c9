"""What is left out of a table, a unit at a time: its cells, the unit of each, and the group it belongs to."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl import tables
from bayesmtl.checks import check
from bayesmtl.design import Design
from bayesmtl.encoded import encode
from bayesmtl.errors import Finding, ModelError, refuse, unknown
from bayesmtl.groups import Grouping
from bayesmtl.labelled import plain
from bayesmtl.spec import Model

UNITS = ("cell", "row", "group", "task")
WHOLE = ("row", "group")  # what is left out with all other cells of its row
LARGE = ("group", "task")  # what weights say too little of: it has parameters of its own


def design_of(post: xr.DataTree, table: Any) -> Design:
    """The design of a fit, from its table.

    Raises
    ------
    ModelError
        When it is not the table of the fit.
    """
    model, rows = Model.read(json.loads(post.attrs["model"])), tables.frame(table)
    refuse(check(model, rows))
    design, constant = encode(model, rows), post.constant_data
    tasks = list(design.task.labels)
    given = [
        *np.array([(*design.unit(name), design.cells[name]) for name in tasks]).T,
        design.mean,
        design.sd,
    ]
    known = [constant[name].values for name in ("centre", "unit", "cells", "mean", "sd")]
    if "observed_data" in post:  # which a posterior of very many rows loses when it is saved
        given.append(flat(design, {f.name: f.responses for f in design.families}))
        known.append(np.concatenate([own.values for own in _responses(post).values()]))
    here = tasks == constant.task.values.tolist()
    if not here or not all(np.shape(a) == np.shape(b) and np.allclose(a, b) for a, b in zip(given, known)):
        raise ModelError(Finding("table", "is not that of the fit.", "Give the table that was fitted."))
    return design


def _responses(post: xr.DataTree) -> dict[str, xr.DataArray]:
    """The observed responses of each task; [row]."""
    if "observed_data" not in post:
        problem = "is not given, and the posterior keeps none of its cells."
        raise ModelError(Finding("table", problem, "Give the table that was fitted."))
    observed = post["observed_data"].to_dataset()
    return {str(name): observed[str(name)] for name in post.constant_data.task.values}


def cells(post: xr.DataTree, design: Design | None, table: Any, unit: str, group: str | None) -> pd.DataFrame:
    """Every cell of a fit, in the order of the tasks.

    Returns
    -------
    DataFrame
        Columns ``task`` and ``row``; ``unit``, the number of what is left out together, and ``cluster``, that
        of what errors have in common: the level of the group, or the row where there is no group.

    Raises
    ------
    ModelError
        When there is no such unit, or no such group; or when groups are needed and no table is given.
    """
    if unit not in UNITS:
        raise ModelError(unknown("unit", "unit", unit, UNITS))
    frame = _told(post) if design is None else _encoded(design)
    rows, tasks = (pd.factorize(frame[name])[0] for name in ("row", "task"))
    factors = [group] if group is not None else _largest(post)
    if unit == "group" and not factors:
        problem = "can't be the group: the model has none."
        raise ModelError(Finding("unit", problem, "Name a column: group = ..."))
    levels = rows if not factors else _levels(design, table, factors)
    of = {"cell": np.arange(len(frame)), "row": rows, "group": levels, "task": tasks}
    return frame.assign(unit=of[unit], cluster=levels)


def _told(post: xr.DataTree) -> pd.DataFrame:
    """The task and the row of each cell that a posterior keeps."""
    every = [
        pd.DataFrame({"task": name, "row": own[own.dims[0]].values}) for name, own in _responses(post).items()
    ]
    return pd.concat(every, ignore_index=True)


def _encoded(design: Design) -> pd.DataFrame:
    """The task and the row of each cell of a design."""
    row = flat(design, {f.name: f.row for f in design.families})
    task = np.repeat(np.array(design.task.labels, object), list(design.cells.values()))
    return pd.DataFrame({"task": task, "row": plain(design.units)[row]})


def _largest(post: xr.DataTree) -> list[str]:
    """The columns of the group with the most levels; none if the model has no groups."""
    groups = [Grouping.read(text) for text in json.loads(post.attrs.get("groups", "[]"))]
    return list(max(groups, key=lambda one: len(one.level)).factors) if groups else []


def _levels(design: Design | None, table: Any, factors: list[str]) -> np.ndarray:
    """The level of each cell; [cell]."""
    if design is None:
        problem = f"is not given: errors respect {':'.join(factors)}, which a posterior does not keep."
        raise ModelError(Finding("table", problem, "Give the table that was fitted."))
    frame = tables.frame(table)
    if wrong := [unknown("group", "column", name, map(str, frame)) for name in factors if name not in frame]:
        raise ModelError(*wrong)
    level = frame.groupby(factors, sort=False, dropna=False).ngroup().to_numpy()
    return level[flat(design, {f.name: f.row for f in design.families})]


def flat(design: Design, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """What families have for each of their cells, in the order of the tasks; [..., cell]."""
    return np.concatenate([np.asarray(values[name])[..., at] for name, at in _places(design)], axis=-1)


def by_family(design: Design, values: np.ndarray) -> dict[str, np.ndarray]:
    """What every cell has, in the order of the tasks, for the cells of each family."""
    found = {f.name: np.zeros(len(f.y), values.dtype) for f in design.families}
    start = 0
    for name, at in _places(design):
        found[name][at] = values[start : start + len(at)]
        start += len(at)
    return found


def _places(design: Design) -> Iterator[tuple[str, np.ndarray]]:
    """Each task's family, and its cells there."""
    home = {name: (f, at) for f in design.families for at, name in enumerate(f.task.labels)}
    for name in design.task.labels:
        family, at = home[name]
        yield family.name, np.flatnonzero(family.of == at)
