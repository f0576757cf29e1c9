"""Whether tasks gain by each other: the verdict on tables with a known answer, and what is told beside it."""

import warnings

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits

import bayesmtl as bm
from bayesmtl.left_out.gain import judged, separate

QUIET = {"watch": lambda progress: None}
NAMES = ["a", "b", "c", "d"]
TABLES, N, D = 200, 40, 20  # of the closed form: tables, rows, predictors
TASKS = dict.fromkeys(NAMES, "gaussian")


def gains(sign: np.ndarray, loading: np.ndarray, draw: np.random.Generator) -> pd.DataFrame:
    """What the cells of one table gain by sharing, leaving out each, in closed form.

    Tasks have the weights ``sign * (common + own)`` and noise 1. With ``loading @ loading.T`` the correlation
    of weights in the joint model, and known variances, all is normal; [task, factor].
    """
    x = draw.normal(size=(N, D))
    common, own = draw.normal(size=D), 0.3 * draw.normal(size=(len(sign), D))
    y = (sign[:, None] * (common + own)) @ x.T + draw.normal(size=(len(sign), N))
    scores = []
    for root in (loading, np.eye(len(sign))):
        z = np.kron(root, np.sqrt(1.09) * x)
        gain = np.linalg.solve(np.eye(z.shape[1]) + z.T @ z, z.T)
        # leave-one-out: Rasmussen and Williams (2006), section 5.4.2, by Woodbury's identity
        left = 1 / (1 - np.einsum("ik,ki->i", z, gain))
        away = (y.ravel() - z @ (gain @ y.ravel())) * left
        scores.append(-0.5 * (away**2 / left + np.log(2 * np.pi * left)))
    place = {"task": np.repeat(NAMES, N), "cluster": np.tile(np.arange(N), len(sign))}
    return pd.DataFrame({**place, "gain": scores[0] - scores[1]})


def verdicts(sign: list[int], loading: np.ndarray) -> pd.DataFrame:
    """The verdict on each task of every table; [table, task]."""
    draw = np.random.default_rng(2)
    with threadpool_limits(1):  # of small matrices threads only wait for each other
        told = [judged(gains(np.array(sign), loading, draw), 0.05)["verdict"] for _ in range(TABLES)]
    return pd.DataFrame(told).reset_index(drop=True)


POOLED = np.ones((4, 1))
RELATED = np.hstack([np.sqrt(1 / 1.09) * POOLED, np.sqrt(0.09 / 1.09) * np.eye(4)])


# Measured: no false alarm in 200 tables, and the contradictory task is caught in all of them. By Clopper and
# Pearson the true rates are below 1.5 % and above 98.5 %, with 95 % confidence
MOST, LEAST = 0.05 * TABLES, 0.95 * TABLES


def test_related_tasks_are_rarely_said_to_harm_each_other():
    told = verdicts([1, 1, 1, 1], RELATED)
    assert (told == "harms").any(axis=1).sum() <= MOST
    assert (told == "helps").any(axis=1).mean() > 0.25


def test_a_contradictory_task_is_caught_and_under_the_right_correlations_it_is_not():
    assert (verdicts([1, 1, 1, -1], POOLED)["d"] == "harms").sum() >= LEAST
    turned = np.array([[1], [1], [1], [-1]]) * RELATED
    assert (verdicts([1, 1, 1, -1], turned) == "harms").any(axis=1).sum() <= MOST


