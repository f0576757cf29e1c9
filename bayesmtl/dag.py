"""Causal graphs as sets of arrows."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from bayesmtl.errors import Finding, ModelError

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
    """

    arrows: frozenset[tuple[str, str]] = frozenset()
    arcs: frozenset[tuple[str, str]] = frozenset()
    latent: frozenset[str] = frozenset()
    signs: Mapping[tuple[str, str], str] = field(default_factory=dict, hash=False)

    @classmethod
    def read(cls, text: str) -> "Dag":
        """Read one statement a line.

        ``a -> b -> c`` is two arrows, ``a, b -> c`` as well; ``a <-> b`` is a hidden common cause;
        ``latent: u`` names a node that is not measured; ``a -> b +`` and ``a -> b -`` expect a sign;
        ``#`` starts a comment. The text of dagitty.net and plain DOT are read too.

        Examples
        --------
        >>> sorted(Dag.read("age -> education -> income").causes("income"))
        ['education']
        """
        arrows: set[tuple[str, str]] = set()
        arcs: set[tuple[str, str]] = set()
        latent: set[str] = set()
        signs: dict[tuple[str, str], str] = {}
        wrong = []
        for line in _statements(text):
            if line.startswith("latent:"):
                latent |= set(_names(line.removeprefix("latent:")))
                continue
            body, sign = re.fullmatch(r"(.*?)(?:\s([+-]))?", line, re.S).groups()  # type: ignore[union-attr]
            steps = re.split(r"(<->|->|<-)", body)
            if len(steps) < 3 or not all(_names(step) for step in steps[::2]):
                wrong.append(
                    Finding(
                        "dag",
                        f'can\'t read "{line}".',
                        'Write "cause -> effect", "a <-> b" or "latent: u".',
                    )
                )
                continue
            for (left, right), kind in zip(
                pairwise(map(_names, steps[::2])), steps[1::2], strict=True
            ):
                for a in left:
                    for b in right:
                        if kind == "<->":
                            arcs.add((min(a, b), max(a, b)))
                            continue
                        arrow = (a, b) if kind == "->" else (b, a)
                        arrows.add(arrow)
                        if sign:
                            signs[arrow] = sign
        if wrong:
            raise ModelError(*wrong)
        return cls(frozenset(arrows), frozenset(arcs), frozenset(latent), signs)

    def __bool__(self) -> bool:
        return bool(self.arrows or self.arcs)

    def __str__(self) -> str:
        lines = [" -> ".join(a) + f" {self.signs.get(a, '')}".rstrip() for a in sorted(self.arrows)]
        lines += [" <-> ".join(arc) for arc in sorted(self.arcs)]
        return "\n".join([*lines, *(f"latent: {name}" for name in sorted(self.latent))])

    @property
    def nodes(self) -> frozenset[str]:
        """Every name in the graph."""
        return frozenset(n for pair in self.arrows | self.arcs for n in pair) | self.latent

    @property
    def graph(self) -> "networkx.DiGraph":
        """The arrows as a networkx graph."""
        import networkx  # a third of a second, which a picture need not wait for

        graph = networkx.DiGraph(sorted(self.arrows))
        graph.add_nodes_from(sorted(self.nodes))
        return graph

    def causes(self, node: str) -> frozenset[str]:
        """The direct causes of a node."""
        return frozenset(a for a, b in self.arrows if b == node)

    def descendants(self, nodes: Iterable[str]) -> frozenset[str]:
        """All direct and indirect effects of some nodes."""
        import networkx

        graph = self.graph
        return frozenset().union(
            *(networkx.descendants(graph, node) for node in nodes if node in graph)
        )

    def cycle(self) -> list[str] | None:
        """A directed cycle, as ``[a, b, a]``, or None when there is none."""
        import networkx

        try:
            edges = networkx.find_cycle(self.graph)
        except networkx.NetworkXNoCycle:
            return None
        return [edges[0][0], *(b for _, b in edges)]


def _statements(text: str) -> list[str]:
    """The statements of a graph, rid of comments and of the dress of dagitty and DOT."""
    text = re.sub(r"(#|//).*", "", text)
    dressed = re.fullmatch(r"\s*(?:strict\s+)?(?:dag|digraph)\b[^{]*\{(.*)\}\s*", text, re.S | re.I)
    if not dressed:
        return [line.strip() for line in text.splitlines() if line.strip()]
    statements = []
    for line in re.split(r"[;\n]", dressed[1]):
        body = re.sub(r"\[[^]]*\]", "", line).strip()
        if re.search(r"\[[^]]*\b(latent|unobserved)\b", line):
            statements.append(f"latent: {body}")
        elif re.search(r"<->|->|<-", body):
            statements.append(re.sub(r"[{}]", "", body))
    return statements


def _names(text: str) -> list[str]:
    return [name for name in (part.strip().strip("\"'").strip() for part in text.split(",")) if name]
