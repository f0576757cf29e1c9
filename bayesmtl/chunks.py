"""Tables in chunks: data frames of any kind, Parquet files, and the partitions of Dask."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import batched
from pathlib import Path
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from bayesmtl import table_files, tables
from bayesmtl.errors import Finding, ModelError

CHUNK = 131_072  # rows that a core holds at once
FAN = 8  # results that are added at once


def opened(source: Any) -> Any:
    """A source that can be read by chunks more than once.

    Parquet files, folders of them and frames of Dask stay where they are; other files and the tables of
    single tasks are read into one data frame.

    Raises
    ------
    ModelError
        When it is no table.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        return path if path.is_dir() or path.suffix.lower() == ".parquet" else table_files.read(path)
    if isinstance(source, pd.DataFrame) or _partitioned(source):
        return source
    import narwhals.stable.v2 as nw

    if isinstance(source, Mapping):
        return tables.frame(source)
    try:
        return nw.from_native(source)
    except TypeError:
        remedy = "Give a data frame, of pandas, polars or Dask, or the path of a Parquet file."
        raise ModelError(Finding("table", f"is a {type(source).__name__}.", remedy)) from None


def names(source: Any) -> list[str]:
    """The columns of an opened source."""
    if isinstance(source, Path):
        return list(_parquet(_files(source)[0]).schema_arrow.names)
    schema = getattr(source, "collect_schema", None)  # of polars, which would warn of a lazy frame's columns
    return list(map(str, schema().names() if schema else source.columns))


def head(source: Any, columns: Sequence[str]) -> pd.DataFrame:
    """The first rows of an opened source, or none of one that Dask holds: what its columns hold."""
    if _partitioned(source):
        return tables.frame(source[list(columns)]._meta)
    first = next(_chunks(source, columns), None)
    return first() if first else pd.DataFrame(columns=list(columns))


def each(source: Any) -> Iterator[pd.DataFrame]:
    """The rows of an opened source, chunk by chunk, in their order."""
    columns = names(source)
    if _partitioned(source):
        for part in source.to_delayed():
            yield from each(part.compute())
    else:
        for chunk in _chunks(source, columns):
            yield chunk()


def reduced[T](
    source: Any,
    columns: Sequence[str],
    function: Callable[[pd.DataFrame], T],
    add: Callable[[Sequence[T]], T],
) -> T:
    """What a function gives of each chunk of an opened source, added up in the order of the rows.

    Dask does it where its partitions are, and adds the results as a tree; else all cores do it.

    Raises
    ------
    ModelError
        When there are no rows.
    """
    if _partitioned(source):
        import dask

        parts = source[list(columns)].to_delayed()
        found = [dask.delayed(_whole)(part, function, add) for part in parts]
        while len(found) > 1:
            found = [dask.delayed(add)(list(some)) for some in batched(found, FAN)]
        return dask.compute(found[0])[0]
    done: list[T] = []
    waiting: deque[Future[T]] = deque()
    cores = os.cpu_count() or 1
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(cores) as pool:
        for chunk in _chunks(source, columns):
            waiting.append(pool.submit(lambda chunk: function(chunk()), chunk))
            if len(waiting) > 2 * cores:
                done.append(waiting.popleft().result())
            if len(done) == FAN:
                done = [add(done)]
        done += [future.result() for future in waiting]
    if not done:
        raise ModelError(Finding("table", "has no rows.", "Give at least two."))
    return add(done)


def _whole[T](
    table: pd.DataFrame, function: Callable[[pd.DataFrame], T], add: Callable[[Sequence[T]], T]
) -> T:
    """What a function gives of a partition, chunk by chunk."""
    columns = list(table.columns)
    return add([function(chunk()) for chunk in _chunks(table, columns)] or [function(table)])


def _chunks(source: Any, columns: Sequence[str]) -> Iterator[Callable[[], pd.DataFrame]]:
    """The rows of an opened source that Dask does not hold; who takes a chunk makes it a data frame."""
    columns = list(columns)
    if isinstance(source, Path):
        for path in _files(source):
            for batch in _parquet(path).iter_batches(CHUNK, columns=columns):
                yield partial(_of_batch, batch.select(columns))
        return
    if isinstance(source, pd.DataFrame):
        kept = source.set_axis(source.columns.map(str), axis=1)[columns]
        for start in range(0, len(kept), CHUNK):
            yield partial(tables.frame, kept.iloc[start : start + CHUNK].reset_index(drop=True))
        return
    kept = source.select(columns)
    kept = kept.collect() if hasattr(kept, "collect") else kept
    for start in range(0, len(kept), CHUNK):
        yield partial(tables.frame, kept[start : start + CHUNK].to_native())


def _of_batch(batch: Any) -> pd.DataFrame:
    """Arrow's rows in one thread, as other chunks take the others."""
    return tables.frame(batch.to_pandas(use_threads=False, split_blocks=True))


def _partitioned(source: Any) -> bool:
    """Whether a source is a data frame of Dask, which is not imported to tell."""
    module = sys.modules.get("dask.dataframe")
    return module is not None and isinstance(source, module.DataFrame)


def _files(path: Path) -> list[Path]:
    """The Parquet files of a path: itself, or those of a folder."""
    found = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not found:
        raise ModelError(Finding(f"table {path.name}", "has no Parquet files.", "Look at the path."))
    return found


def _parquet(path: Path) -> Any:
    where = f"table {path.name}"
    try:
        path.stat()  # whose error says why
        from pyarrow.parquet import ParquetFile

        # by itself pyarrow reads ahead and keeps what it read: the whole file
        return ParquetFile(path, pre_buffer=False, buffer_size=2**20)
    except ImportError:
        raise ModelError(Finding(where, "is Parquet, which needs pyarrow.", "pip install pyarrow.")) from None
    except OSError as error:
        problem = f"can't be read: {error.strerror or error}."
        raise ModelError(Finding(where, problem, "Look at the path.")) from None
    except ValueError as error:  # pyarrow's parse errors
        reason = str(error).strip().splitlines()[-1].rstrip(".")
        raise ModelError(Finding(where, f"can't be read: {reason}.", "Mend the file.")) from None
