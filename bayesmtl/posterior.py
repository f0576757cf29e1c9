"""Posteriors: fitting a model to a table, and predicting from it."""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import jax
import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl import formulas, groups, parts, tables, trees
from bayesmtl.axes import Axis
from bayesmtl.chains import Watch
from bayesmtl.checks import check
from bayesmtl.design import Columns, Design, encode, impute
from bayesmtl.errors import Finding, ModelError, refuse, unknown
from bayesmtl.formulas import Encoding
from bayesmtl.groups import Grouping
from bayesmtl.imputation import ENTRIES
from bayesmtl.parts import bind
from bayesmtl.pilot import pilot
from bayesmtl.predictor_model import Imputation
from bayesmtl.program import build
from bayesmtl.progress import shown
from bayesmtl.replay import anatomy, replay, simulate
from bayesmtl.responses import Response, families
from bayesmtl.spec import Model, Task


def table_of(model: Model) -> pd.DataFrame:
    """The table that a model file names."""
    if "table" not in model.data:
        raise ModelError(
            Finding("data", "names no table.", 'Add [data] table = "file.csv", or give a table.')
        )
    return tables.read(model.data["table"], model.folder)


def fit(model: Model, table: Any = None, *, seed: int, watch: Watch | None = None) -> xr.DataTree:
    """Condition a model on a table.

    Parameters
    ----------
    model
        What ``load`` read, or a ``Model``.
    table
        A data frame of pandas or polars, or one for each task; by default what the model file names.
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
    table = table_of(model) if table is None else tables.frame(table)
    findings = refuse(check(model, table))
    design = encode(model, table)
    engine = bind("engines", model.engine)
    with jax.enable_x64(True):
        program = build(design)
        data = jax.tree.map(jax.numpy.asarray, design.data)
        data["pilot"] = jax.tree.map(jax.numpy.asarray, pilot(data, design))
        with nullcontext(watch) if watch else shown(model.name) as watching:
            run = engine(program, data, seed, watching)
        tree = trees.grow(design, program, data, run, seed)
    return trees.stamp(tree, design, run, seed, findings)


def prior(model: Model, table: Any = None, *, seed: int, draws: int = 1000) -> xr.DataTree:
    """What a model expects before it sees any response.

    Parameters
    ----------
    model
        What ``load`` read, or a ``Model``.
    table
        By default the one that the model file names; its predictors say which cells there are.
    seed
        The same seed gives the same draws.
    draws
        How many.

    Returns
    -------
    DataTree
        Groups ``prior``, with the parameters that ``fit`` reports, and ``prior_predictive``, a variable for
        each task; ``observed_data`` and ``constant_data``.

    Raises
    ------
    ModelError
        When the model or the table is at fault, with every finding.

    Examples
    --------
    >>> prior(load("models/election.toml"), seed=1)  # doctest: +SKIP
    """
    table = table_of(model) if table is None else tables.frame(table)
    refuse(check(model, table))
    design = encode(model, table)
    with jax.enable_x64(True):
        program = build(design)
        data = jax.tree.map(jax.numpy.asarray, design.data)
        return trees.before(design, program, data, draws, seed)


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
    design = renew(post, tables.frame(table))
    with jax.enable_x64(True):
        program = build(design)
        data = jax.tree.map(jax.numpy.asarray, design.data)
        sites = {
            site: trees.members(post, labels, site.rpartition(".")[2])
            for site, labels in anatomy(program, data).axes.items()
            if site.rpartition(".")[2] in post.posterior and site not in ENTRIES
        }
        shape = (post.posterior.sizes["chain"], post.posterior.sizes["draw"])
        keys = jax.random.split(jax.random.key(int(post.attrs["seed"]) + 2), shape[0] * shape[1])

        def one(given: tuple[Mapping[str, Any], Any]) -> Any:
            said = replay(program, data, given[0], given[1], observed=False)[2]
            drawn = simulate(said, jax.random.fold_in(given[1], 1))
            return {n: (each.outcome.mean, drawn[n]) for n, each in said.items()}

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
    task = Axis("task", tuple(map(str, constant.task.values)))
    listed = model.listed_tasks(list(task.labels))
    rows = _rows(model, task, table)
    units = model.data.get("units", "")
    served = np.zeros((len(task), len(table)), bool)
    for t, own in enumerate(rows):
        served[t, own] = True
    found_families = families(listed, _responses(post, listed, table, rows))
    lines = [len(n) for f in found_families for n in f.lines]
    imputation = Imputation.read(post.attrs["imputation"]) if "imputation" in post.attrs else None
    design = Design(
        model=model,
        task=task,
        predictors=_columns(post, "", table, served, imputation),
        spread=_columns(post, "spread_", table, served),
        families=found_families,
        groups=tuple(
            groups.apply(Grouping.read(text), table, np.repeat(served, lines, axis=0))
            for text in json.loads(post.attrs["groups"])
        ),
        units=(table[units] if units in table else pd.Series(range(1, len(table) + 1))).to_numpy(),
        empty=np.zeros(len(task), int),
        unserved=np.zeros(len(task), int),
    )
    return impute(design, table, served, imputation)


def _columns(
    post: xr.DataTree,
    prefix: str,
    table: pd.DataFrame,
    served: np.ndarray,
    imputation: Imputation | None = None,
) -> Columns:
    """The columns of the fit's formulae on a new table."""
    constant = post.constant_data
    feature = Axis("feature", tuple(map(str, constant[f"{prefix}feature"].values)))
    encodings = tuple(
        Encoding.read(text) for text in json.loads(post.attrs["spread" if prefix else "encodings"])
    )
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
    mean, uses = constant[f"{prefix}mean"].values, constant[f"{prefix}uses"].values
    needed = served.T @ uses
    known = imputation.given if imputation else feature.labels  # the others may be imputed
    lost = np.zeros(len(table), bool)
    if imputation and not wrong:
        lost = table[list(imputation.columns)].isna().any(axis=1).to_numpy()
    for k, name in enumerate([] if wrong else feature.labels):
        bad = needed[:, k] & ~np.isfinite(x[:, k]) & ~(lost & (name not in known))
        if bad.any():
            rows = tables.named(table, pd.Series(bad))
            wrong.append(Finding(f"table.{name}", f"is no finite number ({rows}).", "Fill it."))
    if wrong:
        raise ModelError(*wrong)
    x = np.where(needed & np.isfinite(x), x, mean)
    return Columns(feature, x, mean, constant[f"{prefix}sd"].values, uses, encodings)


