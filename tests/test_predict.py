"""Predictions of new rows: new levels, responses that are given, probabilities, and tables of any size.

Posteriors are draws from the prior, since what a draw says of new rows is a closed form whatever the draw.
"""

import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from scipy.special import expit, logit

import bayesmtl as bm
from bayesmtl import cli, tables
from bayesmtl.chains import Run
from bayesmtl.encoded import encode
from bayesmtl.errors import ModelError
from bayesmtl.forecast import drawn
from bayesmtl.forecast.newcomers import standard
from bayesmtl.trees import stamp

ROWS, DRAWS = 29, 37
GROUPED = bm.Model(
    tasks={"stay": "gaussian", "pain": "gaussian", "calm": "bernoulli"},
    formula="age + (1 + age |p| ward) + (1 | clinic)",
    residual={"kind": "correlated", "pairs": [["stay", "pain"]]},
    priors={"sd_ward": "half_normal(1)", "sd_clinic": "half_normal(1)"},
)


def table(rows=ROWS, seed=5):
    draw = np.random.default_rng(seed)
    made = pd.DataFrame({"age": draw.normal(60, 9, rows), "ward": draw.choice(["a", "b", "c"], rows)})
    made = made.assign(clinic=draw.choice(["k", "l"], rows), room=draw.choice(["1", "2"], rows))
    made = made.assign(stay=draw.normal(9, 2, rows), pain=draw.normal(3, 1, rows))
    return made.assign(calm=draw.integers(0, 2, rows), mood=draw.choice(["good", "bad", "so so"], rows))


def untold(model, rows=None, draws=DRAWS):
    """A posterior of which the draws are those of the prior."""
    rows = table() if rows is None else rows
    tree = bm.prior(model, rows, seed=3, draws=draws)
    groups = {"posterior": tree["prior"].to_dataset(), "constant_data": tree["constant_data"].to_dataset()}
    made = xr.DataTree.from_dict(groups)
    return stamp(made, encode(model, tables.frame(rows)), Run({}, {}, {}, {}, "nuts"), 0, [])


def repeated(post, draws, which=0):
    """A posterior that has one of its draws over and over: what is spread is what predictions add."""
    every = post.posterior.to_dataset().isel(draw=np.full(draws, which)).assign_coords(draw=range(draws))
    made = xr.DataTree.from_dict({"posterior": every, "constant_data": post.constant_data.to_dataset()})
    made.attrs = dict(post.attrs)
    return made


@pytest.fixture(scope="module")
def post():
    return untold(GROUPED)


@pytest.fixture(scope="module")
def still(post):
    return repeated(post, 20_000)


def scatter(post, group, tasks, terms):
    """The covariance of a level's coefficients, from what a posterior reports; [task and term, same]."""
    p = post.posterior.isel(chain=0, draw=0)
    pairs = [(task, term) for task in tasks for term in terms]
    sd = np.array([float(p[f"sd_{group}"].sel({"task": t, f"{group}_term": k})) for t, k in pairs])
    matrix = np.eye(len(pairs))
    if f"correlation_{group}" in p:
        at = [
            {"task": t, f"{group}_term": k, "task_": t_, f"{group}_term_": k_}
            for t, k in pairs
            for t_, k_ in pairs
        ]
        matrix = np.array([float(p[f"correlation_{group}"].sel(one)) for one in at]).reshape(matrix.shape)
    return matrix * sd[:, None] * sd


