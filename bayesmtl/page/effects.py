"""What a change of each cause does to the tasks, if the graph is right."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl import tables
from bayesmtl.errors import ModelError, gathered
from bayesmtl.page.figures import PROB
from bayesmtl.page.numbers import NONE, Estimate, estimate, plain
from bayesmtl.page.sources import model_of
from bayesmtl.page.tables import Table, cut
from bayesmtl.wanted import outcomes
from bayesmtl.worlds.exposures import wordy
from bayesmtl.worlds.intervention import intervene

ROWS, DRAWS = 2000, 1000  # that are averaged over: a page waits for seconds, not for minutes
CAUSES, LEVELS, REASONS = 12, 6, 8  # causes, levels of one, and sentences that a page can show
COLUMNS = ["exposure", "change", "task", "mean", "low", "high", "above"]


def effects(post: xr.DataTree, table: Any) -> tuple[pd.DataFrame, list[str]]:
    """Contrasts of interventions on each measured cause of a task, one cause at a time.

    A number is raised by one standard deviation, or taken from one of two values to the other; a category is
    taken from the first to each other.

    Returns
    -------
    tuple
        A row for each exposure, ``change`` and ``task`` that it acts on, with ``mean``, ``low``, ``high`` and
        the probability of being ``above`` 0; and the reasons why others are not told.
    """
    model, rows = model_of(post), tables.frame(table)
    rows = rows.sample(ROWS, random_state=0) if len(rows) > ROWS else rows
    step = -(-post.posterior.sizes["draw"] * post.posterior.sizes["chain"] // DRAWS)
    few = post.isel(draw=slice(None, None, step), missing_dims="ignore")
    found, untold = [], []
    columns = {task.column for task in outcomes(model)}
    causes = [n for n in sorted(model.dag.measured) if n in rows and model.dag.descendants([n]) & columns]
    for name in causes[:CAUSES]:
        for values in _changes(rows[name], wordy(model, name, rows[name])):
            frame, reasons = _told(few, rows, name, values)
            found.append(frame)
            untold += reasons
    whole = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=COLUMNS)
    reasons, more = list(dict.fromkeys(untold)), len(set(untold)) - REASONS
    return whole[COLUMNS], reasons[:REASONS] + [f"And {more} more."] * (more > 0)


def _changes(column: pd.Series, categories: bool) -> Iterator[Any]:
    """What a node is set to, and what it is compared with; a group of many levels is not told of."""
    levels = sorted(column.dropna().unique().tolist(), key=lambda level: (str(type(level)), level))
    if not categories and len(levels) > 2:
        yield "sd"
    elif 1 < len(levels) <= LEVELS:
        yield from ((levels[0], level) for level in levels[1:])


def _told(post: xr.DataTree, table: pd.DataFrame, name: str, values: Any) -> tuple[pd.DataFrame, list[str]]:
    """The contrast for the tasks of which it is told, and why it is not told of others."""
    tasks = [str(task) for task in post.constant_data.task.values if task != name]
    try:
        return _contrast(intervene(post, table, {name: values}, tasks=tasks, prob=PROB), name), []
    except ModelError as error:
        why = error.findings
    away = {finding.where.removeprefix("tasks.") for finding in why}
    reasons = [f"{name}: {finding.problem}" for finding in gathered(why, tasks)]
    if not (left := [task for task in tasks if task not in away]) or len(left) == len(tasks):
        return pd.DataFrame(columns=COLUMNS), reasons
    try:
        return _contrast(intervene(post, table, {name: values}, tasks=left, prob=PROB), name), reasons
    except ModelError:
        return pd.DataFrame(columns=COLUMNS), reasons


def _contrast(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of contrasts, of tasks that the exposure acts on, with what is compared in words."""
    settings = [words for words in dict.fromkeys(frame["under"]) if words != "contrast"]
    if settings[0] == f"{name} as it is":
        change = f"{settings[1].removeprefix(name).replace(' ', '')}, one sd"
    else:
        first, second = (words.partition(" = ")[2] for words in settings)
        change = f"{first} to {second}"
    own = frame[(frame["under"] == "contrast") & ((frame["low"] != 0) | (frame["high"] != 0))]
    return own.assign(exposure=name, change=change)[COLUMNS]


def table_of(frame: pd.DataFrame) -> Table | None:
    """The rows of ``effects`` as text."""
    rows: list[list[str | Estimate]] = [
        [row.exposure, row.change, row.task, estimate(row.mean, row.low, row.high), _sign(row.above)]
        for row in frame.itertuples()
    ]
    head = ["cause", "change", "task", "effect, in the task\N{RIGHT SINGLE QUOTATION MARK}s units"]
    return cut([*head, "probability of being above 0"], rows, {1, 2}) if rows else None


def _sign(above: float) -> str:
    return (
        NONE
        if np.isnan(above)
        else "<0.001"
        if above < 0.001
        else ">0.999"
        if above > 0.999
        else plain(above, 2)
    )
