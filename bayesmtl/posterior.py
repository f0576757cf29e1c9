"""Posteriors: fitting a model to a table, and predicting from it."""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import jax
import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl import formulas, tables, trees
from bayesmtl.axes import Axis
from bayesmtl.chains import Watch
from bayesmtl.checks import check
from bayesmtl.design import Design, encode
from bayesmtl.errors import Finding, ModelError, refuse, unknown
from bayesmtl.formulas import Encoding
from bayesmtl.parts import bind
from bayesmtl.pilot import pilot
from bayesmtl.program import anatomy, build, replay
from bayesmtl.progress import shown
from bayesmtl.responses import Response, families
from bayesmtl.spec import Model


def table_of(model: Model) -> pd.DataFrame:
    """The table that a model file names."""
    if "table" not in model.data:
        raise ModelError(
            Finding("data", "names no table.", 'Add [data] table = "file.csv", or give a table.')
        )
    return tables.read(model.folder / model.data["table"])


def fit(
    model: Model, table: pd.DataFrame | None = None, *, seed: int, watch: Watch | None = None
) -> xr.DataTree:
    """Condition a model on a table.

    Parameters
    ----------
    model
        What ``load`` read, or a ``Model``.
    table
        By default the one that the model file names.
    seed
        The same seed gives the same draws.
    watch
        Called with the sampler's progress; by default it is shown on stderr.

    Returns
    -------
    DataTree
        ArviZ groups. ``posterior`` has ``weight [task, feature]``, ``offset [task]``, and what the parts
        add, in the table's units; ``attrs`` holds the model, the seed and the versions.

    Raises
    ------
    ModelError
        When the model or the table is at fault, with every finding.

    Examples
    --------
    >>> post = fit(load("models/election.toml"), seed=1)  # doctest: +SKIP
    """
    table = table_of(model) if table is None else table.reset_index(drop=True)
    findings = refuse(check(model, table))
    design = encode(model, table)
    engine = bind("engines", model.engine)
    with jax.enable_x64(True):
        program = build(design)
        data = jax.tree.map(jax.numpy.asarray, design.data)
        data["pilot"] = pilot(program, data, design)
        with nullcontext(watch) if watch else shown(model.name) as watching:
            run = engine(program, data, seed, watching)
        tree = trees.grow(design, program, data, run, seed)
    return trees.stamp(tree, design, run, seed, findings)


def predict(post: xr.DataTree, table: pd.DataFrame, *, prob: float = 0.9) -> pd.DataFrame:
    """What a posterior says of new rows, in a few numbers; ``predictions`` has all draws.

    Parameters
    ----------
    post
        A posterior.
    table
        Rows with the predictors' columns; for tasks as rows, with the task's column too.
    prob
        Of the intervals.

    Returns
    -------
    DataFrame
        One row per task and row of the table: ``mean`` of the response, with ``mean_low`` and ``mean_high``
        for what is not known of that mean, and ``low`` and ``high`` for a new response.

    Raises
    ------
    ModelError
        When a column is missing, or holds a category or a task that the fit never saw.

    Examples
    --------
    >>> predict(post, table.head(3))  # doctest: +SKIP
    """
    drawn = predictions(post, table)
    edges = [(1 - prob) / 2, (1 + prob) / 2]
    frames = []
    for task, response in drawn.predictions.data_vars.items():
        mean = drawn.expectations[task]
        rows = mean.dims[-1]
        low, high = mean.quantile(edges, ("chain", "draw")).values
        least, most = response.quantile(edges, ("chain", "draw")).values
        frame = {"task": task, "row": mean[rows].values, "mean": mean.mean(("chain", "draw")).values}
        frame |= {"mean_low": low, "mean_high": high, "low": least, "high": most}
        frames.append(pd.DataFrame(frame))
    return pd.concat(frames, ignore_index=True)