def test_new_levels_scatter_as_the_population_does(still):
    """A new level adds ``z' covariance z`` to the variance, and so across tasks; noise comes on top."""
    new = table().head(3).assign(ward=["x", "x", "y"], age=[50.0, 61.0, 61.0], clinic="k")
    tree = bm.predictions(still, new)
    made = np.array([tree.expectations[t].values[0] for t in ("stay", "pain")])  # [task, draw, row]
    among = scatter(still, "ward", ("stay", "pain"), ("1", "age"))
    z = np.kron(np.eye(2), [[1.0, 50.0], [1.0, 61.0]])  # [task and row, task and term]
    want = z @ among @ z.T
    got = np.cov(made[:, :, :2].transpose(0, 2, 1).reshape(4, -1))
    scale = np.sqrt(np.diag(want))
    # of 20,000 draws a covariance in units of the deviations is off by at most 0.01: 5 of these
    np.testing.assert_allclose(got / np.outer(scale, scale), want / np.outer(scale, scale), atol=0.05)
    assert abs(np.corrcoef(made[0, :, 1], made[0, :, 2])[0, 1]) < 0.036  # two wards have nothing in common
    noise = tree.predictions["stay"].values[0] - made[0]
    sigma = float(still.posterior.sigma.sel(task="stay")[0, 0])
    np.testing.assert_allclose(noise.std(0), sigma, rtol=0.025)  # 5 standard errors
    spread = tree.predictions["stay"].values[0].var(0)[0]
    np.testing.assert_allclose(spread, want[0, 0] + sigma**2, rtol=0.05)


def test_rows_share_residuals_as_the_posterior_says(still):
    tree = bm.predictions(still, table().head(2))
    noise = [tree.predictions[t].values[0] - tree.expectations[t].values[0] for t in ("stay", "pain")]
    want = float(still.posterior.residual_correlation.sel(task="stay", task_="pain")[0, 0])
    assert abs(want) > 0.2
    for row in range(2):  # 5 standard errors of a correlation
        assert np.corrcoef(noise[0][:, row], noise[1][:, row])[0, 1] == pytest.approx(want, abs=0.036)


def test_a_level_has_the_same_draws_wherever_it_is(post):
    new = table().assign(ward=[f"new {i % 7}" for i in range(ROWS)], age=60.0, clinic="k")
    whole, some = bm.predictions(post, new), bm.predictions(post, new.tail(5).iloc[::-1])
    for task in ("stay", "calm"):
        each = whole.expectations[task].values
        np.testing.assert_array_equal(each[..., 0], each[..., 7])
        np.testing.assert_allclose(each[..., -1], some.expectations[task].values[..., 0], rtol=1e-12)


def test_an_empty_level_is_one_that_nobody_knows(post, still):
    new = table().head(4).assign(ward=[None, None, "b", np.nan], age=60.0, clinic="k")
    each = bm.predictions(still, new).expectations["stay"].values[0]
    assert each[:, 2].std() == 0.0
    want = scatter(still, "ward", ("stay",), ("1", "age"))
    z = np.array([1.0, 60.0])
    np.testing.assert_allclose(each[:, [0, 1, 3]].std(0), np.sqrt(z @ want @ z), rtol=0.025)  # 5 errors
    apart = np.corrcoef(each[:, [0, 1, 3]].T)[np.triu_indices(3, 1)]
    assert np.abs(apart).max() < 0.036
    said = bm.predict(post, new.assign(ward=None)).set_index(["task", "row"])
    assert said.loc[("stay", 1), "mean"] != said.loc[("stay", 2), "mean"]


def test_pieces_of_several_tasks_keep_their_cells_apart(post, monkeypatch):
    """Without noise responses are their means, in the last piece too, which has fewer rows."""
    quiet = repeated(post, 7)
    quiet.posterior["sigma"][:] = 1e-9
    monkeypatch.setattr(drawn, "LARGEST", 4 * 7 * 3)
    said = bm.predict(quiet, table(7)).set_index("task").loc[["stay", "pain"]]
    assert len(said) == 14
    np.testing.assert_allclose(said[["low", "high"]], said[["mean_low", "mean_high"]], atol=1e-6)


@pytest.fixture(scope="module")
def nested():
    """One task in rooms of wards, and in clinics that may lie far out."""
    model = bm.Model(
        tasks={"stay": "gaussian"},
        formula="age + (1 | ward/room) + (1 | gr(clinic, dist = 'student'))",
        data={"units": "patient"},
    )
    return untold(model, table().assign(patient=[f"p{i}" for i in range(ROWS)]))


