"""The causal part of a page: what the graph says of the weights, and what the table says of the graph."""

import io
import json
import re
from dataclasses import replace

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from fakes import TASKS, fake_posterior
from test_page import Reader

import bayesmtl as bm
from bayesmtl.cli import main
from bayesmtl.page import answers, causal, graph, report
from bayesmtl.page.causal import told
from bayesmtl.page.numbers import NONE
from bayesmtl.page.sources import model_of
from bayesmtl.spec import Model

DAG = "age -> größe\nage, größe -> stay.days -> readmit\nage -> mood\nlatent: u\nu -> mood, readmit"


def asked(dag: str = DAG, **settings: object) -> Model:
    """The model of the fake posterior, about a graph."""
    tasks = {TASKS[0]: "gaussian", TASKS[1]: "gaussian", TASKS[2]: "bernoulli"}
    return Model(**{"tasks": tasks, "formula": "age + größe", "dag": dag, "name": "wards"} | settings)


def table(rows: int = 401) -> pd.DataFrame:
    """Rows that the graph made, but that mood follows größe too."""
    draw = np.random.default_rng(5)
    age, hidden = draw.normal(size=(2, rows))
    height = 0.7 * age + draw.normal(size=rows)
    stay = age + height + draw.normal(size=rows)
    mood = 0.5 * age + 0.5 * height + hidden + draw.normal(size=rows)
    readmit = (stay + 2 * hidden + draw.logistic(size=rows) > 0).astype(float)
    return pd.DataFrame(dict(zip(["age", "größe", *TASKS], [age, height, stay, mood, readmit], strict=True)))


@pytest.fixture(scope="module")
def post():
    tree = fake_posterior()
    found = json.loads(tree.attrs["findings"])
    found += [vars(each) for each in bm.check(asked())]
    tree.attrs |= {"model": asked().to_json(), "findings": json.dumps(found)}
    return tree


