"""What an intervention asks of a posterior: what is set, for which rows, and the equations that tell it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl import tables
from bayesmtl.causal.gformula import Equation, gformula
from bayesmtl.design import Design
from bayesmtl.errors import Finding, ModelError, refuse, unknown
from bayesmtl.forecast.renewed import renew
from bayesmtl.served import needs
from bayesmtl.spec import Task
from bayesmtl.updates.bare import bare
from bayesmtl.wanted import outcomes
from bayesmtl.worlds import exposures
from bayesmtl.worlds.exposures import Setting


@dataclass(frozen=True)
class Asked:
    """An intervention.

    Parameters
    ----------
    known
        The design of the fit, without its rows.
    table
        The rows; what is missing is filled in with anything.
    settings
        What is set: one, or two to contrast.
    equations
        Of each task that is asked of.
    rows
        Those of each task that have all that its equations need; [row].
    """

    known: Design
    table: pd.DataFrame
    settings: tuple[Setting, ...]
    equations: Mapping[str, Equation]
    rows: Mapping[str, np.ndarray]

    def repeated(self, times: int) -> "Asked":
        """The same of each row several times, so that what is drawn averages out."""
        settings = [
            Setting(
                s.words,
                {n: np.tile(v, times) if isinstance(v, np.ndarray) else v for n, v in s.columns.items()},
            )
            for s in self.settings
        ]
        table = pd.concat([self.table] * times, ignore_index=True)
        rows = {name: np.tile(own, times) for name, own in self.rows.items()}
        return replace(self, table=table, settings=tuple(settings), rows=rows)


def ask(
    post: xr.DataTree, table: Any, do: Any, tasks: Iterable[str] | None = None, by: str | None = None
) -> Asked:
    """An intervention that the graph and the table can tell.

    Raises
    ------
    ModelError
        When it is none; it names all reasons.
    """
    known, table = bare(post), tables.frame(table)
    model, names = known.model, known.task.labels
    if not model.dag:
        raise ModelError(Finding("dag", "is missing.", "Draw the graph that says what acts on what."))
    refuse(tables.faults(table))
    column = model.tasks["by"] if model.as_rows else None
    if column is not None and column not in table:
        raise ModelError(unknown("table", "column", column, map(str, table)))
    own = {name: tables.of_task(table, name, column) for name in names}
    # every task may have a cell in rows of another's table
    table = table.drop(columns=tables.OWNER, errors="ignore").reset_index(drop=True)
    wrong = [*exposures.nodes(known, do, table), *_by(known, by, table)]
    for name in tasks or ():
        if name not in names:
            wrong.append(unknown("tasks", "task", name, names))
        elif isinstance(do, Mapping) and name in do:
            wrong.append(Finding("tasks", f'"{name}" is set.', "Ask what becomes of others."))
    equations: dict[str, Equation] = {}
    settings: list[Setting] = []
    if not wrong:
        settings, wrong = exposures.settings(known, do, table)
        chosen = [name for name in (tasks or names) if name not in do]
        equations, unknowable = _equations(known, frozenset(do), chosen, by)
        wrong += unknowable
    needed = {task.column: needs(replace(task, weights=None)) for task in outcomes(model)}
    every = dict.fromkeys(name for columns in needed.values() for name in columns)
    filled = table.assign(**{name: table[name].ffill().bfill() for name in every if name in table})
    try:
        renew(post, filled)
    except ModelError as error:
        wrong += error.findings
    refuse(dict.fromkeys(wrong))
    shifted = {n for s in settings for n, value in s.columns.items() if isinstance(value, np.ndarray)}
    rows = {}
    for name, equation in equations.items():
        columns = {*_columns(equation, needed, frozenset(do)), *shifted, *({by} - {None})}
        rows[name] = own[name] & tables.complete(table, sorted(map(str, columns)))
        if not rows[name].any():
            wrong.append(Finding(f"tasks.{name}", "has no row with all its predictors.", "Fill them in."))
    refuse(wrong)
    kept = {*every, *do, by, column}
    return Asked(known, filled[[n for n in filled if n in kept]], tuple(settings), equations, rows)


def _by(known: Design, by: str | None, table: pd.DataFrame) -> Iterator[Finding]:
    if by is None:
        return
    if by not in known.model.dag.measured:
        yield unknown("by", "measured node", by, known.model.dag.measured)
    elif by not in table:
        yield unknown("by", "column", by, map(str, table))


def _equations(
    known: Design, do: frozenset[str], chosen: Iterable[str], by: str | None
) -> tuple[dict[str, Equation], list[Finding]]:
    """The equations that tell the effect on each task, and why they don't tell it of others."""
    model, found = known.model, dict[str, Equation]()
    wrong: list[Finding] = []
    of = outcomes(model)
    formulas = {task.column: _formula(known, task) for task in of if task.column in model.dag.nodes}
    tied = frozenset(name for family in known.partners for name in family.task.labels)
    for name in chosen:
        task = of[0] if model.as_rows else next(task for task in of if task.name == name)
        where = "tasks" if model.as_rows else f"tasks.{name}"
        if task.column not in formulas:
            wrong.append(Finding(where, "is not in the graph.", "Draw what acts on it."))
            continue
        told = gformula(model.dag, formulas, do, task.column, by=[by] if by else [], tied=tied)
        if isinstance(told, Equation):
            found[name] = told
        else:
            wrong += [replace(finding, where=finding.where or where) for finding in told]
    return found, wrong


def _formula(known: Design, task: Task) -> frozenset[str]:
    """The nodes that a task's cells depend on by its equation."""
    by = [known.model.tasks["by"]] if known.model.as_rows else []
    return frozenset([*needs(replace(task, weights=None)), *by]) & known.model.dag.nodes - {task.column}


def _columns(equation: Equation, needed: Mapping[str, list[str]], do: frozenset[str]) -> set[str]:
    """The columns whose own values some equations need."""
    drawn = {each.node for each in equation.inputs}
    own = set(needed[equation.node]) - drawn - (do - equation.kept)
    return own.union(*(_columns(each, needed, do) for each in equation.inputs))
