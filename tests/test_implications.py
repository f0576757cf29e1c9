"""What graphs imply, and graphs held against tables."""

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import networkx
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit

import bayesmtl as bm
from bayesmtl.evidence.implied import Implication, evidence, implied
from bayesmtl.multiplicity import adjusted


def listed(text: str) -> set[str]:
    return set(map(str, implied(bm.Dag.read(text))))


# The first of each are what dagitty.net lists for the graphs, one set for each pair.
@pytest.mark.parametrize(
    "text, found",
    [
        ("a -> b -> c", {"a _||_ c | b"}),
        ("b -> a, c", {"a _||_ c | b"}),
        ("a, c -> b", {"a _||_ c"}),
        ("a -> b -> c\na -> c", set()),
        (  # Pearl's sprinkler
            "season -> sprinkler, rain -> wet -> slippery",
            {
                "rain _||_ sprinkler | season",
                "season _||_ wet | rain, sprinkler",
                "rain _||_ slippery | wet",
                "season _||_ slippery | wet",
                "slippery _||_ sprinkler | wet",
            },
        ),
        ("z -> x -> y\nx <-> y", set()),  # an instrument
        ("x -> m -> y\nx <-> y", set()),  # a front door
        ("a -> b -> c -> d\nb <-> d", {"a _||_ c | b"}),  # Verma's: a and d have no separator
        ("u -> x, m\nv -> m, y\nx -> y\nlatent: u, v", set()),  # an M with an arrow: x and m share u
        ("u -> x, m\nv -> m, y\nlatent: u, v", {"x _||_ y"}),  # an M
    ],
)
def test_the_independencies_of_textbook_graphs(text, found):
    assert listed(text) == found


def test_each_pair_that_can_be_separated_is_listed_once_with_a_minimal_set():
    draw = np.random.default_rng(1)
    for _ in range(60):
        names = "abcdef"
        pairs = list(combinations(names, 2))
        chosen = draw.choice(3, len(pairs), p=[0.55, 0.35, 0.1])
        dag = bm.Dag(
            frozenset(pair for pair, kind in zip(pairs, chosen, strict=True) if kind == 1),
            frozenset(pair for pair, kind in zip(pairs, chosen, strict=True) if kind == 2),
            frozenset(draw.choice(list(names), 1).tolist()),
        )
        graph = networkx.DiGraph(list(dag.arrows))
        graph.add_nodes_from(dag.nodes)
        graph.add_edges_from((pair, end) for pair in dag.arcs for end in pair)
        found = {(each.a, each.b): set(each.given) for each in implied(dag)}
        measured = sorted(dag.nodes - dag.latent)
        for a, b in combinations(measured, 2):
            others = [name for name in measured if name not in (a, b)]
            sets = [set(some) for size in range(len(others) + 1) for some in combinations(others, size)]
            good = [some for some in sets if networkx.is_d_separator(graph, {a}, {b}, some)]
            assert ((a, b) in found) == bool(good)
            if good:
                assert found[a, b] in good and len(found[a, b]) == min(map(len, good))


def test_probabilities_are_adjusted_as_by_hand():
    p = np.array([0.01, 0.04, np.nan, 0.03, 0.005])
    assert np.allclose(adjusted(p, "holm"), [0.03, 0.06, np.nan, 0.06, 0.02], equal_nan=True)
    assert np.allclose(adjusted(p, "bh"), [0.02, 0.04, np.nan, 0.04, 0.02], equal_nan=True)
    by = np.array([0.02, 0.04, np.nan, 0.04, 0.02]) * (1 + 1 / 2 + 1 / 3 + 1 / 4)
    assert np.allclose(adjusted(p, "by"), by, equal_nan=True)
    assert np.isnan(adjusted(np.array([np.nan]), "bh")).all()


TEXT = "age -> school -> income -> visits\nschool -> ill -> visits"


def people(rows: int = 400, seed: int = 2) -> tuple[bm.Model, pd.DataFrame]:
    """A model of five variables of as many kinds, and a table that it made."""
    draw = np.random.default_rng(seed)
    age = draw.normal(size=rows)
    latent = 1.2 * age + draw.logistic(size=rows)
    school = pd.Categorical.from_codes(np.digitize(latent, [-1, 1]), ["low", "mid", "high"], ordered=True)
    income = draw.gamma(3.0, np.exp(0.6 * school.codes))
    ill = draw.random(rows) < expit(1.5 - 1.5 * school.codes)
    visits = draw.poisson(np.exp(0.3 * np.log(income) + 0.8 * ill - 0.5)).astype(float)
    table = pd.DataFrame({"age": age, "school": school, "income": income, "ill": ill, "visits": visits})
    table.loc[:29, "income"] = np.nan
    table["ward"] = np.arange(rows) // 8
    return bm.Model(tasks={"income": "gamma", "visits": "poisson"}, dag=TEXT), table


