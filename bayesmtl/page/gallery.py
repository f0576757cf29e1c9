"""The figures of each section of a page."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from bayesmtl import labelled
from bayesmtl.page import gain, groups, plots, predictive, prior, relatedness, sources, tables
from bayesmtl.page.asked import Answers
from bayesmtl.page.figures import Picture
from bayesmtl.page.numbers import APOSTROPHE
from bayesmtl.reports.weights import of_tasks, shares


def pictures(post: xr.DataTree, known: Answers, shown: list[str]) -> dict[str, list[Picture]]:
    """The figures of each section."""
    gained = known.transfer is not None and len(known.transfer) > 1
    return {
        "weights": list(_weights(post)),
        "coefficients": list(_coefficients(post)),
        "gain": [gain.picture(known.transfer)] if gained else [],
        "sharing": list(_sharing(post)),
        "groups": list(groups.pictures(post)),
        "mixing": list(_mixing(post, shown)),
        "predictions": _predictions(post, list(map(str, known.diagnostics["where"]))),
        "prior": prior.pictures(post),
    }


def _weights(post: xr.DataTree) -> Iterator[Picture]:
    """The information, and the noise beside the spread of the responses."""
    if post.constant_data.sizes["task"] > 1:
        share = 100 * shares(post).transpose("chain", "draw", "task")
        yield plots.intervals(share, "Share of the information", unit="%", zero=True)
    noise = of_tasks(post, "noise").transpose("chain", "draw", "task")
    noise = noise.isel(task=np.isfinite(noise.values).any((0, 1)))
    if "observed_data" in post and noise.sizes["task"]:
        spread = [float(post["observed_data"][str(name)].std()) for name in noise.task.values]
        part = (noise / xr.DataArray(spread, dims="task")).clip(max=10.0)
        what = f"Noise as a part of the response{APOSTROPHE}s standard deviation"
        yield plots.intervals(part, what, middle="median", zero=True)


def _coefficients(post: xr.DataTree) -> Iterator[Picture]:
    """Weights by predictor where the tasks have one unit, else by task, standardised."""
    if "weight" not in post.posterior or not post.posterior["weight"].size:
        return
    weight = post.posterior["weight"].transpose("chain", "draw", "task", "feature")
    uses = np.isfinite(weight).any(("chain", "draw"))
    if one_unit(post):
        for name in list(weight.feature.values)[: plots.MOST]:
            own = weight.sel(feature=name, drop=True).isel(task=uses.sel(feature=name).values)
            if own.sizes["task"]:
                yield plots.intervals(own, f"{name}", unit="per unit of the predictor", zero=True)
        return
    scaled = weight * post.constant_data["sd"]
    for name in list(weight.task.values)[: plots.MOST]:
        own = scaled.sel(task=name, drop=True).isel(feature=uses.sel(task=name).values)
        if own.sizes["feature"]:
            unit = "per sd of the predictor"
            yield plots.intervals(own, f"{name}", unit=unit, zero=True)


def one_unit(post: xr.DataTree) -> bool:
    """Whether the weights of one predictor have the same unit in all tasks."""
    model, units = sources.model_of(post), post.constant_data["unit"].values
    return model.as_rows or bool(np.all(units == 1.0))


def _sharing(post: xr.DataTree) -> Iterator[Picture]:
    posterior = post.posterior
    for name, what in (
        ("share", f"Share of a weight{APOSTROPHE}s variance that the tasks have in common"),
        ("scale", "Scale of the weights, standardised"),
    ):
        if name in posterior and posterior[name].dims[2:] == ("feature",) and posterior[name].size:
            yield plots.intervals(posterior[name], what, zero=True)
    if (pairs := tables.correlations(post)) is not None:
        yield plots.intervals(pairs, f"Correlation of two tasks{APOSTROPHE} weights", zero=True)
    if (found := relatedness.picture(post)) is not None:
        yield found


def _mixing(post: xr.DataTree, shown: list[str]) -> Iterator[Picture]:
    stats = post.children.get("sample_stats")
    draws = labelled.parameters(post)
    pairs = [plots.mixing(draws.sel(parameter=name, drop=True), stats, name) for name in shown]
    for kind in zip(*pairs):
        yield from kind
    if stats is not None and "energy" in stats:
        yield plots.energy(stats)


def _predictions(post: xr.DataTree, failing: list[str]) -> list[Picture]:
    """Predictive checks, first of the tasks that the diagnostics name."""
    if "posterior_predictive" not in post or "observed_data" not in post:
        return []
    tasks = [str(name) for name in post.constant_data.task.values]
    return predictive.checks(post, sorted(tasks, key=lambda name: name not in failing)[: predictive.MOST])
