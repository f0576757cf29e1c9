"""Probabilities of many tests, adjusted for their number."""

import numpy as np
from scipy.stats import false_discovery_control


def adjusted(p: np.ndarray, method: str) -> np.ndarray:
    """Probabilities adjusted for their number: "holm", "bh" or "by"; NaN is no test.

    References
    ----------
    Holm (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics
        6, 65-70.
    """
    found, tested = p.copy(), np.isfinite(p)
    if not tested.any():
        return found
    if method != "holm":
        found[tested] = false_discovery_control(p[tested], method=method)
        return found
    order = np.flatnonzero(tested)[np.argsort(p[tested])]
    found[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return found
