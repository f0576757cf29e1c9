"""Cells left out by weights: the draws of a posterior, weighted towards that of all other units."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import logsumexp

from bayesmtl.design import Design
from bayesmtl.errors import Finding, ModelError
from bayesmtl.labelled import members
from bayesmtl.left_out.held_out import by_family, flat
from bayesmtl.parts import settings
from bayesmtl.program import Said, build
from bayesmtl.replay import anatomy, densities, replay
from bayesmtl.runtime import ready
from bayesmtl.sites import Array
from bayesmtl.spec import Model

LARGEST = 10_000_000  # log densities that are held at a time
DRAWS = 1000  # that are asked of cells of which nothing was recorded
BATCH = 50  # draws that a program takes at once
EVEN = 0.99  # the share of the draws that weights are worth, from which on there is no tail to smooth


@dataclass(frozen=True)
class Told:
    """What draws say of some cells.

    Parameters
    ----------
    cell
        Which they are, in the order of the tasks; [cell].
    score
        The log density of each; [draw, cell].
    ratio
        What the likelihood loses by its unit, shared out among the cells of that; [draw, cell].
    """

    cell: np.ndarray
    score: np.ndarray
    ratio: np.ndarray


def smoothed(post: xr.DataTree, design: Design | None, cells: pd.DataFrame, unit: str) -> pd.DataFrame:
    """Cells with ``elpd``, the log density that each is given by the others' units, and their units' ``k``.

    By Pareto smoothed importance sampling, in chunks: memory does not grow with the cells.

    References
    ----------
    Vehtari, Gelman and Gabry (2017). Practical Bayesian model evaluation using leave-one-out cross-validation
        and WAIC. Statistics and Computing 27, 1413-1432.
    Vehtari, Simpson, Gelman, Yao and Gabry (2024). Pareto smoothed importance sampling. Journal of
        Machine Learning Research 25(72), 1-58.
    """
    elpd, k = np.zeros(len(cells)), np.zeros(len(cells))
    of = cells["unit"].to_numpy()
    for told in _told(post, design, of, unit):
        own = np.unique(of[told.cell], return_inverse=True)[1]
        order = np.argsort(own, kind="stable")
        starts = np.flatnonzero(np.diff(own[order], prepend=-1))
        weights, shape = weigh(np.add.reduceat(told.ratio[:, order], starts, axis=1))
        elpd[told.cell] = logsumexp(told.score + weights[:, own], axis=0)
        k[told.cell] = shape[own]
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


def _told(post: xr.DataTree, design: Design | None, of: np.ndarray, unit: str) -> Iterator[Told]:
    """What draws say of all cells, those of a unit together."""
    model = Model.read(json.loads(post.attrs["model"]))
    joint = unit == "row" and model.residual["kind"] == "correlated"  # recorded is each given its row
    if "log_likelihood" in post and not joint:
        names = map(str, post.constant_data.task.values)
        every = [post["log_likelihood"][n].transpose("chain", "draw", ...).values for n in names]
        score = np.concatenate([one.reshape(-1, one.shape[-1]) for one in every], axis=1).astype(float)
        yield Told(np.arange(len(of)), score, score)
        return
    if design is None:
        problem = "is not given, and the posterior has no log density of what is left out."
        raise ModelError(Finding("table", problem, "Give the table that was fitted."))
    if reason := _unsaid(design):
        raise ModelError(Finding("posterior", f"does not keep {reason}.", "Fit fewer draws: then it does."))
    yield from _asked(post, design, of, unit)


def _unsaid(design: Design) -> str:
    """What a posterior does not keep of what the density of a cell depends on; empty if it keeps all."""
    if design.model.residual["kind"] == "factor":
        return "the latent factors of rows"
    if design.gaps is not None:
        return "what was imputed"
    marginal = ["marginal" in settings("likelihoods", f.likelihood).values() for f in design.families]
    return "noise that was integrated out" if any(marginal) else ""


def _asked(post: xr.DataTree, design: Design, of: np.ndarray, unit: str) -> Iterator[Told]:
    """What some of the draws say of all cells, by running the program at them once more."""
    total = post.posterior.sizes["chain"] * post.posterior.sizes["draw"]
    taken = np.linspace(0, total - 1, min(total, DRAWS)).astype(int)
    row = flat(design, {f.name: f.row for f in design.families})
    number = by_family(design, np.arange(len(of)))
    chunks = _chunks(row, of if unit == "row" else row, LARGEST // len(taken))
    tellers: dict[str, Any] = {}
    # one program does for all chunks that are filled up alike; cells that are correlated stand as they are
    even = len(chunks) > 1 and not design.partners
    held = [[np.flatnonzero(np.isin(f.row, rows)) for f in design.families] for rows in chunks]
    room = [max(map(len, each)) if even else 0 for each in (chunks, *zip(*held, strict=True))]
    for rows, own in zip(chunks, held, strict=True):
        filled = [np.pad(each, (0, max(0, size - len(each)))) for each, size in zip((rows, *own), room)]
        some = _some(design, len(rows), *filled)
        with ready():
            data = jax.tree.map(jnp.asarray, some.data)
            shapes = str(jax.tree.map(jnp.shape, data))
            if shapes not in tellers:
                tellers[shapes] = _teller(some, data, post, taken, unit == "row")
            told = tellers[shapes](data)
        score, ratio = (
            np.hstack([np.asarray(each[f.name])[:, : len(at)] for f, at in zip(design.families, own)])
            for each in told
        )
        yield Told(np.concatenate([number[f.name][at] for f, at in zip(design.families, own)]), score, ratio)


def _chunks(row: np.ndarray, block: np.ndarray, most: int) -> list[np.ndarray]:
    """Rows in chunks of about so many cells, those of one block together.

    Parameters
    ----------
    row, block
        Of each cell; [cell].
    """
    rows, first, count = np.unique(row, return_index=True, return_counts=True)
    order = np.argsort(block[first], kind="stable")
    start = np.flatnonzero(np.diff(block[first][order], prepend=-1))  # of each block
    size = np.add.reduceat(count[order], start)
    chunk = (np.cumsum(size) - 1) // max(most, 1)
    cuts = start[1:][np.diff(chunk) > 0]
    return np.split(rows[order], cuts)


def _some(design: Design, count: int, rows: np.ndarray, *own: np.ndarray) -> Design:
    """A design with some of its rows, of which ``count`` are no filling, and some cells of each family."""
    place = np.zeros(len(design.units), int)
    place[rows[:count]] = np.arange(count)
    families = [
        replace(
            f,
            of=f.of[at],
            row=place[f.row[at]],
            y=f.y[at],
            power=f.power[at],
            columns={name: values[at] for name, values in f.columns.items()},
        )
        for f, at in zip(design.families, own, strict=True)
    ]
    return replace(
        design,
        predictors=replace(design.predictors, x=design.predictors.x[rows]),
        spread=replace(design.spread, x=design.spread.x[rows]),
        families=tuple(families),
        groups=tuple(replace(g, index=g.index[rows], z=g.z[rows]) for g in design.groups),
        units=design.units[rows],
    )


def _teller(design: Design, data: Any, post: xr.DataTree, taken: np.ndarray, marginal: bool) -> Any:
    """A program that says of cells what ``Told`` has, by families, given their arrays."""
    program = build(design)
    sites = {
        site: jnp.asarray(members(post, labels, site.rpartition(".")[2])[taken])
        for site, labels in anatomy(program, data).axes.items()
        if site.rpartition(".")[2] in post.posterior
    }

    def one(given: Any, data: Any) -> Any:
        said = replay(program, data, given, jax.random.key(0), observed=True)[2]
        return scored(said, data, marginal)

    mapped = jax.jit(lambda sites, data: jax.lax.map(lambda each: one(each, data), sites, batch_size=BATCH))
    return lambda data: mapped(sites, data)


def scored(
    said: Mapping[str, Said], data: Mapping[str, Any], marginal: bool
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The log density of each cell, and what the likelihood loses by it; of families, [cell].

    Parameters
    ----------
    marginal
        Whether a cell is left out with all others of its row: it is then not given them.
    """
    given = densities(said, data)
    if not marginal or all(each.joint is None for each in said.values()):
        return given, given
    score, lost = dict(given), dict(given)
    together = {name: each for name, each in said.items() if each.joint is not None}
    whole = jnp.concatenate([each.y for each in together.values()])
    for name, each in together.items():
        joint = each.joint
        assert joint is not None
        at = joint.layout["row"]
        rows = joint.rows(whole)
        share = rows / jnp.zeros_like(rows).at[at].add(1.0)  # of the density of a row, to each of its cells
        score[name] = each.outcome.distribution.log_prob(each.y) * data["cells"][name]["power"]
        lost[name] = share[at][each.part]
    return score, lost