def test_a_new_room_of_a_known_ward_has_the_wards_effect_and_a_unit_has_one_unknown_ward(nested):
    post, count = repeated(nested, 10_000), 10_000
    new = {
        "patient": list("pqrrss"),
        "ward": ["a", "a", "a", "a", None, None],
        "room": ["1", "7", None, None] + ["1"] * 2,
    }
    new = pd.DataFrame(new).assign(age=60.0, clinic=["k"] * 4 + ["new"] * 2)
    each = bm.predictions(post, new).expectations["stay"].values[0]
    p = post.posterior.to_dataset().isel(chain=0, draw=0).squeeze()
    known = p.offset + 60 * p.weight + p.effect_ward.sel(ward="a") + p.effect_clinic.sel(clinic="k")
    room, known = float(p["sd_ward:room"]), float(known)
    np.testing.assert_allclose(each[:, 0], each[0, 0], rtol=1e-12)
    np.testing.assert_array_equal(each[:, [2, 4]], each[:, [3, 5]])
    # 5 standard errors
    np.testing.assert_allclose(each[:, 1:3].mean(0), known, atol=5 * room / np.sqrt(count))
    np.testing.assert_allclose(each[:, 1:3].std(0), room, rtol=0.036)
    assert abs(np.corrcoef(each[:, 1], each[:, 2])[0, 1]) < 0.05
    # what is left of the far-out clinic has a Student-t distribution, whatever the ward
    new = new.head(1).assign(clinic="new")
    far = bm.predictions(post, new).expectations["stay"].values[0, :, 0] - each[0, 0]
    far = (far + float(p.effect_clinic.sel(clinic="k"))) / float(p.sd_clinic)
    assert stats.kstest(far, stats.t(float(p.df_clinic)).cdf).pvalue > 1e-4  # the false-alarm rate


def dense(post, new, given, draw):
    """Mean and covariance of the responses of ``stay`` and ``pain``, and which are given; [task and row]."""
    p = post.posterior.isel(chain=0, draw=draw)
    tasks, rows = ("stay", "pain"), len(new)
    mean, cov = [], np.zeros((2 * rows, 2 * rows))
    for task in tasks:
        own = p.sel(task=task)
        mean.append(float(own.offset) + float(own.weight.sel(feature="age")) * new["age"].to_numpy())
        for group, terms in (("ward", ("1", "age")), ("clinic", ("1",))):
            for i, level in enumerate(new[group]):
                if level in p[group].values:
                    u = own[f"effect_{group}"].sel({group: level, f"{group}_term": list(terms)}).values
                    mean[-1][i] += u @ [1.0, new["age"].iloc[i]][: len(terms)]
    one = repeated(post, 1, draw)
    for group, terms in (("ward", ("1", "age")), ("clinic", ("1",))):
        among = scatter(one, group, tasks, terms) if group == "ward" else None
        if among is None:
            among = np.diag([float(p.sd_clinic.sel(task=t).squeeze()) ** 2 for t in tasks])
        strange = ~new[group].isin(p[group].values.tolist()).to_numpy()
        same = (new[group].to_numpy()[:, None] == new[group].to_numpy()) & strange
        z = np.column_stack([np.ones(rows), new["age"]])[:, : len(terms)]
        for a in range(2):
            for b in range(2):
                block = among[a * len(terms) : (a + 1) * len(terms), b * len(terms) : (b + 1) * len(terms)]
                cov[a * rows : (a + 1) * rows, b * rows : (b + 1) * rows] += same * (z @ block @ z.T)
    sigma = p.sigma.sel(task=list(tasks)).values
    r = p.residual_correlation.sel(task=list(tasks), task_=list(tasks)).values * np.outer(sigma, sigma)
    noise = np.kron(r, np.eye(rows))
    seen = np.concatenate([new[t].notna().to_numpy() & (t in given) for t in tasks])
    return np.concatenate(mean), cov, noise, seen


@pytest.fixture(scope="module")
def asked():
    """Rows of known and of new wards and clinics, crossed, with some responses of ``stay``."""
    new = table(11, seed=8)
    new["ward"] = ["a", "x", "x", "y", "y", "b", "x", "w", "w", "v", "c"]
    new["clinic"] = ["k", "k", "n", "n", "k", "n", "l", "m", "m", "k", "l"]
    new.loc[[2, 8, 9], "stay"] = np.nan
    return new


