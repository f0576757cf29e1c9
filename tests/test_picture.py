"""Pictures: every role is told apart, what is asked is marked, and text reaches the file."""

import html
import io
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import graphviz
import networkx as nx
import numpy as np
import pytest
from test_surface import HEAVY

from bayesmtl import cli
from bayesmtl.causal.dag import Dag
from bayesmtl.causal.validity import Valid, valid
from bayesmtl.checks import regressions
from bayesmtl.errors import ModelError
from bayesmtl.picture import draw, render
from bayesmtl.spec import Model, load

ODD = ["a:b", "a.b", "hours worked", "längd", 'say "hi"', r"back\nslash", "<b>old", "node", "it's"]
MODELS = sorted(path.stem for path in Path("models").glob("*.toml"))
ROLES = {  # a graph with a node of each
    "task": "y",
    "predictor": "z",
    "group": "ward",
    "latent": "u",
    "selected": "taken",
    "exposure": "x",
    "needed": "w",
}


def every_role() -> graphviz.Digraph:
    graph = "w -> x -> y <- w\nz, ward, u -> x\nz -> taken\nlatent: u\nselected: taken"
    model = Model(tasks={"y": "gaussian"}, formula="x + w + z + (1 | ward)", dag=graph)
    return draw(model, task="y", exposure="x")


def odd(name: str) -> Model:
    """A model whose one predictor has a name."""
    return Model(tasks={"y": "gaussian"}, dag=Dag(frozenset({(name, "y")})))


def one(graph: str, formula: str | None = None) -> Model:
    """A model of one task "y"."""
    return Model(tasks={"y": "gaussian"}, formula=formula, dag=graph.replace("; ", "\n"))


def read(line: str) -> dict[str, str]:
    """The attributes of a node or an edge."""
    found = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|[^\s\]]+)', line.partition("[")[2])
    return {key: value.strip('"') for key, value in found}


def nodes(picture: graphviz.Digraph) -> dict[str, dict[str, str]]:
    """The attributes of each node, by its label."""
    told = [read(line) for line in picture.source.splitlines() if re.match(r"\tn\d+ \[", line)]
    return {attributes.pop("label"): attributes for attributes in told}


def edges(picture: graphviz.Digraph) -> dict[tuple[str, str, bool], dict[str, str]]:
    """The attributes of each edge, by the labels of its ends and whether it has two heads."""
    names = {
        line.split()[0]: read(line)["label"]
        for line in picture.source.splitlines()
        if re.match(r"\tn\d+ \[", line)
    }
    found = {}
    for line in picture.source.splitlines():
        if ends := re.match(r"\t(n\d+) -> (n\d+)", line):
            told = read(line)
            found[names[ends[1]], names[ends[2]], "dir" in told] = told
    return found


def marked(picture: graphviz.Digraph, word: str) -> set[tuple[str, str, bool]]:
    """The edges whose labels have a word."""
    return {edge for edge, told in edges(picture).items() if word in told.get("label", "")}


def look(told: dict[str, str], *, coloured: bool) -> tuple[tuple[str, str], ...]:
    """What tells a node apart: its colours, or all but them."""
    return tuple(sorted((k, v) for k, v in told.items() if ("color" in k) == coloured and k != "tooltip"))


@pytest.mark.parametrize("coloured", [False, True], ids=["by shape", "by colour"])
def test_every_two_roles_differ(coloured):
    told = nodes(every_role())
    looks = {role: look(told[node], coloured=coloured) for role, node in ROLES.items()}
    assert all(looks[a] != looks[b] for a, b in combinations(ROLES, 2))


def test_the_key_names_the_shapes_that_are_there_and_no_others():
    def key(picture):
        lines = [line for line in picture.source.splitlines() if re.match(r"\t\tk\d+ \[", line)]
        return {read(line)["label"]: read(line)["shape"] for line in lines}

    told, shown = nodes(every_role()), key(every_role())
    words = {"task": "task", "exposure": "exposure", "needed": "to adjust for", "latent": "not measured"}
    assert all(shown[text] == told[ROLES[role]]["shape"] for role, text in words.items())
    assert len(shown) == len(ROLES) + 1 and "in the formula" in shown
    assert list(key(draw(one("x -> y")))) == ["task", "predictor"]
    assert list(key(draw(one("x -> y <-> x")))) == ["task", "predictor", "<-> hidden common cause"]


