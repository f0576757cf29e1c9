"""Fits: against closed forms, known truths, and themselves in other units."""

import zipfile

import numpy as np
import pandas as pd
import pytest

import bayesmtl as bm
from bayesmtl import store
from bayesmtl.errors import ModelError

QUICK = {"kind": "nuts", "chains": 2, "warmup": 300, "draws": 500}


def simulated(rows=211, seed=5):
    draw = np.random.default_rng(seed)
    x, z = draw.normal(50, 10, rows), draw.normal(size=rows)
    eta = (x - 50) / 10 - 0.5 * z
    return pd.DataFrame(
        {
            "x": x,
            "z": z,
            "length": 100 + 8 * eta + draw.normal(0, 4, rows),
            "weight": 3 + 0.5 * eta + draw.standard_t(4, rows) * 0.3,
            "alive": draw.binomial(1, 1 / (1 + np.exp(-eta))).astype(float),
            "visits": draw.poisson(np.exp(0.2 + 0.4 * eta)).astype(float),
            "pain": np.digitize(eta + draw.logistic(size=rows), [-1.0, 0.0, 1.5]) + 1.0,
        }
    )


TASKS = {
    "length": "gaussian",
    "weight": "student_t",
    "alive": "bernoulli",
    "visits": "poisson",
    "pain": {"kind": "ordinal", "levels": 4},
}


@pytest.fixture(scope="module")
def table():
    made = simulated()
    made.loc[made.index[::7], "visits"] = np.nan
    return made


@pytest.fixture(scope="module")
def post(table):
    model = bm.Model(tasks=TASKS, formula="x + z", engine=QUICK | {"chains": 4, "draws": 750})
    return bm.fit(model, table, seed=1)


def test_it_recovers_what_made_the_table(post):
    truth = {
        ("length", "x"): 0.8, ("length", "z"): -4.0, ("weight", "x"): 0.05, ("weight", "z"): -0.25,
        ("alive", "x"): 0.1, ("alive", "z"): -0.5, ("visits", "x"): 0.04, ("visits", "z"): -0.2,
        ("pain", "x"): 0.1, ("pain", "z"): -0.5,
    }  # fmt: skip
    weight = post.posterior["weight"]
    mean, sd = weight.mean(("chain", "draw")), weight.std(("chain", "draw"))
    for (task, feature), value in truth.items():
        at = {"task": task, "feature": feature}
        # ten weights at 4 sd: a false alarm in about 1 of 1,600 tables; the seed is fixed
        assert abs(mean.sel(at) - value) < 4 * sd.sel(at), (task, feature)
    assert 3.3 < post.posterior["sigma"].sel(task="length").mean() < 4.8


def test_the_tree_is_labelled_and_says_where_it_comes_from(post):
    assert post.posterior["weight"].dims == ("chain", "draw", "task", "feature")
    assert list(post.posterior.task.values) == list(TASKS)
    assert set(post.log_likelihood.data_vars) == set(TASKS) == set(post.observed_data.data_vars)
    assert post.observed_data["visits"].size == 211 - 31
    assert int(post.constant_data["empty"].sel(task="visits")) == 31
    assert np.isnan(post.posterior["sigma"].sel(task="alive")).all()
    assert set(np.unique(post.posterior_predictive["pain"])) <= {1.0, 2.0, 3.0, 4.0}
    assert post.attrs["seed"] == 1 and "numpyro" in post.attrs["versions"]


def test_the_log_likelihood_is_that_of_the_reported_parameters(post, table):
    from scipy import stats

    draws = post.posterior.isel(chain=0, draw=7)
    w, sigma = draws["weight"].sel(task="length"), draws["sigma"].sel(task="length")
    mean = float(draws["offset"].sel(task="length")) + table[["x", "z"]].to_numpy() @ w.values
    expected = stats.norm.logpdf(table["length"], mean, float(sigma))
    found = post.log_likelihood["length"].isel(chain=0, draw=7)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    cut, w = draws["cut"].sel(task="pain").values, draws["weight"].sel(task="pain").values
    below = 1 / (1 + np.exp(table[["x", "z"]].to_numpy() @ w - cut[:, None]))
    pain = np.diff(np.vstack([0 * below[:1], below, 0 * below[:1] + 1]), axis=0)
    expected = np.log(pain[table["pain"].astype(int) - 1, np.arange(len(table))])
    found = post.log_likelihood["pain"].isel(chain=0, draw=7)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_weights_and_diagnostics_of_a_healthy_fit(post):
    frame = bm.weights(post)
    assert list(frame.index) == list(TASKS)
    assert np.isclose(frame["share"].sum(), 1.0)
    precision = 0.5 * float((post.posterior["sigma"].sel(task="length") ** -2).mean())
    assert np.isclose(frame.loc["length", "weight"], precision)
    assert frame.loc["alive", "weight"] == 1 and np.isnan(frame.loc["alive", "noise"])
    assert bm.diagnostics(post).empty, bm.diagnostics(post)


