"""The program is the density that the design says: dense algebra, and the pilot's change of variables."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from numpyro.handlers import seed, substitute, trace
from scipy import stats

from bayesmtl.design import encode
from bayesmtl.pilot import pilot
from bayesmtl.program import anatomy, build, weights
from bayesmtl.spec import Model

GAUSSIAN = {"kind": "gaussian", "sigma": 0.7, "offset": "normal(1, 2)"}


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def table(rows=13):
    draw = np.random.default_rng(3)
    made = pd.DataFrame(draw.normal(size=(rows, 2)) * [1.0, 50.0] + [0.0, 1000.0], columns=["x", "z"])
    made["a"] = 3 + made["x"] + draw.normal(size=rows)
    made["b"] = 0.02 * made["z"] + draw.normal(size=rows)
    made["c"] = draw.poisson(np.exp(0.3 * made["x"]))
    made.loc[[1, 4], "a"] = np.nan
    return made


def log_density(program, data, sites):
    with trace() as seen:
        seed(substitute(program, data=sites), 0)(data)
    return {
        name: float(site["fn"].log_prob(site["value"]).sum())
        for name, site in seen.items()
        if site["type"] == "sample"
    }


def test_a_cell_is_offset_plus_columns_times_weights_in_the_users_units():
    made = table()
    model = Model(
        tasks={"a": "gaussian", "b": "gaussian", "c": {"kind": "poisson", "formula": "x"}},
        formula="x + z",
    )
    design = encode(model, made)
    program, data = build(design), design.data
    with trace() as sites:
        outcomes = seed(program, 5)(data)
    weight, offset = sites["weight"]["value"], sites["gaussian.offset"]["value"]
    expected = [
        offset[t] + row.x * weight[t, 0] + row.z * weight[t, 1]
        for t, name in enumerate("ab")
        for row in made[made[name].notna()].itertuples()
    ]
    np.testing.assert_allclose(outcomes["gaussian"].mean, expected, rtol=1e-9)
    assert weight[2, 1] == 0  # z is not in c's formula
    rate = jnp.exp(sites["poisson.offset"]["value"][0] + made["x"].to_numpy() * weight[2, 0])
    np.testing.assert_allclose(outcomes["poisson"].mean, rate, rtol=1e-9)
    observed = log_density(program, data, {})["gaussian.y"]
    noise = np.repeat(sites["gaussian.sigma"]["value"], [11, 13])
    y = np.concatenate([made["a"].dropna(), made["b"]])
    assert observed is not None
    assert np.isclose(
        outcomes["gaussian"].distribution.log_prob(y).sum(),
        stats.norm.logpdf(y, expected, noise).sum(),
    )


@pytest.mark.parametrize("relation", ["pooled", "independent", "partial", "correlated"])
def test_the_pilot_changes_variables_and_not_the_density(relation):
    """log p(z) + factor = log N(v(z)) + log |dv/dz|, so the weights keep their prior exactly."""
    from bayesmtl import parts
    from bayesmtl.axes import axis

    task, feature = axis("task", 3), axis("feature", 2)
    draw = np.random.default_rng(1)
    given = {"precision": jnp.array(draw.gamma(2, 20, (3, 2))), "place": jnp.array(draw.normal(size=(3, 2)))}
    with trace() as sites:
        loading = seed(parts.find("relations", relation), 2)(task, feature)
    del sites
    scale = jnp.array([0.3, 2.0])
    plain = {"precision": 0 * given["precision"], "place": given["place"]}
    width = loading.shape[-1] if loading.shape[-1] <= 3 else 3
    z = jnp.array(draw.normal(size=(2, width)))

    def at(z, pilot):
        with trace() as seen:
            w = substitute(lambda: weights(loading, scale, pilot), data={"z_standard": z})()
        return w, seen["pilot"]["fn"].log_prob(seen["pilot"]["value"])

    w, factor = at(z, given)
    # the z that gives the same weights without a pilot
    flat = jax.jacobian(lambda z: at(z, plain)[0])(z).reshape(6, -1)
    same = jnp.linalg.lstsq(flat, w.reshape(-1))[0].reshape(z.shape)
    np.testing.assert_allclose(at(same, plain)[0], w, rtol=1e-8)
    change = jax.jacobian(lambda z: at(z, given)[0])(z).reshape(6, -1)
    ratio = jnp.linalg.lstsq(flat, change)[0]
    log_change = jnp.linalg.slogdet(ratio)[1]
    left = stats.norm.logpdf(z).sum() + factor
    np.testing.assert_allclose(left, stats.norm.logpdf(same).sum() + log_change, rtol=1e-8)


def test_the_pilot_of_gaussian_tasks_is_least_squares():
    made = table(101)
    model = Model(tasks={"a": "gaussian", "b": "gaussian"}, formula="x + z")
    design = encode(model, made)
    program = build(design)
    found = pilot(program, jax.tree.map(jnp.asarray, design.data), design)
    for t, name in enumerate("ab"):
        own = made[made[name].notna()]
        x = np.column_stack([np.ones(len(own)), own[["x", "z"]]])
        slope = np.linalg.lstsq(x, own[name], rcond=None)[0][1:]
        standard = slope * design.sd / own[name].std()
        error = 1 / np.sqrt(found["precision"][t])
        assert (np.abs(found["place"][t] - standard) < 0.1 * error).all()


def test_simulating_needs_no_responses_and_every_site_knows_its_axes():
    design = encode(Model(tasks={"a": GAUSSIAN, "b": GAUSSIAN}, formula="x"), table())
    program = build(design)
    data = {
        **design.data,
        "cells": {"gaussian": {k: v for k, v in design.data["cells"]["gaussian"].items() if k != "y"}},
    }
    with trace() as sites:
        seed(program, 1)(data, observed=False)
    assert sites["gaussian.y"]["value"].shape == (24,)
    axes = anatomy(program, design.data).axes
    for name, site in sites.items():
        if name != "gaussian.y":
            assert np.shape(site["value"]) == tuple(map(len, axes[name])), name


def test_units_do_not_matter():
    """In other units the same standard draws are the same model in other words, to the last digits."""
    made = table(31)
    other = made.assign(z=made["z"] * 12 - 7, a=made["a"] * 3 + 100)
    model = Model(tasks={"a": "gaussian", "c": "poisson"}, formula="x + z")
    found = []
    for given in (made, other):
        design = encode(model, given)
        program, data = build(design), jax.tree.map(jnp.asarray, design.data)
        data["pilot"] = pilot(program, data, design)
        with trace() as sites:
            outcomes = seed(program, 9)(data)
        y = design.families[0].y
        density = outcomes["gaussian"].distribution.log_prob(y).sum()
        found.append((sites["weight"]["value"], density, outcomes["poisson"].mean))
    (one, density, rate), (two, scaled, same) = found
    np.testing.assert_allclose(two, one * jnp.array([[3, 3 / 12], [1, 1 / 12]]), rtol=1e-5)
    np.testing.assert_allclose(scaled, density - len(made.dropna()) * np.log(3), rtol=1e-5)
    np.testing.assert_allclose(same, rate, rtol=1e-5)


def test_a_duplicated_row_counts_twice():
    made = table(7).dropna()
    model = Model(tasks={"b": GAUSSIAN}, formula="x", relation="independent")
    design = encode(model, made)
    program = build(design)
    cells = design.data["cells"]["gaussian"]
    twice = {k: np.concatenate([v, v[:1]]) for k, v in cells.items()}
    one = log_density(program, design.data, {})["gaussian.y"]
    two = log_density(program, design.data | {"cells": {"gaussian": twice}}, {})["gaussian.y"]
    alone = {k: v[:1] for k, v in cells.items()}
    first = log_density(program, design.data | {"cells": {"gaussian": alone}}, {})["gaussian.y"]
    assert np.isclose(two, one + first)
