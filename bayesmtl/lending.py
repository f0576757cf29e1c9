"""What tasks lend to each other: how many cells of its own the others' data are worth to a task."""

from dataclasses import dataclass

import arviz_stats
import numpy as np
import xarray as xr

from bayesmtl.alike import covariance, flat, lines, owners, taken

WORK = 1_000_000_000  # operations of all draws, beyond which fewer are taken
LEAST = 1e-4  # a scale of weights below which sums would lose their digits
LOST = 0.75  # of the information, where the noise doubles


@dataclass(frozen=True)
class Lending:
    """What tasks lend to each other, at some draws of a posterior.

    Parameters
    ----------
    task
        The tasks.
    borrowed
        How many cells of its own would tell a task as much of its weights as the other tasks do;
        [draw, task].
    lent
        How many of their own cells the second task would need in place of the first one's data;
        [draw, task, task].
    moved
        How far the second task's weights would move if the first one's noise doubled; [task, task].
    """

    task: tuple[str, ...]
    borrowed: np.ndarray
    lent: np.ndarray
    moved: np.ndarray


def lending(post: xr.DataTree) -> Lending:
    r"""What tasks lend to each other, with the hyper-parameters held at each draw.

    A weight, in standard deviations of predictor and response, has the precision ``d = cells * information``
    from its own task's cells, with the predictors taken as uncorrelated; between tasks its prior covariance
    is ``C``. Its posterior covariance is ``S = (C^-1 + D)^-1``. Alone, a task would know the weight with
    precision ``1 / C_tt + d_t``; ``1 / S_tt`` less that is what it borrows, and over the information of one
    cell it is a number of cells. What task ``s`` would lose without the cells of ``t``, in cells of its
    own, is what ``t`` lends to it. Both are averaged over a task's predictors. They are exact for normal
    tasks without group effects whose predictors are orthogonal in each task, and have the spread there that
    they have over all rows; a posterior does not keep more of its table.

    With twice the noise a task's cells know a quarter. Its weights' means then move by ``-3/4 cov / (1 - 3/4
    d_t S_tt)``, where ``cov`` is the posterior covariance of a weight with the task's log likelihood.

    References
    ----------
    Morita, Thall and Mueller (2008). Determining the effective sample size of a parametric prior.
        Biometrics 64, 595-602.
    Gelman and Pardoe (2006). Bayesian measures of explained variance and pooling in multilevel
        (hierarchical) models. Technometrics 48, 241-251.
    Kallioinen, Paananen, Buerkner and Vehtari (2024). Detecting and diagnosing prior and likelihood
        sensitivity with power-scaling. Statistics and Computing 34, 57.
    """
    constant, task = post.constant_data, lines(post)
    names = tuple(map(str, constant.task.values))
    owner = owners(post)
    uses = constant["uses"].values[owner]
    take = taken(post, "posterior", max(1, uses.shape[1]) * len(task) ** 3, WORK)
    cells, unit = constant["cells"].values.astype(float), constant["unit"].values
    each = flat(post.posterior["information"].sel(task=list(names)), take) * unit**2
    each = (each / np.bincount(owner, minlength=len(names)))[:, owner]  # [draw, line]
    prior = covariance(post, take) * scales(post, take)[:, :, None, None] ** 2
    taking_part = np.isfinite(prior).all((0, 2, 3))
    prior, uses = prior[:, taking_part], uses[:, taking_part]
    gain, lost, known = exchanged(prior, each, cells[owner], uses)
    one = np.eye(len(names))[owner]  # [line, task]
    of_cell = (each[:, :, None] * uses).sum(-1) @ one  # information of a task's cell, over its weights
    with np.errstate(invalid="ignore", divide="ignore"):  # a task without a weight that is shared
        borrowed = gain.sum(1) @ one / of_cell
        lent = np.einsum("dtl,li,tj->dij", lost.sum(1), one, one) / of_cell[:, None, :]
    own = np.zeros((len(taking_part), len(task)))
    own[taking_part] = known.mean(0)
    return Lending(names, borrowed, lent, _moved(post, own, owner))


def exchanged(
    prior: np.ndarray, each: np.ndarray, cells: np.ndarray, uses: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The precisions that weights gain from the other tasks, and would lose without each of them.

    Parameters
    ----------
    prior
        Covariance of the weights; [draw, feature, task, task].
    each
        Information of a cell about a standard weight; [draw, task].
    cells, uses
        How many a task has, and whether it has a feature; [task] and [task, feature].

    Returns
    -------
    array
        What a weight gains from all others; [draw, feature, task].
    array
        What the first task's weight would lose without the second's cells; [draw, feature, task, task].
    array
        The share of a weight's precision that its own cells hold; [draw, feature, task].
    """
    known = (each * cells)[:, None] * uses.T
    among = np.eye(len(cells)) + prior * known[:, :, None, :]
    posterior = np.linalg.solve(among, prior)
    variance, before = (np.diagonal(a, axis1=-2, axis2=-1) for a in (posterior, prior))
    gain = np.where(uses.T, np.maximum(1 / variance - 1 / before - known, 0.0), 0.0)
    share = known * variance
    more = posterior**2 * (known / np.maximum(1 - share, 1e-12))[:, :, None, :]
    lost = more / (variance[..., None] * (variance[..., None] + more))
    both = uses.T[:, :, None] & uses.T[:, None, :] & ~np.eye(len(cells), dtype=bool)
    return gain, np.where(both, lost, 0.0), share


def scales(post: xr.DataTree, take: np.ndarray) -> np.ndarray:
    """The prior standard deviation of each feature's standard weights; [draw, feature]."""
    drawn = post.posterior
    if "scale" in drawn and drawn["scale"].dims[2:] == ("feature",):
        return np.maximum(flat(drawn["scale"], take), LEAST)
    features = post.constant_data.sizes["feature"]
    if "inclusion" not in drawn:
        return np.full((len(take), features), np.nan)
    wide, chance = flat(drawn["slab"], take)[:, None], flat(drawn["inclusion"], take)
    return np.maximum(wide * np.sqrt(chance), LEAST)  # of the spike next to nothing


def _moved(post: xr.DataTree, own: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """How far each task's weights move if a task's noise doubles, in their standard deviations.

    Root mean square over a task's weights; what is Monte Carlo error is taken off its square.
    """
    names = [str(name) for name in post.constant_data.task.values]
    found = np.full((len(names), len(names)), np.nan)
    if "log_likelihood" not in post or "weight" not in post.posterior or not own.size:
        return found
    weight = post.posterior["weight"].sel(task=list(lines(post).labels))
    weight = flat(weight.transpose(..., "task", "feature"), np.arange(weight.chain.size * weight.draw.size))
    sd = np.where(weight.std(0) > 0, weight.std(0), np.nan)  # [line, feature]
    standard = (weight - weight.mean(0)) / sd
    for t, name in enumerate(names):
        likely = post.log_likelihood[name]
        likely = likely.sum(likely.dims[-1]).transpose("chain", "draw")
        # as far as a lone weight would: by how much of its precision its own cells hold
        factor = LOST / (1 - LOST * own[:, owner == t].mean(1))
        away = (likely - likely.mean()).values.ravel()
        shift = np.einsum("dlf,d->lf", standard, away) / len(away) * factor
        error = factor**2 * away.var() / max(float(arviz_stats.ess(likely)), 1.0)
        for s in range(len(names)):
            square = (shift[owner == s] ** 2 - error)[np.isfinite(shift[owner == s])]
            found[t, s] = np.sqrt(max(square.mean(), 0.0)) if square.size else np.nan
    return found
