"""How much the levels of a group differ; each level's own effects are left to the posterior."""

from collections.abc import Iterator
from itertools import combinations, product

import numpy as np
import xarray as xr

from bayesmtl.page import plots
from bayesmtl.page.figures import Picture
from bayesmtl.page.numbers import NONE, Estimate, count
from bayesmtl.page.tables import Table, cut


def pictures(post: xr.DataTree) -> Iterator[Picture]:
    """The standard deviations of each group."""
    for name in _names(post, "sd_"):
        for term, drawn in _by_term(post, name):
            if drawn.sizes["task"]:
                of = "the intercept" if term == "1" else term
                what = f"{name.removeprefix('sd_')}: standard deviation of {of}"
                yield plots.intervals(drawn, what, zero=True)


def tables_of(post: xr.DataTree) -> list[tuple[str, Table]]:
    """A table of standard deviations and one of correlations for each group, with their titles."""
    found = []
    for name in _names(post, "sd_"):
        group = name.removeprefix("sd_")
        texts: dict[str, dict[str, str | Estimate]] = {}
        terms = [term for term, _ in _by_term(post, name)]
        for term, drawn in _by_term(post, name):
            for task, text in zip(drawn.task.values, plots.estimates(drawn), strict=True):
                texts.setdefault(str(task), {})[term] = text
        rows: list[list[str | Estimate]] = [
            [task, *(own.get(term, NONE) for term in terms)] for task, own in texts.items()
        ]
        found.append((f"{group}: standard deviations between levels", cut(["task", *terms], rows)))
        pairs = _pairs(post, f"correlation_{group}")
        if pairs is not None:
            rows = [[str(label), text] for label, text in zip(pairs.pair.values, plots.estimates(pairs))]
            found.append((f"{group}: correlations between levels", cut(["terms", "correlation"], rows)))
    return found


def outline(post: xr.DataTree) -> str:
    """How many levels each group has."""
    said = []
    for name in _names(post, "effect_"):
        group = name.removeprefix("effect_")
        if group in post.posterior.sizes:
            said.append(f"{group} has {count(post.posterior.sizes[group], 'level')}")
    return f"{'; '.join(said)}; the effects of single levels stand in the posterior." if said else ""


def _names(post: xr.DataTree, start: str) -> list[str]:
    return [str(name) for name in post.posterior.data_vars if str(name).startswith(start)]


def _by_term(post: xr.DataTree, name: str) -> Iterator[tuple[str, xr.DataArray]]:
    """The standard deviations of each term, of the tasks that have it; [chain, draw, task]."""
    whole = post.posterior[name]
    for term in whole[whole.dims[-1]].values:
        own = whole.sel({whole.dims[-1]: term}, drop=True).transpose("chain", "draw", "task")
        yield str(term), own.isel(task=np.isfinite(own.values).all((0, 1)))


def _pairs(post: xr.DataTree, name: str) -> xr.DataArray | None:
    """The correlation of each two terms of a task, or of two tasks' terms; [chain, draw, pair]."""
    if name not in post.posterior:
        return None
    whole = post.posterior[name]
    others = [str(d) for d in whole.dims if str(d).endswith("_")]
    own = [d.removesuffix("_") for d in others]
    lead = [str(d) for d in whole.dims if d not in (*others, *own, "chain", "draw")]
    labels = list(product(*(map(str, whole[d].values) for d in own)))
    heads = list(product(*(map(str, whole[d].values) for d in lead)))
    values = whole.transpose("chain", "draw", *lead, *own, *others).values
    values = values.reshape(*values.shape[:2], len(heads), len(labels), len(labels))
    said, drawn = [], []
    for k, head in enumerate(heads):
        for i, j in combinations(range(len(labels)), 2):
            if np.isfinite(values[:, :, k, i, j]).all():
                terms = f"{', '.join(labels[i])} and {', '.join(labels[j])}"
                said.append(f"{', '.join(head)}: {terms}" if head else terms)
                drawn.append(values[:, :, k, i, j])
    if not said:
        return None
    return xr.DataArray(np.stack(drawn, -1), dims=["chain", "draw", "pair"], coords={"pair": said})
