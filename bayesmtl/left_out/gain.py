"""Whether tasks gain by being fitted together."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import t as student

from bayesmtl import tables
from bayesmtl.chains import Watch
from bayesmtl.errors import Finding, ModelError
from bayesmtl.left_out.left_out import left_out
from bayesmtl.multiplicity import adjusted
from bayesmtl.posterior import fit
from bayesmtl.replay import astray
from bayesmtl.runtime import ready
from bayesmtl.spec import Model

ALL = "all tasks"  # the name of the row that sums up all others
SLIGHT = 4.0  # a difference of log densities below which its standard error says too little


def transfer(
    post: xr.DataTree,
    alone: xr.DataTree | None = None,
    table: Any = None,
    *,
    unit: str = "cell",
    group: str | None = None,
    folds: int = 10,
    alarm: float = 0.05,
    seed: int | None = None,
    watch: Watch | None = None,
) -> pd.DataFrame:
    """Whether sharing helped or harmed each task: its expected log predictive density, joint against alone.

    ``unit`` says what is asked. Each cell is predicted from all cells but those of its unit: itself,
    so that the other tasks of its row are known; its ``row``; its ``group``, as of a group that comes new; or
    its ``task``, as of a task that comes new, of which the others are all that is known.

    Cells and rows are left out by importance weights of the draws, and where the Pareto k of these is above
    0.7 and coefficients were integrated out, by weights of the scales alone. Without groups and tasks, and
    where k stays above 0.7 under either fit, both models are fitted anew, on the priors of the whole table:
    without each unit by itself if they are few, else without some at a time. One compiled program draws all
    of these fits side by side.

    Alone is the same model with no sharing: independent weights, residuals and group effects. What only says
    how large things are stays as it is, the scales of shrinkage and noise that is pooled, so that the gain is
    one of sharing and not of other priors. An empty cell is none, and a tempered one counts by its power.

    Parameters
    ----------
    post
        The joint fit.
    alone
        The tasks' fits without each other; by default it is made here, which takes the table and some time.
    table
        That of the fit. It may be left out for units that are cells or rows, of a model without groups, with
        all log densities recorded; then nothing is fitted.
    unit
        "cell", "row", "group" or "task".
    group
        The column whose levels are left out, and within which errors are taken to be alike; by default that
        of the model's group with the most levels.
    folds
        The most refits of each model; 0 is none, for cells and rows: those with a high k then stay high.
    alarm
        The chance of a false verdict on any task, where none gains or loses; and that of one on all of them.
    seed
        Of refits; by default that of the joint fit.
    watch
        Called with the progress of the fit alone; by default it is shown on stderr.

    Returns
    -------
    DataFrame
        A row for each task, and a last one, "all tasks": the ``cells``; ``elpd`` and ``elpd_alone``, sums
        over these; ``gain``, their difference, and ``se``, its standard error by the totals of groups, or of
        rows where there are none; ``p`` of no gain, that of tasks after Holm; the largest Pareto ``k`` of
        weights, if these were tried; how many cells were ``refitted``, and of how many the k stays ``high``;
        and the ``verdict``: "helps", "harms" or "can't tell". Below a gain of 4 none is given, as its
        standard error says too little, and none where cells are high.

    Raises
    ------
    ModelError
        When the two are not of the same cells, or the table is not theirs or is needed.

    References
    ----------
    Vehtari, Gelman and Gabry (2017). Practical Bayesian model evaluation using leave-one-out cross-validation
        and WAIC. Statistics and Computing 27, 1413-1432.
    Vehtari, Mononen, Tolvanen, Sivula and Winther (2016). Bayesian leave-one-out cross-validation
        approximations for Gaussian latent variable models. Journal of Machine Learning Research 17(103),
        1-38.
    Roberts and others (2017). Cross-validation strategies for data with temporal, spatial, hierarchical, or
        phylogenetic structure. Ecography 40, 913-929.
    Sivula, Magnusson, Matamoros and Vehtari (2025). Uncertainty in Bayesian leave-one-out cross-validation
        based model comparison. Bayesian Analysis.
    Standley, Zamir, Chen, Guibas, Malik and Savarese (2020). Which tasks should be learned together in
        multi-task learning? International Conference on Machine Learning 37, 9120-9132.

    Examples
    --------
    >>> transfer(post, table=table)[["gain", "se", "verdict"]]  # doctest: +SKIP
    """
    start = int(post.attrs["seed"]) if seed is None else seed
    if len(post.constant_data.task) < 2:
        raise ModelError(Finding("posterior", "is of one task, which shares with none.", "Fit several."))
    if not 0 < alarm < 1:
        raise ModelError(Finding("alarm", f"is {alarm!r}.", "Give a number between 0 and 1."))
    if alone is None:
        if table is None:
            problem = "is not given, and neither is a fit of the tasks alone."
            raise ModelError(Finding("table", problem, "Give the table that was fitted, or alone = ..."))
        apart = separate(Model.read(json.loads(post.attrs["model"])), table)
        alone = fit(apart, table, seed=start, watch=watch)
    both = left_out({"posterior": post, "alone": alone}, table, unit, group, folds, start)
    joint, apart_ = both["posterior"], both["alone"]
    cells = joint.assign(
        elpd_alone=apart_["elpd"],
        gain=joint["elpd"] - apart_["elpd"],
        k=np.maximum(joint["k"], apart_["k"]),
        high=joint["high"] | apart_["high"],
    )
    return pd.concat([_told(cells, alarm), _told(cells.assign(task=ALL), alarm)]).rename_axis("task")


def _told(cells: pd.DataFrame, alarm: float) -> pd.DataFrame:
    """What left-out cells say of each task, in the order of appearance."""
    by, found = cells.groupby("task", sort=False), judged(cells, alarm)
    told = pd.DataFrame(
        {
            "cells": by.size(),
            **{name: by[name].sum() for name in ("elpd", "elpd_alone", "gain")},
            **{name: found[name] for name in ("se", "p")},
            "k": by["k"].max(),
            **{name: by[name].sum() for name in ("refitted", "high")},
        }
    )
    return told.assign(verdict=found["verdict"].where(told["high"] == 0, "can't tell"))


def judged(gains: pd.DataFrame, alarm: float) -> pd.DataFrame:
    """What cells gain, summed up by task; a false verdict on any of them has the chance ``alarm``.

    Parameters
    ----------
    gains
        Columns ``task``, ``cluster`` and ``gain``; a row for each cell. Clusters are taken to be independent.

    Returns
    -------
    DataFrame
        Index ``task``, in order of appearance; columns ``gain``, ``se``, ``p`` after Holm, ``verdict``.
    """
    total = gains.groupby(["task", "cluster"], sort=False)["gain"].sum().groupby("task", sort=False)
    gain, count = total.sum(), total.size()
    se = np.sqrt(count * total.var(ddof=1))  # nan of one cluster
    apart = (gain.abs() / se.where(se > 0)).to_numpy()
    p = adjusted(2 * student.sf(apart, np.maximum(count - 1, 1)), "holm")
    sure = (p <= alarm) & (gain.abs() >= SLIGHT)
    words = np.where(sure, np.where(gain > 0, "helps", "harms"), "can't tell")
    return pd.DataFrame({"gain": gain, "se": se, "p": p, "verdict": words}, index=gain.index)


def separate(model: Model, table: Any) -> Model:
    """A model whose tasks have nothing in common but how large things are."""

    def unlinked(formula: str | None) -> str | None:
        return formula and re.sub(r"\|\s*\w+\s*\|", "|", formula)

    tasks = {
        name: {**own, "formula": unlinked(own["formula"])}
        if isinstance(own, Mapping) and "formula" in own
        else own
        for name, own in model.tasks.items()
    }
    apart = replace(
        model,
        tasks=tasks,
        formula=unlinked(model.formula),
        relation={"kind": "independent"},
        residual={"kind": "independent"},
    )
    return governed(apart, table)


def governed(model: Model, table: Any) -> Model:
    """A model without the priors of parameters that it does not have."""
    if not model.priors:
        return model
    with ready():
        lost = {found.where for found in astray(model, tables.frame(table))}
    return replace(model, priors={k: v for k, v in model.priors.items() if f"priors.{k}" not in lost})
