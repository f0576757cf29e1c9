"""Posteriors of several models, held against each other."""

from collections.abc import Mapping
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.utils import ELPDDataLOO

from bayesmtl.errors import Finding, ModelError
from bayesmtl.left_out.left_out import left_out
from bayesmtl.weighted import TRUSTED


def compare(
    posts: Mapping[str, xr.DataTree],
    table: Any = None,
    *,
    unit: str = "cell",
    group: str | None = None,
    task: str | None = None,
    folds: int = 10,
    seed: int | None = None,
) -> pd.DataFrame:
    """Expected log predictive densities of several models of the same cells, with stacking weights.

    What ``unit``, ``group``, ``table`` and ``folds`` mean, ``transfer`` says.

    Parameters
    ----------
    posts
        Fits by their names.
    task
        The only one whose cells count; by default all do.
    seed
        Of refits; by default that of the first fit.

    Returns
    -------
    DataFrame
        A row for each model, the best first: ``elpd``; how far it is ``behind`` the best, with the standard
        error ``se`` of that, by the totals of groups or rows; its ``weight`` when predictions are stacked,
        which is 0 of a model that adds nothing to the others; the largest Pareto ``k``, and how many cells
        were ``refitted`` and are still ``high``.

    Raises
    ------
    ModelError
        When the posteriors are not of the same cells, or the table is not theirs or is needed.

    References
    ----------
    Yao, Vehtari, Simpson and Gelman (2018). Using stacking to average Bayesian predictive distributions.
        Bayesian Analysis 13, 917-1003.

    Examples
    --------
    >>> compare({"partial": one, "low rank": other})["weight"]  # doctest: +SKIP
    """
    if not isinstance(posts, Mapping) or len(posts) < 2:
        raise ModelError(Finding("posts", "are not several fits by their names.", "Give a dict of them."))
    start = int(next(iter(posts.values())).attrs["seed"]) if seed is None else seed
    frames = left_out(posts, table, unit, group, folds, start)
    first = next(iter(frames.values()))
    if task is not None and task not in set(first["task"]):
        raise ModelError(Finding("task", f'is no "{task}".', f"Name one of {list(first['task'].unique())}."))
    kept = np.ones(len(first), bool) if task is None else (first["task"] == task).to_numpy()
    frames = {name: frame[kept] for name, frame in frames.items()}
    each = pd.DataFrame({name: frame["elpd"] for name, frame in frames.items()})
    cluster = first["cluster"][kept]
    best = each.sum().idxmax()
    behind = each.sub(each[best], axis=0).groupby(cluster).sum()
    found = pd.DataFrame(
        {
            "elpd": each.sum(),
            "behind": behind.sum(),
            "se": np.sqrt(len(behind) * behind.var(ddof=1)),
            "weight": _stacked(each),
            "k": {name: frame["k"].max() for name, frame in frames.items()},
            **{of: {name: frame[of].sum() for name, frame in frames.items()} for of in ("refitted", "high")},
        }
    )
    return found.sort_values("elpd", ascending=False, kind="stable").rename_axis("model")


def _stacked(each: pd.DataFrame) -> pd.Series:
    """The weights by which the models' predictions, mixed, are best; [cell, model] log densities."""
    level = each.sub(each.max(axis=1), axis=0)  # which no weight depends on, and no density underflows
    told = {
        name: ELPDDataLOO(
            elpd=float(own.sum()),
            se=0.0,
            p=0.0,
            n_samples=1,
            n_data_points=len(own),
            scale="log",
            warning=False,
            good_k=TRUSTED,
            elpd_i=xr.DataArray(own.to_numpy()),
        )
        for name, own in level.items()
    }
    return arviz_stats.compare(told, method="stacking", round_to="none")["weight"]
