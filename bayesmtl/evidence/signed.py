"""The signs that a graph expects of its arrows, beside quick fits of a table."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t

from bayesmtl.causal.dag import Dag
from bayesmtl.causal.dseparation import between
from bayesmtl.evidence.implied import Evidence, evidence
from bayesmtl.evidence.independence import complete, sums, taken
from bayesmtl.evidence.residualised import basis, means, regressed, slopes
from bayesmtl.evidence.variables import Variable
from bayesmtl.multiplicity import adjusted
from bayesmtl.spec import Model

_PROB = 0.9  # of the intervals: one that lies on the wrong side has a p below 0.05


class Slope(NamedTuple):
    """What a unit of a cause adds to an effect's linear predictor; NaN where the rows can't tell."""

    estimate: float = np.nan
    error: float = np.nan
    df: float = np.nan
    n: int = 0
    dropped: int = 0
    groups: int = 0


def signs(model: Model, table: Any = None, *, group: str | None = None) -> pd.DataFrame:
    r"""The signs that arrows are expected to have, beside quick fits of a table: smallest p first.

    A row for each signed arrow, ``x -> y +``, between measured nodes. The effect is the direct one, of a
    quick regression on the cause and on splines of what the graph says is to be adjusted for: of a task by
    its likelihood, of a predictor by its type. It is never the marginal association, whose sign confounders
    turn.

    Parameters
    ----------
    model, table, group
        As ``implications`` takes them.

    Returns
    -------
    DataFrame
        ``cause``, ``effect`` and the ``expected`` sign. ``adjust``: the measured nodes that leave only the
        arrow open, nearest to the effect; "nothing", or "none" when no set does. ``estimate``: what a unit of
        the cause adds to the effect's linear predictor, of ordered categories to their number, with ``low``
        and ``high``, a 90 % interval. ``p``: the chance of an estimate as far on the wrong side if there were
        no effect, so that a small one speaks against the sign, and ``holm``, which allows for the number of
        arrows. ``n`` rows, those ``dropped`` for an empty cell, and ``groups``, 0 where rows are independent.
        NaN where the graph or the rows can't tell, or categories have no order.

    Raises
    ------
    ModelError
        When the model or the table is at fault, with every finding.

    References
    ----------
    Liang and Zeger (1986). Longitudinal data analysis using generalized linear models. Biometrika 73, 13-22.
    Pearl (2009). Causality: models, reasoning, and inference, 2nd edition, theorem 5.3.1. Cambridge
        University Press.

    Examples
    --------
    >>> age, dose, pain = np.random.default_rng(1).normal(size=(3, 200))
    >>> dose += 2 * age
    >>> table = pd.DataFrame({"age": age, "dose": dose, "pain": pain + 3 * age - dose})
    >>> model = Model(tasks={"pain": "gaussian"}, dag="age -> dose\nage -> pain +\ndose -> pain -")
    >>> signs(model, table)[["cause", "effect", "expected", "adjust"]]
      cause effect expected adjust
    0   age   pain        +   dose
    1  dose   pain        -    age
    """
    known, dag = evidence(model, table, group), model.dag
    rows = []
    for (cause, effect), sign in sorted(dag.signs.items()):
        if not {cause, effect} <= dag.measured:
            continue
        given = beside(dag, cause, effect)
        found = Slope() if given is None else _slope(known, cause, effect, given)
        reach = t.ppf((1 + _PROB) / 2, found.df) * found.error
        ratio = found.estimate / max(found.error, 1e-300) * (1 if sign == "+" else -1)
        rows.append(
            {
                "cause": cause,
                "effect": effect,
                "expected": sign,
                "adjust": "none" if given is None else ", ".join(sorted(given)) or "nothing",
                "estimate": found.estimate,
                "low": found.estimate - reach,
                "high": found.estimate + reach,
                "p": float(t.cdf(ratio, found.df)),
                "n": found.n,
                "dropped": found.dropped,
                "groups": found.groups,
            }
        )
    columns = ["cause", "effect", "expected", "adjust", "estimate", "low", "high", "p"]
    frame = pd.DataFrame(rows, columns=[*columns, "n", "dropped", "groups"])
    frame.insert(len(columns), "holm", adjusted(frame["p"].to_numpy(float), "holm"))
    return frame.sort_values("p", kind="stable", ignore_index=True)


def beside(dag: Dag, cause: str, effect: str) -> frozenset[str] | None:
    """The measured nodes nearest to the effect that leave nothing open but the arrow, or None."""
    after = dag.descendants([effect])
    if dag.selected & after:
        return None
    cut = replace(dag, arrows=dag.arrows - {(cause, effect)})
    graph = between(cut, [cause], effect, frozenset(), dag.measured - after - {cause, effect})
    return None if cause in graph[effect] else frozenset(graph[effect])


def _slope(known: Evidence, cause: str, effect: str, given: frozenset[str]) -> Slope:
    """The slope of one arrow in a table."""
    names, groups = known.beside(cause, effect, given)
    x, y = _number(known.variables[cause]), _number(known.variables[effect])
    if x is None or y is None:
        return Slope()
    return slope(x, y, [known.variables[name] for name in names], groups)


def slope(x: Variable, y: Variable, given: Sequence[Variable], groups: np.ndarray | None = None) -> Slope:
    """The slope of one number in the regression of another on it and on splines of others.

    Its error is that of the sandwich of Liang and Zeger, by rows or by groups of them.
    """
    rows, of, count = complete([x, y, *given], groups)
    n, dropped, many = int(rows.sum()), int((~rows).sum()), 0 if groups is None else count
    unknown = Slope(n=n, dropped=dropped, groups=many)
    x, y = x.at(rows), y.at(rows)
    if count < 3 or _same(y):
        return unknown
    terms = basis([each.y[rows] for each in given], n)
    left = x.y[:, 0] - terms @ (terms.T @ x.y[:, 0]) / n
    spread = float(np.sqrt((left**2).mean()))
    if spread <= 1e-9 * np.abs(x.y).max():
        return unknown
    terms = np.column_stack([terms, left / spread])
    size = np.ones(n) if y.size is None else y.size
    beta = regressed(y.y, size, terms, y.link)
    mean = means(terms, beta, y.link)
    curve = terms.T @ (size[:, None] * slopes(mean, y.link) * terms)
    scores = sums(size[:, None] * (y.y - mean) * terms, of, count) @ np.linalg.pinv(curve)[-1]
    free = count - taken(terms, of, count)
    if free <= 1:
        return unknown
    error = float(np.sqrt((scores**2).sum() * count / free))
    return Slope(float(beta[-1, 0]) / spread, error / spread, free, n, dropped, many)


def _same(y: Variable) -> bool:
    """Whether a variable is the same in all rows, or in all but four of two categories."""
    _, counts = np.unique(y.y, return_counts=True)
    few = 4 if y.link == "logit" and y.size is None else 0
    return len(counts) < 2 or bool(len(counts) == 2 and counts.min() <= few)


def _number(given: Variable) -> Variable | None:
    """A variable as one number: of ordered categories their place; None if they have no order."""
    if given.ordered:
        return Variable((1 - given.y).sum(axis=1, keepdims=True))
    return given if given.y.shape[1] == 1 else None
