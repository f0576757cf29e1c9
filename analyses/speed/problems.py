"""The tables, in standard units: each response and each predictor has mean 0 and standard deviation 1.

So a prior is the same number for all contenders, and in bayesmtl's words ``centre`` is 0 and ``unit`` is 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

DATA = Path(__file__).parents[3] / "shared" / "data"
SIZES = {"tasks_2k": 2_000, "tasks_20k": 20_000, "tasks_100k": 100_000, "tasks_1m": 1_000_000}
PROBLEMS = [*SIZES, "gcsemv", "school_ilea", "contraception", "epil"]


@dataclass(frozen=True)
class Problem:
    """A table, and the model that bayesmtl is told.

    Parameters
    ----------
    program
        What the peers call their programs of the same model.
    x
        Predictors, called x0, x1, ...; [row, feature].
    y
        Responses, called y0, y1, ..., nan where not measured; [row, task].
    group
        The group of each row, called g; where tasks are rows of the table, the task.
    model
        Keys of a model file, without the formula.
    effects
        What the formula has beside the predictors.
    accept
        The acceptance that the peers' step sizes aim at: their default, or more where that diverges.
    """

    program: str
    x: np.ndarray
    y: np.ndarray
    group: np.ndarray
    model: Mapping[str, Any]
    effects: str = ""
    accept: float = 0.8

    @property
    def formula(self) -> str:
        """The predictors of every task."""
        return " + ".join([f"x{k}" for k in range(self.x.shape[1])] + [self.effects] * bool(self.effects))

    @property
    def table(self) -> pd.DataFrame:
        """One row per row."""
        x = {f"x{k}": column for k, column in enumerate(self.x.T)}
        return pd.DataFrame({**x, **{f"y{t}": column for t, column in enumerate(self.y.T)}, "g": self.group})


def problem(name: str) -> Problem:
    """The problem of a name.

    Raises
    ------
    FileNotFoundError
        When its table is not here.
    """
    return tasks(SIZES[name]) if name in SIZES else globals()[name]()


def tasks(rows: int) -> Problem:
    """Four normal tasks on the same rows, in 100 groups, with four predictors; drawn from the model."""
    draw = np.random.default_rng(0)
    x, group = draw.normal(size=(rows, 4)), draw.integers(0, 100, rows)
    factor = draw.normal(size=(4, 4))
    covariance = factor @ factor.T + np.eye(4)
    sd = np.sqrt(np.diag(covariance))
    root = np.linalg.cholesky(covariance / sd[:, None] / sd)
    scale = draw.uniform(0.2, 0.6, 4)
    weight = 0.5 * draw.normal(size=(4, 1)) + scale[:, None] * (draw.normal(size=(4, 4)) @ root.T)
    effect = 0.4 * (draw.normal(size=(100, 4)) @ root.T)
    noise = draw.uniform(0.5, 2, 4) * draw.normal(size=(rows, 4))
    y = draw.normal(size=4) + x @ weight + effect[group] + noise
    model = {"tasks": dict.fromkeys(["y0", "y1", "y2", "y3"], "gaussian"), "relation": "correlated"}
    return Problem("tasks", standard(x), standard(y), group, model, "(1 |p| g)")


def gcsemv() -> Problem:
    """Written paper and coursework of pupils in schools, with a sixth of them missing one of the two."""
    table = pd.read_csv(DATA / "gcsemv.csv")
    model = {
        "tasks": {"y0": "gaussian", "y1": "gaussian"},
        "relation": "correlated",
        "residual": "correlated",
    }
    x, y = table[["female", "agemths"]], table[["written", "csework"]]
    return Problem("gcsemv", standard(x), standard(y), codes(table.school), model, "(1 |p| g)", accept=0.95)


def school_ilea() -> Problem:
    """Scores of pupils, with each of 139 schools a task of its own."""
    table = pd.read_csv(DATA / "school_ilea.csv")
    table["vrband"] = 3 - table.vrband  # compared with the band of half of the pupils
    nominal = pd.get_dummies(table[["year", "vrband", "ethnicity"]].astype(str), drop_first=True, dtype=float)
    y = table.groupby("task").score.transform(standard).to_numpy()[:, None]
    model = {
        "tasks": {"by": "g", "outcome": "y0", "kind": "gaussian", "sigma": "pooled"},
        "relation": "partial",
    }
    x = pd.concat([table.gender, nominal], axis=1)
    return Problem("school_ilea", standard(x), y, codes(table.task), model)


def contraception() -> Problem:
    """Who uses contraception, in 60 districts of Bangladesh."""
    table = pd.read_csv(DATA / "contraception.csv")
    children = pd.get_dummies(table.livch, drop_first=True, dtype=float)
    x = children.assign(age=table.age, square=table.age**2, urban=table.urban == "Y").astype(float)
    model = {"tasks": {"y0": "bernoulli"}, "priors": {"weight": "normal(0, 5)"}}
    y = table[["use"]].to_numpy(float)
    return Problem("contraception", standard(x), y, codes(table.district), model, "(1 | g)")


def epil() -> Problem:
    """Seizures of 59 patients in four periods."""
    table = pd.read_csv(DATA / "epil.csv")
    drug = (table.trt == "progabide").astype(float)
    x = table[["lbase", "lage", "V4"]].assign(drug=drug, both=drug * table.lbase)
    likelihood = {"kind": "negative_binomial", "offset": "normal(0, 2.5)"}
    model = {"tasks": {"y0": likelihood}, "priors": {"weight": "normal(0, 5)"}}
    y = table[["y"]].to_numpy(float)
    return Problem("epil", standard(x), y, codes(table.subject), model, "(1 | g)")


def standard(values: Any) -> np.ndarray:
    """Columns less their means, over their standard deviations."""
    values = np.asarray(values, float)
    return (values - np.nanmean(values, 0)) / np.nanstd(values, 0, ddof=1)


def codes(column: pd.Series) -> np.ndarray:
    """The levels of a column as numbers from 0."""
    return pd.factorize(column, sort=True)[0]
