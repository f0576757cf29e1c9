"""What the tasks would be on average if some nodes of the graph were set."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.causal.gformula import Equation
from bayesmtl.runtime import ready
from bayesmtl.worlds.asked import ask
from bayesmtl.worlds.worlds import Told, World, worlds

VALUES = 12  # of a number; of one that has more, its quarters are the levels
ROWS = 1000  # responses that are drawn for an average, at least


def intervene(
    post: xr.DataTree,
    table: Any,
    do: Mapping[str, Any],
    *,
    by: str | None = None,
    tasks: Collection[str] | None = None,
    prob: float = 0.9,
) -> pd.DataFrame:
    """What the tasks would be on average if some nodes were set: interventions, and contrasts of two.

    By the g-formula, over the equations that the formulae of the tasks are: in each row some nodes are set, a
    task that responds to them and predicts another is drawn from its own equation, and what does not respond
    stays as it is. The results are averaged over the rows. So what goes through other tasks is followed, by
    any link, along the arrows of the graph.

    It is refused where the graph and the formulae don't tell the effect. Where they do, it is no better than
    the graph, which no table confirms; ``sensitivity`` says what a cause that it lacks would have to be.
    Numbers beyond those of the table are extrapolated.

    Parameters
    ----------
    post
        A posterior.
    table
        The rows to average over, as ``fit`` takes them: commonly those of the fit, of very many a sample.
    do
        Nodes of the graph, tasks among them, and what they are set to. ``{"dose": 2}`` sets a value;
        ``{"dose": (0, 2)}`` contrasts two; ``{"dose": "sd"}`` contrasts the rows as they are with the same
        rows raised by one standard deviation. Several nodes are set together.
    by
        A measured node within whose levels the averages are taken: conditional effects. The levels of a
        number with more than 12 values are its quarters.
    tasks
        Those that are asked of; by default all that are not set.
    prob
        Of the intervals.

    Returns
    -------
    DataFrame
        A row for each task, ``level`` of ``by``, and setting ``under`` which it is told; of two settings also
        their "contrast", the second less the first. ``label`` is "interventional". ``mean``, ``low`` and
        ``high`` are in the task's units, those of grades in their numbers. ``above`` is the probability that
        a contrast is above 0; of a task that the graph has no effect on it is 0, as the contrast. ``rows``
        says how many are averaged: those of the task that have all that is not set or drawn.

    Raises
    ------
    ModelError
        When a node is misspelt or can't be set, or can't have a value; and when an effect is not told, with
        the open path and a remedy. It names all reasons.

    References
    ----------
    Robins (1986). A new approach to causal inference in mortality studies with a sustained exposure period.
        Mathematical Modelling 7, 1393-1512.
    Pearl (2009). Causality: models, reasoning, and inference, 2nd edition. Cambridge University Press.
    Díaz and van der Laan (2012). Population intervention causal effects based on stochastic interventions.
        Biometrics 68, 541-549. (Rows that are raised.)

    Examples
    --------
    >>> intervene(post, table, {"income": (5, 15)}, by="education")  # doctest: +SKIP
    """
    asked = ask(post, table, do, tasks, by)
    drawn = any(equation.inputs for equation in asked.equations.values())
    times = -(-ROWS // len(asked.table)) if drawn else 1
    asked = asked.repeated(times)
    cells = [
        (task, level, asked.rows[task] & own)
        for task in asked.equations
        for level, own in _levels(asked.table, by)
        if (asked.rows[task] & own).any()
    ]
    found = []
    with ready():
        for many, settings in worlds(post, asked):
            found.append([_averages(world, asked.equations, cells, many) for world in settings])
    averages = np.concatenate(found, axis=-1)  # [setting, cell, draw]
    under = {setting.words: own for setting, own in zip(asked.settings, averages, strict=True)}
    if len(averages) == 2:
        under["contrast"] = averages[1] - averages[0]
    edges = [(1 - prob) / 2, (1 + prob) / 2]
    frames = []
    for words, values in under.items():
        low, high = np.quantile(values, edges, axis=1)
        frame = {
            "task": [task for task, _, _ in cells],
            "level": [level for _, level, _ in cells],
            "under": words,
            "label": "interventional",
            "mean": values.mean(1),
            "low": low,
            "high": high,
            "above": (values > 0).mean(1) if words == "contrast" else np.nan,
            "rows": [int(own.sum()) // times for _, _, own in cells],
        }
        frames.append(pd.DataFrame(frame).drop(columns=[] if by else "level"))
    # of each cell its settings, in the order of the cells
    return pd.concat(frames).sort_index(kind="stable").reset_index(drop=True)


def _averages(
    world: World, equations: Mapping[str, Equation], cells: Iterable[tuple[str, Any, np.ndarray]], many: int
) -> list[np.ndarray]:
    """The average of each task over the rows of each level, [draw]; one task after the other."""
    found = []
    for task, own in groupby(cells, lambda cell: cell[0]):
        mean = world(equations[task], _new, task).mean
        found += [mean[:many, rows].mean(1) for _, _, rows in own]
    return found


def _new(task: str, told: Told) -> np.ndarray:
    """A task that predicts another is drawn: at its mean, a link that is not straight would be wrong."""
    return told.drawn


def _levels(table: pd.DataFrame, by: str | None) -> Iterator[tuple[Any, np.ndarray]]:
    """The levels of a column, and their rows; without one, a level of all rows."""
    if by is None:
        yield "", np.ones(len(table), bool)
        return
    column = table[by]
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > VALUES:
        quarter = pd.qcut(column, 4, duplicates="drop")
        for level in quarter.cat.categories:
            yield f"{level.left:.4g} to {level.right:.4g}", (quarter == level).to_numpy()
        return
    for level in sorted(column.dropna().unique()):
        yield level, (column == level).to_numpy()
