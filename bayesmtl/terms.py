"""The words of a formula: the columns and functions that it names."""

import ast
import keyword
import re
from collections.abc import Iterable, Mapping
from typing import Any

from bayesmtl.errors import Finding, ModelError, unknown
from bayesmtl.group_terms import split

_QUOTED = re.compile(r"`([^`]+)`")


def quoted(name: str) -> str:
    """A column's name as a formula must write it."""
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"`{name}`"


def columns(formula: str, where: str = "formula") -> list[str]:
    """The columns of a table that a formula needs, those of its group terms among them.

    Raises
    ------
    ModelError
        When the text is no formula, has a response, drops the offset, or calls an unknown function.

    Examples
    --------
    >>> columns("age + log(income) + `hours worked` + (1 + age | school)")
    ['age', 'hours worked', 'income', 'school']
    """
    fixed, groups = split(formula, where)
    _keep_offset(fixed, formula, where)
    needed = set(named(fixed, where))
    for group in groups:
        needed |= {*named(group.terms, where), *group.factors}
        if not offset(group.terms, where) and not named(group.terms, where):
            problem = f'has a term of the group "{group.group}" without a column.'
            raise ModelError(Finding(where, problem, f'Write "(1 | {group.group})".'))
    return sorted(needed)


def named(part: str, where: str = "formula") -> list[str]:
    """The columns that a formula without group terms needs.

    Raises
    ------
    ModelError
        When the text is no formula, has a response, or calls an unknown function.
    """
    plain, names = plain_names(part)
    needed: set[str] = set()
    called: set[str] = set()
    for factor in _factors(part, plain, where):
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


def products(part: str, where: str = "formula") -> list[tuple[list[str], list[str]]]:
    """The columns that each term of a formula without group terms multiplies, and those in its functions.

    Examples
    --------
    >>> products("age:sex + log(income)")
    [([], ['income']), (['age', 'sex'], [])]
    """
    plain, names = plain_names(part)
    found = []
    for term in _parsed(part, plain, where):
        own, inside = [], set()
        for factor in term.factors:
            if factor.eval_method.value == "lookup":
                own.append(names.get(factor.expr, factor.expr))
            elif factor.eval_method.value == "python":
                used = _used(ast.parse(factor.expr.strip(), mode="eval"))[0]
                inside |= {names.get(name, name) for name in used}
        if own or inside:
            found.append((own, sorted(inside)))
    return found


def offset(part: str, where: str = "formula") -> bool:
    """Whether a formula without group terms has an offset: not with a 0, or a -1."""
    return "1" in map(str, _parsed(part, plain_names(part)[0], where))


def _keep_offset(fixed: str, formula: str, where: str) -> None:
    if fixed.strip() not in ("", "0") and not offset(fixed, where):
        problem = f'"{formula}" drops the offset, which every task has.'
        remedy = 'Take the "0" out; the prior of a task\'s offset can be set.'
        raise ModelError(Finding(where, problem, remedy))


def expressions(part: str, where: str) -> list[str]:
    """The parts of a formula without group terms that are computed, as formulae of their own."""
    plain, names = plain_names(part)
    found = dict.fromkeys(
        factor.expr for factor in _factors(part, plain, where) if factor.eval_method.value == "python"
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
    >>> mentioned("age + bs(income, df=4) + `hours worked`:C(region, Treatment('south')) + (1 |p| room)")
    ['age', 'hours worked', 'income', 'region', 'room']
    """
    plain = re.sub(r"'[^']*'|\"[^\"]*\"", "", _QUOTED.sub("", formula))
    plain = re.sub(r"\|\s*\w+\s*\|", "|", plain)
    words = re.findall(r"(?<![\w.])([^\W\d][\w.]*)(?!\w|\s*\(|\s*=[^=])", plain)
    constants = {"np", "contr", "True", "False", "None"}
    names = {word for word in words if word.split(".")[0] not in constants}
    return sorted(names | set(_QUOTED.findall(formula)))


def predictors(formula: str) -> list[str]:
    """What ``mentioned`` names without the columns that only say which group a row belongs to.

    Examples
    --------
    >>> predictors("age + (1 + bmi | ward)")
    ['age', 'bmi']
    """
    try:
        fixed, groups = split(formula)
    except ModelError:
        return mentioned(formula)
    return mentioned(" + ".join([fixed, *(group.terms for group in groups)]))


def factors(formula: str) -> list[str]:
    """The columns that say which group a row belongs to.

    Examples
    --------
    >>> factors("age + (1 + bmi | ward/bed)")
    ['bed', 'ward']
    """
    try:
        groups = split(formula)[1]
    except ModelError:
        return []
    return sorted({name for group in groups for name in group.factors})


def graded(name: str, formulas: Iterable[str]) -> bool:
    """Whether some formula takes a column for levels: those of a group, or within ``C()``.

    >>> graded("ward", ["age + (1 | ward)"]), graded("ward", ["age + C(ward)"]), graded("age", ["age"])
    (True, True, False)
    """
    return any(name in factors(formula) or f"C({quoted(name)}" in formula for formula in formulas)
