"""Bayesian multi-task learning on files: check, draw and fit a model, and ask its posterior."""

import argparse
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bayesmtl
from bayesmtl.errors import Finding, ModelError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


# Every verb imports what it needs: help, pictures and manuals wait for neither JAX nor pandas.


def _check(args: argparse.Namespace) -> int:
    table, code = None, 0
    if args.table and not args.graph:
        try:
            table = _table(args.table)
        except ModelError as error:
            _say(args.table, error.findings)
            return 1
    for path in args.file:
        try:
            findings = _findings(path, table, args.graph)
        except ModelError as error:
            findings = list(error.findings)
        _say(path, findings)
        if any(finding.level == "error" for finding in findings):
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
    return [*check(model, table), *unread]


def _draw(args: argparse.Namespace) -> int:
    from bayesmtl.picture import FORMATS, draw, render
    from bayesmtl.spec import load

    if args.out is None:
        print(draw(load(args.file)).source, end="")
        return 0
    format = args.out.suffix.lower()[1:]
    if format not in (*FORMATS, "dot", "gv"):
        args.misuse(f"--out {args.out}: give a name that ends in .svg, .png, .pdf or .dot")
    out, model = _room(args.out), load(args.file)
    _write(out, render(model, format) if format in FORMATS else draw(model).source.encode())
    return 0


def _fit(args: argparse.Namespace) -> int:
    out = _room(args.out or Path(f"{_stem(args.file)}.zarr.zip"))
    post = _fitted(args)
    from bayesmtl.store import save

    save(post, out)
    print(f"posterior: {args.out or out.name}", file=sys.stderr)
    return 0


def _report(args: argparse.Namespace) -> int:
    from bayesmtl import printed

    out = _room(args.out or Path(f"{_stem(args.file)}.html"))
    post = _posterior(args)
    from bayesmtl.page import answers, report, verdicts
    from bayesmtl.progress import busy
    from bayesmtl.reports.weights import weights

    with busy("asking the posterior, drawing the page"):
        known = answers(post)
        _write(out, report(post, known).encode())
    print(printed.rows(weights(post, prob=args.prob), args.format), end="")
    print(*verdicts(post, known), f"page: {args.out or out.name}", sep="\n", file=sys.stderr)
    return 0


def _weights(args: argparse.Namespace) -> int:
    from bayesmtl import printed

    post = _posterior(args)
    from bayesmtl.reports.weights import weights

    print(printed.rows(weights(post, prob=args.prob), args.format), end="")
    return 0


def _diagnostics(args: argparse.Namespace) -> int:
    from bayesmtl import printed

    post = _posterior(args)
    from bayesmtl.progress import busy
    from bayesmtl.reports.diagnostics import diagnostics

    with busy("asking the posterior"):
        frame = diagnostics(post)
    if frame.empty:
        print("nothing to report", file=sys.stderr)
    if len(frame) or args.format != "table":
        print(printed.rows(frame, args.format), end="")
    return 0


def _predict(args: argparse.Namespace) -> int:
    from bayesmtl import printed

    out = _room(args.out) if args.out else None
    table = _table(args.table)
    from bayesmtl.prediction import predict
    from bayesmtl.progress import busy
    from bayesmtl.store import read

    with busy("predicting"):
        frame = predict(read(args.file), table, prob=args.prob)
    text = printed.rows(frame, args.format)
    if out:
        _write(out, text.encode())
    else:
        print(text, end="")
    return 0


def _prior(args: argparse.Namespace) -> int:
    from bayesmtl import printed
    from bayesmtl.spec import load

    model = load(args.file)
    table = _table(args.table) if args.table else None
    from bayesmtl import posterior
    from bayesmtl.prior_predictive import expected
    from bayesmtl.progress import busy

    with busy("drawing from the prior"):
        frame = expected(posterior.prior(model, table, seed=args.seed, draws=args.draws))
    print(printed.rows(frame, args.format), end="")
    return 0


def _parts(args: argparse.Namespace) -> int:
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


def _posterior(args: argparse.Namespace) -> "xr.DataTree":
    """The posterior that a file holds, or that of a model file."""
    if args.file.suffix == ".toml":
        return _fitted(args)
    if args.table:
        args.misuse("a posterior carries its table; give a model file, or no table")
    from bayesmtl.store import read

    return read(args.file)


def _fitted(args: argparse.Namespace) -> "xr.DataTree":
    from bayesmtl.progress import shown
    from bayesmtl.spec import load

    model = load(args.file)
    table = _table(args.table) if args.table else None
    with shown(model.name) as watch:
        from bayesmtl.posterior import fit

        post = fit(model, table, seed=args.seed, watch=watch)
    _say(args.file, [Finding(**found) for found in json.loads(post.attrs.get("findings", "[]"))])
    return post


def _table(path: Path) -> "pd.DataFrame":
    """A table from a file; ``-`` is CSV from stdin."""
    from bayesmtl import tables

    if str(path) != "-":
        return tables.read(path)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "stdin.csv"
        copy.write_bytes(sys.stdin.buffer.read())
        return tables.read(copy)


def _stem(path: Path) -> str:
    """What outputs are called after a model or a posterior."""
    return path.name.removesuffix(".zip").removesuffix(".zarr").removesuffix(".toml")


