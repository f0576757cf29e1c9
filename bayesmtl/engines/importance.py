"""All coefficients of normal tasks integrated out, and the rest drawn by weighting a simple distribution."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesmtl.adaptive import Cloud, Density, adapted
from bayesmtl.chains import Problem, Progress, Run
from bayesmtl.collapsed import collapse
from bayesmtl.collapsible import required
from bayesmtl.errors import Finding, ModelError
from bayesmtl.parts import Count, find
from bayesmtl.space import Space, space
from bayesmtl.weighted import resampled

BATCH = 50  # points a program takes at once, on one core
REACH = 2.0  # how far from 0 the mode is first looked for, in unconstrained space, as NumPyro does


def importance(problem: Problem, *, draws: Count = 4000) -> Run:
    """Draw scales, correlations and noises by importance sampling, and coefficients exactly given them.

    For normal tasks: a first answer in seconds, marked as approximate. Split t distributions learn to be like
    the density of what is left when offsets, weights and group effects are integrated out. Their draws are
    weighted towards it and resampled. Where their Pareto k is above 0.7 the model is sampled by Markov
    chains after all.

    References
    ----------
    Geweke (1989). Bayesian inference in econometric models using Monte Carlo integration. Econometrica 57,
        1317-1339.
    Cornuet, Marin, Mira and Robert (2012). Adaptive multiple importance sampling. Scandinavian Journal of
        Statistics 39, 798-812.
    Vehtari, Simpson, Gelman, Yao and Gabry (2024). Pareto smoothed importance sampling. Journal of
        Machine Learning Research 25(72), 1-58.
    """
    model = problem.design, problem.program, problem.data
    required(*model, remedy='Use engine = "svi", or leave the engine out.')
    times = [time.perf_counter()]
    one = collapse(*model)
    left = space(one.program, one.data)
    times.append(time.perf_counter())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        density = _density(left, one.data, pool)
        times.append(time.perf_counter())
        random = np.random.default_rng(problem.seed)
        starts = random.uniform(-REACH, REACH, (BATCH, left.size))
        height = density(starts)
        if not np.isfinite(height).any():
            remedy = "Look for responses or predictors of very different size, and at priors that you set."
            raise ModelError(Finding("table", "gives no finite starting point.", remedy))
        cloud = _watched(problem, density, starts[height.argmax()], draws, random)
    times.append(time.perf_counter())
    if not cloud.quality.trusted:
        return _sampled(problem, draws, f"importance sampling has Pareto k {cloud.quality.pareto_k:.2f}")

    @jax.jit
    def finish(given: Any, data: Any) -> dict[str, Any]:
        def each(given: Any) -> dict[str, Any]:
            rest = left.read(given[0])
            return rest | one.complete(rest, data, given[1])

        return jax.lax.map(each, given, batch_size=BATCH)

    taken = resampled(cloud.weights, draws, random)
    keys = jax.random.split(jax.random.key(problem.seed), draws)
    sites = finish((jnp.asarray(cloud.points[taken]), keys), one.data)
    sites = {name: np.asarray(value)[None] for name, value in sites.items()}
    times.append(time.perf_counter())
    return Run(
        sites=sites,
        stats={"potential_energy": -cloud.density[taken][None]},
        seconds=dict(zip(("moments", "compile", "sample", "complete"), np.diff(times).tolist())),
        data=problem.data,
        engine=f"importance, {cloud.quality}",
        approximation=cloud.quality,
    )


def _density(left: Space, data: Any, pool: ThreadPoolExecutor) -> Density:
    """The log density of unconstrained points, many at once on each core; minus infinity if it has none."""
    data = jax.device_put(data)  # threads do not see an x64 context
    every = jax.vmap(left.density, (0, None))
    compiled = jax.jit(every).lower(jnp.zeros((BATCH, left.size)), data).compile()

    def density(points: np.ndarray) -> np.ndarray:
        padded = np.vstack([points, np.repeat(points[-1:], -len(points) % BATCH, axis=0)])
        batches = [jnp.asarray(batch) for batch in np.split(padded, len(padded) // BATCH)]
        found = np.concatenate(list(pool.map(lambda batch: np.asarray(compiled(batch, data)), batches)))
        return np.where(np.isfinite(found), found, -np.inf)[: len(points)]

    return density


def _watched(
    problem: Problem, density: Density, start: np.ndarray, draws: int, random: np.random.Generator
) -> Cloud:
    """The last cloud, with the effective draws of each shown as it comes."""
    progress = Progress("importance, approximate", 1, 0, draws, [0], approximate=True)
    problem.watch(progress)
    for cloud in adapted(density, start, draws / 2, random):
        progress.engine = f"importance, {cloud.quality}"
        progress.done = [int(min(cloud.quality.effective, draws - 1))]
        problem.watch(progress)
    if cloud.quality.trusted:
        progress.done = [draws]
        problem.watch(progress)
    return cloud


def _sampled(problem: Problem, draws: int, reason: str) -> Run:
    """Draws of Markov chains instead, with the reason."""

    def saying(progress: Progress) -> None:
        progress.engine = f"{progress.engine}, as {reason}"
        problem.watch(progress)

    run = find("engines", "auto")(replace(problem, watch=saying), draws=-(-draws // 4))
    return replace(run, engine=f"{run.engine}, as {reason}")
