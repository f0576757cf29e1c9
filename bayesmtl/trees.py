"""Posteriors as ArviZ trees whose axes have names and labels."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesmtl.axes import Axis
from bayesmtl.chains import Run
from bayesmtl.description import describe
from bayesmtl.design import Design
from bayesmtl.errors import Finding
from bayesmtl.program import Program, anatomy, replay

LARGEST = 20_000_000  # pointwise values that are kept; a larger posterior leaves them out


def grow(design: Design, program: Program, data: Mapping[str, Any], run: Run, seed: int) -> xr.DataTree:
    """A finished run as a tree.

    Returns
    -------
    DataTree
        Groups ``posterior``, ``sample_stats``, ``log_prior``, ``observed_data`` and ``constant_data``; and,
        unless they would be too large, ``log_likelihood`` and ``posterior_predictive``, with a variable for
        each task. A parameter that a task does not have is ``nan``.
    """
    shape = run.stats["diverging"].shape
    draws = int(np.prod(shape))
    pointwise = draws * sum(len(f.y) for f in design.families) <= LARGEST
    recorded, log_prior, cells = _recorded(design, program, data, run, seed, pointwise)
    made = anatomy(program, data)
    posterior = _merged(design, made.axes, recorded | _per_task(design, cells))
    groups = {
        "posterior": xr.Dataset(posterior),
        "sample_stats": xr.Dataset({k: (("chain", "draw"), v) for k, v in _stats(run.stats).items()}),
        "log_prior": xr.Dataset(
            {name: (("chain", "draw"), value) for name, value in _summed(log_prior).items()}
        ),
        "observed_data": xr.Dataset(cellwise(design, {f.name: f.responses for f in design.families})),
        "constant_data": _constants(design, made.losses),
    }
    if pointwise:
        density = {f.name: cells[f.name]["log_prob"] for f in design.families}
        drawn = {f.name: f.in_numbers(cells[f.name]["y"]) for f in design.families}
        groups["log_likelihood"] = xr.Dataset(cellwise(design, density))
        groups["posterior_predictive"] = xr.Dataset(cellwise(design, drawn))
    for name in ("posterior", "sample_stats", "log_prior", "log_likelihood", "posterior_predictive"):
        if name in groups:
            groups[name] = groups[name].assign_coords(chain=np.arange(shape[0]), draw=np.arange(shape[1]))
    return xr.DataTree.from_dict(groups)


def stamp(tree: xr.DataTree, design: Design, run: Run, seed: int, findings: list[Finding]) -> xr.DataTree:
    """Write on a tree where it comes from; ``predict`` needs nothing else."""
    tree.attrs = {
        "model": design.model.to_json(),
        "description": describe(design.model, design),
        "encodings": json.dumps([str(e) for e in design.encodings]),
        "grades": json.dumps(
            {
                name: list(grades)
                for f in design.families
                for name, grades in zip(f.task.labels, f.grades, strict=True)
                if grades
            }
        ),
        "findings": json.dumps([vars(f) for f in findings]),
        "seed": seed,
        "complete": int(run.complete),
        "seconds": json.dumps({k: round(v, 2) for k, v in run.seconds.items()}),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": json.dumps({p: version(p) for p in ("bayesmtl", "numpyro", "jax", "arviz", "numpy")}),
    }
    return tree


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
    return np.nan_to_num(values.reshape(-1, *values.shape[2:]))


def _recorded(
    design: Design, program: Program, data: Mapping[str, Any], run: Run, seed: int, pointwise: bool
) -> tuple[Any, Any, Any]:
    """Everything that the program says at each draw; [chain, draw, ...]."""
    shape = run.stats["diverging"].shape
    sizes = {f.name: len(f.task) for f in design.families}

    def one(given: Any) -> Any:
        sites, key = given
        recorded, log_prior, outcomes = replay(program, data, sites, key, observed=True)
        said = {}
        for name, outcome in outcomes.items():
            of, y = data["cells"][name]["of"], data["cells"][name]["y"]
            total = jax.ops.segment_sum(outcome.information, of, sizes[name])
            count = jax.ops.segment_sum(jnp.ones_like(outcome.information), of, sizes[name])
            said[name] = {
                "information": total / count,
                "loss_weight": outcome.loss_weight,
                "noise": outcome.noise,
            }
            if pointwise:
                drawn = outcome.distribution.sample(jax.random.fold_in(key, 1))
                said[name] |= {
                    "log_prob": outcome.distribution.log_prob(y).astype(jnp.float32),
                    "y": drawn.astype(jnp.float32),
                }
        return recorded, log_prior, said

    flat = {name: v.reshape(-1, *v.shape[2:]) for name, v in run.sites.items()}
    keys = jax.random.split(jax.random.key(seed + 1), int(np.prod(shape)))
    out = jax.jit(lambda given: jax.lax.map(one, given, batch_size=50))((flat, keys))
    return jax.tree.map(lambda v: np.asarray(v).reshape(*shape, *v.shape[1:]), out)


def _per_task(design: Design, cells: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"{f.name}.{key}": cells[f.name][key]
        for f in design.families
        for key in ("information", "loss_weight", "noise")
    }


def _merged(
    design: Design, labels: Mapping[str, tuple[Axis, ...]], recorded: Mapping[str, np.ndarray]
) -> dict[str, xr.DataArray]:
    """One variable for the sites that families name alike: ``sigma`` of all tasks that have one."""
    own = {f.name: (f.task,) for f in design.families}
    labels = dict(labels) | {n: own[n.partition(".")[0]] for n in recorded if n not in labels}
    coordinates: dict[str, tuple[str, ...]] = {"task": design.task.labels}
    for found in labels.values():
        for axis in found:
            coordinates[axis.name] = max(coordinates.get(axis.name, ()), axis.labels, key=len)
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
        used = xr.DataArray(design.uses, dims=["task", "feature"])
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
                array, dims=[*lead, dim], coords={dim: _plain(design.units[family.row[own]])}
            )
    return {name: variables[name] for name in design.task.labels}


def _constants(design: Design, losses: Mapping[str, str]) -> xr.Dataset:
    scale = np.array([design.unit(name) for name in design.task.labels])
    kinds = {n: f.likelihood["kind"] for f in design.families for n in f.task.labels}
    loss = {n: losses[f.name] for f in design.families for n in f.task.labels}
    return xr.Dataset(
        {
            "centre": ("task", scale[:, 0]),
            "unit": ("task", scale[:, 1]),
            "cells": ("task", list(design.cells.values())),
            "empty": ("task", design.empty),
            "likelihood": ("task", [kinds[name] for name in design.task.labels]),
            "loss": ("task", [loss[name] for name in design.task.labels]),
            "mean": ("feature", design.mean),
            "sd": ("feature", design.sd),
            "uses": (("task", "feature"), design.uses),
        },
        coords={"task": list(design.task.labels), "feature": list(design.feature.labels)},
    )


def _stats(stats: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A sampler's statistics under ArviZ's names."""
    return {
        "diverging": stats["diverging"],
        "energy": stats["energy"],
        "n_steps": stats["num_steps"],
        "tree_depth": np.ceil(np.log2(stats["num_steps"] + 1)).astype(int),
        "acceptance_rate": stats["accept_prob"],
        "lp": -stats["potential_energy"],
    }


def _summed(log_prior: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    total: dict[str, np.ndarray] = {}
    for site, value in log_prior.items():
        name = site.rpartition(".")[2]
        total[name] = total.get(name, 0.0) + value
    return total


def _plain(labels: np.ndarray) -> np.ndarray:
    """Labels as numbers or text, which every file format takes."""
    return labels if labels.dtype.kind in "iuf" else labels.astype(str)
