"""What more rows are added to: hyper-parameters as they were drawn, and the cross-products of a table."""

from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np
import xarray as xr

from bayesmtl.chains import Basis
from bayesmtl.design import Design
from bayesmtl.moments import Moments

POINT, DENSITY = ("chain", "draw", "coordinate"), ("chain", "draw")
AXES = {
    "line": ("part", "out"),
    "mask": ("part", "out"),
    "count": ("part",),
    "dd": ("part", "dense", "dense_"),
    "dy": ("part", "dense", "out"),
    "yy": ("part", "out", "out_"),
    "zz": ("part", "level", "term", "term_"),
    "zd": ("part", "level", "term", "dense"),
    "zy": ("part", "level", "term", "out"),
}


def carry(tree: xr.DataTree, basis: Basis | None) -> xr.DataTree:
    """Write a basis, if there is one, on a tree."""
    if basis is None:
        return tree
    moments = {name: (axes, np.asarray(basis.moments[name])) for name, axes in AXES.items()}
    drawn = {"point": (POINT, basis.points), "lp": (DENSITY, basis.density)}
    drawn["count"] = (("task",), np.asarray(basis.count))
    tree["unconstrained_posterior"] = xr.DataTree(xr.Dataset(drawn))
    tree["moments"] = xr.DataTree(xr.Dataset(moments))
    return tree


def basis_of(post: xr.DataTree) -> Basis | None:
    """The basis that a tree holds; None if it has none."""
    if "moments" not in post or "unconstrained_posterior" not in post:
        return None
    drawn = post["unconstrained_posterior"]
    moments = {name: post["moments"][name].transpose(*axes).values for name, axes in AXES.items()}
    points, density = drawn["point"].transpose(*POINT).values, drawn["lp"].transpose(*DENSITY).values
    return Basis(points, density, moments, drawn.to_dataset()["count"].values)


def widened(known: Mapping[str, np.ndarray], before: Design, after: Design, local: str) -> Moments:
    """Cross-products for groups with more levels, those that are new at the end.

    Parameters
    ----------
    local
        The name of the group whose levels are told apart; "" for none.
    """
    m, width = Moments(**known), 1 + len(before.feature)
    at, levels = [np.arange(width)], m.zz.shape[1]
    for old, new in zip(before.groups, after.groups, strict=True):
        if new.name == local:
            levels = len(new.level)
        else:
            at.append(width + np.arange(len(old.level) * len(old.term)))
            width += len(new.level) * len(new.term)
    place = np.concatenate(at)
    return replace(
        m,
        dd=_laid(_laid(m.dd, place, width, 1), place, width, 2),
        dy=_laid(m.dy, place, width, 1),
        zz=_laid(m.zz, np.arange(m.zz.shape[1]), levels, 1),
        zd=_laid(_laid(m.zd, np.arange(m.zd.shape[1]), levels, 1), place, width, 3),
        zy=_laid(m.zy, np.arange(m.zy.shape[1]), levels, 1),
    )


def added(one: Moments, other: Moments, joint: bool) -> Moments:
    """The cross-products of the rows of both, which may have other parts of a table.

    Parameters
    ----------
    joint
        Whether a part is a set of tasks that were measured together; else each task is one.
    """
    keys = [
        [(tuple(line), tuple(mask) if joint else ()) for line, mask in zip(m.line.tolist(), m.mask.tolist())]
        for m in (one, other)
    ]
    every = list(dict.fromkeys([*keys[0], *keys[1]]))
    places = [np.array([every.index(key) for key in own]) for own in keys]
    laid = [
        {f.name: _laid(getattr(m, f.name), place, len(every), 0) for f in fields(m)}
        for m, place in zip((one, other), places, strict=True)
    ]
    line, mask = np.array([key[0] for key in every]), laid[0]["mask"] | laid[1]["mask"]
    first, second = (Moments(**{**own, "line": line, "mask": mask}) for own in laid)
    return first + second


def _laid(values: np.ndarray, place: np.ndarray, size: int, axis: int) -> np.ndarray:
    """An array with its entries along an axis at some places of a longer one, and 0 at the others."""
    found = np.zeros((*values.shape[:axis], size, *values.shape[axis + 1 :]), values.dtype)
    found[(slice(None),) * axis + (place,)] = values
    return found
