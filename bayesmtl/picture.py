"""Pictures of models: the causal graph, where a node's shape as well as its colour says what it is."""

import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import batched

import graphviz

from bayesmtl.errors import Finding, ModelError
from bayesmtl.marks import Asked, alike, contradictions, question, roles
from bayesmtl.spec import Model

FORMATS = ("svg", "png", "pdf")

_INK, _PALE, _FAINT, _OPEN, _WRONG = "#1f2d3a", "#5b6670", "#c9d3dc", "#b34700", "#a3003d"
_FONT = {"fontname": "Helvetica,Arial,sans-serif", "fontcolor": _INK}
_SHAPES = {
    "task": {"shape": "box", "style": "rounded,filled", "fillcolor": "#cfe0ef", "color": "#1f5a8c"},
    "predictor": {"shape": "ellipse", "style": "filled", "fillcolor": "#ffffff", "color": _PALE},
    "group": {"shape": "hexagon", "style": "filled", "fillcolor": "#dcebd8", "color": "#3d7a4a"},
    "latent": {"shape": "ellipse", "style": "dashed", "color": _PALE, "fontcolor": _PALE},
    "selected": {"shape": "invtrapezium", "style": "filled", "fillcolor": "#ece6f2", "color": "#6b4d8f"},
    "exposure": {"shape": "house", "style": "filled", "fillcolor": "#fbf3c4", "color": "#7d6608"},
    "needed": {"shape": "box", "style": "filled", "fillcolor": "#fde3cf", "color": _OPEN},
}
_KEY = {
    "task": "task",
    "predictor": "predictor",
    "group": "group",
    "latent": "not measured",
    "selected": "selects the rows",
    "exposure": "exposure",
    "needed": "to adjust for",
}
_PAGE = {"ranksep": "0.45", "nodesep": "0.3", "pad": "0.15", "bgcolor": "white"}
_MANY = 12  # nodes; more are drawn from left to right, where names need less room
_ALIKE = 4  # tasks with the same causes and effects that one node stands for
_ARC = {"dir": "both", "style": "dashed", "constraint": "false", "minlen": "2"}
_SIGNS = {"+": ("+", "#0072b2"), "-": ("\N{MINUS SIGN}", "#b34700")}  # told apart by any eye


def draw(model: Model, *, task: str | None = None, exposure: str | None = None) -> graphviz.Digraph:
    """Draw the causal graph, with a key of what is a task, a predictor, a group, latent, or selects rows.

    Four tasks or more with the same causes, effects and signs are one node, unless something is asked.

    A dashed arrow with two heads is a hidden common cause; ``+`` and ``-`` are expected signs. A graph that
    contradicts itself is drawn too, and its arrows say so: opposite ones, cycles, and those of two signs. For
    tasks as rows one box stands for the outcome of every task.

    Parameters
    ----------
    model
        What ``load`` read, or a ``Model``, at fault or not.
    task
        The task whose formula is marked: a double line is around what it adjusts for.
    exposure
        The node whose effect on the task is asked for. Boxes are what to adjust for, to tell its total effect
        most precisely. If its weight in the formula tells no effect, the path that biases it is marked; else,
        if no measured set tells the total effect, a path that stays open.

    Raises
    ------
    ModelError
        When the graph has no such task or exposure, or a cycle where an exposure is asked for.

    Examples
    --------
    >>> print(draw(Model(tasks={"stay": "gaussian"}, dag="age -> stay")).source.splitlines()[0])
    digraph model {
    >>> model = Model(tasks={"stroke": "bernoulli"}, formula="drug", dag="age -> drug -> stroke <- age")
    >>> "drug <- age -> stroke is open" in draw(model, task="stroke", exposure="drug").source
    True
    """
    if exposure is not None and task is None:
        raise ModelError(Finding("task", "is missing.", f'Name the task on which "{exposure}" acts.'))
    asked = Asked() if task is None else question(model, task, exposure)
    kinds = roles(model) | dict.fromkeys(asked.needed, "needed")
    if asked.exposure:
        kinds[asked.exposure] = "exposure"
    picture = graphviz.Digraph(
        graphviz.escape(model.name),
        graph_attr={**_PAGE, "rankdir": "LR" if len(kinds) > _MANY else "TB", **_title(asked)},
        node_attr={**_FONT, "fontsize": "13", "margin": "0.16,0.07", "height": "0.42"},
        edge_attr={**_FONT, "color": _PALE, "arrowsize": "0.75"},
    )
    # numbered names, since graphviz reads "a:b" as a port and DOT has words of its own
    ids = {node: f"n{i}" for i, node in enumerate(kinds)}
    wrong = contradictions(model)
    bundles = {} if wrong or task else {nodes[0]: nodes for nodes in alike(model) if len(nodes) >= _ALIKE}
    ids |= {node: ids[first] for first, nodes in bundles.items() for node in nodes}
    for node, kind in kinds.items():
        if node not in bundles and ids[node] in {ids[first] for first in bundles}:
            continue
        look = _SHAPES[kind] | ({"peripheries": "2"} if node in asked.formula else {})
        look |= {"penwidth": "2.5"} if node == asked.outcome else {}
        lines = map(graphviz.escape, _lines(model, bundles.get(node, [node]), kind))
        picture.node(ids[node], graphviz.nohtml(r"\n".join(lines)), tooltip=_KEY[kind], **look)
    names = {ids[node]: ", ".join(bundles.get(node, [node])) for node in reversed(kinds)}
    for (a, b), (x, y) in {(ids[a], ids[b]): (a, b) for a, b in sorted(model.dag.arrows)}.items():
        said = _arrow(model.dag.signs.get((x, y)), asked, (x, "->", y), wrong.get((x, y)))
        picture.edge(a, b, edgetooltip=graphviz.escape(f"{names[a]} causes {names[b]}"), **said)
    for (a, b), (x, y) in {(ids[a], ids[b]): (a, b) for a, b in sorted(model.dag.arcs)}.items():
        # no constraint: a hidden common cause puts neither end above the other
        said = _ARC | _arrow(None, asked, (x, "<->", y), None)
        picture.edge(a, b, edgetooltip="a hidden common cause", **said)
    last = list(dict.fromkeys(ids[node] for node in kinds if not model.dag.effects(node)))
    _key(picture, set(kinds.values()), asked, last, arcs=bool(model.dag.arcs))
    return picture


