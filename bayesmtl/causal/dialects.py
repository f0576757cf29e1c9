"""The texts of causal graphs: lines of arrows, and those of dagitty.net, DOT and GML."""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise, product
from typing import Any

from bayesmtl.errors import Finding, ModelError

_TIME = r"\[(?:t|t?[+-]?\d+)\]"  # the end of a name such as x[t-1]
_ATTRIBUTES = rf"(?!{_TIME})\[([^]]*)\]"
_GML = r"\s*(?:(?:Creator|Version|#).*\n\s*)*graph\s*\["
_ESCAPED = r"""\\(["'\\])"""  # in a quoted name
_MARKS = {  # stand behind a name in place of attributes that say so
    "\1": ("latent", r"\b(latent|unobserved)\b"),
    "\2": ("selected", r"\bselected\b"),
}


def parsed(text: str) -> dict[str, Any]:
    """The arrows, arcs, latent and selected nodes, and signs that a graph's text states.

    Raises
    ------
    ModelError
        With a finding for each statement that can't be read.
    """
    if re.match(_GML, text):
        return _gml(text)
    arrows: set[tuple[str, str]] = set()
    arcs: set[tuple[str, str]] = set()
    named: dict[str, set[str]] = {"latent": set(), "selected": set()}
    signs: dict[tuple[str, str], str] = {}
    wrong = []
    plain, names = _plain(text)
    for line in _statements(plain):
        word, colon, rest = line.partition(":")
        if colon and word in named:
            named[word] |= set(_listed(rest, names))
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
                if sign and signs.setdefault(arrow, sign) != sign:
                    problem = f"expects both signs of {quoted(arrow[0])} -> {quoted(arrow[1])}."
                    wrong.append(Finding("dag", problem, "Give the arrow one sign, or none."))
    if wrong:
        raise ModelError(*wrong)
    kept = {word: frozenset(nodes) for word, nodes in named.items()}
    return {"arrows": frozenset(arrows), "arcs": frozenset(arcs), "signs": signs, **kept}


def quoted(name: str) -> str:
    """A name as a graph's text must write it."""
    plain = re.fullmatch(rf"\w+([ .]\w+)*({_TIME})?", name)
    if plain and not re.match(r"(strict|dag|digraph|graph|Creator|Version)\b", name):
        return name
    quote = "'" if '"' in name and "'" not in name else '"'
    return quote + re.sub(rf"([\\{quote}])", r"\\\1", name) + quote


def _plain(text: str) -> tuple[str, dict[str, str]]:
    """A graph's text with a mark for each quoted name, and what each mark stands for."""
    names: dict[str, str] = {}

    def mark(quoted: re.Match[str]) -> str:
        return names.setdefault(re.sub(_ESCAPED, r"\1", quoted[2]), f"\0{len(names)}\0")

    # an apostrophe inside a word is no quote, nor is one in a comment
    lines = [
        re.sub(rf"""(?<![^\s,>\-{{;=])(["'])((?>{_ESCAPED}|[^\n])+?)\1(?!\w)""", mark, line)
        for line in re.sub(r"^\s*(#|//).*", "", text, flags=re.M).split("\n")
    ]
    return "\n".join(lines), {mark: name for name, mark in names.items()}


def _statements(text: str) -> list[str]:
    """The statements of a graph, rid of comments and of the dress of dagitty and DOT."""
    text = re.sub(r"(#|//).*", "", text)
    dressed = re.fullmatch(r"\s*(?:strict\s+)?(?:dag|digraph)\b[^{]*\{(.*)\}[\s;]*", text, re.S | re.I)
    if not dressed:
        return [line.strip() for line in text.splitlines() if line.strip()]
    return list(_undressed(dressed[1]))


def _undressed(text: str) -> Iterator[str]:
    """The statements between the braces of dagitty and DOT, where any space may end one."""
    text = re.sub(r"/\*.*?\*/|\bsubgraph\b\s*\w*", "", text, flags=re.S)
    text = re.sub(_ATTRIBUTES, _attributes, text)
    text = re.sub(r"\{([^{}]*)\}", _group, text)
    text = re.sub(r"\s*(<->|->|<-|,|[\1\2]+)\s*", r"\1", text)
    for statement in re.split(r"[;\s]+", re.sub(r"([\1\2]+)", r"\1;", text)):
        name = statement.rstrip("".join(_MARKS))
        if name != statement:
            yield from (f"{_MARKS[mark][0]}: {name}" for mark in statement[len(name) :])
        elif re.search(r"<->|->|<-", statement):
            yield statement


def _attributes(found: re.Match[str]) -> str:
    return "".join(mark for mark, (_, words) in _MARKS.items() if re.search(words, found[1])) or " "


def _group(found: re.Match[str]) -> str:
    """What stands in braces: statements of its own, or the nodes at one end of an arrow."""
    if re.search("->|<-", found[1]):
        return f";{found[1]};"
    return ",".join(re.findall(r"[^\s;,]+", found[1]))


def _listed(text: str, names: Mapping[str, str]) -> list[str]:
    """The names between commas, quoted ones in full."""
    parts = (part.strip() for part in text.split(","))
    return [names.get(part, part) for part in parts if part]


def _unreadable(line: str, names: Mapping[str, str]) -> Finding:
    for mark, name in names.items():
        line = line.replace(mark, f'"{name}"')
    remedy = 'Write "cause -> effect", "a <-> b", "latent: u" or "selected: s".'
    return Finding("dag", f'can\'t read "{line}".', remedy)


def _gml(text: str) -> dict[str, Any]:
    """A graph in GML, its nodes called by their ``label`` or ``name``."""
    import networkx  # most of a second, which no other text need wait for

    try:
        graph = networkx.parse_gml(text, label="id")
    except (networkx.NetworkXError, ValueError) as error:
        raise ModelError(Finding("dag", f"can't be read as GML: {error}.")) from None
    if not graph.is_directed():
        raise ModelError(Finding("dag", "is GML without arrows.", 'Write "directed 1".'))
    names = {node: str(about.get("label", about.get("name", node))) for node, about in graph.nodes(data=True)}
    said = graph.nodes(data=True)
    hidden = [n for n, about in said if about.get("latent") == 1 or about.get("observed") == "no"]
    return {
        "arrows": frozenset((names[a], names[b]) for a, b in graph.edges()),
        "latent": frozenset(names[node] for node in hidden),
        "selected": frozenset(names[node] for node, about in said if about.get("selected") == 1),
    }
