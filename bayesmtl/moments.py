"""Cross-products of a table: all that normal tasks say of their coefficients.

Coefficients are taken in standard units: those of a response over those of a column. They are of two kinds.
The dense ones multiply columns ``D`` of every row: the offset, the predictors, and a column for each level
and term of a group. The local ones multiply columns ``Z``, the terms of the one group whose levels can be
told apart first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from bayesmtl.design import Design, Kinds
from bayesmtl.groups import Grouping

Array = np.ndarray


@dataclass(frozen=True)
class Moments:
    """Cross-products per part of a table: rows that have a cell of the same linear predictors.

    Where the residuals of a row are independent each linear predictor is a part by itself, with one ``out``.
    They add up over rows.

    Parameters
    ----------
    line, mask
        The linear predictors of a part, and whether its rows have a cell of them; [part, out].
    count
        Rows; [part].
    dd, dy, yy
        Of the dense columns, of these and responses, of responses; [part, dense, dense], [part, dense, out],
        [part, out, out].
    zz, zd, zy
        Of the local columns, of these and the dense ones, of these and responses; [part, level, term, ...].
    """

    line: Array
    mask: Array
    count: Array
    dd: Array
    dy: Array
    yy: Array
    zz: Array
    zd: Array
    zy: Array

    def __add__(self, other: "Moments") -> "Moments":
        """Of the rows of both, which have the same parts."""
        same = np.array_equal(self.line, other.line) and np.array_equal(self.mask, other.mask)
        if not same:
            raise ValueError("the parts of two tables differ")
        sums = [getattr(self, f.name) + getattr(other, f.name) for f in fields(self)[2:]]
        return Moments(self.line, self.mask, *sums)

    @property
    def data(self) -> dict[str, Array]:
        """The arrays by their names."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def moments(design: Design, local: Grouping | None, joint: bool) -> Moments:
    """The cross-products of a design's cells.

    Parameters
    ----------
    local
        The group whose levels are told apart; None for none.
    joint
        Whether the residuals of a row may be correlated.
    """
    dense, (z, level, levels) = columns(design, local), _local(design, local)
    y, power = _grid(design)
    rows = np.ones(len(y)) if design.kinds is None else design.kinds.count
    found: list[dict[str, Any]] = []
    for line, own in _parts(~np.isnan(y), joint):
        tempered = np.ones(len(own)) if joint else power[own, line[0]]
        weight = rows[own] * tempered
        out = np.nan_to_num(y[own][:, line])
        d, each = dense[own], weight[:, None]
        product = csr_matrix((weight, (level[own], np.arange(len(own)))), (levels, len(own)))
        crossed = [z[own][:, :, None] * other[:, None, :] for other in (z[own], d, out)]
        zz, zd, zy = (
            (product @ c.reshape(len(own), np.prod(c.shape[1:]))).reshape(levels, z.shape[1], c.shape[2])
            for c in crossed
        )
        part = {"dd": d.T @ (each * d), "dy": d.T @ (each * out), "yy": out.T @ (each * out)}
        part |= {"zz": zz, "zd": zd, "zy": zy}
        mask = ~np.isnan(y[own[:1]][:, line]).all(0) if len(own) else np.zeros(len(line), bool)
        if design.kinds is not None:
            scale = np.where(mask, 1 / design.unit_of[line], 0.0)
            inside = _within(design, local, design.kinds, own, line, scale, tempered)
            part = {name: part[name] + inside[name] for name in part}
        found.append({"line": line, "mask": mask, "count": weight.sum(), **part})
    return Moments(**{name: np.stack([part[name] for part in found]) for name in found[0]})


