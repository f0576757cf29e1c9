"""Which rows of a table serve a task: those with its response, and all that predicts it."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from bayesmtl import formulas, parts, tables
from bayesmtl.responses import spread_formula
from bayesmtl.spec import Model, Task


def tasks_of(model: Model, table: pd.DataFrame) -> list[Task]:
    """The model's tasks, those that stand as rows read from the table in order of appearance."""
    if not model.as_rows:
        return model.listed_tasks()
    levels = table[model.tasks["by"]].dropna() if model.tasks["by"] in table else pd.Series([])
    return model.listed_tasks([str(level) for level in levels.unique()])


def measured(model: Model, task: Task, table: pd.DataFrame) -> np.ndarray:
    """Which rows have a response of a task; [row]."""
    own = tables.of_task(table, task.name, model.tasks["by"] if model.as_rows else None)
    return own & tables.complete(table, task.soft or [task.column])


def served(model: Model, task: Task, table: pd.DataFrame, imputed: Collection[str] = ()) -> np.ndarray:
    """Which rows have a cell of a task: its response, and all that predicts it, or is imputed; [row]."""
    needed = [name for name in needs(task) if name not in imputed]
    return measured(model, task, table) & tables.complete(table, needed)


def needs(task: Task) -> list[str]:
    """The columns that a row must have to serve a task, beside its response."""
    spread = spread_formula(task.likelihood)
    found = [
        *formulas.columns(task.formula or "0", f"tasks.{task.name}.formula"),
        *(formulas.columns(spread, f"tasks.{task.name}") if spread else []),
        *parts.columns("likelihoods", task.likelihood),
        *([task.weights] if task.weights else []),
    ]
    return list(dict.fromkeys(found))
