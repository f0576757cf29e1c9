"""What can't be trusted: each kind of failure is found where it was made, and seldom where it was not."""

import json

import arviz_stats
import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
import xarray as xr
from fakes import fake_posterior
from numpyro.infer import MCMC, NUTS
from scipy.stats import kstest, norm, t

import bayesmtl as bm
from bayesmtl.failures import Failure, blocks, sampler
from bayesmtl.failures.dependence import dependent
from bayesmtl.failures.predictions import by_level, off
from bayesmtl.failures.prior_conflict import contradicted
from bayesmtl.failures.rows import influential, outlying
from bayesmtl.failures.scores import Scores, scored
from bayesmtl.failures.tasks import separated, unlike
from bayesmtl.page import tables

QUICK = {"chains": 2, "warmup": 300, "draws": 500}


def least_squares(x, y, task="u"):
    """Each cell predicted from all others by least squares under a flat prior: exact, and no draw."""
    design = np.column_stack([np.ones(len(y)), x])
    hat = design @ np.linalg.pinv(design)
    left, leverage = y - hat @ y, np.diag(hat)
    df = len(y) - design.shape[1] - 1
    rest = (left @ left - left**2 / (1 - leverage)) / df
    away = left / np.sqrt(rest * (1 - leverage))
    rank = t.cdf(away, df)
    level = hat @ y
    one = np.zeros((len(y), 4000))
    k = np.zeros(len(y))
    return Scores(task, "gaussian", np.arange(len(y)), k, one, rank, norm.ppf(rank), level, 0.0)


def drawn(seed, rows=120, tasks=1):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 2))
    return x, [x @ [1.0, -0.5] + draw.normal(size=rows) for _ in range(tasks)]


@pytest.fixture(scope="module")
def sound():
    """p-values of the tests by level, and whether any test fails at one in twenty, of 1,000 sound tables."""
    found, alarms = [], 0
    for seed in range(1000):
        x, (y,) = drawn(seed, rows=60)
        cells = least_squares(x, y)
        found.append(by_level(cells))
        alarms += any(True for _ in off(cells, 0.05))
    return np.array(found), alarms


def test_predictions_of_a_sound_task_fail_no_more_often_than_it_says(sound):
    p, alarms = sound
    # 50 expected of 1,000 at most, 3.5 standard errors of 6.9: a false alarm in 1 of 4,000 seeds
    assert alarms <= 50 + 3.5 * 6.9
    for each in p.T:
        # Kolmogorov's test of 1,000 nearly uniform p-values that are two of each table: 1 in 1,000
        assert (each < 0.05).mean() < 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / 1000)
        assert kstest(each, "uniform").statistic < 0.1


def test_a_fit_that_shrinks_levels_of_a_group_bends_no_prediction():
    """Residuals of shrunken levels go with what is expected of them, and that is no sign: 300 tables."""
    alarms = 0
    for seed in range(300):
        draw = np.random.default_rng(seed)
        of = np.repeat(np.arange(20), 4)
        y = draw.normal(size=20)[of] + draw.normal(size=80)
        whole = np.equal.outer(of, of) + np.eye(80)  # covariance of the responses
        precision = np.linalg.inv(whole)
        away = (precision @ y) / np.sqrt(np.diag(precision))  # left out, with all variances known
        level = y - precision @ y
        rank = norm.cdf(away)
        shape = np.zeros((80, 4000))
        cells = Scores("u", "gaussian", np.arange(80), np.zeros(80), shape, rank, away, level, 0.0)
        alarms += any(True for _ in off(cells, 0.05))
    # 15 expected, 3.5 standard errors of 3.8
    assert alarms <= 15 + 3.5 * 3.8


@pytest.mark.parametrize(
    ("kind", "words"),
    [("bend", "off by their level"), ("spread", "spread is off"), ("tails", "calibrated")],
)
def test_what_is_off_is_named(kind, words):
    x, (y,) = drawn(3, rows=400)
    draw = np.random.default_rng(4)
    if kind == "bend":
        y = y + 0.4 * (x @ [1.0, -0.5]) ** 2
    elif kind == "spread":
        y = x @ [1.0, -0.5] + np.exp(0.6 * (x @ [1.0, -0.5])) * draw.normal(size=400)
    else:
        y = x @ [1.0, -0.5] + draw.standard_t(1.5, size=400)
    found = list(off(least_squares(x, y), 0.001))
    assert found and any(words in failure.problem for failure in found)
    assert all(isinstance(failure, Failure) and failure.remedy for failure in found)
    assert [f.value for f in found] == sorted(f.value for f in found)  # the worst first


