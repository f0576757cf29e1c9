"""Pictures of models: the causal graph, with each node's role told by shape and by colour."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import graphviz

from bayesmtl.errors import Finding, ModelError
from bayesmtl.spec import Model

FORMATS = ("svg", "png", "pdf")

_INK, _PALE = "#1f2d3a", "#5b6670"
_FONT = {"fontname": "Helvetica,Arial,sans-serif", "fontcolor": _INK}
_SHAPES = {
    "task": {"shape": "box", "style": "rounded,filled", "fillcolor": "#cfe0ef", "color": "#1f5a8c"},
    "predictor": {"shape": "ellipse", "style": "filled", "fillcolor": "#ffffff", "color": _PALE},
    "latent": {"shape": "ellipse", "style": "dashed", "color": _PALE, "fontcolor": _PALE},
}
_ROLES = {"task": "task", "predictor": "measured", "latent": "not measured"}
_ARC = {"dir": "both", "style": "dashed", "constraint": "false", "minlen": "2"}
_SIGNS = {"+": ("+", "#0072b2"), "-": ("\N{MINUS SIGN}", "#b34700")}  # told apart by any eye


def draw(model: Model) -> graphviz.Digraph:
    """Draw the causal graph: tasks as filled boxes, predictors as ellipses, latents dashed.

    A dashed arrow with two heads is a hidden common cause; ``+`` and ``-`` are expected signs. For
    tasks as rows one box stands for the outcome of every task.

    Examples
    --------
    >>> print(draw(Model(tasks={"stay": "gaussian"}, dag="age -> stay")).source.splitlines()[0])
    digraph model {
    """
    picture = graphviz.Digraph(
        graphviz.escape(model.name),
        graph_attr={"ranksep": "0.45", "nodesep": "0.4", "pad": "0.15", "bgcolor": "white"},
        node_attr={**_FONT, "fontsize": "13", "margin": "0.16,0.07", "height": "0.42"},
        edge_attr={**_FONT, "color": _PALE, "arrowsize": "0.75", "fontsize": "15"},
    )
    outcomes = {model.tasks["outcome"]} if model.as_rows else set(model.tasks)
    # numbered names, since graphviz reads "a:b" as a port and DOT has words of its own
    ids = {node: f"n{i}" for i, node in enumerate(sorted(model.dag.nodes | outcomes))}
    for node, name in ids.items():
        role = _role(model, node, outcomes)
        label = graphviz.escape(_label(model, node, outcomes))
        picture.node(name, label, tooltip=_ROLES[role], **_SHAPES[role])
    for cause, effect in sorted(model.dag.arrows):
        said = _sign(model.dag.signs.get((cause, effect)))
        tip = graphviz.escape(f"{cause} causes {effect}")
        picture.edge(ids[cause], ids[effect], edgetooltip=tip, **said)
    for a, b in sorted(model.dag.arcs):
        # no constraint: a hidden common cause puts neither end above the other
        picture.edge(ids[a], ids[b], edgetooltip="a hidden common cause", **_ARC)
    return picture


def render(model: Model, format: str) -> bytes:
    """Draw the causal graph as the bytes of an ``svg``, ``png`` or ``pdf`` file.

    Raises
    ------
    ModelError
        When no Graphviz can be found.
    """
    picture = draw(model)
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


def _role(model: Model, node: str, outcomes: set[str]) -> str:
    if node in outcomes:
        return "task"
    return "latent" if node in model.dag.latent else "predictor"


def _label(model: Model, node: str, outcomes: set[str]) -> str:
    one = f" (one task per {model.tasks['by']})" if model.as_rows and node in outcomes else ""
    return node + one


def _sign(sign: str | None) -> dict[str, str]:
    if sign is None:
        return {}
    text, colour = _SIGNS[sign]
    return {"label": f" {text}", "fontcolor": colour, "color": colour}


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
