"""Graphs: reading, writing and asking."""

from itertools import pairwise

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesmtl.dag import Dag
from bayesmtl.errors import ModelError

NAMES = st.text(
    st.characters(exclude_categories=("C", "Zl", "Zp", "Zs"), include_characters=" "),
    min_size=1,
    max_size=7,
).filter(lambda name: name == name.strip() and not ('"' in name and "'" in name))
PAIRS = st.frozensets(st.tuples(NAMES, NAMES).filter(lambda pair: pair[0] != pair[1]), max_size=5)


@st.composite
def graphs(draw):
    arrows = draw(PAIRS)
    signed = draw(st.lists(st.sampled_from(sorted(arrows)), unique=True)) if arrows else []
    return Dag(
        arrows=arrows,
        arcs=frozenset((min(pair), max(pair)) for pair in draw(PAIRS)),
        latent=draw(st.frozensets(NAMES, max_size=2)),
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
    "text",
    [
        'dag {\nbb="0,0,1,1"\na [pos="-1.5,0.2"]\nu [latent,pos="0,1"]\na -> y\nu -> a\nu -> y\n}',
        "digraph G { u [unobserved]; u -> {a y}; a -> y; }",
        'strict digraph "my graph" {\n"u" [latent]\n"u" -> a -> y; u -> "y"\n}\n',
        "latent: u\nu -> a -> y\nu -> y",
    ],
)
def test_dagitty_and_dot_are_read(text):
    dag = Dag.read(text)
    assert dag == Dag(frozenset({("u", "a"), ("u", "y"), ("a", "y")}), latent=frozenset({"u"}))


@pytest.mark.parametrize("text", ["nonsense", "a ->", "-> b", "a -> , -> b", "a - b"])
def test_a_line_that_is_no_arrow_is_refused(text):
    with pytest.raises(ModelError) as error:
        Dag.read(f'a -> b\n{text}\n"c, d" -> e')
    assert str(error.value) == (
        f'dag: can\'t read "{text}". Write "cause -> effect", "a <-> b" or "latent: u".'
    )


def test_every_line_that_is_wrong_is_named():
    with pytest.raises(ModelError) as error:
        Dag.read('one\na -> b\n"two, three"')
    assert [finding.problem for finding in error.value.findings] == [
        'can\'t read "one".',
        'can\'t read ""two, three"".',
    ]


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
