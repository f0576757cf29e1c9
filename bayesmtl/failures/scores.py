"""Each cell as it is predicted from all others."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.special import logsumexp
from scipy.stats import norm, t

EVEN = 0.1  # variance of importance weights of mean 1, up to which their tail needs no smoothing


@dataclass(frozen=True)
class Scores:
    """A task's cells, each predicted from all others.

    Parameters
    ----------
    task, likelihood
        The task, and its family.
    cell
        What each cell's row is called; [cell].
    pareto_k
        The shape of the importance ratios, 0 where they hardly vary; [cell].
    log_weights
        Of each draw, were the cell left out; their exponentials sum to 1; [cell, sample].
    rank, score
        The rank of the response among its predictions, uniform in a sound fit, and its normal score; NaN
        of a cell that says nothing, such as of no trials; [cell].
    level
        What is expected of each cell; [cell]. Its standard error is ``blurred``, a number.
    """

    task: str
    likelihood: str
    cell: np.ndarray
    pareto_k: np.ndarray
    log_weights: np.ndarray
    rank: np.ndarray
    score: np.ndarray
    level: np.ndarray
    blurred: float


def scored(post: xr.DataTree, task: str, number: int) -> Scores:
    """A task's cells, each predicted from all others by smoothed importance weights.

    The response of a discrete family has a random rank within its step, from a seed of its own for each task:
    one for all would make tasks seem to depend on each other.

    Parameters
    ----------
    number
        Of the task.

    References
    ----------
    Vehtari, Gelman and Gabry (2017). Practical Bayesian model evaluation using leave-one-out cross-validation
        and WAIC. Statistics and Computing 27, 1413-1432.
    Dunn and Smyth (1996). Randomized quantile residuals. Journal of Computational and Graphical Statistics 5,
        236-244.
    """
    likelihood = str(post.constant_data["likelihood"].sel(task=task).item())
    density = post.log_likelihood[task].transpose(..., "chain", "draw")
    cell = density[density.dims[0]].values
    y = np.asarray(post["observed_data"][task])
    drawn = np.asarray(post["posterior_predictive"].to_dataset()[task].transpose(..., "chain", "draw"))
    drawn = drawn.reshape(len(y), -1)
    told = density.values.reshape(len(y), -1).astype(float)
    log_weights, k = _smoothed(told)
    weights = np.exp(log_weights)
    # ArviZ's goes from cell to cell
    below, even = (np.einsum("cs,cs->c", weights, how(drawn, y[:, None])) for how in (np.less, np.equal))
    rank = below + even * np.random.default_rng(number).uniform(size=len(y))
    rank = np.where(np.ptp(told, axis=1) > 0, np.clip(rank, 0, 1), np.nan)
    least = 0.5 / drawn.shape[1]
    score = norm.ppf(np.clip(rank, least, 1 - least))
    if likelihood == "gaussian":  # exact beyond all draws
        score = _studentised(y, drawn, weights, int(post.constant_data["uses"].sel(task=task).sum()))
    blurred = float(np.sqrt(drawn.var(1).mean() / drawn.shape[1]))
    return Scores(task, likelihood, cell, k, log_weights, rank, score, drawn.mean(1), blurred)


def _smoothed(told: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The log weights of draws were each cell left out, and their Pareto k; [cell, sample] and [cell]."""
    from arviz_stats.base import array_stats

    log_weights = -told
    log_weights -= logsumexp(log_weights, axis=1, keepdims=True)
    varies = told.shape[1] * np.exp(logsumexp(2 * log_weights, axis=1)) - 1
    k = np.zeros(len(told))
    some = np.flatnonzero(varies > EVEN)
    if len(some):
        smooth, k[some] = array_stats.psislw(told[some])
        log_weights[some] = smooth - logsumexp(smooth, axis=1, keepdims=True)
    return log_weights, k


def _studentised(y: np.ndarray, drawn: np.ndarray, weights: np.ndarray, features: int) -> np.ndarray:
    """Normal scores of residuals that are Student-t, since the noise was learned; [cell]."""
    mean = np.einsum("cs,cs->c", weights, drawn)
    sd = np.sqrt(np.maximum(np.einsum("cs,cs->c", weights, (drawn - mean[:, None]) ** 2), 0.0))
    df = max(len(y) - 1 - features, 3)
    away = (y - mean) / np.where(sd > 0, sd, 1.0) * np.sqrt(df / (df - 2))
    return -np.sign(away) * norm.ppf(np.maximum(t.sf(np.abs(away), df), 1e-300))
