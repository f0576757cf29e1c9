"""The causal graph as a drawing inside a page."""

import re

from markupsafe import Markup, escape

from bayesmtl.errors import ModelError
from bayesmtl.page.numbers import joined
from bayesmtl.picture import render
from bayesmtl.spec import Model


def drawn(model: Model) -> Markup | None:
    """The causal graph as SVG; None when there is no graph, or nothing that can draw it."""
    if not model.dag.arrows and not model.dag.arcs:
        return None
    try:
        svg = render(model, "svg").decode()
    except ModelError:
        return None
    svg = svg[svg.index("<svg") :]
    size = re.search(r'viewBox="[\d.\-]+ [\d.\-]+ ([\d.]+) ([\d.]+)"', svg)
    width = size.group(1) if size else "600"
    # ids and titles are Graphviz's numbers: nothing to point at, nothing to read out
    svg = re.sub(r"<title>[^<]*</title>|<!--.*?-->| id=\"[^\"]*\"", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<a xlink:title="([^"]*)"[^>]*>', r"<g><title>\1</title>", svg)
    svg = svg.replace("</a>", "</g>").replace('fill="white" stroke="none"', 'fill="none"')
    svg = re.sub(r' (width|height)="[^"]*pt"', "", svg, count=2)
    label = escape(words(model))
    head = f'<svg role="img" aria-label="{label}" style="max-width:{width}pt"'
    return Markup(svg.replace("<svg", head, 1))


def words(model: Model) -> str:
    """The causal graph in words."""
    arrows = [f"{cause} causes {effect}" for cause, effect in sorted(model.dag.arrows)]
    arcs = [f"{a} and {b} have a hidden common cause" for a, b in sorted(model.dag.arcs)]
    return f"Causal graph: {joined(arrows + arcs, most=40)}."
