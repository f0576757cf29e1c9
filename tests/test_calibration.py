"""Simulation-based calibration: fits of tables that a model made itself must be right on average.

The rank of what made a table among the draws of its fit must be uniform, for every parameter and for the
density of the table, which a fit that ignores the table gets wrong.

Talts, Betancourt, Simpson, Vehtari and Gelman (2018). Validating Bayesian inference algorithms with
simulation-based calibration. arXiv 1804.06788.
Modrak, Moon, Kim, Burkner, Huurre, Faltejskova, Gelman and Vehtari (2025). Simulation-based calibration
checking for Bayesian computation: the choice of test quantities shapes sensitivity. Bayesian Analysis 20,
461-488.
Neyman (1937). "Smooth test" for goodness of fit. Skandinavisk Aktuarietidskrift 20, 149-199.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, ttest_1samp

import bayesmtl as bm
from bayesmtl import parts, sharing
from bayesmtl.calibration import KEPT, ranking
from bayesmtl.encoded import encode
from bayesmtl.program import build

ROWS, SIMULATIONS, SEED = 37, 40, 3
ALARM = 1e-3  # the chance that a calibrated case fails, over all of its quantities
TAIL = 3.0  # how much more often than it says the smooth test of 40 simulations finds so small a p, at most
LIMIT = 0.8  # what a censored response is known to exceed

GAUSSIAN = {"kind": "gaussian", "offset": "normal(0, 1)", "sigma": "gamma(6, 6)"}
STUDENT = GAUSSIAN | {"kind": "student_t", "df": "gamma(5, 0.5)"}
OFFSET = {"offset": "normal(0, 0.7)"}
THREE = {"length": GAUSSIAN, "weight": GAUSSIAN, "pain": GAUSSIAN}
NORMAL = {"kind": "normal", "scale": "half_normal(0.7)"}

RELATIONS = {
    "clustered": {"clusters": 2, "share": "beta(4, 4)"},
    "correlated": {},
    "described": {"by": {"length": 0.0, "weight": 1.0, "pain": 3.0}},
    "exchangeable_or_not": {"borrowing": "beta(2, 2)", "share": "beta(3, 3)"},
    "graph": {"edges": [["length", "weight"], ["weight", "pain"]]},
    "independent": {},
    "low_rank": {"rank": 2},
    "ordered": {},
    "outlying": {},
    "partial": {},
    "pooled": {},
    "sum_of": {"relations": ["partial", "correlated"]},
}
SHRINKAGE = {
    "blocks": {"views": {"a": ["x"], "b": ["z"]}, "size": "half_normal(0.7)"},
    "horseshoe": {
        "overall": "half_normal(0.7)",
        "local": "half_student_t(5, 1)",
        "slab": "inverse_gamma(5, 5)",
    },
    "laplace": {"overall": "half_normal(0.7)"},
    "normal": {"scale": "half_normal(0.7)"},
    "spike_slab": {"chance": "beta(2, 2)", "slab": "half_normal(0.7)", "narrow": 0.2},
}
# tables drawn from a practically flat prior have responses in the thousands: tests/reference holds it to
# least squares instead
NOT_CALIBRATED = {"flat"}
LIKELIHOODS = {
    "noise": {
        "length": GAUSSIAN | {"se": "error"},
        "weight": STUDENT,
        "pain": GAUSSIAN | {"kind": "laplace"},
        "height": GAUSSIAN | {"kind": "huber", "delta": "gamma(20, 15)"},
        "ruler": {"kind": "censored", "of": GAUSSIAN, "by": "beyond"},
        "dose": {"kind": "truncated", "of": GAUSSIAN, "lower": -1.0},
    },
    "positive": {
        "size": {"kind": "lognormal", **OFFSET, "sigma": "gamma(6, 6)"},
        "cost": {"kind": "gamma", **OFFSET, "shape": "gamma(5, 2)"},
        "rate": {"kind": "beta", **OFFSET, "precision": "gamma(20, 1)"},
        "events": {"kind": "negative_binomial", **OFFSET, "shape": "gamma(5, 2)"},
        "falls": {"kind": "zero_inflated", "of": {"kind": "poisson", **OFFSET}, "zero": "beta(2, 5)"},
        "visits": {"kind": "poisson", **OFFSET, "exposure": "stretch"},
    },
    "grades": {
        "alive": {"kind": "bernoulli", **OFFSET},
        "hits": {"kind": "binomial", **OFFSET, "trials": "trials"},
        "mood": {"kind": "categorical", **OFFSET, "categories": 3},
        "grade": {"kind": "ordinal", "levels": 3, "cut": "normal(0, 1.5)"},
    },
}
SD = "half_normal(0.7)"
STRUCTURES = {
    "groups": {"tasks": THREE, "formula": "x + (1 + x | ward)", "priors": {"sd_ward": SD}},
    "linked groups": {
        "tasks": THREE,
        "formula": "x + (1 + x |p| ward)",
        "priors": {"sd_ward": SD},
    },
    "groups of three kinds": {
        "tasks": {
            "length": GAUSSIAN | {"formula": "x + (1 + x || ward) + (1 | city)"},
            "weight": GAUSSIAN | {"formula": "x + (1 | gr(city, dist = 'student'))"},
            "pain": GAUSSIAN | {"formula": "x + (1 | gr(ward, cov = 'kin.csv'))"},
        },
        "priors": dict.fromkeys(("sd_ward", "sd_ward_2", "sd_city", "sd_city_2"), SD)
        | {"df_city_2": "gamma(5, 0.5)"},
    },
    "correlated residuals and a weight's own prior": {
        "tasks": THREE,
        "residual": "correlated",
        "priors": {"weight[length, x]": "normal(0.5, 0.3)"},
    },
    "student residuals": {
        "tasks": {name: {k: v for k, v in STUDENT.items() if k != "df"} for name in THREE},
        "residual": {"kind": "correlated", "df": "gamma(5, 0.5)"},
    },
    "a factor per row": {
        "tasks": {
            "length": GAUSSIAN,
            "alive": {"kind": "bernoulli", **OFFSET},
            "visits": {"kind": "poisson", **OFFSET},
        },
        "residual": "factor",
    },
    "pooled, modelled and marginal noise": {
        "tasks": {name: GAUSSIAN | {"sigma": "pooled"} for name in THREE}
        | {"height": GAUSSIAN | {"sigma": {"formula": "x", "sigma": "gamma(6, 6)"}}}
        | {"dose": GAUSSIAN | {"sigma": "marginal"}},
    },
}
CASES = {
    **{f"relation {k}": {"tasks": THREE, "relation": {"kind": k, **v}} for k, v in RELATIONS.items()},
    **{
        f"shrinkage {k}": {"tasks": THREE, "shrinkage": {"kind": k, **v}}
        for k, v in SHRINKAGE.items()
        if k != "normal"  # that of every other case
    },
    **{f"likelihoods {k}": {"tasks": v} for k, v in LIKELIHOODS.items()},
    **STRUCTURES,
}


def table() -> pd.DataFrame:
    """Predictors, the pattern of empty cells, and responses that only set the units."""
    draw = np.random.default_rng(1)
    x, count = draw.normal(size=ROWS), np.arange(ROWS)
    made = pd.DataFrame({"x": x, "z": 0.5 * x + draw.normal(size=ROWS)})
    made = made.assign(ward=count % 7, city=count % 5, trials=3.0 + count % 3, stretch=0.5 + count % 3)
    made = made.assign(beyond=0.0, error=0.2 + 0.1 * (count % 4))
    responses = {name: draw.normal(size=ROWS) for name in ("length", "weight", "pain", "height", "ruler")}
    responses |= {"dose": np.abs(draw.normal(size=ROWS)), "alive": count % 2.0, "hits": count % 4.0}
    responses |= {"visits": count % 4.0, "falls": count % 3.0, "events": count % 5.0}
    responses |= {"grade": count % 3.0, "mood": count % 3.0, "rate": (1 + count % 8) / 10}
    responses |= {"size": 1 + count % 5.0, "cost": 1 + count % 3.0}
    for i, (name, values) in enumerate(responses.items()):
        made[name] = np.where(count % 8 == i % 8, np.nan, values)
    return made


def kin() -> pd.DataFrame:
    """A known covariance between the wards: neighbours are alike."""
    place = np.arange(7)
    return pd.DataFrame(0.6 ** np.abs(np.subtract.outer(place, place)), columns=place.astype(str))


def as_measured(cells, y):
    """The cells with the responses; those above the limit are known to lie there, where a column says so."""
    y = y.astype(cells["y"].dtype)
    if "beyond" not in cells["columns"]:
        return cells | {"y": y}
    beyond = jnp.where(y > LIMIT, 1.0, 0.0)
    return cells | {"y": jnp.minimum(y, LIMIT), "columns": cells["columns"] | {"beyond": beyond}}


def calibration(case, folder):
    """Tables that a model makes, and their fits, as a function of a random key."""
    model = bm.Model(**{"formula": "x + z", "shrinkage": NORMAL} | case, folder=folder)
    design = encode(model, table())
    return ranking(design, build(design), as_measured)


def p_values(u, names):
    """Of each quantity by Neyman's smooth test of mean and variance, of all entries of one by their mean."""
    place, spread = 12**0.5 * (u - 0.5), 5**0.5 * (6 * (u - 0.5) ** 2 - 0.5)  # of mean 0 and variance 1
    each = chi2.sf(len(u) * (place.mean(0) ** 2 + spread.mean(0) ** 2), 2)
    found = {f"{name}[{i}]": float(p) for i, (name, p) in enumerate(zip(names, each, strict=True))}
    for name in set(names):
        if names.count(name) > 1:
            own = u[:, [name == other for other in names]].mean(1)
            found[name] = float(ttest_1samp(own, 0.5).pvalue)
    return found


