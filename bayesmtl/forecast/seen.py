"""Which responses are seen in new rows, and the coefficients of new levels that they may tell of."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bayesmtl.design import Design
from bayesmtl.errors import Finding
from bayesmtl.forecast.newcomers import Population
from bayesmtl.groups import Grouping
from bayesmtl.labelled import members


@dataclass(frozen=True)
class Unknown:
    """Coefficients of a group's new levels of which the responses may say something.

    Parameters
    ----------
    group
        The group's name.
    line, term
        The linear predictor and the term of each coefficient of a level; [coefficient].
    root, standard
        Cholesky factor of their covariance at each draw, and their draws before they are seen;
        [sample, coefficient, coefficient], [sample, level, coefficient].
    block, place
        The block of a level's coefficients, and their places in it; [level], [level, coefficient].
    known
        How many levels of the group come before the new ones.
    columns
        What multiplies the coefficients in each row, 0 where its level is known; [row, coefficient].
    """

    group: str
    line: np.ndarray
    term: np.ndarray
    root: np.ndarray
    standard: np.ndarray
    block: np.ndarray
    place: np.ndarray
    known: int
    columns: np.ndarray


@dataclass(frozen=True)
class Seen:
    """The cells of new rows that are seen, on a grid of rows and of the normal tasks that may be.

    Parameters
    ----------
    line
        The linear predictors of the grid; [out].
    cells
        The row and the column of each cell of a normal family; [cell] each.
    y, mask
        The responses, and whether they are seen; [row, out].
    unknown
        The coefficients that are learned.
    block, place
        Which coefficients each row tells of; [row], [row, coefficient].
    size
        How many blocks there are, and how large they are.
    shared
        What the residuals of a row share, at each draw: their correlation, or the covariance of linear
        predictors; [sample, line, line]. None where they are independent.
    factor
        If it is the latter, the rows and the linear predictors that have a part in it, and their units.
    """

    line: np.ndarray
    cells: Mapping[str, tuple[np.ndarray, np.ndarray]]
    y: np.ndarray
    mask: np.ndarray
    unknown: tuple[Unknown, ...]
    block: np.ndarray
    place: np.ndarray
    size: tuple[int, int]
    shared: np.ndarray | None
    factor: tuple[np.ndarray, np.ndarray, np.ndarray] | None

    @property
    def draws(self) -> dict[str, Any]:
        """What differs from draw to draw; [sample, ...]."""
        own = [{"root": u.root, "standard": u.standard} for u in self.unknown]
        return {"unknown": own, "shared": self.shared}


def faults(design: Design, given: Collection[str]) -> Iterator[Finding]:
    """Why responses of some tasks can't be conditioned on."""
    if design.gaps is not None:
        yield Finding("given", "meets predictors that are imputed.", 'Fill them in, or leave out "given".')
    kinds = {n: f.likelihood["kind"] for f in design.families for n in f.task.labels}
    for name in given:
        if kinds.get(name, "gaussian") != "gaussian":
            remedy = "Give normal tasks, or let the posterior learn from these rows by update."
            yield Finding("given", f"has {name}, which is {kinds[name]}: what it says is not exact.", remedy)
    for group in design.groups:
        if group.new and group.student:
            problem = f"meets new levels of {group.name}, which are no normal draws."
            yield Finding("given", problem, "Give known levels, or let the posterior learn by update.")


