"""What a graph lets a table tell: against textbook answers, and what ``check`` says."""

import pandas as pd
import pytest

import bayesmtl as bm
from bayesmtl.cli import main

# graph, formula, exposure, and the row's other answers
TEXTBOOK = {
    "confounder": ("z -> x -> y <- z", "x + z", "x", "total effect", "z", "z", "z", "", ""),
    "confounder left out": ("z -> x -> y <- z", "x", "x", "no effect", "z", "z", "z", "", ""),
    "mediator": ("x -> m -> y <- x", "x + m", "x", "direct effect", "nothing", "nothing", "", "m", ""),
    "instrument": ("i -> x -> y <-> x", "x", "x", "no effect", "none", "none", "", "", "instrument i"),
    "front door": ("x -> m -> y <-> x", "x", "x", "no effect", "none", "none", "", "m", "front door m"),
    "hidden": ("x -> y <-> x", "x", "x", "no effect", "none", "none", "", "", ""),
    "two sets": ("a -> b -> x -> y; a -> y", "x + a", "x", "total effect", "a", "a; b", "a", "", ""),
    "not in the formula": (
        "z -> x -> y <- z",
        "x + z",
        "z",
        "direct effect",
        "nothing",
        "nothing",
        "",
        "x",
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
    assert "holm" in shown and " 40 " in shown
    assert main(["dag", str(file), "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("y,a,,")