def test_a_hidden_common_cause_is_a_dashed_arrow_with_two_heads():
    (told,) = edges(draw(Model(tasks={"a": "gaussian", "b": "gaussian"}, dag="a <-> b"))).values()
    assert (told["dir"], told["style"], told["constraint"]) == ("both", "dashed", "false")


def test_signs_are_labels():
    told = edges(draw(one("a -> y +; b -> y -; c -> y")))
    assert [told[name, "y", False].get("label") for name in "abc"] == [" +", " \N{MINUS SIGN}", None]


def test_tasks_as_rows_are_one_node():
    assert sorted(nodes(draw(load("models/grunfeld.toml")))) == [
        "capital",
        "invest (one task per firm)",
        "value",
    ]


def test_a_model_without_a_graph_draws_its_tasks():
    assert sorted(nodes(draw(Model(tasks={"a": "gaussian", "b": "poisson"})))) == ["a", "b"]


def ends(node: str) -> list[str]:
    """What a node stands for: alike tasks are one."""
    return re.split(r", |\\n", node.partition(" (one task")[0])


def test_many_tasks_that_are_alike_are_one_node_unless_something_is_asked():
    tasks = dict.fromkeys("abcdef", "gaussian")
    model = Model(tasks=tasks, formula="x", dag="x -> a, b, c, d, e, f\nx -> f +\na <-> b")
    assert sorted(nodes(draw(model))) == ["a", "b", "c", "d", "e", "f", "x"]  # three are alike, and not four
    model = Model(tasks=tasks, formula="x", dag="x -> a, b, c, d, e, f\na <-> b")
    assert sorted(nodes(draw(model))) == ["a", "b", "c, d, e, f", "x"] and len(edges(draw(model))) == 4
    assert "x causes c, d, e, f" in draw(model).source
    assert len(nodes(draw(model, task="c"))) == 7


@pytest.mark.parametrize("name", MODELS)
def test_every_arrow_arc_and_node_of_a_model_is_drawn_once(name):
    model = load(f"models/{name}.toml")
    picture = draw(model)
    arrows = {(a, b, False) for a, b in model.dag.arrows} | {(a, b, True) for a, b in model.dag.arcs}
    said = [end for node in nodes(picture) for end in ends(node)]
    drawn = [(x, y, two) for a, b, two in edges(picture) for x in ends(a) for y in ends(b)]
    assert sorted(drawn) == sorted(arrows) and sorted(said) == sorted(model.dag.nodes)
    assert picture.source.count("edgetooltip") == len(edges(picture))
    assert draw(load(f"models/{name}.toml")).source == picture.source  # the same text every time


# --- what is asked --------------------------------------------------------------------------------


def test_a_task_marks_what_its_formula_adjusts_for():
    model = load("models/firms.toml")  # year + (1 + year |p| firm)
    told = nodes(draw(model, task="invest"))
    assert {name for name, own in told.items() if "peripheries" in own} == {"year", "firm"}
    assert [name for name, own in told.items() if "penwidth" in own] == ["invest"]
    assert "firm, year" in draw(model, task="invest").source


@pytest.mark.parametrize("name", MODELS)
def test_boxes_are_a_set_that_tells_the_effect_and_without_one_a_path_stays_open(name):
    """By the adjustment criterion, which ``valid`` checks of one set, and by d-separation."""
    model = load(f"models/{name}.toml")
    for each in regressions(model):
        for exposure in sorted(model.dag.ancestors([each.outcome]) & model.dag.measured):
            picture = draw(model, task=each.task, exposure=exposure)
            boxes = {n for n, own in nodes(picture).items() if own["tooltip"] == "to adjust for"}
            if not marked(picture, "open"):
                assert valid(model.dag, exposure, each.outcome, boxes) == Valid()


