"""Cells left out by refits: all folds are drawn side by side, by one compiled program."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import arviz_stats
import jax
import jax.numpy as jnp
import numpy as np

from bayesmtl import pieces
from bayesmtl.chains import sampler
from bayesmtl.design import Design
from bayesmtl.left_out.held_out import WHOLE, by_family
from bayesmtl.left_out.part import Part, parts
from bayesmtl.left_out.telling import scored
from bayesmtl.left_out.ways import Way, way
from bayesmtl.program import Program, build
from bayesmtl.replay import replay
from bayesmtl.runtime import ready

CHAINS, DRAWS = 2, 500  # of each fold; draws in whole pieces
AGREE = 1.05  # the largest R-hat of the density at which the chains of a fold agree


def refitted(
    design: Design, out: Sequence[np.ndarray], unit: str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The log density that each cell is given by fits without its fold.

    Parameters
    ----------
    out
        Whether each cell is left out of a fold, in the order of the tasks; [cell] each.
    unit
        What is left out.

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
    with ready():
        program, data = build(design), jax.tree.map(jnp.asarray, design.data)
        drawn = way(design, program, data, out, unit)
        narrow, every = _parts(design, program, data, out)
        found, agree = _told(drawn, narrow, every, unit in WHOLE, seed)
    elpd = np.full(len(out[0]), np.nan)
    for part, values in zip(every, found, strict=True):
        elpd[part.cell] = part.read(values)
    return elpd, agree


def _parts(
    design: Design, program: Program, data: Mapping[str, Any], out: Sequence[np.ndarray]
) -> tuple[Program, list[Part]]:
    """The cells of each fold, and a program that tells their densities."""
    chosen = [np.flatnonzero(where) for where in out]
    if design.model.residual["kind"] == "factor":  # what a row has in common is drawn for all rows
        gone = [by_family(design, where) for where in out]
        number = by_family(design, np.arange(len(out[0])))
        return program, [
            Part(
                np.concatenate([number[name][where] for name, where in each.items()]),
                data,
                {name: np.flatnonzero(where) for name, where in each.items()},
            )
            for each in gone
        ]
    some, every = parts(design, chosen)
    return build(some), list(every)


def _told(
    drawn: Way, narrow: Program, every: Sequence[Part], marginal: bool, seed: int
) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """The mean density of each fold's cells, by families, and whether its chains agree."""

    def density(points: Any, key: Any, data: Any, part: Any) -> Any:
        def step(total: Any, given: Any) -> Any:
            sites = drawn.read(given[0], data, given[1])
            said = replay(narrow, part, sites, given[1], observed=True)[2]
            return jax.tree.map(jnp.logaddexp, total, scored(said, part, marginal)[0]), None

        none = {name: jnp.full(len(own["y"]), -jnp.inf) for name, own in part["cells"].items()}
        total = jax.lax.scan(step, none, (points, jax.random.split(key, DRAWS)))[0]
        return jax.tree.map(lambda each: each - jnp.log(DRAWS), total)

    keys = jax.random.split(jax.random.key(seed), len(every) * CHAINS)
    cells = [jax.tree.map(jnp.asarray, part.data) for part in every]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        compiling = sampler(
            drawn.kernel, drawn.folds[0], pool, drawn.start(keys[0]), chains=1, warmup=drawn.warmup
        )
        begin = compiling.begin.result()
        first = begin(keys[0], drawn.start(keys[0]), drawn.folds[0])
        points = jax.tree.map(lambda one: jnp.zeros((DRAWS, *one.shape)), first.z)
        telling = pool.submit(jax.jit(density).lower(points, keys[0], drawn.folds[0], cells[0]).compile)
        piece, tell = compiling.piece.result(), telling.result()

        def chain(number: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
            fold, key = number // CHAINS, keys[number]
            data = drawn.folds[fold]
            with jax.enable_x64(True):  # which threads do not see
                state, left = begin(key, drawn.start(key), data), drawn.warmup
                while left:
                    count = min(left, pieces.PIECE)
                    state, left = piece(state, data, np.int32(count))[0], left - count
                kept = []
                for _ in range(DRAWS // pieces.PIECE):
                    state, one = piece(state, data, np.int32(pieces.PIECE))
                    kept.append(pieces.first(one, pieces.PIECE))
                run = pieces.joined(kept)
                told = tell(jax.tree.map(jnp.asarray, run["z"]), key, data, cells[fold])
                return jax.tree.map(np.asarray, told), run["potential_energy"]

        done = list(pool.map(chain, range(len(keys))))
    folds = [done[at : at + CHAINS] for at in range(0, len(done), CHAINS)]
    mean = [
        {name: np.logaddexp.reduce([told[name] for told, _ in fold]) - np.log(CHAINS) for name in fold[0][0]}
        for fold in folds
    ]
    agree = [float(arviz_stats.rhat(np.array([energy for _, energy in fold]))) <= AGREE for fold in folds]
    return mean, np.array(agree)
