"""The program is the density that the design says, by dense algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from numpyro.handlers import seed, substitute, trace
from scipy import stats

from bayesmtl.encoded import encode
from bayesmtl.pilot import pilot
from bayesmtl.program import build
from bayesmtl.replay import anatomy, densities, replay
from bayesmtl.space import space
from bayesmtl.spec import Model
from bayesmtl.white import WHITE, point, seen, slope, white

GAUSSIAN = {"kind": "gaussian", "sigma": 0.7, "offset": "normal(1, 2)"}

pytestmark = pytest.mark.usefixtures("double")


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
        said = seed(program, 5)(data)
    outcomes = {name: each.outcome for name, each in said.items()}
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


def test_the_pilot_of_gaussian_tasks_is_least_squares():
    made = table(101)
    model = Model(tasks={"a": "gaussian", "b": "gaussian"}, formula="x + z")
    design = encode(model, made)
    found = pilot(jax.tree.map(jnp.asarray, design.data), design)["weight"]
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
        data["pilot"] = pilot(data, design)
        with trace() as sites:
            said = seed(program, 9)(data)
        outcomes = {name: each.outcome for name, each in said.items()}
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
    twice = {k: np.concatenate([v, v[:1]]) if k != "columns" else v for k, v in cells.items()}
    one = log_density(program, design.data, {})["gaussian.y"]
    two = log_density(program, design.data | {"cells": {"gaussian": twice}}, {})["gaussian.y"]
    alone = {k: v[:1] if k != "columns" else v for k, v in cells.items()}
    first = log_density(program, design.data | {"cells": {"gaussian": alone}}, {})["gaussian.y"]
    assert np.isclose(two, one + first)


def test_importance_and_weights_raise_a_cell_to_a_power():
    """Twice as important is the same as every row twice; a row's weight is how often it counts."""
    made = table(7).dropna().assign(often=[1.0, 2.0, 3.0, 1.0, 1.0][: len(table(7).dropna())])
    again = made.loc[made.index.repeat(made.often.astype(int))].reset_index(drop=True)
    gaussian = GAUSSIAN | {"offset": 1.0}
    for settings, rows in (
        ({"importance": 2.0}, pd.concat([made, made], ignore_index=True)),
        ({"weights": "often"}, again),
    ):
        density = []
        for task, given in ((gaussian | settings, made), (gaussian, rows)):
            design = encode(Model(tasks={"b": task}, priors={"weight": 0.0}, formula="x"), given)
            with trace() as sites:
                said = seed(build(design), 0)(design.data)
            site = sites["gaussian.y"]
            whole = jnp.sum(
                site["fn"].log_prob(site["value"]) * (1 if site["scale"] is None else site["scale"])
            )
            np.testing.assert_allclose(sum(densities(said, design.data)["gaussian"]), whole, rtol=1e-12)
            density.append(whole)
        np.testing.assert_allclose(density[0], density[1], rtol=1e-10)


def test_group_effects_and_correlated_residuals_stand_where_algebra_puts_them():
    made = table(11).assign(ward=list("abcabcabcab"))
    model = Model(tasks={"a": GAUSSIAN, "b": GAUSSIAN}, formula="x + (1 + x |p| ward)", residual="correlated")
    design = encode(model, made)
    with trace() as sites:
        said = seed(build(design), 4)(design.data)
    weight, u = sites["weight"]["value"], sites["effect_ward"]["value"]
    offset, root = sites["gaussian.offset"]["value"], sites["residual_correlation"]["value"]
    whole = 0.0
    for _, row in made.iterrows():
        level = "abc".index(row.ward)
        own = [t for t, name in enumerate("ab") if not np.isnan(row[name])]
        eta = [float(offset[t] + row.x * weight[t, 0] + u[t, level, 0] + u[t, level, 1] * row.x) for t in own]
        cov = 0.7**2 * root[np.ix_(own, own)]
        whole += stats.multivariate_normal.logpdf(row[["a", "b"]].to_numpy(float)[own], eta, cov)
    site = sites["joint.y"]
    np.testing.assert_allclose(site["fn"].log_prob(site["value"]), whole, rtol=1e-9)
    # a cell's density is that given the other cell of its row
    left = densities(said, design.data)["gaussian"].sum()
    assert not np.isclose(left, whole) and np.isfinite(left)