PATHS = {  # graph, formula, word, and the edges that have it: two heads are an arc's
    "confounder left out": ("z -> x -> y <- z", "x", "open", {("z", "x", False), ("z", "y", False)}),
    "confounder": ("z -> x -> y <- z", "x + z", "open", set()),
    "M-bias": (
        "x <- a -> z <- b -> y <- x; latent: a, b",
        "x + z",
        "open",
        {("a", "x", False), ("a", "z", False), ("b", "z", False), ("b", "y", False)},
    ),
    "mediator's effect": ("x -> m -> y; m -> d", "x + d", "blocked", {("x", "m", False), ("m", "y", False)}),
    "hidden": ("x -> y <-> x", "x", "open", {("x", "y", True)}),
    "hidden, and not in the formula": ("x -> y <-> x; w -> y", "w", "open", {("x", "y", True)}),
}


@pytest.mark.parametrize("name", PATHS)
def test_the_path_that_makes_a_formula_invalid_is_marked_on_request(name):
    graph, formula, word, path = PATHS[name]
    picture = draw(one(graph, formula), task="y", exposure="x")
    assert marked(picture, word) == path
    told = edges(picture)
    assert {told[edge]["penwidth"] for edge in path} <= {"2.6"}
    assert len({told[edge]["color"] for edge in path}) <= 1
    assert not any("penwidth" in own for edge, own in told.items() if edge not in path)
    assert not marked(draw(one(graph, formula)), "open")  # only on request


def test_a_path_is_marked_just_where_a_regression_is_biased_and_it_is_open():
    """Weights by the covariances that random coefficients imply, effects by products along the arrows."""
    draws, names, biased = np.random.default_rng(3), [*"abxcdy"], 0
    for _ in range(60):
        arrows = {pair for pair in combinations(names, 2) if draws.random() < 0.45} | {("x", "y")}
        coefficients = np.zeros((6, 6))
        for a, b in arrows:
            coefficients[names.index(b), names.index(a)] = draws.normal()
        total = np.linalg.inv(np.eye(6) - coefficients)
        covariance = total @ total.T
        given = [names.index("x"), names.index("d")]
        weight = np.linalg.solve(covariance[np.ix_(given, given)], covariance[given, names.index("y")])[0]
        coefficients[names.index("d")] = 0.0  # what goes through d is left out
        effect = np.linalg.inv(np.eye(6) - coefficients)[names.index("y"), names.index("x")]
        picture = draw(one(str(Dag(frozenset(arrows))), "x + d"), task="y", exposure="x")
        path = marked(picture, "open") | marked(picture, "blocked")
        assert bool(path) == (not np.isclose(weight, effect))
        if marked(picture, "open"):
            biased += 1
            graph = nx.DiGraph(arrows)
            walk = nx.shortest_path(nx.Graph([(a, b) for a, b, _ in path]), "x", "y")
            assert len(walk) == len(path) + 1
            for before, node, after in zip(walk, walk[1:], walk[2:]):
                collider = graph.has_edge(before, node) and graph.has_edge(after, node)
                assert ("d" in nx.descendants(graph, node) | {node}) if collider else node != "d"
    assert biased > 9


@pytest.mark.parametrize(
    "task, exposure, words",
    [
        ("vot", None, 'task: no task in the graph called "vot". Did you mean "vote"?'),
        ("vote", "incme", 'exposure: no node called "incme". Did you mean "income"?'),
        ("party", "vote", 'exposure: no measured cause of party called "vote".'),
        (None, "income", 'task: is missing. Name the task on which "income" acts.'),
        ("vot", "incme", 'exposure: no node called "incme"'),
    ],
)
def test_a_question_with_a_wrong_name_is_a_finding(task, exposure, words):
    with pytest.raises(ModelError) as wrong:
        draw(load("models/election.toml"), task=task, exposure=exposure)
    assert words in str(wrong.value)


# --- contradictions -------------------------------------------------------------------------------


