"""Whether a graph fits its table better than the same graph with its nodes' names exchanged."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import permutations as orders_of
from typing import Any, Literal

import numpy as np

from bayesmtl.implied import Implication, evidence, implied
from bayesmtl.spec import Model

_MOST = 7  # nodes, of which all permutations are taken
_LEVEL = 0.05


@dataclass(frozen=True)
class Falsification:
    """A graph beside its permutations.

    Parameters
    ----------
    tested, violated
        Implications that could be tested, and those with a p below the level.
    p
        The share of the graphs, permuted or as drawn, with as small a share of violations as it has as drawn.
    equivalent
        The share of those that imply only what the graph as drawn implies: no table tells them from it.
    permutations
        How many.
    """

    tested: int
    violated: int
    p: float
    equivalent: float
    permutations: int

    @property
    def verdict(self) -> Literal["contradicted", "not contradicted", "uninformative"]:
        """What it comes to: contradicted when names can be exchanged for no more violations.

        Uninformative when more than one graph in twenty implies the same, or has no violation either.
        """
        if self.p <= _LEVEL:
            return "not contradicted"
        return "contradicted" if self.violated and self.equivalent <= _LEVEL else "uninformative"


def falsify(
    model: Model, table: Any, *, seed: int, group: str | None = None, permutations: int = 200
) -> Falsification:
    """Hold a graph against its table by exchanging the names of its measured nodes.

    A graph that says something about the table has fewer of its implications violated, at a level of 0.05
    each, than graphs of the same shape. Up to seven measured nodes all permutations are taken, so that the
    seed does nothing; of more, as many as are asked for. A graph that is not contradicted is not confirmed.

    Parameters
    ----------
    model, table, group
        As ``implications`` takes them.
    seed
        The same seed gives the same permutations.
    permutations
        How many of a graph of eight nodes or more.

    Raises
    ------
    ModelError
        When the model or the table is at fault, with every finding.

    References
    ----------
    Eulig, Mastakouri, Bloebaum, Hardt and Janzing (2023). Toward falsifying causal graphs using a
        permutation-based test. arXiv 2305.09565.
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

    names = sorted(model.dag.nodes - model.dag.latent)
    orders = _orders(names, permutations, seed)
    graphs = [[_renamed(each, dict(zip(names, order, strict=True))) for each in drawn] for order in orders]
    least = share(drawn)
    return Falsification(
        tested=len(violated(drawn)),
        violated=int(violated(drawn).sum()),
        p=(1 + sum(share(graph) <= least for graph in graphs)) / (1 + len(graphs)),
        equivalent=(1 + sum(all(map(shared, graph)) for graph in graphs)) / (1 + len(graphs)),
        permutations=len(graphs),
    )


def _orders(names: list[str], many: int, seed: int) -> list[tuple[str, ...]]:
    """The names in other orders: all, or so many at random."""
    if len(names) <= _MOST:
        return [*orders_of(names)][1:]  # the first is as they are
    draw = np.random.default_rng(seed)
    return [tuple(names[i] for i in draw.permutation(len(names))) for _ in range(many)]


def _renamed(implication: Implication, names: Mapping[str, str]) -> Implication:
    a, b = sorted((names[implication.a], names[implication.b]))
    return Implication(a, b, tuple(sorted(names[name] for name in implication.given)))
