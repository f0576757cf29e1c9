"""The columns that a model makes of any rows of a table, fixed before the table is read."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from bayesmtl import categories, formulas
from bayesmtl.errors import Finding, ModelError, listed
from bayesmtl.formulas import Encoding, quoted
from bayesmtl.group_terms import split
from bayesmtl.spec import Model
from bayesmtl.summary import Summary, summary
from bayesmtl.terms import named
from bayesmtl.wanted import outcomes


class Needs(NamedTuple):
    """The columns of a table that a model needs, by what they are there for."""

    predictors: tuple[str, ...]
    factors: tuple[str, ...]
    responses: tuple[str, ...]

    @property
    def every(self) -> list[str]:
        """Each once."""
        return list(dict.fromkeys(name for names in self for name in names))


class Made(NamedTuple):
    """What a formula makes: its encoding, the columns it needs, and whether it takes them as they are."""

    encoding: Encoding
    needs: list[str]
    plain: bool


@dataclass(frozen=True)
class Recipe:
    """How the rows of a table become numbers.

    Parameters
    ----------
    needs
        The columns that are read.
    types
        Of the columns that are categories, with all levels of the whole table.
    made
        What the fixed part of each formula, and each group term, makes.
    levels
        Rows of the predictors, which hold every level of those that are categories.
    """

    needs: Needs
    types: Mapping[str, pd.CategoricalDtype]
    made: tuple[Made, ...]
    levels: pd.DataFrame

    def summary(self, rows: pd.DataFrame) -> Summary:
        """The summary of some rows, which have the columns that are needed, and no others.

        Raises
        ------
        ModelError
            When a number is none, or is infinite, in rows that have all it takes.
        """
        if self.types:
            rows = rows.assign(**{name: rows[name].astype(kind) for name, kind in self.types.items()})
        numbers: dict[str, np.ndarray] = {}
        for made in self.made:
            own = rows if made.plain else formulas.apply(made.encoding, rows, "formula")
            numbers |= {name: own[name].to_numpy(float) for name in made.encoding.features}
        numbers |= {name: _numbers(rows[name]) for name in self.needs.responses}
        values = np.array(list(numbers.values())).T
        bad = ~np.isfinite(values)
        if bad.any():
            holes: dict[str, np.ndarray] = {}
            for made in self.made:
                empty = rows[made.needs].isna().any(axis=1).to_numpy()
                holes |= dict.fromkeys(made.encoding.features, empty)
            holes |= {name: rows[name].isna().to_numpy() for name in self.needs.responses}
            hole = np.array([holes[name] for name in numbers]).T
            self._refuse(bad & ~hole, rows, tuple(numbers))
            values[hole | bad] = 0.0
        return summary(self.needs.factors, rows, self.levels, tuple(numbers), values)

    def _refuse(self, bad: np.ndarray, rows: pd.DataFrame, names: Sequence[str]) -> None:
        """Raise what is wrong with numbers that are none, where some response is measured."""
        measured = rows[list(self.needs.responses)].notna().any(axis=1).to_numpy()
        wrong = []
        for name, own in zip(names, (bad & measured[:, None]).T, strict=True):
            if own.any():
                where = f"table.{name}" if name in rows else "formula"
                values = f" ({listed(dict.fromkeys(map(repr, rows[name][own])), 4)})" if name in rows else ""
                problem = f'"{name}" is no finite number in some rows{values}.'
                wrong.append(Finding(where, problem, "Mend that column or term, or drop these rows."))
        if wrong:
            raise ModelError(*wrong)


def needs(model: Model) -> Needs:
    """The columns that a model needs."""
    tasks = outcomes(model)
    parts = [split(task.formula or "0", "formula") for task in tasks]
    terms = [term for _, groups in parts for term in groups]
    predictors = [name for fixed, _ in parts for name in named(fixed)]
    predictors += [name for term in terms for name in named(term.terms)]
    factors = [name for term in terms for name in term.factors]
    factors += [model.tasks["by"]] if model.as_rows else []
    each = (predictors, factors, [task.column for task in tasks])
    return Needs(*(tuple(dict.fromkeys(names)) for names in each))


def learn(
    model: Model, wanted: Needs, head: pd.DataFrame, scan: Callable[[list[str]], Mapping[str, list[Any]]]
) -> Recipe:
    """How the rows of a table become numbers, from what its columns hold and the levels of its categories.

    Parameters
    ----------
    wanted
        What the model needs.
    head
        Some of its rows, or none: what its columns hold.
    scan
        The levels, in the whole table, of each of some columns; see ``levels``.

    Raises
    ------
    ModelError
        When a column can't be encoded, or a term needs all rows at once.
    """
    if wrong := [finding for name in wanted.every if (finding := categories.strange(head[name]))]:
        raise ModelError(*wrong)
    texts = dict.fromkeys(task.formula or "0" for task in outcomes(model))
    graded = [n for n in wanted.predictors if _words(head[n]) or any(_made_graded(n, text) for text in texts)]
    ordered = [n for n in wanted.factors if hasattr(head[n], "cat")]
    found = scan(list(dict.fromkeys([*graded, *ordered])))
    types = {
        name: pd.CategoricalDtype(own, hasattr(head[name], "cat") and head[name].cat.ordered)
        for name, own in found.items()
        if _words(head[name])
    }
    shown = _levels(wanted, {name: found[name] for name in graded}, types)
    made: list[Made] = []
    for text in texts:
        fixed, groups = split(text, "formula")
        made += [_made(text, shown, formulas.learn)] if fixed not in ("0", "1") else []
        made += [_made(term.terms, shown, formulas.learn_part) for term in groups]
    return Recipe(wanted, types, tuple({repr(one): one for one in made}.values()), shown)


def levels(rows: pd.DataFrame) -> dict[str, list[Any]]:
    """The levels of each column."""
    return {str(name): categories.levels(rows[name]) for name in rows}


def joined(parts: Sequence[Mapping[str, list[Any]]], ordered: Sequence[str]) -> dict[str, list[Any]]:
    """The levels of all parts of a table, sorted but for those of columns that have an order of their own."""
    found = {}
    for name in parts[0]:
        every = list(dict.fromkeys(value for part in parts for value in part[name]))
        found[name] = every if name in ordered else categories.levels(pd.Series(every, dtype=object))
    return found


def _levels(
    wanted: Needs, found: Mapping[str, list[Any]], types: Mapping[str, pd.CategoricalDtype]
) -> pd.DataFrame:
    """Rows of the predictors, which hold every level of the categories among them; numbers are 1."""
    if wrong := [
        Finding(f"table.{n}", "is empty.", "Fill it in, or drop it.") for n in found if not found[n]
    ]:
        raise ModelError(*wrong)
    size = max(map(len, found.values()), default=1)
    shown: dict[str, Any] = {}
    for name in wanted.predictors:
        own = found.get(name, [1.0])
        values = [own[i % len(own)] for i in range(size)]
        shown[name] = pd.Categorical(values, dtype=types[name]) if name in types else values
    return pd.DataFrame(shown, index=range(size))


def _made(text: str, shown: pd.DataFrame, encode: Callable[..., tuple[Encoding, pd.DataFrame]]) -> Made:
    """What a formula makes, if it does so row by row."""
    encoding = encode(text, shown, "formula")[0]
    if encoding.state:
        problem = f"{listed(encoding.state)} is computed from all rows at once."
        remedy = "Write numbers into it, or fit the table."
        raise ModelError(Finding("formula", problem, remedy))
    names = named(encoding.fixed)
    made_graded = {name for name in names if _made_graded(name, encoding.fixed)}
    if odd := [term for term in encoding.categories if term not in names and not made_graded]:
        problem = f"{listed(odd)} has levels that only all rows at once tell."
        raise ModelError(Finding("formula", problem, "Make it a column of the table."))
    plain = all(name in names and not _words(shown[name]) for name in encoding.features)
    return Made(encoding, names, plain)


def _made_graded(name: str, formula: str) -> bool:
    """Whether a formula makes categories of a column of numbers."""
    return bool(re.search(rf"\bC\(\s*{re.escape(quoted(name))}\s*[,)]", formula))


def _words(column: pd.Series) -> bool:
    return not categories.numeric(column)


def _numbers(column: pd.Series) -> np.ndarray:
    """Responses as numbers; nan where they are none."""
    if is_numeric_dtype(column):
        return column.to_numpy(float)
    return pd.to_numeric(column, errors="coerce").to_numpy(float)
