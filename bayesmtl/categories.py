"""Whether a column of a table holds numbers or categories, and which ones."""

from typing import TYPE_CHECKING, Any

from bayesmtl.errors import Finding, listed

if TYPE_CHECKING:
    import pandas as pd


def numeric(column: "pd.Series") -> bool:
    """Whether a column holds numbers; truth values are categories."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return is_numeric_dtype(column) and not is_bool_dtype(column)


def strange(column: "pd.Series") -> Finding | None:
    """Why a column holds neither numbers nor categories that can be written down."""
    where = f"table.{column.name}"
    if column.dtype.kind in "mM":
        return Finding(where, "holds dates or times.", "Make it a number, such as the year.")
    if column.dtype.kind == "c":
        return Finding(where, "holds complex numbers.", "Give two columns of numbers.")
    values = column.cat.categories if hasattr(column, "cat") else column.dropna()
    if values.dtype.kind in "biuf":
        return None
    odd = {type(value).__name__ for value in values if not isinstance(value, str | int | float)}
    if not odd:
        return None
    return Finding(where, f"holds {listed(sorted(odd))} values.", "Make them text or numbers.")


def levels(column: "pd.Series") -> list[Any]:
    """The categories of a column that holds no numbers."""
    if hasattr(column, "cat"):
        return column.cat.categories.tolist()
    values = column.dropna().unique().tolist()
    return sorted(values, key=str) if len(set(map(type, values))) > 1 else sorted(values)
