"""What the responses of single rows would have been if some nodes had been set."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl import tables
from bayesmtl.causal.gformula import Equation
from bayesmtl.encoded import row_names
from bayesmtl.errors import Finding, refuse
from bayesmtl.runtime import ready
from bayesmtl.worlds.asked import Asked, ask
from bayesmtl.worlds.worlds import Told, World, worlds


def counterfactual(
    post: xr.DataTree,
    table: Any,
    do: Mapping[str, Any],
    *,
    tasks: Collection[str] | None = None,
    prob: float = 0.9,
) -> pd.DataFrame:
    """What the responses that were seen would have been in the same rows if some nodes had been set.

    By abduction: each draw of the posterior says what the noise of a response was, the response less its
    mean. The row keeps it, and its group effects, when nodes are set, and so do the tasks between. That takes
    normal tasks: of a grade or a count no one knows what its noise was. That noise is added, and would have
    been the same, is a claim about single rows beyond all that interventions tell, and no table tests it.

    Parameters
    ----------
    post
        A posterior.
    table
        Rows with their responses. A row in which the response is empty, or that of a task between, has no
        counterfactual, and is left out.
    do
        Nodes of the graph and the values that they would have had, ``{"dose": 2}``. Several are set together.
    tasks
        Those that are asked of; by default all that are not set.
    prob
        Of the intervals.

    Returns
    -------
    DataFrame
        A row for each task and row of the table: ``label``, which is "counterfactual", the response
        ``observed``, what it would have been, ``mean``, ``low`` and ``high``, and ``change``, the mean less
        the response.

    Raises
    ------
    ModelError
        When a task is not normal, and for every reason that ``intervene`` has.

    References
    ----------
    Balke and Pearl (1994). Probabilistic evaluation of counterfactual queries. National Conference on
        Artificial Intelligence 12, 230-237.
    Pearl (2009). Causality: models, reasoning, and inference, 2nd edition, chapter 7. Cambridge University
        Press.

    Examples
    --------
    >>> counterfactual(post, table, {"dose": 2}, tasks=["pressure"])  # doctest: +SKIP
    """
    asked, whole = ask(post, table, do, tasks), tables.frame(table)
    refuse(_faults(asked))
    exposures, columns = frozenset(do), {node: _responses(whole, node) for node in _nodes(asked)}
    seen = {
        task: asked.rows[task].copy() & np.all([np.isfinite(columns[n]) for n in _of(equation)], axis=0)
        for task, equation in asked.equations.items()
    }
    found: dict[str, list[np.ndarray]] = {task: [] for task in asked.equations}
    with ready():
        for many, (world,) in worlds(post, asked):
            for task, equation in asked.equations.items():
                told = _kept(world, equation, exposures, columns, task)
                found[task].append(told[:many, seen[task]])
    names, edges, frames = row_names(whole, asked.known.model), [(1 - prob) / 2, (1 + prob) / 2], []
    for task, equation in asked.equations.items():
        drawn, y = np.concatenate(found[task]), columns[equation.node][seen[task]]
        low, high = np.quantile(drawn, edges, axis=0)
        frame = {"task": task, "row": names[seen[task]], "label": "counterfactual", "observed": y}
        frame |= {"mean": drawn.mean(0), "low": low, "high": high, "change": drawn.mean(0) - y}
        frames.append(pd.DataFrame(frame))
    return pd.concat(frames, ignore_index=True)


def _kept(
    world: World, equation: Equation, exposures: frozenset[str], columns: Mapping[str, np.ndarray], task: str
) -> np.ndarray:
    """The responses of a task with the noise that they had; [draw, row]."""

    def respond(name: str, told: Told) -> np.ndarray:
        node = name if name in columns else equation.node  # of tasks as rows
        # with the exposures as they are, each row is as it was seen
        fact = world(Equation(node, exposures), respond, name)
        noise = np.nan_to_num((columns[node] - fact.mean) / fact.sd)
        return told.mean + noise * told.sd

    return respond(task, world(equation, respond, task))


def _responses(table: pd.DataFrame, node: str) -> np.ndarray:
    column = table[node] if node in table else pd.Series(np.nan, table.index)
    return pd.to_numeric(column, errors="coerce").to_numpy(float)


def _faults(asked: Asked) -> Iterator[Finding]:
    """More than one setting, and tasks that are not normal."""
    if len(asked.settings) > 1:
        remedy = "Give one value of each node, or contrast averages by intervene."
        yield Finding("do", "contrasts two settings.", remedy)
    kinds = {n: f.likelihood["kind"] for f in asked.known.families for n in f.task.labels}
    for name, kind in kinds.items():
        if kind != "gaussian" and (name in asked.equations or name in _nodes(asked)):
            problem = f"is {kind}, and only normal tasks have noise that is kept."
            yield Finding(f"tasks.{name}", problem, "Ask of others, or of averages by intervene.")


def _nodes(asked: Asked) -> set[str]:
    return set[str]().union(*(_of(equation) for equation in asked.equations.values()))


def _of(equation: Equation) -> set[str]:
    """The node of an equation, and those that are told before it."""
    return {equation.node}.union(*(_of(each) for each in equation.inputs))
