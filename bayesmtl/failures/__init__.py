"""What can be wrong with a posterior: each kind of failure in a file of its own.

Each yields a ``Failure`` for every one that it finds, the worst first, and none of a sound posterior but for
false alarms at the rate that it names.
"""

from typing import NamedTuple

import numpy as np


class Failure(NamedTuple):
    """One thing that can't be trusted.

    Parameters
    ----------
    where
        The fit, a parameter, a task, a pair of tasks, or a row.
    problem, value, threshold
        What is wrong, how much so, and from where on.
    remedy
        What to do.
    block
        What part of the model it concerns.
    arviz
        The threshold that ArviZ has for the same number; NaN where it has none.
    """

    where: str
    problem: str
    value: float
    threshold: float
    remedy: str
    block: str
    arviz: float = np.nan
