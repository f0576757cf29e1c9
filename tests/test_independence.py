"""Tests of conditional independence: residuals, their products, and how often these raise an alarm."""

import numpy as np
import pandas as pd
import pytest
from formulaic import model_matrix
from scipy import stats
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from bayesmtl.errors import ModelError
from bayesmtl.evidence.independence import independent
from bayesmtl.evidence.residualised import basis, residuals
from bayesmtl.evidence.variables import Variable, outcome, predictor
from bayesmtl.spec import Task

ROWS = 211
Z = np.random.default_rng(3).integers(0, 3, ROWS).astype(float)[:, None]  # saturated as a basis: three means


def number(*columns: np.ndarray) -> Variable:
    return Variable(np.column_stack(columns))


def task(kind: str, values: object, **options: object) -> Variable:
    table = pd.DataFrame({"y": values, "size": np.linspace(1, 4, len(values))})
    return outcome(Task("y", "y", None, {"kind": kind, **options}), table)


def cells(values: np.ndarray) -> np.ndarray:
    """The means of the rows with the same Z."""
    return pd.DataFrame(values).groupby(Z[:, 0]).transform("mean").to_numpy()


def test_a_number_given_a_number_is_its_residual_from_a_cubic_spline():
    z, x, y = np.random.default_rng(1).normal(size=(3, 500))
    x, y = x + np.sin(z), y + z**2
    spline = np.asarray(model_matrix("bs(z, df=5)", pd.DataFrame({"z": z})))
    left, right = (v - spline @ np.linalg.lstsq(spline, v)[0] for v in (x, y))
    found = independent({"x": number(x), "y": number(y), "z": number(z)}, "x", "y", ["z"])
    assert found.effect == pytest.approx(np.corrcoef(left, right)[0, 1], abs=1e-9)
    assert found.statistic == pytest.approx(
        (left @ right) ** 2 / (500 * np.var(left * right, ddof=1)) * (500 - 6) / 500, rel=1e-9
    )


def test_a_number_that_is_given_with_few_values_is_a_mean_for_each():
    y = np.random.default_rng(2).normal(size=ROWS)
    assert np.allclose(residuals(number(y), basis([Z], ROWS)), y[:, None] - cells(y), atol=1e-12)


def test_without_anything_given_it_is_a_t_test_of_the_products():
    x, y = np.random.default_rng(4).exponential(size=(2, 53))
    product = (x - x.mean()) * (y - y.mean())
    t = stats.ttest_1samp(product, 0).statistic * np.sqrt(52 / 53)
    found = independent({"x": number(x), "y": number(y)}, "x", "y")
    assert (found.statistic, found.df, found.n) == (pytest.approx(t**2), 1, 53)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), 51))


def test_categories_have_the_residuals_of_a_saturated_regression_and_cramers_v():
    draw = np.random.default_rng(5)
    colour = draw.choice(["red", "green", "blue"], ROWS, p=[0.5, 0.3, 0.2])
    size = np.where((colour == "red") & (draw.random(ROWS) < 0.3), "m", draw.choice(["s", "m", "l"], ROWS))
    left, right = (predictor(pd.Series(v)) for v in (colour, size))
    green = (colour == "green")[:, None].astype(float)
    ours = residuals(left, basis([Z], ROWS))
    assert ours.shape == (ROWS, 2)  # red is the commonest
    assert np.allclose(ours[:, 1:], green - cells(green), atol=1e-3)  # a ridge is in it
    found = independent({"colour": left, "size": right}, "colour", "size")
    v = stats.contingency.association(pd.crosstab(colour, size).to_numpy(), method="cramer")
    assert found.effect == pytest.approx(v, abs=1e-9)
    assert found.df == 2 * 2


def test_rare_categories_count_as_the_commonest():
    words = pd.Series(["a"] * 100 + ["b"] * 60 + ["c"] * 4)
    kept = residuals(predictor(words), basis([], 164))
    assert kept.shape == (164, 1)
    assert np.allclose(kept[:, 0], (words == "b") - 60 / 164)


