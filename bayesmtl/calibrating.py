"""Simulation-based calibration: whether the fits of a model are right on average."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import arviz_stats
import jax
import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl import checkpoints, tables
from bayesmtl.calibration import DRAWS, KEPT, labels, ranking
from bayesmtl.checkpoints import Checkpoint, Standing, opened, resume
from bayesmtl.checks import check
from bayesmtl.design import Design
from bayesmtl.encoded import encode
from bayesmtl.errors import Finding, refuse
from bayesmtl.fingerprint import fingerprint
from bayesmtl.multiplicity import adjusted
from bayesmtl.posterior import table_of
from bayesmtl.program import build
from bayesmtl.progress import counted
from bayesmtl.replay import anatomy
from bayesmtl.runtime import ready
from bayesmtl.spec import Model

ALARM = 0.01  # the chance that a calibrated model has any parameter that is said to be off


def calibrate(
    model: Model,
    table: Any = None,
    *,
    simulations: int = 200,
    seed: int = 0,
    checkpoint: str | Path | Checkpoint | None = None,
) -> pd.DataFrame:
    """Whether fits of tables that a model makes itself are right on average, for every parameter.

    Each table is made by a draw of the prior, with the predictors and the empty cells of the given one; then
    it is fitted. The rank of what made it among the draws of its fit is uniform, whatever the model, unless
    the model can't be fitted well where its prior puts it.

    Parameters
    ----------
    model
        What ``load`` read, or a ``Model``.
    table
        By default the one that the model file names.
    simulations
        How many tables; 200 tell an error of a fifth of a standard deviation.
    seed
        The same seed gives the same tables and draws.
    checkpoint
        A file in which the ranks are saved as they come. A calibration that was cut off goes on from it when
        it is called again. The file goes when all is done.

    Returns
    -------
    DataFrame
        Index ``parameter``, the worst first; the ``density of`` a likelihood's responses is among them,
        which a fit that ignores the table gets wrong. ``rank``, the mean rank, is 0.5 where all is well:
        above it the draws are too low. ``spread`` of the ranks, of a uniform one's, is 1: above it the draws
        are too narrow. ``p`` of uniform ranks, ``holm``, which allows for the number of parameters, and a
        ``verdict``: "calibrated" in all rows with a chance of 99 % if that is so. ``attrs`` has how many
        ``simulations`` there were and how many of all draws were ``divergences``.

    Raises
    ------
    ModelError
        When the model or the table is at fault, or the model does not say how its table comes about: with
        cells that are weighted, predictors that are imputed, or a column of who was censored.

    Examples
    --------
    >>> calibrate(load("models/election.toml"), simulations=200)  # doctest: +SKIP

    References
    ----------
    Talts, Betancourt, Simpson, Vehtari and Gelman (2018). Validating Bayesian inference algorithms with
        simulation-based calibration. arXiv 1804.06788.
    Modrak, Moon, Kim, Burkner, Huurre, Faltejskova, Gelman and Vehtari (2025). Simulation-based calibration
        checking for Bayesian computation: the choice of test quantities shapes sensitivity. Bayesian
        Analysis 20, 461-488.
    """
    return judged(ranks(model, table, simulations=simulations, seed=seed, checkpoint=checkpoint))


def ranks(
    model: Model,
    table: Any = None,
    *,
    simulations: int,
    seed: int,
    checkpoint: str | Path | Checkpoint | None = None,
) -> xr.DataArray:
    """Where what made each table lies among the draws of its fit, from 0 to 1; [simulation, parameter].

    Ties are broken at random; what is the same in all draws, or stands twice, is left out. ``attrs`` has the
    number of ``divergences``.
    """
    table = table_of(model) if table is None else tables.frame(table)
    refuse(check(model, table))
    design = encode(model, table)
    refuse(_unmade(design))
    with ready(), opened(checkpoint) as held:
        program = build(design)
        keys = list(jax.random.split(jax.random.key(seed), simulations))
        lowered = jax.jit(ranking(design, program)).lower(keys[0])
        words = f"{simulations} calibrations of {DRAWS} draws"
        fit = fingerprint(design, design.data, seed, words, lowered.as_text() if held else "")
        names = labels(anatomy(program, design.data).axes, lowered.out_info["below"])
        found = _found(lowered.compile(), keys, held, resume(held, fit) if held else [])
    below, equal, divergences = found
    # what is the same in every draw is fixed, and a correlation stands in its matrix twice
    _, first = np.unique(np.concatenate([below, equal]), axis=1, return_index=True)
    kept = sorted(i for i in first if (equal[:, i] < KEPT).any())
    ties = np.random.default_rng(seed).uniform(size=below.shape) * (equal + 1)
    return xr.DataArray(
        ((below + ties) / (KEPT + 1))[:, kept],
        dims=["simulation", "parameter"],
        coords={"parameter": [names[i] for i in kept]},
        attrs={"divergences": int(divergences.sum())},
    )


def judged(found: xr.DataArray) -> pd.DataFrame:
    """The rows of ``calibrate``, from its ranks; the p-values are those of ``arviz_stats``."""
    size = found.sizes["simulation"]
    p = arviz_stats.base.array_stats.uniformity_test(found.values, axis=0)[0]
    frame = pd.DataFrame(
        {
            "rank": found.values.mean(0),
            "spread": found.values.std(0) * 12**0.5,
            "p": p,
            "holm": adjusted(p, "holm"),
        },
        index=pd.Index(found.parameter.values, name="parameter"),
    )
    place = (frame["rank"] - 0.5) * (12 * size) ** 0.5
    width = (frame["spread"] ** 2 - 1) * (5 * size) ** 0.5 / 2
    off = np.select(
        [place.abs().clip(lower=3) <= width.abs(), place > 3, place < -3],
        [np.where(width > 0, "draws too narrow", "draws too wide"), "draws too low", "draws too high"],
        "not uniform",
    )
    frame["verdict"] = np.where(frame["holm"] < ALARM, off, "calibrated")
    frame = frame.sort_values("p", kind="stable")
    frame.attrs = {"simulations": size, **found.attrs}
    return frame


def _unmade(design: Design) -> list[Finding]:
    """Why a model does not say how its table comes about."""
    found = []
    if design.gaps is not None:
        remedy = 'Leave missing = "impute" out, or give a table without gaps.'
        found.append(Finding("missing", "has predictors imputed, which a new table would not have.", remedy))
    for family in design.families:
        where = f"tasks.{family.task.labels[0]}"
        if (family.power != 1).any():
            problem = "has weighted cells: a likelihood to a power makes no responses."
            found.append(Finding(where, problem, "Calibrate the model without these weights."))
        if family.likelihood["kind"] == "censored" and isinstance(family.likelihood.get("by"), str):
            problem = "has a column of who was censored, and nothing says where others would have been."
            found.append(Finding(where, problem, "Calibrate the likelihood that it is of."))
    return found


def _found(
    rank: Callable[[Any], Any], keys: list[Any], held: Checkpoint | None, saved: list[Standing]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts below and equal, [simulation, parameter], and divergences, [simulation]; all cores work."""
    done = [one for chain in saved for block in chain.draws for one in zip(*block, strict=True)]
    kept, due = len(done), time.monotonic() + checkpoints.EVERY

    def flat(key: Any) -> tuple[np.ndarray, ...]:
        out = jax.tree.map(np.asarray, rank(key))
        both = [np.concatenate([v.ravel() for v in out[name].values()]) for name in ("below", "equal")]
        return *both, out["divergences"]

    def save() -> None:
        new = [np.stack(column) for column in zip(*done[kept:], strict=True)]
        if held:
            checkpoints.save(held, [Standing(len(keys) - len(done), [], [new] if new else [], kept)])

    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool, counted("calibration", len(keys)) as say:
            for one in pool.map(flat, keys[kept:]):
                done.append(one)
                say(len(done))
                if time.monotonic() > due:
                    save()
                    kept, due = len(done), time.monotonic() + checkpoints.EVERY
    finally:
        save()
    below, equal, divergences = (np.stack(column) for column in zip(*done, strict=True))
    return below, equal, divergences
