"""Answers and manuals as text for a terminal, a pipe or a program."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING

from bayesmtl import parts
from bayesmtl.parts import Option
from bayesmtl.priors import SUPPORTS

_KINDS = {
    "Column": "a column of the table, or one number for every cell",
    "Likelihood": "a likelihood, by its name or as a table",
    "Relations": "a list of relations",
    "Count": "a whole number from 1",
    "Chance": "a number between 0 and 1",
}

if TYPE_CHECKING:
    import pandas as pd


def rows(frame: "pd.DataFrame", format: str) -> str:
    """A frame as text; its index is a column if it has a name."""
    named = frame.index.names != [None]
    labels = frame.index.nlevels if named else 0
    if format == "csv":
        return frame.to_csv(index=named, lineterminator="\n")
    frame = frame.reset_index() if named else frame
    if format == "json":
        text = frame.to_json(orient="records", indent=2, force_ascii=False, double_precision=15)
        return f"{text}\n"
    from bayesmtl.grid import grid

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return grid(frame, labels, width)


def catalogue(roles: list[str]) -> Iterator[str]:
    """The parts of some roles, a line or two each."""
    for role in roles:
        yield f"{role}: {parts.ROLES[role]}"
        names = parts.names(role)
        margin = max(map(len, names), default=0) + 4
        for name in names:
            first = f"  {name}".ljust(margin)
            summary = parts.manual(role, name).summary
            yield from wrap(summary, 100, initial_indent=first, subsequent_indent=" " * margin)


def manual(role: str, name: str) -> Iterator[str]:
    """A part's docstring and its options."""
    read = parts.manual(role, name)
    yield f"{name}\n\n{read.doc}"
    if read.options:
        yield "\nOptions\n-------"
        yield from map(_option, read.options.values())


def _option(option: "Option") -> str:
    """A line of a part's manual."""
    kind = option.kind.removesuffix(" | None")
    if kind in SUPPORTS:
        kind = f"a prior of {SUPPORTS[kind]}"
    elif kind.startswith("Scale"):
        words = ['"pooled"', *(f'"{word}"' for word in re.findall(r"'(\w+)'", kind))]
        kind = f'a prior of {SUPPORTS["Positive"]}, {", ".join(words)}, or {{ formula = "..." }}'
    elif kind in _KINDS:
        kind = _KINDS[kind]
    elif kind.startswith("Literal"):
        kind = f"one of {kind.removeprefix('Literal[').removesuffix(']')}"
    return f"{option.name} = {json.dumps(option.default)}: {kind}"
