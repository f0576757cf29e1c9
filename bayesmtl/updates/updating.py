"""Posteriors of more rows, without a fit of all of them."""

import json
from contextlib import nullcontext
from typing import Any

import xarray as xr

from bayesmtl import tables
from bayesmtl.basis import basis_of
from bayesmtl.chains import Watch
from bayesmtl.errors import Finding, ModelError
from bayesmtl.progress import shown
from bayesmtl.runtime import ready
from bayesmtl.summary import Summary
from bayesmtl.updates import cumulative, reweighted


def update(post: xr.DataTree, table: Any, *, seed: int, watch: Watch | None = None) -> xr.DataTree:
    """The posterior of the rows of a fit and of new ones, without a new fit.

    Where the coefficients of normal tasks were integrated out, the cross-products of the new rows are added
    to those of the old; the scales, correlations and noises that Markov chains drew last are weighted towards
    their density given all rows, and each is completed by coefficients drawn exactly given all rows. Weights
    are always those since the last chains, so that many small updates add no error to each other. When their
    Pareto k is above 0.7, or they are worth few draws, chains are run again, in seconds whatever the rows.

    Other posteriors have all their draws weighted by the likelihood of the new rows. Levels of groups that
    are new are drawn from the population first. Past a Pareto k of 0.7 that is refused.

    Predictors, responses and categories stay encoded as in the first fit, since a prior does not depend on
    what comes later: the update is the fit of all rows on the scales of the first ones.

    Parameters
    ----------
    post
        What ``fit``, ``update`` or ``read`` gave.
    table
        New rows, as ``fit`` takes them. Of normal tasks also what ``summarise`` made of them.
    seed
        The same seed gives the same draws.
    watch
        Called with the sampler's progress; by default it is shown on stderr.

    Returns
    -------
    DataTree
        As ``fit`` gives. Of normal tasks it says nothing of cells, as that of a summary. ``attrs`` has how
        many ``updates`` there were, the ``pareto_k`` of the weights, and how many ``effective`` draws they
        leave.

    Raises
    ------
    ModelError
        When a column is missing, or holds a category or a task that the fit never saw; or when it takes a fit
        of all rows.

    References
    ----------
    Chopin (2002). A sequential particle filter method for static models. Biometrika 89, 539-552.
    Vehtari, Simpson, Gelman, Yao and Gabry (2024). Pareto smoothed importance sampling. Journal of
        Machine Learning Research 25(72), 1-58.

    Examples
    --------
    >>> post = update(fit(model, table[:900], seed=1), table[900:], seed=2)  # doctest: +SKIP
    """
    known, name = basis_of(post), json.loads(post.attrs["model"])["name"]
    if known is None and isinstance(table, Summary):
        problem = f"is of rows that a fit by {post.attrs['engine']} has to see one by one."
        raise ModelError(Finding("summary", problem, "Give the rows."))
    rows = table if isinstance(table, Summary) else tables.frame(table)
    with ready(), nullcontext(watch) if watch else shown(name) as watching:
        if known is None:
            tree = reweighted.update(post, rows, seed, watching)
        else:
            tree = cumulative.update(post, known, rows, seed, watching)
    tree.attrs["updates"] = int(post.attrs.get("updates", 0)) + 1
    return tree