def densities(y: np.ndarray, x: np.ndarray, share: np.ndarray, size: np.ndarray, noise: np.ndarray):
    """The log density of each cell given all others, with a grid of hyper-parameters summed out; [task, row].

    Tasks have ``share`` of the variance of their weights in common and the same predictors: their covariance
    is diagonal in the axes of the tasks' mean and contrasts, and of ``x x'``. The density of a cell is the
    harmonic mean of those at points of the grid, by how likely these are given all cells.
    """
    tasks = len(y)
    spread, turn = np.linalg.eigh(x @ x.T)
    mix = np.linalg.qr(np.column_stack([np.ones(tasks), np.eye(tasks)[:, 1:]]))[0]
    common = np.column_stack([1 + (tasks - 1) * share, *[1 - share] * (tasks - 1)])
    variance = (size[:, None] ** 2 * common)[:, :, None] * np.maximum(spread, 0.0) + noise[:, None, None] ** 2
    z = mix.T @ y @ turn
    pull = np.einsum("tj,pjm,nm->ptn", mix, z / variance, turn, optimize=True)
    precision = np.einsum("tj,pjm,nm->ptn", mix**2, 1 / variance, turn**2, optimize=True)
    each = -0.5 * (pull**2 / precision - np.log(precision) + np.log(2 * np.pi))
    likely = -0.5 * (np.log(variance) + z**2 / variance).sum((1, 2))
    return -logsumexp((likely - logsumexp(likely))[:, None, None] - each, axis=0)


def learned(sign: list[int], own: float, shares: np.ndarray) -> pd.DataFrame:
    """Verdicts of tables where the share, the size of weights and the noise are learned; [table, task]."""
    draw, told = np.random.default_rng(2), []
    grid = shares, np.exp(np.linspace(-0.6, 0.6, 5)), np.exp(np.linspace(-0.4, 0.4, 5))
    joint, alone = (np.stack(np.meshgrid(*g)).reshape(3, -1) for g in (grid, ([0.0], *grid[1:])))
    with threadpool_limits(1):
        for _ in range(TABLES):
            x, weight = draw.normal(size=(N, D)), draw.normal(size=D) + own * draw.normal(size=(4, D))
            y = (np.array(sign)[:, None] * weight) @ x.T + draw.normal(size=(4, N))
            gain = densities(y, x, *joint) - densities(y, x, *alone)
            place = {"task": np.repeat(NAMES, N), "cluster": np.tile(np.arange(N), 4)}
            told.append(judged(pd.DataFrame({**place, "gain": gain.ravel()}), 0.05)["verdict"])
    return pd.DataFrame(told).reset_index(drop=True)


# Measured: 0 of 200 for each of these, and 200 of 200 for the contradictory task
@pytest.mark.slow
@pytest.mark.parametrize("own", [0.0, 0.3, 3.0])
def test_related_tasks_whose_share_is_learned_are_rarely_said_to_harm_each_other(own):
    told = learned([1, 1, 1, 1], own, np.linspace(0.05, 0.95, 10))
    assert (told == "harms").any(axis=1).sum() <= MOST


@pytest.mark.slow
def test_a_contradictory_task_is_caught_where_all_else_is_learned():
    assert (learned([1, 1, 1, -1], 0.3, np.ones(1))["d"] == "harms").sum() >= LEAST
    shared = learned([1, 1, 1, -1], 0.3, np.linspace(0.05, 0.95, 10))
    assert (shared == "harms").any(axis=1).sum() <= MOST  # a share that is learned does no harm


def test_densities_of_a_grid_are_those_of_dense_algebra():
    draw = np.random.default_rng(4)
    x, y, share, size, noise = draw.normal(size=(6, 2)), draw.normal(size=(3, 6)), 0.4, 0.7, 1.2
    whole = np.kron(size**2 * (share * np.ones((3, 3)) + (1 - share) * np.eye(3)), x @ x.T)
    inverse = np.linalg.inv(whole + noise**2 * np.eye(18))
    sd = np.diag(inverse) ** -0.5  # Rasmussen and Williams (2006), section 5.4.2
    want = stats.norm.logpdf(inverse @ y.ravel() * sd) - np.log(sd)
    found = densities(y, x, *np.array([[share], [size], [noise]]))
    np.testing.assert_allclose(found.ravel(), want, rtol=1e-10)


def test_a_standard_error_is_that_of_the_totals_of_clusters():
    draw = np.random.default_rng(3)
    gain = 1.0 + np.repeat(draw.normal(size=6), 5)
    told = judged(pd.DataFrame({"task": "a", "cluster": np.repeat(range(6), 5), "gain": gain}), 0.05).loc["a"]
    assert told.gain == pytest.approx(gain.sum())
    assert told.se == pytest.approx(np.sqrt(6) * gain.reshape(6, 5).sum(1).std(ddof=1))
    one = judged(pd.DataFrame({"task": "a", "cluster": 0, "gain": [9.0, 9.0]}), 0.05).loc["a"]
    assert np.isnan(one.se) and one.verdict == "can't tell"


