"""What is wrong with the columns that tasks need, as they stand in the table."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from bayesmtl import categories, conflicts, formulas, parts, tables
from bayesmtl.errors import Finding, listed
from bayesmtl.gaps import Plan
from bayesmtl.responses import spread_formula
from bayesmtl.spec import Task
from bayesmtl.terms import factors, graded

# What a column that an option names must hold, where the likelihood's support can't tell.
_RANGES = {
    "weights": "positive",
    "exposure": "positive",
    "se": "at least 0",
    "trials": "a whole number from 0",
    "by": "-1, 0 or 1",
}


@dataclass(frozen=True)
class _Use:
    """The tasks that need a column, whether as numbers and as a group, and the rows with responses."""

    tasks: list[str]
    rows: dict[str, np.ndarray]
    option: str
    plain: bool
    group: bool

    @property
    def needed(self) -> np.ndarray:
        """The rows where some response needs the column; [row]."""
        return np.logical_or.reduce(list(self.rows.values()))


def faults(
    tasks: list[Task],
    needed: Mapping[str, list[str]],
    full: Mapping[str, np.ndarray],
    table: pd.DataFrame,
    units: str | None,
    plan: Plan,
    impute: bool,
) -> Iterator[Finding]:
    """Everything wrong with the columns ``needed`` by the tasks, where they have a response (``full``).

    ``plan`` says which of them could be imputed, and ``impute`` whether they are.
    """
    for name, use in _uses(tasks, needed, full).items():
        if not categories.strange(table[name]) and (table[name].isna() & use.needed).any():
            yield _missing(name, table, use, units, plan, impute)
        yield from _column(name, table, use, units)


def _uses(
    tasks: list[Task], needed: Mapping[str, list[str]], full: Mapping[str, np.ndarray]
) -> dict[str, _Use]:
    """How each column is used by the tasks that have a response."""
    found: dict[str, _Use] = {}
    for task in tasks:
        if not full[task.name].any():
            continue
        options = _options(task)
        written = [task.formula or "", "" if options is None else spread_formula(task.likelihood) or ""]
        groups = {name for formula in written for name in factors(formula)}
        for name in needed[task.name]:
            option = (options or {}).get(name, "")
            plain = not graded(name, written)
            use = found.setdefault(name, _Use([], {}, option, False, name in groups))
            use.tasks.append(task.name)
            use.rows[task.name] = full[task.name]
            found[name] = _Use(use.tasks, use.rows, use.option or option, use.plain or plain, use.group)
    return found


def _options(task: Task) -> dict[str, str] | None:
    """The columns that a task's options name, and these options; None of a faulty likelihood."""
    if parts.faults("likelihoods", task.likelihood, ""):
        return None
    found = {task.weights: "weights"} if task.weights else {}
    for _, part in conflicts.nested("likelihoods", task.likelihood, ""):
        for name, option in parts.manual("likelihoods", part["kind"]).options.items():
            value = part.get(name, option.default)
            if option.kind == "Column" and isinstance(value, str):
                found[value] = name
    return found


def _column(name: str, table: pd.DataFrame, use: _Use, units: str | None) -> Iterator[Finding]:
    """What is wrong with a column that some task needs, as it stands in the table."""
    column, where = table[name], f"table.{name}"
    if strange := categories.strange(column):
        yield strange
        return
    if is_numeric_dtype(column) and (use.option == "by" or not is_bool_dtype(column)):
        yield from _numbers(column, where, use, table, units)
    elif use.option in _RANGES:
        yield Finding(where, f"holds no numbers, as {use.option} must be.", "Mend it.")
    elif use.plain and not is_bool_dtype(column) and not hasattr(column, "cat"):
        numbers = pd.to_numeric(column, errors="coerce").notna()
        words = column.notna() & ~numbers
        remedy = f"Mend it, or write C({formulas.quoted(name)}) if these are categories."
        if not words.any() and numbers.any():
            yield Finding(where, "holds numbers as text.", remedy)
        elif numbers.sum() > words.sum():
            problem = f"holds text among numbers: {listed(column[words].map(repr).unique(), 4)}"
            yield Finding(where, f"{problem} ({tables.named(table, words, units)}).", remedy)
    if (use.group or not is_numeric_dtype(column)) and len(categories.levels(column)) == 1:
        problem = f"is {categories.levels(column)[0]!r} in every row."
        what = "group" if use.group else "predictor"
        yield Finding(where, problem, f"It makes no {what}; drop it.", "warning")


def _missing(
    name: str, table: pd.DataFrame, use: _Use, units: str | None, plan: Plan, impute: bool
) -> Finding:
    """The rows where a column that some task needs is empty: imputed, or of no use to these tasks."""
    empty = table[name].isna()
    rows = tables.named(table, empty & use.needed, units)
    count = int((empty & use.needed).sum())
    problem = f"is empty in {count} {'rows' if count > 1 else 'row'} ({rows})"
    if impute and name in plan.imputed:
        what = "drawn beside the parameters" if name in plan.drawn else "summed out"
        return Finding(f"table.{name}", f"{problem}: imputed, {what}.", level="note")
    lost = {task: int((empty & own).sum()) for task, own in use.rows.items()}
    losers = [task for task, n in lost.items() if n]
    total = sum(lost.values())
    cells = f"{total} cells of {listed(losers, 4)} are" if total > 1 else f"1 cell of {losers[0]} is"
    problem = f"{problem}: {cells} left out."
    remedy = ""
    if not impute and name in plan.imputed:
        remedy = 'Write missing = "impute", or fill it in.'
    if impute and name in plan.refused:
        remedy = f"It can't be imputed: {plan.refused[name]}."
    return Finding(f"table.{name}", problem, remedy, level="warning")


def _numbers(
    column: pd.Series, where: str, use: _Use, table: pd.DataFrame, units: str | None
) -> Iterator[Finding]:
    """Numbers that are infinite, or outside the range of what they stand for."""
    if use.option not in ("", *_RANGES):
        return  # a bound may be infinite
    if endless := tables.named(table, column.isin([np.inf, -np.inf]) & use.needed, units):
        yield Finding(where, f"is infinite: {endless}.", "Mend it, or drop these rows.")
    bad = {
        "weights": column <= 0,
        "exposure": column <= 0,
        "se": column < 0,
        "trials": (column < 0) | (column % 1 != 0) & column.notna(),
        "by": ~column.isin([-1, 0, 1]) & column.notna(),
    }
    if use.option in bad and (rows := tables.named(table, bad[use.option] & use.needed, units)):
        values = listed(dict.fromkeys(f"{v:g}" for v in column[bad[use.option] & use.needed]), 4)
        problem = f"has {values} ({rows}), and {use.option} must be {_RANGES[use.option]}."
        yield Finding(where, problem, "Mend it, or drop these rows.")
