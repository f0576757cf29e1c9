"""Arrays whose axes have names and labels: variables of a posterior, and back."""

from collections.abc import Mapping
from itertools import product

import numpy as np
import xarray as xr

from bayesmtl.axes import Axis
from bayesmtl.design import Design


def merged(
    design: Design, labels: Mapping[str, tuple[Axis, ...]], recorded: Mapping[str, np.ndarray]
) -> dict[str, xr.DataArray]:
    """One variable for the sites that families name alike: ``sigma`` of all tasks that have one."""
    own = {f.name: (f.task,) for f in design.families}
    labels = dict(labels) | {n: own[n.partition(".")[0]] for n in recorded if n not in labels}
    coordinates = {"task": design.task.labels, "feature": design.feature.labels}
    for found in labels.values():
        for axis in found:
            known = coordinates.get(axis.name, ())
            coordinates[axis.name] = tuple(dict.fromkeys((*known, *axis.labels)))
    for name in coordinates:  # a matrix of an axis with itself
        coordinates[name] = coordinates.get(name.removesuffix("_"), coordinates[name])
    variables: dict[str, xr.DataArray] = {}
    for site, values in recorded.items():
        name, dims = site.rpartition(".")[2], [axis.name for axis in labels[site]]
        if name not in variables:
            sizes = [len(coordinates[d]) for d in dims]
            variables[name] = xr.DataArray(
                np.full((*values.shape[:2], *sizes), np.nan),
                dims=["chain", "draw", *dims],
                coords={d: list(coordinates[d]) for d in dims},
            )
        variables[name].loc[{a.name: list(a.labels) for a in labels[site]}] = values
    if "weight" in variables:
        used = xr.DataArray(
            design.uses,
            dims=["task", "feature"],
            coords={"task": list(design.line.labels), "feature": list(design.feature.labels)},
        )
        used = used.reindex_like(variables["weight"], fill_value=False)
        variables["weight"] = variables["weight"].where(used)
    return variables


def cellwise(design: Design, values: Mapping[str, np.ndarray]) -> dict[str, xr.DataArray]:
    """One variable per task, over the rows that have its cell."""
    noun = design.model.data.get("units", "row")
    variables = {}
    for family in design.families:
        for member, name in enumerate(family.task.labels):
            own = family.of == member
            dim = f"{name}.{noun}"
            array = values[family.name][..., own]
            lead = ["chain", "draw"][: array.ndim - 1]
            variables[name] = xr.DataArray(
                array, dims=[*lead, dim], coords={dim: plain(design.units[family.row[own]])}
            )
    return {name: variables[name] for name in design.task.labels}


def constants(design: Design, losses: Mapping[str, str]) -> xr.Dataset:
    """What is the same in every draw: the scales, the counts and the columns of a design."""
    scale = np.array([design.unit(name) for name in design.task.labels])
    kinds = {n: f.likelihood["kind"] for f in design.families for n in f.task.labels}
    tempered = {n: t for f in design.families for n, t in zip(f.task.labels, f.tempered, strict=True)}
    loss = {n: losses[f.name] for f in design.families for n in f.task.labels}
    return xr.Dataset(
        {
            "centre": ("task", scale[:, 0]),
            "unit": ("task", scale[:, 1]),
            "cells": ("task", list(design.cells.values())),
            "empty": ("task", design.empty),
            "unserved": ("task", design.unserved),
            "tempered": ("task", [bool(tempered[name]) for name in design.task.labels]),
            "likelihood": ("task", [kinds[name] for name in design.task.labels]),
            "loss": ("task", [loss[name] for name in design.task.labels]),
            "mean": ("feature", design.predictors.mean),
            "sd": ("feature", design.predictors.sd),
            "uses": (("task", "feature"), design.predictors.uses),
            "spread_mean": ("spread_feature", design.spread.mean),
            "spread_sd": ("spread_feature", design.spread.sd),
            "spread_uses": (("task", "spread_feature"), design.spread.uses),
        },
        coords={
            "task": list(design.task.labels),
            "feature": list(design.feature.labels),
            "spread_feature": list(design.spread.feature.labels),
        },
    )


def parameters(tree: xr.DataTree) -> xr.DataArray:
    """Every scalar of the posterior by its name, ``sigma[party]``; [parameter, chain, draw].

    What a task does not have, and what is fixed, is left out.
    """
    names, values = [], []
    for name, array in tree.posterior.data_vars.items():
        dims = [d for d in array.dims if d not in ("chain", "draw")]
        flat = array.transpose(*dims, "chain", "draw").values.reshape(-1, *array.shape[:2])
        labels = product(*(map(str, array[d].values) for d in dims))
        for label, value in zip(labels, flat, strict=True):
            if np.isfinite(value).all() and np.ptp(value) > 0:
                names.append(f"{name}[{', '.join(label)}]" if label else str(name))
                values.append(value)
    return xr.DataArray(
        np.array(values).reshape(len(names), *(tree.posterior.sizes[d] for d in ("chain", "draw"))),
        dims=["parameter", "chain", "draw"],
        coords={"parameter": names, "chain": tree.posterior.chain, "draw": tree.posterior.draw},
    )


def members(tree: xr.DataTree, labels: tuple[Axis, ...], variable: str) -> np.ndarray:
    """The draws of one site, taken from the variable it was merged into; [sample, ...]."""
    array = tree.posterior[variable]
    array = array.sel({axis.name: list(axis.labels) for axis in labels})
    values = array.transpose("chain", "draw", *(axis.name for axis in labels)).values
    samples = values.shape[0] * values.shape[1]  # -1 is none where there are no labels
    return np.nan_to_num(values.reshape(samples, *values.shape[2:]))


def plain(labels: np.ndarray) -> np.ndarray:
    """Labels as numbers or text, which every file format takes."""
    return labels if labels.dtype.kind in "iuf" else labels.astype(str)