def test_predictions_are_those_of_the_fit_and_survive_a_file(post, table, tmp_path):
    store.save(post, tmp_path / "a.zarr.zip")
    back = store.read(tmp_path / "a.zarr.zip")
    ours, theirs = bm.predict(post, table.head(3)), bm.predict(back, table.head(3))
    pd.testing.assert_frame_equal(ours, theirs)
    drawn = post.posterior
    mean = drawn["offset"].sel(task="length") + (
        drawn["weight"].sel(task="length") * table.loc[0, ["x", "z"]].to_numpy(float)
    ).sum("feature")
    row = ours[(ours.task == "length") & (ours["row"] == 1)].iloc[0]
    assert np.isclose(row["mean"], float(mean.mean()))
    assert row["low"] < row["mean_low"] < row["mean"] < row["mean_high"] < row["high"]
    assert len(ours) == 3 * len(TASKS) and list(ours.task.unique()) == list(TASKS)
    drawn = bm.predictions(post, table.head(3))
    assert drawn.predictions["pain"].dims == ("chain", "draw", "pain.row")
    assert set(np.unique(drawn.predictions["pain"])) <= {1.0, 2.0, 3.0, 4.0}
    expected = drawn.expectations["alive"].mean(("chain", "draw"))
    np.testing.assert_allclose(ours[ours.task == "alive"]["mean"], expected)


def test_new_rows_with_a_fault_are_findings(post, table):
    with pytest.raises(ModelError, match='no column called "z"'):
        bm.predict(post, table.drop(columns="z"))
    with pytest.raises(ModelError, match="row 2"):
        bm.predict(post, table.head(3).assign(x=[1.0, np.nan, 2.0]))
    with pytest.raises(ModelError, match="has no rows"):
        bm.predict(post, table.head(0))


def test_the_same_seed_gives_the_same_draws_and_another_seed_others(table):
    model = bm.Model(tasks={"length": "gaussian"}, formula="x", engine=QUICK | {"warmup": 100, "draws": 50})
    one, two, three = (bm.fit(model, table, seed=s) for s in (3, 3, 4))
    assert one.posterior.equals(two.posterior)
    assert not one.posterior.equals(three.posterior)


def test_a_conjugate_posterior_is_the_closed_form():
    """Known noise and scale: weights and offset are normal with a mean and a variance by algebra."""
    draw = np.random.default_rng(2)
    made = pd.DataFrame({"x": draw.normal(size=23)})
    made["y"] = 1 + 0.5 * made["x"] + draw.normal(size=23)
    model = bm.Model(
        tasks={"y": {"kind": "gaussian", "sigma": 1.0, "offset": "normal(0, 2)"}},
        formula="x",
        relation="independent",
        shrinkage={"kind": "normal", "scale": 1.0},
        engine=QUICK | {"draws": 2000},
    )
    post = bm.fit(model, made, seed=1)
    centred = made["x"] - made["x"].mean()
    width = made["y"].std() / made["x"].std()  # prior sd of the weight: scale 1, in the units
    design = np.column_stack([np.ones(23), centred])
    precision = design.T @ design + np.diag([1 / 4, 1 / width**2])
    mean = np.linalg.solve(precision, design.T @ made["y"])
    sd = np.sqrt(np.diag(np.linalg.inv(precision)))
    for name, m, s in (("level", mean[0], sd[0]), ("weight", mean[1], sd[1])):
        found = post.posterior[name].values
        # 4,000 nearly independent draws; 5 standard errors: a false alarm in 1 of 10^6 seeds
        assert abs(found.mean() - m) < 5 * s / np.sqrt(2000)
        assert abs(found.std() / s - 1) < 5 / np.sqrt(2 * 2000)


