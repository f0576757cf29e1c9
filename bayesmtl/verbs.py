"""What each verb of the command line does, given its arguments; it returns the exit code.

Every verb imports what it needs: help, pictures and manuals wait for neither JAX nor pandas.
"""

import argparse
import io
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bayesmtl.errors import Finding, ModelError
from bayesmtl.files import given, room, stem, write

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayesmtl.spec import Model


def check(args: argparse.Namespace) -> int:
    """Print the findings; 1 if one is an error, or with ``--strict`` a warning."""
    table, code = None, 0
    if args.table and not args.graph:
        try:
            table = given(args.table)
        except ModelError as error:
            say(args.table, error.findings)
            return 1
    for path in args.file:
        try:
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
            from bayesmtl import tables

            table = tables.read(model.data["table"], model.folder)
        except ModelError as error:
            unread += error.findings
    return [*unread, *check(model, table)]


def dag(args: argparse.Namespace) -> int:
    """Print what a graph lets the table tell, and what it implies of it."""
    from bayesmtl import printed
    from bayesmtl.identification import identify
    from bayesmtl.spec import load

    model = load(args.file)
    frame = identify(model)
    if args.format != "table":
        print(printed.rows(frame, args.format), end="")
        return 0
    told = frame.loc[:, (frame != "").any()] if len(frame) else frame
    print(printed.rows(told, "table"), end="")
    for words, nodes in (("Not measured", model.dag.latent), ("Rows are selected by", model.dag.selected)):
        if nodes:
            print(f"\n{words}: {', '.join(sorted(nodes))}")
    for title, text in _held(args, model):
        print(f"\n{title}:\n{text}", end="")
    return 0


