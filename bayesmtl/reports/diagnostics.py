"""What can't be trusted."""

import warnings
from collections.abc import Iterator
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import kstest

from bayesmtl import trees

COLUMNS = ["where", "problem", "value", "threshold", "remedy"]
MIX = "Draw more (engine draws, warmup); if it stays, look at that parameter's prior and data."
REACH = "Raise the engine's target_accept towards 0.99, or set tighter priors on the scales."


def diagnostics(
    post: xr.DataTree,
    *,
    rhat: float = 1.01,
    ess: float = 100.0,
    energy: float = 0.3,
    pareto_k: float = 0.7,
    calibration: float = 0.001,
) -> pd.DataFrame:
    """One row per failure, worst first, each with what to do; empty when all is well.

    Parameters
    ----------
    rhat
        The largest potential scale reduction.
    ess
        The least effective sample size per chain, in the bulk and in the tails.
    energy
        The least Bayesian fraction of missing information of a chain.
    pareto_k
        The largest shape of the importance ratios of a cell that is left out.
    calibration
        The least p-value for a task's leave-one-out predictions to be uniform in their ranks: a false
        alarm in that share of tasks.

    Returns
    -------
    DataFrame
        Columns ``where``, ``problem``, ``value``, ``threshold``, ``remedy``.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021). Rank-normalization, folding, and
        localization: an improved R-hat. Bayesian Analysis 16, 667-718.
    Betancourt (2016). Diagnosing suboptimal cotangent disintegrations in Hamiltonian Monte Carlo. arXiv
        1604.00695.
    Vehtari, Simpson, Gelman, Yao and Gabry (2024). Pareto smoothed importance sampling. Journal of
        Machine Learning Research 25(72), 1-58.
    """
    rows = [
        *_sampler(post, energy),
        *_convergence(post, rhat, ess * post.posterior.sizes["chain"]),
        *_cells(post, pareto_k, calibration),
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _sampler(post: xr.DataTree, energy: float) -> Iterator[tuple[Any, ...]]:
    stats = post.sample_stats
    if not post.attrs.get("complete", 1):
        drawn = post.posterior.sizes["draw"]
        yield "fit", "was interrupted", drawn, np.nan, "Fit again and let it end."
    if diverging := int(stats["diverging"].sum()):
        yield "fit", "divergent trajectories", diverging, 0, REACH
    deepest = int(stats["tree_depth"].max())
    if full := int((stats["tree_depth"] >= 10).sum()):
        yield "fit", f"trajectories cut off at depth {deepest}", full, 0, MIX
    least = float(arviz_stats.bfmi(post.sample_stats["energy"]).min())
    if least < energy:
        yield "fit", "energy explored slowly", least, energy, REACH


def _convergence(post: xr.DataTree, rhat: float, ess: float) -> Iterator[tuple[Any, ...]]:
    draws = trees.parameters(post)
    if not draws.size or draws.sizes["draw"] < 4:
        return
    mixing = arviz_stats.rhat(draws)
    for name, value in _worst(mixing, mixing > rhat, highest=True):
        yield name, "chains disagree: R-hat", value, rhat, MIX
    for method, where in (("bulk", "the bulk"), ("tail", "the tails")):
        size = arviz_stats.ess(draws, method=method)
        for name, value in _worst(size, size < ess, highest=False):
            yield name, f"few effective draws in {where}", value, ess, MIX


def _cells(
    post: xr.DataTree, pareto_k: float, calibration: float
) -> Iterator[tuple[Any, ...]]:
    if "log_likelihood" not in post:
        return
    for task in post.log_likelihood.data_vars:
        loo, p = _left_out(post, str(task))
        if high := int((loo.pareto_k > pareto_k).sum()):
            worst = loo.pareto_k.idxmax().item()
            yield (
                f"{task}",
                f"cells that decide their own prediction: Pareto k, most at {worst}",
                high,
                0,
                "Look at these cells; try a likelihood with heavier tails, such as student_t.",
            )
        if p < calibration:
            yield (
                f"{task}",
                "predictions are not calibrated: p of uniform ranks",
                p,
                calibration,
                "Look at the task's predictive check; change its likelihood or its formula.",
            )


def _left_out(post: xr.DataTree, task: str) -> tuple[Any, float]:
    """A task's leave-one-out densities, and the p-value of its ranks under uniformity."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ArviZ warns of a large k, which is a row here
        loo = arviz_stats.loo(post, var_name=task, pointwise=True)
        ranks = arviz_stats.loo_pit(
            post, var_names=[task], log_weights={task: loo.log_weights}, pareto_k={task: loo.pareto_k}
        )[task].values
    return loo, float(kstest(ranks[np.isfinite(ranks)], "uniform").pvalue)


def _worst(
    values: xr.DataArray, bad: xr.DataArray, *, highest: bool, most: int = 10
) -> list[tuple[str, float]]:
    """The parameters where ``bad`` holds, worst first."""
    found = values.where(bad, drop=True).sortby(values.where(bad, drop=True), ascending=not highest)
    return [(str(name), float(v)) for name, v in zip(found.parameter.values, found.values)][:most]
