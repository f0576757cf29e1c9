"""Files that the command line reads and writes."""

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bayesmtl.errors import Finding, ModelError

if TYPE_CHECKING:
    import pandas as pd


def given(path: Path) -> "pd.DataFrame":
    """A table from a file; ``-`` is CSV from stdin."""
    from bayesmtl import table_files

    if str(path) != "-":
        return table_files.read(path)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "stdin.csv"
        copy.write_bytes(sys.stdin.buffer.read())
        return table_files.read(copy)


def stem(path: Path) -> str:
    """What outputs are called after a model or a posterior."""
    return path.name.removesuffix(".zip").removesuffix(".zarr").removesuffix(".toml")


def room(path: Path) -> Path:
    """The place of an output, looked at before a fit and not after."""
    where, path = f"--out {path}", path.resolve()
    if not path.parent.is_dir():
        raise ModelError(Finding(where, "is in a folder that does not exist.", "Make it first."))
    if path.exists() and not path.is_file():
        raise ModelError(Finding(where, "is no file.", "Give a file's name."))
    if not os.access(path.parent, os.W_OK):
        raise ModelError(Finding(where, "can't be written there.", "Give another folder."))
    return path


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
