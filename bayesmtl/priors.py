"""Priors as the text a user writes: ``"normal(0, 2.5)"``, ``"half_normal(unit)"``, or a number.

A prior is in the user's units. Two words stand for the response of the task that it belongs to:
``centre``, its mean, and ``unit``, its standard deviation, both on the scale of the linear
predictor (for a likelihood whose link is not the identity, ``unit`` is one).
"""

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite, log
from typing import Any

from bayesmtl.errors import Finding, ModelError, unknown

# What a signature calls an option that is a prior, or the number at which a parameter is fixed.
type Real = str | float
type Positive = str | float
type Fraction = str | float
type Correlation = str | float
# A positive parameter of each task: a prior, a number, "pooled", or a table with a formula.
type Scale = str | float | Mapping[str, Any]

# What each argument of a family is, so that a prior can be moved and scaled: its place on the axis,
# a width, the reciprocal of a width, the logarithm of a width, or a pure number.
FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "normal": ("Real", ("place", "width")),
    "student_t": ("Real", ("number", "place", "width")),
    "cauchy": ("Real", ("place", "width")),
    "laplace": ("Real", ("place", "width")),
    "half_normal": ("Positive", ("width",)),
    "half_student_t": ("Positive", ("number", "width")),
    "half_cauchy": ("Positive", ("width",)),
    "exponential": ("Positive", ("rate",)),
    "gamma": ("Positive", ("number", "rate")),
    "inverse_gamma": ("Positive", ("number", "width")),
    "lognormal": ("Positive", ("log", "number")),
    "beta": ("Fraction", ("number", "number")),
    "uniform": ("Fraction", ("number", "number")),
    "lkj": ("Correlation", ("number",)),
}
SUPPORTS = {
    "Real": "any number",
    "Positive": "a positive number",
    "Fraction": "a number between 0 and 1",
    "Correlation": "a correlation matrix",
}
_OPERATIONS: dict[type, Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


@dataclass(frozen=True)
class Prior:
    """A family and its arguments, each a number or an expression in ``centre`` and ``unit``."""

    family: str
    arguments: tuple[str, ...]

    @property
    def support(self) -> str:
        """What the prior is over: a key of ``SUPPORTS``."""
        return FAMILIES[self.family][0]

    def numbers(self, centre: Any = 0.0, unit: Any = 1.0) -> list[Any]:
        """The arguments in the user's units."""
        return [_value(a, centre, unit) for a in self.arguments]

    def standard(self, centre: Any = 0.0, unit: Any = 1.0, log: Callable = log) -> list[Any]:
        """The arguments of the same prior for ``(value - centre) / unit``.

        A family over positive numbers has no centre: there it is for ``value / unit``. ``log`` is that of the
        unit's kind of array.
        """
        move: dict[str, Callable] = {
            "place": lambda a: (a - centre) / unit,
            "width": lambda a: a / unit,
            "rate": lambda a: a * unit,
            "log": lambda a: a - log(unit),
            "number": lambda a: a,
        }
        roles = FAMILIES[self.family][1]
        return [move[r](a) for r, a in zip(roles, self.numbers(centre, unit), strict=True)]

    def __str__(self) -> str:
        return f"{self.family}({', '.join(self.arguments)})"

    def text(self, centre: float, unit: float) -> str:
        """The prior with its numbers filled in, as a person would write them."""
        return f"{self.family}({', '.join(f'{n:.4g}' for n in self.numbers(centre, unit))})"


def read(text: str | float, where: str = "prior", support: str = "Real") -> Prior | float:
    """A prior from its text, or the number at which a parameter is fixed.

    Raises
    ------
    ModelError
        When the family is unknown, has other arguments, or has another support.

    Examples
    --------
    >>> read("normal(centre, 2.5 * unit)").standard(centre=100.0, unit=10.0)
    [0.0, 2.5]
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        return _fixed(float(text), where, support)
    remedy = f'Write it as "family(numbers)", for instance "{_example(support)}".'
    unreadable = Finding(where, f'can\'t read the prior "{text}".', remedy)
    try:
        call = ast.parse(text.strip() if isinstance(text, str) else "", mode="eval").body
        if isinstance(call, ast.Constant | ast.UnaryOp) and not isinstance(ast.literal_eval(call), bool):
            return _fixed(float(ast.literal_eval(call)), where, support)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise ModelError(unreadable) from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.keywords:
        raise ModelError(unreadable)
    known = [name for name, (over, _) in FAMILIES.items() if over == support]
    family = call.func.id
    if family not in FAMILIES:
        raise ModelError(unknown(where, "prior", family, known))
    if FAMILIES[family][0] != support:
        raise ModelError(
            Finding(
                where,
                f'"{text}" is a prior over {SUPPORTS[FAMILIES[family][0]]}, and this is {SUPPORTS[support]}.',
                f"Use one of {', '.join(known)}.",
            )
        )
    wanted = FAMILIES[family][1]
    if len(call.args) != len(wanted):
        raise ModelError(Finding(where, f'"{text}" has {len(call.args)} arguments.', f"Give {len(wanted)}."))
    prior = Prior(family, tuple(map(ast.unparse, call.args)))
    if wrong := _improper(prior, where):
        raise ModelError(wrong)
    return prior


def _improper(prior: Prior, where: str) -> Finding | None:
    """Why the arguments of a prior make no density, judged at a centre and a unit of one."""
    try:
        numbers = prior.numbers(1.0, 1.0)
    except (ArithmeticError, ValueError, TypeError):
        numbers = [None]
    if not all(isinstance(number, float) and isfinite(number) for number in numbers):
        return Finding(where, f'can\'t read the prior "{prior}".', 'Use numbers, "centre" and "unit".')
    if prior.family == "uniform":
        if not 0 <= numbers[0] < numbers[1] <= 1:
            return Finding(where, f'"{prior}" has wrong ends.', "Give 0 <= lower < upper <= 1.")
        return None
    roles = FAMILIES[prior.family][1]
    for role, number, argument in zip(roles, numbers, prior.arguments, strict=True):
        if role in ("width", "rate") and number <= 0:
            return Finding(where, f'"{prior}" has a width of {argument}.', "Make it > 0.")
        if role == "number" and number <= 0:
            return Finding(where, f'"{prior}" has {argument} for a positive number.', "Make it > 0.")
    return None


def _fixed(value: float, where: str, support: str) -> float:
    if not isfinite(value):
        raise ModelError(Finding(where, f"is fixed at {value:g}.", "Give a finite number."))
    if support == "Positive" and value <= 0:
        raise ModelError(Finding(where, f"is fixed at {value:g}.", "Give a positive number."))
    if support == "Fraction" and not 0 <= value <= 1:
        raise ModelError(Finding(where, f"is fixed at {value:g}.", "Give one between 0 and 1."))
    if support == "Correlation":
        raise ModelError(Finding(where, "can't be fixed at a number.", 'Write "lkj(2)".'))
    return value


def _example(support: str) -> str:
    return {"Real": "normal(0, 1)", "Positive": "half_normal(1)", "Fraction": "beta(1, 1)"}.get(
        support, "lkj(2)"
    )


def _value(text: str, centre: Any, unit: Any) -> Any:
    """The number an argument stands for; arithmetic only."""

    def walk(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id="centre"):
                return centre
            case ast.Name(id="unit"):
                return unit
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -walk(inner)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
                return _OPERATIONS[type(op)](walk(left), walk(right))
        raise ValueError(text)

    return walk(ast.parse(text, mode="eval").body)


def labels(key: str) -> tuple[str, ...]:
    """The labels that a key of ``[priors]`` has in brackets; backquotes hold one that has a comma.

    Examples
    --------
    >>> labels("weight[mood[sad], poly(age, 2)]"), labels("sigma[`a, b`]"), labels("sigma")
    (('mood[sad]', 'poly(age, 2)'), ('a, b',), ())
    """
    text, found, depth, quoted = key.partition("[")[2].strip().removesuffix("]"), [""], 0, False
    for letter in text:
        quoted ^= letter == "`"
        depth = max(0, depth + (letter in "([{") - (letter in ")]}"))
        if letter == "," and not depth and not quoted:
            found.append("")
        elif letter != "`":
            found[-1] += letter
    return tuple(label.strip() for label in found) if text else ()


def overrides(
    given: Mapping[str, Any], name: str, support: str = "Real"
) -> list[tuple[tuple[str, ...], Prior | float]]:
    """What ``[priors]`` says of one parameter: each key's labels, and its prior or number."""
    own = [key for key in given if key.partition("[")[0].strip() == name]
    return [(labels(key), read(given[key], f"priors.{key}", support)) for key in own]
