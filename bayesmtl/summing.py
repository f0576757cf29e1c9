"""Rows whose missing categories are summed out: their density, and what is known of their categories."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpyro

from bayesmtl.imputation import Filled, record_drawn
from bayesmtl.outcomes import Outcome
from bayesmtl.sites import Array, record


@dataclass(frozen=True)
class Summed:
    """What is known of the configurations of each row.

    Parameters
    ----------
    gaps
        The arrays of the table's gaps.
    weight
        Log density of the predictors; [configuration].
    likely
        Log density of each family's cells, raised to its power; [configuration's cell].
    probability
        Of each configuration of its row; [configuration].
    chosen
        The configuration that each row is drawn to have; [row].
    """

    gaps: Mapping[str, Any]
    weight: Array
    likely: Mapping[str, Array]
    probability: Array
    chosen: Array

    @property
    def total(self) -> Array:
        """Log density of predictors and cells together; [configuration]."""
        return _total(self.gaps, self.weight, self.likely)

    def pick(self, name: str, value: Array) -> Array:
        """Each cell's value in the configuration that its row is drawn to have; [cell]."""
        return value[_picked(self.gaps, name, self.chosen)]

    def mean(self, name: str, value: Array) -> Array:
        """Each cell's mean over the configurations of its row; [cell, ...]."""
        cells = self.gaps["cells"][name]
        weight = self.probability[cells["at"]].reshape(-1, *(1,) * (value.ndim - 1))
        return jax.ops.segment_sum(weight * value, cells["cell"], len(cells["first"]))

    def density(self, name: str) -> Array:
        """Log density of each cell given its row's other cells, raised to its power; [cell]."""
        cells, own = self.gaps["cells"][name], self.likely[name]
        # a configuration that only this cell rules out is possible for the others
        barred = {n: jnp.isneginf(each).astype(own.dtype) for n, each in self.likely.items()}
        never = _total(self.gaps, jnp.zeros_like(self.weight), barred)
        finite = {n: jnp.where(jnp.isneginf(each), 0.0, each) for n, each in self.likely.items()}
        rest = _total(self.gaps, self.weight, finite)[cells["at"]] - finite[name]
        rest = jnp.where(never[cells["at"]] > barred[name], -jnp.inf, rest)
        size = len(cells["first"])
        return _log_sum(rest + own, cells["cell"], size) - _log_sum(rest, cells["cell"], size)


def sum_out(
    filled: Filled,
    outcomes: Mapping[str, Outcome],
    cells: Mapping[str, Mapping[str, Any]],
    observed: bool,
    key: Array | None,
) -> tuple[dict[str, Outcome], dict[str, Array], Summed]:
    """Condition on the responses, or simulate them, with the configurations of each row summed out.

    Parameters
    ----------
    cells
        Each family's cells as they stand in the table.
    key
        For drawing configurations; None where nobody looks at them.

    Returns
    -------
    tuple
        Each cell's outcome, whose distribution is that of every configuration; the responses; and what is
        known of the configurations.
    """
    gaps, weight = filled.data["gaps"], filled.weight
    y = {name: given["y"] for name, given in cells.items()}
    key = numpyro.prng_key() if key is None and not observed else key
    if not observed:
        chosen = _drawn(gaps, weight, key)
        for name, outcome in outcomes.items():
            drawn = numpyro.sample(f"{name}.y", outcome.distribution)
            y[name] = drawn[_picked(gaps, name, chosen)]
    likely, known = _likely(filled, outcomes, y), weight
    if observed:
        known = _total(gaps, weight, likely)
        rows = _log_sum(known, gaps["row"], len(gaps["start"]))
        numpyro.factor("cells", rows.sum())
        chosen = gaps["start"] if key is None else _drawn(gaps, known, key)
    probability = jnp.exp(known - _log_sum(known, gaps["row"], len(gaps["start"]))[gaps["row"]])
    summed = Summed(gaps, weight, likely, probability, chosen)
    entries = jax.ops.segment_sum(probability[gaps["entry"]], gaps["slot"], len(filled.gaps.choice))
    record("probability", entries, filled.gaps.choice)
    record_drawn(filled, chosen)
    each = {}
    for name, outcome in outcomes.items():
        mean, information = (summed.mean(name, value) for value in (outcome.mean, outcome.information))
        each[name] = replace(outcome, mean=mean, information=information)
    return each, y, summed


def _likely(filled: Filled, outcomes: Mapping[str, Outcome], y: Mapping[str, Array]) -> dict[str, Array]:
    """Log density of each family's cells in every configuration, raised to its power."""
    found = {}
    for name, outcome in outcomes.items():
        own = outcome.distribution.log_prob(y[name][filled.data["gaps"]["cells"][name]["cell"]])
        found[name] = own * filled.data["cells"][name]["power"]
    return found


def _total(gaps: Mapping[str, Any], weight: Array, likely: Mapping[str, Array]) -> Array:
    """Log density of the predictors and the cells of each configuration; [configuration]."""
    for name, each in likely.items():
        weight += jax.ops.segment_sum(each, gaps["cells"][name]["at"], len(weight))
    return weight


def _log_sum(value: Array, of: Array, size: int) -> Array:
    """Logarithm of the sum of exponentials within segments; [segment]."""
    most = jax.lax.stop_gradient(jax.ops.segment_max(value, of, size))
    most = jnp.where(jnp.isfinite(most), most, 0.0)
    return jnp.log(jax.ops.segment_sum(jnp.exp(value - most[of]), of, size)) + most


def _drawn(gaps: Mapping[str, Any], log: Array, key: Any) -> Array:
    """A configuration of each row, drawn in proportion to its density; [row]."""
    noisy = log + jax.random.gumbel(key, log.shape, log.dtype)
    best = jax.ops.segment_max(noisy, gaps["row"], len(gaps["start"]))
    here = jnp.where(noisy == best[gaps["row"]], jnp.arange(len(log)), 0)
    return jax.ops.segment_max(here, gaps["row"], len(gaps["start"]))


def _picked(gaps: Mapping[str, Any], name: str, chosen: Array) -> Array:
    """The configuration's cell that belongs to each cell, given its row's configuration; [cell]."""
    cells = gaps["cells"][name]
    row = gaps["row"][cells["at"][cells["first"]]]
    return cells["first"] + chosen[row] - gaps["start"][row]
