"""Fewer cells for the sampler: equal ones as one, and normal tasks by their moments."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from numpyro.handlers import seed, trace
from numpyro.infer.util import log_density, potential_energy, unconstrain_fn

import bayesmtl as bm
from bayesmtl.aggregated import aggregate
from bayesmtl.chains import Problem
from bayesmtl.condensed import condense, first_cells
from bayesmtl.coordinates import free
from bayesmtl.encoded import encode
from bayesmtl.engines.nuts import nuts
from bayesmtl.labelled import parameters
from bayesmtl.program import build
from bayesmtl.replay import teller

GRADES = {"kind": "ordinal", "levels": ["low", "middle", "high"]}
COUNTS = {"kind": "negative_binomial", "exposure": "units"}
MIXED = {
    "yes": {"kind": "bernoulli", "weights": "weight"},
    "wins": {"kind": "binomial", "trials": "units"},
    "grade": GRADES,
    "mode": {"kind": "categorical", "importance": 0.5},
    "events": {"kind": "zero_inflated", "of": COUNTS},
    "score": {"kind": "censored", "of": {"kind": "gaussian", "sigma": "pooled"}, "by": "by"},
}
NORMAL = {"u": "gaussian", "v": {"kind": "gaussian", "formula": "a + c", "importance": 0.7}}


def table(rows: int = 300) -> pd.DataFrame:
    """Outcomes of all kinds by predictors and groups of few values, beside one of many; with empty cells."""
    draw = np.random.default_rng(2)
    found = pd.DataFrame({"a": draw.integers(0, 2, rows), "b": draw.integers(1, 3, rows)})
    found["c"] = draw.normal(size=rows)
    found["g"], found["h"] = draw.choice(list("pqr"), rows), draw.choice(list("xy"), rows)
    found["units"], found["weight"] = draw.integers(3, 5, rows), draw.choice([0.5, 2.0], rows)
    found["by"] = draw.integers(-1, 2, rows)
    found["yes"], found["wins"] = draw.integers(0, 2, rows), draw.integers(0, 4, rows)
    found["grade"] = draw.choice(GRADES["levels"], rows)
    found["mode"] = draw.choice(["bus", "car", "train"], rows)
    found["events"], found["score"] = draw.poisson(1.0, rows), draw.integers(0, 3, rows) / 2
    for name, noise in (("u", 0.5), ("v", 4.0)):
        found[name] = 7.0 + found.a - 2.0 * found.c + noise * draw.normal(size=rows)
    found.loc[draw.choice(rows, 20, replace=False), "yes"] = np.nan
    found.loc[draw.choice(rows, 30, replace=False), "v"] = np.nan
    return found


def prepared(rows: pd.DataFrame, **given):
    """A design, its program and its arrays."""
    design = encode(bm.Model(**given), rows)
    return design, build(design), jax.tree.map(jnp.asarray, design.data)


def densities(one, other, keys: int = 3):
    """The log joint density by two programs, each with its data, at the same draws from the prior."""

    @jax.jit
    def both(key, data, fewer):
        with trace() as sites:
            seed(one[0], key)(data)
        given = {name: site["value"] for name, site in sites.items() if free(site)}
        return [log_density(p, (d,), {}, given)[0] for p, d in ((one[0], data), (other[0], fewer))]

    return np.array([both(jax.random.key(k), one[1], other[1]) for k in range(keys)]).T


CASES = {
    "of every kind": {"tasks": MIXED, "formula": "a + b"},
    "groups": {"tasks": {"yes": "bernoulli", "events": "poisson"}, "formula": "a + (1 + b |p| g) + (1 | h)"},
    "own predictors": {
        "tasks": {"yes": "bernoulli", "wins": {**MIXED["wins"], "formula": "c"}},
        "formula": "a + (1 | g)",
    },
    "noise by predictors": {
        "tasks": {"score": {"kind": "student_t", "sigma": {"formula": "b"}}},
        "formula": "a",
    },
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_equal_cells_as_one_have_the_same_density(double, case):
    design, program, data = prepared(table(), **case)
    fewer = aggregate(design, data)
    for family in design.families:
        cells = fewer["cells"][family.name]
        summed, power = np.bincount(cells["of"], cells["power"]), np.bincount(family.of, family.power)
        assert summed == pytest.approx(power)
        many = family.task.labels == ("wins",) and case is CASES["own predictors"]
        assert len(cells["y"]) == len(family.y) if many else len(cells["y"]) < 0.7 * len(family.y)
    want, got = densities((program, data), (program, fewer))
    np.testing.assert_allclose(got, want, rtol=1e-10)


NORMALS = {
    "no group": {"formula": "a + c", "relation": "partial"},
    "crossed groups": {"formula": "a + c + (1 + b |p| g) + (1 | h)", "relation": "correlated"},
    "Student-t effects": {"formula": "a + (1 | gr(g, dist = 'student'))", "shrinkage": "spike_slab"},
    "pooled noise": {
        "tasks": {"yes": "bernoulli"} | {n: {"kind": "gaussian", "sigma": "pooled"} for n in "uv"},
        "formula": "a + c",
    },
}


@pytest.mark.parametrize("case", NORMALS.values(), ids=NORMALS)
def test_normal_tasks_by_their_moments_have_the_same_density(double, case):
    tasks = {"yes": "bernoulli"} | NORMAL
    design, program, data = prepared(table(), **{"tasks": tasks} | case)
    condensed, fewer = condense(design, program, data)
    assert all(
        len(fewer["cells"][f.name]["y"]) == (0 if "g" in f.name[:1] else len(f.y)) for f in design.families
    )
    want, got = densities((program, data), (condensed, fewer))
    np.testing.assert_allclose(got, want, rtol=1e-10)


ASIDE = {
    "correlated residuals": {"residual": {"kind": "correlated", "pairs": [["u", "v"]]}},
    "sigma integrated out": {"tasks": {"u": {"kind": "gaussian", "sigma": "marginal"}, "yes": "bernoulli"}},
}


@pytest.mark.parametrize("case", ASIDE.values(), ids=ASIDE)
def test_cells_that_know_of_each_other_stay(double, case):
    rows = pd.concat([table()] * 3, ignore_index=True)  # three of each
    tasks = {"u": "gaussian", "v": "gaussian", "yes": "bernoulli"}
    design, program, data = prepared(rows, **{"tasks": tasks, "formula": "a"} | case)
    condensed, fewer = condense(design, program, data)
    assert condensed is program
    fewer = aggregate(design, fewer)["cells"]
    aside = [family for family in design.families if family.name == "gaussian"]
    assert aside and all(len(fewer[f.name]["y"]) == len(f.y) for f in aside)


def test_a_gradient_costs_the_same_for_more_rows_of_normal_tasks_and_more_equal_rows(double):
    def flops(rows):
        tasks = {"u": "gaussian", "yes": "bernoulli"}
        design, program, data = prepared(rows, tasks=tasks, formula="a + b + (1 | g)")
        program, fewer = condense(design, program, data)
        fewer = jax.tree.map(jnp.asarray, aggregate(design, fewer))

        def drawn():
            with trace() as sites:
                seed(program, 0)(fewer)
            return {name: site["value"] for name, site in sites.items() if free(site)}

        density = jax.grad(lambda given, data: log_density(program, (data,), {}, given)[0])
        lowered = jax.jit(density).lower(jax.eval_shape(drawn), fewer)
        return lowered.compile().cost_analysis()["flops"]

    rows = table().assign(weight=1.0)
    more = pd.concat([rows] * 20, ignore_index=True)
    more["u"] += np.random.default_rng(3).normal(size=len(more))
    assert flops(more) == flops(rows)


def test_draws_are_those_of_the_whole_table(double):
    rows = table()
    tasks = {"u": "gaussian", "yes": "bernoulli"}
    design, program, data = prepared(rows, tasks=tasks, formula="a")
    problem = Problem(design, program, data, 1, lambda progress: None)
    run = nuts(problem, chains=1, warmup=20, draws=5)
    assert len(run.data["cells"]["gaussian"]["y"]) == len(rows)
    assert len(run.data["cells"]["bernoulli"]["y"]) == rows.yes.count()

    @jax.jit
    def potential(given, data):
        z = unconstrain_fn(program, (data,), {}, given)
        return potential_energy(program, (data,), {}, z)

    for draw in range(5):
        given = {name: jnp.asarray(value[0, draw]) for name, value in run.sites.items()}
        assert potential(given, run.data) == pytest.approx(run.stats["potential_energy"][0, draw], rel=1e-9)


@pytest.mark.slow
def test_the_posterior_is_that_of_all_cells():
    # each mean within 4.5 combined Monte Carlo errors, each sd within 5: of about 20 parameters one goes
    # wrong by chance once in 3,000 seeds
    import arviz  # first imported here, as it would leave numpyro half loaded

    tasks = {"u": "gaussian", "yes": "bernoulli"}
    engine = {"kind": "nuts", "chains": 4, "warmup": 500, "draws": 1000}
    model = bm.Model(tasks=tasks, formula="a + b + (1 | g)", relation="partial", engine=engine)
    found = []
    for plain in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            if plain:
                patch.setattr(
                    sys.modules[nuts.__module__], "condense", lambda design, program, data: (program, data)
                )
                patch.setattr(sys.modules[nuts.__module__], "aggregate", lambda design, data: data)
            found.append(bm.fit(model, table(), seed=4 + plain, watch=lambda progress: None))
    one, other = (parameters(tree) for tree in found)
    for statistic, bar in (("mean", 4.5), ("sd", 5.0)):
        means = [getattr(v, "std" if statistic == "sd" else "mean")(("chain", "draw")) for v in (one, other)]
        errors = [arviz.mcse(v.to_dataset(name="x"), method=statistic)["x"] for v in (one, other)]
        away = np.abs(means[0] - means[1]) / np.hypot(*errors)
        assert away.max() < bar, away.parameter[int(np.argmax(away.data))].item()


def test_the_first_cells_of_normal_tasks_tell_what_all_do(double):
    tasks = {"u": "gaussian", "v": {"kind": "gaussian", "formula": "a"}, "yes": "bernoulli"}
    design, program, data = prepared(table(), tasks=tasks, formula="a + c + (1 | g)")
    fewer = first_cells(design, data)
    assert {name: len(cells["y"]) for name, cells in fewer["cells"].items()} == {
        "gaussian": 2,
        "bernoulli": 280,
    }
    with trace() as sites:
        seed(program, 1)(data)
    given = {name: site["value"][None] for name, site in sites.items() if free(site)}
    said = [teller(design, program, each, False)(given, 1, jax.random.key(2)) for each in (data, fewer)]
    for one, other in zip(*map(jax.tree.leaves, said), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
