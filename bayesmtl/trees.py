"""Posteriors as ArviZ trees whose axes have names and labels."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from numpyro.handlers import seed, trace

from bayesmtl.axes import Axis
from bayesmtl.chains import Run
from bayesmtl.description import describe
from bayesmtl.design import Design
from bayesmtl.errors import Finding
from bayesmtl.parts import settings
from bayesmtl.program import Program
from bayesmtl.replay import anatomy, densities, replay, simulate

LARGEST = 20_000_000  # pointwise values that are kept; a larger posterior leaves them out


def grow(design: Design, program: Program, data: Mapping[str, Any], run: Run, start: int) -> xr.DataTree:
    """A finished run as a tree.

    Returns
    -------
    DataTree
        Groups ``posterior``, ``sample_stats``, ``log_prior``, ``prior``, ``observed_data`` and
        ``constant_data``; and, unless they would be too large, ``log_likelihood``, ``posterior_predictive``
        and ``prior_predictive``, with a variable for each task. A parameter that a task does not have is
        ``nan``. The log likelihood of a tempered cell is raised to its power.
    """
    chains, draws = run.stats["diverging"].shape
    pointwise = chains * draws * sum(len(f.y) for f in design.families) <= LARGEST
    tell = _teller(design, program, data, pointwise)
    keys = jax.random.split(jax.random.key(start + 1), chains + 1)
    told = [tell({n: v[c] for n, v in run.sites.items()}, draws, keys[c]) for c in range(chains)]
    recorded, log_prior, cells = jax.tree.map(lambda *each: np.stack(each), *told)
    posterior, likely, predictive = _groups(design, program, data, recorded, cells)
    groups = {
        "posterior": posterior,
        "sample_stats": xr.Dataset({k: (("chain", "draw"), v) for k, v in _stats(run.stats).items()}),
        "log_prior": xr.Dataset(
            {name: (("chain", "draw"), value) for name, value in _summed(log_prior).items()}
        ),
        "log_likelihood": likely,
        "posterior_predictive": predictive,
        **forecast(design, program, data, draws, keys[chains], tell),
    }
    return _tree(design, program, data, groups)


def forecast(
    design: Design, program: Program, data: Mapping[str, Any], draws: int, key: Any, tell: Any = None
) -> dict[str, xr.Dataset]:
    """The groups ``prior`` and ``prior_predictive``: what is expected before any response is seen."""
    tell = tell or _teller(design, program, data, True)
    first, second = jax.random.split(key)
    sites = jax.jit(jax.vmap(lambda one: _latent(program, data, one)))(jax.random.split(first, draws))
    recorded, _, cells = jax.tree.map(lambda v: v[None], tell(sites, draws, second, observed=False))
    prior, _, predictive = _groups(design, program, data, recorded, cells)
    return {"prior": prior, "prior_predictive": predictive}


def before(design: Design, program: Program, data: Mapping[str, Any], draws: int, start: int) -> xr.DataTree:
    """What is expected before any response is seen, as a tree."""
    groups = forecast(design, program, data, draws, jax.random.key(start + 1))
    return _tree(design, program, data, groups)


def _tree(
    design: Design, program: Program, data: Mapping[str, Any], groups: Mapping[str, xr.Dataset]
) -> xr.DataTree:
    """Groups of draws, those that are empty left out, beside the data."""
    kept = {
        name: group.assign_coords(chain=np.arange(group.sizes["chain"]), draw=np.arange(group.sizes["draw"]))
        for name, group in groups.items()
        if group.data_vars
    }
    kept["observed_data"] = xr.Dataset(cellwise(design, {f.name: f.responses for f in design.families}))
    kept["constant_data"] = _constants(design, anatomy(program, data).losses)
    return xr.DataTree.from_dict(kept)


def _latent(program: Program, data: Mapping[str, Any], key: Any) -> dict[str, Any]:
    """One draw of the latent sites from their prior."""
    with trace() as sites:
        seed(program, key)(data)
    return {n: s["value"] for n, s in sites.items() if s["type"] == "sample" and not s["is_observed"]}


def _groups(
    design: Design, program: Program, data: Mapping[str, Any], recorded: Any, cells: Any
) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    """Parameters, log densities of cells and new responses; the last two are empty if they were left out."""
    axes = anatomy(program, data).axes
    parameters = xr.Dataset(_merged(design, axes, recorded | _per_task(design, cells)))
    if any("y" not in cells[f.name] for f in design.families):
        return parameters, xr.Dataset(), xr.Dataset()
    density = {f.name: cells[f.name]["log_prob"] for f in design.families}
    drawn = {f.name: f.in_numbers(cells[f.name]["y"]) for f in design.families}
    return parameters, xr.Dataset(cellwise(design, density)), xr.Dataset(cellwise(design, drawn))


def stamp(tree: xr.DataTree, design: Design, run: Run, seed: int, findings: list[Finding]) -> xr.DataTree:
    """Write on a tree where it comes from; ``predict`` needs nothing else."""
    tree.attrs = {
        "model": design.model.to_json(),
        "description": describe(design.model, design),
        "encodings": json.dumps([str(e) for e in design.predictors.encodings]),
        "spread": json.dumps([str(e) for e in design.spread.encodings]),
        "groups": json.dumps([str(g) for g in design.groups]),
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
    if design.gaps is not None:
        tree.attrs["imputation"] = str(design.gaps.imputation)
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


def _teller(design: Design, program: Program, data: Mapping[str, Any], pointwise: bool) -> Any:
    """Everything that a program says at each of some draws of its sites; [draw, ...].

    Compiled once for chains and prior alike.
    """
    sizes = {f.name: len(f.task) for f in design.families}
    # what is integrated out is drawn back given the responses, so that the prior is told without them
    marginal = any("marginal" in settings("likelihoods", f.likelihood).values() for f in design.families)

    def one(given: Any, observed: bool) -> Any:
        sites, key = given
        recorded, log_prior, said = replay(program, data, sites, key, observed=observed)
        told = {}
        for name, each in said.items():
            of, power = data["cells"][name]["of"], data["cells"][name]["power"]
            information = each.outcome.information.reshape(len(of), -1).sum(-1) * power
            total = jax.ops.segment_sum(information, of, sizes[name])
            count = jax.ops.segment_sum(jnp.ones_like(information), of, sizes[name])
            told[name] = {
                "information": total / count,
                "loss_weight": each.outcome.loss_weight,
                "noise": each.outcome.noise,
            }
        if pointwise:
            density, drawn = densities(said, data), simulate(said, jax.random.fold_in(key, 1))
            for name in said:
                told[name]["log_prob"] = density[name].astype(jnp.float32)
                told[name]["y"] = drawn[name].astype(jnp.float32)
        return recorded, log_prior, told

    @partial(jax.jit, static_argnums=1)
    def many(given: Any, observed: bool) -> Any:
        return jax.lax.map(lambda each: one(each, observed), given, batch_size=50)

    def tell(sites: Mapping[str, Any], draws: int, key: Any, observed: bool = True) -> Any:
        told = many((dict(sites), jax.random.split(key, draws)), observed or not marginal)
        return jax.tree.map(np.asarray, told)

    return tell


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
                array, dims=[*lead, dim], coords={dim: _plain(design.units[family.row[own]])}
            )
    return {name: variables[name] for name in design.task.labels}


def _constants(design: Design, losses: Mapping[str, str]) -> xr.Dataset:
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
