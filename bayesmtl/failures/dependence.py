"""Tasks that depend on each other beyond what the model says."""

import json
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import xarray as xr
from scipy.stats import norm

from bayesmtl.failures import Failure
from bayesmtl.failures.scores import Scores
from bayesmtl.multiplicity import adjusted
from bayesmtl.spec import Model

MOST = 10  # pairs that are named
FEW = 20  # rows that two tasks must share
CORRELATED = ("gaussian", "student_t")


def dependent(post: xr.DataTree, tasks: Sequence[Scores], level: float) -> Iterator[Failure]:
    """Pairs of tasks whose normal scores are correlated over the rows that they share.

    By Fisher's transformation and Holm's adjustment over all pairs, there is a false alarm in at most
    ``level`` of fits. A model that says how the cells of a row depend is not asked: its cells are
    predicted with the others of their row.

    References
    ----------
    Fisher (1921). On the probable error of a coefficient of correlation deduced from a small sample. Metron
        1, 3-32.
    Holm (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics
        6, 65-70.
    """
    if Model.read(json.loads(post.attrs["model"])).residual["kind"] != "independent":
        return
    named = [one for one in tasks if len(np.unique(one.cell)) == len(one.cell)]
    found = [pair for one, other in combinations(named, 2) if (pair := _pair(one, other))]
    if not found:
        return
    r, n = np.array([(r, n) for *_, r, n in found]).T
    p = adjusted(2 * norm.sf(np.abs(np.arctanh(r)) * np.sqrt(n - 3)), "holm")
    limit = np.tanh(norm.isf(level / (2 * len(found))) / np.sqrt(n - 3))
    for i in np.argsort(p, kind="stable")[:MOST]:
        if p[i] < level:
            one, other = found[i][:2]
            kinds = {one.likelihood, other.likelihood}
            kind = "correlated" if len(kinds) == 1 and kinds <= set(CORRELATED) else "factor"
            todo = f'Set residual = "{kind}", or add the predictor that both lack.'
            problem = f"residuals are correlated over {n[i]:.0f} rows"
            where = f"{one.task} and {other.task}"
            yield Failure(where, problem, float(r[i]), float(limit[i]), todo, "residuals")


def _pair(one: Scores, other: Scores) -> tuple[Scores, Scores, float, int] | None:
    """The correlation of two tasks' scores over the rows that both have, and how many these are."""
    _, i, j = np.intersect1d(one.cell, other.cell, assume_unique=True, return_indices=True)
    a, b = one.score[i], other.score[j]
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < FEW or not a[known].std() > 0 or not b[known].std() > 0:
        return None
    r = np.corrcoef(a[known], b[known])[0, 1]
    return one, other, float(np.clip(r, -1 + 1e-12, 1 - 1e-12)), int(known.sum())
