"""How a model is drawn without some of its cells: by the programs of its fit, which are compiled already.

A fold's cells stay in the arrays and count for nothing: their likelihood has a power of practically 0. Of
normal tasks, whose coefficients are integrated out, they are left out of the cross-products. Priors are those
of the whole table.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any

import jax
import numpy as np
from numpyro.handlers import block, seed, substitute, trace
from numpyro.infer import NUTS

from bayesmtl.aggregated import aggregate
from bayesmtl.basis import added
from bayesmtl.collapsed import Collapsed, collapse
from bayesmtl.collapsible import burden, refusal
from bayesmtl.condensed import condense
from bayesmtl.coordinates import free, places
from bayesmtl.design import Design
from bayesmtl.engines.collapsed import MANY, usual
from bayesmtl.errors import Finding, ModelError
from bayesmtl.left_out.held_out import LARGE, by_family
from bayesmtl.modes import mode
from bayesmtl.moments import Moments, moments
from bayesmtl.parts import settings
from bayesmtl.pilot import pilot
from bayesmtl.program import Program
from bayesmtl.replay import replay
from bayesmtl.space import space
from bayesmtl.white import WHITE, WIDE, point, seen, slope, white

GONE = 1e-30  # the power of a cell that is left out; NumPyro takes no 0
WARMUP = 500  # iterations at most of a fold, whose chains are held against each other


@dataclass(frozen=True)
class Way:
    """How a model is drawn without some of its cells.

    Parameters
    ----------
    kernel, warmup
        What draws, and for how many iterations that are thrown away.
    folds
        Its data for each fold.
    start
        Where a chain begins, of a key; None where the kernel has it begin.
    read
        The sites and what is recorded at a point of the kernel's, of a fold's data and a key.
    """

    kernel: NUTS
    warmup: int
    folds: Sequence[Mapping[str, Any]]
    start: Callable[[Any], Any]
    read: Callable[[Any, Mapping[str, Any], Any], dict[str, Any]]


def way(
    design: Design, program: Program, data: Mapping[str, Any], out: Sequence[np.ndarray], unit: str
) -> Way:
    """How a model is drawn without the cells of each fold, as its engine draws it with them.

    Parameters
    ----------
    out
        Whether each cell is left out of a fold, in the order of the tasks; [cell] each.
    unit
        What is left out.

    Raises
    ------
    ModelError
        When the model can't be fitted without some of its cells.
    """
    if reason := _reason(design):
        problem = f"can't be fitted without some of its cells: {reason}."
        raise ModelError(Finding("model", problem, 'Use unit = "cell".'))
    model = design, program, data
    joint = bool(design.partners) and design.model.residual["kind"] == "correlated"
    asked, held = design.model.engine["kind"], refusal(*model)
    if held and joint:
        problem = "has correlated residuals of tasks that are not normal."
        raise ModelError(Finding("residual", problem, 'Use unit = "cell".'))
    slow = asked == "nuts" or (asked in ("auto", "svi") and bool(burden(*model)))
    if held or (slow and not joint):
        return _sampled(*model, out, unit)
    return _integrated(*model, out)


def _reason(design: Design) -> str:
    """What of a model sees all cells at once; empty if nothing does."""
    if design.gaps is not None:
        return "its missing predictors are imputed"
    if any("marginal" in settings("likelihoods", f.likelihood).values() for f in design.families):
        return "its noise is integrated out over all of them"
    if any(task.soft for task in design.model.listed_tasks(list(design.task.labels))):
        return "it has soft labels"
    return ""


def _sampled(
    design: Design, program: Program, data: Mapping[str, Any], out: Sequence[np.ndarray], unit: str
) -> Way:
    """As ``nuts`` draws it, about a pilot fit: of all cells, or where groups and tasks go, of each fold's."""
    options = settings("engines", {**design.model.engine, "kind": "nuts"})
    known = pilot(data, design)
    sampled, whole = condense(design, program, {**data, "pilot": jax.device_put(known)})
    left = space(sampled, whole)
    top = vars(seen(left, lambda: slope(left, whole)()))
    folds = []
    for where in out:
        fold = _without(design, where)
        cells = {f.name: {**data["cells"][f.name], "power": f.power} for f in fold.families}
        given = {**data, "cells": cells}
        given["pilot"] = pilot(given, fold) if unit in LARGE else known
        fewer = aggregate(fold, condense(fold, program, given)[1])
        folds.append(jax.device_put({"known": fewer, "mode": top}))

    def read(at: Any, data: Mapping[str, Any], key: Any) -> dict[str, Any]:
        with block(), trace() as sites:
            seed(substitute(sampled, data=left.read(point(data, at[WHITE]))), key)(data["known"])
        return {name: site["value"] for name, site in sites.items() if free(site) or "axes" in site}

    drawing = NUTS(white(left), target_accept_prob=options["target_accept"])
    return Way(drawing, min(options["warmup"], WARMUP), folds, lambda key: None, read)


