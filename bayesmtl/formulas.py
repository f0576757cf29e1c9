"""Formulae: what they name, and the columns they make.

The meanings are those of R, brms and lme4; the encoding is formulaic's.
"""

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bayesmtl.errors import Finding, ModelError, listed, unknown

if TYPE_CHECKING:
    import pandas as pd

_GROUP = re.compile(r"\([^()]*\|[^()]*\)|\(.*\|\s*gr\(.*\)\)")


@dataclass(frozen=True)
class Encoding:
    """One formula as columns, with all it takes to encode another table the same way.

    Parameters
    ----------
    formula
        The text.
    features
        The names of its columns.
    state
        What formulaic remembers of the first table: the knots of a spline, the norms of a polynomial.
    categories
        The levels of each categorical column.
    """

    formula: str
    features: tuple[str, ...] = ()
    state: Mapping[str, Any] = field(default_factory=dict)
    categories: Mapping[str, list[Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        return repr([self.formula, list(self.features), self.state, self.categories])

    @classmethod
    def read(cls, text: str) -> "Encoding":
        """The encoding whose text this is."""
        formula, features, state, categories = ast.literal_eval(text)
        return cls(formula, tuple(features), state, categories)


def quoted(name: str) -> str:
    """A column's name as a formula must write it."""
    return name if name.isidentifier() else f"`{name}`"


def columns(formula: str, where: str = "formula") -> list[str]:
    """The columns of a table that a formula needs.

    Raises
    ------
    ModelError
        When the text is no formula, has a response, or drops the offset.

    Examples
    --------
    >>> columns("age + log(income) + `hours worked`")
    ['age', 'hours worked', 'income']
    """
    from formulaic import Formula
    from formulaic.errors import FormulaInvalidError, FormulaSyntaxError

    if _GROUP.search(formula):
        raise ModelError(
            Finding(
                where,
                f'has a group term, {listed(_GROUP.findall(formula))}, which can\'t be fitted yet.',
                "Take it out, or make the groups the tasks: tasks as rows.",
            )
        )
    if "~" in formula:
        raise ModelError(Finding(where, f'"{formula}" has a "~".', "Write its right side only."))
    names = re.findall(r"`([^`]+)`", formula)
    plain = formula
    for i, name in enumerate(names):
        plain = plain.replace(f"`{name}`", f"quoted_{i}")
    try:
        parsed = Formula(plain)
        needed = parsed.required_variables
        terms = list(map(str, parsed))
    except (FormulaSyntaxError, FormulaInvalidError, SyntaxError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            Finding(where, f'can\'t read "{formula}": {reason}', 'Write it as "x + z + x:z".')
        ) from None
    if "1" not in terms and formula.strip() not in ("", "0"):
        raise ModelError(
            Finding(
                where,
                f'"{formula}" drops the offset, which every task has.',
                'Take the "0" out; the prior of a task\'s offset can be set.',
            )
        )
    aliases = {f"quoted_{i}": name for i, name in enumerate(names)}
    return sorted(aliases.get(name, name) for name in map(str, needed))


def learn(formula: str, table: "pd.DataFrame", where: str) -> tuple[Encoding, "pd.DataFrame"]:
    """The encoding of a formula on a table, and the columns it makes there; [row, feature]."""
    needed = columns(formula, where)
    categories = {
        name: sorted(table[name].dropna().unique().tolist())
        if not hasattr(table[name], "cat")
        else table[name].cat.categories.tolist()
        for name in needed
        if not _numeric(table[name])
    }
    encoding = Encoding(formula, (), {}, categories)
    matrix = _matrix(encoding, table, where)
    state = _plain(matrix.model_spec.transform_state)
    made = matrix.drop(columns="Intercept")
    return Encoding(formula, tuple(made.columns), state, categories), made


def apply(encoding: Encoding, table: "pd.DataFrame", where: str) -> "pd.DataFrame":
    """The columns of an encoding on a new table; [row, feature].

    Raises
    ------
    ModelError
        When a column is missing or holds a category that the first table did not have.
    """
    needed = columns(encoding.formula, where)
    wrong = [unknown("table", "column", n, table.columns) for n in needed if n not in table]
    for name in needed:
        if name not in table or name not in encoding.categories:
            continue
        new = sorted(set(table[name].dropna().unique()) - set(encoding.categories[name]), key=str)
        if new:
            wrong.append(
                Finding(
                    f"table.{name}",
                    f"has categories that the fit never saw: {listed(new)}.",
                    f"Known: {listed(encoding.categories[name])}.",
                )
            )
    for name in needed:
        if name in table and name not in encoding.categories and not _numeric(table[name]):
            wrong.append(
                Finding(f"table.{name}", "holds text, and held numbers at the fit.", "Mend it.")
            )
    if wrong:
        raise ModelError(*wrong)
    return _matrix(encoding, table, where).drop(columns="Intercept")


def _matrix(encoding: Encoding, table: "pd.DataFrame", where: str) -> Any:
    import numpy as np
    import pandas as pd
    from formulaic import Formula, ModelSpec
    from formulaic.errors import FormulaicError

    table = table.assign(
        **{n: pd.Categorical(table[n], levels) for n, levels in encoding.categories.items()}
    )
    spec = ModelSpec(
        formula=Formula(encoding.formula), transform_state=dict(encoding.state), na_action="ignore"
    )
    try:
        with np.errstate(all="ignore"):
            return spec.get_model_matrix(table)
    except (FormulaicError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            Finding(where, f'can\'t encode "{encoding.formula}": {reason}', "Mend that term.")
        ) from None


def _numeric(column: "pd.Series") -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return is_numeric_dtype(column) and not is_bool_dtype(column)


def _plain(state: Any) -> Any:
    """The same structure of Python's own numbers, which its text gives back exactly."""
    if isinstance(state, Mapping):
        return {key: _plain(value) for key, value in state.items()}
    if hasattr(state, "tolist"):
        return state.tolist()
    if isinstance(state, Iterable) and not isinstance(state, str):
        return [_plain(value) for value in state]
    return state
