"""What a graph lets a table tell, and whether the table contradicts it."""

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bayesmtl.files import given
from bayesmtl.verbs.spoken import show

if TYPE_CHECKING:
    import pandas as pd

    from bayesmtl.spec import Model

_LEVEL = 0.05  # chance that a true graph is said to be contradicted
_SETS = 3  # which a line has room for; programs get all


def dag(args: argparse.Namespace) -> int:
    """Print what a graph lets the table tell, and what it implies of it; say if the table objects."""
    from bayesmtl.identification import identify
    from bayesmtl.progress import busy
    from bayesmtl.spec import load

    model = load(args.file)
    with busy("asking the graph"):
        frame = identify(model)
    if args.format != "table":
        show(args, frame)
        return 0
    show(args, frame.assign(sets=[_few(sets) for sets in frame["sets"]]))
    for words, nodes in (("Not measured", model.dag.latent), ("Rows are selected by", model.dag.selected)):
        if nodes:
            print(f"\n{words}: {', '.join(sorted(nodes))}")
    for title, text in _held(args, model):
        print(f"\n{title}:\n{text}", end="")
    return 0


def _few(sets: str) -> str:
    """The first of some sets, and how many more there are."""
    listed = sets.removesuffix("; and more")
    first, rest = listed.split("; ")[:_SETS], listed.split("; ")[_SETS:]
    more = f"and {'more than ' * (sets != listed)}{len(rest)} more"
    return "; ".join([*first, *([more] if rest else [])])


def _held(args: argparse.Namespace, model: "Model") -> Iterator[tuple[str, str]]:
    """What a graph says of a table, and what the table says of that: titles and texts."""
    from bayesmtl.evidence.implied import implications, implied

    every = implied(model.dag)
    if args.graph or not (args.table or "table" in model.data):
        if every:
            yield "Independent, by the graph", "".join(f" {each}\n" for each in every)
        return
    from bayesmtl import printed, table_files
    from bayesmtl.evidence.falsification import falsify
    from bayesmtl.evidence.signed import signs
    from bayesmtl.progress import busy, counted

    table = given(args.table) if args.table else table_files.own(model.data, model.folder)
    if every:
        with busy("testing what the graph implies"):
            tested = implications(model, table)
        yield "Independent, by the graph", printed.rows(tested, "table")
        with counted("exchanging names", 100) as bar:
            frame = falsify(model, table, seed=args.seed, watch=lambda done, of: bar(100 * done // of))
        yield "The graph beside those with its names exchanged", printed.rows(frame, "table")
    if model.dag.signs:
        yield "Expected signs", printed.rows(signs(model, table), "table")
    if every and (objection := _objection(tested)):
        print(objection, file=sys.stderr)


def _objection(tested: "pd.DataFrame") -> str:
    """A sentence that says that the table contradicts the graph, and where most clearly; nothing if not."""
    against = tested[tested["holm"] < _LEVEL]
    if against.empty:
        return ""
    first = against.iloc[0]  # the smallest p
    given = f" given {first['given']}" if first["given"] else ""
    told = f"{first['a']} and {first['b']} are not independent{given} (p = {first['holm']:.2g} after Holm)"
    return (
        f"The table contradicts the graph in {len(against)} of {len(tested)} implications: above all, {told}."
    )
