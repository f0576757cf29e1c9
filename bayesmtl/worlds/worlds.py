"""What the draws of a posterior say of its table in worlds where some columns are set."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
import pandas as pd
import xarray as xr
from pandas.api.types import is_bool_dtype

from bayesmtl import labelled
from bayesmtl.causal.gformula import Equation
from bayesmtl.design import Design
from bayesmtl.forecast.renewed import renew
from bayesmtl.imputation import ENTRIES
from bayesmtl.program import build
from bayesmtl.replay import anatomy, replay, simulate
from bayesmtl.worlds.asked import Asked
from bayesmtl.worlds.exposures import Setting

BATCH = 50  # draws that a program takes at once
CELLS = 500_000  # rows of all draws that are encoded at once

type Tell = Callable[[pd.DataFrame, np.ndarray], Callable[[str], Told]]  # of a task, when it is asked for
type Respond = Callable[[str, Told], np.ndarray]
type World = Callable[[Equation, Respond, str], Told]


@dataclass(frozen=True)
class Told:
    """What some draws say of the cells of a task; nan in rows without; [draw, row] each.

    Parameters
    ----------
    mean, sd
        Of the response; the latter only of normal noise.
    drawn
        New responses of families with tasks that predict others, graded ones by their places. The noise of a
        row is the same in every world.
    """

    mean: np.ndarray
    sd: np.ndarray
    drawn: np.ndarray


def worlds(post: xr.DataTree, asked: Asked) -> Iterator[tuple[int, list[World]]]:
    """For some draws after others: how many they are, and for each setting what they say of equations.

    A world takes an equation, a function that says how a task responds that was told, and the task, whose
    node may be that of others; it tells the task once the inputs of its equation have responded.
    """
    shape = post.posterior.sizes["chain"], post.posterior.sizes["draw"]
    draws, rows = shape[0] * shape[1], len(asked.table)
    many = int(np.clip(CELLS // rows, 1, draws))
    steps = frozenset[str]().union(*map(_steps, asked.equations.values()))
    tell = _teller(post, rows, many, steps)
    for start in range(0, draws, many):
        at = np.arange(start, start + many).clip(max=draws - 1)
        yield min(many, draws - start), [_world(asked, setting, tell, at) for setting in asked.settings]


def _steps(equation: Equation) -> set[str]:
    """The nodes that are told before that of an equation."""
    return {each.node for each in equation.inputs}.union(*map(_steps, equation.inputs))


def _world(asked: Asked, setting: Setting, tell: Tell, at: np.ndarray) -> World:
    """What some draws say in one setting; an equation's table is made, and told, once."""
    known: dict[Any, Callable[[str], Told]] = {}
    grades = {n: g for f in asked.known.families for n, g in zip(f.task.labels, f.grades, strict=True)}

    def world(equation: Equation, respond: Respond, task: str) -> Told:
        key = equation.kept, equation.inputs
        if key not in known:
            columns = {n: value for n, value in setting.columns.items() if n not in equation.kept}
            frame = asked.table.assign(**columns)
            if equation.inputs:
                inputs = {e.node: respond(e.node, world(e, respond, e.node)) for e in equation.inputs}
                frame = pd.concat([frame] * len(at), ignore_index=True)
                for name, values in inputs.items():
                    frame[name] = _column(values.ravel(), grades.get(name, ()), asked.table[name])
            known[key] = tell(frame, at)
        return known[key](task)

    return world


def _column(values: np.ndarray, grades: tuple[Any, ...], like: pd.Series) -> pd.Series:
    """Responses as the column of a table holds them."""
    if grades:
        return pd.Series(np.array(grades, object)[values.astype(int)]).infer_objects()
    return pd.Series(values.astype(bool) if is_bool_dtype(like) else values)