def residual(kind="independent"):
    post = fake_posterior()
    model = json.loads(post.attrs["model"]) | {"residual": {"kind": kind}}
    post.attrs["model"] = json.dumps(model)
    return post


def test_dependent_residuals_are_found_and_independent_ones_seldom():
    post, alarms = residual(), 0
    for seed in range(400):
        x, many = drawn(seed, rows=50, tasks=4)
        tasks = [least_squares(x, y, name) for y, name in zip(many, "abcd", strict=True)]
        alarms += any(True for _ in dependent(post, tasks, 0.05))
    # Holm's bound of 20 in 400, 3.5 standard errors of 4.4
    assert alarms <= 20 + 3.5 * 4.4
    draw = np.random.default_rng(1)
    x = draw.normal(size=(150, 2))
    common = draw.normal(size=150)
    many = [x[:, 0] + draw.normal(size=150) + (0.8 * common if k < 2 else 0) for k in range(3)]
    tasks = [least_squares(x, y, name) for y, name in zip(many, "abc", strict=True)]
    (failure,) = dependent(post, tasks, 0.001)
    # 0.64 / 1.64 = 0.39 by construction
    assert (
        failure.where == "a and b"
        and 0.2 < failure.value < 0.6
        and 'residual = "correlated"' in failure.remedy
    )
    assert not list(dependent(residual("correlated"), tasks, 0.001))


def test_rows_that_two_tasks_do_not_share_say_nothing_of_dependence():
    x, (y,) = drawn(2)
    one, other = least_squares(x, y, "a"), least_squares(x, y, "b")
    apart = Scores(**(vars(other) | {"cell": other.cell + 1000}))
    assert not list(dependent(residual(), [one, apart], 0.05))
    assert list(dependent(residual(), [one, other], 0.05))


def test_a_row_that_is_far_out_in_all_its_tasks_is_named():
    post = residual()
    x, many = drawn(5, rows=80, tasks=3)
    for y in many:
        y[17] += 3.2
    tasks = [least_squares(x, y, name) for y, name in zip(many, "abc", strict=True)]
    (failure,) = outlying(post, tasks, 0.001)
    assert failure.where == "patient 17" and "1 of 80 rows" in failure.problem
    alarms = 0
    for seed in range(400):
        x, many = drawn(seed, rows=40, tasks=2)
        tasks = [least_squares(x, y, name) for y, name in zip(many, "ab", strict=True)]
        alarms += any(True for _ in outlying(post, tasks, 0.05))
    assert alarms <= 20 + 3.5 * 4.4


def test_a_row_moves_a_weight_as_a_fit_without_it_does():
    """One normal task with known noise, exact draws: the shift is in closed form."""
    draw = np.random.default_rng(6)
    rows = 25
    x = draw.normal(size=rows)
    y = 0.5 * x + draw.normal(size=rows)
    x[7], y[7] = 2.0, -2.0
    precision = x @ x + 1.0
    mean, sd = x @ y / precision, precision**-0.5
    without = (x @ y - x[7] * y[7]) / (precision - x[7] ** 2)
    weight = mean + sd * norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    log_weight = 0.5 * (y[:, None] - x[:, None] * weight) ** 2
    cells = Scores("u", "gaussian", np.arange(rows), np.zeros(rows), log_weight, x, x, x, 0.0)
    post = residual()
    posterior = xr.Dataset(
        {"weight": (("chain", "draw", "task", "feature"), weight[None, :, None, None])},
        coords={"task": ["u"], "feature": ["x"]},
    )
    tree = xr.DataTree.from_dict(
        {"posterior": posterior, "constant_data": xr.Dataset(coords={"task": ["u"], "feature": ["x"]})}
    )
    tree.attrs = post.attrs
    (failure,) = influential(tree, [cells], 0.5)
    np.testing.assert_allclose(failure.value, abs(without - mean) / sd, rtol=0.02)
    assert failure.where == "patient 7" and failure.value > 0.5
    assert not list(influential(tree, [cells], failure.value * 1.05))


