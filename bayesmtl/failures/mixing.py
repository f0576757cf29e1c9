"""Chains that disagree, or hardly move."""

from collections.abc import Iterator

import arviz_stats
import pandas as pd
import xarray as xr

from bayesmtl import labelled
from bayesmtl.failures import Failure
from bayesmtl.failures.blocks import DERIVED, block, remedy

MOST = 10  # parameters that are named for one problem


def approximate(post: xr.DataTree) -> bool:
    """Whether no Markov chain made the draws."""
    return bool(post.attrs.get("approximate", 0))


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


def mixed(post: xr.DataTree, rhat: float, ess: float) -> Iterator[Failure]:
    """The worst parameters whose chains disagree or hardly move, with ``ess`` effective draws of a chain."""
    frame, chains = convergence(post), post.posterior.sizes["chain"]
    for column, problem, limit, theirs in (
        ("rhat", "chains disagree: R-hat", rhat, 1.01),
        ("ess_bulk", "few effective draws in the bulk", ess * chains, 100.0 * chains),
        ("ess_tail", "few effective draws in the tails", ess * chains, 100.0 * chains),
    ):
        high = column == "rhat"
        values = frame[column].sort_values(ascending=not high)
        for name, value in values[values > limit if high else values < limit].head(MOST).items():
            name, todo = str(name), f"Draw more (engine draws, warmup); if it stays: {remedy(str(name))}"
            yield Failure(name, problem, value, limit, todo, block(name), theirs)
