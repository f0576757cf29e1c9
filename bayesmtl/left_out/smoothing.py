"""Cells left out by weights: the draws of a posterior, weighted towards that of all other units."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import logsumexp

from bayesmtl.design import Design
from bayesmtl.left_out.held_out import flat
from bayesmtl.left_out.part import Part
from bayesmtl.left_out.telling import DRAWS, Densities, Telling, asked, recorded

LARGEST = 4_000_000  # log densities that a core holds at a time
WIDE = 50_000  # cells whose sums over the draws a core computes at a time
BATCH = 50  # draws that a program takes at once
EVEN = 0.9  # the share of the draws that weights are worth, from which on there is no tail to smooth


def smoothed(post: xr.DataTree, design: Design | None, cells: pd.DataFrame, unit: str) -> pd.DataFrame:
    """Cells with ``elpd``, the log density that each is given by the others' units, and their units' ``k``.

    By Pareto smoothed importance sampling, in chunks: memory does not grow with the cells times the draws.
    Of many cells the program is run twice: once for sums over the draws, which say whose weights are even
    and their densities, and once more for the others.

    References
    ----------
    Vehtari, Gelman and Gabry (2017). Practical Bayesian model evaluation using leave-one-out cross-validation
        and WAIC. Statistics and Computing 27, 1413-1432.
    Vehtari, Simpson, Gelman, Yao and Gabry (2024). Pareto smoothed importance sampling. Journal of
        Machine Learning Research 25(72), 1-58.
    """
    of, elpd, k = cells["unit"].to_numpy(), np.full(len(cells), np.nan), np.full(len(cells), np.nan)

    def put(cell: np.ndarray, score: np.ndarray, lost: np.ndarray) -> None:
        elpd[cell], k[cell] = _weighed(of[cell], score, lost)

    known = recorded(post, unit)
    if known is not None:
        for chunk in _chunks(of, np.arange(len(of)), LARGEST // len(known)):
            own = known[:, chunk].astype(float)
            put(chunk, own, own)
        return cells.assign(elpd=elpd, k=k)
    block = of if unit == "row" or design is None else flat(design, {f.name: f.row for f in design.families})
    left, marginal = np.arange(len(of)), unit == "row"
    if len(of) * DRAWS > LARGEST:
        every = _chunks(block, left, WIDE)
        for part, (mean, worth) in asked(post, design, every, marginal, _sums, lambda part: _units(part, of)):
            even = part.read(worth) > EVEN
            elpd[part.cell], k[part.cell] = part.read(mean), np.where(even, 0.0, np.nan)
        left = np.flatnonzero(np.isnan(k))
    if len(left):
        few = _chunks(block, left, LARGEST // DRAWS)
        for part, (score, lost) in asked(post, design, few, marginal, _each):
            put(part.cell, part.read(score), part.read(lost))
    return cells.assign(elpd=elpd, k=k)


def weigh(lost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log weights of draws where something is left out, and the Pareto k of these; [draw, unit], [unit].

    Weights that are nearly the same have no tail: they stay as they are, with a k of 0. Of a large table
    these are nearly all, and smoothing would take nearly all of the time.

    Parameters
    ----------
    lost
        Its log density; [draw, unit].
    """
    from arviz_stats.base import array_stats  # which takes a second to load

    weights = -lost - logsumexp(-lost, axis=0)
    k = np.zeros(lost.shape[1])
    worth = np.exp(-logsumexp(2 * weights, axis=0)) / len(lost)
    some = np.flatnonzero(~(worth > EVEN))
    if len(some):
        smooth, shape = array_stats.psislw(lost[:, some], axis=0)
        weights[:, some], k[some] = np.moveaxis(smooth, -1, 0), np.where(np.isfinite(shape), shape, np.inf)
    return weights, k


def _weighed(of: np.ndarray, score: np.ndarray, lost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The log density of cells without their units, and the Pareto k of these; [cell] twice.

    Parameters
    ----------
    of
        The unit of each; [cell].
    score, lost
        The log density of each, and what the likelihood loses by its unit, shared out among the cells of
        that; [draw, cell].
    """
    own = np.unique(of, return_inverse=True)[1]
    order = np.argsort(own, kind="stable")
    starts = np.flatnonzero(np.diff(own[order], prepend=-1))
    weights, shape = weigh(np.add.reduceat(lost[:, order], starts, axis=1))
    return logsumexp(score + weights[:, own], axis=0), shape[own]


def _each(tell: Telling, sites: Any, given: Any) -> Any:
    """What is told at every draw; of families, [draw, cell] twice."""
    return jax.lax.map(tell, sites, batch_size=BATCH)


def _sums(tell: Telling, sites: Any, units: Densities) -> tuple[Densities, Densities]:
    """The log density of cells by unsmoothed weights, and the share of the draws that these are worth.

    Sums are over ratios to the first draw, of which those of even weights are of order one; others may
    overflow, and are not worth anything.
    """
    size = sum(map(len, units.values()))

    def told(draw: Any) -> tuple[Densities, Densities]:
        score, lost = tell(draw)
        own = [jax.ops.segment_sum(lost[name], of, size) for name, of in units.items()]
        total = jnp.sum(jnp.stack(own), axis=0)
        lost = {name: total[of] for name, of in units.items()}
        return {name: score[name] - lost[name] for name in units}, lost

    rest, lost = first = told(jax.tree.map(lambda each: each[0], sites))

    def step(sums: Any, draw: Any) -> tuple[Any, None]:
        now = told(draw)
        more = jax.tree.map(lambda new, old: jnp.exp(new - old), now[0], rest)
        ratio = jax.tree.map(lambda new, old: jnp.exp(old - new), now[1], lost)
        square = jax.tree.map(jnp.square, ratio)
        return jax.tree.map(jnp.add, sums, (more, ratio, square)), None

    zero = jax.tree.map(jnp.zeros_like, (rest, *first[1:], lost))
    draws = len(jax.tree.leaves(sites)[0])
    (more, ratio, square), _ = jax.lax.scan(step, zero, sites)
    mean = {n: rest[n] + lost[n] + jnp.log(more[n]) - jnp.log(ratio[n]) for n in units}
    return mean, {n: ratio[n] ** 2 / square[n] / draws for n in units}


def _units(part: Part, of: np.ndarray) -> dict[str, np.ndarray]:
    """The unit of each cell of a part's arrays, counted from 0; the last one is that of what fills it up."""
    own = np.unique(of[part.cell], return_inverse=True)[1]
    return part.laid(own, sum(len(given["y"]) for given in part.data["cells"].values()) - 1)


def _chunks(block: np.ndarray, cells: np.ndarray, most: int) -> list[np.ndarray]:
    """Cells in chunks of about so many, those of one block together.

    Parameters
    ----------
    block
        Of every cell; [cell].
    cells
        The numbers of those that are wanted.
    """
    order = cells[np.argsort(block[cells], kind="stable")]
    start = np.flatnonzero(np.diff(block[order], prepend=-1))  # of each block
    size = np.diff(start, append=len(order))
    chunk = (np.cumsum(size) - 1) // max(most, 1)
    return np.split(order, start[1:][np.diff(chunk) > 0])
