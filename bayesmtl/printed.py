"""Answers and manuals as text for a terminal, a pipe or a program."""

import io
import json
import math
import re
import shutil
import sys
from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING, Any

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
    if format == "csv":
        return frame.to_csv(index=named, lineterminator="\n")
    frame = frame.reset_index() if named else frame
    if format == "json":
        text = frame.to_json(orient="records", indent=2, force_ascii=False, double_precision=15)
        return f"{text}\n"
    return _grid(frame)


def _grid(frame: "pd.DataFrame") -> str:
    """A frame for people: few digits, and each interval beside its number."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    frame = frame.loc[:, [kind.kind != "b" or any(frame[c]) for c, kind in frame.dtypes.items()]]
    columns = list(map(str, frame.columns))
    ends = {end for name in columns for end in (f"{name}_low", f"{name}_high")}
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    shown = [name for name in columns if name not in ends]
    for name in shown:
        justify: Any = "right" if frame[name].dtype.kind in "iuf" else "left"
        short = bool((frame[name].astype(str).str.len() <= 20).all())
        whole = short and f"{name}_low" not in columns  # on a narrow terminal the others wrap
        table.add_column(Text(name), justify=justify, overflow="fold", no_wrap=whole)
    for row in frame.to_dict("records"):
        cells = []
        for name in shown:
            low, high = (_number(row.get(f"{name}_{end}", "")) for end in ("low", "high"))
            value = row[name]
            if isinstance(value, bool):  # a column of yes and no says its name or nothing
                value = name if value else ""
            cells.append(Text(_number(value) + (f" [{low}, {high}]" if low and high else "")))
        table.add_row(*cells)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(table)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines() if line.strip())


def _number(value: Any) -> str:
    """Three digits of a number, or all before its point; nothing for what is not there."""
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return ""
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e7 else f"{value:.3g}"


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
