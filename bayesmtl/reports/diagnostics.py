"""What can't be trusted."""

import warnings
from collections.abc import Iterator
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import kstest

from bayesmtl import labelled

COLUMNS = ["where", "problem", "value", "threshold", "remedy"]
MOST = 10  # parameters that are named for one problem
# functions of parameters, and what offsets and cuts are for an average row
DERIVED = ("information", "loss_weight", "noise", "level", "cut_level")
MIX = "Draw more (engine draws, warmup); if it stays, look at that parameter's prior and data."
OFF = "Look at the task's predictive check; change its likelihood or its formula."
REACH = "Raise the engine's target_accept towards 0.99, or set tighter priors on the scales."
SAMPLE = 'Use engine = "nuts", or leave the engine out.'
FEW = 4  # chains, for as many of which the effective draws of an approximation should do


def diagnostics(
    post: xr.DataTree,
    *,
    rhat: float = 1.01,
    ess: float = 100.0,
    energy: float = 0.3,
    pareto_k: float = 0.7,
    calibration: float = 0.001,
) -> pd.DataFrame:
    """One row per failure, each with what to do; empty when all is well.

    What spoils everything comes first: the sampler or the approximation, then parameters, then single tasks;
    the worst first in each. Chains that agree say something of Markov chains only: an approximation is judged
    by the Pareto k and the effective draws of its importance weights.

    Parameters
    ----------
    rhat
        The largest potential scale reduction.
    ess
        The least effective sample size per chain, in the bulk and in the tails; of an approximation, that of
        its weighted draws, as of four chains.
    energy
        The least Bayesian fraction of missing information of a chain.
    pareto_k
        The largest shape of the importance ratios of an approximation, and of a cell that is left out.
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
        *(_approximation(post, pareto_k, FEW * ess) if approximate(post) else _sampler(post, energy)),
        *_mixing(convergence(post), rhat, ess * post.posterior.sizes["chain"]),
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


def approximate(post: xr.DataTree) -> bool:
    """Whether no Markov chain made the draws."""
    return bool(post.attrs.get("approximate", 0))


def _approximation(post: xr.DataTree, pareto_k: float, ess: float) -> Iterator[tuple[Any, ...]]:
    k, effective = float(post.attrs["pareto_k"]), float(post.attrs["effective"])
    if k > pareto_k:
        yield "fit", "the approximation can't be trusted: Pareto k", k, pareto_k, SAMPLE
    if effective < ess:
        yield "fit", "few effective draws of the approximation", effective, ess, SAMPLE


def convergence(post: xr.DataTree) -> pd.DataFrame:
    """How well each parameter's chains agree, fewest effective draws first; empty for an approximation.

    Returns
    -------
    DataFrame
        Index ``parameter``; columns ``rhat``, ``ess_bulk`` and ``ess_tail``.
    """
    if approximate(post):  # its draws are in no order, and resampled ones would count twice
        return pd.DataFrame(columns=["rhat", "ess_bulk", "ess_tail"], dtype=float)
    draws = labelled.parameters(post)
    own = [str(name).partition("[")[0] not in DERIVED for name in draws.parameter.values]
    draws = draws.isel(parameter=own)
    if not draws.size or draws.sizes["draw"] < 4:
        return pd.DataFrame(columns=["rhat", "ess_bulk", "ess_tail"], dtype=float)
    frame = pd.DataFrame(
        {
            "rhat": arviz_stats.rhat(draws).values,
            "ess_bulk": arviz_stats.ess(draws, method="bulk").values,
            "ess_tail": arviz_stats.ess(draws, method="tail").values,
        },
        index=pd.Index(draws.parameter.values.astype(str), name="parameter"),
    )
    return frame.sort_values("ess_bulk")


def _mixing(mixed: pd.DataFrame, rhat: float, ess: float) -> Iterator[tuple[Any, ...]]:
    """The worst parameters whose chains disagree or hardly move."""
    for column, problem, limit in (
        ("rhat", "chains disagree: R-hat", rhat),
        ("ess_bulk", "few effective draws in the bulk", ess),
        ("ess_tail", "few effective draws in the tails", ess),
    ):
        high = column == "rhat"
        values = mixed[column].sort_values(ascending=not high)
        for name, value in values[values > limit if high else values < limit].head(MOST).items():
            yield name, problem, value, limit, MIX


def _cells(post: xr.DataTree, pareto_k: float, calibration: float) -> Iterator[tuple[Any, ...]]:
    """Tasks with cells that decide their own prediction, or whose predictions are off."""
    if "log_likelihood" not in post:
        return
    for task in map(str, post.constant_data.task.values):
        k, p = _left_out(post, task)
        if high := int((k > pareto_k).sum()):
            cell = k[k.dims[0]].values[k.values.argmax()]
            problem = f"{high} of {k.size} cells decide their own prediction, most {cell}: Pareto k"
            yield task, problem, float(k.max()), pareto_k, _heavy(post, task)
        if p < calibration:
            yield task, "predictions are not calibrated: p of uniform ranks", p, calibration, OFF


def _heavy(post: xr.DataTree, task: str) -> str:
    """What to do about cells that weigh too much."""
    look = "Look at these cells: leave-one-out is not to be trusted there"
    kind = str(post.constant_data["likelihood"].sel(task=task).item())
    return f"{look}; try student_t, whose tails are heavier." if kind == "gaussian" else f"{look}."


def _left_out(post: xr.DataTree, task: str) -> tuple[xr.DataArray, float]:
    """The Pareto k of each cell, and the p-value of the leave-one-out ranks under uniformity."""
    # a cell with one density in all draws, such as of no trials, has no importance to smooth
    certain = (np.ptp(post.log_likelihood[task].values, axis=(0, 1)) == 0).nonzero()[0]
    if len(certain):
        post = _without(post, task, certain)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ArviZ warns of a large k, which is a row here
        loo = arviz_stats.loo(post, var_name=task, pointwise=True)
        smoothed = {"log_weights": {task: loo.log_weights}, "pareto_k": {task: loo.pareto_k}}
        ranks = arviz_stats.loo_pit(post, var_names=[task], **smoothed)[task].values
    return loo.pareto_k, float(kstest(ranks[np.isfinite(ranks)], "uniform").pvalue)


def _without(post: xr.DataTree, task: str, cells: np.ndarray) -> xr.DataTree:
    """One task of a posterior without some of its cells."""
    groups = {"posterior": post.posterior.to_dataset()}
    for name in ("log_likelihood", "posterior_predictive", "observed_data"):
        whole = post[name].to_dataset()[[task]]
        groups[name] = whole.drop_isel({whole[task].dims[-1]: cells})
    return xr.DataTree.from_dict(groups)
