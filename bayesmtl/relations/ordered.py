"""Tasks in a row, as in time."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, ModelError, listed
from bayesmtl.priors import Fraction
from bayesmtl.sharing import members
from bayesmtl.sites import Array, sample


def ordered(
    task: Axis,
    feature: Axis,
    *,
    order: list | None = None,
    at: dict | None = None,
    autocorrelation: Fraction = "beta(1, 1)",
) -> Array:
    """Weights follow an autoregression of the first order along the tasks.

    Tasks stand one step apart, as in the file or as in ``order``, or where ``at`` puts them: a position for
    each task. Weights one step apart have correlation ``autocorrelation``, and weights ``d`` steps apart its
    ``d``-th power; with ``at`` a step is the mean distance between neighbours.

    References
    ----------
    Zhou, Yuan, Liu and Ye (2011). A multi-task learning formulation for predicting disease progression.
        International Conference on Knowledge Discovery and Data Mining, 814-822.
    Rasmussen and Williams (2006). Gaussian processes for machine learning, appendix B. MIT Press.
    """
    step = sample("autocorrelation", autocorrelation, support="Fraction")
    if len(task) == 1:
        return jnp.ones((1, 1))
    place = _places(task, order, at)
    rank = np.argsort(place)
    steps = place[rank] / np.diff(place[rank]).mean()
    apart = np.abs(np.subtract.outer(steps, steps))
    fresh = jnp.concatenate([jnp.ones(1), jnp.sqrt(1 - step ** (2 * np.diff(steps)))])
    return (jnp.tril(step**apart) * fresh)[np.argsort(rank)]


def joined(
    task: Axis,
    new: Axis,
    feature: Axis,
    told: Sequence[Any],
    *,
    order: list | None = None,
    at: dict | None = None,
    autocorrelation: Fraction = "beta(1, 1)",
) -> Array:
    """The loadings of known tasks and of new ones, at the places that are told or next after the last."""
    step = sample("autocorrelation", autocorrelation, support="Fraction")
    place = _places(task, order, at)
    gap = np.diff(np.sort(place)).mean() if len(task) > 1 else 1.0
    for number, where in enumerate(told, 1):
        place = np.append(place, float(place.max() + gap if where is None else where))
        if len(np.unique(place)) < len(task) + number:
            problem = f"puts {new.labels[number - 1]} where another task stands."
            raise ModelError(Finding("new_tasks", problem, "Give another place."))
    return jnp.linalg.cholesky(step ** (np.abs(np.subtract.outer(place, place)) / gap))


def _places(task: Axis, order: list | None, at: dict | None) -> np.ndarray:
    """Where each task stands."""
    if order is not None and at is not None:
        raise ModelError(Finding("relation", "has both order and at.", "Give one of them."))
    if order is None and at is None:
        return np.arange(len(task), dtype=float)
    given = at if at is not None else {name: i for i, name in enumerate(order or [])}
    where = "relation.at" if at is not None else "relation.order"
    place = np.full(len(task), np.nan)
    for name, value in given.items():
        place[members(task, name, where)] = float(value)
    lost = [label for label, value in zip(task.labels, place, strict=True) if np.isnan(value)]
    if lost:
        raise ModelError(Finding(where, f"lacks {listed(lost)}.", "Name every task."))
    if len(np.unique(place)) < len(task):
        raise ModelError(Finding(where, "puts two tasks in one place.", 'Use relation = "described".'))
    return place
