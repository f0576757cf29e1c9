"""A piece of a chain: some iterations by one compiled program, and what is kept of them.

A chain that is cut into pieces draws the same as a whole one, wherever it is cut: its state holds all that
the next iteration needs, the random key and what was adapted included.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer.mcmc import MCMCKernel

PIECE = 50  # iterations a piece has room for; how many it runs is adjusted to the time they take
FIELDS = ("diverging", "energy", "num_steps", "accept_prob", "potential_energy")


def piece(kernel: MCMCKernel) -> Callable[..., Any]:
    """A program for up to ``PIECE`` iterations, and what it keeps of each."""

    def run(state: Any, data: Mapping[str, Any], count: Any) -> tuple[Any, dict[str, Any]]:
        room = jax.tree.map(lambda leaf: jnp.zeros((PIECE, *leaf.shape), leaf.dtype), _kept(state))

        def step(i: Any, carry: Any) -> Any:
            state, kept = carry
            state = kernel.sample(state, (data,), {})
            return state, jax.tree.map(lambda room, leaf: room.at[i].set(leaf), kept, _kept(state))

        return jax.lax.fori_loop(0, count, step, (state, room))

    return run


def first(kept: Any, count: int) -> dict[str, Any]:
    """The first draws of a piece, as arrays that do not hold on to its room."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:count].copy(), kept)


def joined(pieces: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The draws of pieces in a row; [draw, ...]."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *pieces)


def bare(state: Any) -> list[np.ndarray]:
    """A state as plain arrays, random keys by the numbers in them."""
    return [np.asarray(jax.random.key_data(x) if _is_key(x) else x) for x in jax.tree.leaves(state)]


def clad(arrays: Iterable[np.ndarray], like: Any) -> Any:
    """The state of which these are the plain arrays; shaped as another one of the same kernel."""
    leaves, shape = jax.tree.flatten(like)
    made = [
        jax.random.wrap_key_data(jnp.asarray(x), impl=jax.random.key_impl(leaf))
        if _is_key(leaf)
        else jnp.asarray(x)
        for x, leaf in zip(arrays, leaves, strict=True)
    ]
    return jax.tree.unflatten(shape, made)


def draws(arrays: Iterable[np.ndarray], state: Any) -> dict[str, Any]:
    """The draws of which these are the arrays; named as what is kept of a state."""
    return jax.tree.unflatten(jax.tree.structure(_kept(state)), arrays)


def _kept(state: Any) -> dict[str, Any]:
    return {"z": state.z} | {name: getattr(state, name) for name in FIELDS}


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