def _rows(model: Model, task: Axis, table: pd.DataFrame) -> list[np.ndarray]:
    """For each task, the rows to predict it for."""
    if not model.as_rows:
        return [np.flatnonzero(tables.of_task(table, name)) for name in task.labels]
    by = model.tasks["by"]
    if by not in table:
        raise ModelError(unknown("table", "column", by, map(str, table.columns)))
    names = table[by].astype(str)
    if new := sorted(set(names) - set(task.labels)):
        raise ModelError(*(unknown(f"table.{by}", "task", name, task.labels) for name in new[:8]))
    return [np.flatnonzero(names == name) for name in task.labels]


def _responses(
    post: xr.DataTree, tasks: list[Task], table: pd.DataFrame, rows: list[np.ndarray]
) -> list[Response]:
    """Cells without values, on the scales of the fit."""
    grades, constant = json.loads(post.attrs["grades"]), post.constant_data
    found = []
    for task, own in zip(tasks, rows, strict=True):
        names = parts.columns("likelihoods", task.likelihood)
        if wrong := [unknown("table", "column", n, map(str, table)) for n in names if n not in table]:
            raise ModelError(*wrong)
        centre, unit = (float(constant[word].sel(task=task.name)) for word in ("centre", "unit"))
        found.append(
            Response(
                row=own,
                y=np.zeros(len(own)),
                power=np.ones(len(own)),
                columns={name: table[name].to_numpy(float)[own] for name in names},
                grades=tuple(grades.get(task.name, ())),
                centre=centre,
                unit=unit,
            )
        )
    return found
