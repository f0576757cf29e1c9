"""How the tasks are related."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.alike import correlation, covariance, flat, lines, membership, taken

PAIR = ["of", "task", "task_"]


def relatedness(post: xr.DataTree, *, prob: float = 0.9) -> pd.DataFrame:
    """The correlations between tasks, with the prior beside the posterior; a row for each two tasks.

    ``of`` says of what: of ``weights``, what the relation makes of the prior of two tasks' weights given all
    that it learned, on average over the features; of ``residuals``; or of the effects of a group that links
    tasks. ``positive`` is the probability that a correlation is above 0. Of a relation that
    is a mixture, ``together`` is the probability that two tasks are in one cluster, or that both borrow.
    Where the prior's interval is nearly the posterior's, the data say little: few features know little of how
    tasks are related.

    Returns
    -------
    DataFrame
        Index ``of``, ``task`` and ``task_``; columns ``mean``, ``low``, ``high`` and ``positive``, then
        ``prior``, ``prior_low`` and ``prior_high``, then ``together`` and ``prior_together``.

    Examples
    --------
    >>> relatedness(post).loc["weights"]["mean"].unstack()  # doctest: +SKIP

    References
    ----------
    Zhang and Yeung (2010). A convex formulation for learning task relationships in multi-task learning.
        Uncertainty in Artificial Intelligence, 733-742.
    Bakker and Heskes (2003). Task clustering and gating for Bayesian multitask learning. Journal of Machine
        Learning Research 4, 83-99.
    """
    edges = [(1 - prob) / 2, (1 + prob) / 2]
    after = {label: (drawn, same) for label, drawn, same in _pairs(post, "posterior")}
    before = {label: (drawn, same) for label, drawn, same in _pairs(post, "prior")} if "prior" in post else {}
    unknown = np.full(1, np.nan), np.nan
    rows = []
    for label, (drawn, same) in after.items():
        first, first_same = before.get(label, unknown)
        chance = (drawn > 0).mean()
        prior = first.mean(), *np.quantile(first, edges)
        rows.append((*label, drawn.mean(), *np.quantile(drawn, edges), chance, *prior, same, first_same))
    ends = ["mean", "low", "high", "positive", "prior", "prior_low", "prior_high"]
    return pd.DataFrame(rows, columns=[*PAIR, *ends, "together", "prior_together"]).set_index(PAIR)


def _pairs(post: xr.DataTree, group: str) -> Iterator[tuple[tuple[str, str, str], np.ndarray, float]]:
    """Each pair's correlation at each draw, and its probability of being together."""
    line = lines(post)
    task = line.labels
    take = taken(post, group, max(1, post.constant_data.sizes["feature"]) * len(task) ** 2)
    by_feature = correlation(covariance(post, take, group))
    found = by_feature[:, np.isfinite(by_feature).all((0, 2, 3))]
    together = membership(post[group].to_dataset(), line, take)
    if found.size:
        found = found.mean(1)
        for i, j in combinations(range(len(task)), 2):
            same = np.nan if together is None else together[:, i, j].mean()
            yield ("weights", task[i], task[j]), found[:, i, j], same
    for label, array in _recorded(post, group):
        names, whole = [str(name) for name in array.task.values], flat(array, take)
        for i, j in combinations(range(len(names)), 2):
            if np.isfinite(whole[:, i, j]).all():
                yield (label, names[i], names[j]), whole[:, i, j], np.nan


def _recorded(post: xr.DataTree, group: str) -> Iterator[tuple[str, xr.DataArray]]:
    """The correlations of residuals and of group effects; [chain, draw, task, task_]."""
    drawn = post[group]
    if "residual_correlation" in drawn:
        yield "residuals", drawn["residual_correlation"].transpose(..., "task", "task_")
    if "residual_covariance" in drawn:
        whole = drawn["residual_covariance"].transpose(..., "task", "task_")
        yield "residuals", whole.copy(data=correlation(whole.values))
    for name, array in drawn.data_vars.items():
        if not str(name).startswith("correlation_") or "task_" not in array.dims:
            continue
        group_name = str(name).removeprefix("correlation_")
        term, term_ = (d for d in array.dims if d not in ("chain", "draw", "task", "task_"))
        for one in array[term].values:
            own = array.sel({term: one, term_: one}, drop=True)
            yield f"{group_name}: {one}", own.transpose(..., "task", "task_")
