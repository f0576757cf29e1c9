"""What every contender does: take its seconds, and hand in its draws under common names."""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np
from problems import Problem, problem

FIXED = ["level", "weight"]  # agreement is judged by these, too
SCALES = ["sigma", "sigma_centre", "sigma_spread", "scale", "share", "sd", "shape"]
CORRELATIONS = ["task_correlation", "group_correlation", "residual_correlation"]
SECONDS: dict[str, float] = defaultdict(float)


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Add the seconds that something takes to those of a stage: import, compile or sample."""
    start = time.perf_counter()
    try:
        yield
    finally:
        SECONDS[stage] += time.perf_counter() - start


def tell_compiling_apart() -> None:
    """Count what XLA compiles while sampling under its own stage."""
    import jax

    def hear(event: str, seconds: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            SECONDS["compile"] += seconds
            SECONDS["sample"] -= seconds

    jax.monitoring.register_event_duration_secs_listener(hear)


def enter(fit: Callable[[Problem, int, int], tuple[Mapping[str, Any], int]], packages: list[str]) -> None:
    """Run ``fit(problem, seed, draws)`` as ``contender.py PROBLEM SEED OUT [DRAWS]`` asks, and write OUT.

    It returns all draws, [chain, draw, ...], of which those of the common names are written, and how many
    diverged.
    """
    name, seed, out, *draws = sys.argv[1:]
    found, divergences = fit(problem(name), int(seed), int(*draws or [1000]))
    said = {"divergences": divergences, "versions": {package: version(package) for package in packages}}
    every = {n: _columns(n, found[n]) for n in [*FIXED, *SCALES, *CORRELATIONS] if n in found}
    np.savez(out, said=json.dumps(said | {"seconds": SECONDS}), **every)


def _columns(name: str, draws: Any) -> np.ndarray:
    """All that there is to know of a parameter; [chain, draw, number]."""
    draws = np.asarray(draws)
    columns = draws.reshape(*draws.shape[:2], -1)
    if name not in CORRELATIONS:
        return columns
    size = round(columns.shape[-1] ** 0.5)
    below = np.tril_indices(size, -1)
    return columns.reshape(*draws.shape[:2], size, size)[..., below[0], below[1]]
