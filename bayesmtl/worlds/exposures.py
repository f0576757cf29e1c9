"""What an intervention sets, and to what: the nodes and values that a user gives, held against a table."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from bayesmtl import parts
from bayesmtl.cells import allowed
from bayesmtl.design import Design
from bayesmtl.errors import Finding, listed, unknown
from bayesmtl.spec import Model
from bayesmtl.terms import graded, quoted
from bayesmtl.wanted import outcomes


@dataclass(frozen=True)
class Setting:
    """What some columns are set to, in words and as the values of all rows."""

    words: str
    columns: Mapping[str, Any]


def nodes(known: Design, do: Any, table: pd.DataFrame) -> Iterator[Finding]:
    """What is wrong with the nodes that are to be set."""
    model, dag = known.model, known.model.dag
    if not isinstance(do, Mapping) or not do:
        yield Finding("do", "sets no node.", 'Name a node and its value, {"x": 1}.')
        return
    tasks = {task.column for task in outcomes(model)}
    for name in do:
        where = f"do.{name}"
        if name not in dag.nodes:
            yield unknown("do", "node", str(name), dag.nodes)
        elif name in dag.latent:
            yield Finding(where, "is latent, and in no formula.", "Set what is measured.")
        elif name in dag.selected:
            yield Finding(where, "selects the rows, and is the same in all of them.", "Set what varies.")
        elif model.as_rows and name == model.tasks["by"]:
            yield Finding(where, "says which task a row is of.", "Set what acts on the tasks.")
        elif not dag.descendants([name]) & tasks:
            problem = "is a task that acts on no other." if name in tasks else "acts on no task in the graph."
            yield Finding(where, problem, "Set a cause of a task.")
        elif name not in table:
            yield unknown("table", "column", name, map(str, table))
        elif table[name].dropna().nunique() < 2:
            problem = "is the same in all rows of the table, which can't tell what another value does."
            yield Finding(where, problem, "Give rows that differ, or don't set it.")


def settings(
    known: Design, do: Mapping[str, Any], table: pd.DataFrame
) -> tuple[list[Setting], list[Finding]]:
    """The one setting of all nodes, or the two to contrast; and what is wrong with their values."""
    wrong: list[Finding] = []
    values: dict[str, list[Any]] = {}
    words: dict[str, list[str]] = {}
    for name, given in do.items():
        column = table[name].ffill().bfill()
        if isinstance(given, str) and given == "sd" and not wordy(known.model, name, column):
            sd = table[name].std()
            values[name] = [column.to_numpy(float), column.to_numpy(float) + sd]
            words[name] = [f"{name} as it is", f"{name} + {sd:.3g}"]
        else:
            values[name] = list(given) if isinstance(given, tuple | list) else [given]
            words[name] = [f"{name} = {value}" for value in values[name]]
        if len(values[name]) not in (1, 2):
            problem = f"has {len(values[name])} values."
            wrong.append(Finding(f"do.{name}", problem, "Give one, or two that are contrasted."))
        else:
            wrong += dict.fromkeys(_values(known, name, values[name], column))
    if wrong:
        return [], wrong
    found = []
    for at in range(max(map(len, values.values()))):
        each = {name: min(at, len(own) - 1) for name, own in values.items()}
        columns = {name: values[name][k] for name, k in each.items()}
        found.append(Setting(", ".join(words[name][k] for name, k in each.items()), columns))
    return found, []


def wordy(model: Model, name: str, column: pd.Series) -> bool:
    """Whether a column holds categories, or numbers that formulae take for those."""
    formulas = [task.formula or "" for task in outcomes(model)]
    return is_bool_dtype(column) or not is_numeric_dtype(column) or graded(name, formulas)


def _values(known: Design, name: str, values: list[Any], column: pd.Series) -> Iterator[Finding]:
    """What is wrong with the values that a node is set to."""
    where, shift = f"do.{name}", isinstance(values[0], np.ndarray)
    if wordy(known.model, name, column):
        levels = _levels(known, name, column)
        yield from (unknown(where, "category", str(v), map(str, levels)) for v in values if v not in levels)
        return
    if bad := [value for value in values if not (shift or _number(value))]:
        yield Finding(where, f"is {listed(map(repr, bad), 3)}, and its column holds numbers.", "Give one.")
        return
    y = np.concatenate([np.atleast_1d(np.asarray(value, float)) for value in values])
    if set(column) <= {0, 1} and not set(y) <= {0, 1}:
        yield Finding(
            where, f"is {_few(y[(y != 0) & (y != 1)])}, and its column holds 0 and 1.", "Give these."
        )
    elif not known.model.as_rows and name in known.task.labels:
        yield from _responses(known, name, y)


def _number(value: Any) -> bool:
    return (
        isinstance(value, int | float | np.number)
        and not isinstance(value, bool)
        and bool(np.isfinite(value))
    )


def _few(y: np.ndarray) -> str:
    return listed(dict.fromkeys(f"{value:g}" for value in y), 3)


def _levels(known: Design, name: str, column: pd.Series) -> list[Any]:
    """The categories of a column that the fit knew; of one that no formula encodes, those of the table."""
    encodings = [*known.predictors.encodings, *(e for g in known.groups for e in g.encodings)]
    names = name, f"C({quoted(name)})"
    found = next((own[n] for e in encodings for n in names if n in (own := e.categories)), None)
    return column.unique().tolist() if found is None else found


def _responses(known: Design, name: str, y: np.ndarray) -> Iterator[Finding]:
    """Values of a task that it can't have."""
    family = next(family for family in known.families if name in family.task.labels)
    where, kind = f"do.{name}", family.likelihood["kind"]
    if grades := family.grades[family.task.labels.index(name)]:
        if not (inside := np.isin(y, np.array(grades, float))).all():
            yield Finding(where, f"is {_few(y[~inside])}.", f"Its grades are {listed(grades, 10)}.")
    elif not parts.columns("likelihoods", family.likelihood):  # which bounds that differ from row to row have
        inside, words = allowed(family.likelihood, y, {})
        if not inside.all():
            yield Finding(where, f"is {_few(y[~inside])}.", f"The likelihood {kind} takes {words}.")