def _teller(post: xr.DataTree, rows: int, many: int, steps: frozenset[str]) -> Tell:
    """What ``many`` draws say of a table: of one copy for all, or of one for each below each other."""
    programs: dict[Any, Any] = {}

    def tell(frame: pd.DataFrame, at: np.ndarray) -> Callable[[str], Told]:
        design = _renewed(post, frame)
        new = tuple(group.new for group in design.groups)
        if new not in programs:
            programs[new] = _compiled(post, _renewed(post, frame[:rows]), steps)
        out = jax.tree.map(np.asarray, programs[new](_changed(design, rows, many), at))

        def of_task(name: str) -> Told:
            family = next(family for family in design.families if name in family.task.labels)
            own = (family.of == family.task.labels.index(name)) & (family.row < rows)
            values = np.full((3, many, rows), np.nan)
            for told, cells in zip(values, out[family.name], strict=True):
                told[:, family.row[own]] = cells[:, own[family.row < rows]]
            return Told(*values)

        return of_task

    return tell


def _renewed(post: xr.DataTree, frame: pd.DataFrame) -> Design:
    """A table as a design; nothing in it is missing, so that nothing is imputed."""
    return replace(renew(post, frame), gaps=None)


def _compiled(
    post: xr.DataTree, design: Design, steps: frozenset[str]
) -> Callable[[Mapping[str, Any], np.ndarray], Any]:
    """Mean, standard deviation and a new response of each cell, by some draws and what changes with them."""
    program, data = build(design), jax.device_put(design.data)
    sites = {
        site: labelled.members(post, labels, site.rpartition(".")[2])
        for site, labels in anatomy(program, data).axes.items()
        if site.rpartition(".")[2] in post.posterior and site not in ENTRIES
    }
    draws = post.posterior.sizes["chain"] * post.posterior.sizes["draw"]
    keys = jax.random.split(jax.random.key(int(post.attrs["seed"]) + 3), draws)
    normal = {f.name for f in design.families if f.likelihood["kind"] == "gaussian"}
    between = {f.name for f in design.families if steps & set(f.task.labels)}

    def one(data: Mapping[str, Any], given: tuple[Mapping[str, Any], Any, Mapping[str, Any]]) -> Any:
        own, key, changed = given
        cells = {name: {**data["cells"][name], **cell} for name, cell in changed["cells"].items()}
        said = replay(program, {**data, **changed, "cells": cells}, own, key, observed=False)[2]
        drawn = simulate({n: each for n, each in said.items() if n in between}, jax.random.fold_in(key, 1))
        found = {}
        for name, each in said.items():
            mean, noise = each.outcome.mean, each.outcome.distribution
            none = jax.numpy.full(mean.shape, jax.numpy.nan)
            found[name] = mean, noise.scale if name in normal else none, drawn.get(name, none)
        return found

    # what is the same in all is an argument too: the compiler would take its time over constants
    run = jax.jit(lambda data, given: jax.lax.map(lambda each: one(data, each), given, batch_size=BATCH))

    def told(changed: Mapping[str, Any], at: np.ndarray) -> Any:
        return run(data, ({n: v[at] for n, v in sites.items()}, keys[at], changed))

    return told


def _changed(design: Design, rows: int, many: int) -> dict[str, Any]:
    """The arrays that copies of a table may differ in; [draw, ...]."""
    data = design.data

    def apart(array: np.ndarray) -> np.ndarray:
        copies = len(design.units) // rows
        split = array.reshape(copies, len(array) // copies, *array.shape[1:])
        return np.broadcast_to(split, (many, *split.shape[1:]))

    cells = {}
    for family in design.families:
        order = np.argsort(family.row // rows, kind="stable")  # each copy's, as they stand in one
        own = {key: data["cells"][family.name][key] for key in ("columns", "noise_x")}
        cells[family.name] = jax.tree.map(lambda values, order=order: apart(values[order]), own)
    return {"x": apart(data["x"]), "groups": jax.tree.map(apart, data["groups"]), "cells": cells}
