"""Tables as files, and what can be wrong with their columns."""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pandas as pd

from bayesmtl.errors import Finding, ModelError, listed


def read(path: str | Path) -> pd.DataFrame:
    """A table from a CSV, TSV or Parquet file.

    Raises
    ------
    ModelError
        When the file is missing, empty, cut short or not a table.
    """
    path = Path(path)
    where = f"table {path.name}"
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        separator = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = _header(file, separator)
        table = pd.read_csv(path, sep=separator, low_memory=False, index_col=False)
        table.columns = pd.Index(header)  # pandas renames columns that share a name
    except OSError as error:
        remedy = "Give the path of a file." if path.is_dir() else "Look at the path."
        problem = f"can't be read: {error.strerror or error}."
        raise ModelError(Finding(where, problem, remedy)) from None
    except ImportError:
        raise ModelError(
            Finding(where, "is Parquet, which needs pyarrow.", "pip install pyarrow, or use CSV.")
        ) from None
    except UnicodeDecodeError:
        raise ModelError(Finding(where, "is not text.", "Save it as CSV in UTF-8.")) from None
    except pd.errors.EmptyDataError:
        raise ModelError(Finding(where, "is empty.", "Give a table with a header.")) from None
    except (ValueError, csv.Error) as error:  # pandas' and pyarrow's parse errors are ValueErrors
        reason = str(error).strip().splitlines()[-1].rstrip(".") + "."
        reason = reason.replace("unexpected end of data", "it ends inside a quoted cell")
        raise ModelError(Finding(where, f"can't be read: {reason}", "Mend the file.")) from None
    return table


def _header(file: TextIO, separator: str) -> list[str]:
    """The names of a text's columns, when every line has a cell for each."""
    lines = csv.reader(_text(file), delimiter=separator, strict=True)
    header = next((line for line in lines if line), [])
    if not header:
        raise pd.errors.EmptyDataError
    for line in lines:
        if len(line) not in (0, len(header)):
            raise ValueError(f"line {lines.line_num} has {len(line)} cells for {len(header)} columns.")
    return [name.strip() for name in header]


def _text(file: TextIO) -> Iterator[str]:
    for line in file:
        if "\0" in line:
            raise ValueError("it holds NUL bytes, so it is no text in UTF-8.")
        yield line


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
