"""Bayesian multi-task learning on files: check, draw and fit a model, and ask its posterior."""

import argparse
import io
import os
import sys
from pathlib import Path
from typing import Any

import bayesmtl
from bayesmtl import verbs
from bayesmtl.errors import Finding, ModelError
from bayesmtl.verbs import say


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
    "--task": {"help": "mark what the formula of this task adjusts for"},
    "--exposure": {"help": "mark what to adjust for, to tell the effect of this on the task"},
    "--graph": {"action": "store_true", "help": "look at the file and its graph only"},
    "--strict": {"action": "store_true", "help": "a warning counts as an error"},
    "--seed": {"type": _seed, "default": 0, "help": "seed of the draws (default: 0)"},
    "--draws": {"type": _draws, "default": 1000, "help": "how many draws (default: 1000)"},
    "--simulations": {"type": _draws, "default": 200, "help": "how many tables (default: 200)"},
    "--prob": {
        "type": _prob,
        "default": 0.9,
        "help": "probability of the intervals (default: 0.9)",
    },
    "--out": {"type": Path, "help": "the file to write"},
    "--given": {"metavar": "TASKS", "help": "tasks whose responses are conditioned on: stay,pain"},
    "--new-tasks": {"metavar": "TASKS", "help": "tasks as rows that the fit never saw: north,south"},
    "--probabilities": {"action": "store_true", "help": "those of categories, in place of responses"},
    "--checkpoint": {
        "type": Path,
        "metavar": "FILE",
        "help": "where the fit is saved as it goes; after a kill the same command goes on from it",
    },
    "--format": {"choices": _FORMATS, "help": "how to print the rows (default: %(default)s)"},
}
_PLACES = {"MODELS": "file", "MODEL": "file", "POST": "file", "SAVED": "file", "ROWS": "table"}
_ASK = "POST TABLE --seed --checkpoint --format"
_VERBS: dict[str, tuple[Any, str, str]] = {
    "check": (verbs.check, "say everything wrong with model files", "MODELS --table --graph --strict"),
    "dag": (
        verbs.dag,
        "say which effects the graph lets the table tell",
        "MODEL --table --graph --seed --format",
    ),
    "draw": (
        verbs.draw,
        "draw a model's graph, as DOT or by the name of --out",
        "MODEL --task --exposure --out",
    ),
    "prior": (verbs.prior, "say what the prior alone expects", "MODEL --table --seed --draws --format"),
    "calibrate": (
        verbs.calibrate,
        "fit tables that the model makes itself: is it right on average?",
        "MODEL --table --simulations --seed --checkpoint --format --out",
    ),
    "fit": (verbs.fit, "condition a model on a table", "MODEL TABLE --seed --checkpoint --out"),
    "report": (verbs.report, "write the page that answers every question", f"{_ASK} --prob --out"),
    "weights": (verbs.weights, "say what each task weighs", f"{_ASK} --prob"),
    "diagnostics": (verbs.diagnostics, "say what can't be trusted, worst first", _ASK),
    "update": (
        verbs.update,
        "add new rows to a posterior, without fitting all again",
        "SAVED ROWS --seed --out",
    ),
    "predict": (
        verbs.predict,
        "say what a posterior expects",
        "SAVED ROWS --prob --given --new-tasks --probabilities --format --out",
    ),
    "parts": (verbs.parts, "list the parts, or read one part's manual", "ROLE NAME"),
}


def parser() -> argparse.ArgumentParser:
    """Every verb, its arguments and its help."""
    codes = "Exit codes: 0 well, 1 a model, table or file at fault, 2 a misuse of the command."
    top = argparse.ArgumentParser(prog="bayesmtl", description=__doc__, epilog=codes)
    top.add_argument("--version", action="version", version=f"bayesmtl {bayesmtl.__version__}")
    choices = top.add_subparsers(required=True, metavar="verb")
    for name, (run, words, arguments) in _VERBS.items():
        verb = choices.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")
        verb.set_defaults(run=run, misuse=verb.error, file=None)
        # rows are for programs, answers for people
        verb.set_defaults(format="csv" if run is verbs.predict else "table")
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
