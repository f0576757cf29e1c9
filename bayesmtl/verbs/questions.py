"""Questions to ask of a posterior; every report is a verb."""

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bayesmtl import parts
from bayesmtl.errors import refuse, unknown
from bayesmtl.files import given, stem
from bayesmtl.verbs.opened import of_model, posterior, with_table
from bayesmtl.verbs.spoken import show

if TYPE_CHECKING:
    import pandas as pd


def reported(name: str) -> Callable[[argparse.Namespace], int]:
    """The verb of a report: it prints its rows, or says that there are none."""

    def run(args: argparse.Namespace) -> int:
        with posterior(args) as post:
            from bayesmtl.progress import busy

            with busy("asking the posterior"):
                options = {"prob": args.prob} if "prob" in args else {}
                frame = parts.find("reports", name)(post, **options)
            if frame.empty:
                print("nothing to report", file=sys.stderr)
            if len(frame) or args.format != "table":
                show(args, frame)
        return 0

    return run


def sensitivity(args: argparse.Namespace) -> int:
    """Print the rows of ``sensitivity``."""
    with posterior(args) as post:
        from bayesmtl.progress import busy

        with busy("asking the posterior"):
            from bayesmtl.worlds.confounding import sensitivity

            frame = sensitivity(post, prob=args.prob)
        show(args, frame)
    return 0


def transfer(args: argparse.Namespace) -> int:
    """Print the rows of ``transfer``."""
    with with_table(args) as (post, table):
        from bayesmtl.progress import busy

        with busy("looking at the table"):
            from bayesmtl.left_out.gain import transfer
            from bayesmtl.left_out.held_out import cells, design_of

            # what is wrong with these is told before the tasks are fitted alone
            cells(post, design_of(post, table), table, args.unit, args.group)
        show(args, transfer(post, table=table, unit=args.unit, group=args.group, seed=args.seed))
    return 0


def compare(args: argparse.Namespace) -> int:
    """Print the rows of ``compare``, by the names of the files."""
    names = [stem(path) for path in args.file]
    if len(set(names)) < len(names):  # of several folders
        names = list(map(str, args.file))
    if len(set(names)) < max(2, len(names)):
        args.misuse("give two posteriors or more, each once")
    table = given(args.table) if args.table else None
    from bayesmtl.progress import busy

    with busy("reading the posteriors"):
        from bayesmtl.left_out.comparison import compare
        from bayesmtl.store import read

        posts = {name: read(path) for name, path in zip(names, args.file, strict=True)}
    show(args, compare(posts, table, unit=args.unit, group=args.group, seed=args.seed))
    return 0


def intervene(args: argparse.Namespace) -> int:
    """Print the rows of ``intervene``."""
    do = dict(args.do)
    if len(do) < len(args.do):
        args.misuse("--do names a node twice; two values that are contrasted stand together: income=5,15")
    if of_model(args.file):  # names, before a fit that takes its time
        from bayesmtl.spec import load

        dag = load(args.file).dag
        wrong = [unknown("do", "node", name, dag.nodes) for name in do if name not in dag.nodes]
        if args.by is not None and args.by not in dag.measured:
            wrong.append(unknown("by", "measured node", args.by, dag.measured))
        refuse(wrong)
    with with_table(args) as (post, table):
        from bayesmtl.progress import busy

        with busy("asking the posterior"):
            from bayesmtl.worlds.intervention import intervene

            values = {name: _values(text, table.get(name)) for name, text in do.items()}
            frame = intervene(post, table, values, by=args.by, prob=args.prob)
        show(args, frame)
    return 0


def _values(text: str, column: "pd.Series | None") -> Any:
    """What a node is set to, or the two values that are contrasted, as its column holds them."""
    labels = {}
    if column is not None and column.dtype.kind not in "iuf":
        labels = {str(label): label for label in column.dropna().unique()}
    words = [text] if text in labels else text.split(",")  # a label may have a comma
    values = [labels[word] if word in labels else _number(word) for word in map(str.strip, words)]
    return values if len(values) > 1 else values[0]


def _number(word: str) -> int | float | str:
    """A number, or the word where it is none."""
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
