"""The page that answers every question."""

import argparse
import sys

from bayesmtl.files import write
from bayesmtl.verbs.opened import place, with_table_if_any
from bayesmtl.verbs.spoken import show


def report(args: argparse.Namespace) -> int:
    """Write the page, print the weights, and say the verdicts."""
    out = place(args, ".html")
    with with_table_if_any(args) as (post, table):
        from bayesmtl.page import answers, report, verdicts
        from bayesmtl.progress import busy
        from bayesmtl.reports.weights import weights

        known = answers(post, table)
        with busy("drawing the page"):
            text = report(post, known, form="markdown" if out.suffix == ".md" else "html")
            write(out, text.encode())
        show(args, weights(post, prob=args.prob))
        print(*verdicts(post, known), f"page: {args.out or out.name}", sep="\n", file=sys.stderr)
    return 0
