"""Normal tasks whose rows come in turns.

Their cross-products add up, so that the density of scales, correlations and noises given all rows is known
without any of them. Draws of Markov chains given some rows are weighted towards it, always from the last
chains on, so that what resampling adds to the error of one update is not handed on to the next.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl import trees
from bayesmtl.basis import added, widened
from bayesmtl.chains import Basis, Problem, Progress, Run, Watch
from bayesmtl.collapsed import collapse
from bayesmtl.coordinates import blocks
from bayesmtl.design import Design
from bayesmtl.errors import Finding, ModelError
from bayesmtl.moments import moments
from bayesmtl.parts import bind
from bayesmtl.program import Program, build
from bayesmtl.replay import Anatomy, anatomy, teller
from bayesmtl.space import space
from bayesmtl.summary import Summary
from bayesmtl.updates.bare import bare
from bayesmtl.updates.observed import REMEDY, observe, observe_kinds
from bayesmtl.weighted import Approximation, resampled, smoothed

BATCH = 50  # points that a program takes at once
ENOUGH = 0.2  # the share of all draws that the weighted ones must be worth


@dataclass(frozen=True)
class Shape:
    """A bare design; those of one text have the same programs, whatever their cells.

    Their coordinates are made for ``count`` cells of each task.
    """

    text: str
    count: tuple[float, ...]
    design: Design = field(compare=False)


@dataclass(frozen=True)
class Programs:
    """What is compiled once for all updates of one shape."""

    program: Program
    data: dict[str, Any]
    known: Anatomy
    tell: Any
    heights: Callable[..., Any]
    complete: Callable[..., Any]
    rest: dict[str, Any]


def update(
    post: xr.DataTree, known: Basis, table: pd.DataFrame | Summary, seed: int, watch: Watch
) -> xr.DataTree:
    """The posterior of the rows that a basis stands for, and of new ones."""
    began = time.perf_counter()
    new = observe_kinds(post, table) if isinstance(table, Summary) else observe(post, table)
    before = bare(post)
    design, local = grown(before, new)
    known = replace(known, moments=sums(known, before, new, design, local).data)
    programs = programs_of(Shape(text_of(design), tuple(known.count.tolist()), design))
    data = programs.rest | {"moments": jax.device_put(dict(known.moments))}
    points = known.points.reshape(known.density.size, -1)
    height = np.asarray(programs.heights(jnp.asarray(points), data))
    weights, quality = smoothed(np.where(np.isfinite(height), height, -np.inf) - known.density.ravel())
    if quality.trusted and quality.effective >= ENOUGH * len(points):
        run = _weighted(programs, data, known, height, weights, quality, seed)
        run = replace(run, complete=bool(post.attrs["complete"]))
        watch(Progress(run.engine, 1, 0, len(points), [len(points)], approximate=True))
    else:
        run = _sampled(programs, design, known, quality, seed, watch)
    run.seconds["update"] = time.perf_counter() - began
    tree = trees.regrow(post, design, programs.known, programs.tell, run, seed)
    findings = [Finding(**one) for one in json.loads(post.attrs["findings"])]
    return trees.stamp(tree, design, run, seed, findings)


def grown(before: Design, new: Design) -> tuple[Design, str]:
    """A bare design with the levels and the cells of new rows, and the group whose levels are told apart."""
    if closed := [group.name for group in before.groups if group.closed]:
        problem = f"has levels of {closed[0]} with a known covariance, which a posterior does not keep."
        raise ModelError(Finding("formula", problem, REMEDY))
    groups = tuple(
        replace(old, level=replace(old.level, labels=(*old.level.labels, *group.new)))
        for old, group in zip(before.groups, new.groups, strict=True)
    )
    counts = np.array(list(before.cells.values())) + np.array(list(new.cells.values()))
    design = replace(
        before,
        groups=groups,
        empty=before.empty + new.empty,
        unserved=before.unserved + new.unserved,
        kinds=before.kinds and replace(before.kinds, count=counts.astype(float)),
    )
    first, second = (blocks(one, set()).group for one in (before, design))
    if first is not None and second is not None and first.name != second.name:
        problem = f"has new levels, and {second.name} more of them than {first.name} now."
        raise ModelError(Finding("table", problem, REMEDY))
    return design, first.name if first is not None else ""


def sums(known: Basis, before: Design, new: Design, design: Design, local: str) -> Any:
    """The cross-products of old and new rows."""
    joint = design.model.residual["kind"] == "correlated"
    groups = tuple(
        replace(own, level=g.level, new=()) for own, g in zip(new.groups, design.groups, strict=True)
    )
    near = next((group for group in groups if group.name == local), None)
    fresh = moments(replace(new, groups=groups), near, joint)
    return added(widened(known.moments, before, design, local), fresh, joint)


def text_of(design: Design) -> str:
    """All that the programs of a bare design are made of."""
    scales = [design.mean, design.sd, design.predictors.uses, design.unit_of]
    centres = [design.unit(name) for name in design.task.labels]
    groups = [str(group) for group in design.groups]
    return repr([design.model.to_json(), design.task, groups, [v.tolist() for v in scales], centres])


@lru_cache(maxsize=2)
def programs_of(shape: Shape) -> Programs:
    """The programs of a bare design."""
    design = shape.design
    program, data = build(design), jax.device_put(design.data | {"count": np.array(shape.count)})
    one = collapse(design, program, data)
    left = space(one.program, one.data)

    @jax.jit
    def heights(points: Any, data: Any) -> Any:
        return jax.lax.map(lambda point: left.density(point, data), points, batch_size=BATCH)

    @jax.jit
    def complete(given: Any, data: Any) -> dict[str, Any]:
        def each(given: Any) -> dict[str, Any]:
            rest = left.read(given[0])
            return rest | one.complete(rest, data, given[1])

        return jax.lax.map(each, given, batch_size=BATCH)

    known, tell = anatomy(program, data), teller(design, program, data, False)
    rest = {name: value for name, value in one.data.items() if name != "moments"}
    return Programs(program, data, known, tell, heights, complete, rest)


def _weighted(
    programs: Programs,
    data: dict[str, Any],
    known: Basis,
    height: np.ndarray,
    weights: np.ndarray,
    quality: Approximation,
    seed: int,
) -> Run:
    """Draws of the last chains, as many of each as its weight says."""
    shape = known.density.shape
    taken = resampled(weights, len(weights), np.random.default_rng(seed))
    points = jnp.asarray(known.points.reshape(len(weights), -1)[taken])
    sites = programs.complete((points, jax.random.split(jax.random.key(seed), len(weights))), data)
    return Run(
        sites={name: np.asarray(v).reshape(*shape, *v.shape[1:]) for name, v in sites.items()},
        stats={"potential_energy": -height[taken].reshape(shape)},
        seconds={},
        data=programs.data,
        engine=f"collapsed, weighted towards new rows, Pareto k {quality.pareto_k:.2f}",
        approximation=quality,
        basis=known,
    )


def _sampled(
    programs: Programs, design: Design, known: Basis, quality: Approximation, seed: int, watch: Watch
) -> Run:
    """Draws of new chains, and why."""
    few = f"the last draws, weighted, are worth {quality.effective:,.0f}"
    reason = few if quality.trusted else f"weights of the last draws have Pareto k {quality.pareto_k:.2f}"

    def saying(progress: Progress) -> None:
        progress.engine = f"collapsed, as {reason}"
        watch(progress)

    model = design.model
    settings = model.engine if model.engine["kind"] in ("auto", "collapsed") else {}
    engine = bind("engines", {**settings, "kind": "collapsed"})
    run = engine(Problem(design, programs.program, programs.data, seed, saying, moments=known.moments))
    return replace(run, engine=f"collapsed, as {reason}")
