"""Verbs that make a posterior, learn from more rows, or predict."""

import argparse
import sys
from pathlib import Path

from bayesmtl.files import given, room, stem, write
from bayesmtl.verbs.opened import fitted, place


def fit(args: argparse.Namespace) -> int:
    """Write a posterior."""
    out = place(args, ".zarr.zip")
    with fitted(args) as post:
        from bayesmtl.store import save

        save(post, out)
    print(f"posterior: {args.out or out.name}", file=sys.stderr)
    return 0


def update(args: argparse.Namespace) -> int:
    """Write the posterior of old and new rows."""
    out = room(args.out or Path(f"{stem(args.file)}.updated.zarr.zip"))
    table = given(args.table)
    from bayesmtl.store import read, save
    from bayesmtl.updates.updating import update

    post = update(read(args.file), table, seed=args.seed)
    save(post, out)
    print(f"posterior: {args.out or out.name}", file=sys.stderr)
    return 0


def predict(args: argparse.Namespace) -> int:
    """Print or write the rows of ``predict``; to Parquet a piece of the table at a time."""
    from bayesmtl import printed

    out = room(args.out) if args.out else None
    parquet = out is not None and out.suffix.lower() == ".parquet"
    if parquet and args.given:
        args.misuse("--given takes all rows at once; write CSV, or leave it out")
    wanted = {"given": args.given.split(",")} if args.given else {}
    wanted |= {"new_tasks": args.new_tasks.split(",")} if args.new_tasks else {}
    wanted |= {"probabilities": True} if args.probabilities else {}
    table = args.table if parquet and str(args.table) != "-" else given(args.table)
    from bayesmtl.progress import busy

    with busy("predicting"):
        from bayesmtl.forecast.prediction import predict
        from bayesmtl.store import read

        if out and parquet:
            from bayesmtl.forecast.streamed import stream

            stream(read(args.file), table, out, prob=args.prob, **wanted)
            return 0
        frame = predict(read(args.file), table, prob=args.prob, **wanted)
    text = printed.rows(frame, args.format)
    if out:
        write(out, text.encode())
    else:
        print(text, end="")
    return 0
