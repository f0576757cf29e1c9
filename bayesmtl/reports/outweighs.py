"""Which of two tasks outweighs the other, and what it does to it."""

from itertools import permutations

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.lending import lending
from bayesmtl.reports.weights import shares


def outweighs(post: xr.DataTree, *, prob: float = 0.9) -> pd.DataFrame:
    """The probability that a task outweighs another, what it lends to it, and how far it would move it.

    A task outweighs another if it holds more of the information on what they share: see ``weights``. ``lent``
    is how many cells of its own ``task_`` would need to know its weights as well without the data of
    ``task``. ``moved`` is how far the weights of ``task_`` would move if the noise of ``task`` doubled, in
    their posterior standard deviations: it traces an answer back to the data that made it.

    Returns
    -------
    DataFrame
        Index ``task`` and ``task_``, every ordered pair; columns ``outweighs``, ``lent``, ``lent_low``,
        ``lent_high`` and ``moved``.

    Examples
    --------
    >>> outweighs(post)["outweighs"].unstack()  # doctest: +SKIP

    References
    ----------
    Kallioinen, Paananen, Buerkner and Vehtari (2024). Detecting and diagnosing prior and likelihood
        sensitivity with power-scaling. Statistics and Computing 34, 57.
    """
    found = lending(post)
    share = shares(post).transpose("chain", "draw", "task").values.reshape(-1, len(found.task))
    pairs = list(permutations(range(len(found.task)), 2))
    edges = [(1 - prob) / 2, (1 + prob) / 2]
    rows = [
        ((share[:, t] > share[:, s]).mean(), lent.mean(), *np.quantile(lent, edges), found.moved[t, s])
        for t, s in pairs
        for lent in [found.lent[:, t, s]]
    ]
    index = pd.MultiIndex.from_tuples(
        [(found.task[t], found.task[s]) for t, s in pairs], names=["task", "task_"]
    )
    columns = ["outweighs", "lent", "lent_low", "lent_high", "moved"]
    return pd.DataFrame(np.array(rows).reshape(-1, len(columns)), index=index, columns=columns)
