"""Markov chains on all cores, in one process, with flat memory.

Every chain is a thread that runs the same compiled piece of a chain on the one CPU device. XLA lets go of
Python's lock while it computes, so chains use all cores; NumPyro's ``parallel`` method, with a device per
chain, leaks memory with every gradient, and ``vectorized`` waits for the slowest chain at every step.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer.mcmc import MCMCKernel

from bayesmtl.design import Design
from bayesmtl.errors import Finding, ModelError
from bayesmtl.program import Program

PIECE = 50  # iterations a piece has room for; how many it runs is adjusted to the time they take
FIELDS = ("diverging", "energy", "num_steps", "accept_prob", "potential_energy")


@dataclass
class Progress:
    """How far a run has come, over all chains."""

    engine: str
    chains: int
    warmup: int
    draws: int
    done: list[int] = field(default_factory=list)
    divergences: int = 0
    stopped: bool = False

    @property
    def total(self) -> int:
        """Iterations there are to do."""
        return self.chains * (self.warmup + self.draws)


Watch = Callable[[Progress], None]


@dataclass(frozen=True)
class Problem:
    """What an engine is asked to draw from.

    Parameters
    ----------
    design, program, data
        The model with its table, the program of it, and the program's arrays.
    seed
        The same one gives the same draws.
    watch
        Called with the progress.
    """

    design: Design
    program: Program
    data: Mapping[str, Any]
    seed: int
    watch: Watch


@dataclass(frozen=True)
class Run:
    """What an engine hands back.

    Parameters
    ----------
    sites
        Draws of the program's latent sites; [chain, draw, ...].
    stats
        What the sampler says of each draw; [chain, draw].
    seconds
        How long its stages took.
    data
        What the program takes at these draws.
    engine
        Which engine drew, and why if it was chosen.
    complete
        Whether it was let run to its end.
    """

    sites: Mapping[str, np.ndarray]
    stats: Mapping[str, np.ndarray]
    seconds: dict[str, float]
    data: Mapping[str, Any]
    engine: str
    complete: bool = True


def run(
    kernel: MCMCKernel,
    data: Mapping[str, Any],
    seed: int,
    watch: Watch,
    *,
    engine: str,
    chains: int,
    warmup: int,
    draws: int,
) -> Run:
    """Run an engine's kernel; an interrupt keeps what all chains have drawn so far.

    The same seed gives the same draws, whatever the number of cores.

    Raises
    ------
    ModelError
        When no finite starting point is found, or when the interrupt comes in the warm-up.
    """
    start = time.perf_counter()
    data = jax.tree.map(jnp.asarray, data)  # threads do not see an x64 context
    keys = jax.random.split(jax.random.key(seed), chains)
    begin = jax.jit(lambda key, data: kernel.init(key, warmup, None, (data,), {}))
    states = [begin(key, data) for key in keys]
    if not all(np.isfinite(state.potential_energy) for state in states):
        raise ModelError(
            Finding(
                "table",
                "gives no finite starting point.",
                "Look for responses or predictors of very different size, and at priors that you set.",
            )
        )
    started = time.perf_counter()
    traced = jax.jit(_piece(kernel)).lower(states[0], data, np.int32(1))
    lowered = time.perf_counter()
    piece = traced.compile()
    compiled = time.perf_counter()
    progress = Progress(engine, chains, warmup, draws, [0] * chains)
    kept = _threads(piece, states, data, progress, watch)
    least = min(len(k["diverging"]) for k in kept) if kept else 0
    if least < 2:
        raise ModelError(Finding("fit", "was stopped in the warm-up.", "Nothing was drawn yet."))
    every = {name: np.stack([chain[name][:least] for chain in kept]) for name in FIELDS}
    unconstrained = jax.tree.map(
        lambda *leaves: np.stack([leaf[:least] for leaf in leaves]), *(k["z"] for k in kept)
    )
    constrain = jax.jit(jax.vmap(jax.vmap(kernel.postprocess_fn((data,), {}))))
    values = constrain(unconstrained)
    sites = {name: np.asarray(values[name]) for name in unconstrained}
    seconds = {
        "start": started - start,
        "trace": lowered - started,
        "compile": compiled - lowered,
        "sample": time.perf_counter() - compiled,
    }
    return Run(
        sites=sites,
        stats=every,
        seconds=seconds,
        data=data,
        engine=engine,
        complete=not progress.stopped,
    )


def _first(kept: Any, count: int) -> dict[str, Any]:
    """The first draws of a piece, as arrays that do not hold on to its room."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:count].copy(), kept)


def _piece(kernel: MCMCKernel) -> Callable[..., Any]:
    """A program for up to ``PIECE`` iterations, and what it keeps of each."""

    def piece(state: Any, data: Mapping[str, Any], count: Any) -> tuple[Any, dict[str, Any]]:
        def keep(state: Any) -> dict[str, Any]:
            return {"z": state.z} | {name: getattr(state, name) for name in FIELDS}

        room = jax.tree.map(lambda leaf: jnp.zeros((PIECE, *leaf.shape), leaf.dtype), keep(state))

        def step(i: Any, carry: Any) -> Any:
            state, kept = carry
            state = kernel.sample(state, (data,), {})
            return state, jax.tree.map(lambda room, leaf: room.at[i].set(leaf), kept, keep(state))

        return jax.lax.fori_loop(0, count, step, (state, room))

    return piece


def _threads(
    piece: Callable[..., Any], states: list[Any], data: Any, progress: Progress, watch: Watch
) -> list[dict[str, Any]]:
    """Every chain's draws after the warm-up; [draw, ...]."""
    stop = threading.Event()
    lock = threading.Lock()
    length = progress.warmup + progress.draws

    def chain(c: int) -> list[dict[str, Any]]:
        state, kept, count = states[c], [], 1
        while progress.done[c] < length and not stop.is_set():
            here = progress.done[c]
            border = progress.warmup if here < progress.warmup else length
            count = min(count, border - here)  # no piece runs across the end of the warm-up
            began = time.perf_counter()
            state, out = piece(state, data, np.int32(count))
            out = _first(out, count)
            took = time.perf_counter() - began
            if here >= progress.warmup:
                kept.append(out)
            with lock:
                progress.done[c] += count
                if here >= progress.warmup:
                    progress.divergences += int(out["diverging"].sum())
            count = int(np.clip(count * 0.25 / max(took, 1e-3), 1, PIECE))
        return kept

    with ThreadPoolExecutor(min(progress.chains, os.cpu_count() or 1)) as pool:
        futures = [pool.submit(chain, c) for c in range(progress.chains)]
        try:
            while wait(futures, timeout=0.1).not_done:
                watch(progress)
        except KeyboardInterrupt:
            progress.stopped = True
            stop.set()
            wait(futures)
        watch(progress)
        pieces = [future.result() for future in futures]
    if not all(pieces):
        return []
    return [jax.tree.map(lambda *leaves: np.concatenate(leaves), *of_chain) for of_chain in pieces]
