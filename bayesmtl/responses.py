"""Responses: each task's cells as numbers, and tasks with the same likelihood as one family."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesmtl import tables
from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, ModelError, listed
from bayesmtl.parts import Part, columns, manual, settings, table
from bayesmtl.spec import Task


@dataclass(frozen=True)
class Family:
    """Tasks that share a likelihood, as one vector of cells.

    Parameters
    ----------
    name
        The likelihood's name, with a number when several families have it.
    likelihood
        The part.
    task
        The member tasks.
    of, row, y
        Each cell's member, row of the table and response; [cell].
    power
        What each cell's likelihood is raised to: 1 unless the task is tempered; [cell].
    columns
        Each cell's values of the columns that the likelihood's options name; [cell].
    centre, unit
        Mean and standard deviation of each member's response, on the scale of its linear predictor
        (1 where the link is not the identity); [member].
    grades
        Each member's grades, lowest first, or its categories; empty for a response without.
    nominal
        Whether the grades are categories, with a linear predictor for each but the first.
    """

    name: str
    likelihood: Part
    task: Axis
    of: np.ndarray
    row: np.ndarray
    y: np.ndarray
    power: np.ndarray
    columns: Mapping[str, np.ndarray]
    centre: np.ndarray
    unit: np.ndarray
    grades: tuple[tuple[Any, ...], ...]
    nominal: bool

    @property
    def lines(self) -> tuple[tuple[str, ...], ...]:
        """The labels of each member's linear predictors."""
        if not self.nominal:
            return tuple((name,) for name in self.task.labels)
        return tuple(
            tuple(f"{name}[{grade}]" for grade in grades[1:])
            for name, grades in zip(self.task.labels, self.grades, strict=True)
        )

    @property
    def tempered(self) -> np.ndarray:
        """Whether some cell of each member counts for more or less than one; [member]."""
        return np.array([(self.power[self.of == i] != 1).any() for i in range(len(self.task))])

    @property
    def values(self) -> np.ndarray:
        """The grades as numbers: their own, or their place from 0 if they are words; [member, grade]."""
        return np.array([_numbers(grades) for grades in self.grades], float)

    @property
    def responses(self) -> np.ndarray:
        """Each cell's response in the user's numbers; [cell]."""
        return self.in_numbers(self.y)

    def in_numbers(self, y: np.ndarray) -> np.ndarray:
        """Responses as the user's numbers, where the program has places of grades; [..., cell]."""
        return self.values[self.of, y.astype(int)] if self.values.size else y


@dataclass(frozen=True)
class Response:
    """One task's cells: their rows, values and powers, its grades, and its centre and unit."""

    row: np.ndarray
    y: np.ndarray
    power: np.ndarray
    columns: Mapping[str, np.ndarray]
    grades: tuple[Any, ...]
    centre: float
    unit: float


def response(task: Task, column: pd.Series) -> tuple[np.ndarray, tuple[Any, ...]]:
    """A task's measured responses as numbers, and its grades if it has them; [cell].

    Raises
    ------
    ModelError
        When a value is not a number, or not one of the grades.
    """
    where = f"tasks.{task.name}"
    options = settings("likelihoods", task.likelihood)
    if "levels" in options or "categories" in options:
        given: Any = options.get("levels", options.get("categories"))
        grades = _grades(given, column, where, "categories" in options)
        codes = {grade: i for i, grade in enumerate(grades)}
        bad = ~column.isin(grades)
        if bad.any():
            raise ModelError(
                Finding(
                    where,
                    f"has {listed(map(repr, column[bad].unique().tolist()), 4)} "
                    f"({tables.named(column.to_frame(), bad)}) "
                    f"outside its {len(grades)} levels.",
                    f"The levels are {listed(map(repr, grades), 10)}; mend the table or set levels.",
                )
            )
        return column.map(codes).to_numpy(int), tuple(grades)
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    bad = ~np.isfinite(numbers)
    if bad.any():
        raise ModelError(
            Finding(
                where,
                f"has {listed(column[bad].map(repr).unique(), 4)} "
                f"({tables.named(column.to_frame(), bad)}), which is no finite number.",
                "Leave a cell empty when it was not measured.",
            )
        )
    return numbers.to_numpy(), ()


