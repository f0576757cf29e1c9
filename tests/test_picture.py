"""Pictures: every role is told apart, any name can stand in a node, and text reaches the file."""

import io
import re

import graphviz
import pytest

from bayesmtl.errors import ModelError
from bayesmtl.picture import draw, render
from bayesmtl.spec import Model, load

ODD = ["a:b", "a.b", "hours worked", "längd", 'say "hi"', r"back\nslash", "<b>old", "node", "it's"]


def odd(name: str) -> Model:
    """A model whose one predictor has a name."""
    from bayesmtl.causal.dag import Dag

    return Model(tasks={"y": "gaussian"}, dag=Dag(frozenset({(name, "y")})))


def nodes(source: str) -> dict[str, str]:
    """The attributes of each node, by its label."""
    found = re.findall(r"^\t(n\d+) \[label=(\"(?:[^\"\\]|\\.)*\"|\S+) (.*)]$", source, re.M)
    return {label.strip('"'): attributes for _, label, attributes in found}


def test_roles_differ_in_shape_as_well_as_in_colour():
    source = draw(Model(tasks={"y": "gaussian"}, dag="x, u -> y\nlatent: u")).source
    said = nodes(source)
    assert "shape=box" in said["y"] and "filled" in said["y"]
    assert "shape=ellipse" in said["x"] and "style=filled" in said["x"]
    assert "shape=ellipse" in said["u"] and "style=dashed" in said["u"]


def test_a_hidden_common_cause_is_a_dashed_arrow_with_two_heads():
    (line,) = [
        line
        for line in draw(Model(tasks={"a": "gaussian", "b": "gaussian"}, dag="a <-> b")).source.split("\n")
        if "->" in line
    ]
    assert "dir=both" in line and "style=dashed" in line and "constraint=false" in line


def test_signs_are_labels():
    source = draw(Model(tasks={"y": "gaussian"}, dag="a -> y +\nb -> y -\nc -> y")).source
    labels = re.findall(r"-> .*label=\" (.)\"", source)
    assert labels == ["+", "\N{MINUS SIGN}"]


def test_tasks_as_rows_are_one_node():
    model = load("models/grunfeld.toml")
    assert "invest (one task per firm)" in nodes(draw(model).source)
    assert sorted(nodes(draw(model).source)) == ["capital", "invest (one task per firm)", "value"]


def test_a_model_without_a_graph_draws_its_tasks():
    assert sorted(nodes(draw(Model(tasks={"a": "gaussian", "b": "poisson"})).source)) == ["a", "b"]


@pytest.mark.parametrize("name", ["election", "statecrime", "grunfeld"])
def test_every_arrow_arc_and_node_of_a_model_is_drawn_once(name):
    model = load(f"models/{name}.toml")
    source = draw(model).source
    assert len(re.findall(r"n\d+ -> n\d+", source)) == len(model.dag.arrows | model.dag.arcs)
    assert len(nodes(source)) == len(model.dag.nodes)
    assert draw(load(f"models/{name}.toml")).source == source  # the same text every time


@pytest.mark.parametrize("name", ODD)
def test_any_name_is_drawn_as_it_is_written(name):
    import html

    text = render(odd(name), "svg").decode()
    shown = [html.unescape(label) for label in re.findall(r"<text[^>]*>([^<]*)</text>", text)]
    assert sorted(shown) == sorted([name, "y"])


@pytest.mark.parametrize("format, begins", [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_files_are_what_their_names_say(format, begins, capfd):
    assert render(load("models/election.toml"), format).startswith(begins)
    assert capfd.readouterr() == ("", "")


def test_text_is_drawn_into_pixels():
    from PIL import Image

    def ink(name: str) -> int:
        image = Image.open(io.BytesIO(render(odd(name), "png"))).convert("L")
        return sum(image.histogram()[:100])

    assert ink("mmmmmmmmm") > 1.5 * ink("..")


def test_a_dot_on_the_path_serves_where_pygraphviz_does_not(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setattr(graphviz.Digraph, "pipe", lambda self, format: f"{format} by dot".encode())
    assert render(load("models/election.toml"), "svg") == b"svg by dot"

    def missing(self, format):
        raise graphviz.ExecutableNotFound(["dot"])

    monkeypatch.setattr(graphviz.Digraph, "pipe", missing)
    with pytest.raises(ModelError, match="finds no Graphviz"):
        render(load("models/election.toml"), "svg")