def render(picture: graphviz.Digraph, format: str) -> bytes:
    """A picture as the bytes of an ``svg``, ``png`` or ``pdf`` file.

    Raises
    ------
    ModelError
        When no Graphviz can be found.
    """
    try:
        import pygraphviz
    except (ImportError, OSError):
        pygraphviz = None
    if pygraphviz:
        with _hushed():
            size = {"dpi": "144"} if format == "png" else {}
            graph = pygraphviz.AGraph(string=picture.source)
            graph.graph_attr.update(size)
            return graph.draw(format=format, prog="dot")
    try:
        return picture.pipe(format)
    except graphviz.ExecutableNotFound:
        finding = Finding("draw", "finds no Graphviz.", "pip install pygraphviz, or write .dot.")
        raise ModelError(finding) from None


def _title(asked: Asked) -> dict[str, str]:
    """What is asked, in words above the picture; each line ends so that it is flush left."""
    lines = [line for sentence in asked.words for line in textwrap.wrap(sentence, 80)]
    text = "".join(graphviz.escape(line) + r"\l" for line in lines)
    return {"label": text, "labelloc": "t", "labeljust": "l", "fontsize": "12", **_FONT} if text else {}


def _lines(model: Model, nodes: Sequence[str], kind: str) -> list[str]:
    """The names of a node, a few on a line."""
    if model.as_rows and kind == "task":
        return [f"{nodes[0]} (one task per {model.tasks['by']})"]
    return [", ".join(line) for line in batched(nodes, _ALIKE)]


def _arrow(sign: str | None, asked: Asked, edge: tuple[str, str, str], wrong: str | None) -> dict[str, str]:
    """The label and the look of an edge: by its sign, its place on a path, and its contradiction."""
    words, look = [], {"fontsize": "15"}
    if sign and wrong != "two signs":
        text, colour = _SIGNS[sign]
        words, look = [text], look | {"color": colour}
    if edge in asked.edges:
        words, look = [*words, asked.state], {"color": _OPEN, "penwidth": "2.6", "fontsize": "11"}
    if wrong:
        words, look = [*words, wrong], {"color": _WRONG, "penwidth": "2", "style": "dotted", "fontsize": "11"}
    return look | {"label": f" {' '.join(words)}", "fontcolor": look["color"]} if words else {}


def _key(picture: graphviz.Digraph, kinds: set[str], asked: Asked, last: list[str], *, arcs: bool) -> None:
    """Name the shapes that a picture has, in a frame after its last nodes."""
    looks = [(_KEY[kind], _SHAPES[kind]) for kind in _KEY if kind in kinds]
    if arcs:
        looks.append(("<-> hidden common cause", {"shape": "plaintext", "fontcolor": _PALE}))
    if asked.formula:
        looks.append(("in the formula", {"shape": "ellipse", "peripheries": "2", "color": _PALE}))
    if picture.graph_attr["rankdir"] == "LR":  # where the first is lowest
        looks.reverse()
    with picture.subgraph(name="cluster_key", graph_attr={"color": _FAINT, "label": ""}) as key:
        key.attr("node", fontsize="10", height="0.25", margin="0.1,0.03", tooltip="key")
        for i, (words, look) in enumerate(looks):
            key.node(f"k{i}", words, **look)
            if i:  # beside each other
                key.edge(f"k{i - 1}", f"k{i}", style="invis", minlen="0")
    for node in last:
        picture.edge(node, f"k{len(looks) // 2}", style="invis")


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep Graphviz's library from stderr: its fonts' settings may be older than the system's."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
