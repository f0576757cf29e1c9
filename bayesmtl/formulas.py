"""Formulae: the columns they make.

The meanings are those of R, brms and lme4; the encoding is formulaic's.
"""

import ast
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from bayesmtl.categories import levels, numeric, strange
from bayesmtl.errors import Finding, ModelError, listed, unknown
from bayesmtl.group_terms import split
from bayesmtl.terms import columns, expressions, named, plain_names, quoted, restored

__all__ = ["Encoding", "apply", "columns", "learn", "quoted"]

if TYPE_CHECKING:
    import pandas as pd


_EMPTY = r"Data has categories outside .*: \{(np\.float64\()?(nan|None|<NA>)\)?\}\."


@dataclass(frozen=True)
class Encoding:
    """One formula as columns, with all it takes to encode another table the same way.

    Parameters
    ----------
    formula
        The text; its group terms are not encoded here.
    features
        The names of the columns that its fixed part makes.
    state
        What formulaic remembers of the first table: knots of a spline, norms of a polynomial.
    categories
        The levels of each categorical column, and of each term such as ``C(year)``.
    """

    formula: str
    features: tuple[str, ...] = ()
    state: Mapping[str, Any] = field(default_factory=dict)
    categories: Mapping[str, list[Any]] = field(default_factory=dict)

    @property
    def fixed(self) -> str:
        """The formula without its group terms."""
        return split(self.formula)[0]

    def __str__(self) -> str:
        return repr([self.formula, list(self.features), self.state, self.categories])

    @classmethod
    def read(cls, text: str) -> "Encoding":
        """The encoding whose text this is."""
        formula, features, state, categories = ast.literal_eval(text)
        return cls(formula, tuple(features), state, categories)


def learn(formula: str, table: "pd.DataFrame", where: str) -> tuple[Encoding, "pd.DataFrame"]:
    """The encoding of a formula on a table, and the columns of its fixed part there; [row, feature].

    Knots, norms and levels of a term come from the rows where its columns are measured.

    Raises
    ------
    ModelError
        When a column is missing, or the formula can't be encoded.
    """
    columns(formula, where)  # refuses what is no formula
    return learn_part(formula, table, where)


def learn_part(formula: str, table: "pd.DataFrame", where: str) -> tuple[Encoding, "pd.DataFrame"]:
    """What ``learn`` gives, of a formula that may drop the offset, as that of a group term may."""
    fixed = split(formula, where)[0]
    needed = named(fixed, where)
    if wrong := [unknown("table", "column", n, map(str, table)) for n in needed if n not in table]:
        raise ModelError(*wrong)
    if wrong := [finding for n in needed if (finding := strange(table[n]))]:
        raise ModelError(*wrong)
    categories = {n: levels(table[n]) for n in needed if not numeric(table[n])}
    state: dict[str, Any] = {}
    for expression in expressions(fixed, where):
        learnt, graded = _learnt(expression, table, categories, where)
        state |= learnt
        categories |= graded
    encoding = Encoding(formula, (), state, categories)
    made = _encoded(encoding, table, where)
    return replace(encoding, features=tuple(made.columns)), made


def apply(encoding: Encoding, table: "pd.DataFrame", where: str) -> "pd.DataFrame":
    """The columns of an encoding on a new table; [row, feature].

    Raises
    ------
    ModelError
        When a column is missing or holds a category that the first table did not have.
    """
    needed = named(encoding.fixed, where)
    wrong = [unknown("table", "column", n, map(str, table)) for n in needed if n not in table]
    for name, known in _known_levels(encoding).items():
        new = set(table[name].dropna().unique()) - set(known) if name in table else ()
        if new:
            wrong.append(
                Finding(
                    f"table.{name}",
                    f"has categories that the fit never saw: {listed(sorted(new, key=str))}.",
                    f"Known: {listed(known)}.",
                )
            )
    for name in needed:
        if name in table and name not in encoding.categories and not numeric(table[name]):
            wrong.append(Finding(f"table.{name}", "holds text, and held numbers at the fit.", "Mend it."))
    if wrong:
        raise ModelError(*wrong)
    return _encoded(encoding, table, where)


