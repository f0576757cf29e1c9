"""Graphs: reading, writing and asking."""

from itertools import pairwise

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesmtl.causal.dag import Dag
from bayesmtl.errors import ModelError

WRITTEN = [
    "\"'\\",
    " ,;:=#/{}[]<>-+",
    "abé7",
    "\t\r\x0b\x85\u2028\0\1\2",
]  # what a graph's text may stumble on
NAMES = st.text(
    st.one_of(*map(st.sampled_from, WRITTEN), st.characters(exclude_characters="\n")), min_size=1, max_size=7
)
PAIRS = st.frozensets(st.tuples(NAMES, NAMES).filter(lambda pair: pair[0] != pair[1]), max_size=5)


@st.composite
def graphs(draw):
    arrows = draw(PAIRS)
    signed = draw(st.lists(st.sampled_from(sorted(arrows)), unique=True)) if arrows else []
    return Dag(
        arrows=arrows,
        arcs=frozenset((min(pair), max(pair)) for pair in draw(PAIRS)),
        latent=draw(st.frozensets(NAMES, max_size=2)),
        selected=draw(st.frozensets(NAMES, max_size=2)),
        signs={arrow: draw(st.sampled_from("+-")) for arrow in signed},
    )


@given(graphs())
@settings(deadline=None, derandomize=True, max_examples=300)
def test_the_text_of_a_graph_reads_as_the_graph(dag):
    assert Dag.read(str(dag)) == dag


def test_chains_lists_signs_and_comments():
    dag = Dag.read(
        """
        a -> b -> c          # don't mind "this
        b, größe <- hours worked +
        c <-> a.b
        latent: u, v
        """
    )
    assert dag.arrows == {
        ("a", "b"),
        ("b", "c"),
        ("hours worked", "b"),
        ("hours worked", "größe"),
    }
    assert dag.arcs == {("a.b", "c")}
    assert dag.latent == {"u", "v"}
    assert dag.signs == {("hours worked", "b"): "+", ("hours worked", "größe"): "+"}


def test_quotes_hold_what_would_be_read_otherwise():
    dag = Dag.read("\"a, b\" -> 'C#' -\nmother's age, father's age -> \"x -> y\"")
    assert dag.arrows == {
        ("a, b", "C#"),
        ("mother's age", "x -> y"),
        ("father's age", "x -> y"),
    }
    assert dag.signs == {("a, b", "C#"): "-"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mother's age", '"mother\'s age"'),
        ('the "poor"', "'the \"poor\"'"),
        ('the "poor"\'s age', '"the \\"poor\\"\'s age"'),
        ("C:\\ages", '"C:\\\\ages"'),
    ],
)
def test_quotes_and_backslashes_of_a_name_are_written_and_read(name, text):
    dag = Dag(frozenset({(name, "b")}))
    assert str(dag) == f"{text} -> b" and Dag.read(str(dag)) == dag


def test_a_backslash_before_anything_else_is_one():
    dag = Dag.read(r"""'\alpha' -> "\beta", 'don\'t' # "\"""")
    assert dag.arrows == {(r"\alpha", r"\beta"), (r"\alpha", "don't")}


@pytest.mark.parametrize("name", ["", "a\nb"])
@pytest.mark.parametrize("key", ["arrows", "arcs", "latent", "selected"])
def test_a_name_that_no_text_can_hold_is_refused(name, key):
    with pytest.raises(ModelError) as error:
        Dag(**{key: frozenset([("c", name)] if key.startswith("ar") else [name])})
    assert (
        str(error.value) == f"dag: has a node whose name is empty or has several lines: {name!r}. Rename it."
    )


