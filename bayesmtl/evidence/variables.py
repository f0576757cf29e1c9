"""Variables: columns of a table as numbers that a regression can take, on either of its sides."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from bayesmtl import categories
from bayesmtl.errors import Finding, ModelError
from bayesmtl.parts import settings
from bayesmtl.responses import response
from bayesmtl.spec import Task

_MOST = 200  # categories: a column for each is regressed

Link = Literal["identity", "log", "logit"]


@dataclass(frozen=True)
class Variable:
    """A node of the graph, as measured.

    Parameters
    ----------
    y
        Its numbers, NaN where it is empty: one column; for categories an indicator of each but the commonest,
        of two that of the second; for ordered ones of each grade or a lower one, but the highest;
        [row, column].
    link
        Of their means with what predicts them.
    ordered
        Whether the columns are those of ordered categories.
    size
        What ``y`` is a mean of: trials, or time watched; [row].
    """

    y: np.ndarray
    link: Link = "identity"
    ordered: bool = False
    size: np.ndarray | None = None

    @property
    def seen(self) -> np.ndarray:
        """Which rows have it; [row]."""
        whole = self.y if self.size is None else np.column_stack([self.y, self.size])
        return np.isfinite(whole).all(axis=1)

    def at(self, rows: np.ndarray) -> "Variable":
        """The same in some rows; [row]."""
        return replace(self, y=self.y[rows], size=None if self.size is None else self.size[rows])


def predictor(column: pd.Series) -> Variable:
    """A predictor by its type: a number, ordered categories, or categories, as two values are.

    Raises
    ------
    ModelError
        When it holds neither numbers nor categories, or too many of these.
    """
    if finding := categories.strange(column):
        raise ModelError(finding)
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > 2:
        return Variable(_numbers(column)[:, None])
    if (count := column.nunique()) > _MOST:
        remedy = f'Make fewer of them, or write "latent: {column.name}".'
        raise ModelError(Finding(f"table.{column.name}", f"has {count} categories.", remedy))
    ordered = hasattr(column, "cat") and column.cat.ordered
    return _categories(column, categories.levels(column), ordered=ordered)


def outcome(task: Task, table: pd.DataFrame) -> Variable:
    """An outcome by its likelihood; one whose likelihood has no link by its type.

    A positive outcome is its logarithm, for which the same independencies hold.

    Raises
    ------
    ModelError
        When a value is not one that the likelihood can give.
    """
    column, options = table[task.column], settings("likelihoods", task.likelihood)
    if not options.keys() & {"levels", "categories", "link"}:
        return predictor(column)
    full = column.notna().to_numpy()
    values, grades = response(task, column[full])
    y = np.full(len(table), np.nan)
    y[full] = values
    if grades:
        return _categories(pd.Series(y), range(len(grades)), ordered="levels" in options)
    sizes = [options[key] for key in ("trials", "exposure") if key in options]
    size = None
    if sizes:
        size = _numbers(table[sizes[0]]) if isinstance(sizes[0], str) else np.full(len(y), float(sizes[0]))
        size[~(size > 0)] = np.nan
        y = y / size
    link: Link = "logit" if options["link"] == "probit" else options["link"]
    positive = link == "log" and not sizes
    if link != "identity" and ((y < 0).any() or (positive and 0 in y) or (link == "logit" and (y > 1).any())):
        problem = f"has values that {task.likelihood['kind']} can't give."
        remedy = "Mend the table, or take another likelihood."
        raise ModelError(Finding(f"tasks.{task.name}", problem, remedy))
    return Variable(np.log(y)[:, None]) if positive else Variable(y[:, None], link, size=size)


def _numbers(column: pd.Series) -> np.ndarray:
    return pd.to_numeric(column, errors="coerce").to_numpy(float, copy=True)


def _categories(column: pd.Series, levels: Iterable[object], *, ordered: bool = False) -> Variable:
    """Indicators of the levels that occur."""
    counts = column.value_counts()
    used = [level for level in levels if counts.get(level, 0)]
    if ordered:
        places = column.map({level: place for place, level in enumerate(used)}).to_numpy(float)
        y = (places[:, None] <= np.arange(len(used) - 1)).astype(float)
    else:
        common = used[0] if len(used) == 2 else max(used, key=lambda level: counts[level], default=None)
        others = [level for level in used if level != common] or [common]
        y = np.column_stack([column.isin([level]) for level in others]).astype(float)
    y[column.isna().to_numpy()] = np.nan
    return Variable(y, "logit", ordered)
