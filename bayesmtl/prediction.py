"""What a posterior says of new rows."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl import labelled, tables
from bayesmtl.imputation import ENTRIES
from bayesmtl.program import build
from bayesmtl.renewed import renew
from bayesmtl.replay import anatomy, replay, simulate
from bayesmtl.runtime import ready


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
    with ready():
        program = build(design)
        data = jax.tree.map(jax.numpy.asarray, design.data)
        sites = {
            site: labelled.members(post, labels, site.rpartition(".")[2])
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
        variables = {name: v for name, v in labelled.cellwise(design, values).items() if v.size}
        groups[group] = xr.Dataset(variables).assign_coords(chains)
    return xr.DataTree.from_dict(groups)
