"""A sampler or an approximation that did not reach the whole posterior."""

from collections.abc import Iterator

import arviz_stats
import numpy as np
import xarray as xr

from bayesmtl import labelled
from bayesmtl.failures import Failure
from bayesmtl.failures.blocks import DERIVED, FIT, block, remedy

REACH = "Raise the engine's target_accept towards 0.99, or set tighter priors on the scales."
LONGER = "Draw more (engine draws, warmup); if it stays, look at that parameter's prior and data."
SAMPLE = 'Use engine = "nuts", or leave the engine out.'
FEW = 4  # chains, for as many of which the effective draws of an approximation should do
DEEP = 10  # doublings of a trajectory, at which it is cut off
NAMED = 3  # parameters at which divergences are located
APART = 0.5  # standard deviations that divergent draws lie off the others
SURE = 4.0  # standard errors of that


def sampled(post: xr.DataTree, energy: float) -> Iterator[Failure]:
    """What went wrong with Markov chains, divergences located."""
    stats = post.sample_stats
    if not post.attrs.get("complete", 1):
        drawn = post.posterior.sizes["draw"]
        yield Failure(FIT, "was interrupted", drawn, np.nan, "Fit again and let it end.", FIT)
    if diverging := int(stats["diverging"].sum()):
        yield Failure(FIT, "divergent trajectories", diverging, 0, REACH, FIT, 0)
        yield from located(post, stats["diverging"].values)
    deepest = int(stats["tree_depth"].max())
    if full := int((stats["tree_depth"] >= DEEP).sum()):
        yield Failure(FIT, f"trajectories cut off at depth {deepest}", full, 0, LONGER, FIT, 0)
    least = float(arviz_stats.bfmi(post.sample_stats["energy"]).min())
    if least < energy:
        yield Failure(FIT, "energy explored slowly", least, energy, REACH, FIT, 0.3)


def approximated(post: xr.DataTree, pareto_k: float, ess: float) -> Iterator[Failure]:
    """What went wrong with draws that no Markov chain made."""
    k, effective = float(post.attrs["pareto_k"]), float(post.attrs["effective"])
    if k > pareto_k:
        yield Failure(FIT, "the approximation can't be trusted: Pareto k", k, pareto_k, SAMPLE, FIT, 0.7)
    if effective < FEW * ess:
        problem = "few effective draws of the approximation"
        yield Failure(FIT, problem, effective, FEW * ess, SAMPLE, FIT)


def located(post: xr.DataTree, diverging: np.ndarray) -> Iterator[Failure]:
    """The parameters whose draws at divergences lie furthest off the others, in standard deviations.

    The narrow end of a funnel is at small scales: what is positive is seen by its logarithm. Betancourt and
    Girolami (2015). Hamiltonian Monte Carlo for hierarchical models. In Current Trends in Bayesian
    Methodology with Applications, 79-101. CRC Press.
    """
    draws = labelled.parameters(post)
    draws = draws.isel(parameter=[str(n).partition("[")[0] not in DERIVED for n in draws.parameter.values])
    values = draws.values
    positive = (values > 0).all((1, 2))
    values = np.where(positive[:, None, None], np.log(np.where(positive[:, None, None], values, 1.0)), values)
    at, others = values[:, diverging], values[:, ~diverging]
    if at.shape[1] < 3 or others.shape[1] < 3:
        return
    spread = others.std(1)
    away = (at.mean(1) - others.mean(1)) / np.where(spread > 0, spread, np.inf)
    error = np.maximum(1.0, at.std(1) / np.where(spread > 0, spread, np.inf)) / np.sqrt(at.shape[1])
    for i in np.argsort(-np.abs(away))[:NAMED]:
        if abs(away[i]) > max(APART, SURE * error[i]):
            name = str(draws.parameter.values[i])
            side = "high" if away[i] > 0 else "low"
            problem = f"divergent where it is {side}: standard deviations off the other draws"
            yield Failure(name, problem, float(away[i]), APART, f"{remedy(name)} {REACH}", block(name))