def _without(design: Design, out: np.ndarray) -> Design:
    """A design in which some cells count for nothing."""
    gone = by_family(design, out)
    families = (replace(f, power=np.where(gone[f.name], GONE, f.power)) for f in design.families)
    return replace(design, families=tuple(families))


def _integrated(design: Design, program: Program, data: Mapping[str, Any], out: Sequence[np.ndarray]) -> Way:
    """As ``collapsed`` draws it, in axes in which the mode of all cells is a standard one."""
    options = settings("engines", {**design.model.engine, "kind": "collapsed"})
    one, moved = without(design, program, data, out)
    left = space(one.program, one.data)
    top = mode(slope(left, one.data)(), left.size)

    def start(key: Any) -> dict[str, Any]:
        return {WHITE: jax.random.uniform(key, (left.size,), minval=-WIDE, maxval=WIDE)}

    def read(at: Any, data: Mapping[str, Any], key: Any) -> dict[str, Any]:
        return completed(one, program, left.read(point(data, at[WHITE])), data["known"], key)

    folds = [{"known": known, "mode": jax.device_put(vars(top))} for known in moved]
    accept, dense = options["target_accept"], left.size < MANY
    drawing = NUTS(white(left), target_accept_prob=accept, dense_mass=dense)
    return Way(drawing, options["warmup"] or usual(left.size), folds, start, read)


def completed(
    one: Collapsed, program: Program, rest: Mapping[str, Any], data: Mapping[str, Any], key: Any
) -> dict[str, Any]:
    """The sites and what is recorded, with coefficients drawn given the rest."""
    sites = {**rest, **one.complete(rest, data, key)}
    return sites | replay(program, data, sites, key, observed=True)[0]


def without(
    design: Design, program: Program, data: Mapping[str, Any], out: Sequence[np.ndarray]
) -> tuple[Collapsed, list[dict[str, Any]]]:
    """A model with its coefficients integrated out, and its data without the cells of each fold."""
    joint = design.model.residual["kind"] == "correlated"
    one, local = collapse(design, program, data), places(program, data, design)[0].group
    every = _alike(
        [moments(_dropped(design, where), local, joint) for where in out], one.data["moments"], joint
    )
    return one, [{**one.data, "moments": jax.device_put(m.data)} for m in every]


def _dropped(design: Design, out: np.ndarray) -> Design:
    """A design without some of its cells."""
    kept = {name: np.flatnonzero(~gone) for name, gone in by_family(design, out).items()}
    return replace(
        design,
        families=tuple(
            replace(f, of=f.of[at], row=f.row[at], y=f.y[at], power=f.power[at])
            for f, at in ((f, kept[f.name]) for f in design.families)
        ),
    )


def _alike(every: Sequence[Moments], whole: Mapping[str, Any], joint: bool) -> list[Moments]:
    """Cross-products with the parts of the whole table, and those that only a fold has."""
    first = Moments(**{name: np.asarray(value) for name, value in whole.items()})
    union = reduce(partial(added, joint=joint), every, first)
    zero = replace(union, **{n: 0 * v for n, v in union.data.items() if n not in ("line", "mask")})
    return [added(zero, one, joint) for one in every]
