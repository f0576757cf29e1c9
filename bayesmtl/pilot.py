"""A pilot fit: where the data put each weight and effect, so that the sampler need not search for it.

Weights under a scale that is itself unknown are hard to sample: drawn as ``scale * z`` they tie ``z`` to the
scale when the data are strong, drawn directly they make a funnel when the data are weak. Given the scales,
though, weights with a normal prior and a nearly normal likelihood have a known mean and variance. The program
draws them from there on, ``mean(scale) + sd(scale) * z``, with the exact density: ``z`` is near standard
normal in both cases, and there is no centring to choose. Group effects are drawn likewise.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.flatten_util import ravel_pytree
from numpyro.handlers import seed, substitute, trace
from scipy.optimize import minimize

from bayesmtl.design import Design
from bayesmtl.groups import Grouping
from bayesmtl.information import level_cross, level_information
from bayesmtl.program import Program, build

WIDTH = 2.5  # of the normal prior that keeps the pilot's weights finite under separation
SPREAD = 1.0  # of the one that tells effects from offsets


def pilot(data: Mapping[str, Any], design: Design) -> dict[str, dict[str, np.ndarray]]:
    """Where the likelihood alone puts each standard weight and each level's effects, and how precisely.

    Every task is fitted by itself, at the mode, as if residuals were independent; its likelihood is taken as
    normal there.

    Returns
    -------
    dict
        ``weight``, with ``place`` and ``precision`` [line, feature]: a weight that a task does not have has
        precision 0. And for each group what ``level_information`` gives, with ``fixed``, the offsets and
        weights at the mode, and ``cross``, what effects and these have to do with each other.
    """
    widths = _widths(design)
    mode, level, information = _mode(data, design, widths)
    cells = _by_line(design, information)
    x = np.column_stack([np.isfinite(level)[cells.line] * 1.0, design.predictors.centred[cells.row]])
    fixed = np.column_stack([np.nan_to_num(level), mode["weight"] * widths["weight"]])
    found: dict[str, dict[str, np.ndarray]] = {}
    for group in design.groups:
        standard, width = mode[_effect(group)], widths[_effect(group)]
        slope = np.where(width > 0, standard / WIDTH**2 / np.where(width > 0, width, 1.0), 0.0)
        known = level_information(group, *cells, mode=standard * width, gradient=slope)
        found[group.name] = known | {"cross": level_cross(group, *cells, x=x), "fixed": fixed}
    return {"weight": _normal(design, mode["weight"], cells, x)} | found


class _Cells(NamedTuple):
    """The information about every cell's linear predictors, which these are, and the rows; [cell]."""

    information: np.ndarray
    line: np.ndarray
    row: np.ndarray


def _effect(group: Grouping) -> str:
    return f"effect_{group.name}"


def _widths(design: Design) -> dict[str, np.ndarray]:
    """The size of each coefficient that the pilot finds, 0 for one that a task does not have."""
    units = design.unit_of[:, None]
    found = {"weight": np.where(design.uses, units / design.predictors.sd, 0.0)}
    for group in design.groups:
        own = np.where(group.uses, SPREAD / WIDTH * units / group.sd, 0.0)[:, None]
        found[_effect(group)] = np.repeat(own, len(group.level), axis=1)
    return found


