"""Rows with missing predictors as arrays: every configuration of what is summed out, and what is drawn.

A row whose categories are missing stands once for each of their configurations; any other row stands once.
The values that are drawn are added to the columns that they enter: each such column is linear in them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, ModelError
from bayesmtl.predictor_model import Imputation, complete, word

MOST = 256  # configurations of one row

type Make = Callable[[pd.DataFrame], pd.DataFrame]  # the columns of the formulae on a table


@dataclass(frozen=True)
class Gaps:
    """The missing predictors of a table.

    Parameters
    ----------
    imputation
        The model of the predictors.
    gap
        The entries that are drawn, such as ``age[row 7]``.
    choice
        The categories that an entry which is summed out can have, such as ``sex[row 7] = f``.
    data
        The arrays that change from table to table, as the program takes them.
    """

    imputation: Imputation
    gap: Axis
    choice: Axis
    data: Mapping[str, Any]

    def cells(self, row: np.ndarray) -> dict[str, np.ndarray]:
        """The cells of all configurations: their cells, and the configurations; [configuration's cell]."""
        start, count = self.data["start"], self.data["count"]
        cell = np.repeat(np.arange(len(row)), count[row])
        first = np.concatenate([[0], np.cumsum(count[row])[:-1]]).astype(int)
        at = start[row[cell]] + np.arange(len(cell)) - first[cell]
        return {"cell": cell, "at": at, "first": first}


def locate(
    imputation: Imputation,
    table: pd.DataFrame,
    make: Make,
    needs: Mapping[str, np.ndarray],
    needed: np.ndarray,
    mean: np.ndarray,
    names: list[str],
) -> Gaps | None:
    """The missing predictors of a table; None where it has none.

    Parameters
    ----------
    make
        The columns that formulae make of a table.
    needs
        The rows where some cell needs each column; [row].
    needed, mean
        The rows where some cell needs each column of the formulae, and its mean; [row, feature], [feature].
    names
        The name of each row, such as ``row 7``.
    """
    missing = {n: table[n].isna().to_numpy() & needs[n] for n in imputation.columns}
    if not any(rows.any() for rows in missing.values()):
        return None
    used = needed.any(1) | np.logical_or.reduce(list(needs.values()))
    codes, row, start, count = _configurations(imputation, table, used, names)
    wide = _spelt(imputation, table.iloc[row].reset_index(drop=True), codes)
    base = make(wide).to_numpy(float)
    wanted = needed[row]
    gaps = {
        "row": row,
        "start": start,
        "count": count,
        "used": used,
        "level": codes,
        "given": _given(imputation, make(table), codes, row),
        "x": np.where(wanted, base, mean) - mean,
        **_linear(imputation, table, make, wide, base, wanted, row, missing),
        **_patterns(imputation, table, missing),
    }
    at_row, at_column = gaps["gap_row"], gaps["gap_column"]
    gap = tuple(f"{imputation.drawn[k]}[{names[i]}]" for i, k in zip(at_row, at_column, strict=True))
    choice, entry, slot = _choices(imputation, table, used, codes, row, names)
    return Gaps(imputation, Axis("gap", gap), Axis("choice", choice), gaps | {"entry": entry, "slot": slot})


def _codes(imputation: Imputation, table: pd.DataFrame) -> np.ndarray:
    """The place of each row's category among the column's, -1 for a missing one; [row, summed]."""
    found = np.full((len(table), len(imputation.levels)), -1)
    for j, (name, known) in enumerate(imputation.levels.items()):
        places = {level: i for i, level in enumerate(known)}
        found[:, j] = [-1 if pd.isna(value) else places.get(value, -1) for value in table[name]]
    return found


def _configurations(
    imputation: Imputation, table: pd.DataFrame, used: np.ndarray, names: list[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Every configuration's categories and row, and each row's first configuration and their number."""
    codes, sizes = _codes(imputation, table), [len(known) for known in imputation.levels.values()]
    found, count = [], np.ones(len(table), int)
    for i, own in enumerate(codes.tolist()):
        ways = [range(size) if c < 0 else (c,) for c, size in zip(own, sizes, strict=True)]
        each = list(product(*ways)) if used[i] else [tuple(max(c, 0) for c in own)]
        if len(each) > MOST:
            problem = f"has {len(each)} configurations of missing categories, and at most {MOST} are summed."
            raise ModelError(Finding("missing", f"{names[i]} {problem}", "Fill some in."))
        found += each
        count[i] = len(each)
    start = np.concatenate([[0], np.cumsum(count)[:-1]]).astype(int)
    rows = np.repeat(np.arange(len(table)), count)
    return np.array(found, int).reshape(len(rows), len(sizes)), rows, start, count


def _spelt(imputation: Imputation, wide: pd.DataFrame, codes: np.ndarray) -> pd.DataFrame:
    """A table with a row for each configuration, the drawn columns at their means where they are missing."""
    for j, (name, known) in enumerate(imputation.levels.items()):
        column = pd.Series([known[c] for c in codes[:, j]], index=wide.index)
        if hasattr(wide[name], "cat"):
            column = column.astype(wide[name].dtype)
        elif is_numeric_dtype(wide[name]):
            column = column.astype(float)
        wide[name] = column
    means = zip(imputation.drawn, imputation.mean, strict=True)
    return wide.assign(**{name: wide[name].astype(float).fillna(mean) for name, mean in means})


def _given(imputation: Imputation, made: pd.DataFrame, codes: np.ndarray, row: np.ndarray) -> np.ndarray:
    """What predicts the columns with missing entries: [configuration, given]."""
    columns = [complete(imputation, made)[row]]
    for j, share in enumerate(imputation.share.values()):
        columns.append((codes[:, j, None] == np.arange(1, len(share))) - np.array(share[1:]))
    return np.hstack(columns)


def _linear(
    imputation: Imputation,
    table: pd.DataFrame,
    make: Make,
    wide: pd.DataFrame,
    base: np.ndarray,
    wanted: np.ndarray,
    row: np.ndarray,
    missing: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """What one standard unit of a drawn value adds, and where: entries of [configuration, feature]."""
    at: list[np.ndarray] = []
    feature: list[np.ndarray] = []
    of: list[np.ndarray] = []
    slope: list[np.ndarray] = []
    for k, name in enumerate(imputation.drawn):
        lost = np.flatnonzero(missing[name][row])
        if not len(lost):
            continue
        moved = wide.iloc[lost].reset_index(drop=True)
        moved[name] += imputation.sd[k]
        change = np.where(wanted[lost], make(moved).to_numpy(float) - base[lost], 0.0)
        i, f = np.nonzero(change)
        at.append(lost[i])
        feature.append(f)
        of.append(lost[i] * len(imputation.drawn) + k)
        slope.append(change[i, f])
    where = {"at": at, "feature": feature, "of": of}
    found = {key: np.concatenate([np.zeros(0, int), *value]) for key, value in where.items()}
    return found | {"slope": np.concatenate([np.zeros(0), *slope])}


def _patterns(
    imputation: Imputation, table: pd.DataFrame, missing: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The drawn columns in standard units, and which of them each row has.

    ``order`` puts the columns of a pattern so that those measured come first, and then those drawn; ``seen``
    and ``lost`` say which these are, in that order; [pattern, drawn]. ``slot`` is the place of a drawn entry
    among all, one beyond the last for the others; [row, drawn].
    """
    mean, sd = np.array(imputation.mean), np.array(imputation.sd)
    values = (table[list(imputation.drawn)].to_numpy(float) - mean) / sd
    seen = np.isfinite(values)
    lost = np.column_stack([*(missing[n] for n in imputation.drawn), np.zeros((len(table), 0), bool)])
    kind = np.where(seen, 0, np.where(lost, 1, 2))
    patterns, pattern = np.unique(kind, axis=0, return_inverse=True)
    order = np.argsort(patterns, axis=1, kind="stable")
    kinds = np.take_along_axis(patterns, order, axis=1)
    row, column = np.nonzero(lost)
    slot = np.full(lost.shape, len(row))
    slot[row, column] = np.arange(len(row))
    return {
        "value": np.where(seen, values, 0.0),
        "pattern": pattern.ravel(),
        "order": order,
        "rank": np.argsort(order, axis=1),
        "seen": kinds == 0,
        "lost": kinds == 1,
        "place": slot,
        "gap_row": row,
        "gap_column": column,
    }


def _choices(
    imputation: Imputation,
    table: pd.DataFrame,
    used: np.ndarray,
    codes: np.ndarray,
    row: np.ndarray,
    names: list[str],
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """The categories that entries can have; configurations, and which of these categories each has."""
    missing = (_codes(imputation, table) < 0) & used[:, None]
    labels: list[str] = []
    entry, slot = [np.zeros(0, int)], [np.zeros(0, int)]
    for j, (name, known) in enumerate(imputation.levels.items()):
        lost = np.flatnonzero(missing[:, j])
        first = np.zeros(len(table), int)
        first[lost] = len(labels) + np.arange(len(lost)) * len(known)
        labels += [f"{name}[{names[i]}] = {word(level)}" for i in lost for level in known]
        own = np.flatnonzero(missing[row, j])
        entry.append(own)
        slot.append(first[row[own]] + codes[own, j])
    return tuple(labels), np.concatenate(entry), np.concatenate(slot)