def families(tasks: list[Task], responses: list[Response]) -> tuple[Family, ...]:
    """Tasks with the same likelihood, options and number of grades, as one family."""
    groups: dict[str, list[int]] = {}
    for i, (task, given) in enumerate(zip(tasks, responses, strict=True)):
        alike = repr((sorted(task.likelihood.items(), key=str), len(given.grades)))
        groups.setdefault(alike, []).append(i)
    found: list[Family] = []
    for members in groups.values():
        part = tasks[members[0]].likelihood
        kind = part["kind"].rpartition(":")[2]
        same = sum(f.likelihood["kind"] == part["kind"] for f in found)
        own = [responses[i] for i in members]
        found.append(
            Family(
                name=f"{kind}{same + 1}" if same else kind,
                likelihood=part,
                task=Axis("task", tuple(tasks[i].name for i in members)),
                of=np.concatenate([np.full(len(r.y), m) for m, r in enumerate(own)]),
                row=np.concatenate([r.row for r in own]),
                y=np.concatenate([r.y for r in own]),
                power=np.concatenate([r.power for r in own]),
                columns={
                    name: np.concatenate([r.columns[name] for r in own])
                    for name in columns("likelihoods", part)
                },
                centre=np.array([r.centre for r in own]),
                unit=np.array([r.unit for r in own]),
                grades=tuple(r.grades for r in own),
                nominal="categories" in settings("likelihoods", part),
            )
        )
    return tuple(found)


def spread_formula(part: Part) -> str | None:
    """The formula of a likelihood's scale, if it has one."""
    tables_ = [v for v in settings("likelihoods", part).values() if isinstance(v, Mapping)]
    return next((v["formula"] for v in tables_ if "formula" in v), None)


def scale(part: Part, y: np.ndarray, given: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """Centre and unit of a response on the scale of its linear predictor.

    Where noise is added to the linear predictor they are the mean and the standard deviation of the response,
    or of its logarithm; under any other log link the logarithm of the mean rate, and 1; else 0 and 1.
    """
    part = _innermost(part)
    options, known = settings("likelihoods", part), manual("likelihoods", part["kind"]).options
    link, noisy = options.get("link"), any(option.kind.startswith("Scale") for option in known.values())
    if link == "identity" or (link == "log" and noisy):
        z = y if link == "identity" else np.log(y)
        return float(z.mean()), float(z.std(ddof=1)) or 1.0
    if link == "log":
        exposure = options.get("exposure")
        total = given[exposure].sum() if isinstance(exposure, str) else len(y) * (exposure or 1.0)
        return float(np.log(max(y.sum(), 0.5) / total)), 1.0
    return 0.0, 1.0


def _innermost(part: Part) -> Part:
    """The likelihood that has the linear predictor: that of which another is censored or truncated."""
    for name, option in manual("likelihoods", part["kind"]).options.items():
        if option.kind == "Likelihood":
            return _innermost(table(part.get(name, option.default)))
    return part


def _numbers(grades: tuple[Any, ...]) -> list[float]:
    numeric = all(isinstance(g, int | float) and not isinstance(g, bool) for g in grades)
    return [float(g) for g in grades] if numeric else [float(i) for i in range(len(grades))]


def _grades(levels: int | list[Any], column: pd.Series, where: str, nominal: bool) -> list[Any]:
    """The values of a graded response, lowest first, or its categories."""
    if isinstance(levels, list | tuple):
        return list(levels)
    if hasattr(column, "cat"):
        return column.cat.categories.tolist()
    values = sorted(column.unique().tolist())
    if nominal and not levels:
        return values
    if not pd.api.types.is_numeric_dtype(column):
        raise ModelError(
            Finding(where, "has grades in words.", 'Give their order: levels = ["low", "high"].')
        )
    if not levels:
        return values
    first = 0 if values and values[0] <= 0 else 1
    return list(range(first, first + levels))