def calibrated(case, folder):
    """The p-value of every quantity that varies, and how many draws of all diverged."""
    with jax.enable_x64(True):
        keys = list(jax.random.split(jax.random.key(SEED), SIMULATIONS))
        one = jax.jit(calibration(case, folder)).lower(keys[0]).compile()
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # one compilation, all cores, as in a fit
        found = list(pool.map(one, keys))
    names = [n for n, r in found[0]["below"].items() for _ in np.ravel(r)]
    below, equal = (
        np.array([np.concatenate([np.ravel(v) for v in f[k].values()]) for f in found])
        for k in ("below", "equal")
    )
    # what is the same in every draw is fixed, and a correlation stands in its matrix twice
    _, first = np.unique(np.concatenate([below, equal]), axis=1, return_index=True)
    kept = sorted(i for i in first if (equal[:, i] < KEPT).any())
    below, equal = below[:, kept], equal[:, kept]
    # ties are broken at random: probabilities may be 0 or 1 to the last digit
    broken = np.random.default_rng(4).uniform(size=below.shape) * (equal + 1)
    u = (below + broken) / (KEPT + 1)
    return p_values(u, [names[i] for i in kept]), sum(int(f["divergences"]) for f in found)


def alarms(p):
    """The quantities that are not calibrated."""
    return {name: value for name, value in p.items() if value < ALARM / TAIL / len(p)}


def test_every_part_is_calibrated_below():
    kinds = {part["kind"] for tasks in LIKELIHOODS.values() for part in tasks.values()}
    assert kinds == set(parts.names("likelihoods"))
    assert set(SHRINKAGE) | NOT_CALIBRATED == set(parts.names("shrinkage"))
    assert set(RELATIONS) == set(parts.names("relations"))
    residuals = {bm.Model(**case).residual["kind"] for case in STRUCTURES.values()}
    assert residuals == set(parts.names("residuals"))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_posteriors_are_calibrated(case, tmp_path):
    kin().to_csv(tmp_path / "kin.csv", index=False)
    p, _ = calibrated(CASES[case], tmp_path)
    assert len(p) > 3 and not alarms(p)


@pytest.mark.slow
def test_relations_of_many_tasks_are_calibrated(tmp_path, monkeypatch):
    """Beyond so many tasks the weights are drawn in other coordinates."""
    monkeypatch.setattr(sharing, "FEW", 0)
    p, _ = calibrated(CASES["relation sum_of"], tmp_path)
    assert len(p) > 3 and not alarms(p)