def test_the_table_of_a_graph_that_made_it():
    model, table = people()
    found = bm.implications(model, table)
    assert {(row.a, row.b): row.given for row in found.itertuples()} == {
        ("age", "ill"): "school",
        ("age", "income"): "school",
        ("age", "visits"): "school",
        ("ill", "income"): "school",
        ("school", "visits"): "ill, income",
    }
    assert found["p"].is_monotonic_increasing and (found["groups"] == 0).all()
    assert (found["holm"] > 0.01).all()  # false alarm: one in a hundred, were the seed another
    assert (found["n"] + found["dropped"] == 400).all()
    assert found.set_index(["a", "b"])["dropped"].to_dict() == {
        ("age", "ill"): 0,
        ("age", "income"): 30,
        ("age", "visits"): 0,
        ("ill", "income"): 30,
        ("school", "visits"): 30,
    }


def test_a_graph_that_lacks_an_arrow_is_told_which():
    model, table = people()
    wrong = bm.Model(tasks=model.tasks, dag=TEXT.replace("school -> ill", "age -> ill"))
    found = bm.implications(wrong, table)
    assert (found.loc[0, "a"], found.loc[0, "b"], found.loc[0, "given"]) == ("ill", "school", "age")
    assert found.loc[0, "by"] < 1e-6


def test_nodes_are_read_by_their_likelihoods_or_their_types():
    model, table = people()
    known = evidence(model, table).variables
    assert {name: (v.link, v.ordered, v.y.shape[1]) for name, v in known.items()} == {
        "age": ("identity", False, 1),
        "ill": ("logit", False, 1),
        "income": ("identity", False, 1),
        "school": ("logit", True, 2),
        "visits": ("log", False, 1),
    }
    graded = bm.Model(tasks={"visits": {"kind": "ordinal", "levels": 40}}, dag=TEXT)
    assert evidence(graded, table).variables["visits"].ordered


def test_groups_are_those_of_the_formulae_or_the_units_with_several_rows():
    model, table = people()
    grouped = bm.Model(tasks=model.tasks, dag=TEXT, formula="age + (1 | ward)")
    assert (bm.implications(grouped, table)["groups"] == [50] * 5).sum() >= 2
    table["bed"] = np.arange(400) // 2
    nested = bm.Model(tasks=model.tasks, dag=TEXT, formula="age + (1 | ward/bed)")
    assert evidence(nested, table).group == "ward"
    units = bm.Model(tasks=model.tasks, dag=TEXT, data={"units": "bed"})
    assert (evidence(units, table).group, evidence(units, table.iloc[::2]).group) == ("bed", "")
    assert bm.implications(model, table, group="bed")["groups"].max() == 200
    # what has the group itself among its names takes rows for independent given it
    of = bm.Model(tasks=model.tasks, dag=TEXT + "\nward -> visits", formula="age + (1 | ward)")
    found = bm.implications(of, table.assign(ward=table["ward"].astype(str)))
    inside = (found["a"] == "ward") | (found["b"] == "ward") | found["given"].str.contains("ward")
    assert ((found["groups"] == 0) == inside).all() and inside.any() and not inside.all()


def test_tasks_as_rows_are_tested_within_their_task():
    draw = np.random.default_rng(4)
    far = np.repeat([-5.0, 0.0, 5.0], 60)
    table = pd.DataFrame({"firm": np.repeat(["a", "b", "c"], 60), "x": far + draw.normal(size=180)})
    table["y"], table["z"] = table["x"] + draw.normal(size=180), far + draw.normal(size=180)
    model = bm.Model(
        tasks={"by": "firm", "outcome": "y", "kind": "gaussian"}, dag="x -> y\nz <-> w\nlatent: w"
    )
    found = bm.implications(model, table).set_index(["a", "b"])
    assert found.loc[("x", "z"), "p"] > 0.01  # one false alarm in a hundred; over all firms they go together
    within = table[["x", "z"]] - table.groupby("firm")[["x", "z"]].transform("mean")
    assert found.loc[("x", "z"), "effect"] == pytest.approx(stats.pearsonr(within["x"], within["z"])[0])


def test_the_table_is_by_default_that_of_the_model_file(tmp_path):
    model, table = people()
    table.drop(columns="school").to_csv(tmp_path / "people.csv", index=False)
    text = TEXT.replace("\n", "\\n")
    file = tmp_path / "people.toml"
    file.write_text(
        f'dag = "{text}\\nlatent: school"\n[data]\ntable = "people.csv"\n[tasks]\nvisits = "poisson"'
    )
    found = bm.implications(bm.load(file))
    assert found.equals(bm.implications(bm.load(file), pd.read_csv(tmp_path / "people.csv")))
    assert {*found["n"]} == {370}
    with pytest.raises(bm.ModelError, match="data: names no table"):
        bm.implications(model)


