"""The model of the predictors: its parts and units, as the fit's table has them."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesmtl.axes import Axis
from bayesmtl.gaps import Plan, levels


@dataclass(frozen=True)
class Imputation:
    """What the model of the predictors is made of, as the fit's table has it.

    Parameters
    ----------
    drawn
        The continuous columns with missing entries.
    mean, sd
        Of these where they are measured; [drawn].
    given
        The complete columns that formulae make, which predict those with missing entries.
    given_mean, given_sd
        Of these; [given].
    levels
        The values of each column that is summed out.
    share
        How often each of them occurs; for each column [level].
    """

    drawn: tuple[str, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    given: tuple[str, ...]
    given_mean: tuple[float, ...]
    given_sd: tuple[float, ...]
    levels: Mapping[str, list[Any]]
    share: Mapping[str, list[float]]

    def __str__(self) -> str:
        return repr(list(vars(self).values()))

    @classmethod
    def read(cls, text: str) -> "Imputation":
        """The imputation whose text this is."""
        return cls(*ast.literal_eval(text))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns with missing entries."""
        return (*self.drawn, *self.levels)

    @property
    def axis(self) -> Axis:
        """What predicts the columns that are drawn: complete columns, and categories but the first."""
        own = [f"{name}[{word(level)}]" for name, known in self.levels.items() for level in known[1:]]
        return Axis("given", (*self.given, *own))

    def before(self, name: str) -> int:
        """How many of the axis predict a column that is summed out: those before its own categories."""
        names = list(self.levels)
        return len(self.given) + sum(len(self.levels[n]) - 1 for n in names[: names.index(name)])


def learn(plan: Plan, table: pd.DataFrame, made: pd.DataFrame, rows: np.ndarray) -> Imputation | None:
    """The model of the predictors that a table needs; None where nothing is missing.

    Parameters
    ----------
    made
        The columns that formulae make of the table; [row, feature].
    rows
        Whether a row has a cell of each task; [task, row].
    """
    used = rows.any(0)
    drawn = [name for name in plan.drawn if table.loc[used, name].isna().any()]
    summed = [name for name in plan.summed if table.loc[used, name].isna().any()]
    if not drawn and not summed:
        return None
    x = made.to_numpy(float)[used]
    full = np.isfinite(x).all(0)
    given = [k for k in np.flatnonzero(full) if np.ptp(x[:, k]) > 0]
    values = table.loc[used, drawn].astype(float)
    known = {name: levels(table[name]) for name in summed}
    share = {name: _share(table.loc[used, name], known[name]) for name in summed}
    return Imputation(
        drawn=tuple(drawn),
        mean=tuple(values.mean().tolist()),
        sd=tuple((values.std().where(values.std() > 0, 1.0)).tolist()),
        given=tuple(made.columns[k] for k in given),
        given_mean=tuple(x[:, given].mean(0).tolist()),
        given_sd=tuple(x[:, given].std(0, ddof=1).tolist()),
        levels=known,
        share=share,
    )


def _share(column: pd.Series, known: list[Any]) -> list[float]:
    """How often each value of a column occurs among those measured."""
    count = [float((column == level).sum()) for level in known]
    return [n / sum(count) for n in count]


def complete(imputation: Imputation, made: pd.DataFrame) -> np.ndarray:
    """The standardised complete columns, 0 where one is empty; [row, given]."""
    x = made[list(imputation.given)].to_numpy(float)
    return np.nan_to_num((x - np.array(imputation.given_mean)) / np.array(imputation.given_sd))


def fill(x: np.ndarray, needed: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Columns whose missing entries are set to what the complete ones predict; [row, feature]."""
    x = x.copy()
    for k in np.flatnonzero((needed & ~np.isfinite(x)).any(0)):
        known = needed[:, k] & np.isfinite(x[:, k])
        beside = np.column_stack([np.ones(len(x)), given])
        ridge = beside[known].T @ beside[known] + np.diag([0.0, *np.ones(given.shape[1])])
        weight = np.linalg.lstsq(ridge, beside[known].T @ x[known, k])[0]
        lost = needed[:, k] & ~known
        x[lost, k] = beside[lost] @ weight
    return x


def word(level: Any) -> str:
    """A category as text: 1.0, which stands for 1 in a column with missing entries, is "1"."""
    return f"{level:g}" if isinstance(level, float) else str(level)