@pytest.fixture(scope="module")
def paged(post):
    """Pages without figures, which take their time."""
    known, sections = answers(post), ("weights", "coefficients", "sharing", "groups", "mixing", "gain")
    none = {name: [] for name in (*sections, "predictions", "prior")}

    def paged(table=None, tree=post):
        return report(tree, replace(known, causal=told(model_of(tree), table)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayesmtl.page.gallery.pictures", lambda *_: none)
        yield paged


@pytest.fixture(scope="module")
def section(paged):
    """The part of a page about the graph."""
    return re.search(r'<section id="graph">.*?</section>', paged(table()), re.DOTALL)[0]


def test_every_effect_has_its_row(section):
    rows = told(asked()).effects.rows
    wanted = bm.identify(asked())
    assert [row[:2] for row in rows] == wanted[["task", "exposure"]].to_numpy().tolist()
    assert [row[2] for row in rows] == [text or NONE for text in wanted["weight"]]
    assert all(f'<th scope="row">{row[0]}</th>' in section for row in rows)


@pytest.mark.parametrize(
    "dag, words",
    [
        ("x -> y <- z -> x", "z"),
        ("x -> y", "nothing"),
        ("x -> y <-> x", "no measured set"),
        ("i -> x -> y <-> x", "no measured set: instrument i"),
    ],
)
def test_what_to_adjust_for_is_said_in_words(dag, words):
    rows = told(Model(tasks={"y": "gaussian"}, formula="x", dag=dag)).effects.rows
    assert [row[3] for row in rows if row[1] == "x"] == [words]


def test_implied_independencies_are_d_separations():
    """Each by networkx, of the graph with its latent node."""
    drawn = nx.DiGraph(sorted(asked().dag.arrows))
    rows = told(asked()).implied.rows
    for pair, given in rows:
        a, b = pair.split(" and ")
        assert nx.is_d_separator(drawn, {a}, {b}, set() if given == NONE else set(given.split(", ")))
    assert [row[0] for row in rows] == [
        "age and readmit",
        "größe and mood",
        "größe and readmit",
        "mood and stay.days",
    ]


def test_the_table_contradicts_what_it_should_and_confirms_nothing(paged, section):
    found = told(asked(), table())
    tested = bm.implications(asked(), table())
    pairs = [f"{row.a} and {row.b}" for row in tested.itertuples()]
    assert [row[0] for row in found.implied.rows] == pairs
    words = {row[0]: row[-1] for row in found.implied.rows}
    assert words["größe and mood"] == words["mood and stay.days"] == "contradicted"
    assert words["age and readmit"] == words["größe and readmit"] == "not contradicted"
    assert "contradicts 2 of them" in found.verdict and found.verdict in section
    assert found.contradicted and re.search(r'id="verdict">[^<]*most clearly that of', paged(table()))
    assert "not contradicted" in section and "confirmed" not in section


def test_what_is_not_contradicted_is_said_so():
    """Of the graph that made the table; of twenty tables at most one would be contradicted by chance."""
    found = told(asked(f"{DAG}\ngröße -> mood"), table())
    assert "The table contradicts none of them, and so not the graph." in found.verdict
    assert {row[-1] for row in found.implied.rows} == {"not contradicted"} and not found.contradicted


def test_without_a_table_the_graph_is_said_alone(paged):
    found = told(asked())
    assert "The page was made without a table" in found.verdict and len(found.implied.rows) == 4
    assert "without a table" in paged()


def test_a_table_that_can_not_test_is_a_sentence(monkeypatch):
    found = told(asked(), table().drop(columns="größe"))
    assert (
        "could not be tested" in found.verdict and "größe" in found.verdict and len(found.implied.rows) == 4
    )
    monkeypatch.setattr(causal, "MOST", 100)
    assert "too many to test here with 401 rows" in told(asked(), table()).verdict
    assert "can test none" in told(asked(), table().iloc[:2]).verdict


def test_a_graph_that_implies_nothing_says_so():
    found = told(Model(tasks={"y": "gaussian"}, dag="x -> y"), table())
    assert found.implied is None and "no table can contradict it" in found.verdict


def test_findings_of_the_graph_stand_with_the_graph_and_others_with_the_checks(paged, section):
    whole = Reader(paged()).text
    assert told(asked()).findings == bm.check(asked()) != []
    levels = re.findall(r'<span class="level (\w+)">', section)
    assert levels == sorted(levels, reverse=True) and len(levels) == len(bm.check(asked()))
    assert "one cell is empty." not in section
    assert all(whole.count(each.problem.replace("->", "→")) == 1 for each in bm.check(asked()))


def test_names_in_the_graph_are_safe(paged):
    strange = ("<script>&amp;", 'a<b> "c"')
    tree = fake_posterior()
    arrows = frozenset({(strange[0], strange[1]), (strange[1], TASKS[0]), (TASKS[0], TASKS[2])})
    tree.attrs |= {"model": asked(bm.Dag(arrows)).to_json()}
    reader = Reader(paged(tree=tree))
    assert not reader.faults and not reader.open
    assert len(reader.of("script")) == len(Reader(paged()).of("script")) == 2  # the page's own
    assert all(name in reader.text for name in strange)
    assert f"{strange[0]} causes {strange[1]}" in reader.of("svg")[0]["aria-label"]


def test_the_graph_reads_aloud_and_fits_small_screens(section):
    (drawn,) = re.findall(r"<svg[^>]*>", section)
    assert "age causes größe" in drawn and "u is not measured" in drawn and 'role="img"' in drawn
    assert re.search(r'<div class="scroll graph" tabindex="0" role="region" aria-label="[^"]+"', section)
    assert float(re.search(r"min-width:(\d+)pt", drawn)[1]) < float(re.search(r"max-width:(\d+)pt", drawn)[1])


def test_a_model_with_a_part_that_is_not_at_hand_keeps_its_graph():
    found = told(asked(relation={"kind": "away:from_home"}))
    assert found.effects is None and not found.findings and found.drawn is not None


def test_a_model_without_a_graph_has_no_causal_part():
    assert told(Model(tasks={"y": "gaussian"}, formula="x")) is None


def test_a_graph_that_nothing_can_draw_is_text(paged, monkeypatch):
    monkeypatch.setattr(graph, "drawn", lambda model: None)
    page = paged()
    assert "Nothing here could draw it." in page and "<pre>age -&gt; größe" in page


@pytest.mark.parametrize("given", [[], ["other.csv"], ["-"]], ids=["its own", "a file", "stdin"])
def test_the_command_line_tests_the_table_that_it_fits(ward_file, tmp_path, monkeypatch, given, capsys):

    rows = pd.read_csv(tmp_path / "wards.csv")
    rows.head(23).to_csv(tmp_path / "other.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((tmp_path / "other.csv").read_bytes())))
    seen, true = {}, answers

    def fit(model, table=None, *, seed, watch=None, checkpoint=None):
        seen["fitted"] = table
        return fake_posterior()

    def ask(post, table):
        seen["tested"] = table
        return true(post)

    monkeypatch.setattr("bayesmtl.posterior.fit", fit)
    monkeypatch.setattr("bayesmtl.page.answers", ask)
    assert main(["report", str(ward_file), *given]) == 0
    assert len(seen["tested"]) == (23 if given else len(rows))
    assert seen["fitted"] is seen["tested"]


def test_a_long_list_says_where_the_rest_is():
    names = [f"v{i}" for i in range(17)]
    found = told(asked("\n".join(f"{name} -> stay.days" for name in names), formula="v0"))
    assert len(found.implied.rows) == 120 and len(names) * 16 // 2 == 136
    assert found.implied.note == "The first 120 of 136 rows; bayesmtl dag prints the rest."
