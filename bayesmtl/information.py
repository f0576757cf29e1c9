"""What the likelihood knows of each level's coefficients, and the map that draws them by it."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from bayesmtl import small
from bayesmtl.groups import Grouping, coefficients
from bayesmtl.sites import Array

Pilot = Mapping[str, Any]


class Mapped(dist.Distribution):
    """Of ``z = root' v - shift``, where ``v`` is standard normal; the last axis is one draw's."""

    support = dist.constraints.real_vector

    def __init__(self, root: Array, shift: Array):
        self.root, self.shift = root, shift
        super().__init__(shift.shape[:-1], shift.shape[-1:])

    def back(self, z: Array) -> Array:
        """The ``v`` that belongs to a ``z``."""
        return small.solve(self.root, self.shift + z, turned=True)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws."""
        v = jax.random.normal(key, sample_shape + self.shape(), self.shift.dtype)
        return jnp.einsum("...ji,...j->...i", self.root, v) - self.shift

    def log_prob(self, value: Array) -> Array:
        """Exact, by the change of variables."""
        change = jnp.log(jnp.diagonal(self.root, axis1=-2, axis2=-1)).sum(-1)
        return dist.Normal(0.0, 1.0).log_prob(self.back(value)).sum(-1) - change


def level_information(
    grouping: Grouping,
    information: np.ndarray,
    predictor: np.ndarray,
    row: np.ndarray,
    mode: np.ndarray,
    gradient: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """The likelihood of each level's coefficients as a normal at a mode, all else held there.

    Parameters
    ----------
    information
        Fisher's information about each cell's linear predictor; [cell].
    predictor, row
        Each cell's linear predictor, and its row; [cell].
    mode
        The coefficients; [task, level, term].
    gradient
        Of the log likelihood at the mode; 0 by default; [task, level, term].

    Returns
    -------
    dict
        ``precision`` and ``pull``, precision times place: [task, level, term, term] and [task, level, term],
        or, of a grouping that links tasks, [level, coefficient, coefficient] and [level, coefficient].
    """
    tasks, levels, terms = len(grouping.bundle), len(grouping.level), len(grouping.term)
    place = predictor * levels + grouping.index[row]
    used = np.where(grouping.uses[predictor], grouping.z[row], 0.0)  # [cell, term]
    precision = np.zeros((tasks, levels, terms, terms))
    for k in range(terms):
        for other in range(terms):
            each = information * used[:, k] * used[:, other]
            total = np.bincount(place, each, minlength=tasks * levels)
            precision[..., k, other] = total.reshape(tasks, levels)
    pull = np.einsum("tlkj,tlj->tlk", precision, mode)
    pull = pull if gradient is None else pull + gradient
    if not grouping.together:
        return {"precision": precision, "pull": pull}
    ((of,), (term,)) = coefficients(grouping)[0]
    linked = np.zeros((levels, len(of), len(of)))
    for a in range(len(of)):
        for b in np.flatnonzero(of == of[a]):
            linked[:, a, b] = precision[of[a], :, term[a], term[b]]
    return {"precision": linked, "pull": pull[of, :, term].T}


def level_cross(
    grouping: Grouping, information: np.ndarray, predictor: np.ndarray, row: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """What the likelihood knows of each level's coefficients together with columns that all levels share.

    Parameters
    ----------
    information, predictor, row
        As in ``level_information``.
    x
        The columns of each cell; [cell, column].

    Returns
    -------
    array
        [task, level, term, column], or, of a grouping that links tasks, [level, coefficient, column].
    """
    tasks, levels, terms = len(grouping.bundle), len(grouping.level), len(grouping.term)
    place = predictor * levels + grouping.index[row]
    used = np.where(grouping.uses[predictor], grouping.z[row], 0.0)
    cross = np.zeros((tasks, levels, terms, x.shape[1]))
    for k in range(terms):
        for column in range(x.shape[1]):
            total = np.bincount(place, information * used[:, k] * x[:, column], minlength=tasks * levels)
            cross[..., k, column] = total.reshape(tasks, levels)
    if not grouping.together:
        return cross
    ((of,), (term,)) = coefficients(grouping)[0]
    return np.moveaxis(cross[of, :, term], 0, 1)


def beside(pilot: Pilot, grouping: Grouping, fixed: Array) -> Pilot:
    """What a pilot knows of each level's coefficients given the others of a linear predictor.

    A slope that all levels share and the levels' own slopes make up for each other: drawn given the shared
    one, where it pulls them, they no longer do.

    Parameters
    ----------
    fixed
        Offset and weights; [task, column], as in the pilot's ``fixed``. Its ``cross`` is ``level_cross``.
    """
    away = fixed - pilot["fixed"]
    if grouping.together:
        ((of,), _) = coefficients(grouping)[0]
        moved = jnp.einsum("lnf,nf->ln", pilot["cross"], away[of])
    else:
        moved = jnp.einsum("tlkf,tf->tlk", pilot["cross"], away)
    return {"precision": pilot["precision"], "pull": pilot["pull"] - moved}


def known_of(pilot: Pilot, grouping: Grouping, tasks: np.ndarray, terms: np.ndarray) -> tuple[Array, Array]:
    """A pilot's precision and pull of one set of coefficients; [set, level, coefficient, ...]."""
    precision, pull = jnp.asarray(pilot["precision"]), jnp.asarray(pilot["pull"])
    if grouping.together:
        return precision[None], pull[None]
    of, term = tasks[:, 0], terms[0]
    return precision[of][..., term[:, None], term], pull[of][..., term]
