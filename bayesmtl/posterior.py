"""Posteriors: a model conditioned on a table, and what it expects before."""

import time
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jax
import pandas as pd
import xarray as xr

from bayesmtl import table_files, tables, trees
from bayesmtl.chains import Problem, Watch
from bayesmtl.checkpoints import Checkpoint, opened
from bayesmtl.checks import check
from bayesmtl.collapsible import refusal
from bayesmtl.design import Design
from bayesmtl.encoded import encode
from bayesmtl.errors import Finding, ModelError, refuse
from bayesmtl.kinds import encode_kinds, faults, rows_of
from bayesmtl.parts import Part, bind
from bayesmtl.program import build
from bayesmtl.progress import busy, shown
from bayesmtl.replay import astray
from bayesmtl.runtime import ready
from bayesmtl.spec import Model
from bayesmtl.summary import Summary


def table_of(model: Model) -> pd.DataFrame:
    """The table that a model file names."""
    return table_files.own(model.data, model.folder)


def fit(
    model: Model,
    table: Any = None,
    *,
    seed: int,
    watch: Watch | None = None,
    checkpoint: str | Path | Checkpoint | None = None,
) -> xr.DataTree:
    """Condition a model on a table.

    Parameters
    ----------
    model
        What ``load`` read, or a ``Model``.
    table
        A data frame of pandas or polars, or one for each task; by default what the model file names. Or what
        ``summarise`` made of a table of any size: the draws are the same, and nothing is said of cells.
    seed
        The same seed gives the same draws.
    watch
        Called with the sampler's progress; by default it is shown on stderr.
    checkpoint
        A file in which the sampler is saved every few seconds. A fit that was killed or interrupted goes on
        from it when it is called again, to the same draws. The file goes when all is drawn.

    Returns
    -------
    DataTree
        ArviZ groups. ``posterior`` has ``weight [task, feature]``, ``offset [task]``, and what the parts
        add, in the table's units; ``attrs`` holds the model, the seed and the versions.

    Raises
    ------
    ModelError
        When the model or the table is at fault, with every finding; or the checkpoint is of another fit.

    Examples
    --------
    >>> post = fit(load("models/election.toml"), seed=1)  # doctest: +SKIP
    """
    design, findings = _sound(model, table)
    engine = bind("engines", model.engine if design.kinds is None else _of_sums(model))
    with ready(), opened(checkpoint) as held:
        program = build(design)
        data = jax.device_put(design.data)
        if design.kinds is not None and (reason := refusal(design, program, data)):
            raise ModelError(Finding("summary", f"says too little: {reason}.", "Fit the table itself."))
        with nullcontext(watch) if watch else shown(model.name) as watching:
            run = engine(Problem(design, program, data, seed, watching, held))
        began = time.perf_counter()
        with nullcontext() if watch else busy(f"{model.name}: what the draws say of each cell"):
            tree = trees.grow(design, program, run, seed)
    run.seconds["record"] = time.perf_counter() - began
    return trees.stamp(tree, design, run, seed, findings)


def prior(model: Model, table: Any = None, *, seed: int, draws: int = 1000) -> xr.DataTree:
    """What a model expects before it sees any response.

    Parameters
    ----------
    model
        What ``load`` read, or a ``Model``.
    table
        By default the one that the model file names; its predictors say which cells there are.
    seed
        The same seed gives the same draws.
    draws
        How many.

    Returns
    -------
    DataTree
        Groups ``prior``, with the parameters that ``fit`` reports, and ``prior_predictive``, a variable for
        each task; ``observed_data`` and ``constant_data``.

    Raises
    ------
    ModelError
        When the model or the table is at fault, with every finding.

    Examples
    --------
    >>> prior(load("models/election.toml"), seed=1)  # doctest: +SKIP
    """
    design, _ = _sound(model, table)
    with ready():
        program = build(design)
        data = jax.device_put(design.data)
        return trees.before(design, program, data, draws, seed)


def _sound(model: Model, table: Any) -> tuple[Design, list[Finding]]:
    """A model and a table, by default its own, as a design; and what was found that is no error."""
    if isinstance(table, Summary):
        findings = refuse(check(model))
        design = encode_kinds(model, table)
        findings += refuse(faults(design))
        if model.priors:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # one kind has no standard deviation
                refuse(astray(model, rows_of(table)))
        return design, findings
    table = table_of(model) if table is None else tables.frame(table)
    findings = refuse(check(model, table))
    return encode(model, table), findings


def _of_sums(model: Model) -> Part:
    """The engine that a summary is enough for, with the options of the model's own."""
    if model.engine["kind"] not in ("auto", "collapsed"):
        problem = f"is {model.engine['kind']}, and takes the rows of a table, not a summary."
        raise ModelError(Finding("engine", problem, "Leave it out, or fit the table itself."))
    return {**model.engine, "kind": "collapsed"}
