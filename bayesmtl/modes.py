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
    root
        A square root of the covariance: its columns are the axes, in their lengths; [dimension, axis]. Or
        how long axes are that are the dimensions themselves; [dimension].
    """

    place: np.ndarray
    root: np.ndarray


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


def mode(
    density: Slope, size: int, sought: np.ndarray | None = None, block: np.ndarray | None = None
) -> Mode:
    """The mode of a density of some dimensions, sought from 0, and its covariance there.

    Parameters
    ----------
    density
        As ``climb`` takes it.
    sought
        In which dimensions it is sought, the others being 0; by default in all; [dimension].
    block
        Which dimensions are correlated with each other, those of the same block; by default all; [dimension].
    """
    free = np.ones(size, bool) if sought is None else sought
    block = np.zeros(size) if block is None else block

    def point(own: np.ndarray) -> np.ndarray:
        whole = np.zeros(size)
        whole[free] = own
        return whole

    def within(own: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = density(point(own))
        return value, slope[free]

    place, away = point(climb(within, np.zeros(free.sum())).x), STEP * np.eye(size)
    curvature = np.array([density(place - a)[1] - density(place + a)[1] for a in away]) / (2 * STEP)
    curvature = np.where(block[:, None] == block, (curvature + curvature.T) / 2, 0.0)
    values, axes = np.linalg.eigh(curvature)
    return Mode(place, axes / np.sqrt(np.maximum(values, LEAST)))
