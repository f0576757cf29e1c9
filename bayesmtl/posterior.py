"""Posteriors: a model conditioned on a table, and what it expects before."""

import time
from contextlib import nullcontext
from typing import Any

import jax
import pandas as pd
import xarray as xr

from bayesmtl import tables, trees
from bayesmtl.chains import Problem, Watch
from bayesmtl.checks import check
from bayesmtl.design import Design
from bayesmtl.encoded import encode
from bayesmtl.errors import Finding, ModelError, refuse
from bayesmtl.parts import bind
from bayesmtl.program import build
from bayesmtl.progress import busy, shown
from bayesmtl.runtime import ready
from bayesmtl.spec import Model


def table_of(model: Model) -> pd.DataFrame:
    """The table that a model file names."""
    if "table" not in model.data:
        raise ModelError(
            Finding("data", "names no table.", 'Add [data] table = "file.csv", or give a table.')
        )
    return tables.read(model.data["table"], model.folder)


def fit(model: Model, table: Any = None, *, seed: int, watch: Watch | None = None) -> xr.DataTree:
    """Condition a model on a table.

    Parameters
    ----------
    model
        What ``load`` read, or a ``Model``.
    table
        A data frame of pandas or polars, or one for each task; by default what the model file names.
    seed
        The same seed gives the same draws.
    watch
        Called with the sampler's progress; by default it is shown on stderr.

    Returns
    -------
    DataTree
        ArviZ groups. ``posterior`` has ``weight [task, feature]``, ``offset [task]``, and what the parts
        add, in the table's units; ``attrs`` holds the model, the seed and the versions.

    Raises
    ------
    ModelError
        When the model or the table is at fault, with every finding.

    Examples
    --------
    >>> post = fit(load("models/election.toml"), seed=1)  # doctest: +SKIP
    """
    design, findings = _sound(model, table)
    engine = bind("engines", model.engine)
    with ready():
        program = build(design)
        data = jax.tree.map(jax.numpy.asarray, design.data)
        with nullcontext(watch) if watch else shown(model.name) as watching:
            run = engine(Problem(design, program, data, seed, watching))
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
        data = jax.tree.map(jax.numpy.asarray, design.data)
        return trees.before(design, program, data, draws, seed)


def _sound(model: Model, table: Any) -> tuple[Design, list[Finding]]:
    """A model and a table, by default its own, as a design; and what was found that is no error."""
    table = table_of(model) if table is None else tables.frame(table)
    findings = refuse(check(model, table))
    return encode(model, table), findings
