"""Equal cells as one that counts for all of them, so that the sampler computes each term once.

The likelihood of a cell to the power of two is that of two equal cells. Of yes or no responses this is
binomial regression on the table of counts: at most two cells for each distinct row of predictors.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd

from bayesmtl.design import Design
from bayesmtl.parts import settings
from bayesmtl.responses import Family

MOST = 0.8  # of a family's cells: with more that differ the arrays are left as they are


def aggregate(design: Design, data: Mapping[str, Any]) -> dict[str, Any]:
    """A program's arrays with equal cells of a task as one, its power the sum of theirs.

    Cells are equal if they have the same response and the same columns of all that the task's likelihood
    and linear predictor take. The log density of the program stays the same to the last digits; what is said
    of each cell by itself, such as its log likelihood, needs the arrays as they were.

    Parameters
    ----------
    data
        The design's, with or without a pilot. Families whose cells know of each other keep theirs: those
        with correlated residuals, with sigma integrated out, or with predictors that are imputed.

    References
    ----------
    McCullagh and Nelder (1989). Generalized linear models, section 4.1.2. Chapman and Hall. (Covariate
        classes.)

    Examples
    --------
    >>> from bayesmtl import Model
    >>> from bayesmtl.encoded import encode
    >>> table = pd.DataFrame({"x": [0, 0, 0, 1], "y": [1, 1, 0, 1]})
    >>> design = encode(Model(tasks={"y": "bernoulli"}, formula="x"), table)
    >>> aggregate(design, design.data)["cells"]["bernoulli"]["power"].tolist()
    [2.0, 1.0, 1.0]
    """
    cells = dict(data["cells"])
    for family in design.families:
        if apart(design, family):
            own = jax.tree.map(np.asarray, dict(cells[family.name]))
            number = _classes(_columns(design, family, own, data))
            if number is not None:
                first = np.unique(number, return_index=True)[1]
                fewer = jax.tree.map(lambda value, first=first: value[first], own)
                cells[family.name] = fewer | {"power": np.bincount(number, own["power"])}
    return {**data, "cells": cells}


def apart(design: Design, family: Family) -> bool:
    """Whether a family's cells know nothing of each other, given their linear predictors."""
    options = settings("likelihoods", family.likelihood)
    return design.gaps is None and family not in design.partners and "marginal" not in options.values()


def _columns(
    design: Design, family: Family, own: Mapping[str, Any], data: Mapping[str, Any]
) -> list[np.ndarray]:
    """What tells a family's cells apart, 0 where their task does not take it; [column][cell]."""
    line = np.array([[design.line.labels.index(name) for name in lines] for lines in family.lines])
    of, row = own["of"], own["row"]
    found = [of, own["y"], *own["columns"].values(), *own["noise_x"].T]
    x = np.asarray(data["x"])
    for k, used in enumerate(design.uses[line].any(1).T):
        found.append(np.where(used[of], x[row, k], 0.0))
    for group in design.groups:
        level, z = (np.asarray(data["groups"][group.name][name]) for name in ("level", "z"))
        terms = group.uses[line].any(1)
        found.append(np.where(terms.any(1)[of], level[row], -1))
        found += [np.where(used[of], z[row, k], 0.0) for k, used in enumerate(terms.T)]
    return found


def _classes(columns: Sequence[np.ndarray]) -> np.ndarray | None:
    """A number for each cell, the same for equal ones; None as soon as too many differ; [cell]."""
    number, most = np.zeros(len(columns[0]), int), MOST * len(columns[0])
    for column in columns:
        own, values = pd.factorize(column, use_na_sentinel=False)
        number, distinct = pd.factorize(number * len(values) + own)
        if len(distinct) > most:
            return None
    return number
