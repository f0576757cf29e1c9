"""What each task weighs."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.lending import lending
from bayesmtl.spec import Model

NOTHING = "nothing: its loss weight has no effect on any other task"


def weights(post: xr.DataTree, *, prob: float = 0.9) -> pd.DataFrame:
    """Each task's noise, its loss weight, and its share of the information, with intervals; [task].

    ``noise`` is the standard deviation of a response about its mean, in the response's units (its median:
    the mean need not be finite). The loss ``weight`` is the factor before the family's own loss in the
    negative log density. For normal noise that is ``1 / (2 sigma^2)`` before the squared error, the
    convention of Kendall's equations; twice that, ``1 / sigma^2``, is the ``precision``, the convention of
    their code, which doubles the whole loss. A family without a free scale weighs 1. Weights of different
    losses or units can't be compared; the ``share`` can: a task's cells times ``information``, Fisher's
    information per cell about its linear predictor (in standard deviations of the response where that has
    units), over the sum of all tasks. It says who shapes what the tasks share.

    ``borrowed`` is how many more cells of its own would tell a task as much of its weights as the others'
    data do; ``lent`` is how many cells of their own the others would need, all together, in place of its
    data; ``moved`` is how far its weights would move if its noise doubled, in their posterior standard
    deviations: the task where it is largest leans most on its own data's precision (NaN where the posterior
    keeps no log likelihood). ``shared`` names what a task has in common with others. Where that is nothing,
    its loss weight has no effect on any other task, and on its own answers against its own prior only.

    Returns
    -------
    DataFrame
        Index ``task``; columns ``likelihood``, ``tempered`` (whether importance or row weights raise the
        likelihood to a power), ``cells``, ``empty``, ``noise``, ``loss``, ``weight``, ``share``,
        ``precision``, ``information``, ``borrowed``, ``lent``, ``moved`` and ``shared``; each number that a
        posterior knows has its ``_low`` and ``_high``.

    Examples
    --------
    >>> weights(post)["share"]  # doctest: +SKIP

    References
    ----------
    Kendall, Gal and Cipolla (2018). Multi-task learning using uncertainty to weigh losses for scene
        geometry and semantics. Conference on Computer Vision and Pattern Recognition, 7482-7491.
    Morita, Thall and Mueller (2008). Determining the effective sample size of a parametric prior.
        Biometrics 64, 595-602.
    """
    constant, lent = post.constant_data, lending(post)
    noise, weight = (of_tasks(post, name) for name in ("noise", "loss_weight"))
    squared = [str(loss).startswith("squared error") for loss in constant["loss"].values]
    precision = 2 * weight.where(xr.DataArray(squared, dims="task"))
    given = lent.lent.sum(2)  # what a task lends to itself is nothing
    return pd.DataFrame(
        {
            "likelihood": constant["likelihood"].values.astype(str),
            "tempered": tempered(post),
            "cells": constant["cells"].values,
            "empty": constant["empty"].values,
            **_interval("noise", noise, prob, np.median),
            "loss": constant["loss"].values.astype(str),
            **_interval("weight", weight, prob),
            **_interval("share", shares(post), prob),
            **_interval("precision", precision, prob),
            **_interval("information", of_tasks(post, "information") * constant["unit"] ** 2, prob),
            **_interval("borrowed", _drawn(lent.borrowed), prob),
            **_interval("lent", _drawn(given), prob),
            "moved": np.diagonal(lent.moved),
            "shared": shared(post),
        },
        index=pd.Index(constant.task.values.astype(str), name="task"),
    )


def shares(post: xr.DataTree) -> xr.DataArray:
    """Each task's part of the information that all cells hold; [chain, draw, task]."""
    constant = post.constant_data
    information = of_tasks(post, "information") * constant["cells"] * constant["unit"] ** 2
    return information / information.sum("task")


def of_tasks(post: xr.DataTree, name: str) -> xr.DataArray:
    """A variable of the posterior at its tasks; weights also have labels for single categories."""
    return post.posterior[name].sel(task=post.constant_data.task.values)


def tempered(post: xr.DataTree) -> np.ndarray:
    """Whether each task's likelihood is raised to a power; [task]."""
    constant = post.constant_data
    return np.asarray(constant.get("tempered", np.zeros(constant.sizes["task"])), bool)


def shared(post: xr.DataTree) -> list[str]:
    """What each task has in common with others, in words; [task]."""
    model, constant, drawn = Model.read(json.loads(post.attrs["model"])), post.constant_data, post.posterior
    names = [str(name) for name in constant.task.values]
    uses = constant["uses"].values
    beside = (uses & (uses.sum(0) > 1)).any(1)  # a predictor that another task has too
    summed = model.relation.get("relations", [model.relation])
    kinds = {part if isinstance(part, str) else part["kind"] for part in summed}
    alike = beside & bool(kinds - {"independent"})
    sized = beside & (model.shrinkage["kind"] != "flat")
    pooled = np.array([task.likelihood.get("sigma") == "pooled" for task in model.listed_tasks(names)])
    found = {"weights": alike, "sizes of weights": sized, "noise": pooled & (pooled.sum() > 1)}
    linked = [str(name) for name, array in drawn.items() if "task" in array.dims and "task_" in array.dims]
    for kind, start in (("residuals", "residual_"), ("group effects", "correlation_")):
        found[kind] = np.zeros(len(names), bool)
        for array in (drawn[name].sel(task=names) for name in linked if name.startswith(start)):
            some = np.isfinite(array).any([d for d in array.dims if d != "task"]).values
            found[kind] |= some & (some.sum() > 1)
    return [", ".join(kind for kind in found if found[kind][t]) or NOTHING for t in range(len(names))]


def _drawn(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values[None], dims=["chain", "draw", "task"])


def _interval(
    name: str, draws: xr.DataArray, prob: float, middle: Callable[..., Any] = np.mean
) -> dict[str, np.ndarray]:
    """Middle and central interval over all draws; [task]."""
    flat = draws.transpose("task", "chain", "draw").values.reshape(draws.sizes["task"], -1)
    low, high = np.quantile(flat, [(1 - prob) / 2, (1 + prob) / 2], axis=1)
    return {name: middle(flat, axis=1), f"{name}_low": low, f"{name}_high": high}
