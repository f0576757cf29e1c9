"""Group terms of a formula, such as ``(1 + x |p| g)``, with the meanings of brms and lme4."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from bayesmtl.errors import Finding, ModelError, unknown

_NAME = r"(?:`[^`]+`|[^\W\d]\w*)"
_EXAMPLE = 'Write it as "(1 + x | g)".'


@dataclass(frozen=True)
class GroupTerm:
    """Coefficients that vary between the levels of a group.

    Parameters
    ----------
    terms
        The formula of the columns whose coefficients vary.
    factors
        The columns of the group; with several, their combinations are its levels.
    id
        Terms that share it are correlated over tasks; "" for none.
    correlated
        Whether the coefficients of one level are correlated; not with ``||``.
    cov
        The file of a known covariance between the levels; "" for none.
    dist
        "gaussian" or "student".
    """

    terms: str
    factors: tuple[str, ...]
    id: str = ""
    correlated: bool = True
    cov: str = ""
    dist: str = "gaussian"

    @property
    def group(self) -> str:
        """The name of the group: ``g``, or ``g:h`` for the combinations of two columns."""
        return ":".join(self.factors)


def split(formula: str, where: str = "formula") -> tuple[str, tuple[GroupTerm, ...]]:
    """A formula's fixed part, and its group terms.

    Raises
    ------
    ModelError
        When a group term can't be read; it names all of them.

    Examples
    --------
    >>> split("x + (1 + x |p| school/room) + z")[0]
    'x + z'
    >>> [term.group for term in split("x + (1 + x |p| school/room) + z")[1]]
    ['school', 'school:room']
    """
    spans, wrong = _spans(formula, where)
    found: list[GroupTerm] = []
    for start, end in spans:
        text = formula[start:end]
        before, after = formula[:start].rstrip(), formula[end:].lstrip()
        if (before and before[-1] != "+") or (after and after[0] not in "+-"):
            wrong.append(Finding(where, f'has "{text}" in a product or a difference.', 'Add it with "+".'))
        try:
            found += _read(text, where)
        except ModelError as error:
            wrong += error.findings
    if wrong:
        raise ModelError(*wrong)
    return _without(formula, spans), tuple(found)


def _without(formula: str, spans: list[tuple[int, int]]) -> str:
    """A formula without some of its terms: "1", the offset, when nothing is left."""
    if not spans:
        return formula
    for start, end in reversed(spans):
        formula = formula[:start] + "\0" + formula[end:]
    formula = re.sub(r"\s*\+\s*\0", "", formula)
    fixed = re.sub(r"^\s*\0\s*\+?", "", formula).strip()
    return f"1 {fixed}" if fixed.startswith("-") else fixed or "1"


def _outside(text: str) -> Iterator[tuple[int, str, tuple[int, ...]]]:
    """The characters outside quotes, each with the places of the brackets that are open there."""
    quote = ""
    opened: list[int] = []
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "`'\"":
            quote = character
        else:
            if character in ")]}" and opened:
                opened.pop()
            yield place, character, tuple(opened)
            if character in "([{":
                opened.append(place)


def _spans(formula: str, where: str) -> tuple[list[tuple[int, int]], list[Finding]]:
    """From where to where each group term stands, and what is wrong with those that can't be told."""
    marks = list(_outside(formula))
    spans: dict[tuple[int, int], None] = {}
    wrong: list[Finding] = []
    for opened in dict.fromkeys(opened for _, character, opened in marks if character == "|"):
        if not opened:
            problem = f'can\'t read "{formula}": a "|" stands outside brackets.'
            wrong.append(Finding(where, problem, _EXAMPLE))
        elif formula[opened[-1]] != "(" or re.search(r"\w\s*$", formula[: opened[-1]]):
            continue  # Python's own |, inside a function
        elif len(opened) > 1:
            problem = f'can\'t read "{formula}": a group term stands inside other brackets.'
            wrong.append(Finding(where, problem, "Add it by itself, outside them."))
        else:
            end = min((p for p, c, o in marks if c == ")" and not o and p > opened[0]), default=None)
            if end is None:
                problem = f'can\'t read "{formula}": a bracket is never closed.'
                wrong.append(Finding(where, problem, _EXAMPLE))
            else:
                spans[opened[0], end + 1] = None
    return list(spans), wrong