def look(
    post: xr.DataTree,
    design: Design,
    given: Collection[str],
    populations: Mapping[str, Sequence[Population]],
    standards: Mapping[str, Sequence[np.ndarray]],
) -> Seen:
    """Which responses are seen in a table, and what they may say something of."""
    normal = [f for f in design.families if f.likelihood["kind"] == "gaussian"]
    joined = design.model.residual["kind"] != "independent"
    some = [name for f in normal for name in f.task.labels if joined or name in given]
    line = np.array([design.line.labels.index(name) for name in some])
    shape = len(design.units), len(some)
    y, mask, cells = np.zeros(shape), np.zeros(shape, bool), {}
    for family in normal:
        column = np.array([some.index(n) if n in some else -1 for n in family.task.labels])[family.of]
        own = np.array([n in given for n in family.task.labels])[family.of] & np.isfinite(family.y)
        cells[family.name] = (family.row, column)
        y[family.row[own], column[own]] = family.y[own]
        mask[family.row[own], column[own]] = True
    unknown = [
        (group, population.line[i], population.term[i], population.root[:, i], z[:, i])
        for group in design.groups
        for population, z in zip(populations.get(group.name, ()), standards.get(group.name, ()), strict=True)
        for i in range(len(population.line))
        if set(population.line[i]) & set(line[mask.any(0)])
    ]
    return _blocks(design, unknown, line, cells, y, mask, _shared(post, design))


def _shared(post: xr.DataTree, design: Design) -> np.ndarray | None:
    """What the residuals of a row share; [sample, line, line]."""
    kind = design.model.residual["kind"]
    if kind == "independent":
        return None
    name = "residual_covariance" if kind == "factor" else "residual_correlation"
    drawn = members(post, (design.partner, design.partner.other()), name)
    at = np.array([design.line.labels.index(label) for label in design.partner.labels])
    whole = np.zeros((len(drawn), len(design.line), len(design.line)))
    if kind != "factor":
        whole += np.eye(len(design.line))
    whole[:, at[:, None], at] = drawn
    return whole


def _factor(design: Design) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The rows, the linear predictors and the units of those that latent factors of a row move."""
    if design.model.residual["kind"] != "factor":
        return None
    line = np.array([design.line.labels.index(label) for label in design.partner.labels])
    rows = np.unique(np.concatenate([family.row for family in design.partners]))
    return rows, line, design.unit_of[line]


def _blocks(
    design: Design,
    some: Sequence[tuple[Grouping, np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
    line: np.ndarray,
    cells: Mapping[str, tuple[np.ndarray, np.ndarray]],
    y: np.ndarray,
    mask: np.ndarray,
    shared: np.ndarray | None,
) -> Seen:
    """The coefficients of new levels in blocks that rows with responses join."""
    rows, tells = len(y), mask.any(1)
    size = np.repeat([len(one[1]) for one in some], [len(one[0].new) for one in some]).astype(int)
    first = np.cumsum([0, *(len(one[0].new) for one in some)])  # a node for each level of each
    level = [one[0].index - len(one[0].level) for one in some]
    node = [np.where(tells & (own >= 0), first[u] + own, -1) for u, own in enumerate(level)]
    pairs = np.array([(i, rows + n) for own in node for i, n in enumerate(own) if n >= 0], int).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(rows + len(size), rows + len(size)))
    _, label = connected_components(graph, directed=False)
    kept, block = np.unique(label[rows:], return_inverse=True)
    start, longest = np.zeros(len(size), int), np.zeros(len(kept), int)
    for n in range(len(size)):
        start[n] = longest[block[n]]
        longest[block[n]] += size[n]
    place, told, unknown = [], np.zeros(rows, int), []
    for u, (group, own, term, root, z) in enumerate(some):
        mine, there = slice(first[u], first[u + 1]), node[u] >= 0
        at = start[mine, None] + np.arange(len(own))
        told = np.where(there, block[node[u]], told)
        place.append(np.where(there[:, None], start[node[u]][:, None] + np.arange(len(own)), 0))
        columns = np.where(there[:, None], group.z[:, term], 0.0)
        known = len(np.unique(group.index[group.index < len(group.level)]))
        unknown.append(Unknown(group.name, own, term, root, z, block[mine], at, known, columns))
    return Seen(
        line=line,
        cells=cells,
        y=y,
        mask=mask,
        unknown=tuple(unknown),
        block=told,
        place=np.concatenate(place, axis=1) if place else np.zeros((rows, 0), int),
        size=(len(kept), int(longest.max(initial=0))),
        shared=shared,
        factor=_factor(design),
    )
