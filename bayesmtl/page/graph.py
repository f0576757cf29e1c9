"""The causal graph as a drawing inside a page."""

import re

from markupsafe import Markup, escape

from bayesmtl.errors import ModelError
from bayesmtl.page.numbers import joined
from bayesmtl.picture import draw, render
from bayesmtl.spec import Model


def drawn(model: Model) -> Markup | None:
    """The causal graph as SVG; None when nothing can draw it."""
    try:
        svg = render(draw(model), "svg").decode()
    except ModelError:
        return None
    svg = svg[svg.index("<svg") :]
    size = re.search(r'viewBox="[\d.\-]+ [\d.\-]+ ([\d.]+) ([\d.]+)"', svg)
    width = float(size.group(1)) if size else 600.0
    # ids and titles are Graphviz's numbers: nothing to point at, nothing to read out
    svg = re.sub(r"<title>[^<]*</title>|<!--.*?-->| id=\"[^\"]*\"", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<a xlink:title="([^"]*)"[^>]*>', r"<g><title>\1</title>", svg)
    svg = svg.replace("</a>", "</g>").replace('fill="white" stroke="none"', 'fill="none"')
    svg = re.sub(r' (width|height)="[^"]*pt"', "", svg, count=2)
    label = escape(words(model))
    # on a small screen a wide graph is scrolled in its frame, before its words are too small to read
    style = f"max-width:{width:.0f}pt;min-width:{0.6 * width:.0f}pt"
    head = f'<svg role="img" aria-label="{label}" style="{style}"'
    return Markup(svg.replace("<svg", head, 1))


def words(model: Model) -> str:
    """The causal graph in words."""
    arrows = [f"{cause} causes {effect}" for cause, effect in sorted(model.dag.arrows)]
    arcs = [f"{a} and {b} have a hidden common cause" for a, b in sorted(model.dag.arcs)]
    latent = [f"{name} is not measured" for name in sorted(model.dag.latent)]
    selected = [f"{name} decides which rows are taken" for name in sorted(model.dag.selected)]
    return f"Causal graph: {joined(arrows + arcs + latent + selected, most=40)}."
