"""All coefficients of normal tasks integrated out."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from numpyro.infer import NUTS

from bayesmtl.chains import Basis, Problem, Run, run, sampler
from bayesmtl.collapsed import collapse
from bayesmtl.collapsible import required
from bayesmtl.modes import mode
from bayesmtl.parts import Chance, Count
from bayesmtl.space import space
from bayesmtl.white import WHITE, origin, point, slope, starts, white

MANY = 37  # from so many dimensions on, what a warm-up says of correlations is not worth having
SHORT, LONG = 149, 400  # iterations of a warm-up, of few dimensions and of many
BATCH = 500  # draws that a program completes at once


def collapsed(
    problem: Problem,
    *,
    chains: Count = 4,
    warmup: Count | None = None,
    draws: Count = 1000,
    target_accept: Chance = 0.9,
) -> Run:
    """Draw scales, correlations and noises by Hamiltonian Monte Carlo, and coefficients exactly given them.

    For normal tasks. Offsets, weights and group effects are integrated out: what is left has few dimensions
    and no funnels, and since the responses enter by their cross-products a gradient costs the same for any
    number of rows. The chains see it in axes in which the normal distribution at its mode is a standard one,
    and begin about there. By default ``warmup`` is 149 iterations, which adapt to all of their own draws
    at once, and 400 where more than 36 numbers are left. Each draw is completed by one of the coefficients
    from their normal distribution.

    References
    ----------
    Lindley and Smith (1972). Bayes estimates for the linear model. Journal of the Royal Statistical Society
        B 34, 1-41.
    Hoffman and Gelman (2014). The No-U-Turn Sampler: adaptively setting path lengths in Hamiltonian
        Monte Carlo. Journal of Machine Learning Research 15, 1593-1623.
    """
    model = problem.design, problem.program, problem.data
    required(*model, remedy='Use engine = "nuts", or leave the engine out.')
    times = [time.perf_counter()]
    one = collapse(*model)
    if problem.moments is not None:
        one = replace(one, data={**one.data, "moments": jax.device_put(dict(problem.moments))})
    left = space(one.program, one.data)
    warmup = warmup or usual(left.size)
    times.append(time.perf_counter())

    @jax.jit
    def finish(points: Any, number: Any, seed: Any, chain: Any, data: Any) -> dict[str, Any]:
        key = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1), chains)[chain]

        def each(at: Any, number: Any) -> dict[str, Any]:
            rest = left.read(point(data, at))
            return rest | one.complete(rest, data["known"], jax.random.fold_in(key, number))

        return jax.vmap(each)(points, number)

    # arrays of NumPy: what JAX would compile to make its own waits for what the pool compiles
    seed, zero = np.int64(problem.seed), np.zeros(left.size)
    data = {"known": jax.device_put(one.data), "mode": {"place": zero, "root": np.eye(left.size)}}
    with ThreadPoolExecutor() as pool:  # programs are compiled while others are written, and chains run
        climbing = pool.submit(slope(left, one.data))
        drawing = NUTS(white(left), target_accept_prob=target_accept, dense_mass=left.size < MANY)
        compiling = sampler(drawing, data, pool, origin(left.size), chains=chains, warmup=warmup)
        batch = np.zeros((BATCH, left.size)), np.arange(BATCH), seed, np.int32(0)
        finishing = pool.submit(finish.lower(*batch, data).compile)
        times.append(time.perf_counter())
        density = climbing.result()
        top = mode(density, left.size)
        data["mode"] = vars(top)
        begin = starts(density, top, chains, problem.seed)
        times.append(time.perf_counter())
        free = run(compiling, data, problem, begin, engine="collapsed", draws=draws)
    start = time.perf_counter()
    points = free.sites[WHITE]
    count = points.shape[1]
    done = [
        finishing.result()(_padded(own[at : at + BATCH]), at + np.arange(BATCH), seed, np.int32(chain), data)
        for chain, own in enumerate(points)
        for at in range(0, count, BATCH)
    ]
    sites = {name: _chains(chains, count, [each[name] for each in done]) for name in done[0]}
    seconds = free.seconds | dict(zip(("moments", "trace", "mode"), np.diff(times).tolist(), strict=True))
    seconds["complete"] = time.perf_counter() - start
    points = top.place + points @ top.root.T
    basis = Basis(points, -free.stats["potential_energy"], one.data["moments"], one.data["count"])
    return replace(free, sites=sites, data=problem.data, seconds=seconds, basis=basis)


def usual(size: int) -> int:
    """The iterations of a warm-up for so many dimensions."""
    return SHORT if size < MANY else LONG


def _padded(points: np.ndarray) -> np.ndarray:
    """A whole batch of points."""
    return np.pad(points, ((0, BATCH - len(points)), (0, 0)))


def _chains(chains: int, count: int, batches: list[Any]) -> np.ndarray:
    """The batches of all chains put together, without what they were padded by; [chain, draw, ...]."""
    every = np.stack([np.asarray(batch) for batch in batches])
    return every.reshape(chains, -1, *every.shape[2:])[:, :count]
