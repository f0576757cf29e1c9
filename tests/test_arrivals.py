"""Tasks that a fit never saw: their weights given those of the others, by each relation's closed form."""

import jax
import numpy as np
import pandas as pd
import pytest
from numpyro.handlers import seed, substitute, trace
from scipy import stats
from test_predict import repeated, untold

import bayesmtl as bm
from bayesmtl import cli
from bayesmtl.axes import axis
from bayesmtl.errors import ModelError
from bayesmtl.forecast import arrivals
from bayesmtl.relations import correlated

TASKS, DRAWS = ("a", "b", "c", "d"), 10_000
BY = {"a": 1.0, "b": 2.0, "c": 4.0, "d": 8.0}


def table(rows=32):
    draw = np.random.default_rng(7)
    made = pd.DataFrame({"school": np.resize(TASKS, rows), "age": draw.normal(9, 2, rows)})
    return made.assign(score=draw.normal(50, 9, rows))


def posterior(relation, draws=5):
    tasks = {"by": "school", "outcome": "score", "kind": "gaussian"}
    return untold(bm.Model(tasks=tasks, formula="age", relation=relation), table(), draws=draws)


def standard(post, tasks):
    """Weights in units of their scale and of the response over the predictor; [draw, task]."""
    constant, p = post.constant_data, post.posterior
    unit = constant.unit.sel(task=tasks).values
    size = p["scale"].values[0] / constant["sd"].values
    return p.weight.sel(task=tasks, feature="age").values[0] / (size * unit)


KERNELS = {
    "partial": ("partial", None, lambda p: np.where(np.eye(5, dtype=bool), 1.0, float(p.share.squeeze()))),
    "independent": ("independent", None, lambda p: np.eye(5)),
    "pooled": ("pooled", None, lambda p: np.ones((5, 5))),
    "ordered": (
        "ordered",
        None,
        lambda p: float(p.autocorrelation) ** np.abs(np.subtract.outer(np.arange(5), np.arange(5))),
    ),
    "placed": (
        {"kind": "ordered", "at": BY},
        3.0,
        lambda p: float(p.autocorrelation) ** (np.abs(np.subtract.outer(*2 * [[1, 2, 4, 8, 3]])) / (7 / 3)),
    ),
    "described": ({"kind": "described", "by": BY}, 3.0, lambda p: described(p)),
    "graph": ({"kind": "graph", "edges": [["a", "b"], ["c", "d"]]}, ["b", "c"], lambda p: leroux(p)),
}


def described(p):
    at = (np.array([1, 2, 4, 8, 3.0]) - 3.75) / np.std([1, 2, 4, 8])
    alike = np.exp(-(np.subtract.outer(at, at) ** 2) / (2 * float(p.length) ** 2))
    return (1 - float(p.own)) * alike + float(p.own) * np.eye(5)


def leroux(p):
    """The path a-b-new-c-d; its precision is scaled to variances with a geometric mean of 1."""
    joined = np.zeros((5, 5))
    for one, other in ((0, 1), (2, 3), (4, 1), (4, 2)):
        joined[one, other] = joined[other, one] = 1.0
    laplacian = np.diag(joined.sum(0)) - joined
    laplacian *= np.exp(np.log(np.diag(np.linalg.pinv(laplacian))).mean())
    covariance = np.linalg.inv(float(p.omega) * laplacian + (1 - float(p.omega)) * np.eye(5))
    scale = np.sqrt(np.diag(covariance))
    return covariance / scale / scale[:, None]


@pytest.mark.slow
@pytest.mark.parametrize("name", KERNELS)
def test_a_new_tasks_weight_is_normal_given_those_of_the_others(name):
    relation, told, kernel = KERNELS[name]
    still = repeated(posterior(relation), DRAWS, which=1)
    more = arrivals.extended(still, {"new": told})
    known, each = standard(still, list(TASKS))[0], standard(more, ["new"])[:, 0]
    matrix = kernel(still.posterior.to_dataset().isel(chain=0, draw=0))
    gain = matrix[4, :4] @ np.linalg.pinv(matrix[:4, :4], rcond=1e-12)
    mean, variance = gain @ known, 1 - gain @ matrix[:4, 4]
    sd = np.sqrt(max(variance, 1e-8))
    # 5 standard errors of a mean, and of a standard deviation
    assert each.mean() == pytest.approx(mean, abs=5 * sd / np.sqrt(DRAWS) + 1e-6)
    assert each.std() == pytest.approx(sd, rel=5 / np.sqrt(2 * DRAWS), abs=1e-4)
    np.testing.assert_array_equal(standard(more, list(TASKS)), standard(still, list(TASKS)))


