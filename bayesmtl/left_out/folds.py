"""Cells left out by refits: the program is compiled once, and all folds are drawn side by side.

A fold's cells stay in the arrays and count for nothing: their likelihood has a power of practically 0. Of
normal tasks, whose coefficients are integrated out, they are left out of the cross-products. Priors are those
of the whole table.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any

import arviz_stats
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro.distributions import ImproperUniform, constraints
from numpyro.infer import NUTS

from bayesmtl import pieces
from bayesmtl.basis import added
from bayesmtl.chains import sampler
from bayesmtl.collapsed import collapse
from bayesmtl.collapsible import refusal
from bayesmtl.coordinates import places
from bayesmtl.design import Design
from bayesmtl.errors import Finding, ModelError
from bayesmtl.left_out.held_out import by_family, flat
from bayesmtl.left_out.smoothing import scored
from bayesmtl.moments import moments
from bayesmtl.parts import settings
from bayesmtl.pilot import pilot
from bayesmtl.program import Program, build
from bayesmtl.replay import replay
from bayesmtl.runtime import ready
from bayesmtl.space import Space, space

CHAINS, WARMUP, DRAWS = 2, 500, 1000  # of each fold; warmup and draws in whole pieces
AGREE = 1.05  # the largest R-hat of the density at which the chains of a fold agree
TARGET = 0.9  # of the acceptance rate
GONE = 1e-30  # the power of a cell that is left out; NumPyro takes no 0
POINT = "point"


@dataclass(frozen=True)
class Way:
    """How a model is drawn without some of its cells.

    Parameters
    ----------
    left
        The space that is sampled.
    folds
        The arrays of each fold.
    complete
        All latent sites at a draw of the sampled ones, given a fold's arrays and a key.
    """

    left: Space
    folds: Sequence[Mapping[str, Any]]
    complete: Callable[..., dict[str, Any]]


def refitted(
    design: Design, out: Sequence[np.ndarray], marginal: bool, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The log density that each cell is given by fits without its fold.

    Parameters
    ----------
    out
        Whether each cell is left out of a fold, in the order of the tasks; [cell] each.
    marginal
        Whether a cell is left out with all others of its row.

    Returns
    -------
    tuple
        The log densities, nan where a cell is in all folds, [cell]; and whether the chains of each fold
        agree, [fold].

    Raises
    ------
    ModelError
        When the model can't be fitted without some of its cells.
    """
    if reason := _reason(design):
        problem = f"can't be fitted without some of its cells: {reason}."
        raise ModelError(Finding("model", problem, 'Use unit = "cell".'))
    with ready():
        program, data = build(design), jax.tree.map(jnp.asarray, design.data)
        normal = not refusal(design, program, data)
        if not normal and design.partners and design.model.residual["kind"] == "correlated":
            problem = "has correlated residuals of tasks that are not normal."
            raise ModelError(Finding("residual", problem, 'Use unit = "cell".'))
        way = (_normal if normal else _any)(design, program, data, out)
        found, agree = _drawn(way, program, data, marginal, seed)
    elpd = np.full(len(out[0]), np.nan)
    for where, values in zip(out, found, strict=True):
        elpd[where] = flat(design, values)[where]
    return elpd, agree


def _reason(design: Design) -> str:
    """What of a model sees all cells at once; empty if nothing does."""
    if design.gaps is not None:
        return "its missing predictors are imputed"
    if any("marginal" in settings("likelihoods", f.likelihood).values() for f in design.families):
        return "its noise is integrated out over all of them"
    if any(task.soft for task in design.model.listed_tasks(list(design.task.labels))):
        return "it has soft labels"
    return ""


def _without(design: Design, out: np.ndarray) -> Design:
    """A design in which some cells count for nothing."""
    gone = by_family(design, out)
    families = (replace(f, power=np.where(gone[f.name], GONE, f.power)) for f in design.families)
    return replace(design, families=tuple(families))


