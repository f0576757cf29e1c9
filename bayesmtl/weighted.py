"""Draws of an approximation, weighted towards the posterior, and whether the weights can be trusted."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

TRUSTED = 0.7  # the largest Pareto k at which a few thousand weighted draws say what the posterior does


@dataclass(frozen=True)
class Approximation:
    """How good draws are that no Markov chain made.

    Parameters
    ----------
    pareto_k
        The shape of the tail of the importance ratios: up to 0.7 the weights can be trusted.
    effective
        How many independent draws of the posterior the weighted draws are worth (Kish).
    """

    pareto_k: float
    effective: float

    @property
    def trusted(self) -> bool:
        """Whether the weighted draws are those of the posterior, as far as they can tell."""
        return self.pareto_k <= TRUSTED

    def __str__(self) -> str:
        return f"approximate, Pareto k {self.pareto_k:.2f}"


def smoothed(ratio: np.ndarray) -> tuple[np.ndarray, Approximation]:
    """The log weights of draws, the tail of which is smoothed; and how good they are.

    Parameters
    ----------
    ratio
        The log density of the posterior, up to a constant, less that of what drew; [draw].

    References
    ----------
    Vehtari, Simpson, Gelman, Yao and Gabry (2024). Pareto smoothed importance sampling. Journal of
        Machine Learning Research 25(72), 1-58.
    """
    from arviz_stats.base import array_stats  # takes a second to load, and Markov chains need none of it

    low = ratio.max() - 1e6  # where the posterior has no density, it counts for nothing, but is a number
    # ArviZ takes log likelihoods of what is left out: ratios with their sign turned
    try:
        weights, k = array_stats.psislw(-np.maximum(ratio, low))
    except ValueError:  # the largest are all the same: there is no tail
        weights, k = ratio, 0.0
    if not np.isfinite(k):  # one draw has all the weight
        weights, k = np.maximum(ratio, low), np.inf
    weights = weights - logsumexp(weights)
    return weights, Approximation(float(k), float(np.exp(-logsumexp(2 * weights))))


def resampled(weights: np.ndarray, count: int, draw: np.random.Generator) -> np.ndarray:
    """Which draws to take, so that all that are taken weigh the same; in no order.

    Each is taken as often as its weight says, rounded up or down.

    Parameters
    ----------
    weights
        Logarithms, of weights that sum to one; [draw].

    References
    ----------
    Kitagawa (1996). Monte Carlo filter and smoother for non-Gaussian nonlinear state space models. Journal
        of Computational and Graphical Statistics 5, 1-25. (Systematic resampling.)
    """
    places = (np.arange(count) + draw.uniform()) / count
    taken = np.searchsorted(np.cumsum(np.exp(weights)), places).clip(max=len(weights) - 1)
    return draw.permutation(taken)
