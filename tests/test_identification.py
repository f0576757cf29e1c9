"""What a graph lets a table tell: against textbook answers, and what ``check`` says."""

import pandas as pd
import pytest

import bayesmtl as bm
from bayesmtl.causal.instruments import instruments
from bayesmtl.cli import main

NONE, NOTHING, EMPTY = ("none", "none"), ("nothing", "nothing"), ("", "", "", "")
# graph, formula, exposure, and the row's other answers
TEXTBOOK = {
    "confounder": ("z -> x -> y <- z", "x + z", "x", "total effect", "z", "z", "z", *EMPTY[1:], ""),
    "confounder left out": ("z -> x -> y <- z", "x", "x", "no effect", "z", "z", "z", *EMPTY[1:], ""),
    "mediator": ("x -> m -> y <- x", "x + m", "x", "direct effect", *NOTHING, "", "m", *EMPTY[2:], ""),
    "instrument": ("i -> x -> y <-> x", "x", "x", "no effect", *NONE, *EMPTY[1:], "i", "instrument i"),
    "conditional instrument": (
        "age -> i -> x -> y <-> x; age -> y",
        "x",
        "x",
        "no effect",
        *NONE,
        "age",
        *EMPTY[2:],
        "i given age",
        "instrument i given age",
    ),
    "front door": ("x -> m -> y <-> x", "x", "x", "no effect", *NONE, "", "m", "", "", "front door m"),
    "hidden": ("x -> y <-> x", "x", "x", "no effect", *NONE, *EMPTY, ""),
    "two sets": (
        "a -> b -> x -> y; a -> y",
        "x + a",
        "x",
        "total effect",
        "a",
        "a; b",
        "a",
        *("", "", "b given a"),
        "",
    ),
    "collider and its effect": (
        "x -> y; x -> c -> d; y -> c",
        "x",
        "x",
        "total effect",
        *NOTHING,
        "",
        "",
        "c, d",
        "",
        "",
    ),
    "M": (
        "u -> x -> y; u -> z; v -> z; v -> y; latent: u, v",
        "x",
        "x",
        "total effect",
        *NOTHING,
        *("", "", "z", ""),
        "",
    ),
    "selection": ("x -> y; x -> s; y -> s; selected: s", "x", "x", "no effect", *NONE, *EMPTY, ""),
    "not in the formula": (
        "z -> x -> y <- z",
        "x + z",
        "z",
        "direct effect",
        *NOTHING,
        "",
        "x",
        "",
        "",
        "",
    ),
}


@pytest.mark.parametrize("name", TEXTBOOK)
def test_textbook_graphs_have_their_textbook_answers(name):
    graph, formula, exposure, *answers = TEXTBOOK[name]
    model = bm.Model(tasks={"y": "gaussian"}, formula=formula, dag=graph.replace("; ", "\n"))
    row = bm.identify(model).set_index("exposure").loc[exposure]
    assert row.tolist() == ["y", *answers]


def test_each_task_has_a_row_for_each_measured_cause_and_latent_ones_have_none():
    graph = "age -> school -> pay, vote\nu -> school, pay\nlatent: u"
    model = bm.Model(tasks={"pay": "gaussian", "vote": "bernoulli"}, formula="age + school", dag=graph)
    found = bm.identify(model)
    assert found[["task", "exposure"]].to_numpy().tolist() == [
        *(["pay", "age"], ["pay", "school"], ["vote", "age"], ["vote", "school"])
    ]
    pay = found[found.task == "pay"].set_index("exposure")
    assert pay.adjust["school"] == "none" and pay.otherwise["school"] == "instrument age"


def test_a_model_without_a_graph_is_a_finding():
    with pytest.raises(bm.ModelError, match="dag: is missing"):
        bm.identify(bm.Model(tasks={"y": "gaussian"}, formula="x"))


def test_an_effect_of_the_exposure_has_not_the_role_of_an_instrument_though_it_serves_as_one():
    model = bm.Model(tasks={"y": "gaussian"}, formula="x", dag="x -> y\nx -> w")
    assert [found.node for found in instruments(model.dag, "x", "y")] == ["w"]
    assert bm.identify(model).instruments.tolist() == [""]


def test_the_command_shows_effects_and_tests_what_is_implied(tmp_path, capsys):
    file = tmp_path / "chain.toml"
    file.write_text('formula = "b"\ndag = "a -> b -> y"\n[data]\ntable = "t.csv"\n[tasks]\ny = "gaussian"\n')
    assert main(["dag", str(file), "--graph"]) == 0
    shown = capsys.readouterr().out
    assert "total effect" in shown and "a _||_ y | b" in shown
    rows = [0.1 * i for i in range(40)]
    pd.DataFrame({"a": rows, "b": [x * x for x in rows], "y": [x**3 % 2 for x in rows]}).to_csv(
        tmp_path / "t.csv", index=False
    )
    assert main(["dag", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "holm" in shown and " 40 " in shown and "permutations" in shown and "Expected" not in shown
    text = file.read_text().replace("a -> b -> y", "a -> b -> y +\\nlatent: u\\nselected: s")
    file.write_text(text)
    assert main(["dag", str(file), "--seed", "2"]) == 0
    shown = capsys.readouterr().out
    assert "Not measured: u\n" in shown and "Rows are selected by: s\n" in shown
    signs = shown.partition("Expected signs:\n")[2].splitlines()
    assert signs[0].split()[:3] == ["cause", "effect", "expected"] and len(signs) == 4
    file.write_text('formula = "x"\ndag = "u -> y\\nlatent: u"\n[tasks]\ny = "gaussian"\n')
    assert main(["dag", str(file)]) == 0
    assert capsys.readouterr().out.split()[:2] == ["task", "exposure"]  # of no measured cause


def test_of_too_many_sets_it_is_said_that_there_are_more(tmp_path, capsys):
    # 3^9 minimal sets in a graph of 30 nodes
    ways = "\n".join(f"x <- a{i} <- b{i} -> c{i} -> y" for i in range(9))
    model = bm.Model(tasks={"y": "gaussian"}, formula="x", dag=f"x -> y\n{ways}")
    sets = bm.identify(model).set_index("exposure").sets["x"].split("; ")
    assert len(sets) == 1001 and sets[-1] == "and more" and len(set(sets)) == 1001
    few = bm.identify(bm.Model(tasks={"y": "gaussian"}, formula="x", dag="x -> y\nx <- a <- b -> c -> y"))
    assert few.set_index("exposure").sets["x"] == "a; b; c"
    file = tmp_path / "ways.toml"
    file.write_text(f'formula = "x"\ndag = """\nx -> y\n{ways}\n"""\n[tasks]\ny = "gaussian"\n')
    assert main(["dag", str(file), "--graph"]) == 0
    shown = capsys.readouterr().out
    assert f"; {sets[2]}; and more than 997 more " in shown and sets[3] not in shown
    assert main(["dag", str(file), "--format", "csv"]) == 0
    assert sets[999] in capsys.readouterr().out


def test_the_command_gives_rows_to_programs(tmp_path, capsys):
    file = tmp_path / "chain.toml"
    file.write_text('formula = "b"\ndag = "a -> b -> y"\n[tasks]\ny = "gaussian"\n')
    assert main(["dag", str(file), "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("y,a,,")