@pytest.mark.parametrize("path", sorted(Path("models").glob("*.toml")), ids=lambda path: path.stem)
def test_no_shipped_graph_is_contradicted_by_its_table(path):
    assert not (bm.implications(bm.load(path))["holm"] < 0.05).any()


def test_tables_of_their_own_share_no_rows():
    tables = {
        "stay": pd.DataFrame({"age": np.arange(40.0), "stay": np.sin(np.arange(40.0))}),
        "pain": pd.DataFrame({"age": np.arange(40.0), "pain": np.cos(np.arange(40.0))}),
    }
    found = bm.implications(
        bm.Model(tasks={"stay": "gaussian", "pain": "gaussian"}, dag="age -> stay, pain"), tables
    )
    assert (found.loc[0, "n"], found.loc[0, "dropped"]) == (0, 80) and np.isnan(found.loc[0, "p"])


def test_what_can_not_be_tested_is_said_in_findings():
    model, table = people()
    with pytest.raises(bm.ModelError, match="dag: is missing"):
        bm.implications(bm.Model(tasks=model.tasks, formula="age"), table)
    with pytest.raises(bm.ModelError, match=r'no column called "ill".*latent: ill'):
        bm.implications(model, table.drop(columns="ill"))
    with pytest.raises(bm.ModelError, match=r'group: no column called "wards"\. Did you mean "ward"'):
        bm.implications(model, table, group="wards")
    with pytest.raises(bm.ModelError, match="has a cycle"):
        bm.implications(bm.Model(tasks=model.tasks, dag="age -> income -> visits -> income"), table)
    with pytest.raises(bm.ModelError) as error:
        days = pd.date_range("2020-01-01", periods=400)
        bm.implications(model, table.assign(age=days, income=-table["income"]))
    assert [finding.where for finding in error.value.findings] == ["table.age", "tasks.income"]
    with pytest.raises(bm.ModelError, match=r"table\.age: has 400 categories"):
        bm.implications(model, table.assign(age=[f"p{i}" for i in range(400)]))


def falsified(model, table, seed=1, **options):
    (found,) = bm.falsify(model, table, seed=seed, **options).itertuples(index=False)
    return found


def test_a_collider_among_its_permutations_is_counted_by_hand():
    a, b = np.random.default_rng(5).normal(size=(2, 300))
    table = pd.DataFrame({"a": a, "b": b, "c": a + b})
    table["c"] += np.random.default_rng(6).normal(size=300)
    # of six orders of the names, two have c as the collider, and only these leave a and b apart
    found = falsified(bm.Model(tasks={"c": "gaussian"}, dag="a, b -> c"), table)
    assert (found.tested, found.violated, found.permutations) == (1, 0, 5)
    assert found.p == found.equivalent == pytest.approx(2 / 6)
    assert found.verdict == "uninformative"


def test_a_wrong_graph_is_contradicted_and_the_right_one_is_not():
    model, table = people()
    told = []
    right = falsified(model, table, watch=lambda done, of: told.append((done, of)))
    assert told == [(done, 119) for done in range(1, 120)]
    assert (right.tested, right.permutations, right.verdict) == (5, 119, "not contradicted")
    wrong = bm.Model(tasks=model.tasks, dag="ill -> income -> age -> visits\nill -> school -> visits")
    found = falsified(wrong, table)
    assert found.violated > right.violated and found.p > 0.2 and found.verdict == "contradicted"
    assert falsified(wrong, table, seed=2) == found  # all permutations: nothing is drawn


def test_where_nothing_depends_on_anything_a_graph_without_violations_is_not_contradicted():
    noise = np.random.default_rng(8).normal(size=(300, 5))
    table = pd.DataFrame(noise, columns=list("abcde"))
    found = falsified(bm.Model(tasks={"e": "gaussian"}, dag="a -> b -> c -> d -> e"), table)
    assert (found.violated, found.verdict) == (0, "uninformative") and found.p > 0.5


def test_of_many_nodes_permutations_are_drawn_by_the_seed():
    draw = np.random.default_rng(7)
    names = [f"x{i}" for i in range(8)]
    values = np.cumsum(draw.normal(size=(200, 8)), axis=1)
    model = bm.Model(tasks={"x7": "gaussian"}, dag=" -> ".join(names))
    found = falsified(model, pd.DataFrame(values, columns=names), permutations=39)
    assert (found.permutations, found.p, found.verdict) == (39, 1 / 40, "not contradicted")


def test_neither_jax_nor_networkx_is_needed():
    code = (
        "import bayesmtl as bm, sys; model = bm.load('models/travel.toml'); bm.implications(model); "
        "bm.falsify(model, seed=1); bm.signs(model); print(*sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jax", "numpyro", "networkx"} & set(out.stdout.split())


def test_an_implication_is_known_by_its_names():
    assert Implication("a", "b", ("c",)) == Implication("a", "b", ("c",))
    assert str(Implication("a", "b")) == "a _||_ b"