def predictions(post: xr.DataTree, table: pd.DataFrame) -> xr.DataTree:
    """Draws of what a posterior says of new rows.

    Returns
    -------
    DataTree
        Groups ``predictions``, draws of responses, and ``expectations``, draws of their means; a variable for
        each task, [chain, draw, row].

    Raises
    ------
    ModelError
        When a column is missing, or holds a category or a task that the fit never saw.

    Examples
    --------
    >>> predictions(post, table).predictions["vote"].mean(("chain", "draw"))  # doctest: +SKIP
    """
    design = renew(post, table.reset_index(drop=True))
    with jax.enable_x64(True):
        program = build(design)
        data = jax.tree.map(jax.numpy.asarray, design.data)
        sites = {
            site: trees.members(post, labels, site.rpartition(".")[2])
            for site, labels in anatomy(program, data).axes.items()
            if site.rpartition(".")[2] in post.posterior
        }
        shape = (post.posterior.sizes["chain"], post.posterior.sizes["draw"])
        keys = jax.random.split(jax.random.key(int(post.attrs["seed"]) + 2), shape[0] * shape[1])

        def one(given: tuple[Mapping[str, Any], Any]) -> Any:
            outcomes = replay(program, data, given[0], given[1], observed=False)[2]
            key = jax.random.fold_in(given[1], 1)
            return {n: (o.mean, o.distribution.sample(key)) for n, o in outcomes.items()}

        out = jax.jit(lambda given: jax.lax.map(one, given, batch_size=50))((sites, keys))
    means, responses = {}, {}
    for family in design.families:
        mean, drawn = (np.asarray(v).reshape(*shape, -1) for v in out[family.name])
        means[family.name], responses[family.name] = mean, family.in_numbers(drawn)
    chains = {"chain": post.posterior.chain.values, "draw": post.posterior.draw.values}
    groups = {}
    for group, values in (("predictions", responses), ("expectations", means)):
        variables = {name: v for name, v in trees.cellwise(design, values).items() if v.size}
        groups[group] = xr.Dataset(variables).assign_coords(chains)
    return xr.DataTree.from_dict(groups)


def renew(post: xr.DataTree, table: pd.DataFrame) -> Design:
    """The design of a posterior's model on a new table: a cell for every row that a task can have."""
    model = Model.read(json.loads(post.attrs["model"]))
    if found := tables.faults(table):
        raise ModelError(*found)
    constant = post.constant_data
    feature = Axis("feature", tuple(map(str, constant.feature.values)))
    task = Axis("task", tuple(map(str, constant.task.values)))
    encodings = tuple(Encoding.read(text) for text in json.loads(post.attrs["encodings"]))
    x = _encoded(encodings, feature, table)
    rows = _rows(model, task, table)
    units = model.data.get("units", "")
    return Design(
        model=model,
        task=task,
        feature=feature,
        x=x,
        mean=constant["mean"].values,
        sd=constant["sd"].values,
        uses=constant["uses"].values,
        families=families(model.listed_tasks(list(task.labels)), _responses(post, task, rows)),
        encodings=encodings,
        units=(table[units] if units in table else pd.Series(range(1, len(table) + 1))).to_numpy(),
        empty=np.zeros(len(task), int),
    )


def _encoded(encodings: tuple[Encoding, ...], feature: Axis, table: pd.DataFrame) -> np.ndarray:
    made: dict[str, Any] = {}
    wrong: list[Finding] = []
    for encoding in encodings:
        if encoding.formula == "0":
            continue
        try:
            made |= dict(formulas.apply(encoding, table, "formula").items())
        except ModelError as error:
            wrong += [f for f in error.findings if f not in wrong]
    x = np.array([made[f] for f in feature.labels if f in made], float).reshape(-1, len(table)).T
    for k, bad in enumerate(~np.isfinite(x).T):
        if bad.any():
            rows = tables.named(table, pd.Series(bad))
            wrong.append(Finding(f"table.{feature.labels[k]}", f"is no finite number ({rows}).", "Fill it."))
    if wrong:
        raise ModelError(*wrong)
    return x


def _rows(model: Model, task: Axis, table: pd.DataFrame) -> list[np.ndarray]:
    """For each task, the rows to predict it for."""
    if not model.as_rows:
        return [np.arange(len(table))] * len(task)
    by = model.tasks["by"]
    if by not in table:
        raise ModelError(unknown("table", "column", by, map(str, table.columns)))
    names = table[by].astype(str)
    if new := sorted(set(names) - set(task.labels)):
        raise ModelError(*(unknown(f"table.{by}", "task", name, task.labels) for name in new[:8]))
    return [np.flatnonzero(names == name) for name in task.labels]


def _responses(post: xr.DataTree, task: Axis, rows: list[np.ndarray]) -> list[Response]:
    """Cells without values, on the scales of the fit."""
    grades, constant = json.loads(post.attrs["grades"]), post.constant_data
    return [
        Response(own, np.zeros(len(own)), tuple(grades.get(name, ())), float(centre), float(unit))
        for name, own, centre, unit in zip(
            task.labels, rows, constant["centre"].values, constant["unit"].values, strict=True
        )
    ]
