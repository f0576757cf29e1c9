"""Tables: data frames of any kind, one for each task; and what can be wrong with them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from bayesmtl.errors import Finding, ModelError, listed, unknown

OWNER = "(task)"  # the column of stacked tables that says whose table a row stood in


def frame(table: Any) -> pd.DataFrame:
    """Any data frame as one of pandas: of polars, PyArrow and whatever else narwhals reads.

    An Enum keeps the order of its categories. A Categorical of polars is text, as its categories stand in
    no order that anyone chose. A mapping holds a table for each task.

    Raises
    ------
    ModelError
        When it is no data frame.
    """
    import narwhals.stable.v2 as nw

    if isinstance(table, Mapping):
        return stack(table)
    if isinstance(table, pd.DataFrame):
        return _plain(table)
    try:
        given = nw.from_native(table)
        whole = given.collect() if isinstance(given, nw.LazyFrame) else given
    except TypeError:
        remedy = "Give a data frame, of pandas or polars, or one for each task."
        raise ModelError(Finding("table", f"is a {type(table).__name__}.", remedy)) from None
    return pd.DataFrame({name: _column(whole[name]) for name in whole.columns}, index=range(len(whole)))


def _column(series: Any) -> Any:
    """One column of narwhals' as pandas holds it; nothing here needs PyArrow."""
    import narwhals.stable.v2 as nw

    if isinstance(series.dtype, nw.Enum):
        return pd.Categorical(series.to_list(), list(series.dtype.categories), ordered=True)
    if isinstance(series.dtype, nw.Decimal):
        series = series.cast(nw.Float64)
    if isinstance(series.dtype, nw.Boolean) and series.is_null().any():
        return pd.Series(series.to_list(), dtype=object)
    return pd.Series(series.to_numpy())


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """The same table, with pandas' nullable numbers as NumPy's: NaN where they have NA."""
    nullable = [n for n, t in table.dtypes.items() if types.is_extension_array_dtype(t) and t.kind in "iuf"]
    table = table.copy(deep=False) if nullable else table
    for name in nullable:
        column = table[name]
        table[name] = column.astype(float if column.isna().any() else column.dtype.numpy_dtype)
    return table


def stack(given: Mapping[str, Any]) -> pd.DataFrame:
    """The tables of several tasks below each other; the column ``"(task)"`` says whose each row is.

    The index names a row as ``"3 of height"``. A column that a table lacks is empty in its rows.

    Raises
    ------
    ModelError
        When a table is none or empty, has two columns of a name, or tables differ in what a column holds.
    """
    wrong = [] if given else [Finding("table", "is an empty mapping.", "Give a table for each task.")]
    found: dict[str, pd.DataFrame] = {}
    for task, table in given.items():
        where = f"data.table.{task}"
        try:
            own = frame(table)
        except ModelError as error:
            wrong += [Finding(where, f.problem, f.remedy) for f in error.findings]
            continue
        wrong += [Finding(where, f.problem, f.remedy) for f in faults(own)]
        if OWNER in own:
            wrong.append(Finding(where, f'has a column "{OWNER}".', "Rename it: that name is taken."))
        rows = pd.Index([f"{i} of {task}" for i in range(1, len(own) + 1)], name="row")
        found[str(task)] = own.set_axis(own.columns.map(str), axis=1).set_axis(rows, axis=0)
    if wrong or (wrong := _unlike(found)):
        raise ModelError(*wrong)
    whole = pd.concat(found.values())
    for name in whole:
        has = [own[name] for own in found.values() if name in own]
        if all(hasattr(column, "cat") for column in has):  # which concat makes text if they differ
            levels = list(dict.fromkeys(level for column in has for level in column.cat.categories))
            whole[name] = pd.Categorical(whole[name], levels, all(column.cat.ordered for column in has))
    whole[OWNER] = pd.Categorical(np.repeat(list(found), list(map(len, found.values()))), list(found))
    return whole


def _unlike(found: Mapping[str, pd.DataFrame]) -> list[Finding]:
    """Columns that hold one kind of thing in one table, and another in another."""
    wrong = []
    for name in dict.fromkeys(name for own in found.values() for name in own):
        kinds: dict[str, str] = {}
        for task, own in found.items():
            if name in own and (kind := _holds(own[name])):
                kinds.setdefault(kind, task)
        if len(kinds) > 1:
            words = [f"{kind} in the table of {task}" for kind, task in kinds.items()]
            problem = f"holds {' and '.join(words)}."
            wrong.append(Finding(f"table.{name}", problem, "Make them alike, or rename one."))
    return wrong


def _holds(column: pd.Series) -> str:
    """What a column holds, in a word; nothing if it is empty."""
    if column.isna().all():
        return ""
    if types.is_datetime64_any_dtype(column):
        return "dates"
    if not hasattr(column, "cat") and column.dropna().map(type).isin([bool, np.bool_]).all():
        return "truth values"
    return "numbers" if types.is_numeric_dtype(column) else "text"


def owner(table: pd.DataFrame) -> pd.Series | None:
    """Whose table each row stood in, if the tasks have tables of their own; [row]."""
    return table.get(OWNER)


def of_task(table: pd.DataFrame, name: str, by: str | None = None) -> np.ndarray:
    """The rows of a task: all, those of its own table, or those that name it in a column ``by``; [row]."""
    names = table[by] if by is not None else owner(table)
    if names is None:
        return np.ones(len(table), bool)
    return (names.astype(str) == name).to_numpy() & names.notna().to_numpy()


def complete(table: pd.DataFrame, names: Iterable[str]) -> np.ndarray:
    """The rows that have a value in every one of some columns; [row].

    Raises
    ------
    ModelError
        When the table lacks a column; it names all of them.
    """
    names = list(names)
    if wrong := [unknown("table", "column", name, table.columns) for name in names if name not in table]:
        raise ModelError(*wrong)
    return table[list(dict.fromkeys(names))].notna().all(axis=1).to_numpy()


def faults(table: pd.DataFrame) -> list[Finding]:
    """What makes a table useless whatever the model: no rows, or columns that share a name."""
    found = [
        Finding("table", f'has {n} columns called "{name}".', "Rename all but one.")
        for name, n in Counter(map(str, table.columns)).items()
        if n > 1
    ]
    if len(table) == 0:
        found.append(Finding("table", "has no rows.", "Give at least two."))
    return found


def named(table: pd.DataFrame, wrong: pd.Series, units: str | None = None) -> str:
    """The rows where ``wrong`` holds, by their unit or their place; the first row is row 1."""
    places = [i for i, bad in enumerate(wrong.tolist()) if bad]
    if units in table:
        labels = [str(table[units].iloc[i]) for i in places]
    else:  # some rows of a table keep their places in its index
        labels = [str(n + 1 if isinstance(n, int) else n) for n in table.index[places].tolist()]
    noun = units if units in table else table.index.name or "row"
    return f"{noun} {listed(labels, 5)}" if labels else ""