TASKS, FEATURES = [f"t{i}" for i in range(6)], [f"x{k}" for k in range(15)]


def family(weight, share, scale=0.5):
    """A posterior that knows all weights, shares and scales for sure."""
    chains = (2, 20)
    coords = {"chain": range(2), "draw": range(20), "task": TASKS, "feature": FEATURES}
    posterior = xr.Dataset(
        {
            "weight": (("chain", "draw", "task", "feature"), np.broadcast_to(weight, (*chains, 6, 15))),
            "share": (("chain", "draw", "feature"), np.full((*chains, 15), share)),
            "scale": (("chain", "draw", "feature"), np.full((*chains, 15), scale)),
        },
        coords=coords,
    )
    constant = xr.Dataset(
        {"unit": ("task", np.ones(6)), "sd": ("feature", np.ones(15))},
        coords={"task": TASKS, "feature": FEATURES},
    )
    tree = xr.DataTree.from_dict({"posterior": posterior, "constant_data": constant})
    model = bm.Model(tasks=dict.fromkeys(TASKS, "gaussian"), formula=" + ".join(FEATURES), relation="partial")
    tree.attrs["model"] = model.to_json()
    return tree


def test_a_task_unlike_the_others_is_named():
    draw, share = np.random.default_rng(8), 0.9

    def weights():
        common, own = draw.normal(size=15), draw.normal(size=(6, 15))
        return 0.5 * (np.sqrt(share) * common + np.sqrt(1 - share) * own)

    # with all known the p-value is that of the chi square: 12 tables at 1 in 20 have 0.6
    # alarms, and more than 4 in 1 of 5,000 seeds
    assert sum(any(True for _ in unlike(family(weights(), share), 0.05)) for _ in range(12)) <= 4
    odd = weights()
    odd[3] *= -1
    failure = next(unlike(family(odd, share), 0.001))
    assert failure.where == "t3" and failure.block == "sharing" and "exchangeable_or_not" in failure.remedy
    assert not list(unlike(family(odd, 0.0), 0.001))  # none knows of another


def funnel():
    """Eight schools, centred: the effects pile up where their sd is small."""
    y = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
    error = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])

    def model():
        centre = numpyro.sample("offset", dist.Normal(0, 5))
        sd = numpyro.sample("sd_school", dist.HalfCauchy(5))
        with numpyro.plate("school", 8):
            effect = numpyro.sample("effect_school", dist.Normal(centre, sd))
            numpyro.sample("y", dist.Normal(effect, error), obs=y)

    mcmc = MCMC(NUTS(model, target_accept_prob=0.7), num_warmup=200, num_samples=1000, progress_bar=False)
    mcmc.run(jax.random.key(0))
    draws = {name: np.asarray(value)[None] for name, value in mcmc.get_samples().items()}
    dims = {"effect_school": ["school"]}
    posterior = {n: (("chain", "draw", *dims.get(n, [])), v) for n, v in draws.items()}
    stats = {"diverging": (("chain", "draw"), np.asarray(mcmc.get_extra_fields()["diverging"])[None])}
    coords = {"chain": [0], "draw": range(1000)}
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(posterior, coords=coords | {"school": list("abcdefgh")}),
            "sample_stats": xr.Dataset(stats, coords=coords),
        }
    )


def test_divergences_are_located_at_the_narrow_end_of_a_funnel():
    tree = funnel()
    diverging = tree.sample_stats["diverging"].values
    assert diverging.sum() >= 10
    first, *_ = sampler.located(tree, diverging)
    assert first.where == "sd_school" and first.value < -0.5 and "low" in first.problem
    assert first.block == "group effects" and "target_accept" in first.remedy
    # divergences anywhere: each parameter is off by 4 standard errors in 1 of 15,000
    anywhere = np.random.default_rng(1).permutation(diverging.ravel()).reshape(diverging.shape)
    assert not list(sampler.located(tree, anywhere))


@pytest.fixture(scope="module")
def made():
    draw = np.random.default_rng(11)
    x = draw.normal(size=(80, 2))
    table = pd.DataFrame(x, columns=["x", "z"])
    for name in ("u", "v"):
        table[name] = x @ [1.0, 0.5] + draw.normal(size=80)
    return table


