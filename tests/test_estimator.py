"""The scikit-learn estimator: scikit-learn's own checks, a pipeline, and agreement with least squares."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import bayesmtl as bm
from bayesmtl.estimator import MultiTaskRegressor

QUICK = {"kind": "nuts", "chains": 1, "warmup": 50, "draws": 50}
FLAT = {"shrinkage": "flat", "relation": "independent"}


def table(rows=120):
    draw = np.random.default_rng(1)
    X = pd.DataFrame({"age": draw.normal(size=rows), "b m i": draw.normal(size=rows)})
    y = pd.DataFrame({"stay": 2 * X["age"] + 1, "pain": X["age"] - X["b m i"]}) + draw.normal(size=(rows, 2))
    return X, y


def test_it_expects_what_least_squares_does_and_names_are_the_tables():
    X, y = table()
    found = MultiTaskRegressor(**FLAT).fit(X, y)
    np.testing.assert_allclose(found.predict(X), LinearRegression().fit(X, y).predict(X), atol=0.05)
    assert list(found.posterior_.posterior["weight"].task.values) == ["stay", "pain"]
    assert list(found.feature_names_in_) == ["age", "b m i"]


def test_an_empty_cell_of_several_outcomes_is_no_cell():
    X, y = table()
    y.loc[::3, "pain"] = np.nan
    found = MultiTaskRegressor(**FLAT).fit(X, y)
    seen = y["pain"].notna()
    ols = LinearRegression().fit(X[seen], y.loc[seen, "pain"])
    np.testing.assert_allclose(found.predict(X)[:, 1], ols.predict(X), atol=0.05)


def test_it_stands_in_a_pipeline_and_is_cross_validated():
    X, y = table(60)
    pipeline = make_pipeline(StandardScaler(), MultiTaskRegressor(engine=QUICK))
    scores = cross_val_score(pipeline, X, y, cv=2)
    assert scores.shape == (2,) and (scores > 0.3).all()  # the truth explains 0.8 and 0.67


def test_a_likelihood_for_each_outcome_and_a_fault_as_a_finding():
    X, y = table(60)
    y["gone"] = (y["stay"] > 0).astype(float)
    kinds = {"stay": "gaussian", "pain": {"kind": "student_t"}, "gone": "bernoulli"}
    found = MultiTaskRegressor(kinds, engine=QUICK).fit(X, y)
    assert list(found.posterior_.constant_data["likelihood"].values) == ["gaussian", "student_t", "bernoulli"]
    with pytest.raises(bm.ModelError, match="gausian"):
        MultiTaskRegressor("gausian").fit(X, y)


class Fake:
    """Stands in for a posterior: least squares, in no time."""

    def __init__(self, model, table, **_):
        self.tasks = list(model.tasks)
        self.features = [name for name in table if name not in self.tasks]
        self.found = LinearRegression().fit(table[self.features].values, table[self.tasks].values)

    def expectations(self, table):
        said = self.found.predict(table[self.features].values)
        rows = {name: (("chain", "draw", "row"), one[None, None]) for name, one in zip(self.tasks, said.T)}
        return xr.Dataset(rows)


@parametrize_with_checks([MultiTaskRegressor()])
def test_scikit_learns_own_checks(estimator, check, monkeypatch):
    """They are about the estimator; what it fits is another test's matter."""
    monkeypatch.setattr("bayesmtl.estimator.fit", Fake)
    monkeypatch.setattr(
        "bayesmtl.estimator.predictions",
        lambda post, table: SimpleNamespace(expectations=post.expectations(table)),
    )
    check(estimator)
