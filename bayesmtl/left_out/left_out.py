"""What posteriors expect of cells that are left out, one unit at a time, by weights or by refits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.design import Design
from bayesmtl.errors import Finding, ModelError
from bayesmtl.left_out.folds import refitted
from bayesmtl.left_out.held_out import LARGE, cells, design_of
from bayesmtl.left_out.integrated import integrated
from bayesmtl.left_out.smoothing import smoothed
from bayesmtl.progress import busy
from bayesmtl.weighted import TRUSTED

PLACE = ["task", "row"]  # which a cell is told by


def left_out(
    posts: Mapping[str, xr.DataTree], table: Any, unit: str, group: str | None, folds: int, seed: int
) -> dict[str, pd.DataFrame]:
    """The log density of every cell under each posterior, given the cells of all other units.

    Where coefficients were integrated out, cells and rows whose Pareto k is above 0.7 are left out by weights
    of what these were integrated out of. Groups, tasks, and other units whose k is above it under one of the
    posteriors are left out of refits of all of them, the same ones together: each by itself where there are
    ``folds`` at most, else in as many folds. Where these are 0 nothing is refitted.

    Returns
    -------
    dict
        For each posterior a frame of all cells, in the same order, with ``task``, ``row``, ``unit`` and
        ``cluster``; ``elpd``; the Pareto ``k`` of the weights; whether it is ``refitted``; and whether it
        stays ``high``: its k is above 0.7 and no refit mended it.

    Raises
    ------
    ModelError
        When the posteriors are not of the same cells, or the table is not theirs.
    """
    if not isinstance(folds, int) or (folds < 2 and (folds != 0 or unit in LARGE)):
        raise ModelError(Finding("folds", f"is {folds!r}.", "Give a whole number from 2."))
    if unit in LARGE and table is None:
        problem = f"is not given, and a {unit} is left out by refits."
        raise ModelError(Finding("table", problem, "Give the table that was fitted."))
    designs: dict[str, Design | None] = {}
    frames: dict[str, pd.DataFrame] = {}
    with busy("leaving out what is to be predicted"):
        for name, post in posts.items():
            designs[name] = None if table is None else design_of(post, table)
            frame = cells(post, designs[name], table, unit, group)
            frames[name] = frame = _numbered(frame, next(iter(frames.values()), frame), name)
            if unit in LARGE:
                frames[name] = frame.assign(elpd=np.nan, k=np.nan)
            else:
                frames[name] = smoothed(post, designs[name], frame, unit)
    for name, post in posts.items():
        frames[name] = integrated(post, designs[name], frames[name], unit, seed, name)
    bad = np.unique(np.concatenate([f["unit"][~(f["k"] <= TRUSTED)] for f in frames.values()]))
    dealt = _dealt(bad, folds, seed) if folds else []
    for name, frame in frames.items():
        frames[name] = frame.assign(refitted=False, high=frame["k"] > TRUSTED)
        if (design := designs[name]) is not None and len(bad) and folds:
            frames[name] = _mended(frames[name], design, dealt, unit, seed, name)
    first = next(iter(frames.values()))
    return {name: _ordered(frame, first) for name, frame in frames.items()}


def _mended(
    frame: pd.DataFrame, design: Design, dealt: list[np.ndarray], unit: str, seed: int, name: str
) -> pd.DataFrame:
    """Cells with what fits without some of the units say of these; as they were, if there can be none."""
    out = [frame["unit"].isin(fold).to_numpy() for fold in dealt]
    try:
        elpd, agree = refitted(design, out, unit, seed, f"refits of {name}")
    except ModelError:
        if unit in LARGE:
            raise
        return frame
    mended = np.any(out, axis=0)
    off = np.any([where & (not well) for where, well in zip(out, agree, strict=True)], axis=0)
    return frame.assign(elpd=np.where(mended, elpd, frame["elpd"]), refitted=mended, high=off)


def _numbered(frame: pd.DataFrame, first: pd.DataFrame, name: str) -> pd.DataFrame:
    """Cells with the numbers that the units and clusters of another posterior have."""
    if frame[PLACE].equals(first[PLACE]):  # an index of a million rows takes its time
        return frame.assign(unit=first["unit"], cluster=first["cluster"])
    found = first.set_index(PLACE)[["unit", "cluster"]].reindex(pd.MultiIndex.from_frame(frame[PLACE]))
    if len(frame) != len(first) or found["unit"].isna().any():
        problem = "is of other cells."
        raise ModelError(Finding(name, problem, "Fit the same tasks to the same table."))
    return frame.assign(**{column: found[column].to_numpy(int) for column in found})


def _ordered(frame: pd.DataFrame, first: pd.DataFrame) -> pd.DataFrame:
    """Cells in the order that they have in another frame."""
    if frame[PLACE].equals(first[PLACE]):
        return frame
    return frame.set_index(PLACE).loc[pd.MultiIndex.from_frame(first[PLACE])].reset_index()


def _dealt(units: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """Units in so many folds at most, by chance and of about one size."""
    mixed = np.random.default_rng(seed).permutation(units)
    return [mixed[at::folds] for at in range(min(folds, len(mixed)))]
