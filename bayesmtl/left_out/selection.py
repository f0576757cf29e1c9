"""Which tasks to learn together."""

from dataclasses import replace
from typing import Any

import pandas as pd

from bayesmtl import tables
from bayesmtl.chains import Watch
from bayesmtl.errors import Finding, ModelError, unknown
from bayesmtl.left_out.gain import governed, judged, separate
from bayesmtl.left_out.left_out import left_out
from bayesmtl.posterior import fit, table_of
from bayesmtl.served import tasks_of
from bayesmtl.spec import Model


def companions(
    model: Model,
    target: str,
    table: Any = None,
    *,
    unit: str = "cell",
    group: str | None = None,
    folds: int = 10,
    alarm: float = 0.05,
    seed: int,
    watch: Watch | None = None,
) -> pd.DataFrame:
    """The tasks that a target task gains most by being learned with, selected one at a time.

    From the target alone on, every task that is left is tried beside those that were taken. The one by which
    the target's expected log predictive density grows most is taken, if that says that it helps: after Holm
    over the tasks that were tried, and by 4 at least. Else the search ends. A search over many sets finds
    some that look well by chance, hence the stern rule; a model that learns how related its tasks are,
    such as ``correlated``, needs no search.

    Parameters
    ----------
    model
        With all tasks; fitted to some of them at a time.
    target
        The task that is to gain.
    table
        By default the one that the model file names.
    unit, group, folds
        As in ``transfer``.
    alarm
        The chance of taking a task at a step where none helps.
    seed
        The same seed gives the same draws.
    watch
        Called with the progress of each fit; by default it is shown on stderr.

    Returns
    -------
    DataFrame
        A row for each task that was tried, by ``step``: ``task``, the target's ``elpd`` with it, its ``gain``
        over the step before, the standard error ``se`` and ``p`` of that, and whether it was ``taken``.

    Raises
    ------
    ModelError
        When there is no such task, or the model or the table is at fault.

    References
    ----------
    Standley, Zamir, Chen, Guibas, Malik and Savarese (2020). Which tasks should be learned together in
        multi-task learning? International Conference on Machine Learning 37, 9120-9132.

    Examples
    --------
    >>> companions(model, "vote", table, seed=1).query("taken")  # doctest: +SKIP
    """
    rows = table_of(model) if table is None else tables.frame(table)
    every = [task.name for task in tasks_of(model, rows)]
    if target not in every:
        raise ModelError(unknown("target", "task", target, every))
    if len(every) < 2:
        raise ModelError(Finding("tasks", "are one, which has no companions.", "Give several."))

    def asked(names: list[str]) -> pd.DataFrame:
        some, own = _only(model, names, rows)
        some = governed(some, own) if len(names) > 1 else separate(some, own)
        post = fit(some, own, seed=seed, watch=watch)
        frame = left_out({"posterior": post}, own, unit, group, folds, seed)["posterior"]
        return frame[frame["task"] == target].reset_index(drop=True)

    taken, known, tried = [target], asked([target]), []
    while left := [name for name in every if name not in taken]:
        found = {name: asked([n for n in every if n in (*taken, name)]) for name in left}
        gains = [f.assign(task=name, gain=f["elpd"] - known["elpd"]) for name, f in found.items()]
        steps = judged(pd.concat(gains), alarm)
        steps["elpd"] = pd.Series({name: f["elpd"].sum() for name, f in found.items()})
        sound = [name for name, f in found.items() if not (f["high"] | known["high"]).any()]
        best = str(steps["gain"].loc[sound].idxmax()) if sound else ""
        helps = bool(best) and steps["verdict"][best] == "helps"
        steps["taken"] = (steps.index == best) & helps
        tried.append(steps.reset_index().assign(step=len(taken)))
        if not helps:
            break
        taken, known = [*taken, best], found[best]
    return pd.concat(tried)[["step", "task", "elpd", "gain", "se", "p", "taken"]].set_index("step")


def _only(model: Model, names: list[str], rows: pd.DataFrame) -> tuple[Model, pd.DataFrame]:
    """A model of some of its tasks, and the rows of a table that it needs."""
    if model.as_rows:
        return model, rows[rows[model.tasks["by"]].astype(str).isin(names)]
    some = replace(model, tasks={name: own for name, own in model.tasks.items() if name in names})
    owner = tables.owner(rows)
    return some, rows if owner is None else rows[owner.isin(names)]
