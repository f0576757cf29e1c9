"""Counts, means and cross-products of rows that are alike: all that normal tasks say of a table.

Rows are alike that have the same columns filled in and belong to the same levels of every group. Summaries of
parts of a table add up to that of the whole, so they can be made in chunks, and on many machines.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from bayesmtl.errors import Finding, ModelError, listed

Array = np.ndarray

TILE = 256  # rows that are multiplied at once; of rows of one kind few stand in a tile that is not full


@dataclass(frozen=True)
class Summary:
    """What is left of a table: one kind for all rows that are alike.

    Parameters
    ----------
    factors
        The columns that say which level of a group, or which task, a row belongs to.
    kinds
        The first row of each kind, of the columns that the model needs; [kind, ...].
    levels
        Rows of the predictors, which hold every level of those that are categories.
    column
        The names of the numbers that are summarised: what formulae make of the table, and responses.
    count, mean, cross
        Rows, means, and cross-products about these means; [kind], [kind, column], [kind, column, column]. A
        number that a kind has not is 0.
    """

    factors: tuple[str, ...]
    kinds: pd.DataFrame
    levels: pd.DataFrame
    column: tuple[str, ...]
    count: Array
    mean: Array
    cross: Array

    def __add__(self, other: "Summary") -> "Summary":
        """Of the rows of both."""
        return add([self, other])

    def __repr__(self) -> str:
        kinds = f"{len(self.kinds):,} kind{'s' * (len(self.kinds) != 1)}"
        by = f" by {listed(self.factors)}" if self.factors else ""
        return f"Summary({len(self):,} rows of {kinds}{by}: {listed(self.column)})"

    def __len__(self) -> int:
        """How many rows it stands for."""
        return int(self.count.sum())


def summary(
    factors: tuple[str, ...],
    rows: pd.DataFrame,
    levels: pd.DataFrame,
    column: tuple[str, ...],
    values: Array,
) -> Summary:
    """The summary of some rows, whose ``values`` are [row, column]."""
    kind, first = kinds(rows, factors)
    count, mean, cross = scatter(values, None, kind, len(first))
    return Summary(factors, _kept(rows, first), levels, column, count, mean, cross)


def add(parts: Sequence[Summary]) -> Summary:
    """The summary of the rows of all parts.

    Raises
    ------
    ModelError
        When they are of other columns or levels.

    References
    ----------
    Chan, Golub and LeVeque (1983). Algorithms for computing the sample variance: analysis and
        recommendations. The American Statistician 37, 242-247.
    """
    one = parts[0]
    for part in parts[1:]:
        if part.column != one.column or part.factors != one.factors or not part.levels.equals(one.levels):
            problem = "can't be added to one of other columns, or of other levels of the predictors."
            remedy = "Make them for one model; give columns of words as categories, with all their levels."
            raise ModelError(Finding("summary", problem, remedy))
    rows = pd.concat([part.kinds for part in parts], ignore_index=True)
    kind, first = kinds(rows, one.factors)
    within = np.concatenate([part.cross for part in parts])
    mean, count = (
        np.concatenate([part.mean for part in parts]),
        np.concatenate([part.count for part in parts]),
    )
    count, mean, between = scatter(mean, count, kind, len(first))
    together = csr_matrix((np.ones(len(rows)), (kind, np.arange(len(rows)))), (len(first), len(rows)))
    inside = (together @ within.reshape(len(rows), -1)).reshape(between.shape)
    return Summary(one.factors, _kept(rows, first), one.levels, one.column, count, mean, inside + between)


def kinds(rows: pd.DataFrame, factors: Sequence[str]) -> tuple[Array, Array]:
    """The kind of each row, numbered as they appear, and the first row of each; [row], [kind]."""
    kind, size = np.zeros(len(rows), np.int64), 1
    filled = rows.notna()
    levels = [pd.factorize(rows[name]) for name in factors]
    each = [(codes + 1, len(values) + 1) for codes, values in levels]
    each += [(filled[name].to_numpy(), 2) for name in filled.columns[~filled.all()]]
    for codes, many in each:
        if len(codes) and codes.min() < codes.max():
            kind, size = kind * many + codes, size * many
        if size > 2**31:
            kind = pd.factorize(kind)[0]
            size = int(kind.max()) + 1
    if size == 1:
        return kind, np.arange(min(len(rows), 1))
    kind = pd.factorize(kind)[0]
    first = np.flatnonzero(np.diff(np.maximum.accumulate(kind), prepend=-1))
    return kind, first


def scatter(values: Array, weight: Array | None, kind: Array, size: int) -> tuple[Array, Array, Array]:
    """Weights, means, and cross-products about these; [kind], [kind, column], [kind, column, column].

    The means come first; what rounding left of them is taken out of the products that are made about them.

    Parameters
    ----------
    values
        Fastest where a column stands in one piece; [row, column].
    weight
        1 by default; [row].
    kind, size
        Of each row, and how many there are, none of them without a row; [row].

    References
    ----------
    Chan, Golub and LeVeque (1983). Algorithms for computing the sample variance: analysis and
        recommendations. The American Statistician 37, 242-247. (The corrected two-pass algorithm.)
    """
    rows, width = values.shape
    if not rows:
        return np.zeros(size), np.zeros((size, width)), np.zeros((size, width, width))
    each = np.bincount(kind, minlength=size)
    tile = int(np.clip(2 ** np.ceil(np.log2(rows / size)), 8, TILE))
    tiles = -(-each // tile)
    begin = np.cumsum(tiles) - tiles
    heavy, laid = np.zeros(int(tiles.sum()) * tile), np.empty((1 + width, int(tiles.sum()) * tile))
    # rows of one kind beside each other, in tiles of their own; what is left of the last one counts for 0
    if size == 1:
        heavy[:rows] = 1.0 if weight is None else weight
        laid[1:, :rows], laid[1:, rows:] = values.T, 0.0
    else:
        order = csr_matrix((np.ones(rows), kind, np.arange(rows + 1)), (rows, size)).tocsc().indices
        place = np.arange(rows) + np.repeat(begin * tile - (np.cumsum(each) - each), each)
        source = np.zeros(len(heavy), np.intp)
        source[place], heavy[place] = order, 1.0 if weight is None else weight[order]
        np.take(values.T, source, axis=1, out=laid[1:], mode="clip")
    laid[0] = 1.0
    tiled = laid.reshape(1 + width, -1, tile)
    total = np.add.reduceat(np.einsum("ctr,tr->ct", tiled, heavy.reshape(-1, tile)), begin, axis=1)
    count, mean = total[0], total[1:] / total[0]
    tiled[1:] -= np.repeat(mean, tiles, axis=1)[:, :, None]
    if weight is None:
        laid[:, heavy == 0.0] = 0.0
    else:
        laid *= np.sqrt(heavy)
    across = tiled.transpose(1, 0, 2)
    products = np.add.reduceat(across @ across.mT, begin, axis=0)
    away, left = products[:, 0, 1:] / count[:, None], products[:, 1:, 1:]
    return count, mean.T + away, left - count[:, None, None] * away[:, :, None] * away[:, None, :]


def _kept(rows: pd.DataFrame, first: Array) -> pd.DataFrame:
    return rows.iloc[first].reset_index(drop=True)
