"""Levels of a group that a fit never saw: draws of their coefficients from the population."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.axes import Axis
from bayesmtl.groups import Grouping, coefficients
from bayesmtl.labelled import members

Array = np.ndarray


@dataclass(frozen=True)
class Population:
    """How the coefficients of one level scatter over the levels of a group, at each draw of a posterior.

    Parameters
    ----------
    line, term
        The linear predictor and the term of each coefficient; [set, coefficient]. Sets are independent.
    root
        Cholesky factor of their covariance; [sample, set, coefficient, coefficient].
    df
        Degrees of freedom where levels may lie far out; [sample, set]. None where they are normal.
    """

    line: Array
    term: Array
    root: Array
    df: Array | None = None


def populations(post: xr.DataTree, grouping: Grouping, line: Axis) -> list[Population]:
    """What a posterior says of all levels of a group, in sets of one size; correlated tasks are one set."""
    name, known = grouping.name, post.posterior
    sd = members(post, (line, grouping.term), f"sd_{name}")
    found = []
    for tasks, terms in coefficients(grouping):
        matrix = np.broadcast_to(np.eye(tasks.shape[1]), (len(sd), *tasks.shape, tasks.shape[1])).copy()
        if f"correlation_{name}" in known:
            axes = [line, grouping.term, line.other(), grouping.term.other()]
            at: list[Any] = [tasks[:, :, None], terms[:, :, None], tasks[:, None], terms[:, None]]
            if not grouping.together:  # nothing is recorded between tasks
                del axes[2], at[2]
            drawn = members(post, tuple(axes), f"correlation_{name}")[:, *at]
            matrix = np.where(np.eye(tasks.shape[1], dtype=bool), 1.0, drawn)  # nothing recorded is 0
        df = None
        if grouping.student:
            df = members(post, () if grouping.together else (line,), f"df_{name}")
            df = df[:, None] if grouping.together else df[:, tasks[:, 0]]
        root = sd[:, tasks, terms][..., None] * np.linalg.cholesky(matrix)
        found.append(Population(tasks, terms, root, df))
    return found


def standard(some: Sequence[Population], name: str, labels: Sequence[str], seed: int) -> list[Array]:
    """Coefficients before they have their scales and correlations; [sample, set, level, coefficient] each.

    A level's draws depend on its label alone, so that rows of one level that come in different tables have
    the same.
    """
    found = [np.empty((len(p.root), len(p.line), len(labels), p.line.shape[1])) for p in some]
    for place, label in enumerate(labels):
        digest = blake2b(f"{name}\0{label}".encode(), digest_size=16).digest()
        draw = np.random.default_rng([seed, int.from_bytes(digest)])
        for values, population in zip(found, some, strict=True):
            z = draw.standard_normal((*values.shape[:2], values.shape[3]))
            if population.df is not None:
                z /= np.sqrt(draw.chisquare(population.df) / population.df)[..., None]
            values[:, :, place] = z
    return found


def local(
    post: xr.DataTree, grouping: Grouping, line: Axis, standards: Sequence[Array], some: Sequence[Population]
) -> tuple[Grouping, Array]:
    """A grouping of the levels that its rows have, and their coefficients; [sample, line, level, term].

    New levels come last. Their number is rounded up, so that tables of about as many levels share what is
    compiled.
    """
    used, index = np.unique(grouping.index, return_inverse=True)
    known = tuple(grouping.level.labels[i] for i in used if i < len(grouping.level))
    effect = members(post, (line, Axis(grouping.name, known), grouping.term), f"effect_{grouping.name}")
    size = 1 << (len(used) - 1).bit_length()
    effect = np.pad(effect, [(0, 0), (0, 0), (0, size - len(known)), (0, 0)])
    for v, population in zip(standards, some, strict=True):
        own = np.einsum("xsij,xslj->sixl", population.root, v)
        effect[:, population.line, len(known) : len(used), population.term] = own
    labels = (*known, *grouping.new, *(f"(none {i})" for i in range(size - len(used))))
    level = Axis(grouping.name, labels)
    return replace(grouping, level=level, index=index, new=(), covariance=None), effect