def _room(path: Path) -> Path:
    """The place of an output, looked at before a fit and not after."""
    where, path = f"--out {path}", path.resolve()
    if not path.parent.is_dir():
        raise ModelError(Finding(where, "is in a folder that does not exist.", "Make it first."))
    if path.exists() and not path.is_file():
        raise ModelError(Finding(where, "is no file.", "Give a file's name."))
    if not os.access(path.parent, os.W_OK):
        raise ModelError(Finding(where, "can't be written there.", "Give another folder."))
    return path


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _say(path: Path, findings: Iterable[Finding]) -> None:
    """Findings one a line, for editors and grep; an error needs no word for its level."""
    for f in findings:
        level = "" if f.level == "error" else f"{f.level}: "
        print(f"{path}: {f.where}: {level}{f.problem} {f.remedy}".rstrip(), file=sys.stderr)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError("give a whole number from 0 to 4294967295")
    return int(text)


def _draws(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError("give a whole number from 1 to 1000000")
    return int(text)


def _prob(text: str) -> float:
    try:
        prob = float(text)
    except ValueError:
        prob = 0.0
    if not 0 < prob < 1:
        raise argparse.ArgumentTypeError("give a number between 0 and 1, such as 0.9")
    return prob


_FORMATS = ["table", "csv", "json"]
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "MODELS": {"nargs": "+", "type": Path, "metavar": "MODEL", "help": "model files"},
    "MODEL": {"type": Path, "help": "a model file"},
    "POST": {"type": Path, "help": "a posterior, or a model file, which is fitted first"},
    "SAVED": {"type": Path, "metavar": "POST", "help": "a posterior"},
    "TABLE": {
        "type": Path,
        "nargs": "?",
        "help": "a table (default: the model's own); - is CSV from stdin",
    },
    "ROWS": {"type": Path, "metavar": "TABLE", "help": "the new rows; - is CSV from stdin"},
    "ROLE": {"nargs": "?", "help": "such as relations"},
    "NAME": {"nargs": "?", "help": "such as partial, or package.module:function"},
    "--table": {"type": Path, "help": "default: the model's own; - is CSV from stdin"},
    "--graph": {"action": "store_true", "help": "look at the file and its graph only"},
    "--seed": {"type": _seed, "default": 0, "help": "seed of the draws (default: 0)"},
    "--draws": {"type": _draws, "default": 1000, "help": "how many draws (default: 1000)"},
    "--prob": {
        "type": _prob,
        "default": 0.9,
        "help": "probability of the intervals (default: 0.9)",
    },
    "--out": {"type": Path, "help": "the file to write"},
    "--format": {"choices": _FORMATS, "help": "how to print the rows (default: %(default)s)"},
}
_PLACES = {"MODELS": "file", "MODEL": "file", "POST": "file", "SAVED": "file", "ROWS": "table"}
_ASK = "POST TABLE --seed --format"
_VERBS: dict[str, tuple[Any, str, str]] = {
    "check": (_check, "say everything wrong with model files", "MODELS --table --graph"),
    "draw": (_draw, "draw a model's graph, as DOT or by the name of --out", "MODEL --out"),
    "prior": (_prior, "say what the prior alone expects", "MODEL --table --seed --draws --format"),
    "fit": (_fit, "condition a model on a table", "MODEL TABLE --seed --out"),
    "report": (_report, "write the page that answers every question", f"{_ASK} --prob --out"),
    "weights": (_weights, "say what each task weighs", f"{_ASK} --prob"),
    "diagnostics": (_diagnostics, "say what can't be trusted, worst first", _ASK),
    "predict": (_predict, "say what a posterior expects", "SAVED ROWS --prob --format --out"),
    "parts": (_parts, "list the parts, or read one part's manual", "ROLE NAME"),
}


def parser() -> argparse.ArgumentParser:
    """Every verb, its arguments and its help."""
    codes = "Exit codes: 0 well, 1 a model, table or file at fault, 2 a misuse of the command."
    top = argparse.ArgumentParser(prog="bayesmtl", description=__doc__, epilog=codes)
    top.add_argument("--version", action="version", version=f"bayesmtl {bayesmtl.__version__}")
    verbs = top.add_subparsers(required=True, metavar="verb")
    for name, (run, words, arguments) in _VERBS.items():
        verb = verbs.add_parser(name, help=words, description=f"{words.capitalize()}.")
        verb.set_defaults(run=run, misuse=verb.error, file=None)
        # rows are for programs, answers for people
        verb.set_defaults(format="csv" if run is _predict else "table")
        for argument in arguments.split():
            settings = _ARGUMENTS[argument]
            if not argument.startswith("-"):
                settings = {"metavar": argument, **settings}
                argument = _PLACES.get(argument, argument.lower())
            verb.add_argument(argument, **settings)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one verb; 0 is well, 1 is a model, a table or a file at fault, 2 a misuse."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name never breaks an old terminal
    args = parser().parse_args(argv)
    source = args.file if isinstance(args.file, Path) else Path("bayesmtl")
    try:
        code = args.run(args)
        sys.stdout.flush()
        return code
    except ModelError as error:
        _say(source, error.findings)
        return 1
    except BrokenPipeError:  # who reads has read enough; Python would complain at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        place = getattr(args, "out", None) or error.filename or "file"
        problem = f"can't be read or written: {error.strerror or error}."
        _say(source, [Finding(str(place), problem, "Look at the path and the disk.")])
        return 1
    except KeyboardInterrupt:
        return 130
