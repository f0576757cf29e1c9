"""Distributions to draw from in the place of a density that is like them."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import gammaln

DF = 5  # degrees of freedom: tails heavier than a posterior's, and a body that is not much wider


@dataclass(frozen=True)
class Split:
    """A multivariate t distribution with a scale of its own on either side of its middle, along each axis.

    Parameters
    ----------
    place
        Its middle: along each axis a half of the draws lies on either side; [dimension].
    root
        The lower triangular matrix whose columns are the axes.
    widths
        Below the middle and above it; [2, dimension].

    References
    ----------
    Geweke (1989). Bayesian inference in econometric models using Monte Carlo integration. Econometrica 57,
        1317-1339.
    """

    place: np.ndarray
    root: np.ndarray
    widths: np.ndarray

    def sample(self, count: int, draw: np.random.Generator) -> np.ndarray:
        """Some points; [point, dimension]."""
        spread = np.sqrt(draw.chisquare(DF, (count, 1)) / DF)
        standard = draw.normal(size=(count, len(self.place))) / spread
        return self.place + standard * np.where(standard < 0, *self.widths) @ self.root.T

    def log_prob(self, points: np.ndarray) -> np.ndarray:
        """The log density; [point]."""
        size = len(self.place)
        white = solve_triangular(self.root, (points - self.place).T, lower=True).T
        width = np.where(white < 0, *self.widths)
        volume = np.log(np.diag(self.root)).sum() + np.log(width).sum(1)
        constant = gammaln((DF + size) / 2) - gammaln(DF / 2) - size / 2 * np.log(DF * np.pi)
        return constant - volume - (DF + size) / 2 * np.log1p(((white / width) ** 2).sum(1) / DF)


def learned(points: np.ndarray, weights: np.ndarray, effective: float, last: Split) -> Split:
    """A distribution like some weighted points, and the more like the last one the fewer they are worth.

    Parameters
    ----------
    points, weights
        Weights sum to one; [draw, dimension] and [draw].
    effective
        How many draws of equal weight they are worth.
    """
    size = points.shape[1]
    share = effective / (effective + size)
    away = points - weights @ points
    covariance = share * (away.T * weights @ away) + (1 - share) * last.root @ last.root.T
    root = np.linalg.cholesky(covariance)
    white = solve_triangular(root, away.T, lower=True)
    order = np.argsort(white, axis=1)
    half = (np.cumsum(weights[order], axis=1) >= 0.5).argmax(axis=1)
    middle = np.take_along_axis(white, order, axis=1)[np.arange(size), half]
    white -= middle[:, None]
    widths = np.sqrt(2 * np.stack([white.clip(max=0.0) ** 2 @ weights, white.clip(min=0.0) ** 2 @ weights]))
    return Split(weights @ points + root @ middle, root, share * widths + (1 - share))
