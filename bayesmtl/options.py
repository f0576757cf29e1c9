"""Options: whether a value is of the kind that a part's signature names."""

import ast
import re
from collections.abc import Mapping
from typing import Any

from bayesmtl import priors
from bayesmtl.errors import Finding, ModelError, unknown


def misfit(value: Any, kind: str, where: str) -> list[Finding]:
    """What is wrong with one option, given the kind that its signature names."""
    if kind in priors.SUPPORTS:
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            return [Finding(where, f"is {value!r}.", 'Give a prior, such as "half_normal(1)".')]
        try:
            priors.read(value, where, kind)
        except ModelError as error:
            return list(error.findings)
        return []
    if kind.startswith("Scale"):
        return _misfit_scale(value, kind, where)
    if value is None and kind.endswith(" | None"):
        return []
    kind = kind.removesuffix(" | None")
    if kind == "Column":
        number = isinstance(value, int | float) and not isinstance(value, bool)
        sound = value is None or isinstance(value, str) or number
        return [] if sound else [Finding(where, f"is {value!r}.", "Give a column's name, or a number.")]
    if kind.startswith("Literal["):
        known = ast.literal_eval(f"[{kind.removeprefix('Literal[').removesuffix(']')}]")
        return [] if value in known else [unknown(where, "choice", str(value), known)]
    if kind == "Chance":
        sound = isinstance(value, int | float) and 0 < value < 1
        return [] if sound else [Finding(where, f"is {value!r}.", "Give a number between 0 and 1.")]
    if kind == "Count":
        sound = isinstance(value, int) and not isinstance(value, bool) and value > 0
        return [] if sound else [Finding(where, f"is {value!r}.", "Give a whole number from 1.")]
    types, words = {
        "int": ((int,), "a whole number"),
        "float": ((int, float), "a number"),
        "str": ((str,), "a string"),
        "bool": ((bool,), "true or false"),
        "list": ((list, tuple), "a list"),
        "dict": ((Mapping,), "a table"),
        "int | list": ((int, list, tuple), "a whole number or a list"),
    }.get(kind, ((object,), "something else"))
    if isinstance(value, types) and (bool in types or not isinstance(value, bool)):
        return []
    return [Finding(where, f"is {value!r}.", f"Give {words}.")]


def _misfit_scale(value: Any, kind: str, where: str) -> list[Finding]:
    """What is wrong with a scale: a prior or a number, a word, or a table with a formula."""
    words = ["pooled", *re.findall(r"'(\w+)'", kind)]
    if value in words:
        return []
    if isinstance(value, Mapping):
        known = {"formula", "sigma", "weight"}
        wrong = [unknown(where, "key", key, known) for key in value if key not in known]
        if not isinstance(value.get("formula"), str):
            wrong.append(Finding(where, "has no formula.", 'Write { formula = "x + z" }.'))
        return wrong
    if isinstance(value, str) and re.fullmatch(r"\w+", value):
        return [unknown(where, "choice", value, words)]
    if value == 0 and not isinstance(value, bool):
        return []
    return misfit(value, "Positive", where)
