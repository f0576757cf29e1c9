"""Stan, by PyStan."""

# /// script
# requires-python = ">=3.11,<3.13"  # for later ones PyStan compiles models that cannot be loaded
# dependencies = ["pystan>=3.10", "setuptools<81", "numpy", "pandas"]
# ///

import os
import tempfile
from pathlib import Path

import numpy as np
from contest import CORRELATIONS, FIXED, SCALES, enter, timed
from problems import Problem

with timed("import"):
    import stan

WHOLE = ["contraception", "epil"]  # responses are whole numbers


def fit(problem: Problem, seed: int, draws: int) -> tuple[dict, int]:
    """Compile the program of the problem's name, and run it; chains are processes."""
    code = (Path(__file__).parent / f"{problem.program}.stan").read_text()
    (rows, features), size = problem.x.shape, problem.y.shape[1]
    data = {"N": rows, "F": features, "T": size, "G": int(problem.group.max()) + 1}
    seen = np.isfinite(problem.y)
    y = np.where(seen, problem.y, 0.0).astype(int if problem.program in WHOLE else float)
    data |= {"x": problem.x, "y": y, "seen": seen.astype(int), "g": problem.group + 1}
    with timed("compile"):
        model = stan.build(code, data=data, random_seed=seed)
    with timed("sample"):
        found = model.sample(num_chains=4, num_samples=draws, delta=problem.accept)
        known = [name for name in [*FIXED, *SCALES, *CORRELATIONS] if name in found.param_names]
        every = {name: chains(found[name]) for name in known}
    return every, int(found["divergent__"].sum())


def chains(draws: np.ndarray) -> np.ndarray:
    """PyStan's draws of a parameter, the chains of which are interleaved; [chain, draw, ...]."""
    return np.moveaxis(draws.reshape(*draws.shape[:-1], -1, 4), (-1, -2), (0, 1))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache  # else what was compiled once is found again
        enter(fit, ["pystan"])
