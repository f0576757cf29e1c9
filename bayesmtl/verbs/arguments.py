"""The arguments of the verbs, each with its help."""

import argparse
from pathlib import Path
from typing import Any


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


def _setting(text: str) -> tuple[str, str]:
    name, _, value = (word.strip() for word in text.partition("="))
    if not (name and value):
        raise argparse.ArgumentTypeError("give a node and its value, income=5, or two: income=5,15")
    return name, value


ARGUMENTS: dict[str, dict[str, Any]] = {
    "MODELS": {"nargs": "+", "type": Path, "metavar": "MODEL", "help": "model files"},
    "MODEL": {"type": Path, "help": "a model file"},
    "POST": {"type": Path, "help": "a posterior, or a model file, which is fitted first"},
    "SAVED": {"type": Path, "metavar": "POST", "help": "a posterior"},
    "SEVERAL": {"nargs": "+", "type": Path, "metavar": "POST", "help": "posteriors of the same cells"},
    "TABLE": {
        "type": Path,
        "nargs": "?",
        "help": "a table (default: the model's own); - is CSV from stdin",
    },
    "OF": {
        "type": Path,
        "nargs": "?",
        "metavar": "TABLE",
        "help": "the table of a posterior (default: a model's own); - is CSV from stdin",
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
    "REFITS": {"type": _seed, "metavar": "SEED", "help": "seed of refits (default: that of the fit)"},
    "--draws": {"type": _draws, "default": 1000, "help": "how many draws (default: 1000)"},
    "--simulations": {"type": _draws, "default": 200, "help": "how many tables (default: 200)"},
    "--prob": {
        "type": _prob,
        "default": 0.9,
        "help": "probability of the intervals (default: 0.9)",
    },
    "--out": {"type": Path, "help": "the file to write"},
    "PAGE": {
        "type": Path,
        "metavar": "OUT",
        "help": "the page to write (default: HTML here); one that ends in .md is Markdown",
    },
    "--unit": {
        "choices": ["cell", "row", "group", "task"],
        "default": "cell",
        "help": "what is left out and predicted (default: cell)",
    },
    "--group": {"metavar": "COLUMN", "help": "whose levels are the groups (default: the model's)"},
    "--do": {
        "type": _setting,
        "action": "append",
        "required": True,
        "metavar": "NODE=VALUE",
        "help": "set a node: x=1; contrast two values: x=0,1; add a standard deviation: x=sd",
    },
    "--by": {"metavar": "COLUMN", "help": "take averages within the levels of this"},
    "--given": {"metavar": "TASKS", "help": "tasks whose responses are conditioned on: stay,pain"},
    "--new-tasks": {"metavar": "TASKS", "help": "tasks as rows that the fit never saw: north,south"},
    "--probabilities": {"action": "store_true", "help": "those of categories, in place of responses"},
    "--checkpoint": {
        "type": Path,
        "metavar": "FILE",
        "help": "where the fit is saved as it goes; after a kill the same command goes on from it",
    },
    "--format": {"choices": ["table", "csv", "json"], "help": "how to print the rows (default: %(default)s)"},
}
# What those in capitals are called, where verbs take the same in ways of their own.
PLACES = {
    **dict.fromkeys(["MODELS", "MODEL", "POST", "SAVED", "SEVERAL"], "file"),
    "OF": "table",
    "ROWS": "table",
    "REFITS": "--seed",
    "PAGE": "--out",
}