def _within(
    design: Design, local: Grouping | None, kinds: Kinds, own: Array, line: Array, scale: Array, weight: Array
) -> dict[str, Array]:
    """What the rows of each kind add by how they differ from its mean.

    Parameters
    ----------
    own, line
        The kinds and the linear predictors of a part.
    scale
        What a response is multiplied by, 0 where it has no cell; [out].
    weight
        Of each kind's cross-products; [kind].
    """
    sd, near, place, width = _places(design, local, own)
    level, levels = _local(design, local)[1:]
    slot = np.concatenate([np.arange(len(sd)), len(sd) + kinds.response[line]])
    unit = np.concatenate([1 / sd, scale])
    cross = kinds.cross[own][:, slot][:, :, slot] * weight[:, None, None] * (unit[:, None] * unit)
    out, term = np.arange(len(line)), np.arange(near.sum())
    at = {"d": np.flatnonzero(~near), "y": len(sd) + out, "z": np.flatnonzero(near)}
    size = {"d": width, "y": len(line), "z": len(term)}
    index = {"d": place[:, ~near], "y": out[None], "z": term[None]}
    found = {}
    for one, other in ("dd", "dy", "yy", "zz", "zd", "zy"):
        lead, many = (level[own], levels) if one == "z" else (np.zeros(len(own), int), 1)
        flat = lead[:, None, None] * size[one] + index[one][:, :, None]
        flat = flat * size[other] + index[other][:, None, :]
        values = cross[:, at[one]][:, :, at[other]]
        total = np.bincount(flat.ravel(), values.ravel(), many * size[one] * size[other])
        shape = (size[one], size[other])
        found[one + other] = total.reshape((many, *shape) if one == "z" else shape)
    return found


def _places(design: Design, local: Grouping | None, own: Array) -> tuple[Array, Array, Array, int]:
    """Where predictors and terms, the slots of a kind's cross-products, stand among the dense columns.

    Returns
    -------
    tuple
        Their sd and whether they are local, [slot] twice, the dense column that each adds to, [kind, slot],
        and how many of these there are.
    """
    features = len(design.feature)
    sd, near = [design.predictors.sd], [np.zeros(features, bool)]
    place, width = [np.broadcast_to(1 + np.arange(features), (len(own), features))], 1 + features
    for group in design.groups:
        terms = len(group.term)
        sd.append(group.sd)
        near.append(np.full(terms, group is local))
        place.append(width + group.index[own][:, None] * terms + np.arange(terms))
        width += 0 if group is local else len(group.level) * terms
    return np.concatenate(sd), np.concatenate(near), np.hstack(place), width


def columns(design: Design, local: Grouping | None) -> Array:
    """The dense columns: 1, the standardised predictors, and those of the groups; [row, dense]."""
    rows = len(design.units)
    every = [np.ones((rows, 1)), design.predictors.centred / design.predictors.sd]
    for group in design.groups:
        if group is not local:
            one = group.index[:, None] == np.arange(len(group.level))
            scaled = group.z / group.sd
            every.append((one[:, :, None] * scaled[:, None, :]).reshape(rows, -1))
    return np.hstack(every)


def _local(design: Design, local: Grouping | None) -> tuple[Array, Array, int]:
    """The local columns, each row's level, and how many levels there are."""
    rows = len(design.units)
    if local is None:
        return np.zeros((rows, 0)), np.zeros(rows, int), 1
    return local.z / local.sd, local.index, len(local.level)


def _grid(design: Design) -> tuple[Array, Array]:
    """Standard responses, nan where there is no cell, and the cells' powers; [row, line]."""
    shape = (len(design.units), len(design.line))
    y, power = np.full(shape, np.nan), np.ones(shape)
    for family in design.families:
        line = np.array([design.line.labels.index(name) for name in family.task.labels])[family.of]
        y[family.row, line] = (family.y - family.centre[family.of]) / family.unit[family.of]
        power[family.row, line] = family.power
    return y, power


def _parts(measured: Array, joint: bool) -> Sequence[tuple[Array, Array]]:
    """The linear predictors and the rows of each part."""
    if not joint:
        return [(np.array([t]), np.flatnonzero(measured[:, t])) for t in range(measured.shape[1])]
    every = np.arange(measured.shape[1])
    pattern, which = np.unique(measured, axis=0, return_inverse=True)
    return [(every, np.flatnonzero(which == p)) for p in range(len(pattern)) if pattern[p].any()]