def test_given_responses_are_conditioned_on_as_dense_algebra_does(post, asked, monkeypatch):
    """With nothing left to chance the expected responses are those of the multivariate normal."""
    monkeypatch.setattr(drawn, "standard", lambda *args: [0 * each for each in standard(*args)])
    tree = bm.predictions(post, asked, given=["stay"])
    assert set(tree.predictions.data_vars) == {"pain", "calm"}
    y = np.concatenate([asked["stay"], asked["pain"]])
    for draw in range(5):
        mean, cov, noise, seen = dense(post, asked, ["stay"], draw)
        whole = cov + noise
        left = np.linalg.solve(whole[np.ix_(seen, seen)], (y - mean)[seen])
        want = (mean + whole[:, seen] @ left)[len(asked) :]
        np.testing.assert_allclose(tree.expectations["pain"].values[0, draw], want, rtol=1e-8)


def test_what_given_responses_leave_open_is_that_of_dense_algebra(post, asked, monkeypatch):
    """One draw for each coefficient by itself: together they make the covariance that is left."""

    def units(some, name, labels, seed):
        found = [0 * each for each in standard(some, name, labels, seed)]
        first = 1 if name == "ward" else 1 + 4 * 6
        flat = [each.reshape(len(each), -1) for each in found]
        for each in flat:
            each[first + np.arange(each.shape[1]), np.arange(each.shape[1])] = 1.0
            first += each.shape[1]
        return [each.reshape(old.shape) for each, old in zip(flat, found, strict=True)]

    monkeypatch.setattr(drawn, "standard", units)
    one = repeated(post, 1 + 4 * 6 + 2 * 3)
    mean, cov, noise, seen = dense(post, asked, ["stay"], 0)
    each = bm.predictions(one, asked, given=["stay"]).expectations["pain"].values[0]
    away = each[1:] - each[0]
    gain = noise[:, seen] @ np.linalg.inv(noise[np.ix_(seen, seen)])
    turn = np.eye(len(mean))
    turn[:, seen] -= gain  # of an effect on the mean of a cell, less what the residuals make of it
    left = cov - cov[:, seen] @ np.linalg.solve((cov + noise)[np.ix_(seen, seen)], cov[seen])
    want = (turn @ left @ turn.T)[len(asked) :, len(asked) :]
    np.testing.assert_allclose(away.T @ away, want, rtol=1e-7, atol=1e-7 * np.abs(want).max())


@pytest.mark.slow
def test_new_responses_given_others_have_the_moments_of_the_conditional(post, asked):
    still = repeated(post, 4000)
    each = bm.predictions(still, asked, given=["stay"]).predictions["pain"].values[0]
    mean, cov, noise, seen = dense(post, asked, ["stay"], 0)
    whole, y = cov + noise, np.concatenate([asked["stay"], asked["pain"]])
    gain = whole[:, seen] @ np.linalg.inv(whole[np.ix_(seen, seen)])
    want = (mean + gain @ (y - mean)[seen])[len(asked) :]
    left = (whole - gain @ whole[seen])[len(asked) :, len(asked) :]
    scale = np.sqrt(np.diag(left))
    # 11 means and 66 covariances at 5 standard errors: a false alarm in 20,000 seeds
    np.testing.assert_allclose((each.mean(0) - want) / scale, 0.0, atol=5 / np.sqrt(4000))
    np.testing.assert_allclose(
        np.cov(each.T) / np.outer(scale, scale), left / np.outer(scale, scale), atol=0.112
    )


