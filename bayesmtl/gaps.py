"""Which predictors with missing entries can be imputed, and why others can't."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from bayesmtl import categories, formulas, parts, tables
from bayesmtl.errors import ModelError, listed
from bayesmtl.group_terms import GroupTerm, split
from bayesmtl.responses import spread_formula
from bayesmtl.spec import Model, Task
from bayesmtl.terms import named, products

MOST = 20  # categories of a column that is summed out


@dataclass(frozen=True)
class Plan:
    """What becomes of the predictors that are missing somewhere.

    Parameters
    ----------
    drawn
        The continuous columns, which are drawn.
    summed
        The binary and categorical ones, which are summed out.
    refused
        The others, each with the reason.
    """

    drawn: tuple[str, ...] = ()
    summed: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def imputed(self) -> frozenset[str]:
        """All the columns that are imputed."""
        return frozenset((*self.drawn, *self.summed))


def plan(model: Model, tasks: list[Task], table: pd.DataFrame, full: Mapping[str, np.ndarray]) -> Plan:
    """What could become of the predictors that are missing where a task was measured.

    Parameters
    ----------
    full
        The rows with a response of each task; [row].
    """
    if model.missing != "impute":
        return Plan()
    tasks = [task for task in tasks if task.formula and full[task.name].any()]
    missing = [
        name for name, rows in _needed(tasks, full, table).items() if (table[name].isna() & rows).any()
    ]
    elsewhere = dict(_elsewhere(tasks, table, model))
    whole = _whole(model, tasks, table)
    drawn, summed, refused = [], [], {}
    for name in missing:
        discrete = categorical(name, tasks, table)
        if reason := elsewhere.get(name) or whole or _unfit(name, table, discrete):
            refused[name] = reason
        elif discrete:
            reason = _unsummed(name, model, tasks, table)
            refused |= {name: reason} if reason else {}
            summed += [] if reason else [name]
        elif reason := _curved(name, tasks, missing, table):
            refused[name] = reason
        else:
            drawn.append(name)
    return Plan(tuple(drawn), tuple(summed), refused)


def categorical(name: str, tasks: list[Task], table: pd.DataFrame) -> bool:
    """Whether a column holds categories, or two values, or every formula takes it as categories."""
    column = table[name]
    if not is_numeric_dtype(column) or is_bool_dtype(column) or column.nunique() <= 2:
        return True
    start = f"C({formulas.quoted(name)}"
    written = [task.formula or "" for task in tasks]
    used = [f for f in written if name in _fixed(f)]
    return bool(used) and all(f.count(start) == f.count(formulas.quoted(name)) for f in used)


def levels(column: pd.Series) -> list[object]:
    """The values that a column which is summed out can take."""
    if is_numeric_dtype(column) and not is_bool_dtype(column):
        return sorted(column.dropna().unique().tolist())
    return categories.levels(column)


def _fixed(formula: str) -> list[str]:
    """The columns of a formula's fixed part; none if it can't be read."""
    try:
        return named(split(formula)[0])
    except ModelError:
        return []


def _terms(formula: str) -> tuple[GroupTerm, ...]:
    """The group terms of a formula; none if it can't be read."""
    try:
        return split(formula)[1]
    except ModelError:
        return ()


def _needed(tasks: list[Task], full: Mapping[str, np.ndarray], table: pd.DataFrame) -> dict[str, np.ndarray]:
    """The rows where some task has need of each predictor; [row]."""
    found: dict[str, np.ndarray] = {}
    for task in tasks:
        for name in _fixed(task.formula or ""):
            if name in table:
                found[name] = found.get(name, np.zeros(len(table), bool)) | full[task.name]
    return found


def _elsewhere(tasks: list[Task], table: pd.DataFrame, model: Model) -> Iterator[tuple[str, str]]:
    """The columns that have another part in the model, and which."""
    if model.as_rows:
        yield model.tasks["by"], "it names the tasks"
    for task in tasks:
        if task.weights:
            yield task.weights, "it holds weights"
        for term in _terms(task.formula or ""):
            yield from ((name, "it stands in a group term") for name in (*term.factors, *_fixed(term.terms)))
        if parts.faults("likelihoods", task.likelihood, ""):
            continue
        yield from ((name, "an option names it") for name in parts.columns("likelihoods", task.likelihood))
        spread = spread_formula(task.likelihood)
        yield from ((name, "it stands in the formula of a scale") for name in _fixed(spread or ""))


def _whole(model: Model, tasks: list[Task], table: pd.DataFrame) -> str:
    """Why no predictor can be imputed: a unit's stands in several rows, as if it were several values."""
    units = model.data.get("units")
    apart = model.as_rows or tables.owner(table) is not None
    if apart and units in table and table[units].duplicated().any():
        return f"the rows of one {units} would each get a value of their own"
    return ""


def _unfit(name: str, table: pd.DataFrame, discrete: bool) -> str:
    """Why the values of a column are no ground to impute others."""
    column = table[name]
    if categories.strange(column) is not None:
        return "it holds neither numbers nor categories"
    if column.nunique() < 2:
        return "it has no two values"
    if not discrete and np.isinf(column.astype(float)).any():
        return "it is infinite somewhere"
    return ""


def _unsummed(name: str, model: Model, tasks: list[Task], table: pd.DataFrame) -> str:
    """Why a categorical column can't be summed out."""
    if (count := len(levels(table[name]))) > MOST:
        return f"it has {count} categories, and at most {MOST} are summed out"
    if model.residual.get("kind") != "independent":
        return "it would have to be summed out, which needs independent residuals"
    for task in tasks:
        sound = not parts.faults("likelihoods", task.likelihood, "")
        if sound and "marginal" in parts.settings("likelihoods", task.likelihood).values():
            return f"it would have to be summed out, and so would the noise of {task.name}"
    return ""


def _curved(name: str, tasks: list[Task], missing: list[str], table: pd.DataFrame) -> str:
    """Why a continuous column can't be drawn: what formulae make of it is no multiple of it."""
    others = {n for n in missing if n != name and not categorical(n, tasks, table)}
    for task in tasks:
        try:
            terms = products(split(task.formula or "")[0])
        except ModelError:
            continue
        for own, inside in terms:
            if name in inside:
                return "it stands in a function"
            if name in own and (beside := others & set(own)):
                return f"it is multiplied by {listed(sorted(beside))}, with missing entries too"
            if name in own and own.count(name) > 1:
                return "it is multiplied by itself"
    return ""