def _parts(text: str, mark: str) -> list[str]:
    """A text cut at a mark that stands outside quotes and brackets."""
    cuts = [place for place, character, opened in _outside(text) if character == mark and not opened]
    edges = [-1, *cuts, len(text)]
    return [text[a + 1 : b].strip() for a, b in itertools.pairwise(edges)]


def _read(text: str, where: str) -> list[GroupTerm]:
    """The group terms that one pair of brackets holds."""
    terms, *bars, group = _parts(text[1:-1], "|")
    if len(bars) > 1:
        remedy = 'Write "(x | g)", "(x || g)" without correlations, or "(x |p| g)" with those between tasks.'
        raise ModelError(Finding(where, f'"{text}" has too many bars.', remedy))
    if bars and bars[0] and not re.fullmatch(r"\w+", bars[0]):
        problem = f'"{text}" has "{bars[0]}" between its bars.'
        raise ModelError(Finding(where, problem, "Write one word, alike in the terms that are correlated."))
    if not terms:
        raise ModelError(Finding(where, f'"{text}" has nothing before its bar.', 'Write "(1 | g)".'))
    if not group:
        raise ModelError(Finding(where, f'"{text}" names no group.', _EXAMPLE))
    group, cov, dist = _options(group, text, where)
    nested = [_factors(part, text, where) for part in _parts(group, "/")]
    if cov and len(nested) > 1:
        remedy = "Write one term for each group."
        raise ModelError(Finding(where, f'"{text}" has one covariance for several groups.', remedy))
    found = []
    factors: tuple[str, ...] = ()
    for more in nested:
        factors += more
        if len(set(factors)) < len(factors):
            raise ModelError(Finding(where, f'"{text}" names a column of the group twice.', "Name it once."))
        found.append(GroupTerm(terms, factors, "".join(bars), bars != [""], cov, dist))
    return found


def _options(group: str, text: str, where: str) -> tuple[str, str, str]:
    """The group of ``gr(g, cov = "K.csv", dist = "student")``, its covariance and its distribution."""
    call = re.fullmatch(r"(\w+)\s*\((.*)\)", group, re.DOTALL)
    if not call:
        return group, "", "gaussian"
    if call[1] != "gr":
        raise ModelError(unknown(where, "function of a group", call[1], ["gr"]))
    group, *options = _parts(call[2], ",")
    given = {"cov": "", "dist": "gaussian"}
    wrong = []
    for option in options:
        key, _, value = (part.strip() for part in option.partition("="))
        quotes = re.fullmatch(r"'([^']+)'|\"([^\"]+)\"", value)
        if key not in given:
            wrong.append(unknown(where, "option of a group", key, given))
        elif not quotes:
            example = "K.csv" if key == "cov" else "student"
            wrong.append(Finding(where, f'"{text}" has no text for {key}.', f'Write {key} = "{example}".'))
        else:
            given[key] = quotes[1] or quotes[2]
    if given["dist"] not in (known := ["gaussian", "student"]):
        wrong.append(unknown(where, "distribution of a group", given["dist"], known))
    if not group:
        wrong.append(Finding(where, f'"{text}" names no group.', 'Write "gr(g)".'))
    if wrong:
        raise ModelError(*wrong)
    return group, given["cov"], given["dist"]


def _factors(part: str, text: str, where: str) -> tuple[str, ...]:
    names = _parts(part, ":")
    for name in names:
        if re.fullmatch(_NAME, name):
            continue
        if several := [each for each in re.split(r"\s*[+*]\s*", name) if re.fullmatch(_NAME, each)][1:]:
            remedy = f'Write a term for each, or "{name[: -len(several[-1])].strip(" +*")}:{several[-1]}".'
        else:
            remedy = f'Write it as "g", "g:h" or "g/h"; another name as `{name or "a b"}` in backquotes.'
        raise ModelError(Finding(where, f'"{text}" has the group "{part}".', remedy))
    return tuple(name.strip("`") for name in names)
