"""Draws of any posterior, weighted by what new rows say of them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.axes import Axis
from bayesmtl.chains import Progress, Watch
from bayesmtl.description import describe
from bayesmtl.design import Design
from bayesmtl.errors import Finding, ModelError
from bayesmtl.labelled import cellwise, members
from bayesmtl.program import build
from bayesmtl.replay import anatomy, densities, replay, simulate
from bayesmtl.updates.bare import bare
from bayesmtl.updates.observed import REMEDY, observe
from bayesmtl.weighted import Approximation, resampled, smoothed

BATCH = 50  # draws that a program takes at once


def update(post: xr.DataTree, table: pd.DataFrame, seed: int, watch: Watch) -> xr.DataTree:
    """The posterior of old and new rows, by the draws of the old ones."""
    new = _numbered(observe(post, table), post)
    told = _told(post, new, seed)
    for name, each in told["density"].items():
        if not np.isfinite(each).any():
            where = f"tasks.{next(f for f in new.families if f.name == name).task.labels[0]}"
            raise ModelError(Finding(where, "has responses that no draw allows.", "Mend them."))
    ratio = told["ratio"] = np.sum(list(told["density"].values()), axis=0)
    weights, quality = smoothed(np.where(np.isfinite(ratio), ratio, -np.inf))
    if not quality.trusted:
        problem = (
            f"says what the draws know too little of: they have Pareto k {quality.pareto_k:.2f}, above 0.7."
        )
        raise ModelError(Finding("table", problem, REMEDY))
    taken = resampled(weights, len(weights), np.random.default_rng(seed))
    tree = _tree(post, new, taken, told)
    tree.attrs = _attrs(post, new, seed, quality)
    tree.attrs["description"] = describe((known := bare(tree)).model, known)
    watch(Progress(tree.attrs["engine"], 1, 0, len(taken), [len(taken)], approximate=True))
    return tree


def _numbered(new: Design, post: xr.DataTree) -> Design:
    """Rows that are called by their place come after those of the fit."""
    if new.units.dtype.kind != "i" or "observed_data" not in post:
        return new
    old = [v.values for v in post["observed_data"].coords.values() if v.size and v.dtype.kind == "i"]
    return replace(new, units=new.units + max((int(v.max()) for v in old), default=0))


def _told(post: xr.DataTree, new: Design, seed: int) -> dict[str, Any]:
    """What each draw says of new cells; [draw, ...].

    Returns
    -------
    dict
        ``density``, of all cells of a family; with ``cells`` and ``y``, each one's density and a new
        response, where the posterior has them of its own; ``effects`` of groups with new levels.
    """
    grown = {group.name: group for group in new.groups if group.new}
    # new levels stand among the known ones, whose effects a first replay draws from the population
    groups = tuple(replace(g, level=Axis(g.name, (*g.level.labels, *g.new))) for g in new.groups)
    design = replace(new, groups=groups)
    program, data = build(design), jax.device_put(design.data)
    pointwise = "log_likelihood" in post
    sites = {}
    for site, labels in anatomy(program, data).axes.items():
        if (name := site.rpartition(".")[2]) in post.posterior:
            labels = tuple(grown[axis.name].level if axis.name in grown else axis for axis in labels)
            sites[site] = members(post, labels, name)

    def one(given: tuple[dict[str, Any], Any]) -> dict[str, Any]:
        sites, key = given
        effects = {}
        if grown:
            others = {name: v for name, v in sites.items() if name.removeprefix("effect_") not in grown}
            drawn = replay(program, data, others, key, observed=True)[0]
            for name in (f"effect_{group}" for group in grown):
                effects[name] = drawn[name].at[:, : sites[name].shape[1]].set(sites[name])
        said = replay(program, data, {**sites, **effects}, key, observed=True)[2]
        cells = densities(said, data)
        density = {name: own.sum() for name, own in cells.items()}
        together = {name: each.joint for name, each in said.items() if each.joint is not None}
        for name, joint in list(together.items())[:1]:  # it is of all of them
            density = {n: v for n, v in density.items() if n not in together}
            density[name] = joint.log_prob(jax.numpy.concatenate([said[n].y for n in together]))
        told: dict[str, Any] = {"density": density, "effects": effects}
        if pointwise:
            told |= {"cells": cells, "y": simulate(said, jax.random.fold_in(key, 1))}
        return told

    keys = jax.random.split(
        jax.random.key(seed), post.posterior.sizes["chain"] * post.posterior.sizes["draw"]
    )
    mapped = jax.jit(lambda given: jax.lax.map(one, given, batch_size=BATCH))
    return jax.tree.map(np.asarray, mapped((sites, keys)))


def _tree(post: xr.DataTree, new: Design, taken: np.ndarray, told: Mapping[str, Any]) -> xr.DataTree:
    """The groups of a posterior with the draws that are taken, and with the new cells."""
    shape = post.posterior.sizes["chain"], post.posterior.sizes["draw"]

    def drawn(values: np.ndarray) -> np.ndarray:
        return values[taken].reshape(*shape, *values.shape[1:])

    def again(variable: xr.DataArray) -> xr.DataArray:
        variable = variable.transpose("chain", "draw", ...)
        return variable.copy(data=drawn(variable.values.reshape(-1, *variable.shape[2:])))

    left = {"sample_stats", "prior_predictive"}  # the latter is of the old cells
    groups = {str(name): post[str(name)].to_dataset() for name in post.children if name not in left}
    lp = post["sample_stats"]["lp"].transpose("chain", "draw")
    groups["sample_stats"] = lp.copy(data=lp.values + told["ratio"].reshape(shape)).to_dataset(name="lp")
    weighted = {"posterior", "sample_stats", "log_prior", "log_likelihood", "posterior_predictive"}
    groups |= {name: group.map(again) for name, group in groups.items() if name in weighted}
    added = {"observed_data": {f.name: f.responses for f in new.families}}
    if "cells" in told:
        added["log_likelihood"] = {f.name: drawn(told["cells"][f.name]) for f in new.families}
        responses = {f.name: f.in_numbers(drawn(told["y"][f.name])) for f in new.families}
        added["posterior_predictive"] = responses
    for name in set(added) & set(groups):
        groups[name] = _longer(groups[name], cellwise(new, added[name]))
    for group in new.groups:
        if group.new:
            effect = drawn(told["effects"][f"effect_{group.name}"])
            axes = (new.line, Axis(group.name, (*group.level.labels, *group.new)), group.term)
            groups["posterior"] = _replaced(groups["posterior"], f"effect_{group.name}", effect, axes)
    counts = {"cells": list(new.cells.values()), "empty": new.empty, "unserved": new.unserved}
    constant = groups["constant_data"]
    more = {name: constant[name] + np.asarray(count) for name, count in counts.items()}
    return xr.DataTree.from_dict({**groups, "constant_data": constant.assign(more)})


def _longer(group: xr.Dataset, more: Mapping[str, xr.DataArray]) -> xr.Dataset:
    """Variables of cells with those of new cells after them."""
    found = {}
    for name, old in group.data_vars.items():
        new = more[str(name)]
        chains = {dim: old[dim] for dim in ("chain", "draw") if dim in old.dims}
        found[name] = xr.concat([old, new.assign_coords(chains)], new.dims[-1]) if new.size else old
    return xr.Dataset(found)


def _replaced(group: xr.Dataset, name: str, values: np.ndarray, axes: tuple[Axis, ...]) -> xr.Dataset:
    """A group in which a variable has a longer second axis, that of the levels of a group."""
    labels = {axis.name: list(axis.labels) for axis in axes}
    chains = {dim: group[dim] for dim in ("chain", "draw")}
    whole = xr.DataArray(values, dims=["chain", "draw", *labels], coords={**chains, **labels})
    whole = whole.reindex(task=group[name].task) if "task" in group[name].dims else whole
    return group.drop_dims(axes[1].name).assign({name: whole})


def _attrs(post: xr.DataTree, new: Design, seed: int, quality: Approximation) -> dict[str, Any]:
    """Where the draws come from: what is approximate stays so, and loses what the weights take."""
    groups = [replace(g, level=Axis(g.name, (*g.level.labels, *g.new)), new=()) for g in new.groups]
    k, share = quality.pareto_k, 1.0
    if post.attrs.get("approximate", 0):
        k = max(k, float(post.attrs["pareto_k"]))
        share = float(post.attrs["effective"]) / (
            post.posterior.sizes["chain"] * post.posterior.sizes["draw"]
        )
    engine = post.attrs["engine"].partition(", weighted towards")[0]
    return {
        **{str(name): value for name, value in post.attrs.items()},
        "groups": json.dumps([str(group) for group in groups]),
        "seed": seed,
        "engine": f"{engine}, weighted towards new rows, Pareto k {k:.2f}",
        "approximate": 1,
        "pareto_k": k,
        "effective": min(share, 1.0) * quality.effective,
    }
