"""Tables as files, and what can be wrong with their columns."""

import csv
from collections import Counter
from pathlib import Path

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
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        separator = "\t" if path.suffix in (".tsv", ".tab") else ","
        table = pd.read_csv(path, sep=separator)
        with path.open(encoding="utf-8", newline="") as file:
            header = next(csv.reader(file, delimiter=separator))
    except OSError as error:
        raise ModelError(
            Finding(where, f"can't be read: {error.strerror or error}.", "Look at the path.")
        ) from None
    except ImportError:
        raise ModelError(
            Finding(where, "is Parquet, which needs pyarrow.", "pip install pyarrow, or use CSV.")
        ) from None
    except UnicodeDecodeError:
        raise ModelError(Finding(where, "is not text.", "Save it as CSV in UTF-8.")) from None
    except pd.errors.EmptyDataError:
        raise ModelError(Finding(where, "is empty.", "Give a table with a header.")) from None
    except (ValueError, csv.Error) as error:  # pandas' and pyarrow's parse errors are ValueErrors
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(Finding(where, f"can't be read: {reason}", "Mend the file.")) from None
    table.columns = pd.Index([name.strip() for name in header] if len(header) == table.shape[1] else table.columns)
    return table


def faults(table: pd.DataFrame) -> list[Finding]:
    """What makes a table useless whatever the model: no rows, or columns that share a name."""
    twice = [name for name, n in Counter(map(str, table.columns)).items() if n > 1]
    found = [
        Finding("table", f'has {table.columns.tolist().count(n)} columns called "{n}".', "Rename all but one.")
        for n in twice
    ]
    if len(table) == 0:
        found.append(Finding("table", "has no rows.", "Give at least two."))
    return found


def named(table: pd.DataFrame, wrong: pd.Series, units: str | None = None) -> str:
    """The rows where ``wrong`` holds, by their unit or their place; the first row is row 1."""
    places = [i for i, bad in enumerate(wrong.tolist()) if bad]
    labels = [str(table[units].iloc[i]) if units in table else str(i + 1) for i in places]
    noun = units if units in table else "row"
    return f"{noun} {listed(labels, 5)}" if labels else ""
