"""The levels of a group, read from a table: columns as text."""

import numpy as np
import pandas as pd

from bayesmtl import categories, tables
from bayesmtl.errors import Finding, ModelError, unknown


def labels_of(
    factors: tuple[str, ...], table: pd.DataFrame, needed: np.ndarray, anonymous: bool = False
) -> np.ndarray:
    """The level that each row belongs to; "" where no cell needs it; [row].

    An empty one is a fault, or, if ``anonymous``, a level that nobody knows: rows of one name share it.
    """
    wrong = []
    for name in factors:
        if name not in table:
            wrong.append(unknown("table", "column", name, map(str, table)))
        elif empty := tables.named(table, table[name].isna() & needed & (not anonymous)):
            problem = f"is empty where a task was measured: {empty}."
            wrong.append(Finding(f"table.{name}", problem, "Fill it in, or drop these rows."))
        elif strange := categories.strange(table[name]):
            wrong.append(strange)
    if wrong:
        raise ModelError(*wrong)
    each = [table[name].map(_label, na_action="ignore").astype(object) for name in factors]
    known = table[list(factors)].notna().all(axis=1)
    names = [":".join(map(str, row)) for row in zip(*each, strict=True)]
    noun = table.index.name or "row"
    names = [
        name if full else f"(unknown of {noun} {row})"
        for name, row, full in zip(names, table.index, known, strict=True)
    ]
    return np.where(needed, np.array(names, object), "")


def _label(value: object) -> str:
    """A level as text: 3.0, which stands for 3 in a column with empty entries, is "3"."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def order(factors: tuple[str, ...], table: pd.DataFrame, labels: np.ndarray) -> list[str]:
    """The levels that occur, in the order of their columns' categories or values."""
    places = []
    for name in factors:
        column = table[name]
        values = categories.levels(column) if hasattr(column, "cat") else _values(column)
        places.append({_label(value): i for i, value in enumerate(values)})
    keys: dict[str, tuple[int, ...]] = {}
    each = [table[name].map(_label, na_action="ignore") for name in factors]
    for label, *values in zip(labels, *each, strict=True):
        if label:
            key = tuple(place[value] for place, value in zip(places, values, strict=True))
            if keys.setdefault(label, key) != key:
                where = f"table.{factors[0]}"
                problem = f'has two levels of "{":".join(factors)}" that are both called "{label}".'
                raise ModelError(Finding(where, problem, 'Rename those with ":" in them.'))
    return sorted(keys, key=lambda label: keys[label])


def _values(column: pd.Series) -> list[object]:
    """The values of a column in rising order; those of several types by their text."""
    values = column.dropna().unique().tolist()
    return sorted(values, key=str) if len(set(map(type, values))) > 1 else sorted(values)
