"""Posteriors that others computed, and how close ours must come."""

import json
from pathlib import Path

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr

SHARED = Path(__file__).parents[3] / "shared"
MCSE, SD = 4.0, 0.1  # how many combined Monte Carlo errors a mean may be off, and a sd by what share


def table(name: str) -> pd.DataFrame:
    """One of the shared tables."""
    path = SHARED / "data" / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"the shared table {name}.csv is not here")
    return pd.read_csv(path)


def published(name: str) -> dict:
    """A shared file of results."""
    path = SHARED / "reference" / f"{name}.json"
    if not path.exists():
        pytest.skip(f"the shared result {name}.json is not here")
    return json.loads(path.read_text())


def disagreements(draws: dict[str, xr.DataArray], summary: dict[str, dict]) -> dict[str, str]:
    """What of a published summary is not ours, within the errors of both; ``draws`` are [chain, draw]."""
    assert set(draws) == set(summary), sorted(set(draws) ^ set(summary))[:6]
    names = list(draws)
    ours = xr.DataArray(
        np.array([draws[n].transpose("chain", "draw").values for n in names]), dims=["name", "chain", "draw"]
    )
    error = arviz_stats.mcse(ours).values
    mean, sd = ours.mean(("chain", "draw")).values, ours.std(("chain", "draw")).values
    found = {}
    for i, name in enumerate(names):
        theirs = summary[name]
        away = abs(mean[i] - theirs["mean"]) / np.hypot(error[i], theirs["mcse_mean"])
        wide = sd[i] / theirs["sd"] - 1
        if away > MCSE or abs(wide) > SD:
            found[name] = f"{mean[i]:.4g} for {theirs['mean']:.4g}: {away:.1f} MCSE; sd {wide:+.1%}"
    return found


def sound(post: xr.DataTree) -> bool:
    """Whether default settings had no warm-up problems: no divergence, R-hat at most 1.01."""
    import bayesmtl as bm

    failed = bm.diagnostics(post)
    sampler = failed.problem.str.contains("divergent|R-hat|effective|cut off|slowly")
    assert not sampler.any(), failed[sampler].to_string()
    return True
