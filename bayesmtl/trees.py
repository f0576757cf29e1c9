"""Posteriors as ArviZ trees whose axes have names and labels."""

import json
from collections.abc import Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
import xarray as xr
from numpyro.handlers import seed, trace

from bayesmtl.basis import carry
from bayesmtl.chains import Run
from bayesmtl.condensed import first_cells
from bayesmtl.description import describe
from bayesmtl.design import Design
from bayesmtl.errors import Finding
from bayesmtl.labelled import cellwise, constants, merged
from bayesmtl.program import Program
from bayesmtl.replay import Anatomy, anatomy, teller
from bayesmtl.runtime import ONCE

LARGEST = 20_000_000  # pointwise values that are kept; a larger posterior leaves them out


def grow(design: Design, program: Program, run: Run, start: int) -> xr.DataTree:
    """A finished run as a tree.

    Returns
    -------
    DataTree
        Groups ``posterior``, ``sample_stats``, ``log_prior``, ``prior``, ``observed_data`` and
        ``constant_data``; and, unless they would be too large, ``log_likelihood``, ``posterior_predictive``
        and ``prior_predictive``, with a variable for each task. A parameter that a task does not have is
        ``nan``. The log likelihood of a tempered cell is raised to its power. A fit of a summary says
        nothing of cells.
    """
    data, (chains, draws) = run.data, run.stats["potential_energy"].shape
    few = chains * draws * sum(len(f.y) for f in design.families) <= LARGEST
    pointwise = few and design.kinds is None
    known = anatomy(program, data)
    tell = teller(design, program, data if pointwise else first_cells(design, data), pointwise)
    *keys, last = jax.random.split(jax.random.key(start + 1), chains + 1)
    with ThreadPoolExecutor(1) as pool:  # the prior is drawn while the draws are told
        expected = _expected(pool, program, data, draws, last)
        groups = _drawn(design, known, run, tell, keys)
    groups |= _forecast(design, known, tell, expected.result(), last)
    return carry(_tree(design, known, groups), run.basis)


def regrow(post: xr.DataTree, design: Design, known: Anatomy, tell: Any, run: Run, start: int) -> xr.DataTree:
    """A run on more rows as a tree; what is expected before any response stays as ``post`` has it."""
    keys = jax.random.split(jax.random.key(start + 1), run.stats["potential_energy"].shape[0])
    groups = _drawn(design, known, run, tell, list(keys))
    groups |= {"prior": post["prior"].to_dataset()} if "prior" in post else {}
    return carry(_tree(design, known, groups), run.basis)


def _drawn(design: Design, known: Anatomy, run: Run, tell: Any, keys: list[Any]) -> dict[str, xr.Dataset]:
    """The groups of the draws themselves."""
    draws = run.stats["potential_energy"].shape[1]
    told = [tell({n: v[c] for n, v in run.sites.items()}, draws, key) for c, key in enumerate(keys)]
    recorded, log_prior, cells = jax.tree.map(lambda *each: np.stack(each), *told)
    posterior, likely, predictive = _groups(design, known, recorded, cells)
    return {
        "posterior": posterior,
        "sample_stats": xr.Dataset({k: (("chain", "draw"), v) for k, v in _stats(run.stats).items()}),
        "log_prior": xr.Dataset(
            {name: (("chain", "draw"), value) for name, value in _summed(log_prior).items()}
        ),
        "log_likelihood": likely,
        "posterior_predictive": predictive,
    }


def before(design: Design, program: Program, data: Mapping[str, Any], draws: int, start: int) -> xr.DataTree:
    """What is expected before any response is seen, as a tree."""
    known, key = anatomy(program, data), jax.random.key(start + 1)
    tell = teller(design, program, data, design.kinds is None)
    with ThreadPoolExecutor(1) as pool:
        expected = _expected(pool, program, data, draws, key).result()
    return _tree(design, known, _forecast(design, known, tell, expected, key))


def _expected(
    pool: Executor, program: Program, data: Mapping[str, Any], draws: int, key: Any
) -> Future[dict[str, Any]]:
    """Draws of the latent sites from their prior, which a pool compiles and makes; [draw, ...]."""
    keys = jax.random.split(jax.random.fold_in(key, 0), draws)
    lowered = jax.jit(jax.vmap(lambda one: _latent(program, data, one))).lower(keys)
    return pool.submit(lambda: lowered.compile(ONCE)(keys))


def _forecast(
    design: Design, known: Anatomy, tell: Any, sites: Mapping[str, Any], key: Any
) -> dict[str, xr.Dataset]:
    """The groups ``prior`` and ``prior_predictive``: what is expected before any response is seen."""
    draws = len(next(iter(sites.values())))
    told = tell(sites, draws, jax.random.fold_in(key, 1), observed=False)
    recorded, _, cells = jax.tree.map(lambda v: v[None], told)
    prior, _, predictive = _groups(design, known, recorded, cells)
    return {"prior": prior, "prior_predictive": predictive}


def _tree(design: Design, known: Anatomy, groups: Mapping[str, xr.Dataset]) -> xr.DataTree:
    """Groups of draws, those that are empty left out, beside the data."""
    kept = {
        name: group.assign_coords(chain=np.arange(group.sizes["chain"]), draw=np.arange(group.sizes["draw"]))
        for name, group in groups.items()
        if group.data_vars
    }
    if design.kinds is None:
        kept["observed_data"] = xr.Dataset(cellwise(design, {f.name: f.responses for f in design.families}))
    kept["constant_data"] = constants(design, known.losses)
    return xr.DataTree.from_dict(kept)


def _latent(program: Program, data: Mapping[str, Any], key: Any) -> dict[str, Any]:
    """One draw of the latent sites from their prior."""
    with trace() as sites:
        seed(program, key)(data)
    return {n: s["value"] for n, s in sites.items() if s["type"] == "sample" and not s["is_observed"]}


def _groups(
    design: Design, known: Anatomy, recorded: Any, cells: Any
) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    """Parameters, log densities of cells and new responses; the last two are empty if they were left out."""
    parameters = xr.Dataset(merged(design, known.axes, recorded | _per_task(design, cells)))
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
        "engine": run.engine,
        "seconds": json.dumps({k: round(v, 2) for k, v in run.seconds.items()}),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": json.dumps({p: version(p) for p in ("bayesmtl", "numpyro", "jax", "arviz", "numpy")}),
    }
    if run.approximation is not None:
        tree.attrs |= {"approximate": 1, **vars(run.approximation)}
    if design.gaps is not None:
        tree.attrs["imputation"] = str(design.gaps.imputation)
    return tree


def _per_task(design: Design, cells: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"{f.name}.{key}": cells[f.name][key]
        for f in design.families
        for key in ("information", "loss_weight", "noise")
    }


def _stats(stats: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A sampler's statistics under ArviZ's names; of an approximation only the density."""
    if "diverging" not in stats:
        return {"lp": -stats["potential_energy"]}
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
