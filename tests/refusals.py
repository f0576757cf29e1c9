"""A model and a table without fault, changes of them, and what is said of these."""

import numpy as np
import pandas as pd

from bayesmtl.checks import check

ROWS = 13
KEYS = {
    "tasks": {"score": "gaussian", "vote": "bernoulli"},
    "formula": "age + income",
    "data": {"units": "unit"},
}
BY_GROUP = {"tasks": {"by": "group", "outcome": "score", "kind": "gaussian"}}


def table(**changes):
    """A table without fault, with some columns exchanged."""
    random = np.random.default_rng(7)
    whole = pd.DataFrame(
        {
            "unit": [f"u{i}" for i in range(1, ROWS + 1)],
            "age": random.integers(20, 70, ROWS).astype(float),
            "income": random.normal(size=ROWS).round(2),
            "score": random.normal(size=ROWS).round(2),
            "vote": [0, 1, 0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1],
            "grade": [1, 2, 3, 1, 2, 3, 3, 2, 1, 2, 1, 3, 2],
            "group": list("abcabcabcabca"),
        }
    )
    for name, change in changes.items():
        whole[name] = change(whole[name]) if callable(change) else change
    return whole


def at(row, value):
    """A change of one cell."""

    def change(column):
        column = column.astype(object if isinstance(value, str) else float)
        column.iloc[row - 1] = value
        return column

    return change


def said(model, given=None):
    return [f"{finding.level} {finding}" for finding in check(model, given)]