@pytest.mark.slow
def test_latent_factors_are_conditioned_on_for_tasks_of_any_likelihood():
    model = bm.Model(
        tasks={"stay": "gaussian", "calm": "bernoulli"}, formula="age", residual={"kind": "factor"}
    )
    post = untold(model)
    still = repeated(post, 4000, which=2)
    p = still.posterior.isel(chain=0, draw=0)
    shared = p.residual_covariance.sel(task=["stay", "calm"], task_=["stay", "calm"]).values
    new, at = table().head(2), ["stay", "calm"]
    slope = p.weight.sel(task=at, feature="age").values[:, None] * new["age"].to_numpy()
    stay, calm = p.offset.sel(task=at).values[:, None] + slope
    eta = logit(bm.predictions(still, new).expectations["calm"].values[0])
    sd = np.sqrt(shared[1, 1])
    np.testing.assert_allclose(eta.mean(0), calm, atol=5 * sd / np.sqrt(4000))  # 5 standard errors
    np.testing.assert_allclose(eta.std(0), sd, rtol=0.056)
    eta = logit(bm.predictions(still, new, given=["stay"]).expectations["calm"].values[0])
    gain = shared[0, 1] / (shared[0, 0] + float(p.sigma.sel(task="stay")) ** 2)
    left = np.sqrt(shared[1, 1] - gain * shared[0, 1])
    want = calm + gain * (new["stay"].to_numpy() - stay)
    np.testing.assert_allclose(eta.mean(0), want, atol=5 * left / np.sqrt(4000))
    np.testing.assert_allclose(eta.std(0), left, rtol=0.056)


def test_given_responses_change_nothing_where_nothing_is_shared(post):
    new = table().head(5)
    plain, told = bm.predictions(post, new), bm.predictions(post, new, given=["stay"])
    np.testing.assert_allclose(told.expectations["calm"], plain.expectations["calm"], rtol=1e-12)
    assert (np.abs(told.expectations["pain"] - plain.expectations["pain"]) > 1e-9).all()


def test_levels_that_may_lie_far_out_are_not_conditioned_on(nested):
    new = table().head(3).assign(patient="p", clinic="new")
    with pytest.raises(ModelError, match="new levels of clinic, which are no normal draws"):
        bm.predict(nested, new, given=["stay"])


@pytest.mark.parametrize(
    "given, change, words",
    [
        (["sty"], {}, 'given: no task called "sty". Did you mean "stay"?'),
        (["calm"], {}, "given: has calm, which is bernoulli"),
        (["stay"], {"stay": ["x", "y", "z"]}, "which is no finite number"),
        (["stay", "pain", "calm"], {}, "given: has calm, which is bernoulli"),
    ],
)
def test_responses_that_cant_be_given_are_findings(post, given, change, words):
    with pytest.raises(ModelError) as caught:
        bm.predict(post, table().head(3).assign(**change), given=given)
    assert words in str(caught.value)


def test_a_given_column_that_is_not_there_is_a_finding(post):
    with pytest.raises(ModelError, match='no column called "stay"'):
        bm.predict(post, table().drop(columns="stay"), given=["stay"])


def test_probabilities_are_a_row_for_each_category(nested):
    model = bm.Model(
        tasks={
            "mood": {"kind": "ordinal", "levels": ["bad", "so so", "good"]},
            "calm": "bernoulli",
            "ward": "categorical",
        },
        formula="age",
    )
    post, new = untold(model), table().head(3)
    said = bm.predict(post, new, probabilities=True, prob=0.8)
    assert list(said) == ["task", "row", "category", "probability", "low", "high"]
    assert list(said.task.unique()) == ["mood", "calm", "ward"] and len(said) == 3 * (3 + 2 + 3)
    np.testing.assert_allclose(said.groupby(["task", "row"]).probability.sum(), 1.0)
    p = post.posterior.isel(chain=0)
    eta = p.weight.sel(task="mood").values * new["age"].iloc[1]
    below = expit(p.cut.sel(task="mood").values - eta)
    chance = np.diff(below, axis=1, prepend=0.0, append=1.0)
    own = said[(said.task == "mood") & (said["row"] == 2)]
    assert own.category.tolist() == ["bad", "so so", "good"]
    np.testing.assert_allclose(own.probability, chance.mean(0), rtol=1e-9)
    np.testing.assert_allclose(own.low, np.quantile(chance, 0.1, axis=0), rtol=1e-9)
    lines = ["ward[b]", "ward[c]"]
    eta = p.offset.sel(task=lines).values + p.weight.sel(task=lines).values[..., 0] * new["age"].iloc[0]
    odds = np.exp(np.column_stack([0 * eta[:, 0], eta]))
    own = said[(said.task == "ward") & (said["row"] == 1)]
    np.testing.assert_allclose(own.probability, (odds / odds.sum(1, keepdims=True)).mean(0), rtol=1e-9)
    tree = bm.predictions(post, new)
    assert tree.probabilities["mood"].dims == ("chain", "draw", "mood.row", "mood.category")
    yes = tree.probabilities["calm"].sel({"calm.category": 1})
    np.testing.assert_allclose(yes, tree.expectations["calm"], rtol=1e-12)
    with pytest.raises(ModelError, match="no task has any"):
        bm.predict(nested, new.assign(patient="p"), probabilities=True)


