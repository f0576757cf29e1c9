"""The keys of a model file, and what is wrong with their values."""

from collections.abc import Mapping
from typing import Any

from bayesmtl.causal.dag import Dag
from bayesmtl.errors import Finding, ModelError, unknown
from bayesmtl.parts import Part

TYPES: dict[str, tuple[Any, str]] = {
    "tasks": (Mapping, "a table of tasks"),
    "formula": (str, "a string"),
    "dag": (str, "a string of arrows"),
    "data": (Mapping, 'a table with "table" and "units"'),
    "relation": ((str, Mapping, list, tuple), "a relation's name, a table, or a list of relations"),
    "shrinkage": ((str, Mapping), "a shrinkage's name, or a table"),
    "residual": ((str, Mapping), "a residual's name, or a table"),
    "priors": (Mapping, 'a table such as {"weight[age]" = "normal(0, 1)"}'),
    "missing": (str, '"drop" or "impute"'),
    "engine": ((str, Mapping), "an engine's name, or a table"),
    "name": (str, "a string"),
    "doc": (str, "a string"),
    "references": ((list, tuple), "a list of strings"),
}


def part(value: str | Mapping[str, Any], where: str) -> tuple[Part, list[Finding]]:
    """A part as a table, and what is wrong with its kind."""
    if isinstance(value, str):
        return {"kind": value}, []
    kind = value.get("kind")
    if isinstance(kind, str):
        return dict(value), []
    problem = 'has no "kind".' if kind is None else f"has kind {kind!r}."
    return dict(value), [Finding(where, problem, 'Add kind = "..."; bayesmtl parts lists them.')]


def task_faults(tasks: Mapping[str, Any]) -> list[Finding]:
    """What is wrong with the tasks, but for their likelihoods' options."""
    if not tasks:
        return [Finding("tasks", "is empty.", "Add one line for each outcome.")]
    if {"by", "outcome"} <= set(tasks):
        wrong = [
            Finding(f"tasks.{key}", f"is {tasks[key]!r}.", "Give a column's name.")
            for key in ("by", "outcome")
            if not isinstance(tasks[key], str)
        ]
        return wrong + part(tasks, "tasks")[1] + _own_faults(tasks, "tasks")
    if "kind" in tasks and ("by" in tasks or "outcome" in tasks):
        lacking = "outcome" if "by" in tasks else "by"
        return [Finding("tasks", f'has no "{lacking}".', "Tasks as rows need by, outcome and kind.")]
    wrong = []
    for name, value in tasks.items():
        where = f"tasks.{name}"
        if not isinstance(name, str):
            wrong.append(Finding(where, "is no string.", "Give each column's name as a string."))
            continue
        if "/" in name:
            wrong.append(Finding(where, 'has a "/" in its name.', "Rename the column."))
        if not isinstance(value, str | Mapping):
            wrong.append(Finding(where, f"is {value!r}.", 'Give a likelihood, such as "gaussian".'))
            continue
        wrong += part(value, where)[1]
        wrong += _own_faults(value, where)
    return wrong


def _own_faults(value: str | Mapping[str, Any], where: str) -> list[Finding]:
    """What is wrong with the keys of a task that are not its likelihood's."""
    if isinstance(value, str):
        return []
    wrong = [
        Finding(f"{where}.{key}", f"is {value[key]!r}.", remedy)
        for key, remedy in (
            ("formula", "Give a string."),
            ("dag", "Give a string of arrows."),
            ("weights", "Give a column's name."),
        )
        if not isinstance(value.get(key, ""), str)
    ]
    try:
        Dag.read(dag if isinstance(dag := value.get("dag", ""), str) else "")
    except ModelError as error:
        wrong += [Finding(f"{where}.{f.where}", f.problem, f.remedy) for f in error.findings]
    importance = value.get("importance", 1.0)
    if isinstance(importance, bool) or not isinstance(importance, int | float) or not importance > 0:
        wrong.append(Finding(f"{where}.importance", f"is {importance!r}.", "Give a positive number."))
    soft = value.get("soft", ["", ""])
    if not isinstance(soft, list | tuple) or len(soft) < 2 or not all(isinstance(s, str) for s in soft):
        wrong.append(Finding(f"{where}.soft", f"is {soft!r}.", "Give a column for each category."))
    return wrong


def data_faults(data: Mapping[str, Any]) -> list[Finding]:
    """What is wrong with the names of the table, or of the tasks' tables, and of the units."""
    table = data.get("table")
    files = table if isinstance(table, Mapping) else {}
    return [
        *(unknown("data", "key", key, ["table", "units"]) for key in data if key not in ("table", "units")),
        *(
            Finding(f"data.{key}", f"is {value!r}.", "Give a string.")
            for key, value in data.items()
            if not isinstance(value, str) and not (key == "table" and isinstance(value, Mapping))
        ),
        *(
            Finding(f"data.table.{task}", f"is {file!r}.", "Give the path of a file.")
            for task, file in files.items()
            if not isinstance(file, str)
        ),
    ]
