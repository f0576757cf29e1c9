"""Tables of any size, summarised for a model of normal tasks."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from bayesmtl import chunks, parts, recipe, tables
from bayesmtl.checks import check
from bayesmtl.errors import Finding, ModelError, refuse
from bayesmtl.responses import spread_formula
from bayesmtl.spec import Model
from bayesmtl.summary import Summary, add
from bayesmtl.wanted import lacking, outcomes


def summarise(model: Model, source: Any) -> Summary:
    """Read a table of any size once, and keep what a model of normal tasks learns from it.

    Memory is bounded by the chunks and by what is kept: for each kind of rows, which have the same cells and
    belong to the same levels, their number, the means of the columns and their cross-products. Levels of
    predictors in words come from a first pass over these columns. The summaries of several tables of one kind
    add up, ``one + other``, and ``fit`` takes one for a table.

    Parameters
    ----------
    model
        What ``load`` read, or a ``Model``, whose tasks are normal.
    source
        A data frame of pandas or polars, one for each task, a frame of Dask, whose partitions are summarised
        where they are, or the path of a Parquet file, of a folder of such files, or of a CSV file.

    Returns
    -------
    Summary
        Of the rows, with their count as its length.

    Raises
    ------
    ModelError
        When the model needs more than sums, or the table is at fault.

    References
    ----------
    Chan, Golub and LeVeque (1983). Algorithms for computing the sample variance: analysis and
        recommendations. The American Statistician 37, 242-247.

    Examples
    --------
    >>> import bayesmtl as bm
    >>> import pandas as pd
    >>> model = bm.Model(tasks={"y": "gaussian"}, formula="x")
    >>> table = pd.DataFrame({"x": [1.0, 2.0, 4.0], "y": [0.5, 1.0, 2.5]})
    >>> both = bm.summarise(model, table) + bm.summarise(model, table)
    >>> len(both), both.mean.tolist()
    (6, [[2.3333333333333335, 1.3333333333333333]])
    """
    refuse(check(model))
    refuse(_rowwise(model))
    source, wanted = chunks.opened(source), recipe.needs(model)
    known = chunks.names(source)
    refuse(lacking(model, {"": known}))
    if tables.OWNER in known:
        wanted = wanted._replace(factors=(*wanted.factors, tables.OWNER))
    head = chunks.head(source, wanted.every)
    ordered = [name for name in wanted.every if hasattr(head[name], "cat")]

    def scan(columns: list[str]) -> dict[str, list[Any]]:
        joined = partial(recipe.joined, ordered=ordered)
        return chunks.reduced(source, columns, recipe.levels, joined) if columns else {}

    made = recipe.learn(model, wanted, head, scan)
    found = chunks.reduced(source, wanted.every, made.summary, add)
    if not len(found):
        raise ModelError(Finding("table", "has no rows.", "Give at least two."))
    return found


def _rowwise(model: Model) -> Iterator[Finding]:
    """What of a model needs the rows of a table, and not only their sums."""
    remedy = "Fit the table itself."
    if model.missing == "impute":
        yield Finding("missing", "imputes predictors row by row.", remedy)
    for task in outcomes(model):
        where = "tasks" if model.as_rows else f"tasks.{task.name}"
        kind = task.likelihood["kind"]
        if kind != "gaussian":
            yield Finding(where, f"is {kind}, and sums say all only of normal tasks.", remedy)
        elif parts.columns("likelihoods", task.likelihood) or spread_formula(task.likelihood):
            yield Finding(where, "has noise that differs from cell to cell.", remedy)
        if task.weights or task.soft:
            yield Finding(where, "has weights of its cells, which sums leave out.", remedy)
