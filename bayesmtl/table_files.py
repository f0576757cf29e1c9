"""Tables as files."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from bayesmtl.errors import Finding, ModelError
from bayesmtl.tables import stack


def own(data: Mapping[str, Any], folder: Path = Path()) -> pd.DataFrame:
    """The table that the ``data`` of a model name.

    Raises
    ------
    ModelError
        When they name none, or it can't be read.
    """
    if "table" not in data:
        raise ModelError(
            Finding("data", "names no table.", 'Add [data] table = "file.csv", or give a table.')
        )
    return read(data["table"], folder)


def read(file: str | Path | Mapping[str, str], folder: Path = Path()) -> pd.DataFrame:
    """A table from a CSV, TSV or Parquet file, or the tables of several tasks from a file for each.

    Raises
    ------
    ModelError
        When a file is missing, empty, cut short or not a table; it names all such files.
    """
    if not isinstance(file, Mapping):
        return _read(folder / file)
    found: dict[str, pd.DataFrame] = {}
    wrong: list[Finding] = []
    for task, own in file.items():
        try:
            found[task] = _read(folder / own)
        except ModelError as error:
            wrong += [Finding(f"data.table.{task}", str(f), level=f.level) for f in error.findings]
    if wrong:
        raise ModelError(*wrong)
    return stack(found)


def _read(path: Path) -> pd.DataFrame:
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
