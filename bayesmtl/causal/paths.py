"""Which paths of a graph are causal: from exposures to an outcome along the arrows.

A path is proper that meets the exposures at its start only: the others' share in a joint effect is
counted once.
"""

from collections.abc import Iterable
from dataclasses import replace

from bayesmtl.causal.dag import Dag


def mediators(dag: Dag, starts: frozenset[str], outcome: str) -> frozenset[str]:
    """The nodes on proper causal paths after the exposures, the outcome among them."""
    before = _without(dag, out_of=starts).ancestors([outcome]) | {outcome}
    return (dag.descendants(starts) & before) - starts


def unadjustable(dag: Dag, starts: frozenset[str], outcome: str) -> frozenset[str]:
    """The nodes on proper causal paths and their effects."""
    between = mediators(dag, starts, outcome)
    return between | dag.descendants(between)


def backdoor(dag: Dag, starts: frozenset[str], outcome: str) -> Dag:
    """The proper back-door graph: without the arrows by which proper causal paths begin."""
    between = mediators(dag, starts, outcome)
    return replace(
        dag, arrows=frozenset((a, b) for a, b in dag.arrows if a not in starts or b not in between)
    )


def onward(
    dag: Dag, starts: Iterable[str], end: str, barred: frozenset[str] = frozenset()
) -> tuple[str, ...] | None:
    """A shortest path along the arrows that meets no barred node, or None."""
    starts = frozenset(starts)
    # what begins along an arrow and is open given nothing, is along arrows all the way
    rest = replace(_without(dag, into=starts | barred), arcs=frozenset(), selected=frozenset())
    return rest.path(starts, end)


def _without(dag: Dag, into: Iterable[str] = (), out_of: Iterable[str] = ()) -> Dag:
    return replace(dag, arrows=frozenset((a, b) for a, b in dag.arrows if b not in into and a not in out_of))