def test_a_slight_gain_is_no_verdict():
    draw = np.random.default_rng(3)
    frame = pd.DataFrame({"task": "a", "cluster": range(100), "gain": 0.03 + 0.001 * draw.normal(size=100)})
    told = judged(frame, 0.05).loc["a"]
    assert told.p < 1e-6 and told.verdict == "can't tell"


def model(relation: str, names: list[str] = NAMES) -> bm.Model:
    tasks = dict.fromkeys(names, "gaussian")
    engine = {"kind": "collapsed", "draws": 250}
    return bm.Model(tasks=tasks, formula="x1 + x2 + x3", relation=relation, engine=engine)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Three related tasks, and one with the opposite weights; some cells are empty."""
    draw = np.random.default_rng(5)
    x = draw.normal(size=(40, 3))
    weight = np.array([1.0, -0.7, 0.5])
    found = pd.DataFrame(x, columns=["x1", "x2", "x3"])
    for name, sign in zip(NAMES, (1, 1, 1, -1), strict=True):
        found[name] = sign * (x @ (weight + 0.1 * draw.normal(size=3))) + draw.normal(size=40)
    found.loc[[2, 5], "a"] = np.nan
    return found


@pytest.fixture(scope="module")
def fits(table) -> dict[str, xr.DataTree]:
    names = ("pooled", "correlated", "independent")
    return {name: bm.fit(model(name), table, seed=1, **QUIET) for name in names}


def test_conflicting_mechanisms_are_caught_where_they_are_pooled(fits, table):
    told = bm.transfer(fits["pooled"], fits["independent"], table)
    assert list(told.index) == [*NAMES, "all tasks"] and told.cells.tolist() == [38, 40, 40, 40, 158]
    assert told.verdict["d"] == "harms" and told.gain["d"] < -20
    np.testing.assert_allclose(told.gain, told.elpd - told.elpd_alone)
    # tasks of which three agree lose nothing to speak of
    assert set(told.verdict[NAMES[:3]]) == {"can't tell"} and told.verdict["all tasks"] == "harms"
    np.testing.assert_allclose(
        told.loc[NAMES, ["gain", "elpd"]].sum(), told.loc["all tasks", ["gain", "elpd"]]
    )


def test_correlations_make_no_task_worse(fits):
    told = bm.transfer(fits["correlated"], fits["independent"])
    assert not (told.verdict == "harms").any()
    assert (told.elpd[NAMES] > -100).all() and not told.refitted.any()


def test_alone_is_made_where_it_is_not_given(fits, table):
    given = bm.transfer(fits["pooled"], fits["independent"], table, unit="row")
    made = bm.transfer(fits["pooled"], None, table, unit="row", seed=1, **QUIET)
    pd.testing.assert_frame_equal(given, made)


def test_models_are_compared_as_arviz_does_and_stacked(fits, table):
    told = bm.compare(fits)
    assert told.index[0] in ("correlated", "independent") and told.index[-1] == "pooled"
    assert told.weight.sum() == pytest.approx(1.0, abs=1e-6) and told.behind.iloc[0] == 0.0
    own = bm.compare(fits, task="b")  # whose rows have no other cell that counts
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large k
        want = arviz_stats.compare(fits, var_name="b", round_to="none").loc[own.index]
    np.testing.assert_allclose(own.elpd, want.elpd, atol=0.02)
    np.testing.assert_allclose(own.behind, want.elpd_diff, atol=0.02)
    np.testing.assert_allclose(own.weight, want.weight, atol=0.02)
    # ArviZ divides by n, not by n - 1
    np.testing.assert_allclose(own.se, want.dse * np.sqrt(40 / 39), atol=0.02)


def test_a_model_of_the_same_predictions_adds_no_weight(fits):
    told = bm.compare({"one": fits["correlated"], "same": fits["correlated"], "worse": fits["pooled"]})
    assert told.weight["worse"] < 0.3 and told.behind[:2].tolist() == [0.0, 0.0]


def test_a_model_alone_has_no_link_between_tasks(table):
    linked = bm.Model(
        tasks={"a": "gaussian", "b": {"kind": "gaussian", "formula": "x1 + (1 + x1 |p| g)"}},
        formula="x1 + (1 |p| g)",
        relation="correlated",
        residual="correlated",
        priors={"task_correlation": "lkj(1)", "sigma": "half_normal(1)"},
    )
    apart = separate(linked, table.assign(g=list("abcd") * 10))
    assert apart.formula == "x1 + (1 | g)" and apart.tasks["b"]["formula"] == "x1 + (1 + x1 | g)"
    assert apart.relation["kind"] == apart.residual["kind"] == "independent"
    assert list(apart.priors) == ["sigma"]


@pytest.mark.slow
def test_companions_are_those_that_help(table):
    draw = np.random.default_rng(6)
    few = table[["x1", "x2", "x3", "a", "d"]].assign(t=lambda t: t.a.where(np.arange(40) < 12))
    few["a"] = few.a.fillna(0.0) + 0.3 * draw.normal(size=40)
    told = bm.companions(model("pooled", ["t", "a", "d"]), "t", few, seed=1, **QUIET)
    assert told.loc[1, "task"].tolist() == ["a", "d"]
    first = told.loc[1].set_index("task")
    assert first.gain["a"] > first.gain["d"] and not first.taken["d"]


def test_delta_m_is_that_of_the_example_of_libmtl():
    """The example of its ``count_improvement``, with the numbers by its formula."""
    index = pd.MultiIndex.from_tuples([("A", "up"), ("A", "down"), ("B", "up")])
    metrics = pd.DataFrame({"base": [96, 98, 0.2], "new": [93, 99, 0.5]}, index)
    told = bm.delta_m(metrics, "base", higher=["up"]).loc["new"]
    first = (-3 / 96 - 1 / 98) / 2
    assert told["delta_m"] == pytest.approx(100 * (first + 1.5) / 2) == pytest.approx(73.96365)
    assert told["worst"] == pytest.approx(100 * first) and told["task"] == "A"


def test_delta_m_is_the_mean_change_over_tasks():
    index = pd.MultiIndex.from_tuples([("s", "rmse"), ("s", "r2"), ("t", "rmse")])
    metrics = pd.DataFrame({"base": [2.0, 0.5, 1.0], "m": [1.0, 0.75, 1.5], "same": [2.0, 0.5, 1.0]}, index)
    told = bm.delta_m(metrics, "base", higher=["r2"])
    # of s both 50 % better, of t 50 % worse
    assert told.loc["m"].tolist() == [0.0, -50.0, "t"] and told.loc["same", "delta_m"] == 0.0
    with pytest.raises(
        bm.ModelError, match=r'baseline: is no column: "bas"(.|\n)*higher: names no metric: R2'
    ):
        bm.delta_m(metrics, "bas", higher=["R2"])
    with pytest.raises(bm.ModelError, match=r"baseline: is 0 or missing of t rmse"):
        bm.delta_m(metrics.assign(base=[1.0, 1.0, 0.0]), "base")


def test_what_can_not_be_told_is_a_finding(fits, table):
    with pytest.raises(bm.ModelError, match="table: is not given, and neither is a fit of the tasks alone"):
        bm.transfer(fits["pooled"])
    with pytest.raises(bm.ModelError, match="alarm: is 2"):
        bm.transfer(fits["pooled"], fits["independent"], alarm=2)
    with pytest.raises(bm.ModelError, match="unit: can't be the group"):
        bm.transfer(fits["pooled"], fits["independent"], table, unit="group")
    with pytest.raises(bm.ModelError, match="posts: are not several fits"):
        bm.compare({"one": fits["pooled"]})
    with pytest.raises(bm.ModelError, match='task: is no "e"'):
        bm.compare(fits, task="e")
    with pytest.raises(bm.ModelError, match='target: no task called "e"'):
        bm.companions(model("pooled"), "e", table, seed=1)
