"""All sets of nodes that separate others in a causal graph, none larger than it need be."""

from collections.abc import Iterable, Iterator

from bayesmtl.causal.dag import Dag
from bayesmtl.errors import refuse

Moral = dict[str, set[str]]  # the neighbours of each node in an undirected graph


def separators(
    dag: Dag, a: str, b: str, *, forced: Iterable[str] = (), forbidden: Iterable[str] = ()
) -> Iterator[frozenset[str]]:
    """All minimal sets of measured nodes that d-separate two nodes in the rows that there are.

    Minimal: no node but a forced one can be left out. There is none when no set separates the two,
    and one that is empty when they are independent as they are. The next set comes after a time that
    is polynomial in the size of the graph, but there can be exponentially many.

    Parameters
    ----------
    dag
        The causal graph; its latent nodes are in no set, and its selected ones are given beside each.
    a, b
        Two nodes.
    forced
        Nodes that are in every set.
    forbidden
        Nodes that are in none.

    Raises
    ------
    ModelError
        Of names that are not in the graph or stand on two sides, and of a cycle.

    References
    ----------
    Takata (2010). Space-optimal, backtracking algorithms to list the minimal vertex separators of a
        graph. Discrete Applied Mathematics 158, 1660-1667.
    van der Zander, Liskiewicz and Textor (2019). Separators and adjustment sets in causal graphs:
        complete criteria and an algorithmic framework. Artificial Intelligence 270, 1-40.

    Examples
    --------
    >>> dag = Dag.read("age -> education -> job -> income")
    >>> [sorted(given) for given in separators(dag, "age", "income")]
    [['job'], ['education']]
    """
    forced = frozenset(forced)
    forbidden = frozenset(forbidden)
    refuse(dag.faults([a], [b], forced, forbidden))
    allowed = dag.measured - forbidden - {a, b}
    return (found | forced for found in minimal(between(dag, [a], b, forced, allowed), a, b))


def between(
    dag: Dag, starts: Iterable[str], end: str, forced: frozenset[str], allowed: frozenset[str]
) -> Moral:
    """The undirected graph whose separators, and what is forced, d-separate some nodes from another.

    What selects the rows is forced too. It is the moral graph of their ancestors, with the first of the
    starts in place of them all, and with every node that can't be in a set replaced by edges between its
    neighbours.
    """
    starts, forced = sorted(starts), forced | dag.selected
    graph = moral(dag, {*starts, end} | forced)
    for other in starts[1:]:
        graph[starts[0]] |= graph[other]
        for neighbour in graph[other]:
            graph[neighbour].add(starts[0])
        _drop(graph, other)
    graph[starts[0]] -= {starts[0]}
    for node in forced:
        _drop(graph, node)
    for node in sorted(graph.keys() - allowed - {starts[0], end}):
        around = graph[node]
        _drop(graph, node)
        for neighbour in around:
            graph[neighbour] |= around - {neighbour}
    return graph


def moral(dag: Dag, nodes: Iterable[str]) -> Moral:
    """The moral graph of some nodes and their ancestors: parents of a child, or of an arc's ends, joined.

    References
    ----------
    Richardson (2003). Markov properties for acyclic directed mixed graphs. Scandinavian Journal of
        Statistics 30, 145-157.
    """
    kept = dag.ancestors(nodes) | set(nodes)
    graph: Moral = {node: set() for node in kept}
    arcs: Moral = {node: set() for node in kept}
    for a, b in dag.arcs:
        if {a, b} <= kept:
            arcs[a].add(b)
            arcs[b].add(a)
    while arcs:
        district = _reach(arcs, min(arcs), set())
        family = district.union(*map(dag.causes, district))
        for node in family:
            graph[node] |= family - {node}
        arcs = {node: others for node, others in arcs.items() if node not in district}
    return graph


def minimal(graph: Moral, a: str, b: str) -> Iterator[frozenset[str]]:
    """All minimal separators of two nodes of an undirected graph: Takata's search, by a stack.

    A separator is known by the side on which ``a`` is left. A side and the nodes that may not join
    it leave at least one separator, the nearest to it, or none.
    """
    todo = [({a}, frozenset[str]())]
    while todo:
        side, barred = todo.pop()
        edge = _around(graph, side)
        if b in edge:
            continue
        cut = _around(graph, _reach(graph, b, edge))
        side = _reach(graph, a, cut)
        if side & barred:
            continue
        if free := cut - barred:
            node = min(free)
            todo += [(side, barred | {node}), (side | {node}, barred)]
        else:
            yield frozenset(cut)


def nearest(graph: Moral, a: str, b: str) -> frozenset[str] | None:
    """The minimal separator of two nodes that is nearest to ``b``, or None when they are neighbours."""
    if a in graph[b]:
        return None
    return frozenset(_around(graph, _reach(graph, a, graph[b])))


def _around(graph: Moral, side: set[str]) -> set[str]:
    return set().union(*(graph[node] for node in side)) - side


def _reach(graph: Moral, start: str, barrier: set[str]) -> set[str]:
    """The nodes that paths lead to from a start, without those of a barrier."""
    found = {start}
    front = [start]
    while front:
        new = graph[front.pop()] - found - barrier
        found |= new
        front += new
    return found


def _drop(graph: Moral, node: str) -> None:
    for neighbour in graph.pop(node):
        graph[neighbour].discard(node)
