"""Bambi, sampled by nutpie: models of one outcome."""

# /// script
# requires-python = ">=3.12"
# dependencies = ["bambi>=0.15", "nutpie>=0.16", "numba", "numpy", "pandas"]
# ///

import os
import tempfile

from contest import enter, timed
from problems import Problem

CACHE = tempfile.TemporaryDirectory()
os.environ["PYTENSOR_FLAGS"] = f"base_compiledir={CACHE.name}"  # else what was compiled once is found again

with timed("import"):
    import bambi as bmb
    import numpy as np

FAMILIES = {"contraception": "bernoulli", "epil": "negativebinomial"}


def fit(problem: Problem, seed: int, draws: int) -> tuple[dict, int]:
    """The formula, with the priors of the others."""
    if problem.program not in FAMILIES:
        raise SystemExit("Bambi has no models of several outcomes")
    sd = bmb.Prior("HalfStudentT", nu=3, sigma=1)
    priors = {
        "Intercept": bmb.Prior("Normal", mu=0, sigma=2.5),
        "common": bmb.Prior("Normal", mu=0, sigma=5),
        "1|g": bmb.Prior("Normal", mu=0, sigma=sd),
    }
    if problem.program == "epil":
        priors["alpha"] = bmb.Prior("InverseGamma", alpha=0.4, beta=0.3)
    table = problem.table.astype({"y0": int})
    with timed("compile"):
        model = bmb.Model(f"y0 ~ {problem.formula}", table, family=FAMILIES[problem.program], priors=priors)
        model.build()
    with timed("sample"):
        post = model.fit(draws, chains=4, random_seed=seed, inference_method="nutpie")
    p = post.posterior
    weight = np.stack([p[f"x{k}"] for k in range(problem.x.shape[1])], -1)
    found = {"level": p["Intercept"], "weight": weight, "sd": p["1|g_sigma"]}
    if problem.program == "epil":
        found["shape"] = p["alpha"]
    return found, int(post.sample_stats.diverging.sum())


if __name__ == "__main__":
    enter(fit, ["bambi", "pymc", "nutpie"])
