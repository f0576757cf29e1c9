"""Predictions of tables of any size, row by row from one file to another."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from bayesmtl import chunks
from bayesmtl.errors import Finding, ModelError
from bayesmtl.forecast.arrivals import extended
from bayesmtl.forecast.drawn import drawn, pieces
from bayesmtl.forecast.prediction import numbered, summary
from bayesmtl.runtime import ready


def stream(
    post: xr.DataTree,
    source: Any,
    path: str | Path,
    *,
    prob: float = 0.9,
    new_tasks: Collection[str] | Mapping[str, Any] = (),
    probabilities: bool = False,
) -> Path:
    """Write what ``predict`` says of a table of any size to a Parquet file, a piece of the table at a time.

    Memory is bounded by a piece's draws, whatever the rows. All pieces have the same draws of the effects of
    a level that the fit never saw. The file appears when it is complete; it has the rows of a piece task by
    task. It is given no responses, as ``predict`` may be: rows of a new level tell of each other, and may lie
    in several pieces.

    Parameters
    ----------
    post
        A posterior.
    source
        The path of a Parquet file, of a folder of such files or of a CSV file, a data frame of pandas or
        polars, or one of Dask.
    path
        The file to write.
    prob, new_tasks, probabilities
        As of ``predict``.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    ModelError
        When the table is at fault, or there is no pyarrow.

    Examples
    --------
    >>> stream(post, "rows.parquet", "said.parquet")  # doctest: +SKIP
    """
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter
    except ImportError:
        raise ModelError(Finding("out", "is Parquet, which needs pyarrow.", "pip install pyarrow.")) from None
    path, post = Path(path), extended(post, new_tasks) if new_tasks else post
    part, writer = path.with_name(f".{path.name}.part"), None
    try:
        with ready():
            for told in drawn(post, _pieces(post, chunks.opened(source)), chance=probabilities):
                frame = summary(told, prob, (), probabilities)
                if frame.empty:
                    continue
                if writer is None:
                    schema = pa.Schema.from_pandas(frame, preserve_index=False)
                    writer = ParquetWriter(part, schema)
                writer.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False))
        if writer is None:
            raise ModelError(Finding("table", "has no rows to predict.", "Give at least one."))
        writer.close()
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _pieces(post: xr.DataTree, source: Any) -> Iterator[pd.DataFrame]:
    """The rows of a source in pieces whose draws fit in memory."""
    start = 0
    for chunk in chunks.each(source):
        table = numbered(chunk, start)
        yield from (table.iloc[own] for own in pieces(post, len(table)))
        start += len(table)