def test_a_category_has_a_linear_predictor_of_its_own():
    made = table(12).assign(mood=["sad", "glad", "calm"] * 4)
    model = Model(tasks={"a": GAUSSIAN, "mood": "categorical"}, formula="x")
    design = encode(model, made)
    assert design.line.labels == ("a", "mood[glad]", "mood[sad]")
    with trace() as sites:
        said = seed(build(design), 4)(design.data)
    weight, offset = sites["weight"]["value"], sites["categorical.offset"]["value"]
    eta = np.column_stack([np.zeros(12), *(offset[k] + weight[1 + k, 0] * made.x for k in range(2))])
    expected = np.exp(eta) / np.exp(eta).sum(1, keepdims=True)
    np.testing.assert_allclose(
        jnp.exp(said["categorical"].outcome.distribution.logits),
        expected * np.exp(said["categorical"].outcome.distribution.logits[:, :1]) / expected[:, :1],
        rtol=1e-9,
    )


def test_soft_labels_are_categories_raised_to_their_probability():
    made = table(6).assign(p=[0.2, 0.5, 1.0, 0.0, 0.7, 0.1])
    made["q"] = 1 - made.p
    task = {"kind": "categorical", "categories": ["p", "q"], "soft": ["p", "q"]}
    design = encode(Model(tasks={"view": task}, formula="x"), made)
    said = seed(build(design), 4)(design.data)
    logits = said["categorical"].outcome.distribution.logits
    (family,) = design.families
    chance = np.column_stack([made.p, made.q])[family.row, family.y]
    np.testing.assert_allclose(family.power, chance)
    log = jax.nn.log_softmax(logits)[np.arange(len(family.y)), family.y]
    np.testing.assert_allclose(densities(said, design.data)["categorical"], chance * log, rtol=1e-9)


def test_a_space_tells_parameters_and_what_predictors_are_linear_in():
    """In alphabetical order: two levels, a scale, a share, and the weights, own and common."""
    made = table().assign(a=lambda t: t["x"] > 0, b=lambda t: t["z"] > 1000)
    model = Model(tasks={"a": "bernoulli", "b": "bernoulli"}, formula="x", relation="partial")
    design = encode(model, made)
    left = space(build(design), design.data)
    weights = left.size - 4
    assert weights in (2, 3) and left.read(jnp.zeros(left.size))["share"].tolist() == [0.5]
    assert left.parameters.tolist() == [True] * 4 + [False] * weights
    assert left.linear.tolist() == [True] * 2 + [False] * 2 + [True] * weights
    # of few dimensions the sampler sees all in the axes of the mode, which no density hides
    top, at = seen(left, slope(left, design.data)), np.full(left.size, 0.3)
    given = {"known": design.data, "mode": vars(top)}
    moved = top.place + top.root @ at
    with trace() as sites:
        substitute(white(left), data={WHITE: at})(given)
    told = sites["density"]["fn"].log_factor
    np.testing.assert_allclose(told, left.density(moved, design.data), rtol=1e-12)
    np.testing.assert_allclose(point(given, at), moved, rtol=1e-12)
    apart = top.root @ top.root.T
    assert np.abs(apart[np.ix_(left.linear, ~left.linear)]).max() < 1e-12 * np.abs(apart).max()


def test_a_scale_that_leans_on_a_share_has_its_own_prior():
    """By change of variables: the sampler sees what of it is tasks' own, and nothing else changes."""
    design = encode(Model(tasks={"a": "gaussian", "b": "gaussian"}, formula="x", relation="partial"), table())
    program = build(design)
    own, share = jnp.array([0.3]), jnp.array([0.8])
    scale = own / jnp.sqrt(1 - share)
    with trace() as sites:
        seed(substitute(program, data={"scale_standard": own, "share": share}), 0)(design.data)
    np.testing.assert_allclose(sites["scale"]["value"], scale, rtol=1e-12)
    log_prior = stats.halfnorm.logpdf(scale).sum()
    said = sites["scale_standard"]["fn"].log_prob(own)
    np.testing.assert_allclose(said, log_prior - 0.5 * np.log(1 - share).sum(), rtol=1e-10)
    given = {"scale_standard": own, "share": share}
    told = replay(program, design.data, given, jax.random.key(0), observed=True)[1]
    np.testing.assert_allclose(told["scale"], log_prior, rtol=1e-10)  # what power scaling raises to a power
