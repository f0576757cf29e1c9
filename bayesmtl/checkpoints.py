"""Checkpoints: where the chains of a fit stand, in one file that a kill at any moment leaves whole.

The file is an SQLite database. What is saved at one time, the state of every chain and what it drew since
the time before, is in it together or not at all; one fit at a time holds it, and no draw is written twice.
"""

import io
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bayesmtl.errors import Finding, ModelError

EVERY = 5.0  # seconds between one save and the next, at least
COST = 0.01  # of the time may be spent on saves, at most
FORMAT = 1  # raised when an older package could not read a newer file
MARK = 0x62_6D_74_6C  # by which SQLite files tell whose they are
HASHED = ("model", "table", "program")  # of a fit's fingerprint, what would say nothing to a reader

SCHEMA = (
    f"pragma application_id = {MARK}",
    f"pragma user_version = {FORMAT}",
    "create table fit (word text primary key, value text)",
    "create table state (chain integer primary key, left integer, drawn integer, arrays blob)",
    "create table draws (chain integer, first integer, arrays blob, primary key (chain, first))",
)


@dataclass(frozen=True)
class Checkpoint:
    """An open checkpoint: its file, and the connection that holds it."""

    path: Path
    db: sqlite3.Connection


@dataclass(frozen=True)
class Standing:
    """Where a chain stands.

    Parameters
    ----------
    left
        How many iterations it has still to do.
    state
        The arrays of the sampler's state.
    draws
        The arrays of its draws, or for ``save`` of those since the last time, in blocks; [draw, ...] each.
    before
        How many draws were saved before these.
    """

    left: int
    state: Sequence[np.ndarray]
    draws: Iterable[Sequence[np.ndarray]]
    before: int = 0


@contextmanager
def opened(path: "str | Path | Checkpoint | None") -> Iterator[Checkpoint | None]:
    """Hold a checkpoint; it goes when the block ends well with nothing left to draw, or if nothing was saved.

    One that is open already stays with who opened it.

    Raises
    ------
    ModelError
        When the file can't be written, is in use, is damaged, or is no checkpoint; it is left as it is.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, opened(Path(folder) / "election.part") as checkpoint:
    ...     resume(checkpoint, {"seed": "1"})
    []
    """
    if path is None or isinstance(path, Checkpoint):
        yield path
        return
    checkpoint = _open(Path(path))
    well = False
    try:
        yield checkpoint
        well = True
    finally:
        ((left,),) = checkpoint.db.execute("select max(left) from state")  # none where nothing was saved
        checkpoint.db.close()
        if left is None or (well and left == 0):
            checkpoint.path.unlink(missing_ok=True)


def resume(checkpoint: Checkpoint, fit: Mapping[str, str]) -> list[Standing]:
    """Where the chains of a fit were when they were last saved; empty if they never were.

    Raises
    ------
    ModelError
        When it is of another fit, by its ``fingerprint``, or is damaged.
    """
    with _told(checkpoint.path), checkpoint.db as db:
        db.execute("begin exclusive")
        states = db.execute("select chain, left, drawn, arrays from state order by chain").fetchall()
        if not states:
            db.execute("delete from fit")
            db.executemany("insert into fit values (?, ?)", fit.items())
            return []
        known = dict(db.execute("select word, value from fit"))
        differ = [word for word in fit if known.get(word) != fit[word]]
        if differ:
            raise ModelError(_other(checkpoint.path, differ, known, fit))
        return [_standing(db, *row) for row in states]


def save(checkpoint: Checkpoint, standing: Sequence[Standing]) -> None:
    """Save where all chains stand, together or not at all.

    Raises
    ------
    ModelError
        When there is no room, with what was saved before as it was.
    """
    with _told(checkpoint.path), checkpoint.db as db:
        db.execute("begin exclusive")
        for chain, one in enumerate(standing):
            drawn = one.before
            for block in one.draws:
                row = chain, drawn, _packed(block)
                db.execute("insert or replace into draws values (?, ?, ?)", row)
                drawn += len(block[0])
            state = chain, one.left, drawn, _packed(one.state)
            db.execute("insert or replace into state values (?, ?, ?, ?)", state)


def _open(path: Path) -> Checkpoint:
    """The checkpoint at a path, made if there is none, and held until its connection is closed."""
    with _told(path):
        db = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        with _told(path), db:
            db.execute("pragma locking_mode = exclusive")
            db.execute("begin exclusive")
            sources = "(select count(*) from sqlite_master)", "pragma_user_version", "pragma_application_id"
            known, format, mark = (db.execute(f"select * from {source}").fetchone()[0] for source in sources)
            if not known and not mark:
                for statement in SCHEMA:
                    db.execute(statement)
            elif mark != MARK:
                raise ModelError(Finding(_where(path), "is no checkpoint.", "Give another path."))
            elif format > FORMAT:
                raise ModelError(Finding(_where(path), f"has format {format}.", "Install a newer bayesmtl."))
    except BaseException:
        db.close()
        raise
    return Checkpoint(path, db)


def _standing(db: sqlite3.Connection, chain: int, left: int, drawn: int, state: bytes) -> Standing:
    """One chain, with all its draws."""
    rows = db.execute("select first, arrays from draws where chain = ? order by first", (chain,))
    blocks, count = [], 0
    for first, arrays in rows:
        blocks.append(_unpacked(arrays))
        if first != count:
            raise sqlite3.IntegrityError
        count += len(blocks[-1][0])
    if count != drawn:
        raise sqlite3.IntegrityError
    return Standing(left, _unpacked(state), blocks)


def _packed(arrays: Sequence[np.ndarray]) -> bytes:
    """Arrays as bytes, after a check sum, which SQLite has not."""
    buffer = io.BytesIO()
    np.savez(buffer, *arrays)
    return zlib.crc32(buffer.getvalue()).to_bytes(4) + buffer.getvalue()


def _unpacked(content: bytes) -> list[np.ndarray]:
    if zlib.crc32(content[4:]).to_bytes(4) != content[:4]:
        raise sqlite3.IntegrityError
    with np.load(io.BytesIO(content[4:]), allow_pickle=False) as arrays:
        return [arrays[f"arr_{i}"] for i in range(len(arrays.files))]


def _where(path: Path) -> str:
    return f"checkpoint {path.name}"


def _other(path: Path, differ: list[str], known: Mapping[str, str], fit: Mapping[str, str]) -> Finding:
    """What differs between the fit of a checkpoint and this one."""
    if differ != ["program"]:  # which depends on the model, the table and the versions
        differ = [word for word in differ if word != "program"]
    words = [w if w in HASHED else f"{w} ({known.get(w)}; here {fit[w]})" for w in differ]
    return Finding(
        _where(path),
        f"is of another fit: not the same {', '.join(words)}.",
        "Give what it was begun with, or another path; remove the file to begin anew.",
    )


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """SQLite's errors as findings; a file that can't be understood is left as it is."""
    try:
        yield
    except sqlite3.Error as error:
        other = "Give another path, or remove the file to begin anew."
        known = {
            None: ("is damaged.", other),
            sqlite3.SQLITE_CORRUPT: ("is damaged.", other),
            sqlite3.SQLITE_NOTADB: ("is no checkpoint.", "Give another path."),
            sqlite3.SQLITE_BUSY: ("is in use by another fit.", "Wait for its end, or give another path."),
        }
        code = getattr(error, "sqlite_errorcode", None)
        problem, remedy = known.get(
            code and code & 0xFF, (f"can't be read or written: {error}.", "Look at the path and the disk.")
        )
        raise ModelError(Finding(_where(path), problem, remedy)) from None
