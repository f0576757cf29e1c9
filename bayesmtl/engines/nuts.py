"""The No-U-Turn sampler."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import jax
import numpy as np
from numpyro.infer import NUTS

from bayesmtl.aggregated import aggregate
from bayesmtl.chains import Problem, Run, run, sampler
from bayesmtl.condensed import condense
from bayesmtl.parts import Chance, Count
from bayesmtl.pilot import pilot
from bayesmtl.space import space
from bayesmtl.white import WHITE, origin, plain, point, seen, slope, starts, white


def nuts(
    problem: Problem,
    *,
    chains: Count = 4,
    warmup: Count = 1000,
    draws: Count = 1000,
    target_accept: Chance = 0.9,
) -> Run:
    """Draw from the posterior by Hamiltonian Monte Carlo with trajectories that stop by themselves.

    ``warmup`` iterations per chain adapt the step size and the mass matrix and are thrown away. A pilot fit
    says where the data put each weight and each effect, and the sampler sees how far they are from there; of
    up to 400 numbers it sees them in axes in which the normal distribution at the mode is a standard one.
    Equal cells are computed once, and normal tasks of many rows, beside others, by their cross-products.

    References
    ----------
    Hoffman and Gelman (2014). The No-U-Turn Sampler: adaptively setting path lengths in Hamiltonian
        Monte Carlo. Journal of Machine Learning Research 15, 1593-1623.
    Phan, Pradhan and Jankowiak (2019). Composable effects for flexible and accelerated probabilistic
        programming in NumPyro. arXiv 1912.11554.
    """
    times = [time.perf_counter()]
    data = {**problem.data, "pilot": jax.device_put(pilot(problem.data, problem.design))}
    times.append(time.perf_counter())
    program, fewer = condense(problem.design, problem.program, data)
    fewer = jax.device_put(aggregate(problem.design, fewer))
    left = space(program, fewer)
    times.append(time.perf_counter())
    given = {"known": fewer, "mode": vars(plain(left))}
    with ThreadPoolExecutor() as pool:  # the mode is sought while the sampler is compiled
        climbing = pool.submit(slope(left, fewer))
        drawing = NUTS(white(left), target_accept_prob=target_accept)
        compiling = sampler(drawing, given, pool, origin(left.size), chains=chains, warmup=warmup)
        times.append(time.perf_counter())
        top = seen(left, climbing.result)
        given["mode"] = vars(top)
        begin = starts(climbing.result(), top, chains, problem.seed)
        times.append(time.perf_counter())
        done = run(compiling, given, problem, begin, engine="nuts", draws=draws)
    read = jax.jit(jax.vmap(jax.vmap(lambda at, given: left.read(point(given, at)), (0, None)), (0, None)))
    sites = jax.tree.map(np.asarray, read(done.sites[WHITE], given))
    seconds = done.seconds | dict(
        zip(("pilot", "cells", "trace", "mode"), np.diff(times).tolist(), strict=True)
    )
    return replace(done, sites=sites, data=data, seconds=seconds)
