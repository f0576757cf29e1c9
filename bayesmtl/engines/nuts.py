"""The No-U-Turn sampler."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import jax
from numpyro.infer import NUTS

from bayesmtl.aggregated import aggregate
from bayesmtl.chains import Problem, Run, run, sampler
from bayesmtl.condensed import condense
from bayesmtl.parts import Chance, Count
from bayesmtl.pilot import pilot


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
    says where the data put each weight and each effect, and the sampler sees how far they are from there.
    Equal cells are computed once, and normal tasks of many rows, beside others, by their cross-products.

    References
    ----------
    Hoffman and Gelman (2014). The No-U-Turn Sampler: adaptively setting path lengths in Hamiltonian
        Monte Carlo. Journal of Machine Learning Research 15, 1593-1623.
    Phan, Pradhan and Jankowiak (2019). Composable effects for flexible and accelerated probabilistic
        programming in NumPyro. arXiv 1912.11554.
    """
    start = time.perf_counter()
    found = jax.device_put(pilot(problem.data, problem.design))
    data = {**problem.data, "pilot": found}
    seconds = {"pilot": time.perf_counter() - start}
    start = time.perf_counter()
    program, fewer = condense(problem.design, problem.program, data)
    fewer = aggregate(problem.design, fewer)
    seconds["cells"] = time.perf_counter() - start
    kernel = NUTS(program, target_accept_prob=target_accept)
    with ThreadPoolExecutor() as pool:
        compiling = sampler(kernel, fewer, pool, chains=chains, warmup=warmup)
        done = run(compiling, fewer, problem, engine="nuts", draws=draws)
    return replace(done, data=data, seconds=seconds | done.seconds)
