"""Tasks that are unlike the others, and responses that predictors tell apart."""

import json
from collections.abc import Iterator

import numpy as np
import xarray as xr
from scipy.stats import chi2

from bayesmtl import alike
from bayesmtl.failures import Failure
from bayesmtl.lending import scales
from bayesmtl.multiplicity import adjusted

DRAWS = 200
APART = "apart."  # how a finding of the checks ends whose predictors tell responses apart
REFUSE = 'relation = "exchangeable_or_not" or "outlying" lets a task refuse to borrow.'


def unlike(post: xr.DataTree, level: float) -> Iterator[Failure]:
    """Tasks whose weights lie further from what the others' weights say than the relation expects.

    Given the others', a task's weights are normal under the relation: their squared distances add to a chi
    square. Its p-value, on average over draws of all that was learned, is below ``level`` in
    at most twice that share of fits, after Holm's adjustment.

    References
    ----------
    Meng (1994). Posterior predictive p-values. Annals of Statistics 22, 1142-1160.
    """
    task, constant = alike.lines(post), post.constant_data
    if "weight" not in post.posterior or len(task) < 3:
        return
    total = post.posterior.sizes["chain"] * post.posterior.sizes["draw"]
    take = np.linspace(0, total - 1, min(DRAWS, total)).astype(int)
    prior = alike.covariance(post, take) * scales(post, take)[:, :, None, None] ** 2
    owner = alike.owners(post)
    unit = constant["unit"].values[owner][:, None] / constant["sd"].values
    weight = post.posterior["weight"].sel(task=list(task.labels)).transpose(..., "task", "feature")
    standard = alike.flat(weight, take) / unit
    square, count = np.zeros((len(take), len(task))), np.zeros(len(task), int)
    for k in range(prior.shape[1]):
        own = np.flatnonzero(np.isfinite(standard[:, :, k]).all(0))
        among = prior[:, k][:, own[:, None], own]
        if len(own) < 2 or not np.isfinite(among).all() or _apart(among) or _one(among):
            continue
        known = np.linalg.inv(among)
        pulled = np.einsum("dts,ds->dt", known, standard[:, own, k])
        square[:, own] += pulled**2 / np.diagonal(known, axis1=1, axis2=2)
        count[own] += 1
    p = np.where(count > 0, chi2.sf(square, np.maximum(count, 1)).mean(0), np.nan)
    p = adjusted(p, "holm")
    for i in np.argsort(p, kind="stable"):
        if p[i] < level:
            problem = "its weights are unlike those of the other tasks: p by the relation"
            yield Failure(task.labels[i], problem, float(p[i]), level, REFUSE, "sharing")


def separated(post: xr.DataTree) -> Iterator[Failure]:
    """Tasks whose responses some predictors tell apart: the prior alone holds their weights.

    The table said so before the fit (``separation.separators``).
    """
    for finding in json.loads(post.attrs.get("findings", "[]")):
        if finding["problem"].endswith(APART):
            where, problem, remedy = (finding[key] for key in ("where", "problem", "remedy"))
            yield Failure(where, problem, np.nan, np.nan, remedy, "weights")


def _apart(among: np.ndarray) -> bool:
    """Whether no task knows of another."""
    return bool(np.abs(alike.correlation(among) - np.eye(among.shape[-1])).max() < 1e-6)


def _one(among: np.ndarray) -> bool:
    """Whether some tasks are the same task, which leaves nothing to be unlike in."""
    return bool(np.linalg.eigvalsh(alike.correlation(among)).min() < 1e-6)
