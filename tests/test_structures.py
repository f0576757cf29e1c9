"""Groups, categories, residuals, tempering and tables of their own, from the model to predictions."""

import numpy as np
import pandas as pd
import polars
import pytest

import bayesmtl as bm
from bayesmtl import store

QUICK = {"kind": "nuts", "chains": 2, "warmup": 150, "draws": 150}


@pytest.fixture(scope="module")
def table():
    draw = np.random.default_rng(11)
    ward = np.repeat(np.arange(12), 9)
    age = draw.normal(60, 10, len(ward))
    lift = draw.normal(0, 1, 12)[ward]
    made = pd.DataFrame({"ward": [f"w{n}" for n in ward], "age": age})
    made["stay"] = 5 + 0.1 * age + 2 * lift + draw.normal(0, 1, len(ward))
    made["pain"] = 2 + 0.05 * age + lift + draw.normal(0, 0.7, len(ward))
    made["mood"] = np.where(age + draw.normal(0, 8, len(ward)) > 62, "calm", "low")
    made.loc[made.index[::8], "mood"] = "high"
    made.loc[made.index[::5], "pain"] = np.nan
    return made


@pytest.fixture(scope="module")
def post(table):
    model = bm.Model(
        tasks={
            "stay": {"kind": "gaussian", "importance": 2.0},
            "pain": {"kind": "gaussian", "sigma": "pooled"},
            "mood": {"kind": "categorical", "formula": "age"},
        },
        formula="age + (1 |p| ward)",
        priors={"weight[mood]": "normal(0, 0.2)", "sd_ward[pain]": "half_normal(2)"},
        engine=QUICK,
    )
    return bm.fit(model, polars.DataFrame(table.to_dict("list")), seed=1)


@pytest.mark.slow
def test_every_structure_is_in_the_posterior_by_its_name(post):
    p = post.posterior
    assert p.effect_ward.dims == ("chain", "draw", "task", "ward", "ward_term")
    assert p.correlation_ward.dims == ("chain", "draw", "task", "ward_term", "task_", "ward_term_")
    assert list(p.task.values) == ["stay", "pain", "mood", "mood[high]", "mood[low]"]
    assert (
        np.isfinite(p.offset.sel(task="mood[low]")).all() and (p.effect_ward.sel(task="mood[low]") == 0).all()
    )
    assert np.isnan(p.sd_ward.sel(task="mood[low]")).all()
    between = p.correlation_ward.sel(task="stay", task_="pain", ward_term="1", ward_term_="1")
    assert float((between > 0).mean()) > 0.9
    assert bool(post.constant_data.tempered.sel(task="stay")) and not post.constant_data.tempered.sel(
        task="pain"
    )
    assert list(p.feature.values) == ["age"] and list(p.task_.values) == list(p.task.values)
    told = bm.weights(post)
    assert list(told.index) == ["stay", "pain", "mood"] and np.isfinite(told.share).all()
    assert {"prior", "prior_predictive", "posterior_predictive", "log_likelihood"} <= set(post.children)
    assert set(np.unique(post.prior_predictive["mood"])) <= {0.0, 1.0, 2.0}


@pytest.mark.slow
def test_the_posterior_survives_a_file_and_predicts_known_and_new_levels(post, table, tmp_path):
    store.save(post, tmp_path / "wards.zarr.zip")
    again = bm.read(tmp_path / "wards.zarr.zip")
    new = table.head(4).assign(ward=["w0", "w11", "elsewhere", "elsewhere"], age=60.0)
    said = bm.predict(again, new).set_index(["task", "row"])
    known, unknown = said.loc[("stay", 1)], said.loc[("stay", 3)]
    assert unknown["mean_high"] - unknown["mean_low"] > 2 * (known["mean_high"] - known["mean_low"])
    # two rows of one new ward have its effect in common
    drawn = bm.predictions(again, new).expectations["stay"]
    np.testing.assert_allclose(drawn[..., 2], drawn[..., 3])
    ours = table[table.ward == "w0"].stay.mean()
    assert abs(known["mean"] - ours) < 1.5


