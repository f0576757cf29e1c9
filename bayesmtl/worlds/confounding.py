"""How strong a cause that was not measured must be to explain an effect away."""

import json

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import t as student

from bayesmtl import parts
from bayesmtl.errors import Finding, ModelError
from bayesmtl.reports.weights import tempered
from bayesmtl.spec import Model, Task


def sensitivity(post: xr.DataTree, *, prob: float = 0.9) -> pd.DataFrame:
    """How strong an unmeasured cause of a predictor and of a task must be to explain a weight away.

    Of normal tasks with one noise: there the weights are those of a linear regression, and what a missing
    predictor does to them is known. It is as strong as the shares it has of the variance that the measured
    predictors leave: of the task, and of the predictor (partial R²). ``robustness`` is the share of both that
    takes the weight to 0, ``robustness_interval`` the one that takes an end of its interval there. What is
    weaker in both can't. The ``partial_r2`` of the predictor is what even a cause that explains all that is
    left of the task would need of the predictor, to take the weight to 0; that of the others is what to
    compare a missing one with.

    Parameters
    ----------
    post
        A posterior. Its means and standard deviations stand for the estimates and errors of a regression, so
        that the prior and what tasks share are counted as knowledge. Effects of groups don't count as
        predictors.
    prob
        Of the intervals.

    Returns
    -------
    DataFrame
        A row for each normal task and ``feature`` of its formula: ``weight``, ``low`` and ``high``, and the
        shares of variance ``partial_r2``, ``robustness`` and ``robustness_interval``, from 0 to 1.

    Raises
    ------
    ModelError
        When no task is normal, with one noise and cells that count once.

    References
    ----------
    Cinelli and Hazlett (2020). Making sense of sensitivity: extending omitted variable bias. Journal of the
        Royal Statistical Society B 82, 39-67.

    Examples
    --------
    >>> sensitivity(post).query("feature == 'dose'")  # doctest: +SKIP
    """
    constant = post.constant_data
    model = Model.read(json.loads(post.attrs["model"]))
    listed = model.listed_tasks([str(name) for name in constant.task.values])
    known = [one for one, own in zip(listed, tempered(post), strict=True) if _linear(one) and not own]
    if not known:
        problem = "have no normal one with one noise and cells that count once."
        raise ModelError(Finding("tasks", problem, "The weights of others are no partial correlations."))
    rows = []
    for one in known:
        uses = constant.uses.sel(task=one.name)
        left = int(constant["cells"].sel(task=one.name)) - int(uses.sum()) - 1
        for name in uses.feature.values[uses.values]:
            weight = post.posterior["weight"].sel(task=one.name, feature=name).values.ravel()
            if left > 1 and weight.std() > 0:
                rows.append([one.name, str(name), *_told(weight, left, prob)])
    columns = ["task", "feature", "weight", "low", "high", "partial_r2", "robustness", "robustness_interval"]
    return pd.DataFrame(rows, columns=columns)


def robustness(t: float, df: int, away: float = 0.0) -> float:
    """The share of both variances that takes a t statistic to ``away`` standard errors from 0.

    ``df`` are the degrees of freedom of the regression; the missing predictor takes one of them.
    """
    f, limit = abs(t) / np.sqrt(df), away / np.sqrt(df - 1)
    if f <= limit:
        return 0.0
    if f * limit > 1:  # a missing predictor also takes noise away: here less of the task's is worse
        return (f**2 - limit**2) / (1 + f**2)
    rest = (f - limit) ** 2
    return (np.sqrt(rest**2 + 4 * rest) - rest) / 2


def _told(weight: np.ndarray, df: int, prob: float) -> list[float]:
    """A weight with its interval, its partial R², and its robustness."""
    low, high = np.quantile(weight, [(1 - prob) / 2, (1 + prob) / 2])
    t = weight.mean() / weight.std(ddof=1)
    away = student.ppf((1 + prob) / 2, df - 1)
    return [weight.mean(), low, high, t**2 / (t**2 + df), robustness(t, df), robustness(t, df, away)]


def _linear(task: Task) -> bool:
    """Whether a task has normal noise of one standard deviation."""
    if task.likelihood["kind"] != "gaussian":
        return False
    options = parts.settings("likelihoods", task.likelihood)
    return options["se"] is None and not isinstance(options["sigma"], dict)
