"""What verbs say: rows on stdout, findings on stderr."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bayesmtl.errors import Finding

if TYPE_CHECKING:
    import pandas as pd


def show(args: argparse.Namespace, frame: "pd.DataFrame") -> None:
    """Rows, in the format that was asked for."""
    from bayesmtl import printed

    print(printed.rows(frame, args.format), end="")


def say(path: Path, findings: Iterable[Finding]) -> None:
    """Findings one a line, for editors and grep; an error needs no word for its level."""
    for f in findings:
        level = "" if f.level == "error" else f"{f.level}: "
        print(f"{path}: {f.where}: {level}{f.problem} {f.remedy}".rstrip(), file=sys.stderr)
