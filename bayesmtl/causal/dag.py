"""Causal graphs as sets of arrows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from bayesmtl.causal.dialects import parsed, quoted
from bayesmtl.errors import Finding, ModelError, refuse, unknown

if TYPE_CHECKING:
    import networkx


@dataclass(frozen=True)
class Dag:
    """A causal graph.

    Parameters
    ----------
    arrows
        ``(cause, effect)`` pairs.
    arcs
        Pairs with a hidden common cause, ``a <-> b``, each in alphabetical order.
    latent
        Nodes that no table measures.
    signs
        ``"+"`` or ``"-"`` for the arrows whose direction the author expects.
    selected
        Nodes that decide which rows a table has. It has only those that they took, so that all that it tells
        is given them; no table need have them as columns.

    Raises
    ------
    ModelError
        When a node has no name, or one of several lines.

    References
    ----------
    Hernán, Hernández-Díaz and Robins (2004). A structural approach to selection bias. Epidemiology 15,
        615-625.
    """

    arrows: frozenset[tuple[str, str]] = frozenset()
    arcs: frozenset[tuple[str, str]] = frozenset()
    latent: frozenset[str] = frozenset()
    signs: Mapping[tuple[str, str], str] = field(default_factory=dict, hash=False)
    selected: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        wrong = sorted(name for name in self.nodes if not name or "\n" in name)
        if wrong:
            problem = "has a node whose name is empty or has several lines: {!r}."
            raise ModelError(*(Finding("dag", problem.format(name), "Rename it.") for name in wrong))

    @classmethod
    def read(cls, text: str) -> "Dag":
        """Read one statement a line.

        ``a -> b -> c`` is two arrows, ``a, b -> c`` as well; ``a <-> b`` is a hidden cause of both;
        ``latent: u`` names a node that is not measured, ``selected: s`` one that decides which rows
        there are; ``a -> b +`` and ``a -> b -`` expect a sign; ``#`` starts a comment. Quotes hold a
        name with a comma, an arrow or a ``#``, and a backslash stands before a quote that is part of it.
        The text of dagitty.net, plain DOT and GML are read too.

        Examples
        --------
        >>> sorted(Dag.read("age -> education -> income").causes("income"))
        ['education']
        """
        return cls(**parsed(text))

    def __repr__(self) -> str:
        return f"Dag.read({str(self)!r})"

    def __bool__(self) -> bool:
        return bool(self.arrows or self.arcs)

    def __str__(self) -> str:
        lines = [
            f"{quoted(a)} -> {quoted(b)} {self.signs.get((a, b), '')}".rstrip()
            for a, b in sorted(self.arrows)
        ]
        lines += [f"{quoted(a)} <-> {quoted(b)}" for a, b in sorted(self.arcs)]
        lines += [f"latent: {quoted(name)}" for name in sorted(self.latent)]
        return "\n".join([*lines, *(f"selected: {quoted(name)}" for name in sorted(self.selected))])

    @property
    def nodes(self) -> frozenset[str]:
        """Every name in the graph."""
        ends = frozenset(name for pair in self.arrows | self.arcs for name in pair)
        return ends | self.latent | self.selected

    @property
    def measured(self) -> frozenset[str]:
        """The nodes that vary in a table and are columns of it."""
        return self.nodes - self.latent - self.selected

    @property
    def graph(self) -> "networkx.DiGraph":
        """The arrows as a networkx graph."""
        import networkx  # most of a second, which no check need wait for

        graph = networkx.DiGraph(sorted(self.arrows))
        graph.add_nodes_from(sorted(self.nodes))
        return graph

    def causes(self, node: str) -> frozenset[str]:
        """The direct causes of a node."""
        return frozenset(other for other, edge in self._edges.get(node, ()) if edge == "<-")

    def effects(self, node: str) -> frozenset[str]:
        """The direct effects of a node."""
        return frozenset(other for other, edge in self._edges.get(node, ()) if edge == "->")

    def ancestors(self, nodes: Iterable[str]) -> frozenset[str]:
        """All direct and indirect causes of some nodes."""
        return self._along("<-", nodes)

    def descendants(self, nodes: Iterable[str]) -> frozenset[str]:
        """All direct and indirect effects of some nodes."""
        return self._along("->", nodes)

    def cycle(self) -> list[str] | None:
        """A directed cycle, as ``[a, b, a]``, or None when there is none."""
        try:
            TopologicalSorter({b: sorted(self.causes(b)) for b in sorted(self.nodes)}).prepare()
        except CycleError as error:
            nodes = error.args[1][1:]
            first = nodes.index(min(nodes))
            return [*nodes[first:], *nodes[: first + 1]]
        return None

    def separated(self, a: str, b: str, given: Iterable[str] = ()) -> bool:
        """Whether the graph implies that two nodes are independent given others: d-separation.

        An arc counts as a hidden common cause, and what selects the rows is always given.

        Raises
        ------
        ModelError
            Of names that are not in the graph or stand on two sides, and of a cycle.

        References
        ----------
        Pearl (1988). Probabilistic Reasoning in Intelligent Systems. Morgan Kaufmann.
        Richardson (2003). Markov properties for acyclic directed mixed graphs. Scandinavian Journal
            of Statistics 30, 145-157.

        Examples
        --------
        >>> dag = Dag.read("age -> education -> income")
        >>> dag.separated("age", "income"), dag.separated("age", "income", ["education"])
        (False, True)
        """
        given = frozenset(given)
        refuse(self.faults([a], [b], given))
        return self.path([a], b, given) is None

    def path(self, starts: Iterable[str], end: str, given: Iterable[str] = ()) -> tuple[str, ...] | None:
        """A shortest open path given some nodes, as ``("x", "<-", "u", "->", "y")``, or None."""
        reached = self._reached(frozenset(starts), frozenset(given))
        state = next((state for state in reached if state[0] == end), None)
        if state is None:
            return None
        steps = [end]
        while before := reached[state]:
            state, edge = before
            steps += [edge, state[0]]
        return tuple(reversed(steps))

    def connected(self, starts: Iterable[str], given: Iterable[str] = ()) -> frozenset[str]:
        """The nodes to which an open path leads, the starts among them."""
        return frozenset(node for node, _ in self._reached(frozenset(starts), frozenset(given)))

    def faults(self, *sides: Iterable[str]) -> list[Finding]:
        """Why a question about these sets of nodes has no answer, if it has none."""
        asked = [name for side in sides for name in sorted(side)]
        found = [unknown("dag", "node", name, self.nodes) for name in asked if name not in self.nodes]
        for name in dict.fromkeys(name for name in asked if asked.count(name) > 1):
            found.append(Finding("dag", f'"{name}" stands on two sides of a question.', "Name it once."))
        if cycle := self._cycle:
            found.append(Finding("dag", f"has a cycle: {' -> '.join(cycle)}.", "Remove one arrow."))
        return found

    @cached_property
    def _cycle(self) -> list[str] | None:
        return self.cycle()

    @cached_property
    def _edges(self) -> dict[str, list[tuple[str, str]]]:
        """Each node's neighbours, with the edge as it is written from the node."""
        edges: dict[str, list[tuple[str, str]]] = {}
        for a, b in sorted(self.arrows):
            edges.setdefault(a, []).append((b, "->"))
            edges.setdefault(b, []).append((a, "<-"))
        for a, b in sorted(self.arcs):
            edges.setdefault(a, []).append((b, "<->"))
            edges.setdefault(b, []).append((a, "<->"))
        return edges

    def _along(self, kind: str, nodes: Iterable[str]) -> frozenset[str]:
        """All that edges of a kind lead to from some nodes."""
        found: set[str] = set()
        front = list(nodes)
        while front:
            for other, edge in self._edges.get(front.pop(), ()):
                if edge == kind and other not in found:
                    found.add(other)
                    front.append(other)
        return frozenset(found)

    def _reached(
        self, starts: frozenset[str], given: frozenset[str]
    ) -> dict[tuple[str, bool], tuple[tuple[str, bool], str] | None]:
        """Where open paths lead, nearest first: each node, and whether by an arrowhead, from where."""
        given |= self.selected
        opened = given | self.ancestors(given)
        reached: dict[tuple[str, bool], tuple[tuple[str, bool], str] | None]
        reached = {(start, False): None for start in sorted(starts)}
        front = list(reached)
        for state in front:  # which grows
            node, into = state
            for other, edge in self._edges.get(node, ()):
                collider = into and edge.startswith("<")
                after = other, edge.endswith(">")
                if (node in opened if collider else node not in given) and after not in reached:
                    reached[after] = state, edge
                    front.append(after)
        return reached
