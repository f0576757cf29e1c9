"""A table for people: few digits, each interval beside its number, and nothing wider than the terminal."""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_SHORT = 20  # characters of a text that stays on one line
_LONG = 28  # what a column of longer texts is given at least
_GAP = 2  # between columns


@dataclass(frozen=True)
class Column:
    """What stands in a column, on which side, and whether it may wrap: numbers may not."""

    name: str
    cells: tuple[str, ...]
    side: Literal["left", "right"] = "left"
    wraps: bool = True

    @property
    def whole(self) -> int:
        """The width at which no cell wraps."""
        return max(map(cell_len, (self.name, *self.cells)))

    @property
    def least(self) -> int:
        """The width that it needs."""
        long = self.wraps and self.whole > _SHORT
        return min(self.whole, max(_LONG, cell_len(self.name))) if long else self.whole


def grid(frame: pd.DataFrame, labels: int, width: int | None = None) -> str:
    """A frame as text; what does not fit beside each other stands below, in the order of the columns.

    Columns in which nothing stands are left out.

    Parameters
    ----------
    frame
        Its rows; ``x_low`` and ``x_high`` are the interval of ``x``, and ``low`` and ``high`` that of the
        column before them.
    labels
        How many of the first columns say at least what a row is about. They, and the next ones until rows
        are told apart, lead every part of a table in parts.
    width
        Of the terminal; without one nothing wraps.

    Examples
    --------
    >>> frame = pd.DataFrame({"task": ["a", "b"], "sd": [1.234, 2.0], "sd_low": 1.0, "sd_high": 3.0})
    >>> print(grid(frame, labels=1), end="")
     task  sd
     ─────────────────
     a     1.23 [1, 3]
     b        2 [1, 3]
    """
    columns = list(_columns(frame))
    lead = max(labels, _telling(columns, len(frame)))
    first, rest = (
        [c for c in some if any(map(str.strip, c.cells)) or not c.cells]
        for some in (columns[:lead], columns[lead:])
    )
    parts = enumerate(_parts(first, rest, width))
    return "\n".join(_text(part, width, len(first) if later else 0) for later, part in parts)


def _columns(frame: pd.DataFrame) -> Iterator[Column]:
    """The columns of a frame in words; an interval stands beside its middle."""
    names = list(map(str, frame.columns))
    ends: dict[str, tuple[str, ...]] = {}
    taken: set[str] = set()
    for at, name in enumerate(names):
        if name not in taken and (found := _ends(names, at)):
            ends[name] = found
            taken |= {*found}
    values = dict(zip(names, (frame.iloc[:, at].tolist() for at in range(len(names))), strict=True))
    for name, kind in zip(names, frame.dtypes, strict=True):
        said = [_said(value, name) for value in values[name]]
        if name in ends:
            wide = max(map(len, said), default=0)
            each = zip(said, *(map(_number, values[end]) for end in ends[name]), strict=True)
            said = [f"{middle:>{wide}}" + (f" [{a}, {b}]" if a and b else "") for middle, a, b in each]
            yield Column(name, tuple(said), wraps=False)
        elif name not in taken:
            number = kind.kind in "iuf"
            yield Column(name, tuple(said), "right" if number else "left", wraps=not number)


def _ends(names: list[str], at: int) -> tuple[str, ...]:
    """The columns that hold the interval of one, if there are any."""
    own = f"{names[at]}_low", f"{names[at]}_high"
    if names[at + 1 : at + 3] == ["low", "high"]:
        return "low", "high"
    return own if {*own} <= {*names} else ()


def _said(value: Any, name: str) -> str:
    """A value in words; a column of yes and no says its name or nothing."""
    return (name if value else "") if isinstance(value, bool) else _number(value)


def _number(value: Any) -> str:
    """Three digits of a number, or all before its point; nothing for what is not there."""
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return ""
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e7 else f"{value:.3g}"


def _telling(columns: list[Column], rows: int) -> int:
    """How many columns it takes to tell the rows apart; before any long text, and one at least."""
    for count, column in enumerate(columns[:4]):
        apart = len(set(zip(*(c.cells for c in columns[:count])))) == rows
        if apart or column.whole > column.least:
            return max(count, 1)
    return 1


def _parts(lead: list[Column], rest: list[Column], width: int | None) -> Iterator[list[Column]]:
    """Columns that fit beside each other, each time behind the leading ones."""
    part = list(lead)
    for column in rest:
        needed = sum(c.least + _GAP for c in [*part, column])
        if width is not None and needed > width and len(part) > len(lead):
            yield part
            part = list(lead)
        part.append(column)
    yield part


def _text(columns: list[Column], width: int | None, lead: int) -> str:
    """Columns beside each other, without rows that say nothing behind the leading ones.

    The room that numbers leave is shared among long texts.
    """
    whole = sum(c.whole + _GAP for c in columns)
    room = (width or whole) - sum(c.least + _GAP for c in columns)
    share = min(1.0, max(room, 0) / max(sum(c.whole - c.least for c in columns), 1))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for c in columns:
        wide = c.least + int(share * (c.whole - c.least))
        table.add_column(Text(c.name), justify=c.side, overflow="fold", width=wide)
    for cells in zip(*(c.cells for c in columns), strict=True):
        if not lead or any(map(str.strip, cells[lead:])):
            table.add_row(*map(Text, cells))
    file = io.StringIO()
    Console(file=file, width=width or whole, color_system=None).print(table)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines() if line.strip())
