"""Posteriors that nobody had to sample: numpy through xarray, shaped as ``fit`` leaves them."""

import json

import numpy as np
import xarray as xr

TASKS = ("stay.days", "mood", "readmit")  # a dot, since cells are called task.unit
LIKELIHOODS = ("gaussian", "ordinal", "bernoulli")
FEATURES = ("age", "größe")
GRADES = ("low", "middle", "high", "very high", "top")
ROWS, CHAINS, DRAWS = 31, 3, 53  # distinct primes: a transposed axis can't hide
PRIOR = 71  # draws from the prior
EMPTY = 1  # of the gaussian task


def fake_posterior(seed: int = 0, tasks: tuple[str, str, str] = TASKS) -> xr.DataTree:
    """A posterior of a gaussian task with an empty cell, an ordinal and a bernoulli one.

    It has the groups, variables and attributes that ``trees.grow`` and ``trees.stamp`` make. Draws
    are independent, but so few that the diagnostics ask for more.
    """
    draw = np.random.default_rng(seed)
    x = draw.normal([60.0, 170.0], [12.0, 9.0], (ROWS, 2))
    posterior = _posterior(draw, tasks, x)
    cells = _cells(draw, tasks, x, posterior)
    chains = {"chain": range(CHAINS), "draw": range(DRAWS)}
    stats = {
        "diverging": np.zeros((CHAINS, DRAWS), bool),
        "energy": 300.0 + draw.normal(size=(CHAINS, DRAWS)),
        "n_steps": np.full((CHAINS, DRAWS), 7),
        "tree_depth": np.full((CHAINS, DRAWS), 3),
        "acceptance_rate": draw.beta(8.0, 2.0, (CHAINS, DRAWS)),
        "lp": -290.0 + draw.normal(size=(CHAINS, DRAWS)),
    }
    prior = {n: draw.normal(size=(CHAINS, DRAWS)) for n in ("level", "cut_level", "sigma", "share")}
    by_draw = {
        name: xr.Dataset({k: (("chain", "draw"), v) for k, v in values.items()}, coords=chains)
        for name, values in {"sample_stats": stats, "log_prior": prior}.items()
    }
    constant = _constant(tasks, x, cells["observed_data"])
    before = _before(draw, posterior, cells["observed_data"])
    groups = {"posterior": posterior, **by_draw, **cells, **before, "constant_data": constant}
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = _attrs(seed, tasks)
    return tree


def _posterior(draw: np.random.Generator, tasks: tuple[str, ...], x: np.ndarray) -> xr.Dataset:
    """The parameters; what a task does not have is nan."""
    shape, cut = (CHAINS, DRAWS), len(GRADES) - 1

    def cloud(place: object, spread: object, *sizes: int) -> np.ndarray:
        return np.asarray(place) + np.asarray(spread) * draw.normal(size=(*shape, *sizes))

    weight = cloud([[0.1, 0.2], [0.03, -0.05], [0.05, 0.02]], [[0.03], [0.01], [0.02]], 3, 2)
    shift = weight @ x.mean(0)
    gaussian, ordinal, offset = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1]], bool)
    level = np.where(offset, cloud([5.0, 0.0, -0.5], 0.3, 3), np.nan)
    cuts = np.sort(cloud([-2.0, -0.5, 0.5, 2.0], 0.2, cut))[:, :, None]
    cut_level = np.where(ordinal[:, None], cuts, np.nan)
    sigma = np.where(gaussian, np.exp(cloud(0.4, 0.1, 3)), np.nan)
    of_task = ("chain", "draw", "task")
    of_feature, of_cut = ("chain", "draw", "feature"), (*of_task, "threshold")
    return xr.Dataset(
        {
            "weight": ((*of_task, "feature"), weight),
            "share": (of_feature, draw.beta(2.0, 2.0, (*shape, 2))),
            "scale": (of_feature, np.exp(cloud(-1.0, 0.3, 2))),
            "level": (of_task, level),
            "offset": (of_task, level - shift),
            "cut_level": (of_cut, cut_level),
            "cut": (of_cut, cut_level + shift[..., None]),
            "sigma": (of_task, sigma),
            "noise": (of_task, sigma),
            "loss_weight": (of_task, np.where(gaussian, 0.5 * sigma**-2, 1.0)),
            "information": (
                of_task,
                np.where(gaussian, sigma**-2, np.exp(cloud([0.0, -1.1, -1.5], 0.05, 3))),
            ),
        },
        coords={
            "chain": range(CHAINS),
            "draw": range(DRAWS),
            "task": list(tasks),
            "feature": list(FEATURES),
            "threshold": [str(k + 1) for k in range(cut)],
        },
    )