@pytest.fixture(scope="module")
def held(made):
    """A fit with a prior of one weight that the data contradict."""
    model = bm.Model(
        tasks={"u": "gaussian", "v": "gaussian"},
        formula="x + z",
        priors={"weight[u, x]": "normal(0, 0.1)"},
        engine={"kind": "collapsed", **QUICK},
    )
    return bm.fit(model, made, seed=1)


def test_a_prior_that_the_data_contradict_is_named(held):
    failure, *more = contradicted(held, 0.05)
    assert failure.where == "weight[u, x]" and failure.block == "weights" and failure.arviz == 0.05
    assert failure.value > 0.05 and not more
    frame = bm.diagnostics(held)
    assert list(frame.columns) == ["where", "problem", "value", "threshold", "remedy", "block", "arviz"]
    assert frame.iloc[0]["where"] == "weight[u, x]" and not (frame["where"] == "v").any()


def test_scores_of_a_fit_are_those_of_least_squares(held, made):
    """A weak prior and 80 cells: the score of each is nearly that of least squares without it."""
    found = scored(held, "v", 0)
    exact = least_squares(made[["x", "z"]].to_numpy(), made["v"].to_numpy())
    assert np.abs(found.score - exact.score).max() < 0.25
    assert np.corrcoef(found.score, exact.score)[0, 1] > 0.995
    assert np.corrcoef(found.level, exact.level)[0, 1] > 0.999


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_ranks_and_tails_are_those_of_arviz():
    post = fake_posterior()
    loo = arviz_stats.loo(post, var_name="stay.days", pointwise=True, reff=1.0)
    given = {"log_weights": {"stay.days": loo.log_weights}, "pareto_k": {"stay.days": loo.pareto_k}}
    rank = arviz_stats.loo_pit(post, var_names="stay.days", **given)["stay.days"]
    found = scored(post, "stay.days", 0)
    np.testing.assert_allclose(found.pareto_k[found.pareto_k != 0], loo.pareto_k[found.pareto_k != 0])
    assert (found.pareto_k != 0).sum() > 3
    # the weights of the other cells are not smoothed, and vary by a tenth at most
    np.testing.assert_allclose(found.rank, rank, atol=0.02)


def test_two_discrete_tasks_have_random_ranks_of_their_own():
    """The same responses and predictions: one seed for both would make the tasks depend on each other."""
    post = fake_posterior(tasks=("stay", "mood", "readmit"))
    one, other = (scored(post, "readmit", number) for number in (1, 2))
    assert not np.allclose(one.rank, other.rank)


def test_predictors_that_tell_responses_apart_are_named():
    table = pd.DataFrame({"x": np.arange(30.0), "y": (np.arange(30) > 14).astype(float)})
    findings = bm.check(bm.Model(tasks={"y": "bernoulli"}, formula="x"), table)
    post = fake_posterior()
    assert not list(separated(post))
    post.attrs["findings"] = json.dumps([vars(finding) for finding in findings])
    (failure,) = separated(post)
    assert "apart" in failure.problem and failure.block == "weights"


def test_every_parameter_of_the_parts_has_a_block(held):
    names = {str(name) for name in held.posterior.data_vars}
    names |= {str(name) for name in fake_posterior().posterior.data_vars}
    assert {n for n in names if blocks.block(n) == "other"} <= set(blocks.DERIVED)
    assert (
        blocks.block("sigma_centre") == "noise" and blocks.block("residual_correlation[a, b]") == "residuals"
    )
    assert blocks.block("sd_ward[a, 1]") == "group effects"


def test_a_task_whose_rows_have_weights_is_not_tested():
    post = fake_posterior()
    drawn = post["posterior_predictive"].to_dataset()
    post["posterior_predictive"] = xr.DataTree(drawn.assign({"readmit": 0 * drawn["readmit"]}))
    assert "readmit" in set(bm.diagnostics(post)["where"])
    model = json.loads(post.attrs["model"])
    model["tasks"]["readmit"] = {"kind": "bernoulli", "weights": "count"}
    post.attrs["model"] = json.dumps(model)
    assert "readmit" not in set(bm.diagnostics(post)["where"])


def test_the_page_shows_the_rows_as_it_did():
    frame = bm.diagnostics(fake_posterior())
    assert len(frame) and (frame["block"] != "").all()
    assert len(tables.failures(frame).rows) == len(frame)
