"""What a posterior says of new rows."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl import labelled, tables
from bayesmtl.design import Design
from bayesmtl.errors import Finding, ModelError
from bayesmtl.forecast.arrivals import extended
from bayesmtl.forecast.drawn import Drawn, categories, drawn, pieces
from bayesmtl.forecast.renewed import reads
from bayesmtl.runtime import ready


def predict(
    post: xr.DataTree,
    table: Any,
    *,
    prob: float = 0.9,
    given: Collection[str] = (),
    new_tasks: Collection[str] | Mapping[str, Any] = (),
    probabilities: bool = False,
) -> pd.DataFrame:
    """What a posterior says of new rows, in a few numbers; ``predictions`` has all draws.

    The effects of levels that the fit never saw are drawn from the population, with their correlations
    within and across tasks: the same draw for all rows of a level. An empty level is one that nobody knows,
    of its row alone, or of all rows with the same unit.

    Responses of normal tasks that are ``given`` say what is new of their rows, exactly at each draw: the
    residuals that the tasks of a row share, and the effects of new levels, across tasks where these are
    correlated. They don't weigh the draws themselves: for that the posterior learns from the rows by
    ``update``.

    Parameters
    ----------
    post
        A posterior.
    table
        Rows with the predictors' columns; for tasks as rows, with the task's column too. A data frame of
        any kind, or one for each task.
    prob
        Of the intervals.
    given
        Tasks of which the table has responses to condition the others on; these are left out.
    new_tasks
        Tasks as rows that the fit never saw: their weights are drawn from the relation given those of the
        others, their level and noise as of one more of these. As a mapping it tells the relation about each:
        its numbers under ``described``, its place under ``ordered``, its neighbours under ``graph``.
    probabilities
        Whether the probabilities of categories are wanted, in place of responses.

    Returns
    -------
    DataFrame
        One row per task and row of the table: ``mean`` of the response, with ``mean_low`` and ``mean_high``
        for what is not known of that mean, and ``low`` and ``high`` for a new response. With
        ``probabilities`` one per task with categories, row and ``category``: its ``probability``, with
        ``low`` and ``high`` for what is not known of it.

    Raises
    ------
    ModelError
        When a column is missing, or holds a category or a task that the fit never saw.

    References
    ----------
    Gelman and Hill (2007). Data analysis using regression and multilevel/hierarchical models, chapter
        12. Cambridge University Press. (New levels.)
    Ovaskainen and Abrego (2020). Joint species distribution modelling, chapter 7. Cambridge University Press.
        (Conditional prediction.)

    Examples
    --------
    >>> predict(post, table.head(3))  # doctest: +SKIP
    >>> predict(post, table, given=["stay"])  # doctest: +SKIP
    """
    whole = numbered(tables.frame(table))
    post = extended(post, new_tasks) if new_tasks else post
    rows = pieces(post, len(whole)) if len(whole) and not given else [slice(None)]
    with ready():
        told = drawn(post, (whole.iloc[own] for own in rows), given, probabilities)
        frames = [summary(each, prob, given, probabilities) for each in told]
    found = pd.concat(frames, ignore_index=True)
    if found.empty:
        problem = "asks for categories, and no task has any." if probabilities else "has every task."
        raise ModelError(Finding("probabilities" if probabilities else "given", problem, "Leave it out."))
    order = {str(name): i for i, name in enumerate(post.constant_data.task.values)}
    return found.sort_values("task", key=lambda task: task.map(order), kind="stable", ignore_index=True)


def predictions(
    post: xr.DataTree,
    table: Any,
    *,
    given: Collection[str] = (),
    new_tasks: Collection[str] | Mapping[str, Any] = (),
) -> xr.DataTree:
    """Draws of what a posterior says of new rows; what it is given and what is new are as for ``predict``.

    Returns
    -------
    DataTree
        Groups ``predictions``, draws of responses, and ``expectations``, draws of their means; a variable for
        each task, [chain, draw, row]. ``probabilities`` has those of categories, [chain, draw, row,
        category]. ``predictions_constant_data`` has the columns that were read; [row].

    Raises
    ------
    ModelError
        When a column is missing, or holds a category or a task that the fit never saw.

    Examples
    --------
    >>> predictions(post, table).predictions["vote"].mean(("chain", "draw"))  # doctest: +SKIP
    """
    whole = numbered(tables.frame(table))
    post = extended(post, new_tasks) if new_tasks else post
    with ready():
        (told,) = drawn(post, [whole], given, chance=True)
    shape = post.posterior.sizes["chain"], post.posterior.sizes["draw"]
    chains = {"chain": post.posterior.chain.values, "draw": post.posterior.draw.values}
    groups = {"probabilities": _probabilities(told, given, shape)}
    for group, values in (("predictions", told.response), ("expectations", told.mean)):
        by_chain = {name: v.reshape(*shape, -1) for name, v in values.items()}
        variables = labelled.cellwise(told.design, by_chain)
        groups[group] = xr.Dataset({n: v for n, v in variables.items() if v.size and n not in given})
    groups = {name: group.assign_coords(chains) for name, group in groups.items() if group.data_vars}
    return xr.DataTree.from_dict({**groups, "predictions_constant_data": _read(told.design, whole)})


def numbered(table: pd.DataFrame, start: int = 0) -> pd.DataFrame:
    """A table whose rows keep what they are called when it is cut; the first is 1 more than ``start``."""
    if table.index.name:
        return table
    return table.set_axis(pd.RangeIndex(start + 1, start + len(table) + 1, name="row"), axis=0)


def summary(told: Drawn, prob: float, given: Collection[str], probabilities: bool) -> pd.DataFrame:
    """A table's draws in a few numbers; see ``predict``."""
    edges, frames = [(1 - prob) / 2, (1 + prob) / 2], []
    for family in told.design.families:
        for member, task in enumerate(family.task.labels):
            own = family.of == member
            if task in given or not own.any():
                continue
            frame: dict[str, Any] = {"task": task, "row": told.design.units[family.row[own]]}
            if not probabilities:
                mean = told.mean[family.name][:, own]
                low, high = np.quantile(mean, edges, axis=0)
                least, most = np.quantile(told.response[family.name][:, own], edges, axis=0)
                frame |= {"mean": mean.mean(0), "mean_low": low, "mean_high": high}
                frame |= {"low": least, "high": most}
            elif family.name in told.chance:
                chance, every = told.chance[family.name][:, own], categories(family, member)
                low, high = np.quantile(chance, edges, axis=0)
                frame["row"] = np.repeat(frame["row"], len(every))
                frame |= {"category": list(every) * int(own.sum()), "probability": chance.mean(0).ravel()}
                frame |= {"low": low.ravel(), "high": high.ravel()}
            else:
                continue
            frames.append(pd.DataFrame(frame))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _probabilities(told: Drawn, given: Collection[str], shape: tuple[int, int]) -> xr.Dataset:
    """The probabilities of categories; [chain, draw, row, category]."""
    noun, found = told.design.model.data.get("units", "row"), {}
    for family in told.design.families:
        for member, task in enumerate(family.task.labels):
            own = family.of == member
            if family.name in told.chance and own.any() and task not in given:
                values = told.chance[family.name][:, own]
                row, category = f"{task}.{noun}", f"{task}.category"
                found[task] = xr.DataArray(
                    values.reshape(*shape, *values.shape[1:]),
                    dims=["chain", "draw", row, category],
                    coords={
                        row: labelled.plain(told.design.units[family.row[own]]),
                        category: labelled.plain(np.array(categories(family, member))),
                    },
                )
    return xr.Dataset(found)


def _read(design: Design, table: pd.DataFrame) -> xr.Dataset:
    """The columns that were read; [row]."""
    noun = design.model.data.get("units", "row")
    tasks = design.model.listed_tasks(list(design.task.labels))
    found = {}
    for name in reads(design.model, tasks):
        column = table[name]
        if column.dtype.kind not in "iuf":  # text, which files take, and nothing for what is empty
            column = column.astype(object).where(column.notna(), "")
        found[name] = (noun, labelled.plain(column.to_numpy()))
    return xr.Dataset({**found, noun: (noun, labelled.plain(design.units))}).set_coords(noun)
