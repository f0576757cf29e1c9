"""Causal graphs as sets of arrows."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise, product
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

        ``a -> b -> c`` is two arrows, ``a, b -> c`` as well; ``a <-> b`` is a hidden cause of both;
        ``latent: u`` names a node that is not measured; ``a -> b +`` and ``a -> b -`` expect a
        sign; ``#`` starts a comment; quotes hold a name with a comma, an arrow or a ``#``. The text
        of dagitty.net and plain DOT are read too.

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
        plain, names = _plain(text)
        for line in _statements(plain):
            if line.startswith("latent:"):
                latent |= set(_listed(line.removeprefix("latent:"), names))
                continue
            body, sign = re.fullmatch(r"(.*?)(?:\s([+-]))?", line, re.S).groups()  # type: ignore[union-attr]
            steps = re.split(r"(<->|->|<-)", body)
            sides = [_listed(step, names) for step in steps[::2]]
            if len(sides) < 2 or not all(sides):
                wrong.append(_unreadable(line, names))
                continue
            for (left, right), kind in zip(pairwise(sides), steps[1::2], strict=True):
                for a, b in product(left, right):
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
        lines = [
            f"{_quoted(a)} -> {_quoted(b)} {self.signs.get((a, b), '')}".rstrip()
            for a, b in sorted(self.arrows)
        ]
        lines += [f"{_quoted(a)} <-> {_quoted(b)}" for a, b in sorted(self.arcs)]
        return "\n".join([*lines, *(f"latent: {_quoted(name)}" for name in sorted(self.latent))])

    @property
    def nodes(self) -> frozenset[str]:
        """Every name in the graph."""
        return frozenset(n for pair in self.arrows | self.arcs for n in pair) | self.latent

    @property
    def graph(self) -> "networkx.DiGraph":
        """The arrows as a networkx graph."""
        import networkx  # most of a second, which no check need wait for

        graph = networkx.DiGraph(sorted(self.arrows))
        graph.add_nodes_from(sorted(self.nodes))
        return graph

    def causes(self, node: str) -> frozenset[str]:
        """The direct causes of a node."""
        return frozenset(a for a, b in self.arrows if b == node)

    def descendants(self, nodes: Iterable[str]) -> frozenset[str]:
        """All direct and indirect effects of some nodes."""
        found: set[str] = set()
        front = set(nodes)
        while front:
            front = {b for a, b in self.arrows if a in front} - found
            found |= front
        return frozenset(found)

    def cycle(self) -> list[str] | None:
        """A directed cycle, as ``[a, b, a]``, or None when there is none."""
        try:
            TopologicalSorter({b: sorted(self.causes(b)) for b in sorted(self.nodes)}).prepare()
        except CycleError as error:
            nodes = error.args[1][1:]
            first = nodes.index(min(nodes))
            return [*nodes[first:], *nodes[: first + 1]]
        return None


def _plain(text: str) -> tuple[str, dict[str, str]]:
    """A graph's text with a mark for each quoted name, and what each mark stands for."""
    names: dict[str, str] = {}

    def mark(quoted: re.Match[str]) -> str:
        return names.setdefault(quoted[2], f"\0{len(names)}\0")

    # an apostrophe inside a word is no quote, nor is one in a comment
    lines = [
        re.sub(r"""(?<![^\s,>\-{;])(["'])([^\n]+?)\1(?!\w)""", mark, line)
        for line in re.sub(r"^\s*(#|//).*", "", text, flags=re.M).split("\n")
    ]
    return "\n".join(lines), {mark: name for name, mark in names.items()}


def _statements(text: str) -> list[str]:
    """The statements of a graph, rid of comments and of the dress of dagitty and DOT."""
    text = re.sub(r"(#|//).*", "", text)
    dressed = re.fullmatch(r"\s*(?:strict\s+)?(?:dag|digraph)\b[^{]*\{(.*)\}[\s;]*", text, re.S | re.I)
    if not dressed:
        return [line.strip() for line in text.splitlines() if line.strip()]
    statements = []
    for line in re.split(r"[;\n]", dressed[1]):
        body = re.sub(r"\[[^]]*\]", "", line).strip()
        if re.search(r"\[[^]]*\b(latent|unobserved)\b", line):
            statements.append(f"latent: {body}")
        elif re.search(r"<->|->|<-", body):
            statements.append(re.sub(r"\{([^}]*)\}", lambda m: ",".join(m[1].split()), body))
    return statements


def _listed(text: str, names: Mapping[str, str]) -> list[str]:
    """The names between commas, quoted ones in full."""
    parts = (part.strip() for part in text.split(","))
    return [names.get(part, part) for part in parts if part]


def _unreadable(line: str, names: Mapping[str, str]) -> Finding:
    for mark, name in names.items():
        line = line.replace(mark, f'"{name}"')
    remedy = 'Write "cause -> effect", "a <-> b" or "latent: u".'
    return Finding("dag", f'can\'t read "{line}".', remedy)


def _quoted(name: str) -> str:
    """A name as a graph's text must write it."""
    plain = re.fullmatch(r"\w+([ .]\w+)*", name) and not re.match(r"(strict|dag|digraph)\b", name)
    if plain:
        return name
    return f"'{name}'" if '"' in name else f'"{name}"'
