"""Tables as arrays: one cell for each measured pair of a row and a task."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmtl.axes import Axis
from bayesmtl.configurations import Gaps
from bayesmtl.formulas import Encoding
from bayesmtl.groups import Grouping
from bayesmtl.layout import layout
from bayesmtl.pairs import set_of
from bayesmtl.responses import Family
from bayesmtl.spec import Model


@dataclass(frozen=True)
class Columns:
    """The columns of some formulae, in the user's units.

    Parameters
    ----------
    feature
        Their names.
    x
        Their values; [row, feature].
    mean, sd
        Of each where some cell needs it; [feature].
    uses
        Whether a task's formula has a column; [task, feature].
    encodings
        One for each formula.
    """

    feature: Axis
    x: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    uses: np.ndarray
    encodings: tuple[Encoding, ...]

    @property
    def centred(self) -> np.ndarray:
        """The values less their means; [row, feature]."""
        return self.x - self.mean


@dataclass(frozen=True)
class Kinds:
    """What the rows of a design stand for, where each is a kind of rows of a larger table.

    The design has the means of these rows.

    Parameters
    ----------
    count
        How many they are; [row].
    cross
        Cross-products about the means: of the predictors, of the terms of each group, of the columns that
        hold responses; 0 where no cell needs them; [row, column, column].
    response
        Which of the columns that hold responses is a task's; [task].
    """

    count: np.ndarray
    cross: np.ndarray
    response: np.ndarray


@dataclass(frozen=True)
class Design:
    """What a program reads.

    Parameters
    ----------
    model
        The model that was encoded.
    task
        The axis of its tasks.
    predictors
        The columns that the weights multiply.
    spread
        The columns of the formulae of scales.
    families
        The cells.
    groups
        The group terms.
    units
        The name of each row; [row].
    empty, unserved
        How many cells of each task are empty, and how many are left out as a predictor is missing; [task].
    gaps
        The predictors that are imputed; None where none are.
    kinds
        What rows stand for; None where each is a row of the table.
    """

    model: Model
    task: Axis
    predictors: Columns
    spread: Columns
    families: tuple[Family, ...]
    groups: tuple[Grouping, ...]
    units: np.ndarray
    empty: np.ndarray
    unserved: np.ndarray
    gaps: Gaps | None = None
    kinds: Kinds | None = None

    @property
    def line(self) -> Axis:
        """The linear predictors: one for each task, and one for each category but the first."""
        own = {name: lines for f in self.families for name, lines in zip(f.task.labels, f.lines, strict=True)}
        return Axis("task", tuple(label for name in self.task.labels for label in own[name]))

    @property
    def owner(self) -> np.ndarray:
        """Each linear predictor's task; [line]."""
        own = {name: len(lines) for f in self.families for name, lines in zip(f.task.labels, f.lines)}
        return np.repeat(np.arange(len(self.task)), [own[name] for name in self.task.labels])

    @property
    def x(self) -> np.ndarray:
        """The columns that the weights multiply; [row, feature]."""
        return self.predictors.x

    @property
    def mean(self) -> np.ndarray:
        """Of each column that the weights multiply; [feature]."""
        return self.predictors.mean

    @property
    def sd(self) -> np.ndarray:
        """Standard deviation of each column that the weights multiply; [feature]."""
        return self.predictors.sd

    @property
    def feature(self) -> Axis:
        """The axis of the columns that the weights multiply."""
        return self.predictors.feature

    @property
    def uses(self) -> np.ndarray:
        """Whether a linear predictor has a column; [line, feature]."""
        return self.predictors.uses[self.owner]

    @property
    def unit_of(self) -> np.ndarray:
        """The unit of each linear predictor; [line]."""
        return np.array([self.unit(self.task.labels[t])[1] for t in self.owner])

    @property
    def data(self) -> dict[str, Any]:
        """The arrays that change from table to table, as the program takes them."""
        spread = self.spread.centred / self.spread.sd
        cells = {
            f.name: {
                "of": f.of,
                "row": f.row,
                "y": f.y,
                "power": f.power,
                "columns": dict(f.columns),
                "noise_x": spread[f.row][:, self.spread_of(f)],
            }
            for f in self.families
        }
        grouped = {g.name: g.data for g in self.groups}
        data = {"x": self.predictors.centred, "cells": cells, "groups": grouped, "residual": self.joint}
        data["count"] = np.array(list(self.cells.values()), float)
        if self.gaps is None:
            return data
        every = {f.name: self.gaps.cells(f.row) for f in self.families}
        return data | {"gaps": {**self.gaps.data, "cells": every}}

    @property
    def partners(self) -> tuple[Family, ...]:
        """The families whose residuals are not independent."""
        if self.model.residual["kind"] == "independent":
            return ()
        paired = {name for pair in self.model.residual.get("pairs", ()) for name in pair}
        return tuple(f for f in self.families if not paired or paired & set(f.task.labels))

    @property
    def joint(self) -> dict[str, np.ndarray]:
        """Where the cells of the partners stand among each other."""
        line, row, count = [], [], 0
        for family in self.partners:
            line.append(family.of * len(family.lines[0]) + count)
            row.append(family.row)
            count += sum(map(len, family.lines))
        if not row:
            return {}
        pairs = self.model.residual.get("pairs", ())
        sets = set_of(self.partner, pairs) if self.model.residual["kind"] == "correlated" else None
        return layout(np.concatenate(row), np.concatenate(line), count, sets)

    @property
    def partner(self) -> Axis:
        """The linear predictors of the partners."""
        return Axis("task", tuple(label for f in self.partners for lines in f.lines for label in lines))

    def spread_of(self, family: Family) -> np.ndarray:
        """The columns of the formula of a family's scale."""
        return np.flatnonzero(self.spread.uses[self.task.labels.index(family.task.labels[0])])

    @property
    def cells(self) -> dict[str, int]:
        """How many cells each task has."""
        rows = np.ones(len(self.units)) if self.kinds is None else self.kinds.count
        totals = [np.bincount(f.of, rows[f.row], len(f.task)) for f in self.families]
        counts = {
            name: int(n) for f, own in zip(self.families, totals) for name, n in zip(f.task.labels, own)
        }
        return {name: counts[name] for name in self.task.labels}

    def unit(self, task: str) -> tuple[float, float]:
        """Centre and unit of one task's linear predictor."""
        family = next(f for f in self.families if task in f.task.labels)
        i = family.task.labels.index(task)
        return float(family.centre[i]), float(family.unit[i])