@pytest.mark.parametrize(
    "text",
    [
        'dag {\nbb="0,0,1,1"\na [pos="-1.5,0.2"]\nu [latent,pos="0,1"]\na -> y\nu -> a\nu -> y\n}',
        "digraph G { u [unobserved]; u -> {a y}; a -> y; }",
        'strict digraph "my graph" {\n"u" [latent]\n"u" -> a -> y; u -> "y"\n}\n',
        "latent: u\nu -> a -> y\nu -> y",
        "dag { u [latent] u -> a u -> y a -> y }",
        'digraph {\nnode [color="#1f5a8c"]; rankdir=LR\n/* a -> z */ u [label="U]",latent]\n'
        'subgraph cluster_1 { u -> a }\nu ->\n y; { rank=same; a; y }\n a -> y [label="b -> c"] // u -> z\n}',
        'graph [ directed 1\nnode [ id 0 label "u" observed "no" ]\nnode [ id 1 label "a" ]\n'
        'node [ id 2 label "y" ]\nedge [ source 0 target 1 ]\nedge [ source 0 target 2 ]\n'
        "edge [ source 1 target 2 ]\n]",
        'Creator "igraph"\nVersion 1\ngraph\n[\n  directed 1\n  node\n  [\n    id 0\n    name "u"\n'
        '    latent 1\n  ]\n  node [ id 5 name "a" ]\n  node\n  [\n    id 6\n    name "y"\n  ]\n'
        "  edge [ source 0 target 5 ] edge [ source 0 target 6 ] edge [ source 5 target 6 ]\n]",
    ],
)
def test_dagitty_dot_and_gml_are_read(text):
    dag = Dag.read(text)
    assert dag == Dag(frozenset({("u", "a"), ("u", "y"), ("a", "y")}), latent=frozenset({"u"}))


@pytest.mark.parametrize(
    "text",
    [
        "x, y -> s\nx -> y\nselected: s, r\nlatent: r",
        'dag {\nr [latent,selected,pos="0,1"]\ns [selected,pos="1,1"]\nx -> s\nx -> y\ny -> s\n}',
        'digraph { s [selected]; r [selected][latent]; y [label="selected"]; {x y} -> s; x -> y }',
        'graph [ directed 1 node [ id 0 label "x" ] node [ id 1 label "y" ] node [ id 2 label "s" '
        "selected 1 ]"
        ' node [ id 3 label "r" selected 1 latent 1 ] edge [ source 0 target 1 ]'
        " edge [ source 0 target 2 ] edge [ source 1 target 2 ] ]",
    ],
)
def test_what_selects_the_rows_is_read(text):
    dag = Dag.read(text)
    assert (dag.selected, dag.latent, dag.measured) == ({"r", "s"}, {"r"}, {"x", "y"})
    assert dag.arrows == {("x", "s"), ("y", "s"), ("x", "y")}


@pytest.mark.parametrize(
    "text",
    [
        "x[t-1] -> x[t] -> y[t+1]\nlatent: y[t+1]\nx[0] -> x[t]",
        "dag { x[t-1] [exposure] x[t-1]->x[t] x[t] -> y[t+1]; y[t+1] [latent,outcome]\n x[0] -> x[t] }",
        'digraph { x[t-1][shape=box]; "x[t-1]" -> x[t] -> "y[t+1]"; "y[t+1]"[latent]; x[0] -> x[t]; }',
    ],
)
def test_the_time_of_a_node_is_part_of_its_name(text):
    dag = Dag.read(text)
    assert dag.arrows == {("x[t-1]", "x[t]"), ("x[t]", "y[t+1]"), ("x[0]", "x[t]")}
    assert dag.latent == {"y[t+1]"}
    assert '"' not in str(dag) and Dag.read(str(dag)) == dag


@pytest.mark.parametrize(
    "text",
    [
        "graph [ node [ id 0 ] ]",
        "graph [ directed 1 node [ ]",
        "graph [ directed 1 edge [ source 0 target 1 ] ]",
    ],
)
def test_gml_that_is_no_causal_graph_is_refused(text):
    with pytest.raises(ModelError, match="GML"):
        Dag.read(text)


@pytest.mark.parametrize("text", ["nonsense", "a ->", "-> b", "a -> , -> b", "a - b"])
def test_a_line_that_is_no_arrow_is_refused(text):
    with pytest.raises(ModelError) as error:
        Dag.read(f'a -> b\n{text}\n"c, d" -> e')
    assert str(error.value) == (
        f'dag: can\'t read "{text}". Write "cause -> effect", "a <-> b", "latent: u" or "selected: s".'
    )


