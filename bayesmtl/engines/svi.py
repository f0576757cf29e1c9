"""A normal distribution that is as near to the posterior as one can be."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.handlers import block, replay, seed, trace
from numpyro.infer import SVI, Trace_ELBO, init_to_feasible
from numpyro.infer.autoguide import AutoContinuous, AutoLowRankMultivariateNormal, AutoMultivariateNormal
from numpyro.infer.util import log_density
from numpyro.optim import Adam

from bayesmtl.aggregated import aggregate
from bayesmtl.chains import Problem, Progress, Run, Watch
from bayesmtl.condensed import condense
from bayesmtl.coordinates import free
from bayesmtl.errors import Finding, ModelError
from bayesmtl.parts import Count
from bayesmtl.pilot import pilot
from bayesmtl.program import Program
from bayesmtl.subsampled import subsample
from bayesmtl.weighted import resampled, smoothed

FULL = 300  # latent numbers up to which any covariance is fitted, and above that one of low rank
RATE = 0.02  # the first step size of Adam
PARTICLES = 4  # draws that a step's gradient is the mean of
PIECE = 250  # steps between two looks at the progress
BATCH = 50  # draws a program takes at once, and
CELLS = 4_000_000  # of all of them together


def svi(problem: Problem, *, steps: Count = 5000, draws: Count = 4000) -> Run:
    """Draw from the normal distribution that variational inference finds nearest to the posterior.

    For large models whose tasks are not all normal; every answer is marked as approximate. Coefficients are
    as ``nuts`` sees them, about a pilot fit, and of many cells each step takes some at random. Up to a Pareto
    k of 0.7 the draws are weighted towards the posterior and resampled; above it they stay as they are, and
    the diagnostics say not to trust them.

    References
    ----------
    Kucukelbir, Tran, Ranganath, Gelman and Blei (2017). Automatic differentiation variational inference.
        Journal of Machine Learning Research 18(14), 1-45.
    Yao, Vehtari, Simpson and Gelman (2018). Yes, but did it work? Evaluating variational inference.
        Proceedings of Machine Learning Research 80, 5581-5590.
    """
    times = [time.perf_counter()]
    whole = {**problem.data, "pilot": jax.device_put(pilot(problem.data, problem.design))}
    program, fewer = condense(problem.design, problem.program, whole)
    data = jax.device_put(aggregate(problem.design, fewer))
    times.append(time.perf_counter())
    first, second = jax.random.split(jax.random.key(problem.seed))
    progress = Progress("svi, approximate", 1, steps, draws, [0], approximate=True)
    problem.watch(progress)
    guide = _guide(program, data)
    lean = subsample(problem.design, program, data)
    parameters = _nearest(lean, guide, data, first, progress, problem.watch)
    times.append(time.perf_counter())
    cells = sum(len(family["y"]) for family in data["cells"].values())
    batch = min(BATCH, max(1, CELLS // max(1, cells)))

    @jax.jit
    def finish(keys: Any, parameters: Any, data: Any) -> tuple[dict[str, Any], Any, Any]:
        def each(key: Any) -> tuple[dict[str, Any], Any, Any]:
            drew, sites = log_density(seed(guide, key), (data,), {}, parameters)
            known, seen = log_density(replay(seed(program, key), sites), (data,), {}, {})
            return {n: site["value"] for n, site in seen.items() if free(site)}, known, known - drew

        return jax.lax.map(each, keys, batch_size=batch)

    sites, known, ratio = jax.tree.map(np.asarray, finish(jax.random.split(second, draws), parameters, data))
    weights, quality = smoothed(ratio)
    random = np.random.default_rng(problem.seed)
    taken = resampled(weights, draws, random) if quality.trusted else np.arange(draws)
    times.append(time.perf_counter())
    progress.engine, progress.done = f"svi, {quality}", [steps + draws]
    problem.watch(progress)
    return Run(
        sites={name: value[taken][None] for name, value in sites.items()},
        stats={"potential_energy": -known[taken][None]},
        seconds=dict(zip(("pilot", "steps", "draws"), np.diff(times).tolist())),
        data=whole,
        engine=f"svi, {quality}",
        approximation=quality,
    )


def _nearest(
    program: Callable[..., Any], guide: AutoContinuous, data: Any, key: Any, progress: Progress, watch: Watch
) -> dict[str, Any]:
    """The guide's parameters after all steps."""
    rate = RATE / progress.warmup

    def schedule(step: Any) -> Any:
        return rate * jnp.maximum(progress.warmup - step, 1)

    method = SVI(program, guide, Adam(schedule), Trace_ELBO(num_particles=PARTICLES))
    state = jax.jit(method.init)(key, data)

    @jax.jit
    def piece(state: Any, data: Any, count: Any) -> Any:
        return jax.lax.fori_loop(0, count, lambda _, state: method.stable_update(state, data)[0], state)

    while progress.done[0] < progress.warmup:
        count = min(PIECE, progress.warmup - progress.done[0])
        state = jax.block_until_ready(piece(state, data, count))
        progress.done = [progress.done[0] + count]
        watch(progress)
    parameters = method.get_params(state)
    if not all(np.isfinite(value).all() for value in parameters.values()):
        remedy = "Look for responses or predictors of very different size, and at priors that you set."
        raise ModelError(Finding("table", "gives no finite approximation.", remedy))
    return parameters


def _guide(program: Program, data: Any) -> AutoContinuous:
    """A normal distribution of the latent numbers, first about 0, where the pilot fit puts the posterior."""

    def size() -> Any:
        with block(), trace() as sites:
            seed(program, 0)(data)
        return {name: site["value"] for name, site in sites.items() if free(site)}

    count = sum(value.size for value in jax.eval_shape(size).values())
    kind = AutoMultivariateNormal if count <= FULL else AutoLowRankMultivariateNormal
    return kind(program, init_loc_fn=init_to_feasible)
