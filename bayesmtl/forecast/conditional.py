"""What the responses of normal tasks that were seen in new rows say of the other tasks there.

At one draw of a posterior all that is new in a table is normal: the effects of levels that the fit never saw,
and what the tasks of a row share beyond their predictors. So it is normal given the responses of normal
tasks, too: first the effects of new levels, with residuals summed out, then the residuals of each row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from bayesmtl.forecast.seen import Seen, Unknown
from bayesmtl.program import Program, Said
from bayesmtl.replay import replay, simulate
from bayesmtl.sites import Array

SHIFT = "residual_shift_standard"  # the site of what the factors of a row add


def answer(
    seen: Seen,
    program: Program,
    data: Mapping[str, Any],
    sites: Mapping[str, Array],
    keys: tuple[Array, Array],
    draws: Mapping[str, Any],
) -> tuple[dict[str, Said], dict[str, Array], dict[str, Array]]:
    """What a program says of all cells at one draw given those that are seen, their means, and new responses.

    Parameters
    ----------
    draws
        What ``seen.draws`` has of the draw.
    """
    key, own = keys[0], jax.random.fold_in(keys[1], 1)
    bare = without(seen, sites)
    if seen.factor:
        rows, line, unit = seen.factor
        bare[SHIFT] = jnp.zeros((len(rows), len(line)))
    known, rest = learn(seen, draws, sites, replay(program, data, bare, key, observed=False)[2])
    if seen.factor:
        known[SHIFT] = shift(seen, rest, draws["shared"], own)[rows[:, None], line] / unit
    said = replay(program, data, known, key, observed=False)[2]
    means, y = {name: each.outcome.mean for name, each in said.items()}, simulate(said, keys[1])
    if draws["shared"] is not None and not seen.factor:
        given_means, given_y = respond(seen, rest, said, draws["shared"], own)
        means, y = means | given_means, y | given_y
    return said, means, y


def without(seen: Seen, sites: Mapping[str, Array]) -> dict[str, Array]:
    """The sites of one draw with nothing known of what the responses tell."""
    bare = dict(sites)
    for u in seen.unknown:
        bare[f"effect_{u.group}"] = _placed(bare[f"effect_{u.group}"], u, jnp.zeros(u.place.shape))
    return bare


@dataclass(frozen=True)
class Residue:
    """What is left of the responses at one draw, once their predictors and their levels are known.

    Parameters
    ----------
    scale
        The noise of the cells of the grid; [row, out].
    left
        The responses less their means, 0 where none is seen; [row, out].
    noise
        The covariance of residuals of each row; [row, out, out].
    """

    scale: Array
    left: Array
    noise: Array


def learn(
    seen: Seen, drawn: Mapping[str, Any], sites: Mapping[str, Array], said: Mapping[str, Said]
) -> tuple[dict[str, Array], Residue]:
    """The sites of one draw, with the effects of new levels drawn given the responses; and what is left.

    Parameters
    ----------
    drawn
        What ``seen.draws`` has of the draw.
    said
        What the program says of the cells with ``without`` in place of ``sites``.
    """
    loc, scale = (_grid(seen, said, word) for word in ("loc", "scale"))
    noise = scale[:, :, None] ** 2 * jnp.eye(len(seen.line))
    if drawn["shared"] is not None:
        shared = drawn["shared"][seen.line[:, None], seen.line]
        noise = noise + shared if seen.factor else scale[:, :, None] * scale[:, None, :] * shared
    left = jnp.where(seen.mask, seen.y - loc, 0.0)
    if not seen.unknown:
        return dict(sites), Residue(scale, left, noise)
    turned = []
    for u, own in zip(seen.unknown, drawn["unknown"], strict=True):
        has = (seen.line[:, None] == u.line) & seen.mask[:, :, None]  # [row, out, coefficient]
        turned.append((has * u.columns[:, None, :]) @ own["root"])
    design = jnp.concatenate(turned, axis=-1)
    right = jnp.concatenate([design, left[..., None]], axis=-1)
    known = jnp.swapaxes(design, 1, 2) @ jnp.linalg.solve(_filled(seen, noise), right)
    count, size = seen.size
    block, place = seen.block[:, None], seen.place
    precision = jnp.broadcast_to(jnp.eye(size), (count, size, size))
    precision = precision.at[block[..., None], place[:, :, None], place[:, None]].add(known[..., :-1])
    pull = jnp.zeros((count, size)).at[block, place].add(known[..., -1])
    v = jnp.zeros((count, size))
    for u, own in zip(seen.unknown, drawn["unknown"], strict=True):
        v = v.at[u.block[:, None], u.place].set(own["standard"])
    root = jnp.linalg.cholesky(precision)
    v += solve_triangular(root, pull[..., None], lower=True)[..., 0]
    v = solve_triangular(jnp.swapaxes(root, 1, 2), v[..., None], lower=False)[..., 0]
    found = dict(sites)
    for u, own in zip(seen.unknown, drawn["unknown"], strict=True):
        name, values = f"effect_{u.group}", v[u.block[:, None], u.place] @ own["root"].T
        found[name] = _placed(found[name], u, values)
    told = jnp.einsum("roj,rj->ro", design, v[block, place])
    return found, Residue(scale, left - told, noise)


def shift(seen: Seen, rest: Residue, shared: Array, key: Array) -> Array:
    """What the factors of each row add to its linear predictors, drawn given what is left; [row, line]."""
    ours, noises = jax.random.split(key)
    variance, direction = jnp.linalg.eigh(shared)
    root = direction * jnp.sqrt(jnp.maximum(variance, 0.0))
    own = jax.random.normal(ours, (len(seen.y), len(root))) @ root.T
    noise = own[:, seen.line] + rest.scale * jax.random.normal(noises, rest.scale.shape)
    return own + _pulled(seen, rest, noise) @ shared[seen.line]


def respond(
    seen: Seen, rest: Residue, said: Mapping[str, Said], correlation: Array, key: Array
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Means and new responses of normal families, given what is left of the responses; [cell] each."""
    root = jnp.linalg.cholesky(correlation[seen.line[:, None], seen.line])
    noise = rest.scale * (jax.random.normal(key, rest.scale.shape) @ root.T)
    mean = jnp.einsum("rij,rj->ri", rest.noise, _pulled(seen, rest, jnp.zeros(())))
    new = noise + jnp.einsum("rij,rj->ri", rest.noise, _pulled(seen, rest, noise))
    means, responses = {}, {}
    for name, (row, column) in seen.cells.items():
        loc = said[name].outcome.mean  # all normal tasks are on the grid where residuals are correlated
        means[name], responses[name] = loc + mean[row, column], loc + new[row, column]
    return means, responses


