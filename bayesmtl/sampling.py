"""Chains side by side on all cores, in one process, with flat memory.

Every chain is a thread that runs the same compiled piece of a chain on the one CPU device. XLA lets go of
Python's lock while it computes, so chains use all cores; NumPyro's ``parallel`` method, with a device per
chain, leaks memory with every gradient, and ``vectorized`` waits for the slowest chain at every step.
"""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import batched
from typing import Any

import jax
import numpy as np

from bayesmtl import checkpoints, pieces
from bayesmtl.checkpoints import Checkpoint, Standing

BLOCK = 100  # pieces that are joined at once to be saved, so that a save takes little memory


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
    approximate: bool = False

    @property
    def total(self) -> int:
        """Iterations there are to do."""
        return self.chains * (self.warmup + self.draws)


Watch = Callable[[Progress], None]


@dataclass
class Chain:
    """A chain's state, its draws after the warm-up in pieces, and how many of these pieces are saved."""

    state: Any
    drawn: list[dict[str, Any]] = field(default_factory=list)
    saved: int = 0


def sample(
    piece: Callable[..., Any],
    data: Any,
    standing: list[Chain],
    progress: Progress,
    watch: Watch,
    checkpoint: Checkpoint | None = None,
) -> None:
    """Bring every chain to its end, or to an interrupt; where they stand is saved every few seconds."""
    stop = threading.Event()
    lock = threading.Lock()
    length = progress.warmup + progress.draws

    def follow(c: int) -> None:
        chain, count = standing[c], 1
        while progress.done[c] < length and not stop.is_set():
            here = progress.done[c]
            border = progress.warmup if here < progress.warmup else length
            count = min(count, border - here)  # no piece runs across the end of the warm-up
            began = time.perf_counter()
            state, out = piece(chain.state, data, np.int32(count))
            out = pieces.first(out, count)
            took = time.perf_counter() - began
            with lock:
                chain.state = state
                progress.done[c] += count
                if here >= progress.warmup:
                    chain.drawn.append(out)
                    progress.divergences += int(out["diverging"].sum())
            count = int(np.clip(count * 0.25 / max(took, 1e-3), 1, pieces.PIECE))

    def save() -> float:
        return _save(checkpoint, standing, progress, lock) if checkpoint else float("inf")

    with ThreadPoolExecutor(min(progress.chains, os.cpu_count() or 1)) as pool:
        futures = [pool.submit(follow, c) for c in range(progress.chains)]
        due = time.monotonic() + checkpoints.EVERY
        try:
            while wait(futures, timeout=0.1).not_done:
                watch(progress)
                if time.monotonic() > due:
                    due = save()
        except KeyboardInterrupt:
            progress.stopped = True
            stop.set()
            wait(futures)
        finally:
            stop.set()  # whatever went wrong, no chain runs on for nobody
        watch(progress)
        for future in futures:
            future.result()
        save()


def _save(checkpoint: Checkpoint, standing: list[Chain], progress: Progress, lock: threading.Lock) -> float:
    """Save where all chains stand; when to do so again, so that it costs little time."""
    began = time.monotonic()
    with lock:
        now = [(progress.done[c], chain.state, len(chain.drawn)) for c, chain in enumerate(standing)]
    saved = []
    for chain, (done, state, count) in zip(standing, now):
        new = chain.drawn[chain.saved : count]
        blocks = (jax.tree.leaves(pieces.joined(block)) for block in batched(new, BLOCK))
        left = progress.warmup + progress.draws - done
        before = max(done - progress.warmup, 0) - sum(len(piece["diverging"]) for piece in new)
        saved.append(Standing(left, pieces.bare(state), blocks, before))
    checkpoints.save(checkpoint, saved)
    for chain, (_, _, count) in zip(standing, now):
        chain.saved = count
    ended = time.monotonic()
    return ended + max(checkpoints.EVERY, (ended - began) / checkpoints.COST)


def resume(standing: list[Chain], progress: Progress, saved: list[Standing]) -> None:
    """Put every chain where it stood when it was saved."""
    for c, (chain, one) in enumerate(zip(standing, saved)):
        progress.done[c] = progress.warmup + progress.draws - one.left
        chain.drawn = [pieces.draws(block, chain.state) for block in one.draws]
        chain.saved = len(chain.drawn)
        progress.divergences += sum(int(drawn["diverging"].sum()) for drawn in chain.drawn)
        chain.state = pieces.clad(one.state, chain.state)
