"""Importance sampling whose proposals learn, from the draws they made, to be like the density."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from bayesmtl.modes import climb
from bayesmtl.proposals import Split, learned
from bayesmtl.weighted import Approximation, smoothed

EACH = 1000  # draws of a proposal
ROUNDS = 16  # proposals at most
SPREAD = 0.1  # the share of a round's draws that the next proposal should at least be learned from
STEP = 1e-5  # of the differences that stand for a gradient

Density = Callable[[np.ndarray], np.ndarray]  # log densities [point] of points [point, dimension]


@dataclass(frozen=True)
class Cloud:
    """Weighted draws of a density.

    Parameters
    ----------
    points
        Of an unconstrained space; [draw, dimension].
    density, weights
        The logarithms of the density and of the importance weights, which sum to one; [draw].
    quality
        How good they are.
    """

    points: np.ndarray
    density: np.ndarray
    weights: np.ndarray
    quality: Approximation


def adapted(density: Density, start: np.ndarray, enough: float, draw: np.random.Generator) -> Iterator[Cloud]:
    """Draws of a density by adaptive multiple importance sampling, a cloud after each round.

    The first proposal is at a mode; each next one has the middle, the covariance and the skewness of all
    draws so far, as they are weighted. Until many draws have weight their weights are tempered, so that
    proposals move towards the density in steps. All draws are kept, with the mixture of all proposals as
    what drew them. It ends when the cloud can be trusted and is worth ``enough`` independent draws.

    References
    ----------
    Cornuet, Marin, Mira and Robert (2012). Adaptive multiple importance sampling. Scandinavian Journal of
        Statistics 39, 798-812.
    Koblents and Miguez (2015). A population Monte Carlo scheme with transformed weights and its application
        to stochastic kinetic models. Statistics and Computing 25, 407-425.
    """
    size = len(start)
    steps = STEP * np.eye(size)

    def slope(point: np.ndarray) -> tuple[float, np.ndarray]:
        """By differences: a program for gradients compiles longer than all these points take."""
        here, *near = density(np.vstack([point, point + steps, point - steps]))
        return here, np.subtract(near[:size], near[size:]) / (2 * STEP)

    found = climb(slope, start, 1e-2)
    place, covariance = found.x, found.hess_inv
    points, known, drew = np.zeros((0, size)), np.zeros(0), np.zeros(0)
    proposals = [Split(place, np.linalg.cholesky(covariance), np.ones((2, size)))]
    for _ in range(ROUNDS):
        fresh = proposals[-1].sample(EACH, draw)
        drew = np.logaddexp(drew, proposals[-1].log_prob(points))
        drew = np.append(drew, logsumexp([each.log_prob(fresh) for each in proposals], axis=0))
        points, known = np.vstack([points, fresh]), np.append(known, density(fresh))
        weights, quality = smoothed(known - drew)
        yield Cloud(points, known, weights, quality)
        if quality.trusted and quality.effective >= enough:
            return
        tempered, effective = _tempered(weights, max(SPREAD * EACH, 3 * size))
        proposals.append(learned(points, tempered, effective, proposals[-1]))


def _tempered(weights: np.ndarray, least: float) -> tuple[np.ndarray, float]:
    """Weights raised to the largest power at which the draws are worth the least wanted; and their worth."""
    for power in np.geomspace(1.0, 1e-3, 40):
        raised = np.exp(power * weights - logsumexp(power * weights))
        effective = 1 / np.sum(raised**2)
        if effective >= least:
            break
    return raised, float(effective)