def test_grades_have_the_probability_scale_residual():
    grade = pd.Categorical(
        np.random.default_rng(6).choice(["low", "mid", "high"], ROWS), ["low", "mid", "high"], ordered=True
    )
    ours = residuals(predictor(pd.Series(grade)), basis([], ROWS))[:, 0]
    assert np.allclose(ours, (2 * stats.rankdata(grade.codes) - ROWS - 1) / ROWS, atol=1e-9)
    given = residuals(task("ordinal", grade.codes, levels=3), basis([Z], ROWS))[:, 0]
    for z in range(3):
        here = Z[:, 0] == z
        rank = (2 * stats.rankdata(grade.codes[here]) - here.sum() - 1) / here.sum()
        assert np.allclose(given[here], rank, atol=2e-3)


def test_zeros_and_ones_are_regressed_as_sklearn_does():
    z = np.random.default_rng(7).normal(size=ROWS)
    y = (np.random.default_rng(8).random(ROWS) < expit(1 + 2 * z)).astype(float)
    terms = basis([z[:, None]], ROWS)
    theirs = LogisticRegression(C=100.0, tol=1e-10, max_iter=10_000).fit(terms[:, 1:], y)
    left = y - theirs.predict_proba(terms[:, 1:])[:, 1]
    assert np.allclose(residuals(task("bernoulli", y), terms)[:, 0], left, atol=1e-5)
    assert np.allclose(residuals(predictor(pd.Series(y == 1)), terms)[:, 0], left, atol=1e-5)


def test_counts_are_regressed_as_sklearn_does_by_their_exposure():
    z = np.random.default_rng(9).normal(size=ROWS)
    size = np.linspace(1, 4, ROWS)
    y = np.random.default_rng(10).poisson(size * np.exp(z))
    terms = basis([z[:, None]], ROWS)
    theirs = PoissonRegressor(alpha=0.01 / size.sum(), tol=1e-10, max_iter=10_000)
    theirs.fit(terms[:, 1:], y / size, sample_weight=size)
    ours = residuals(task("poisson", y, exposure="size"), terms)[:, 0]
    assert np.allclose(ours, y - size * theirs.predict(terms[:, 1:]), atol=1e-4)


def test_positive_outcomes_are_logarithms_and_shares_need_not_be_whole():
    y = np.random.default_rng(11).gamma(2.0, size=ROWS)
    assert np.array_equal(task("gamma", y).y[:, 0], np.log(y))
    for kind, values in (("lognormal", [0, 1]), ("poisson", [-1, 1]), ("bernoulli", [1, 2])):
        with pytest.raises(ModelError, match=rf"tasks\.y: has values that {kind} can't give"):
            task(kind, values)
    with pytest.raises(ModelError, match="which is no finite number"):
        task("bernoulli", ["yes", "no"])
    share = y / (1 + y)
    assert np.allclose(
        residuals(task("beta", share), basis([Z], ROWS))[:, 0], share - cells(share)[:, 0], atol=1e-3
    )


def test_separated_categories_leave_finite_residuals():
    z = np.linspace(-1, 1, ROWS)
    left = residuals(task("bernoulli", (z > 0).astype(float)), basis([z[:, None]], ROWS))
    assert np.isfinite(left).all() and np.abs(left).max() < 0.5


def test_groups_of_rows_are_summed():
    draw = np.random.default_rng(12)
    of = draw.integers(0, 17, ROWS)
    x, y = draw.normal(size=(2, ROWS)) + draw.normal(size=(2, 17))[:, of]
    product = (x - x.mean()) * (y - y.mean())
    sums = np.array([product[of == g].sum() for g in range(17)])
    by_hand = sums.sum() ** 2 / (17 / 16 * ((sums - sums.mean()) ** 2).sum()) * 16 / 17
    found = independent({"x": number(x), "y": number(y)}, "x", "y", groups=of)
    assert (found.statistic, found.groups) == (pytest.approx(by_hand), 17)


def test_rows_that_are_copied_within_their_group_tell_nothing_new():
    x, y = np.random.default_rng(13).normal(size=(2, 40))
    alone = independent({"x": number(x), "y": number(y)}, "x", "y")
    copied = {"x": number(np.repeat(x, 5)), "y": number(np.repeat(y, 5))}
    assert independent(copied, "x", "y", groups=np.repeat(np.arange(40), 5)).p == pytest.approx(alone.p)
    assert independent(copied, "x", "y").p < alone.p