def _cells(
    draw: np.random.Generator, tasks: tuple[str, ...], x: np.ndarray, posterior: xr.Dataset
) -> dict[str, xr.Dataset]:
    """What was observed in each cell, its log density, and new draws of it."""
    observed, likely, drawn = xr.Dataset(), xr.Dataset(), xr.Dataset()
    units = np.arange(1, ROWS + 1)
    lead = {"chain": range(CHAINS), "draw": range(DRAWS)}
    for k, (name, kind) in enumerate(zip(tasks, LIKELIHOODS, strict=True)):
        rows = slice(EMPTY, None) if kind == "gaussian" else slice(None)
        eta = posterior["weight"].values[:, :, k] @ x[rows].T
        y, log_prob, new = _drawn(draw, kind, k, eta, posterior)
        dim = f"{name}.patient"
        coords = {dim: units[rows]}
        observed = observed.assign({name: xr.DataArray(y, coords, [dim])})
        likely = likely.assign({name: xr.DataArray(log_prob, lead | coords, ["chain", "draw", dim])})
        drawn = drawn.assign({name: xr.DataArray(new, lead | coords, ["chain", "draw", dim])})
    return {"observed_data": observed, "log_likelihood": likely, "posterior_predictive": drawn}


def _drawn(
    draw: np.random.Generator, kind: str, k: int, eta: np.ndarray, posterior: xr.Dataset
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Responses of one task from the first draw, their log density, and draws of new ones."""
    if kind == "gaussian":
        mean = posterior["offset"].values[:, :, k, None] + eta
        sd = posterior["sigma"].values[:, :, k, None]
        new = draw.normal(mean, sd)
        y = new[0, 0]
        return y, -0.5 * ((y - mean) / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi)), new
    if kind == "bernoulli":
        chance = 1 / (1 + np.exp(-posterior["offset"].values[:, :, k, None] - eta))
        new = (draw.random(chance.shape) < chance).astype(float)
        y = new[0, 0]
        return y, np.log(np.where(y == 1, chance, 1 - chance)), new
    reach = posterior["cut"].values[:, :, k, None] - eta[..., None]
    below = np.pad(1 / (1 + np.exp(-reach)), [(0, 0)] * 3 + [(1, 1)], constant_values=((0, 0),) * 4)
    below[..., -1] = 1.0
    new = (draw.random(eta.shape)[..., None] > below[..., 1:-1]).sum(-1)
    y = new[0, 0]
    each = np.take_along_axis(np.diff(below), np.broadcast_to(y[:, None], (*eta.shape, 1)), axis=-1)
    return y, np.log(np.clip(each[..., 0], 1e-12, None)), new.astype(float)


def _before(draw: np.random.Generator, posterior: xr.Dataset, observed: xr.Dataset) -> dict[str, xr.Dataset]:
    """The parameters and the responses that the prior draws: like the posterior's, but wider."""
    chains = {"chain": [0], "draw": range(PRIOR)}
    wide = xr.Dataset(coords={name: posterior[name] for name in ("task", "feature", "threshold")})
    for name in ("weight", "share", "scale", "level", "offset", "cut_level", "cut", "sigma"):
        mean = posterior[name].mean(["chain", "draw"])
        free = draw.normal(size=(1, PRIOR, *mean.shape))
        drawn = draw.random(free.shape) if name == "share" else mean.values * np.exp(free)
        wide[name] = (("chain", "draw", *mean.dims), drawn)
    responses = xr.Dataset()
    for name, values in observed.items():
        shape = (1, PRIOR, values.size)
        spread = 7.0 * values.values.std() * draw.normal(size=shape) + values.values.mean()
        graded = len(np.unique(values)) <= len(GRADES)
        new = draw.choice(np.unique(values), shape) if graded else spread
        dim = values.dims[0]
        responses[name] = xr.DataArray(new, {**chains, dim: values[dim]}, ["chain", "draw", dim])
    return {"prior": wide.assign_coords(chains), "prior_predictive": responses}


def with_categories(tree: xr.DataTree) -> xr.DataTree:
    """The posterior as if the second task were categorical: weights of each category, none of the task."""
    posterior, old = tree.posterior.to_dataset(), [str(name) for name in tree.constant_data.task.values]
    lines = [*old, f"{old[1]}[sad]", f"{old[1]}[glad]"]
    posterior = posterior.reindex(task=lines)
    for label in lines[3:]:
        posterior["weight"].loc[{"task": label}] = posterior["weight"].sel(task=old[2]).values
    posterior["weight"].loc[{"task": old[1]}] = np.nan
    return _with(tree, posterior)


def with_groups(tree: xr.DataTree, levels: int = 11) -> xr.DataTree:
    """The posterior with effects of two groups: within tasks, and over tasks."""
    draw, posterior = np.random.default_rng(5), tree.posterior.to_dataset()
    tasks = posterior.sizes["task"]
    for name, terms, dims in (
        ("ward", ["1", "age"], ["task", "ward_term", "ward_term_"]),
        ("clinic", ["1", "age"], ["task", "clinic_term", "task_", "clinic_term_"]),
    ):
        term, lead = f"{name}_term", (CHAINS, DRAWS)
        sizes = {"task": tasks, "task_": tasks, term: len(terms), f"{term}_": len(terms)}
        coords = {term: terms, f"{term}_": terms, "task_": posterior.task.values}
        posterior = posterior.assign_coords({**coords, name: [f"{name} {i}" for i in range(levels)]})
        sd = np.exp(draw.normal(size=(*lead, tasks, len(terms))))
        sd[:, :, 0, 1] = np.nan  # a term that a task has not
        posterior[f"sd_{name}"] = (("chain", "draw", "task", term), sd)
        drawn = np.tanh(draw.normal(size=(*lead, *(sizes[d] for d in dims))))
        posterior[f"correlation_{name}"] = (("chain", "draw", *dims), drawn)
        effect = draw.normal(size=(*lead, tasks, levels, len(terms)))
        posterior[f"effect_{name}"] = (("chain", "draw", "task", name, term), effect)
    return _with(tree, posterior)


def _with(tree: xr.DataTree, posterior: xr.Dataset) -> xr.DataTree:
    groups = {name: child.to_dataset() for name, child in tree.children.items()}
    made = xr.DataTree.from_dict(groups | {"posterior": posterior})
    made.attrs = dict(tree.attrs)
    return made


def _constant(tasks: tuple[str, ...], x: np.ndarray, observed: xr.Dataset) -> xr.Dataset:
    stay = observed[tasks[0]].values
    return xr.Dataset(
        {
            "centre": ("task", [stay.mean(), 0.0, 0.0]),
            "unit": ("task", [stay.std(ddof=1), 1.0, 1.0]),
            "cells": ("task", [ROWS - EMPTY, ROWS, ROWS]),
            "empty": ("task", [EMPTY, 0, 0]),
            "unserved": ("task", [0, 0, 0]),
            "tempered": ("task", [False, True, False]),
            "likelihood": ("task", list(LIKELIHOODS)),
            "loss": ("task", ["squared error", "log loss", "log loss"]),
            "mean": ("feature", x.mean(0)),
            "sd": ("feature", x.std(0, ddof=1)),
            "uses": (("task", "feature"), np.ones((3, 2), bool)),
        },
        coords={"task": list(tasks), "feature": list(FEATURES)},
    )


def _attrs(seed: int, tasks: tuple[str, ...]) -> dict[str, object]:
    """The attributes of a fit; the model as ``Model.to_json`` writes it."""
    model = {
        "tasks": {
            tasks[0]: "gaussian",
            tasks[1]: {"kind": "ordinal", "levels": list(GRADES)},
            tasks[2]: "bernoulli",
        },
        "formula": "age + größe",
        "dag": "age -> größe\nage -> outcome\ngröße -> outcome",
        "relation": {"kind": "partial"},
        "shrinkage": {"kind": "normal"},
        "engine": {"kind": "nuts"},
        "data": {"table": "wards.csv", "units": "patient"},
        "name": "wards",
        "doc": "What age and height do to a stay, to mood and to readmission.",
        "references": ["Nobody (1999). A table of numbers. Journal of Fakes 1, 2-3."],
    }
    note = {"where": "table", "problem": "one cell is empty.", "remedy": "", "level": "note"}
    return {
        "model": json.dumps(model, ensure_ascii=False),
        "encodings": json.dumps(["['age + größe', ['age', 'größe'], {}, {}]"]),
        "grades": json.dumps({tasks[1]: list(GRADES)}),
        "findings": json.dumps([note]),
        "seed": seed,
        "complete": 1,
        "seconds": json.dumps({"compile": 1.0, "sample": 2.0}),
        "created_at": "2026-01-02T03:04:05+00:00",
        "engine": "nuts",
        "versions": json.dumps({"bayesmtl": "0.1.0", "arviz": "1.3.0"}),
        "format": 1,
    }