@pytest.mark.slow
def test_probabilities_are_means_over_what_is_summed_out():
    rows = table(60).assign(mood=lambda t: t.mood.where(t.age > 55))
    tasks = {"calm": "bernoulli", "ward": "categorical"}
    post = untold(bm.Model(tasks=tasks, formula="mood + age", missing="impute"), rows, draws=9)
    tree = bm.predictions(post, rows.head(12))
    yes = tree.probabilities["calm"].sel({"calm.category": 1})
    np.testing.assert_allclose(yes, tree.expectations["calm"], rtol=1e-12)
    np.testing.assert_allclose(tree.probabilities["ward"].sum("ward.category"), 1.0, rtol=1e-12)
    with pytest.raises(ModelError, match="meets predictors that are imputed"):
        bm.predict(post, rows.head(12), given=["calm"])


def test_what_was_read_of_new_rows_is_kept(post):
    new = table().head(3).assign(ward=["a", None, "x"])
    kept = bm.predictions(post, new).predictions_constant_data
    assert set(kept.data_vars) == {"age", "ward", "clinic"} and kept["row"].values.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(kept["age"], new["age"])


def test_a_table_is_predicted_in_pieces_from_a_file_too(nested, monkeypatch, tmp_path):
    """Pieces have the same means; responses are drawn anew in each."""
    pytest.importorskip("pyarrow")
    rows = 50
    new = table(rows).assign(
        patient=[f"p{i}" for i in range(rows)], ward=[f"new {i % 3}" for i in range(rows)]
    )
    new.loc[[3, 40], "ward"] = None
    whole = bm.predict(nested, new)
    monkeypatch.setattr(drawn, "LARGEST", 16 * DRAWS)
    assert len(drawn.pieces(nested, rows)) == 4
    known = ["task", "row", "mean", "mean_low", "mean_high"]
    pd.testing.assert_frame_equal(bm.predict(nested, new)[known], whole[known])
    new.to_parquet(tmp_path / "rows.parquet")
    monkeypatch.setattr("bayesmtl.chunks.CHUNK", 32)
    path = bm.stream(nested, tmp_path / "rows.parquet", tmp_path / "said.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(path)[known], whole[known])
    new.assign(age=[*[60.0] * (rows - 1), np.nan]).to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(ModelError, match=f"no finite number .patient p{rows - 1}."):
        bm.stream(nested, tmp_path / "rows.csv", tmp_path / "other.parquet")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rows.csv", "rows.parquet", "said.parquet"]


def test_another_process_predicts_the_same_from_a_file(nested, tmp_path, monkeypatch, capsys):
    new = table().head(3).assign(patient=["p", "q", "r"], ward=["a", "new", None])
    bm.save(nested, tmp_path / "p.zarr.zip")
    new.to_csv(tmp_path / "new.csv", index=False)
    monkeypatch.chdir(tmp_path)
    words = [sys.executable, "-m", "bayesmtl", "predict", "p.zarr.zip", "new.csv"]
    out = subprocess.run(words, capture_output=True, check=True, text=True).stdout
    expected = bm.predict(nested, new)
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(out)), expected, rtol=1e-9)
    assert cli.main([*words[3:], "--out", "said.parquet"]) == 0
    pd.testing.assert_frame_equal(pd.read_parquet("said.parquet"), expected, rtol=1e-9)
    assert cli.main([*words[3:], "--given", "stay"]) == 1
    assert cli.main([*words[3:], "--probabilities"]) == 1
    said = capsys.readouterr().err
    assert "given: has every task" in said and "no task has any" in said
    with pytest.raises(SystemExit):
        cli.main([*words[3:], "--given", "stay", "--out", "said.parquet"])
