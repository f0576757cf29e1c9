"""Front-door sets: an effect told by what carries it, where exposure and outcome share hidden causes."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from bayesmtl.causal.dag import Dag
from bayesmtl.errors import refuse

MOST = 100  # sets; of a graph that has more, so many are listed


def frontdoor(dag: Dag, exposure: str, outcome: str) -> tuple[frozenset[str], ...]:
    """All minimal front-door sets of measured nodes, small ones first; the first 100 if there are more.

    Such a set meets every causal path from the exposure to the outcome, has no open back-door path
    from the exposure, and none to the outcome that the exposure does not block. There is none when what
    selects the rows is an effect of the exposure.

    Parameters
    ----------
    dag
        The causal graph; its latent nodes are in no set.
    exposure, outcome
        Two nodes.

    Raises
    ------
    ModelError
        Of names that are not in the graph, of twice the same, and of a cycle.

    References
    ----------
    Pearl (1995). Causal diagrams for empirical research. Biometrika 82, 669-688.
    Jeong, Tian and Bareinboim (2022). Finding and listing front-door adjustment sets. Advances in Neural
        Information Processing Systems 35, 33173-33185.
    Wienöbst, van der Zander and Liskiewicz (2024). Linear-time algorithms for front-door adjustment in
        causal graphs. AAAI Conference on Artificial Intelligence 38, 20577-20584.

    Examples
    --------
    >>> [sorted(found) for found in frontdoor(Dag.read("x -> m -> y <-> x"), "x", "y")]
    [['m']]
    """
    refuse(dag.faults([exposure], [outcome]))
    found = list(islice(_minimal(dag, exposure, outcome), MOST))
    return tuple(sorted(found, key=lambda some: (len(some), sorted(some))))


def _minimal(dag: Dag, exposure: str, outcome: str) -> Iterator[frozenset[str]]:
    """Each minimal set once: another lacks a node of it, and is found among the sets without this node."""
    if dag.selected & dag.descendants([exposure]):
        return
    measured = dag.measured - {exposure, outcome}
    # no back-door path may lead to a node of the set
    apart = measured - _without(dag, [exposure]).connected([exposure])
    todo, seen, found = [apart], {apart}, set[frozenset[str]]()
    while todo:
        whole = todo.pop()
        small = _smallest(dag, exposure, outcome, whole)
        if small is None:
            continue
        if small not in found:
            found.add(small)
            yield small
        for rest in (whole - {node} for node in sorted(small)):
            if rest not in seen:
                seen.add(rest)
                todo.append(rest)


def _smallest(dag: Dag, exposure: str, outcome: str, nodes: frozenset[str]) -> frozenset[str] | None:
    """A minimal front-door set among some nodes, or None."""
    kept = _largest(dag, exposure, outcome, nodes)
    for node in sorted(kept or ()):
        if kept is not None and node in kept:
            fewer = _largest(dag, exposure, outcome, kept - {node})
            kept = kept if fewer is None else fewer
    return kept


def _largest(dag: Dag, exposure: str, outcome: str, nodes: frozenset[str]) -> frozenset[str] | None:
    """The largest front-door set among some nodes, or None."""
    while wrong := nodes & _without(dag, nodes).connected([outcome], [exposure]):
        nodes -= wrong  # the graph of any smaller set has more arrows, and connects them too
    return None if outcome in _without(dag, nodes).descendants([exposure]) else nodes


def _without(dag: Dag, nodes: Iterable[str]) -> Dag:
    """The graph without the arrows out of some nodes."""
    return replace(dag, arrows=frozenset((a, b) for a, b in dag.arrows if a not in nodes))
