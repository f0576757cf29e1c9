"""Tasks of which something is known beside their data."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, ModelError, listed
from bayesmtl.priors import Fraction, Positive
from bayesmtl.sharing import members
from bayesmtl.sites import Array, sample


def described(
    task: Axis,
    feature: Axis,
    *,
    by: dict | None = None,
    length: Positive = "inverse_gamma(3, 3)",
    own: Fraction = "beta(1, 1)",
) -> Array:
    """Weights of tasks with similar descriptions are alike.

    ``by`` gives each task a number, or a list of numbers; each descriptor is brought to mean 0 and standard
    deviation 1 over the tasks. The correlation of two tasks at distance ``d`` is
    ``(1 - own) * exp(-d**2 / (2 * length**2))``, so that ``own`` is the share of a weight's variance that the
    descriptors don't explain.

    References
    ----------
    Bonilla, Agakov and Williams (2007). Kernel multi-task learning using task-specific features. Artificial
        Intelligence and Statistics, 43-50.
    Rasmussen and Williams (2006). Gaussian processes for machine learning, chapter 4. MIT Press.
    """
    return _root(_standardised(task, by), length, own)


def joined(
    task: Axis,
    new: Axis,
    feature: Axis,
    told: Sequence[Any],
    *,
    by: dict | None = None,
    length: Positive = "inverse_gamma(3, 3)",
    own: Fraction = "beta(1, 1)",
) -> Array:
    """The loadings of known tasks and of new ones with the descriptions that are told."""
    return _root(_standardised(task, by, told), length, own)


def _root(descriptor: np.ndarray, length: Positive, own: Fraction) -> Array:
    """The Cholesky factor of the correlations of tasks; [task, task]."""
    square = ((descriptor[:, None] - descriptor) ** 2).sum(-1)
    reach = sample("length", length, support="Positive")
    alone = sample("own", own, support="Fraction")
    alike = jnp.exp(-square / (2 * reach**2))
    # a ten-millionth is never shared, so that the matrix has a Cholesky factor
    alone = 1e-7 + (1 - 1e-7) * alone
    return jnp.linalg.cholesky((1 - alone) * alike + alone * jnp.eye(len(descriptor)))


def _standardised(task: Axis, by: dict | None, told: Sequence[Any] = ()) -> np.ndarray:
    """The descriptors of the tasks and of new ones, on the scales of the known; [task, descriptor]."""
    given: list[np.ndarray | None] = [None] * len(task)
    for name, values in (by or {}).items():
        for member in members(task, name, "relation.by"):
            given[member] = np.atleast_1d(np.asarray(values, float))
    lost = [label for label, values in zip(task.labels, given, strict=True) if values is None]
    if lost:
        raise ModelError(Finding("relation.by", f"lacks {listed(lost)}.", "Describe every task."))
    if len({values.shape for values in given if values is not None}) > 1:
        raise ModelError(Finding("relation.by", "has lists of several lengths.", "Make them equal."))
    table = np.array(given)
    spread = table.std(0)
    if len(task) > 1 and not spread.all():
        raise ModelError(Finding("relation.by", "has a descriptor with one value.", "Leave it out."))
    more = [np.atleast_1d(np.asarray(values, float)) for values in told if values is not None]
    if len(more) < len(told) or any(values.shape != table.shape[1:] for values in more):
        problem, remedy = "has no description as the others have.", f"Give {table.shape[1]} numbers."
        raise ModelError(Finding("new_tasks", problem, remedy))
    every = np.concatenate([table, np.reshape(more, (-1, table.shape[1]))])
    return (every - table.mean(0)) / np.where(spread > 0, spread, 1.0)