@pytest.mark.slow
def test_tasks_with_tables_of_their_own_are_the_same_as_one_table_with_empty_cells():
    draw = np.random.default_rng(3)
    one = pd.DataFrame({"age": draw.normal(size=31)}).assign(stay=lambda t: t.age + draw.normal(size=31))
    two = pd.DataFrame({"age": draw.normal(size=23), "bmi": draw.normal(size=23)})
    two["pain"] = two.bmi - two.age + draw.normal(size=23)
    model = bm.Model(
        tasks={
            "stay": {"kind": "gaussian", "formula": "age"},
            "pain": {"kind": "gaussian", "formula": "age + bmi"},
        },
        engine=QUICK,
    )
    apart = bm.fit(model, {"stay": one, "pain": two}, seed=1)
    whole = bm.fit(model, pd.concat([one, two], ignore_index=True), seed=1)
    np.testing.assert_allclose(apart.posterior.weight, whole.posterior.weight)
    assert apart.constant_data.cells.values.tolist() == [31, 23]
    assert apart.constant_data.empty.values.tolist() == [0, 0]


def test_a_row_without_a_predictor_serves_the_tasks_that_do_not_use_it(table):
    made = table.assign(bmi=np.r_[np.nan, np.nan, np.arange(2.0, len(table))])
    model = bm.Model(
        tasks={
            "stay": {"kind": "gaussian", "formula": "age + bmi"},
            "pain": {"kind": "gaussian", "formula": "age"},
        }
    )
    said = [str(finding) for finding in bm.check(model, made)]
    assert any("bmi" in text and "2 rows" in text and "stay" in text for text in said), said
    tree = bm.prior(model, made, seed=1, draws=20)
    assert tree.constant_data.cells.values.tolist() == [len(table) - 2, int(table.pain.notna().sum())]
    assert tree.constant_data.unserved.values.tolist() == [2, 0]
    assert tree.prior_predictive["stay"].shape == (1, 20, len(table) - 2)


def test_a_prior_that_matches_nothing_is_refused(table):
    model = bm.Model(
        tasks={"stay": "gaussian"}, formula="age + (1 | ward)", priors={"sd_wrad": "half_normal(1)"}
    )
    (found,) = bm.check(model, table)
    assert found.where == "priors.sd_wrad" and "sd_ward" in found.remedy + found.problem


@pytest.mark.slow
def test_the_mode_of_a_marginal_noise_is_that_of_logse(table):
    """With the noise integrated out its draws come back, and are those of a noise that is sampled."""
    tasks = {"stay": {"kind": "gaussian", "sigma": "marginal"}, "pain": {"kind": "gaussian"}}
    model = bm.Model(tasks=tasks, formula="age", engine=QUICK | {"draws": 400})
    post = bm.fit(model, table, seed=2)
    sigma = post.posterior.sigma.sel(task="stay")
    x = np.column_stack([np.ones(len(table)), table.age])
    rest = table.stay - x @ np.linalg.lstsq(x, table.stay, rcond=None)[0]
    assert abs(float(sigma.mean()) / np.sqrt((rest**2).sum() / (len(table) - 2)) - 1) < 0.03
    # sd of sigma is sigma / sqrt(2 n) for many cells
    assert abs(float(sigma.std()) / (float(sigma.mean()) / np.sqrt(2 * len(table))) - 1) < 0.2


def test_a_feature_that_all_tasks_give_a_prior_keeps_its_place(table):
    model = bm.Model(
        tasks={"stay": "gaussian", "pain": "gaussian"},
        formula="bmi + age",
        priors={"weight[bmi]": "normal(0, 1e-9)"},
    )
    made = table.assign(bmi=np.random.default_rng(1).normal(size=len(table)))
    tree = bm.prior(model, made, seed=1, draws=50)
    assert list(tree.prior.feature.values) == ["bmi", "age"]
    weight = tree.prior.weight
    assert float(np.abs(weight.sel(feature="bmi")).max()) < 1e-7 < float(weight.sel(feature="age").std())
    assert np.isnan(tree.prior.scale.sel(feature="bmi")).all()
