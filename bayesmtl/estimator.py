"""A model as a scikit-learn estimator, for pipelines and cross-validation."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import Tags, assert_all_finite
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, validate_data

from bayesmtl.forecast.prediction import predictions
from bayesmtl.formulas import quoted
from bayesmtl.posterior import fit
from bayesmtl.spec import Model


class MultiTaskRegressor(RegressorMixin, BaseEstimator):
    """Several outcomes, of which each has a column of ``y``, fitted together.

    For what a model file can say beyond these, such as groups and graphs, use ``fit``. ``score`` is the mean
    share of the variance that is explained over outcomes; it needs every cell.

    Parameters
    ----------
    likelihood
        Of every outcome: a name or a table with options; or one for each, by its name.
    formula
        What predicts; by default all columns of ``X``.
    relation, shrinkage, residual, engine
        Parts, as in a ``Model``.
    random_state
        The seed of the draws.

    Attributes
    ----------
    posterior_
        The DataTree that ``fit`` gives.
    n_features_in_, feature_names_in_
        As of every estimator.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> cross_val_score(MultiTaskRegressor(relation="correlated"), X, y)  # doctest: +SKIP
    """

    def __init__(
        self,
        likelihood: Any = "gaussian",
        *,
        formula: str | None = None,
        relation: Any = "partial",
        shrinkage: Any = "normal",
        residual: Any = "independent",
        engine: Any = "auto",
        random_state: int = 0,
    ):
        self.likelihood = likelihood
        self.formula = formula
        self.relation = relation
        self.shrinkage = shrinkage
        self.residual = residual
        self.engine = engine
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "MultiTaskRegressor":
        """Condition on a table; an empty cell of several outcomes is no cell, its row stays.

        Parameters
        ----------
        X
            Predictors: a data frame, whose columns may hold categories, or numbers; [row, feature].
        y
            Outcomes; [row] or [row, task].
        """
        features = self._features(X, reset=True)
        tasks = self._tasks(y, features)
        given = self.likelihood if isinstance(self.likelihood, Mapping) else {}
        own = {name: given.get(name, self.likelihood) for name in tasks}
        if "kind" in given:
            own = dict.fromkeys(tasks, self.likelihood)
        model = Model(
            tasks=own,
            formula=self.formula or " + ".join(map(quoted, features)),
            relation=self.relation,
            shrinkage=self.shrinkage,
            residual=self.residual,
            engine=self.engine,
        )
        table = pd.concat([features, tasks], axis=1)
        self.posterior_ = fit(model, table, seed=self.random_state, watch=lambda progress: None)
        return self

    def __sklearn_tags__(self) -> Tags:
        """That there may be several outcomes, which scikit-learn's own checks ask for."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any) -> np.ndarray:
        """The expected outcomes; [row] or [row, task], as ``y`` was."""
        check_is_fitted(self, "posterior_")
        drawn = predictions(self.posterior_, self._features(X, reset=False)).expectations
        means = [drawn[task].mean(("chain", "draw")).values for task in drawn.data_vars]
        return means[0] if self._one else np.stack(means, axis=1)

    def _features(self, X: Any, reset: bool) -> pd.DataFrame:
        """The predictors as a frame; what is no frame has to be finite numbers."""
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, reset=reset, skip_check_array=True)
            named = {c: c if isinstance(c, str) else f"x{c}" for c in X}
            return X.reset_index(drop=True).rename(columns=named)
        numbers = validate_data(self, X, reset=reset, dtype=float, ensure_min_samples=2 if reset else 1)
        return pd.DataFrame(numbers, columns=[f"x{i}" for i in range(numbers.shape[1])])

    def _tasks(self, y: Any, features: pd.DataFrame) -> pd.DataFrame:
        """The outcomes as a frame of their names, or of ``y`` or ``y0``, ``y1``, ... without any."""
        if y is None:
            raise ValueError("MultiTaskRegressor requires y to be passed, but the target y is None")
        values = check_array(
            y, ensure_2d=False, dtype=float, ensure_all_finite="allow-nan", input_name="y", estimator=self
        )
        check_consistent_length(features, values)
        self._one = values.ndim == 1
        if self._one:  # an empty cell of several outcomes was not measured; of one, it is a mistake
            assert_all_finite(values, input_name="y")
            values = values[:, None]
        names = ["y"] if self._one else [f"y{i}" for i in range(values.shape[1])]
        if isinstance(y, pd.DataFrame):
            names = list(map(str, y.columns))
        elif isinstance(y, pd.Series) and y.name is not None:
            names = [str(y.name)]
        return pd.DataFrame(values, columns=names)