def _mode(
    data: Mapping[str, Any], design: Design, widths: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, np.ndarray]]:
    """The mode, each linear predictor's level (nan without one), and Fisher's information; [cell, line]."""
    alone = replace(design.model, residual={"kind": "independent"})
    program = build(replace(design, model=alone, gaps=None))  # gaps are filled with what is expected
    families = {family.name for family in design.families}
    shapes = _own_shapes(program, data, families)
    start = {name: jnp.zeros(width.shape) for name, width in widths.items()}
    flat, shaped = ravel_pytree(start | {"own": {n: jnp.zeros(shape) for n, shape in shapes.items()}})

    def run(point: Any) -> tuple[Any, Any]:
        given = {name: point[name] * width for name, width in widths.items()}
        with trace() as sites:
            seed(program, 0)(data)
        for name, value in point["own"].items():
            given[name] = dist.biject_to(sites[name]["fn"].support)(value)
        with trace() as sites:
            said = seed(substitute(program, data=given), 0)(data)
        density = sum(
            jnp.sum(site["fn"].log_prob(site["value"]) * (1.0 if site["scale"] is None else site["scale"]))
            for name, site in sites.items()
            if site["type"] == "sample" and name.partition(".")[0] in families
        )
        level = {n: sites[f"{n}.level"]["value"] for n in families if f"{n}.level" in sites}
        return density, (level, {n: each.outcome.information for n, each in said.items()})

    def loss(vector: Any) -> Any:
        point = shaped(vector)
        ridge = sum(jnp.sum((point[name] / WIDTH) ** 2) for name in widths)
        return 0.5 * ridge - run(point)[0]

    found = minimize(jax.jit(jax.value_and_grad(loss)), np.asarray(flat), jac=True, method="L-BFGS-B")
    point = shaped(jnp.asarray(found.x))
    levels, information = jax.tree.map(np.asarray, jax.jit(lambda point: run(point)[1])(point))
    level = np.full(len(design.line), np.nan)
    for family in design.families:
        if family.name in levels:
            own = [design.line.labels.index(label) for lines in family.lines for label in lines]
            level[own] = levels[family.name].ravel()
    return {name: np.asarray(point[name]) for name in widths}, level, information


def _own_shapes(program: Program, data: Mapping[str, Any], families: set[str]) -> dict[str, tuple[int, ...]]:
    """The shapes of the likelihoods' latent sites, unconstrained."""
    shapes: dict[str, tuple[int, ...]] = {}

    def find() -> None:
        with trace() as sites:
            seed(program, 0)(data)
        for name, site in sites.items():
            own = name.partition(".")[0] in families
            if own and site["type"] == "sample" and not site["is_observed"]:
                there = dist.biject_to(site["fn"].support)
                shapes[name] = jax.eval_shape(there.inv, site["value"]).shape

    jax.eval_shape(find)
    return shapes


def _by_line(design: Design, information: Mapping[str, np.ndarray]) -> _Cells:
    every, line, row = [], [], []
    for family in design.families:
        each = np.maximum(information[family.name], 0.0).reshape(len(family.row), -1)
        for at in range(each.shape[1]):
            place = np.array([design.line.labels.index(lines[at]) for lines in family.lines])
            every.append(each[:, at] * family.power)
            line.append(place[family.of])
            row.append(family.row)
    return _Cells(np.concatenate(every), np.concatenate(line), np.concatenate(row))


def _normal(design: Design, mode: np.ndarray, cells: _Cells, x: np.ndarray) -> dict[str, np.ndarray]:
    """The likelihood of each task's weights as a normal, one feature at a time.

    Offsets are free, and so, but for a ridge, are the effects of each group by itself.
    """
    place, precision = np.zeros_like(mode), np.zeros_like(mode)
    for t, unit in enumerate(design.unit_of):
        own, used = cells.line == t, np.flatnonzero(design.uses[t])
        scale = np.concatenate([[1.0], 1 / design.predictors.sd[used]]) * unit
        columns = x[own][:, [0, *(used + 1)]] * scale
        each = cells.information[own]
        curved = columns.T * each @ columns + 1e-6 * np.eye(len(scale))
        for group in design.groups:
            curved -= _explained(group, t, unit, each, cells.row[own], columns)
        variance = np.linalg.pinv(curved, hermitian=True)[1:, 1:]
        place[t, used] = mode[t, used] + variance @ (mode[t, used] / WIDTH**2)
        precision[t, used] = 1 / np.maximum(np.diag(variance), 1e-12)
    return {"place": place, "precision": precision}


def _explained(
    group: Grouping, line: int, unit: float, information: np.ndarray, row: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """What a group's effects take of the information about columns that all levels share."""
    terms = np.flatnonzero(group.uses[line])
    if not len(terms):
        return np.zeros((columns.shape[1],) * 2)
    z = group.z[row][:, terms] * (SPREAD * unit / group.sd[terms])
    level, count = group.index[row], len(group.level)
    both = np.zeros((count, len(terms), len(terms) + columns.shape[1]))
    np.add.at(both, level, (information[:, None] * z)[:, :, None] * np.hstack([z, columns])[:, None, :])
    inside = both[:, :, : len(terms)] + np.eye(len(terms))
    across = both[:, :, len(terms) :]
    return np.einsum("lkf,lkg->fg", across, np.linalg.solve(inside, across))