def test_arrows_of_a_contradiction_are_marked_and_drawn():
    tasks = {"y": {"kind": "gaussian", "dag": "x -> z\na -> y -"}, "w": "gaussian"}
    picture = draw(Model(tasks=tasks, formula="x", dag="z -> x -> y\na -> y +\na -> w"))
    assert marked(picture, "opposite") == {("x", "z", False), ("z", "x", False)}
    assert marked(picture, "two signs") == {("a", "y", False)} and not marked(picture, "+")
    told = edges(picture)
    assert told["a", "y", False]["style"] == "dotted" and "style" not in told["a", "w", False]
    assert render(picture, "svg")


def test_arrows_on_cycles_are_those_inside_strongly_connected_parts():
    """Against Tarjan's algorithm, as networkx has it."""
    draws = np.random.default_rng(1)
    for _ in range(30):
        names = [*"abcde", "y"]
        arrows = {(a, b) for a in names for b in names if a != b and draws.random() < 0.22} | {("a", "y")}
        parts = list(nx.strongly_connected_components(nx.DiGraph(arrows)))
        wrong = {(a, b, False) for a, b in arrows if any({a, b} <= part for part in parts)}
        picture = draw(Model(tasks={"y": "gaussian"}, formula="a", dag=Dag(frozenset(arrows))))
        assert marked(picture, "cycle") | marked(picture, "opposite") == wrong


def test_a_cycle_has_no_adjustment():
    with pytest.raises(ModelError, match="has a cycle"):
        draw(one("a -> b -> a -> y", "a"), task="y", exposure="a")
    assert draw(one("a -> b -> a -> y", "a"), task="y")


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ODD)
def test_any_name_is_drawn_as_it_is_written(name):
    text = render(draw(odd(name)), "svg").decode()
    shown = [html.unescape(label) for label in re.findall(r"<text[^>]*>([^<]*)</text>", text)]
    assert sorted(shown) == sorted([name, "y", "task", "predictor"])


def test_any_name_can_be_asked_for():
    text = render(draw(odd(r'a\n "b"'), task="y", exposure=r'a\n "b"'), "svg").decode()
    shown = [html.unescape(label) for label in re.findall(r"<text[^>]*>([^<]*)</text>", text)]
    assert r'The effect of a\n "b" on y: best adjusted for nothing.' in shown


@pytest.mark.parametrize("format, begins", [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_files_are_what_their_names_say(format, begins, capfd):
    assert render(draw(load("models/election.toml")), format).startswith(begins)
    assert capfd.readouterr() == ("", "")


def test_text_is_drawn_into_pixels():
    from PIL import Image

    def ink(name: str) -> int:
        image = Image.open(io.BytesIO(render(draw(odd(name)), "png"))).convert("L")
        return sum(image.histogram()[:100])

    assert ink("mmmmmmmmm") > 1.2 * ink("..")


def test_a_dot_on_the_path_serves_where_pygraphviz_does_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setattr(graphviz.Digraph, "pipe", lambda self, format: f"{format} by dot".encode())
    picture = draw(load("models/election.toml"))
    assert render(picture, "svg") == b"svg by dot"

    def missing(self, format):
        raise graphviz.ExecutableNotFound(["dot"])

    monkeypatch.setattr(graphviz.Digraph, "pipe", missing)
    with pytest.raises(ModelError, match="finds no Graphviz"):
        render(picture, "svg")


def test_the_command_line_asks_by_task_and_exposure_and_waits_for_no_pandas(tmp_path, capsys):
    out = tmp_path / "vote.svg"
    asked = ["draw", "models/election.toml", "--task", "vote", "--exposure", "income", "--out", str(out)]
    code = f"import sys\nfrom bayesmtl.cli import main\nmain({asked})\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(run.stdout.split()) and not run.stderr
    assert "best adjusted for age, education." in html.unescape(out.read_text(encoding="utf-8"))
    assert cli.main(["draw", "models/election.toml", "--task", "vot"]) == 1
    assert 'Did you mean "vote"?' in capsys.readouterr().err
