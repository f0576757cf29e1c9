"""Reprs: short, true, and those of graphs, findings and errors read back."""

import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bayesmtl as bm
from bayesmtl.errors import Finding

NAMES = st.text(
    st.one_of(st.sampled_from("ab\"' \\,#+-<>[]"), st.characters(exclude_characters="\n")), min_size=1
)
PAIRS = st.frozensets(st.tuples(NAMES, NAMES), max_size=4)
KNOWN = {"Dag": bm.Dag, "Finding": Finding, "ModelError": bm.ModelError}


@st.composite
def graphs(draw):
    arrows = draw(PAIRS)
    return bm.Dag(
        arrows,
        arcs=frozenset((min(pair), max(pair)) for pair in draw(PAIRS)),
        latent=draw(st.frozensets(NAMES, max_size=2)),
        selected=draw(st.frozensets(NAMES, max_size=2)),
        signs={arrow: draw(st.sampled_from("+-")) for arrow in arrows if draw(st.booleans())},
    )


@given(graphs())
@settings(deadline=None, derandomize=True, max_examples=300)
def test_the_repr_of_a_graph_makes_the_graph(dag):
    assert eval(repr(dag), KNOWN) == dag


def test_graphs_are_shown_as_their_text():
    dag = bm.Dag.read("b <-> a -> 'the \"poor\"' +\nlatent: u")
    assert repr(dag) == """Dag.read('a -> \\'the "poor"\\' +\\na <-> b\\nlatent: u')"""
    assert repr(bm.Dag()) == "Dag.read('')"


TASKS = {"party": {"kind": "ordinal", "levels": 7}, "vote": "bernoulli"}


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (
            bm.Model(TASKS, "age", name="election"),
            'Model("election": 2 tasks (party ordinal, vote bernoulli), relation partial)',
        ),
        (
            bm.Model({"y": "poisson"}, "x", relation="pooled", doc="d" * 1000),
            'Model("model": 1 task (y poisson), relation pooled)',
        ),
        (
            bm.Model({f"y{i}": "gaussian" for i in range(99)}, "x", relation=["pooled", "independent"]),
            'Model("model": 99 tasks (y0 gaussian, y1 gaussian, y2 gaussian, y3 gaussian, y4 gaussian and 94 '
            "more), relation sum_of)",
        ),
        (
            bm.Model({"by": "school", "outcome": "score", "kind": "student_t"}, "x"),
            'Model("model": a task for each school (score student_t), relation partial)',
        ),
    ],
)
def test_models_are_shown_by_their_tasks(model, text):
    assert repr(model) == text


def test_errors_are_shown_by_their_findings_and_read_back():
    with pytest.raises(bm.ModelError) as error:
        bm.Model({"y": "gaussian"}, "x", missing="dorp", priors=3)
    known = eval(repr(error.value), KNOWN)
    assert known.findings == error.value.findings and len(known.findings) == 2
    assert str(known) == str(error.value) == "\n".join(map(str, known.findings))


def test_summaries_are_shown_by_what_they_count():
    model = bm.Model({"y": "gaussian"}, "x + (1 | school)")
    table = pd.DataFrame({"x": [1.0, 2.0, 4.0], "y": [0.5, 1.0, 2.5], "school": ["a", "b", "a"]})
    one = bm.summarise(model, table)
    assert repr(one).startswith("Summary(3 rows of 2 kinds by school: ")
    many = one
    for _ in range(9):
        many = many + many
    assert repr(many) == repr(one).replace("3 rows", "1,536 rows")


def test_no_repr_waits_for_heavy_imports():
    code = """
import sys
import bayesmtl as bm
model = bm.load("models/election.toml")
shown = [repr(model), repr(model.dag), repr(bm.check(model)), repr(bm.ModelError(*bm.check(model)))]
assert max(map(len, shown)) < 1000, shown
print(*{"jax", "numpyro", "pandas", "xarray"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
