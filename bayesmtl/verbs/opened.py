"""The posterior that a verb asks: one that was saved, or that of a model file, which is fitted first."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bayesmtl.errors import Finding, refuse
from bayesmtl.files import given, room, stem
from bayesmtl.verbs.spoken import say

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def of_model(path: Path) -> bool:
    """Whether a file is a model's."""
    return path.suffix == ".toml"


@contextmanager
def posterior(args: argparse.Namespace, table: "pd.DataFrame | None" = None) -> "Iterator[xr.DataTree]":
    """The posterior that a file holds, or that of a model file."""
    if of_model(args.file):
        with fitted(args, table) as post:
            yield post
        return
    if args.table:
        args.misuse("a posterior says this without its table; give a model file, or no table")
    yield _saved(args)


@contextmanager
def with_table(args: argparse.Namespace) -> "Iterator[tuple[xr.DataTree, pd.DataFrame]]":
    """The same, and the table that it is asked with: what is given, or a model file's own."""
    if not args.table and not of_model(args.file):
        args.misuse("a posterior does not hold its table; give that too")
    with with_table_if_any(args) as (post, table):
        assert table is not None
        yield post, table


@contextmanager
def with_table_if_any(args: argparse.Namespace) -> "Iterator[tuple[xr.DataTree, pd.DataFrame | None]]":
    """The same, where a posterior may come without its table."""
    if not args.table and not of_model(args.file):
        yield _saved(args), None
        return
    from bayesmtl import table_files, tables
    from bayesmtl.spec import load

    if args.table:
        table = given(args.table)
    else:
        model = load(args.file)
        table = table_files.own(model.data, model.folder)
    refuse(tables.faults(table))
    if of_model(args.file):
        with fitted(args, table) as post:
            yield post, table
        return
    yield _saved(args), table


@contextmanager
def fitted(args: argparse.Namespace, table: "pd.DataFrame | None" = None) -> "Iterator[xr.DataTree]":
    """The posterior of a model file; its checkpoint goes when what it is for is done."""
    from bayesmtl.checkpoints import opened
    from bayesmtl.progress import shown
    from bayesmtl.spec import load

    model = load(args.file)
    if table is None and args.table:
        table = given(args.table)
    with opened(args.checkpoint) as checkpoint:
        with shown(model.name) as watch:
            from bayesmtl.posterior import fit

            post = fit(model, table, seed=args.seed or 0, watch=watch, checkpoint=checkpoint)
        say(args.file, [Finding(**found) for found in json.loads(post.attrs.get("findings", "[]"))])
        yield post
    if args.checkpoint and args.checkpoint.exists():
        print(f"checkpoint: {args.checkpoint}; the same command goes on from it", file=sys.stderr)


def place(args: argparse.Namespace, ending: str) -> Path:
    """The place of an output, by default here and called after the file."""
    out = room(args.out or Path(f"{stem(args.file)}{ending}"))
    if args.checkpoint and args.checkpoint.resolve() == out:
        args.misuse("--out and --checkpoint are the same file")
    return out


def _saved(args: argparse.Namespace) -> "xr.DataTree":
    if args.checkpoint:
        args.misuse("a posterior is drawn already; give a model file, or no checkpoint")
    from bayesmtl.progress import busy

    with busy("reading the posterior"):
        from bayesmtl.store import read

        return read(args.file)