def _pulled(seen: Seen, rest: Residue, noise: Array) -> Array:
    """The precision of seen residuals times what is left of them less a draw of their noise; [row, out]."""
    left = jnp.where(seen.mask, rest.left - noise, 0.0)
    return jnp.linalg.solve(_filled(seen, rest.noise), left[..., None])[..., 0]


def _filled(seen: Seen, noise: Array) -> Array:
    """The covariance of the cells that are seen, the identity over the others; [row, out, out]."""
    both = seen.mask[:, :, None] & seen.mask[:, None, :]
    return jnp.where(both, noise, jnp.eye(len(seen.line)))


def _grid(seen: Seen, said: Mapping[str, Said], word: str) -> Array:
    """A number of each cell on the grid, 1 where there is no cell; [row, out]."""
    grid = jnp.ones((seen.y.shape[0], seen.y.shape[1] + 1))  # the last column is of tasks outside it
    for name, (row, column) in seen.cells.items():
        grid = grid.at[row, column].set(getattr(said[name].outcome.distribution, word))
    return grid[:, :-1]


def _placed(effect: Array, u: Unknown, values: Array) -> Array:
    """The coefficients of new levels among those of a group; [line, level, term]."""
    level = u.known + np.arange(len(values))[:, None]
    return effect.at[u.line, level, u.term].set(values)
