"""All coefficients of normal tasks integrated out."""

import time
from dataclasses import replace

import jax
import numpy as np
from numpyro.infer import NUTS

from bayesmtl.chains import Problem, Run, run
from bayesmtl.collapsed import collapse, refusal
from bayesmtl.errors import Finding, ModelError
from bayesmtl.parts import Chance, Count


def collapsed(
    problem: Problem,
    *,
    chains: Count = 4,
    warmup: Count = 500,
    draws: Count = 1000,
    target_accept: Chance = 0.9,
) -> Run:
    """Draw scales, correlations and noises by Hamiltonian Monte Carlo, and coefficients exactly given them.

    For normal tasks. Offsets, weights and group effects are integrated out: what is left has few dimensions
    and no funnels, and since the responses enter by their cross-products a gradient costs the same for any
    number of rows. Each draw is completed by one of the coefficients from their normal distribution.

    References
    ----------
    Lindley and Smith (1972). Bayes estimates for the linear model. Journal of the Royal Statistical Society
        B 34, 1-41.
    Hoffman and Gelman (2014). The No-U-Turn Sampler: adaptively setting path lengths in Hamiltonian
        Monte Carlo. Journal of Machine Learning Research 15, 1593-1623.
    """
    model = problem.design, problem.program, problem.data
    if reason := refusal(*model):
        remedy = 'Use engine = "nuts", or leave the engine out.'
        raise ModelError(Finding("engine", f"can't integrate the coefficients out: {reason}.", remedy))
    start = time.perf_counter()
    one = collapse(*model)
    seconds = {"moments": time.perf_counter() - start}
    kernel = NUTS(one.program, target_accept_prob=target_accept, dense_mass=True)
    size = {"chains": chains, "warmup": warmup, "draws": draws}
    free = run(kernel, one.data, problem.seed, problem.watch, engine="collapsed", **size)
    start = time.perf_counter()
    shape = free.stats["diverging"].shape
    keys = jax.random.split(jax.random.fold_in(jax.random.key(problem.seed), 1), shape)
    draw = jax.jit(jax.vmap(lambda given: one.complete(given[0], one.data, given[1])))
    done = [draw(({n: v[c] for n, v in free.sites.items()}, keys[c])) for c in range(shape[0])]
    linear = {name: np.stack([each[name] for each in done]) for name in done[0]}
    seconds |= free.seconds | {"complete": time.perf_counter() - start}
    return replace(free, sites={**free.sites, **linear}, data=problem.data, seconds=seconds)