def _learnt(
    expression: str, table: "pd.DataFrame", categories: Mapping[str, list[Any]], where: str
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """What formulaic remembers of one expression, and the levels of one that makes categories."""
    complete = _complete(table[named(expression, where)])
    if not complete.any():
        problem = f'"{expression[1:-1]}" has no complete row.'
        raise ModelError(Finding(where, problem, "Measure its columns, or drop it."))
    spec = _matrix(Encoding(expression, (), {}, categories), table[complete], where)[1]
    graded = {
        term: _plain(state["categories"])
        for term, (_, state) in spec.encoder_state.items()
        if state.get("categories")
    }
    return _plain(spec.transform_state), graded


def _known_levels(encoding: Encoding) -> dict[str, list[Any]]:
    """The levels of each column that is categorical, or is made so by ``C()``."""
    names = plain_names(encoding.fixed)[1]
    found = {}
    for term, own in encoding.categories.items():
        inside = re.match(r"C\(\s*(\w+)\s*[,)]", term)
        name = inside[1] if inside else term
        found[names.get(name, name)] = own
    return found


def _complete(table: "pd.DataFrame") -> "pd.Series":
    """Which rows have a value, and a finite one, in every column; [row]."""
    import numpy as np

    numbers = [name for name in table if numeric(table[name])]
    bounded = ~table[numbers].astype(float).isin([np.inf, -np.inf]).any(axis=1)
    return table.notna().all(axis=1) & bounded


def _encoded(encoding: Encoding, table: "pd.DataFrame", where: str) -> "pd.DataFrame":
    """The columns of an encoding; a row without a category is missing, not of the first level."""
    import numpy as np

    made, spec = _matrix(encoding, table, where)
    plain = {name: alias for alias, name in plain_names(encoding.fixed)[1].items()}
    for name in _known_levels(encoding):
        if name in table and (missing := table[name].isna().to_numpy()).any():
            made.iloc[missing, spec.variable_indices[plain.get(name, name)]] = np.nan
    made = made.drop(columns="Intercept", errors="ignore")
    return made.set_axis(restored(made.columns, encoding.fixed), axis=1)


def _matrix(encoding: Encoding, table: "pd.DataFrame", where: str) -> tuple["pd.DataFrame", Any]:
    """What formulaic makes of the columns that a formula needs, under plain names, and its spec."""
    import numpy as np
    import pandas as pd
    from formulaic import Formula, ModelSpec
    from formulaic.errors import DataMismatchWarning
    from formulaic.parser.types import Factor

    plain, names = plain_names(encoding.fixed)
    needed = named(encoding.fixed, where)
    known = encoding.categories
    values = {n: table[n].replace([np.inf, -np.inf], np.nan) for n in needed if n not in known}
    # only these: a column that is called "log" must not stand in the way of the function
    given = pd.DataFrame(
        {n: pd.Categorical(table[n], known[n]) if n in known else values[n] for n in needed},
        index=table.index,
    ).rename(columns={name: alias for alias, name in names.items()})
    given = given.assign(**{name: given[a] for a, name in names.items() if iskeyword(name)})
    spec = ModelSpec(
        formula=Formula(plain),
        transform_state=dict(encoding.state),
        encoder_state={
            term: (Factor.Kind.CATEGORICAL, {"categories": levels})
            for term, levels in known.items()
            if term not in needed
        },
        na_action="ignore",
    )
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            # an empty category is no news: the row is marked as missing
            warnings.filterwarnings("ignore", _EMPTY, DataMismatchWarning)
            matrix = spec.get_model_matrix(given)
            return matrix.astype(float), matrix.model_spec
    except Exception as error:  # an expression of the user's may fail in any way
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(
            Finding(where, f'can\'t encode "{encoding.formula}": {reason}', "Mend that term.")
        ) from None


def _plain(state: Any) -> Any:
    """The same structure of Python's own numbers, which its text gives back exactly."""
    if isinstance(state, Mapping):
        return {key: _plain(value) for key, value in state.items()}
    if hasattr(state, "tolist"):
        return state.tolist()
    if isinstance(state, Iterable) and not isinstance(state, str):
        return [_plain(value) for value in state]
    return state
