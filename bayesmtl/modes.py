"""The mode of a density, and how wide it is there."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import OptimizeResult, minimize

STEP = 1e-4  # of the differences of gradients, in unconstrained space, where widths are up to about 1
FAR = 1e300  # what is lost where there is no density
LEAST = 0.1  # curvature along an axis: a density is taken to be no wider than about three


@dataclass(frozen=True)
class Mode:
    """A normal distribution like a density about its mode.

    Parameters
    ----------
    place
        [dimension].
    some
        The dimensions in which the covariance is another than the identity; their numbers.
    root
        A square root of it in these: its columns are the axes, in their lengths.
    """

    place: np.ndarray
    some: np.ndarray
    root: np.ndarray

    def at(self, point: np.ndarray) -> np.ndarray:
        """Where points in the axes lie; [..., dimension]."""
        found = self.place + point
        found[..., self.some] = self.place[self.some] + point[..., self.some] @ self.root.T
        return found


def standard(size: int, some: np.ndarray) -> Mode:
    """The standard normal distribution, as one whose covariance in some dimensions may be another."""
    return Mode(np.zeros(size), some, np.eye(len(some)))


Slope = Callable[[np.ndarray], tuple[float, np.ndarray]]  # a log density and its gradient at a point


def climb(density: Slope, start: np.ndarray, gradient: float = 1e-3) -> OptimizeResult:
    """The mode of a log density that is reached from a start, by its quasi-Newton method.

    Parameters
    ----------
    density
        What is not finite is taken for very unlikely.
    gradient
        How flat it is at the end.

    References
    ----------
    Nocedal and Wright (2006). Numerical optimization. Springer. (Section 6.1, BFGS.)
    """

    def descent(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = density(point)
        well = np.isfinite(value) and np.isfinite(slope).all()
        return (-value, -slope) if well else (FAR, np.zeros(len(start)))

    return minimize(descent, start, jac=True, method="BFGS", options={"gtol": gradient})


def mode(density: Slope, size: int, sought: np.ndarray, some: np.ndarray, block: np.ndarray) -> Mode:
    """The mode of a density, sought from 0, and how wide it is there.

    Parameters
    ----------
    density
        As ``climb`` takes it.
    sought
        The dimensions to seek it in; in the others it is taken to be at 0.
    some, block
        The dimensions in which the density is not taken to be a standard normal one, and which of these are
        correlated with each other: those of the same block.
    """

    def point(own: np.ndarray) -> np.ndarray:
        whole = np.zeros(size)
        whole[sought] = own
        return whole

    def within(own: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = density(point(own))
        return value, slope[sought]

    top, away = point(climb(within, np.zeros(len(sought))).x), STEP * np.eye(size)[some]
    curvature = [(density(top - a)[1] - density(top + a)[1])[some] / (2 * STEP) for a in away]
    curvature = np.reshape(curvature, (len(some), len(some))) * (block[:, None] == block)
    values, axes = np.linalg.eigh((curvature + curvature.T) / 2)
    return Mode(top, some, axes / np.sqrt(np.maximum(values, LEAST)))
