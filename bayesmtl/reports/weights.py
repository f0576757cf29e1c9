"""What each task weighs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr


def weights(post: xr.DataTree, *, prob: float = 0.9) -> pd.DataFrame:
    """Each task's noise, its loss weight, and its share of the information, with intervals; [task].

    ``noise`` is the standard deviation of a response about its mean, in the response's units (its median:
    the mean need not be finite). The loss
    weight is the factor before the family's own loss in the negative log density: for normal noise
    ``1 / (2 sigma^2)`` before the squared error, Kendall's convention; twice that, ``1 / sigma^2``, is the
    precision. A family without a free scale weighs 1. Weights of different losses or units can't be compared;
    the ``share`` can: a task's cells times Fisher's information per cell about its linear predictor (in
    standard deviations of the response where that has units), over the sum of all tasks. It says who shapes
    what the tasks share.

    Returns
    -------
    DataFrame
        Index ``task``; columns ``likelihood``, ``tempered`` (whether importance or row weights raise the
        likelihood to a power), ``cells``, ``empty``, then ``noise``, ``loss``, ``weight`` and
        ``share``, each number with its ``_low`` and ``_high``.

    Examples
    --------
    >>> weights(post)["share"]  # doctest: +SKIP

    References
    ----------
    Kendall, Gal and Cipolla (2018). Multi-task learning using uncertainty to weigh losses for scene
        geometry and semantics. Conference on Computer Vision and Pattern Recognition, 7482-7491.
    """
    constant = post.constant_data
    noise, weight = (of_tasks(post, name) for name in ("noise", "loss_weight"))
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


def _interval(
    name: str, draws: xr.DataArray, prob: float, middle: Callable[..., Any] = np.mean
) -> dict[str, np.ndarray]:
    """Middle and central interval over all draws; [task]."""
    flat = draws.transpose("task", "chain", "draw").values.reshape(draws.sizes["task"], -1)
    low, high = np.quantile(flat, [(1 - prob) / 2, (1 + prob) / 2], axis=1)
    return {name: middle(flat, axis=1), f"{name}_low": low, f"{name}_high": high}
