"""Cells left out by refits: all folds are drawn side by side, by one compiled program."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
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
from bayesmtl.progress import busy, counted
from bayesmtl.replay import replay
from bayesmtl.runtime import ready

CHAINS, DRAWS = 2, 500  # of each fold; draws in whole pieces
AGREE = 1.05  # the largest R-hat of the density at which the chains of a fold agree


def refitted(
    design: Design, out: Sequence[np.ndarray], unit: str, seed: int, title: str = "refits"
) -> tuple[np.ndarray, np.ndarray]:
    """The log density that each cell is given by fits without its fold.

    Parameters
    ----------
    out
        Whether each cell is left out of a fold, in the order of the tasks; [cell] each.
    unit
        What is left out.
    title
        What is said to be done while it is, of how many chains.

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
        program, data = build(design), jax.device_put(design.data)
        drawn = way(design, program, data, out, unit)
        narrow, every = parted(design, program, data, out)
        found, agree = _told(drawn, narrow, every, unit in WHOLE, seed, title)
    elpd = np.full(len(out[0]), np.nan)
    for part, values in zip(every, found, strict=True):
        elpd[part.cell] = part.read(values)
    return elpd, agree


def parted(
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
    drawn: Way, narrow: Program, every: Sequence[Part], marginal: bool, seed: int, title: str
) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """The mean density of each fold's cells, by families, and whether its chains agree."""
    keys = list(jax.random.split(jax.random.key(seed), len(every) * CHAINS))
    cells = [jax.device_put(part.data) for part in every]
    done: list[tuple[dict[str, np.ndarray], np.ndarray]] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        with busy(f"{title}: compiling"):
            chain = _chain(drawn, _density(drawn, narrow, marginal), keys, cells[0], seed, pool)
        folds = [number // CHAINS for number in range(len(keys))]
        each = pool.map(chain, range(len(keys)), (drawn.folds[f] for f in folds), (cells[f] for f in folds))
        with counted(title, len(keys)) as say:
            for one in each:
                done.append(one)
                say(len(done))
    told = [done[at : at + CHAINS] for at in range(0, len(done), CHAINS)]
    mean = [
        {
            name: np.logaddexp.reduce([means[name] for means, _ in fold]) - np.log(CHAINS)
            for name in fold[0][0]
        }
        for fold in told
    ]
    agree = [float(arviz_stats.rhat(np.array([energy for _, energy in fold]))) <= AGREE for fold in told]
    return mean, np.array(agree)


def _density(drawn: Way, narrow: Program, marginal: bool) -> Callable[..., Any]:
    """What tells the mean density of a part's cells over the points of a chain."""

    def density(points: Any, key: Any, data: Any, part: Any) -> Any:
        def step(total: Any, given: Any) -> Any:
            sites = drawn.read(given[0], data, given[1])
            said = replay(narrow, part, sites, given[1], observed=True)[2]
            return jax.tree.map(jnp.logaddexp, total, scored(said, part, marginal)[0]), None

        none = {name: jnp.full(len(own["y"]), -jnp.inf) for name, own in part["cells"].items()}
        total = jax.lax.scan(step, none, (points, jax.random.split(key, DRAWS)))[0]
        return jax.tree.map(lambda each: each - jnp.log(DRAWS), total)

    return density


def _chain(
    drawn: Way, density: Callable[..., Any], keys: Sequence[Any], cells: Any, seed: int, pool: Executor
) -> Callable[[int, Any, Any], tuple[dict[str, np.ndarray], np.ndarray]]:
    """What runs the chain of a number on the data of its fold, and tells that fold's cells, compiled once."""
    start, first = drawn.start(keys[0]), drawn.folds[0]
    compiling = sampler(drawn.kernel, first, pool, start, chains=len(keys), warmup=drawn.warmup)
    begin = compiling.begin.result()
    state = begin(np.int64(seed), np.int32(0), start, first)
    points = jax.tree.map(lambda one: jnp.zeros((DRAWS, *one.shape)), state.z)
    telling = pool.submit(jax.jit(density).lower(points, keys[0], first, cells).compile)
    piece, tell = compiling.piece.result(), telling.result()

    def chain(number: int, data: Any, cells: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
        key = keys[number]
        with jax.enable_x64(True):  # which threads do not see
            state = begin(np.int64(seed), np.int32(number), drawn.start(key), data)
            left, kept = drawn.warmup, []
            while left:
                count = min(left, pieces.PIECE)
                state, left = piece(state, data, np.int32(count))[0], left - count
            for _ in range(DRAWS // pieces.PIECE):
                state, one = piece(state, data, np.int32(pieces.PIECE))
                kept.append(pieces.first(one, pieces.PIECE))
            run = pieces.joined(kept)
            told = tell(jax.device_put(run["z"]), key, data, cells)
            return jax.tree.map(np.asarray, told), run["potential_energy"]

    return chain
