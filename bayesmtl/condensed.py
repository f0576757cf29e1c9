"""Normal tasks by their cross-products, beside tasks of other kinds.

Given its coefficients and its noise the log likelihood of a normal task is a quadratic form, and the table's
moments are all that it takes. So these tasks need no cells: a gradient costs the same for any number of their
rows. Unlike in ``collapsed`` the coefficients are sampled, with those of all other tasks.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro.handlers import trace

from bayesmtl.coefficients import by_line, coefficients
from bayesmtl.design import Design
from bayesmtl.groups import Grouping
from bayesmtl.moments import Moments, moments
from bayesmtl.parts import settings
from bayesmtl.program import Program
from bayesmtl.sites import Array

MOST = 50_000_000  # numbers in the columns of the moments: 400 MB


def condense(
    design: Design, program: Program, data: Mapping[str, Any]
) -> tuple[Callable[..., Any], Mapping[str, Any]]:
    """A program of the same latent arrays and the same density, with normal tasks by their moments.

    Parameters
    ----------
    data
        The program's, with or without a pilot.

    Returns
    -------
    tuple
        The program and its data: the normal tasks have moments in place of cells. Both are as they were
        where no task is normal with one noise and independent residuals, where the rows are few, or where
        all tasks are such: of 139 of them one chain's trajectories became long, and no other's.

    References
    ----------
    Pinheiro and Bates (2000). Mixed-effects models in S and S-PLUS, section 2.2. Springer.

    Examples
    --------
    >>> condensed, fewer = condense(design, program, data)  # doctest: +SKIP
    >>> len(fewer["cells"]["gaussian"]["y"])  # doctest: +SKIP
    0
    """
    normal = _normal(design)
    local = max(design.groups, key=lambda group: len(group.level), default=None)
    if normal is None or len(normal.families) == len(design.families) or not _pays(normal, local):
        return program, data
    line = np.array([design.line.labels.index(label) for label in normal.line.labels])

    def condensed(data: Mapping[str, Any]) -> None:
        with trace() as sites:
            program(data)
        m, sigma = Moments(**data["moments"]), by_line(normal, sites, "sigma")
        square = _square(m, *coefficients(normal, local, sites, line))
        volume = m.count * jnp.log(2 * jnp.pi * (jnp.asarray(normal.unit_of) * sigma) ** 2)
        numpyro.factor("condensed", -0.5 * (square / sigma**2 + volume).sum())

    empty = {
        family.name: jax.tree.map(lambda value: np.asarray(value)[:0], dict(data["cells"][family.name]))
        for family in normal.families
    }
    summed = jax.device_put(moments(normal, local, False).data)
    return condensed, {**data, "cells": {**data["cells"], **empty}, "moments": summed}


def first_cells(design: Design, data: Mapping[str, Any]) -> dict[str, Any]:
    """A program's arrays with one cell of each normal task, where all of its cells have the same noise.

    What is said of the tasks stays the same, but not of cells.
    """
    normal, cells = _normal(design), dict(data["cells"])
    for family in normal.families if normal else ():
        if (family.power == 1).all():
            first = np.unique(family.of, return_index=True)[1]
            cells[family.name] = jax.tree.map(
                lambda v, first=first: np.asarray(v)[first], dict(cells[family.name])
            )
    return {**data, "cells": cells}


def _normal(design: Design) -> Design | None:
    """The part of a design whose log likelihood is a quadratic form; None if there is none."""
    found = []
    for family in design.families:
        options = settings("likelihoods", family.likelihood)
        one = family.likelihood["kind"] == "gaussian" and options["se"] is None
        one = one and options["sigma"] != "marginal" and not isinstance(options["sigma"], Mapping)
        if one and design.gaps is None and family not in design.partners:
            found.append(family)
    own = {name for family in found for name in family.task.labels}
    task = design.task.take([i for i, name in enumerate(design.task.labels) if name in own])
    return replace(design, task=task, families=tuple(found)) if found else None


def _pays(normal: Design, local: Grouping | None) -> bool:
    """Whether the moments take fewer products than the cells do."""
    columns = 1 + len(normal.feature) + sum(len(group.term) for group in normal.groups)
    others = [group for group in normal.groups if group is not local]
    dense = 1 + len(normal.feature) + sum(len(group.level) * len(group.term) for group in others)
    products, near = dense**2, 0
    if local is not None:
        near = len(local.term)
        products += len(local.level) * near * (near + dense)
    fit = len(normal.units) * dense * max(near, 1) < MOST
    return fit and len(normal.task) * products < columns * sum(normal.cells.values())


def _square(m: Moments, dense: Array, near: Array) -> Array:
    """The sum of the squared residuals of each task; [task]."""
    dy, yy, zy = m.dy[..., 0], m.yy[:, 0, 0], m.zy[..., 0]
    fixed = jnp.einsum("pde,pd,pe->p", m.dd, dense, dense) - 2 * (dy * dense).sum(-1)
    across = jnp.einsum("pbkd,pd->pbk", m.zd, dense) - zy
    own = jnp.einsum("pbkl,pbl->pbk", m.zz, near)
    return jnp.asarray(yy) + fixed + (near * (own + 2 * across)).sum((1, 2))
