"""Bayesian multi-task learning on files: check, draw and fit a model, and ask its posterior."""

import argparse
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bayesmtl
from bayesmtl import parts
from bayesmtl.errors import Finding, ModelError
from bayesmtl.verbs import fits, graphs, manuals, models, page, questions
from bayesmtl.verbs.arguments import ARGUMENTS, PLACES
from bayesmtl.verbs.spoken import say

_ASK = "POST TABLE --seed --checkpoint --format"
_LEAVE = "--unit --group REFITS"


def _reports() -> Iterator[tuple[str, tuple[Any, str, str]]]:
    """A verb for each report: what it says is the first sentence of its manual."""
    for name in parts.names("reports"):
        manual = parts.manual("reports", name)
        summary = manual.summary.partition("; [")[0].removesuffix(".")
        words = f"{summary[:1].lower()}{summary[1:]}"
        yield name, (questions.reported(name), words, f"{_ASK} {'--prob' * ('prob' in manual.options)}")


_VERBS: dict[str, tuple[Any, str, str]] = {
    "check": (models.check, "say everything wrong with model files", "MODELS --table --graph --strict"),
    "dag": (
        graphs.dag,
        "say which effects the graph lets the table tell",
        "MODEL --table --graph --seed --format",
    ),
    "draw": (
        models.draw,
        "draw a model's graph, as DOT or by the name of --out",
        "MODEL --task --exposure --out",
    ),
    "prior": (models.prior, "say what the prior alone expects", "MODEL --table --seed --draws --format"),
    "calibrate": (
        models.calibrate,
        "fit tables that the model makes itself: is it right on average?",
        "MODEL --table --simulations --seed --checkpoint --format --out",
    ),
    "fit": (fits.fit, "condition a model on a table", "MODEL TABLE --seed --checkpoint --out"),
    "report": (
        page.report,
        "write the page that answers every question",
        "POST OF --seed --checkpoint --format --prob PAGE",
    ),
    **dict(_reports()),
    "transfer": (
        questions.transfer,
        "say whether sharing helped or harmed each task",
        f"POST OF {_LEAVE} --checkpoint --format",
    ),
    "compare": (
        questions.compare,
        "say which posterior predicts best what it has not seen",
        f"SEVERAL --table {_LEAVE} --format",
    ),
    "intervene": (
        questions.intervene,
        "say what the tasks would be if some nodes were set",
        "POST OF --do --by --prob --seed --checkpoint --format",
    ),
    "sensitivity": (
        questions.sensitivity,
        "say how strong a hidden cause must be to explain a weight away",
        f"{_ASK} --prob",
    ),
    "update": (
        fits.update,
        "add new rows to a posterior, without fitting all again",
        "SAVED ROWS --seed --out",
    ),
    "predict": (
        fits.predict,
        "say what a posterior expects",
        "SAVED ROWS --prob --given --new-tasks --probabilities --format --out",
    ),
    "parts": (manuals.parts, "list the parts, or read one part's manual", "ROLE NAME"),
}


def parser() -> argparse.ArgumentParser:
    """Every verb, its arguments and its help."""
    codes = "Exit codes: 0 well, 1 a model, table or file at fault, 2 a misuse of the command."
    top = argparse.ArgumentParser(prog="bayesmtl", description=__doc__, epilog=codes)
    top.add_argument("--version", action="version", version=f"bayesmtl {bayesmtl.__version__}")
    choices = top.add_subparsers(required=True, metavar="verb")
    for name, (run, words, arguments) in _VERBS.items():
        short = words.replace("%", "%%")  # which argparse fills in
        verb = choices.add_parser(name, help=short, description=f"{words[:1].upper()}{words[1:]}.")
        verb.set_defaults(run=run, misuse=verb.error, file=None)
        # rows are for programs, answers for people
        verb.set_defaults(format="csv" if run is fits.predict else "table")
        for argument in arguments.split():
            settings = ARGUMENTS[argument]
            if not argument.startswith("-"):
                settings = {"metavar": argument, **settings}
                argument = PLACES.get(argument, argument.lower())
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
        say(source, error.findings)
        return 1
    except BrokenPipeError:  # who reads has read enough; Python would complain at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        place = getattr(args, "out", None) or error.filename or "file"
        problem = f"can't be read or written: {error.strerror or error}."
        say(source, [Finding(str(place), problem, "Look at the path and the disk.")])
        return 1
    except KeyboardInterrupt:
        return 130
