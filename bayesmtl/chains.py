"""Markov chains: what an engine is asked, how it has its kernel run, and what it hands back."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from numpyro.infer.mcmc import MCMCKernel
from numpyro.infer.util import ParamInfo

from bayesmtl import checkpoints, pieces, sampling
from bayesmtl.checkpoints import Checkpoint
from bayesmtl.design import Design
from bayesmtl.errors import Finding, ModelError
from bayesmtl.fingerprint import fingerprint
from bayesmtl.program import Program
from bayesmtl.runtime import ONCE
from bayesmtl.sampling import Chain, Progress, Watch
from bayesmtl.weighted import Approximation


@dataclass(frozen=True)
class Basis:
    """What more rows are added to, where the coefficients were integrated out.

    Parameters
    ----------
    points, density
        Draws of the rest, unconstrained, and the log density of each; [chain, draw, coordinate] and
        [chain, draw].
    moments
        The table's cross-products, by their names.
    count
        The cells of each task that the coordinates are made for, whatever comes to them since; [task].
    """

    points: np.ndarray
    density: np.ndarray
    moments: Mapping[str, Any]
    count: np.ndarray


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
    checkpoint
        Where the chains are saved, and where they go on from; None saves nothing.
    moments
        Cross-products that stand for those of the design; None where the design has all rows.
    """

    design: Design
    program: Program
    data: Mapping[str, Any]
    seed: int
    watch: Watch
    checkpoint: Checkpoint | None = None
    moments: Mapping[str, Any] | None = None


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
    approximation
        How good the draws are, if no Markov chain made them.
    basis
        What more rows are added to; None where coefficients were sampled.
    """

    sites: Mapping[str, np.ndarray]
    stats: Mapping[str, np.ndarray]
    seconds: dict[str, float]
    data: Mapping[str, Any]
    engine: str
    complete: bool = True
    approximation: Approximation | None = None
    basis: Basis | None = None


@dataclass(frozen=True)
class Sampler:
    """What runs a kernel's chains: programs that are still being compiled.

    Parameters
    ----------
    chains, warmup
        How many chains, and for how many iterations that are thrown away.
    begin, piece
        The program of a chain's first state, given the seed and its number, and that of some iterations.
    text
        What the second one says.
    seconds
        How long it took to write them.
    """

    chains: int
    warmup: int
    begin: Future[Any]
    piece: Future[Any]
    text: Callable[[], str]
    seconds: float


def sampler(
    kernel: MCMCKernel,
    data: Mapping[str, Any],
    pool: Executor,
    start: Any,
    *,
    chains: int,
    warmup: int,
) -> Sampler:
    """Have a kernel's programs compiled by a pool, for data and a start of these shapes."""
    began = time.perf_counter()
    data = jax.device_put(data)

    @jax.jit  # also the keys: what is compiled by itself here would wait for what the pool compiles
    def begin(seed: Any, chain: Any, at: Any, data: Any) -> Any:
        key = jax.random.split(jax.random.key(seed), chains)[chain]
        return kernel.init(key, warmup, at, (data,), {})

    first = begin.lower(np.int64(0), np.int32(0), start, data)
    rest = jax.jit(pieces.piece(kernel)).lower(first.out_info, data, np.int32(1))
    took = time.perf_counter() - began
    compiling = pool.submit(rest.compile), pool.submit(first.compile, ONCE)  # what takes longest first
    return Sampler(chains, warmup, compiling[1], compiling[0], rest.as_text, took)


def run(
    sampler: Sampler,
    data: Mapping[str, Any],
    problem: Problem,
    starts: Sequence[ParamInfo],
    *,
    engine: str,
    draws: int,
) -> Run:
    """Run chains on an engine's data from ``starts``; an interrupt keeps what all of them have drawn so far.

    The same seed gives the same draws, whatever the number of cores, and whether it was killed and went on.

    Raises
    ------
    ModelError
        When no finite starting point is found, when the interrupt comes in the warm-up, or when the
        checkpoint is that of another fit.
    """
    start = time.perf_counter()
    data = jax.device_put(data)  # threads do not see an x64 context
    chains, warmup = sampler.chains, sampler.warmup
    begin, seed = sampler.begin.result(), np.int64(problem.seed)
    states = [begin(seed, np.int32(c), at, data) for c, at in enumerate(starts)]
    piece = sampler.piece.result()
    compiled = time.perf_counter()
    if not all(np.isfinite(state.potential_energy) for state in states):
        raise ModelError(
            Finding(
                "table",
                "gives no finite starting point.",
                "Look for responses or predictors of very different size, and at priors that you set.",
            )
        )
    progress = Progress(engine, chains, warmup, draws, [0] * chains)
    standing = [Chain(state) for state in states]
    if problem.checkpoint:
        length = f"{chains} chains of {warmup} + {draws}"
        fit = fingerprint(problem.design, problem.data, problem.seed, f"{engine}, {length}", sampler.text())
        sampling.resume(standing, progress, checkpoints.resume(problem.checkpoint, fit))
    sampling.sample(piece, data, standing, progress, problem.watch, problem.checkpoint)
    kept = [pieces.joined(chain.drawn) for chain in standing if chain.drawn]
    least = min(len(k["diverging"]) for k in kept) if len(kept) == chains else 0
    if least < 2:
        remedy = (
            "The same fit goes on from its checkpoint." if problem.checkpoint else "Nothing was drawn yet."
        )
        raise ModelError(Finding("fit", "was stopped in the warm-up.", remedy))
    every = {name: np.stack([chain[name][:least] for chain in kept]) for name in pieces.FIELDS}
    sites = jax.tree.map(lambda *each: np.stack([leaf[:least] for leaf in each]), *(k["z"] for k in kept))
    seconds = {
        "trace": sampler.seconds,
        "compile": compiled - start,
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