def _any(design: Design, program: Program, data: Mapping[str, Any], out: Sequence[np.ndarray]) -> Way:
    """Any model, about a pilot fit of each fold."""
    folds = []
    for where in out:
        fold = _without(design, where)
        cells = {f.name: {**data["cells"][f.name], "power": jnp.asarray(f.power)} for f in fold.families}
        given = {**data, "cells": cells}
        folds.append({**given, "pilot": jax.tree.map(jnp.asarray, pilot(given, fold))})
    return Way(space(program, folds[0]), folds, lambda sites, data, key: sites)


def _normal(design: Design, program: Program, data: Mapping[str, Any], out: Sequence[np.ndarray]) -> Way:
    """A model of normal tasks, its coefficients integrated out."""
    one, local = collapse(design, program, data), places(program, data, design)[0].group
    joint = design.model.residual["kind"] == "correlated"
    sums = [moments(_dropped(design, where), local, joint) for where in out]
    every = reduce(partial(added, joint=joint), sums)  # the parts of a table that some fold has
    zero = replace(every, **{n: 0 * v for n, v in every.data.items() if n not in ("line", "mask")})
    folds = [{**one.data, "moments": jax.tree.map(jnp.asarray, added(zero, m, joint).data)} for m in sums]
    return Way(space(one.program, folds[0]), folds, one.complete)


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


def _drawn(
    way: Way, program: Program, whole: Mapping[str, Any], marginal: bool, seed: int
) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """The mean density of every cell under each fold, by families, and whether its chains agree."""
    left, first = way.left, way.folds[0]

    def sampled(data: Any) -> None:
        at = numpyro.sample(POINT, ImproperUniform(constraints.real_vector, (), (left.size,)))
        numpyro.factor("density", left.density(at, data))

    def density(points: Any, key: Any, data: Any, whole: Any) -> Any:
        def step(total: Any, given: Any) -> Any:
            rest, key = left.read(given[0]), given[1]
            sites = rest | way.complete(rest, data, key)
            seen = {**whole, "pilot": data["pilot"]} if "pilot" in data else whole
            said = replay(program, seen, sites, key, observed=True)[2]
            return jax.tree.map(jnp.logaddexp, total, scored(said, whole, marginal)[0]), None

        none = {name: jnp.full(len(own["y"]), -jnp.inf) for name, own in whole["cells"].items()}
        total = jax.lax.scan(step, none, (points, jax.random.split(key, DRAWS)))[0]
        return jax.tree.map(lambda each: each - jnp.log(DRAWS), total)

    keys = jax.random.split(jax.random.key(seed), len(way.folds) * CHAINS)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        kernel = NUTS(sampled, target_accept_prob=TARGET)
        compiling = sampler(kernel, first, pool, chains=1, warmup=WARMUP)
        points = jnp.zeros((DRAWS, left.size))
        telling = pool.submit(jax.jit(density).lower(points, keys[0], first, whole).compile)
        begin, piece, tell = compiling.begin.result(), compiling.piece.result(), telling.result()

        def chain(number: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
            data, key = way.folds[number // CHAINS], keys[number]
            state = begin(key, None, data)
            for _ in range(WARMUP // pieces.PIECE):
                state, _ = piece(state, data, np.int32(pieces.PIECE))
            kept = []
            for _ in range(DRAWS // pieces.PIECE):
                state, drawn = piece(state, data, np.int32(pieces.PIECE))
                kept.append(pieces.first(drawn, pieces.PIECE))
            every = pieces.joined(kept)
            with jax.enable_x64(True):  # which threads do not see
                told = tell(jnp.asarray(every["z"][POINT]), key, data, whole)
            return jax.tree.map(np.asarray, told), every["potential_energy"]

        done = list(pool.map(chain, range(len(keys))))
    folds = [done[at : at + CHAINS] for at in range(0, len(done), CHAINS)]
    mean = [
        {name: np.logaddexp.reduce([told[name] for told, _ in fold]) - np.log(CHAINS) for name in fold[0][0]}
        for fold in folds
    ]
    agree = [float(arviz_stats.rhat(np.array([energy for _, energy in fold]))) <= AGREE for fold in folds]
    return mean, np.array(agree)
