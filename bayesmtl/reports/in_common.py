"""What the tasks have in common."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.alike import correlation, covariance, flat, learned, lines, taken


def in_common(post: xr.DataTree, *, prob: float = 0.9) -> pd.DataFrame:
    """How many tasks there are in effect, and what the relation learned, with the prior beside the posterior.

    The ``effective rank`` is how many unrelated tasks vary as much in their weights: the exponential of the
    entropy of the eigenvalues of the correlation matrix of their weights, 1 where all are the same task, the
    number of tasks where none is related. The other rows are the relation's own: ``share`` of each
    feature, ``communality`` of each task, ``shares`` of the parts of a sum.

    Returns
    -------
    DataFrame
        Index ``what`` and ``label``; columns ``mean``, ``low`` and ``high``, then ``prior``,
        ``prior_low`` and ``prior_high``.

    Examples
    --------
    >>> in_common(post).loc["effective rank"]  # doctest: +SKIP

    References
    ----------
    Roy and Vetterli (2007). The effective rank: a measure of effective dimensionality. European Signal
        Processing Conference, 606-610.
    """
    edges = [(1 - prob) / 2, (1 + prob) / 2]
    after = dict(_drawn(post, "posterior"))
    before = dict(_drawn(post, "prior")) if "prior" in post else {}
    rows = []
    for label, drawn in after.items():
        first = before.get(label, np.full(1, np.nan))
        rows.append((*label, *_ends(drawn, edges), *_ends(first, edges)))
    columns = ["what", "label", "mean", "low", "high", "prior", "prior_low", "prior_high"]
    return pd.DataFrame(rows, columns=columns).set_index(["what", "label"])


def effective_rank(matrix: np.ndarray) -> np.ndarray:
    """How many unrelated tasks a correlation matrix stands for; [...]."""
    part = np.clip(np.linalg.eigvalsh(matrix), 1e-300, None) / matrix.shape[-1]
    return np.exp(-(part * np.log(part)).sum(-1))


def _ends(drawn: np.ndarray, edges: list[float]) -> tuple[float, ...]:
    return drawn.mean(), *np.quantile(drawn, edges)


def _drawn(post: xr.DataTree, group: str) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    """Everything that is reported, at each draw."""
    tasks = len(lines(post))
    take = taken(post, group, max(1, post.constant_data.sizes["feature"]) * tasks**2)
    by_feature = correlation(covariance(post, take, group))
    found = by_feature[:, np.isfinite(by_feature).all((0, 2, 3))]
    if found.size:
        yield ("effective rank", ""), effective_rank(found).mean(1)
    recorded = post[group].to_dataset()
    for name in learned(post):
        if name not in recorded:
            continue
        array = recorded[name]
        axes = [d for d in array.dims if d not in ("chain", "draw")]
        values = flat(array.transpose("chain", "draw", *axes), take).reshape(len(take), -1)
        for labels, own in zip(product(*(map(str, array[d].values) for d in axes)), values.T, strict=True):
            if np.isfinite(own).all():
                yield (name, ", ".join(labels)), own
