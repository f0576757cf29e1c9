"""Simulation-based calibration: fits of tables that a model made itself must be right on average.

Talts, Betancourt, Simpson, Vehtari and Gelman (2018). Validating Bayesian inference algorithms with
simulation-based calibration. arXiv 1804.06788.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from numpyro.handlers import seed, trace
from numpyro.infer import MCMC, NUTS
from scipy.stats import kstest

import bayesmtl as bm
from bayesmtl import parts
from bayesmtl.design import encode
from bayesmtl.program import build
from bayesmtl.sites import STANDARD

ROWS, SIMULATIONS, WARMUP, DRAWS, THIN = 37, 100, 300, 600, 6
ALARM = 1e-3  # the chance that a calibrated model fails, over all of its quantities


GAUSSIAN = {"kind": "gaussian", "offset": "normal(0, 1)", "sigma": "gamma(6, 6)"}
OFFSET = {"offset": "normal(0, 0.7)"}
TASKS = {
    "gaussian": {"length": GAUSSIAN, "weight": GAUSSIAN, "pain": GAUSSIAN},
    "mixed": {
        "length": GAUSSIAN,
        "weight": GAUSSIAN | {"kind": "student_t", "df": "gamma(5, 0.5)"},
        "alive": {"kind": "bernoulli", **OFFSET},
        "visits": {"kind": "poisson", **OFFSET},
        "pain": {"kind": "ordinal", "levels": 3, "cut": "normal(0, 1.5)"},
    },
}
SHRINKAGE = {
    "normal": {"scale": "half_normal(0.7)"},
    "horseshoe": {
        "overall": "half_normal(0.7)",
        "local": "half_student_t(5, 1)",
        "slab": "inverse_gamma(5, 5)",
    },
}


def model(tasks: str, relation: str, shrinkage: str) -> bm.Model:
    part = {"kind": shrinkage, **SHRINKAGE[shrinkage]}
    return bm.Model(tasks=TASKS[tasks], formula="x + z", relation=relation, shrinkage=part)


def table() -> pd.DataFrame:
    """Predictors, the pattern of empty cells, and responses that only set the units."""
    draw = np.random.default_rng(1)
    x = draw.normal(size=ROWS)
    made = pd.DataFrame({"x": x, "z": 0.5 * x + draw.normal(size=ROWS)})
    made = made.assign(
        length=draw.normal(size=ROWS), weight=draw.normal(size=ROWS), alive=np.arange(ROWS) % 2.0
    )
    made = made.assign(visits=np.arange(ROWS) % 4.0, pain=np.arange(ROWS) % 3.0)
    for i, column in enumerate(("length", "weight", "alive", "visits", "pain")):
        made.loc[made.index[i::6], column] = np.nan
    return made


# every relation and shrinkage, and once all likelihoods together
COMBINATIONS = [("gaussian", relation, "normal") for relation in parts.names("relations")]
COMBINATIONS += [("gaussian", "partial", s) for s in parts.names("shrinkage") if s != "normal"]
COMBINATIONS += [("mixed", "partial", "normal")]


def test_every_likelihood_and_shrinkage_is_calibrated_below():
    kinds = {part["kind"] for part in TASKS["mixed"].values()}
    assert kinds == set(parts.names("likelihoods"))
    assert set(SHRINKAGE) == set(parts.names("shrinkage"))


@pytest.mark.slow
@pytest.mark.parametrize("tasks, relation, shrinkage", COMBINATIONS)
def test_posteriors_are_calibrated(tasks, relation, shrinkage):
    design = encode(model(tasks, relation, shrinkage), table())
    with jax.enable_x64(True):
        program = build(design)
        data = jax.tree.map(jnp.asarray, design.data)
        # any pilot leaves the posterior as it is; this one is wrong on purpose
        wrong = {"precision": jnp.full(design.uses.shape, 2.0), "place": jnp.full(design.uses.shape, 0.1)}

        def simulate(key):
            with trace() as sites:
                seed(program, key)(data, observed=False)
            return {n: s["value"] for n, s in sites.items() if not n.endswith(STANDARD)}

        def fit(key, y):
            cells = {n: c | {"y": y[f"{n}.y"]} for n, c in data["cells"].items()}
            given = data | {"cells": cells, "pilot": wrong}
            run = MCMC(
                NUTS(program, target_accept_prob=0.9),
                num_warmup=WARMUP,
                num_samples=DRAWS,
                progress_bar=False,
            )
            run.run(key, given)
            return {n: v[::THIN] for n, v in run.get_samples().items() if not n.endswith(STANDARD)}

        def rank(key):
            truth_key, fit_key = jax.random.split(key)
            truth = simulate(truth_key)
            drawn = fit(fit_key, truth)
            return {n: (drawn[n] < truth[n] - 1e-9).sum(0).ravel() for n in drawn if n in truth}

        keys = list(jax.random.split(jax.random.key(3), SIMULATIONS))
        one = jax.jit(rank).lower(keys[0]).compile()
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # one compilation, all cores, as in a fit
        found = list(pool.map(one, keys))
    ranks = {name: np.stack([np.asarray(f[name]) for f in found]) for name in found[0]}
    names = [f"{n}[{i}]" for n, r in ranks.items() for i in range(r.shape[1])]
    flat = np.concatenate([np.asarray(r) for r in ranks.values()], axis=1)
    varies = flat.std(0) > 0  # the diagonal of a correlation matrix does not
    jitter = np.random.default_rng(4).uniform(size=flat.shape)
    p = kstest((flat + jitter) / (DRAWS / THIN + 1), "uniform", axis=0).pvalue
    wrong = {
        n: float(v) for n, v, free in zip(names, p, varies, strict=True) if free and v < ALARM / varies.sum()
    }
    assert varies.sum() > 10 and not wrong