@pytest.mark.slow
def test_the_order_of_tasks_does_not_matter(table):
    tasks = {"length": "gaussian", "visits": "poisson"}
    turned = dict(reversed(tasks.items()))
    one, two = (
        bm.fit(bm.Model(tasks=t, formula="x + z", engine=QUICK), table, seed=2).posterior["weight"]
        for t in (tasks, turned)
    )
    sd = one.std(("chain", "draw"))
    apart = abs(two.mean(("chain", "draw")).sel(task=one.task) - one.mean(("chain", "draw")))
    # two runs of 1,000 draws with at least 300 effective: four differences at 5 standard errors
    assert (apart < 5 * sd * np.sqrt(2 / 300)).all()


def test_an_interrupt_keeps_what_is_drawn(table):
    model = bm.Model(
        tasks={"length": "gaussian"}, formula="x", engine=QUICK | {"draws": 50_000, "warmup": 50}
    )

    def impatient(progress):
        if min(progress.done) > 300 and not progress.stopped:
            raise KeyboardInterrupt

    post = bm.fit(model, table, seed=1, watch=impatient)
    assert 2 <= post.posterior.sizes["draw"] < 50_000 and post.attrs["complete"] == 0
    assert "was interrupted" in set(bm.diagnostics(post)["problem"])


@pytest.mark.slow
def test_an_interrupt_in_the_warm_up_is_a_finding(table):
    model = bm.Model(tasks={"length": "gaussian"}, formula="x", engine=QUICK | {"warmup": 100_000})

    def impatient(progress):
        if not progress.stopped:
            raise KeyboardInterrupt

    with pytest.raises(ModelError, match="warm-up"):
        bm.fit(model, table, seed=1, watch=impatient)


@pytest.mark.slow
def test_a_task_without_predictors_has_an_offset_only(table):
    model = bm.Model(
        tasks={"length": {"kind": "gaussian", "formula": "1"}, "visits": "poisson"}, formula="x", engine=QUICK
    )
    post = bm.fit(model, table, seed=1)
    assert np.isnan(post.posterior["weight"].sel(task="length")).all()


@pytest.mark.slow
def test_tasks_as_rows_and_as_columns_agree(table):
    wide = table[["x", "z", "length"]].assign(double=table["length"] * 2)
    tall = wide.melt(["x", "z"], ["length", "double"], "what", "size")
    tall = tall.sample(frac=1, random_state=1).reset_index(drop=True)
    columns = bm.Model(tasks={"length": "gaussian", "double": "gaussian"}, formula="x + z", engine=QUICK)
    rows = bm.Model(
        tasks={"by": "what", "outcome": "size", "kind": "gaussian"}, formula="x + z", engine=QUICK
    )
    one, two = bm.fit(columns, wide, seed=1).posterior, bm.fit(rows, tall, seed=2).posterior
    sd = one["weight"].std(("chain", "draw"))
    mean = [p["weight"].mean(("chain", "draw")) for p in (one, two)]
    assert (abs(mean[0] - mean[1].sel(task=mean[0].task)) < 5 * sd * np.sqrt(2 / 300)).all()
    frame = bm.predict(bm.fit(rows, tall, seed=1), tall.head(4))
    assert list(frame.columns[:2]) == ["task", "row"] and len(frame) == 4


def test_a_damaged_or_foreign_file_is_a_finding(post, tmp_path):
    path = store.save(post, tmp_path / "a.zarr.zip")
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda info: info.compress_size)
    at = largest.header_offset + 30 + len(largest.filename) + largest.compress_size // 2
    for name, content, words in (
        ("cut.zarr.zip", whole[: len(whole) // 2], "damaged or cut short"),
        ("empty.zarr.zip", b"", "damaged or cut short"),
        ("text.zarr.zip", b"hello", "damaged or cut short"),
        ("flip.zarr.zip", whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :], "damaged"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=words):
            store.read(tmp_path / name)
    with pytest.raises(ModelError, match="can't be read"):
        store.read(tmp_path / "none.zarr.zip")
    with zipfile.ZipFile(tmp_path / "c.zarr.zip", "w") as archive:
        archive.writestr("zarr.json", '{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    with pytest.raises(ModelError, match="not written by bayesmtl"):
        store.read(tmp_path / "c.zarr.zip")
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".part") == []


def test_a_file_of_a_newer_format_is_a_finding(post, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "FORMAT", 99)
    path = store.save(post, tmp_path / "a.zarr.zip")
    monkeypatch.undo()
    with pytest.raises(ModelError, match="Install a newer bayesmtl"):
        store.read(path)