def test_rows_with_an_empty_cell_are_left_out_and_counted():
    x, y, z = np.random.default_rng(14).normal(size=(3, 100))
    x[:7], y[5:10] = np.nan, np.nan
    of = np.r_[np.arange(98) // 2, -1, -1]
    names = {"x": number(x), "y": number(y), "z": number(z)}
    found = independent(names, "x", "y", ["z"])
    whole = independent({name: number(v.y[10:]) for name, v in names.items()}, "x", "y", ["z"])
    assert (found.n, found.dropped, found.groups) == (90, 10, 0)
    assert found.p == whole.p
    grouped = independent(names, "x", "y", ["z"], of)
    assert (grouped.n, grouped.dropped, grouped.groups) == (88, 12, 44)


def test_what_can_not_be_tested_has_no_p():
    x, y = np.random.default_rng(15).normal(size=(2, 30))
    names = {
        "x": number(x),
        "y": number(y),
        "one": number(np.ones(30)),
        "twice": number(2 * x),
        "few": number(x),
    }
    names["few"].y[2:] = np.nan
    for a, b, given in (("one", "y", []), ("few", "y", []), ("x", "y", ["twice"])):
        found = independent(names, a, b, given)
        assert found.df == 0
        assert np.isnan([found.p, found.statistic, found.effect]).all(), (a, b, given)


def draws(scenario: str, seed: int, effect: float) -> tuple[dict[str, Variable], np.ndarray | None]:
    """500 rows: x and y have the cause z, which is empty in a tenth of the rows."""
    draw = np.random.default_rng([seed, 500])
    z, noise = draw.normal(size=(2, 500))
    of = None
    x: object = z + draw.normal(size=500)
    if scenario == "numbers":
        y = number(z + effect * x + noise)
    elif scenario == "binary and count":
        x = draw.random(500) < expit(z)
        y = task("poisson", draw.poisson(np.exp(0.3 * z + 2 * effect * x)))
    elif scenario == "categories and count":
        odds = np.column_stack([0 * z, z, -0.5 * z]) + draw.gumbel(size=(500, 3))
        x = np.array(["a", "b", "c"])[odds.argmax(axis=1)]
        y = task("poisson", draw.poisson(np.exp(0.5 * z + 2 * effect * (x == "b"))))
    elif scenario == "binary and number, by squares":
        x = draw.random(500) < expit(z**2 - 1)
        y = number(z**2 + 2 * effect * x + noise)
    elif scenario == "grades and number":
        x = pd.Categorical.from_codes(np.digitize(x, [-1.5, 0, 1]), list("abcd"), ordered=True)
        y = number(z + effect * x.codes + noise)
    else:
        of = draw.integers(0, 50, 500)
        if scenario == "groups that share z":
            z = draw.normal(size=50)[of]
        x = z + draw.normal(size=50)[of] + draw.normal(size=500)
        y = number(z + draw.normal(size=50)[of] + effect * x + noise)
    z = np.where(draw.random(500) < 0.1, np.nan, z)
    return {"x": predictor(pd.Series(x)), "y": y, "z": number(z)}, of


def alarms(scenario: str, count: int, effect: float = 0.0, *, grouped: bool = True) -> float:
    """How often p is below 0.05."""
    found = []
    for seed in range(count):
        variables, of = draws(scenario, seed, effect)
        found.append(independent(variables, "x", "y", ["z"], of if grouped else None).p)
    assert np.isfinite(found).all()
    return float(np.mean(np.array(found) < 0.05))


def test_p_is_uniform_under_independence():
    # one false alarm in a thousand, were the seeds others
    variables = (draws("numbers", seed, 0.0)[0] for seed in range(300))
    assert stats.kstest([independent(v, "x", "y", ["z"]).p for v in variables], "uniform").pvalue > 0.001


@pytest.mark.slow
@pytest.mark.parametrize(
    "scenario, power",
    [
        ("numbers", 0.8),
        ("binary and count", 0.8),
        ("categories and count", 0.7),
        ("binary and number, by squares", 0.7),
        ("grades and number", 0.55),
        ("groups", 0.3),
        ("groups that share z", 0.3),
    ],
)
def test_false_alarms_are_as_rare_as_they_should_be_and_true_ones_are_not(scenario, power):
    # 2,000 draws: were the level 0.05, it would be seen outside once in 480 times for each scenario
    level, found = alarms(scenario, 2000), alarms(scenario, 500, 0.15)
    assert 0.035 < level < 0.065
    assert found > power


@pytest.mark.slow
def test_rows_of_groups_raise_false_alarms_when_taken_for_independent():
    assert alarms("groups", 300, grouped=False) > 0.1