def test_a_task_more_keeps_a_correlation_matrix_an_lkj_one():
    """Of five tasks under LKJ(1.5) four are under LKJ(2): drawn by these, the fifth is as the others are."""
    known, new, feature = axis("task", 4), axis("new", 1), axis("feature", 1)

    def one(key):
        with trace() as sites, seed(rng_seed=key):
            correlated.correlated(known, feature)
        drawn = {"task_correlation": sites["task_correlation"]["value"]}
        with seed(rng_seed=jax.random.fold_in(key, 1)):
            loading = substitute(correlated.joined, data=drawn)(known, new, feature)
        return (loading @ loading.T)[4, 0]

    found = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 4000)))
    # (r + 1) / 2 has a beta distribution with both parameters concentration - 1 + tasks / 2
    told = stats.beta(3.0, 3.0)
    assert stats.kstest((found + 1) / 2, told.cdf).pvalue > 1e-4  # the false-alarm rate


@pytest.mark.slow
@pytest.mark.parametrize("relation", ["correlated", "outlying"])
def test_a_new_task_joins_tasks_that_are_correlated_or_lie_far_out(relation):
    """Over draws of the prior a new task's weight is as any other's: of variance 1, and alike correlated."""
    more = arrivals.extended(posterior(relation, draws=2000), ["new"])
    each = standard(more, [*TASKS, "new"])
    square = each**2
    # 5 standard errors of means of squares and of products: a false alarm in 10^5 seeds
    assert abs(square[:, 4].mean() - 1) < 5 * square[:, 4].std() / np.sqrt(2000)
    apart = each[:, 4] * each[:, 0] - each[:, 1] * each[:, 0]
    assert abs(apart.mean()) < 5 * apart.std() / np.sqrt(2000)


def test_levels_and_noises_are_those_of_one_task_more():
    """A known task that is left out lies within what the others say of it: a Student-t."""
    still = repeated(posterior("partial"), DRAWS)
    more = arrivals.extended(still, ["new"])
    for name, turn in (("level", np.asarray), ("sigma", np.log)):
        known = turn(still.posterior[name].sel(task=list(TASKS)).values[0, 0])
        each = turn(more.posterior[name].sel(task="new").values[0])
        told = stats.t(3, known.mean(), known.std(ddof=1) * np.sqrt(1.25))
        assert stats.kstest(each, told.cdf).pvalue > 1e-4  # the false-alarm rate


def test_rows_of_a_new_task_are_predicted_beside_those_of_known_ones(tmp_path, capsys):
    post, new = posterior("partial"), table(4).assign(school=["a", "new", "new", "other"], age=9.0)
    with pytest.raises(ModelError, match='no task called "new"'):
        bm.predict(post, new)
    said = bm.predict(post, new, new_tasks=["new", "other"])
    assert said.task.tolist() == ["a", "new", "new", "other"]
    path = bm.stream(post, new, tmp_path / "said.parquet", new_tasks=["new", "other"])
    known = ["task", "row", "mean", "mean_low", "mean_high"]
    pd.testing.assert_frame_equal(pd.read_parquet(path)[known], said[known], rtol=1e-9)
    bm.save(post, tmp_path / "p.zarr.zip")
    new.to_csv(tmp_path / "new.csv", index=False)
    words = ["predict", str(tmp_path / "p.zarr.zip"), str(tmp_path / "new.csv"), "--new-tasks", "new,other"]
    assert cli.main(words) == 0
    assert capsys.readouterr().out.count("\nnew,") == 2
    plain = bm.predict(post, new.head(1))
    assert said["mean"][0] == pytest.approx(plain["mean"][0])
    drawn = bm.predictions(post, new, new_tasks=["new", "other"])
    more = arrivals.extended(post, ["new", "other"]).posterior.sel(task="new")
    want = more.offset + 9.0 * more.weight.sel(feature="age")
    for row in range(2):
        np.testing.assert_allclose(drawn.expectations["new"].values[..., row], want, rtol=1e-9)


@pytest.mark.parametrize(
    "relation, new, words",
    [
        ("partial", ["a"], "has a, which the fit knew"),
        ("low_rank", ["new"], "can't join by low_rank"),
        ("partial", {"new": 3.0}, "tells of tasks what the relation partial does not take"),
        ({"kind": "described", "by": BY}, ["new"], "has no description as the others have. Give 1 numbers."),
        ({"kind": "ordered", "at": BY}, {"new": 4.0}, "puts new where another task stands"),
        ({"kind": "graph", "edges": [["a", "b"]]}, {"new": ["x"]}, 'no task called "x"'),
    ],
)
def test_what_a_relation_cant_take_is_a_finding(relation, new, words):
    with pytest.raises(ModelError) as caught:
        arrivals.extended(posterior(relation), new)
    assert words in str(caught.value)