def test_every_line_that_is_wrong_is_named():
    with pytest.raises(ModelError) as error:
        Dag.read('one\na -> b\n"two, three"')
    assert [finding.problem for finding in error.value.findings] == [
        'can\'t read "one".',
        'can\'t read ""two, three"".',
    ]


@pytest.mark.parametrize("text", ["x -> y +\nx -> y -", "x -> y +\nx, z -> y -", "y <- x -\nx -> y +"])
def test_an_arrow_of_two_signs_is_refused(text):
    with pytest.raises(ModelError, match=r"expects both signs of x -> y\. Give the arrow one sign, or none"):
        Dag.read(text)
    assert Dag.read("x -> y +\nx -> y\nx -> y +").signs == {("x", "y"): "+"}


@pytest.mark.parametrize(
    ("text", "cycle"),
    [
        ("a -> b -> c", None),
        ("c -> a -> b -> c\nz -> a", ["a", "b", "c", "a"]),
        ("a -> a", ["a", "a"]),
        ("a -> b\na <-> b", None),
    ],
)
def test_cycles(text, cycle):
    assert Dag.read(text).cycle() == cycle


@given(st.frozensets(st.tuples(st.sampled_from("abcdefg"), st.sampled_from("abcdefg"))))
@settings(deadline=None, derandomize=True)
def test_cycles_and_descendants_agree_with_networkx(arrows):
    dag = Dag(arrows)
    cycle = dag.cycle()
    assert (cycle is None) == networkx.is_directed_acyclic_graph(dag.graph)
    if cycle is not None:
        assert cycle[0] == cycle[-1] == min(cycle)
        assert set(pairwise(cycle)) <= arrows
    else:
        for node in dag.nodes:
            assert dag.descendants([node]) == networkx.descendants(dag.graph, node)


def test_causes_and_nodes():
    dag = Dag.read("a, b -> c <-> d\nlatent: b, u")
    assert dag.causes("c") == {"a", "b"}
    assert dag.nodes == {"a", "b", "c", "d", "u"}
    assert bool(dag) and not Dag() and not Dag.read(" \n# only a comment")


@given(
    st.frozensets(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")).filter(lambda p: p[0] < p[1])
    ),
    st.frozensets(st.sampled_from([("a", "d"), ("b", "c"), ("c", "f"), ("b", "e")])),
    st.frozensets(st.sampled_from("bcdef")),
)
@settings(deadline=None, derandomize=True, max_examples=300)
def test_separation_agrees_with_networkx(arrows, arcs, given_nodes):
    dag = Dag(arrows, arcs)
    graph = dag.graph
    graph.add_edges_from((f"{a}{b}", end) for a, b in arcs for end in (a, b))
    given_nodes &= dag.nodes
    for end in dag.nodes - given_nodes - {"a"}:
        if "a" in dag.nodes:
            expected = networkx.is_d_separator(graph, {"a"}, {end}, set(given_nodes))
            assert dag.separated("a", end, given_nodes) == expected
            assert (end in dag.connected(["a"], given_nodes)) != expected


def test_paths_effects_and_ancestors():
    dag = Dag.read("a -> b -> c <- d\nb <-> e\nlatent: f")
    assert dag.effects("b") == {"c"} and dag.ancestors(["c"]) == {"a", "b", "d"} and not dag.effects("f")
    assert dag.path(["a"], "c") == ("a", "->", "b", "->", "c")
    assert dag.path(["a"], "d") is None
    assert dag.path(["a"], "d", ["c"]) == ("a", "->", "b", "->", "c", "<-", "d")
    assert dag.path(["a"], "e", ["c"]) == ("a", "->", "b", "<->", "e")


@pytest.mark.parametrize(
    ("text", "asked", "said"),
    [
        ("age -> job", ("age", "jobb"), 'dag: no node called "jobb". Did you mean "job"?'),
        ("age -> job", ("age", "job", ["age"]), '"age" stands on two sides'),
        ("age -> job -> age", ("age", "job"), "has a cycle: age -> job -> age"),
    ],
)
def test_questions_without_an_answer_are_refused(text, asked, said):
    with pytest.raises(ModelError, match=said.replace("?", r"\?")):
        Dag.read(text).separated(*asked)