def _held(args: argparse.Namespace, model: "Model") -> Iterator[tuple[str, str]]:
    """What a graph says of a table, and what the table says of that: titles and texts."""
    from bayesmtl.evidence.implied import implications, implied

    every = implied(model.dag)
    if args.graph or not (args.table or "table" in model.data):
        if every:
            yield "Independent, by the graph", "".join(f" {each}\n" for each in every)
        return
    from bayesmtl import printed, tables
    from bayesmtl.evidence.falsification import falsify
    from bayesmtl.evidence.signed import signs
    from bayesmtl.progress import counted

    table = given(args.table) if args.table else tables.own(model.data, model.folder)
    if every:
        yield "Independent, by the graph", printed.rows(implications(model, table), "table")
        with counted("exchanging names", 100) as bar:
            frame = falsify(model, table, seed=args.seed, watch=lambda done, of: bar(100 * done // of))
        yield "The graph beside those with its names exchanged", printed.rows(frame, "table")
    if model.dag.signs:
        yield "Expected signs", printed.rows(signs(model, table), "table")


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


def fit(args: argparse.Namespace) -> int:
    """Write a posterior."""
    out = _room(args, ".zarr.zip")
    with _fitted(args) as post:
        from bayesmtl.store import save

        save(post, out)
    print(f"posterior: {args.out or out.name}", file=sys.stderr)
    return 0


def report(args: argparse.Namespace) -> int:
    """Write the page, print the weights, and say the verdicts."""
    from bayesmtl import printed

    out, of_model = _room(args, ".html"), args.file.suffix == ".toml"
    table = given(args.table) if args.table and of_model else None
    with _posterior(args, table) as post:
        from bayesmtl.page import answers, report, verdicts
        from bayesmtl.progress import busy
        from bayesmtl.reports.weights import weights

        with busy("asking the posterior, drawing the page"):
            known = answers(post)
            if of_model and table is None:
                from bayesmtl.posterior import table_of
                from bayesmtl.spec import load

                table = table_of(load(args.file))
            write(out, report(post, known, table=table).encode())
        print(printed.rows(weights(post, prob=args.prob), args.format), end="")
        print(*verdicts(post, known), f"page: {args.out or out.name}", sep="\n", file=sys.stderr)
    return 0


def weights(args: argparse.Namespace) -> int:
    """Print the rows of ``weights``."""
    from bayesmtl import printed

    with _posterior(args) as post:
        from bayesmtl.reports.weights import weights

        print(printed.rows(weights(post, prob=args.prob), args.format), end="")
    return 0


def diagnostics(args: argparse.Namespace) -> int:
    """Print the rows of ``diagnostics``, or say that there are none."""
    from bayesmtl import printed

    with _posterior(args) as post:
        from bayesmtl.progress import busy
        from bayesmtl.reports.diagnostics import diagnostics

        with busy("asking the posterior"):
            frame = diagnostics(post)
        if frame.empty:
            print("nothing to report", file=sys.stderr)
        if len(frame) or args.format != "table":
            print(printed.rows(frame, args.format), end="")
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
    from bayesmtl.forecast.prediction import predict
    from bayesmtl.progress import busy
    from bayesmtl.store import read

    with busy("predicting"):
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


def prior(args: argparse.Namespace) -> int:
    """Print what the prior alone expects, a row for each parameter and task."""
    from bayesmtl import printed
    from bayesmtl.spec import load

    model = load(args.file)
    table = given(args.table) if args.table else None
    from bayesmtl import posterior
    from bayesmtl.prior_predictive import expected
    from bayesmtl.progress import busy

    with busy("drawing from the prior"):
        frame = expected(posterior.prior(model, table, seed=args.seed, draws=args.draws))
    print(printed.rows(frame, args.format), end="")
    return 0


def calibrate(args: argparse.Namespace) -> int:
    """Print whether fits of tables that the model makes are right on average; 1 if they are not."""
    from bayesmtl import printed
    from bayesmtl.spec import load

    if args.out and args.out.suffix.lower()[1:] not in ("svg", "png", "pdf"):
        args.misuse(f"--out {args.out}: give a name that ends in .svg, .png or .pdf")
    out = room(args.out) if args.out else None
    model = load(args.file)
    table = given(args.table) if args.table else None
    from bayesmtl.calibrating import judged, ranks

    found = ranks(model, table, simulations=args.simulations, seed=args.seed, checkpoint=args.checkpoint)
    frame = judged(found)
    print(printed.rows(frame, args.format), end="")
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


def parts(args: argparse.Namespace) -> int:
    """Print the catalogue of parts, or the manual of one."""
    from bayesmtl import parts, printed

    if args.role and args.role not in parts.ROLES:
        args.misuse(f"no role called {args.role}; the roles are {', '.join(parts.ROLES)}")
    if not args.name:
        print(*printed.catalogue([args.role] if args.role else list(parts.ROLES)), sep="\n")
        return 0
    try:
        print(*printed.manual(args.role, args.name), sep="\n")
    except (ValueError, SyntaxError) as error:  # of a part of the user's own, too
        args.misuse(str(error))
    return 0


@contextmanager
def _posterior(args: argparse.Namespace, table: "pd.DataFrame | None" = None) -> "Iterator[xr.DataTree]":
    """The posterior that a file holds, or that of a model file."""
    if args.file.suffix == ".toml":
        with _fitted(args, table) as post:
            yield post
        return
    if args.table:
        args.misuse("a posterior carries its table; give a model file, or no table")
    if args.checkpoint:
        args.misuse("a posterior is drawn already; give a model file, or no checkpoint")
    from bayesmtl.store import read

    yield read(args.file)


@contextmanager
def _fitted(args: argparse.Namespace, table: "pd.DataFrame | None" = None) -> "Iterator[xr.DataTree]":
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

            post = fit(model, table, seed=args.seed, watch=watch, checkpoint=checkpoint)
        say(args.file, [Finding(**found) for found in json.loads(post.attrs.get("findings", "[]"))])
        yield post
    if args.checkpoint and args.checkpoint.exists():
        print(f"checkpoint: {args.checkpoint}; the same command goes on from it", file=sys.stderr)


def _room(args: argparse.Namespace, ending: str) -> Path:
    """The place of an output, by default here and called after the file."""
    out = room(args.out or Path(f"{stem(args.file)}{ending}"))
    if args.checkpoint and args.checkpoint.resolve() == out:
        args.misuse("--out and --checkpoint are the same file")
    return out


def say(path: Path, findings: Iterable[Finding]) -> None:
    """Findings one a line, for editors and grep; an error needs no word for its level."""
    for f in findings:
        level = "" if f.level == "error" else f"{f.level}: "
        print(f"{path}: {f.where}: {level}{f.problem} {f.remedy}".rstrip(), file=sys.stderr)
