"""The words of a formula: the columns and functions that it names."""

import ast
import keyword
import re
from collections.abc import Iterable, Mapping
from typing import Any

from bayesmtl.errors import Finding, ModelError, listed, unknown

_GROUP = re.compile(r"\([^()]*\|[^()]*\)|\(.*\|\s*gr\(.*\)\)")
_QUOTED = re.compile(r"`([^`]+)`")


def quoted(name: str) -> str:
    """A column's name as a formula must write it."""
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"`{name}`"


def columns(formula: str, where: str = "formula") -> list[str]:
    """The columns of a table that a formula needs.

    Raises
    ------
    ModelError
        When the text is no formula, has a response, drops the offset, or calls an unknown function.

    Examples
    --------
    >>> columns("age + log(income) + `hours worked`")
    ['age', 'hours worked', 'income']
    """
    plain, names = plain_names(formula)
    needed: set[str] = set()
    called: set[str] = set()
    for factor in _factors(formula, plain, where):
        if factor.eval_method.value == "lookup":
            needed.add(factor.expr)
        elif factor.eval_method.value == "python":
            found, functions = _used(ast.parse(factor.expr.strip(), mode="eval"))
            needed |= found
            called |= functions
    wrong = [unknown(where, "function", name, _functions()) for name in sorted(called - _functions())]
    needed = {names.get(name, name) for name in needed}
    if "Intercept" in needed:
        wrong.append(Finding(where, 'names a column "Intercept", as the offset is called.', "Rename it."))
    if wrong:
        raise ModelError(*wrong)
    return sorted(needed)


def expressions(formula: str, where: str) -> list[str]:
    """The parts of a formula that are computed, as formulae of their own."""
    plain, names = plain_names(formula)
    found = dict.fromkeys(
        factor.expr for factor in _factors(formula, plain, where) if factor.eval_method.value == "python"
    )
    return [f"{{{_requoted(expression, names)}}}" for expression in found]


def _requoted(text: str, names: Mapping[str, str]) -> str:
    for alias, name in names.items():
        text = text.replace(alias, f"`{name}`")
    return text


def _factors(formula: str, plain: str, where: str) -> list[Any]:
    return [factor for term in _parsed(formula, plain, where) for factor in term.factors]


def _parsed(formula: str, plain: str, where: str) -> Any:
    """The terms of a formula whose quoted names were made plain."""
    from formulaic import Formula, SimpleFormula
    from formulaic.errors import FormulaicError

    if groups := _GROUP.findall(formula):
        problem = f"has a group term, {listed(groups)}, which can't be fitted yet."
        remedy = "Take it out, or make the groups the tasks: tasks as rows."
        raise ModelError(Finding(where, problem, remedy))
    if "~" in formula:
        raise ModelError(Finding(where, f'"{formula}" has a "~".', "Write its right side only."))
    try:
        parsed = Formula(plain)
        reason = "" if isinstance(parsed, SimpleFormula) else "it has several parts."
    except (FormulaicError, SyntaxError) as error:
        reason = str(error).splitlines()[0].partition(". This")[0]
    if reason:
        problem = f'can\'t read "{formula}": {reason}'
        raise ModelError(Finding(where, problem, 'Write it as "x + z + x:z".'))
    if "1" not in list(map(str, parsed)) and formula.strip() not in ("", "0"):
        problem = f'"{formula}" drops the offset, which every task has.'
        remedy = 'Take the "0" out; the prior of a task\'s offset can be set.'
        raise ModelError(Finding(where, problem, remedy))
    return parsed


def plain_names(formula: str) -> tuple[str, dict[str, str]]:
    """A formula with identifiers for its quoted names, and what each stands for.

    formulaic takes a column called "1" for the offset, and `a.b` and `a_b` for the same.
    """
    names: dict[str, str] = {}

    def plain(quote: re.Match[str]) -> str:
        name = quote[1]
        if quoted(name) == name and name not in _functions():
            return name
        alias = f"quoted_{name.encode().hex()}"
        names[alias] = name
        return alias

    return _QUOTED.sub(plain, formula), names


def restored(features: Iterable[str], formula: str) -> list[str]:
    """Names of columns with the quoted names back in place: quoted only inside a function."""
    names = plain_names(formula)[1]
    found = []
    for feature in features:
        for alias, name in names.items():
            feature = name.join(re.split(rf"(?<![^:]){alias}(?![^:\[])", feature))
        found.append(_requoted(feature, names))
    return found


def _used(tree: ast.AST) -> tuple[set[str], set[str]]:
    """The columns and the functions that a Python expression names."""
    nodes = list(ast.walk(tree))
    called = [n.func for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    owners = [n.value for n in nodes if isinstance(n, ast.Attribute)]
    names = {
        n.id
        for n in nodes
        if isinstance(n, ast.Name) and n not in called and not (n in owners and n.id in ("np", "contr"))
    }
    return names, {n.id for n in called}


def _functions() -> set[str]:
    from formulaic.transforms import TRANSFORMS

    # Q hides its column in a string, and the values of lag and hashed are not those of one row
    return {name for name in TRANSFORMS if name not in ("np", "contr", "Q", "lag", "hashed")} | {"abs"}


def mentioned(formula: str) -> list[str]:
    """The columns that a formula seems to name, told without formulaic and its pandas.

    Examples
    --------
    >>> mentioned("age + bs(income, df=4) + `hours worked`:C(region, Treatment('south'))")
    ['age', 'hours worked', 'income', 'region']
    """
    plain = re.sub(r"'[^']*'|\"[^\"]*\"", "", _QUOTED.sub("", formula))
    words = re.findall(r"(?<![\w.])([^\W\d][\w.]*)(?!\w|\s*\(|\s*=[^=])", plain)
    constants = {"np", "contr", "True", "False", "None"}
    names = {word for word in words if word.split(".")[0] not in constants}
    return sorted(names | set(_QUOTED.findall(formula)))
