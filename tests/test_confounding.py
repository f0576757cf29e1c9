"""Sensitivity to what was not measured: against regressions, and against a search over missing predictors."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t
from test_intervention import DRAWS, posterior

import bayesmtl as bm
from bayesmtl.worlds.confounding import robustness


def test_numbers_of_the_paper():
    # Cinelli and Hazlett (2020), table 1: harm in Darfur, a t value of 4.18 with 783 degrees of freedom
    assert robustness(4.184, 783) == pytest.approx(0.139, abs=5e-4)
    assert robustness(4.184, 783, t.ppf(0.975, 782)) == pytest.approx(0.076, abs=5e-4)


@pytest.mark.parametrize(
    "value, df, away", [(2.5, 12, 0.0), (4.0, 30, 2.05), (30.0, 9, 2.3), (1.0, 30, 2.05)]
)
def test_nothing_weaker_takes_a_weight_there(value, df, away):
    # the t statistic of the weight beside a predictor that has these shares of what is left, over a fine grid
    found = robustness(value, df, away)
    share = np.linspace(0, 0.999, 1000)
    of_task, of_exposure = np.meshgrid(share, share)
    bias = np.sqrt(of_task * of_exposure / (1 - of_exposure))
    left = (value / np.sqrt(df) - bias) * np.sqrt((1 - of_exposure) / (1 - of_task)) * np.sqrt(df - 1)
    strength = np.maximum(of_task, of_exposure)[left <= away].min(initial=1.0)
    assert found == pytest.approx(strength, abs=1.5e-3)


def regression():
    """A table, and its regressions of y and of z on the predictors: estimates and their errors."""
    draw = np.random.default_rng(3)
    a, b = draw.normal(size=(2, 50))
    rows = pd.DataFrame(
        {"a": a, "b": a + b, "y": a + 0.3 * b + draw.normal(size=50), "z": b + draw.normal(size=50)}
    )
    x = np.column_stack([np.ones(50), rows.a, rows.b])
    inverse = np.linalg.inv(x.T @ x)
    estimate = inverse @ x.T @ rows[["y", "z"]].to_numpy()
    rest = rows[["y", "z"]].to_numpy() - x @ estimate
    error = np.sqrt(np.outer(np.diag(inverse), (rest**2).sum(0) / 47))
    return rows, estimate[1:].T, error[1:].T


def test_shares_are_those_of_the_regression():
    rows, estimate, error = regression()
    # draws with the mean and the standard deviation of the estimates
    z = norm.ppf((np.arange(DRAWS) + 0.5) / DRAWS)
    z /= z.std(ddof=1)
    weight = estimate + error * z[None, :, None, None]
    model = bm.Model(tasks={"y": "gaussian", "z": "gaussian"}, formula="a + b")
    found = bm.sensitivity(posterior(model, rows, weight=(("task", "feature"), weight)))
    assert found[["task", "feature"]].to_numpy().tolist() == [["y", "a"], ["y", "b"], ["z", "a"], ["z", "b"]]
    np.testing.assert_allclose(found.weight, estimate.ravel(), rtol=1e-9)

    def left(column, others):
        x = np.column_stack([np.ones(50), rows[others]])
        return rows[column] - x @ np.linalg.lstsq(x, rows[column], rcond=None)[0]

    squares = [np.corrcoef(left(y, [o]), left(x, [o]))[0, 1] ** 2 for y in "yz" for x, o in ("ab", "ba")]
    np.testing.assert_allclose(found.partial_r2, squares, rtol=1e-9)
    want = [robustness(value, 47) for value in (estimate / error).ravel()]
    np.testing.assert_allclose(found.robustness, want, rtol=1e-9)
    assert (found.robustness_interval < found.robustness).all() and (found.low < found.weight).all()
    assert ((found.robustness_interval == 0) == (np.abs(estimate / error).ravel() < t.ppf(0.95, 46))).all()


def test_tasks_that_are_no_linear_regression_are_left_out():
    rows = regression()[0].assign(n=lambda frame: (frame.a > 0) * 1)
    tasks = {
        "y": "gaussian",
        "z": {"kind": "gaussian", "sigma": {"formula": "a"}},
        "n": "poisson",
        "a": {"kind": "gaussian", "importance": 0.5, "formula": "b"},
    }
    found = bm.sensitivity(posterior(bm.Model(tasks=tasks, formula="b"), rows))
    assert found.task.tolist() == ["y"]
    with pytest.raises(bm.ModelError, match="tasks: have no normal one"):
        bm.sensitivity(posterior(bm.Model(tasks={"n": "poisson"}, formula="b"), rows))
