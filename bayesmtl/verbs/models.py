"""What is asked of a model before it is fitted."""

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bayesmtl.errors import Finding, ModelError
from bayesmtl.files import given, room, write
from bayesmtl.verbs.spoken import say, show

if TYPE_CHECKING:
    import pandas as pd


def check(args: argparse.Namespace) -> int:
    """Print the findings; 1 if one is an error, or with ``--strict`` a warning."""
    from bayesmtl.progress import busy

    table, code = None, 0
    if args.table and not args.graph:
        try:
            table = given(args.table)
        except ModelError as error:
            say(args.table, error.findings)
            return 1
    for path in args.file:
        try:
            with busy(f"checking {path}"):
                findings = _findings(path, table, args.graph)
        except ModelError as error:
            findings = list(error.findings)
        say(path, findings)
        if any(f.level == "error" or (args.strict and f.level == "warning") for f in findings):
            code = 1
        else:
            print(f"{path}: well")
    return code


def _findings(path: Path, table: "pd.DataFrame | None", graph: bool) -> list[Finding]:
    """What is wrong with a model file, and with its own table where no other is given."""
    from bayesmtl.checks import check
    from bayesmtl.spec import load

    model = load(path)
    unread: list[Finding] = []
    if table is None and not graph and "table" in model.data:
        try:
            from bayesmtl import table_files

            table = table_files.read(model.data["table"], model.folder)
        except ModelError as error:
            unread += error.findings
    return [*unread, *check(model, table)]


def draw(args: argparse.Namespace) -> int:
    """Print a graph as DOT, or write its picture."""
    from bayesmtl.picture import FORMATS, draw, render
    from bayesmtl.spec import load

    format = args.out.suffix.lower()[1:] if args.out else "dot"
    if format not in (*FORMATS, "dot", "gv"):
        args.misuse(f"--out {args.out}: give a name that ends in .svg, .png, .pdf or .dot")
    out = room(args.out) if args.out else None
    picture = draw(load(args.file), task=args.task, exposure=args.exposure)
    if out:
        write(out, render(picture, format) if format in FORMATS else picture.source.encode())
    else:
        print(picture.source, end="")
    return 0


def prior(args: argparse.Namespace) -> int:
    """Print what the prior alone expects, a row for each parameter and task."""
    from bayesmtl.spec import load

    model = load(args.file)
    table = given(args.table) if args.table else None
    from bayesmtl.progress import busy

    with busy("drawing from the prior"):
        from bayesmtl import posterior
        from bayesmtl.prior_predictive import expected

        frame = expected(posterior.prior(model, table, seed=args.seed, draws=args.draws))
    show(args, frame)
    return 0


def calibrate(args: argparse.Namespace) -> int:
    """Print whether fits of tables that the model makes are right on average; 1 if they are not."""
    from bayesmtl.spec import load

    if args.out and args.out.suffix.lower()[1:] not in ("svg", "png", "pdf"):
        args.misuse(f"--out {args.out}: give a name that ends in .svg, .png or .pdf")
    out = room(args.out) if args.out else None
    model = load(args.file)
    table = given(args.table) if args.table else None
    from bayesmtl.calibrating import judged, ranks

    found = ranks(model, table, simulations=args.simulations, seed=args.seed, checkpoint=args.checkpoint)
    frame = judged(found)
    show(args, frame)
    if out:
        from bayesmtl.page.ranks import ecdfs

        buffer = io.BytesIO()
        ecdfs(found, frame).savefig(buffer, format=out.suffix.lower()[1:], facecolor="white")
        write(out, buffer.getvalue())
    off = int((frame["verdict"] != "calibrated").sum())
    words = (
        f"{off} of {len(frame)} parameters are off" if off else f"all {len(frame)} parameters are calibrated"
    )
    print(f"{words}; {args.simulations} tables, {frame.attrs['divergences']} divergences", file=sys.stderr)
    return int(off > 0)
