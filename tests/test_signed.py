"""Expected signs beside quick fits: estimates, errors and levels."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from test_adjustment import Regression, canonical, graphs, linear

import bayesmtl as bm
from bayesmtl.causal.dag import Dag
from bayesmtl.evidence.signed import beside, slope
from bayesmtl.evidence.variables import Variable, predictor


def number(y):
    return Variable(np.asarray(y, float)[:, None])


def test_what_is_adjusted_for_leaves_the_coefficient_of_the_arrow():
    told = none = 0
    for seed, (_, dag, nodes) in enumerate(graphs(200)):
        names, weights, cov = linear(canonical(dag), seed)
        for cause, effect in dag.arrows & {(a, b) for a in nodes for b in nodes}:
            given = beside(dag, cause, effect)
            if given is None:
                none += 1
                continue
            fitted = Regression(names, cov, effect, [cause, *sorted(given)]).weights[0]
            assert np.isclose(fitted, weights[names.index(effect), names.index(cause)])
            told += 1
    assert told > 200 and none > 20


def test_what_selects_the_rows_by_the_effect_leaves_no_arrow_told():
    assert beside(Dag.read("x -> y -> s\nselected: s"), "x", "y") is None
    assert beside(Dag.read("x -> y\nx -> s\nselected: s"), "x", "y") == frozenset()


def test_least_squares_with_a_few_values_given_and_the_sandwich_of_huber_and_white():
    draw = np.random.default_rng(1)
    z = draw.integers(0, 3, 150).astype(float)
    x = z + draw.normal(size=150)
    y = 2 * x - z + x * draw.normal(size=150)
    terms = np.column_stack([x, z == 0, z == 1, z == 2]).astype(float)
    inverse = np.linalg.inv(terms.T @ terms)
    beta = inverse @ terms.T @ y
    scores = terms * (y - terms @ beta)[:, None]
    found = slope(number(x), number(y), [number(z)])
    assert found.estimate == pytest.approx(beta[0])
    assert found.error**2 == pytest.approx((inverse @ scores.T @ scores @ inverse)[0, 0] * 150 / 146)
    assert (found.df, found.n, found.dropped, found.groups) == (pytest.approx(146), 150, 0, 0)
    # each row twice, as groups of two, is each row once
    again_x, again_y, again_z = (number(np.repeat(v, 2)) for v in (x, y, z))
    twice = slope(again_x, again_y, [again_z], np.repeat(range(150), 2))
    assert twice.estimate == pytest.approx(found.estimate)
    assert (twice.error, twice.df) == (pytest.approx(found.error), pytest.approx(found.df))
    assert (twice.n, twice.groups) == (300, 150)


def test_zeros_and_ones_have_the_slope_of_sklearn():
    draw = np.random.default_rng(2)
    z, x = draw.integers(0, 2, 400).astype(float), draw.normal(size=400)
    y = draw.random(400) < expit(x - z)
    theirs = LogisticRegression(C=1e8, tol=1e-10, max_iter=1000).fit(np.column_stack([x, z]), y)
    found = slope(number(x), predictor(pd.Series(y)), [number(z)])
    assert found.estimate == pytest.approx(theirs.coef_[0, 0], rel=2e-3)  # a ridge is in it
    chance = theirs.predict_proba(np.column_stack([x, z]))[:, 1]
    terms = np.column_stack([x, z, np.ones(400)])
    fisher = np.linalg.inv(terms.T @ ((chance * (1 - chance))[:, None] * terms))
    assert found.error == pytest.approx(np.sqrt(fisher[0, 0]), rel=0.1)  # the sandwich is near the bread


def test_rows_that_tell_nothing_have_no_slope():
    x, y = np.arange(30.0), np.sin(np.arange(30.0))
    for one in (
        slope(number(x), number(np.ones(30)), []),
        slope(number(np.ones(30)), number(y), []),
        slope(number(x), number(y), [number(2 * x)]),
        slope(number(x), predictor(pd.Series(x < 3)), []),
        slope(number(np.where(x < 28, np.nan, x)), number(y), []),
    ):
        assert np.isnan(one.estimate) and one.n + one.dropped == 30


def wards(draw, rows=400):
    """A table in which age turns the sign that dose and pain have together."""
    age = draw.normal(size=rows)
    dose = 2 * age + draw.normal(size=rows)
    pain = 3 * age - dose + draw.normal(size=rows)
    grade = pd.Categorical.from_codes(np.digitize(-pain, [-1, 1]), ["low", "mid", "high"], ordered=True)
    word = draw.choice(["a", "b", "c"], rows)
    return pd.DataFrame({"age": age, "dose": dose, "pain": pain, "calm": grade, "word": word})


GRAPH = """
age -> dose, pain +
dose -> pain {}
pain -> calm -
word, u -> pain +
latent: u
"""


def test_a_sign_that_confounding_turns_is_told_right_and_a_wrong_one_is_contradicted():
    table = wards(np.random.default_rng(3))
    assert stats.pearsonr(table.dose, table.pain).statistic > 0.2
    tasks = {"pain": "gaussian", "calm": {"kind": "ordinal", "levels": 3}}
    model = bm.Model(tasks=tasks, dag=GRAPH.format("-"))
    table["calm"] = table["calm"].cat.codes
    found = bm.signs(model, table).set_index(["cause", "effect"])
    assert found["adjust"].to_dict() == {
        ("age", "dose"): "nothing",
        ("age", "pain"): "dose, word",
        ("dose", "pain"): "age, word",
        ("pain", "calm"): "nothing",
        ("word", "pain"): "age, dose",
    }
    told = found.drop(("word", "pain"))  # three words have no order
    assert np.isnan(found.loc[("word", "pain"), ["estimate", "p", "holm"]].astype(float)).all()
    assert (told["p"] > 0.999).all() and found.loc[("dose", "pain"), "high"] < -0.8
    wrong = bm.signs(bm.Model(tasks=tasks, dag=GRAPH.format("+")), table)
    assert wrong.loc[0, ["cause", "effect", "expected"]].tolist() == ["dose", "pain", "+"]
    assert wrong.loc[0, "holm"] < 1e-6 and wrong["p"].dropna().is_monotonic_increasing


def test_an_arrow_that_no_set_tells_has_no_numbers():
    model = bm.Model(tasks={"pain": "gaussian"}, dag="dose -> pain +\ndose <-> pain")
    (row,) = bm.signs(model, wards(np.random.default_rng(4))).itertuples()
    assert (row.adjust, row.n) == ("none", 0) and np.isnan(row.p) and np.isnan(row.low)
    exact = bm.signs(
        bm.Model(tasks={"b": "gaussian"}, dag="a -> b -"),
        pd.DataFrame({"a": [1, 2, 3, 4.0], "b": [2, 4, 6, 8.0]}),
    )
    assert (exact.estimate[0], exact.p[0]) == (pytest.approx(2), pytest.approx(0))
    none = bm.signs(bm.Model(tasks={"pain": "gaussian"}, dag="dose -> pain"), wards(np.random.default_rng(4)))
    assert none.empty and "holm" in none


@pytest.mark.parametrize("grouped", [False, True])
def test_where_there_is_no_effect_a_twentieth_of_the_tables_contradicts_a_sign(grouped):
    below = 0
    for seed in range(400):
        draw = np.random.default_rng(seed)
        ward = np.repeat(np.arange(40), 5)
        shared = draw.normal(size=(2, 40))[:, ward] if grouped else np.zeros((2, 200))
        z = draw.normal(size=200)
        x = z**2 + shared[0] + draw.normal(size=200)
        y = z**2 + shared[1] + draw.normal(size=200)
        found = slope(number(x), number(y), [number(z)], ward if grouped else None)
        below += stats.t.cdf(found.estimate / found.error, found.df) < 0.05
    # 20 of 400; beyond 8 and 36 lies one in 400 of binomial counts
    assert 8 < below < 36
