"""Whether a graph fits its table better than the same graph with its nodes' names exchanged."""

from collections.abc import Callable, Mapping
from functools import cache
from itertools import permutations as orders_of
from typing import Any

import numpy as np
import pandas as pd

from bayesmtl.evidence.implied import Implication, evidence, implied
from bayesmtl.spec import Model

_MOST = 7  # nodes, of which all permutations are taken
_LEVEL = 0.05


def falsify(
    model: Model,
    table: Any = None,
    *,
    seed: int,
    group: str | None = None,
    permutations: int = 200,
    watch: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Hold a graph against its table by exchanging the names of its measured nodes: one row.

    A graph that says something about the table has fewer of its implications violated, at a level of 0.05
    each, than graphs of the same shape. Up to seven measured nodes all permutations are taken, so that the
    seed does nothing; of more, as many as are asked for.

    Parameters
    ----------
    model, table, group
        As ``implications`` takes them.
    seed
        The same seed gives the same permutations.
    permutations
        How many of a graph of eight nodes or more.
    watch
        Is told how many permutations are done, and of how many.

    Returns
    -------
    DataFrame
        ``tested``, the implications that could be tested, and ``violated``, those with a p below the level;
        ``p``, the share of the graphs, permuted or as drawn, with as small a share of violations as it has as
        drawn; ``equivalent``, the share of those that imply only what the graph as drawn implies, which no
        table tells from it; ``permutations``, how many. ``verdict``: "contradicted" when names can be
        exchanged for no more violations; "uninformative" when more than one graph in twenty implies the same,
        or has no violation either; else "not contradicted", which is not confirmed.

    Raises
    ------
    ModelError
        When the model or the table is at fault, with every finding.

    References
    ----------
    Eulig, Mastakouri, Bloebaum, Hardt and Janzing (2023). Toward falsifying causal graphs using a
        permutation-based test. arXiv 2305.09565.

    Examples
    --------
    >>> a, b, noise = np.random.default_rng(1).normal(size=(3, 200))
    >>> model = Model(tasks={"c": "gaussian"}, dag="a, b -> c")
    >>> falsify(model, pd.DataFrame({"a": a, "b": b, "c": a + b + noise}), seed=1)["verdict"].item()
    'uninformative'
    """
    known, drawn = evidence(model, table, group), implied(model.dag)

    @cache
    def p_of(implication: Implication) -> float:
        return known.test(implication).p

    @cache
    def shared(implication: Implication) -> bool:
        return model.dag.separated(implication.a, implication.b, implication.given)

    def violated(implications: list[Implication]) -> np.ndarray:
        p = np.array([p_of(implication) for implication in implications])
        return p[np.isfinite(p)] < _LEVEL

    def share(implications: list[Implication]) -> float:
        return float(np.mean([*violated(implications)] or [0.0]))

    names = sorted(model.dag.measured)
    orders, here, least = _orders(names, permutations, seed), violated(drawn), share(drawn)
    alike = equivalent = 1  # the graph as drawn is one of them
    for done, order in enumerate(orders, 1):
        graph = [_renamed(each, dict(zip(names, order, strict=True))) for each in drawn]
        alike += share(graph) <= least
        equivalent += all(map(shared, graph))
        if watch:
            watch(done, len(orders))
    every = 1 + len(orders)
    row = {
        "tested": len(here),
        "violated": int(here.sum()),
        "p": alike / every,
        "equivalent": equivalent / every,
        "permutations": len(orders),
        "verdict": _verdict(int(here.sum()), alike / every, equivalent / every),
    }
    return pd.DataFrame([row])


def _verdict(violated: int, p: float, equivalent: float) -> str:
    """What it comes to."""
    if p <= _LEVEL:
        return "not contradicted"
    return "contradicted" if violated and equivalent <= _LEVEL else "uninformative"


def _orders(names: list[str], many: int, seed: int) -> list[tuple[str, ...]]:
    """The names in other orders: all, or so many at random."""
    if len(names) <= _MOST:
        return [*orders_of(names)][1:]  # the first is as they are
    draw = np.random.default_rng(seed)
    return [tuple(names[i] for i in draw.permutation(len(names))) for _ in range(many)]


def _renamed(implication: Implication, names: Mapping[str, str]) -> Implication:
    a, b = sorted((names[implication.a], names[implication.b]))
    return Implication(a, b, tuple(sorted(names[name] for name in implication.given)))
