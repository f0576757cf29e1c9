"""Model files and the tables they name: what reads, and what is refused with which words."""

import dataclasses
import json
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesmtl import table_files, tables
from bayesmtl.causal.dag import Dag
from bayesmtl.checks import check
from bayesmtl.encoded import encode
from bayesmtl.errors import ModelError
from bayesmtl.spec import Model, load

MODELS = sorted((Path(__file__).parent.parent / "models").glob("*.toml"))


def refusal(call, *arguments):
    """Every line of what a call refuses."""
    with pytest.raises(ModelError) as error:
        call(*arguments)
    assert str(error.value) == "\n".join(map(str, error.value.findings))
    return str(error.value).splitlines()


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_in_python_takes_the_keys_of_the_file(path):
    keys = tomllib.loads(path.read_text(encoding="utf-8"))
    assert Model(**keys) == load(path)
    assert load(path).folder == path.parent


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_json_gives_the_model_back(path):
    model = load(path)
    assert Model.read(json.loads(model.to_json())) == model


def test_json_keeps_what_is_not_ascii_and_what_is_set():
    model = Model(
        tasks={"größe (cm)": {"kind": "student_t", "df": 5, "formula": "`a.b` + 年"}},
        dag=Dag.read('"a, b" -> größe (cm) +\na.b <-> 年\nlatent: "a, b"'),
        relation={"kind": "partial", "share": "beta(2, 3)"},
        engine={"kind": "nuts", "chains": 2},
        references=("One", "Two"),
    )
    assert Model.read(json.loads(model.to_json())) == model
    assert "größe" in model.to_json()


def test_parts_are_names_or_tables():
    short = Model(tasks={"y": "gaussian"}, relation="pooled", engine="nuts")
    long = Model(tasks={"y": "gaussian"}, relation={"kind": "pooled"}, engine={"kind": "nuts"})
    assert short == long
    assert short.listed_tasks() == Model(tasks={"y": {"kind": "gaussian"}}, relation="pooled").listed_tasks()


def test_predictors_are_the_formula_or_the_measured_causes():
    model = Model(
        tasks={"y": "gaussian", "z": {"kind": "poisson", "formula": "b"}, "w": "gaussian"},
        dag="a.b, c d, u, größe -> y -> z\nlatent: u",
    )
    assert [task.formula for task in model.listed_tasks()] == ["`a.b` + `c d` + größe", "b", None]


def test_tasks_as_rows_are_the_levels_and_their_column_is_no_predictor():
    model = Model(
        tasks={"by": "firm", "outcome": "invest", "kind": "student_t", "df": 7},
        dag="firm, value -> invest",
    )
    tasks = model.listed_tasks(["A", "B"])
    assert [(task.name, task.column, task.formula) for task in tasks] == [
        ("A", "invest", "value"),
        ("B", "invest", "value"),
    ]
    assert tasks[0].likelihood == {"kind": "student_t", "df": 7}


MODEL_FILES = {
    "empty": ("", ['tasks: is missing. Add "[tasks]", one line for each outcome.']),
    "no tasks": ("[tasks]", ["tasks: is empty. Add one line for each outcome."]),
    "no TOML": (
        "name = election\n",
        ["file: is not TOML: Invalid value (at line 1, column 8). Mend that line."],
    ),
    "the same task twice": (
        '[tasks]\ny = "gaussian"\ny = "poisson"\n',
        ["file: is not TOML: Cannot overwrite a value (at line 3, column 14). Mend that line."],
    ),
    "misspelt keys": (
        'formulae = "x"\nrelatoin = "partial"\n[tasks]\ny = "gaussian"\n[data]\nunit = "id"\n',
        [
            'model: no key called "formulae". Did you mean "formula"?',
            'model: no key called "relatoin". Did you mean "relation"?',
            'data: no key called "unit". Did you mean "units"?',
        ],
    ),
    "wrong types": (
        'name = 3\nformula = ["x"]\ndag = true\nreferences = "one"\nrelation = 2\ndata = "t.csv"\n'
        'tasks = ["y"]\n',
        [
            "tasks: is ['y']. Give a table of tasks.",
            "formula: is ['x']. Give a string.",
            "dag: is True. Give a string of arrows.",
            'data: is \'t.csv\'. Give a table with "table" and "units".',
            "relation: is 2. Give a relation's name, a table, or a list of relations.",
            "name: is 3. Give a string.",
            "references: is 'one'. Give a list of strings.",
        ],
    ),
    "wrong types of tasks": (
        '[tasks]\na = 3\nb = { levels = 7 }\nc = { kind = 2 }\n"d/e" = "gaussian"\n'
        'f = { kind = "gaussian", formula = 5 }\n[data]\ntable = 7\n',
        [
            'tasks.a: is 3. Give a likelihood, such as "gaussian".',
            'tasks.b: has no "kind". Add kind = "..."; bayesmtl parts lists them.',
            'tasks.c: has kind 2. Add kind = "..."; bayesmtl parts lists them.',
            'tasks.d/e: has a "/" in its name. Rename the column.',
            "tasks.f.formula: is 5. Give a string.",
            "data.table: is 7. Give a string.",
        ],
    ),
    "tasks as rows without an outcome": (
        '[tasks]\nby = "firm"\nkind = "gaussian"\n',
        ['tasks: has no "outcome". Tasks as rows need by, outcome and kind.'],
    ),
    "tasks as rows of wrong types": (
        '[tasks]\nby = 2\noutcome = "y"\nformula = 3\n',
        [
            "tasks.by: is 2. Give a column's name.",
            'tasks: has no "kind". Add kind = "..."; bayesmtl parts lists them.',
            "tasks.formula: is 3. Give a string.",
        ],
    ),
    "a graph that can't be read, and more": (
        'dag = """\na -> b\na to c\n"""\nseed = 1\n[tasks]\nb = "gaussian"\n[relation]\nrank = 2\n',
        [
            'model: no key called "seed". '
            "Known: dag, data, doc, engine, formula, missing, name, priors and 5 more.",
            'dag: can\'t read "a to c". Write "cause -> effect", "a <-> b", "latent: u" or "selected: s".',
            'relation: has no "kind". Add kind = "..."; bayesmtl parts lists them.',
        ],
    ),
}


@pytest.mark.parametrize(("text", "lines"), MODEL_FILES.values(), ids=MODEL_FILES)
def test_model_files_that_are_refused(tmp_path, text, lines):
    path = tmp_path / "model.toml"
    path.write_text(text, encoding="utf-8")
    assert refusal(load, path) == lines


def test_model_files_that_are_no_files(tmp_path):
    assert refusal(load, tmp_path) == ["file: can't be read: Is a directory. Give the path of a model file."]
    assert refusal(load, tmp_path / "none.toml") == [
        "file: can't be read: No such file or directory. Look at the path."
    ]
    (tmp_path / "binary.toml").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    assert refusal(load, tmp_path / "binary.toml") == ["file: is not text. Save it as UTF-8."]


def test_a_model_in_python_is_refused_in_the_same_words():
    assert refusal(lambda: Model(tasks={3: "gaussian"}, dag=None)) == [
        "dag: is None. Give a string of arrows.",
        "tasks.3: is no string. Give each column's name as a string.",
    ]


TABLE_FILES = {
    "empty": (b"", "is empty. Give a table with a header."),
    "blank": (b"\n\n", "is empty. Give a table with a header."),
    "NUL bytes": (
        b"a,b\n1,\x002\n",
        "can't be read: it holds NUL bytes, so it is no text in UTF-8. Mend the file.",
    ),
    "nothing but NUL bytes": (
        bytes(1009),
        "can't be read: it holds NUL bytes, so it is no text in UTF-8. Mend the file.",
    ),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is not text. Save it as CSV in UTF-8."),
    "another encoding": ("größe\n1\n".encode("latin1"), "is not text. Save it as CSV in UTF-8."),
    "cut inside a quoted cell": (
        b'a,b\n1,"two"\n3,"fo',
        "can't be read: it ends inside a quoted cell. Mend the file.",
    ),
    "a quote that never ends": (
        b'a,b\n1,"two\n3,4\n5,6\n',
        "can't be read: it ends inside a quoted cell. Mend the file.",
    ),
    "a row that is too long": (
        b"a,b\n1,2\n3,4,5\n",
        "can't be read: line 3 has 3 cells for 2 columns. Mend the file.",
    ),
    "every row too long": (
        b"a,b\n1,2,3\n4,5,6\n",
        "can't be read: line 2 has 3 cells for 2 columns. Mend the file.",
    ),
    "cut in the middle of a row": (
        b"a,b,c\n1,2,3\n4,5",
        "can't be read: line 3 has 2 cells for 3 columns. Mend the file.",
    ),
}


@pytest.mark.parametrize(("content", "said"), TABLE_FILES.values(), ids=TABLE_FILES)
def test_table_files_that_are_refused(tmp_path, content, said):
    path = tmp_path / "some.csv"
    path.write_bytes(content)
    assert refusal(table_files.read, path) == [f"table some.csv: {said}"]


def test_table_files_that_are_no_files(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    assert refusal(table_files.read, tmp_path / "folder.csv") == [
        "table folder.csv: can't be read: Is a directory. Give the path of a file."
    ]
    assert refusal(table_files.read, tmp_path / "none.csv") == [
        "table none.csv: can't be read: No such file or directory. Look at the path."
    ]


def test_tables_keep_their_names_and_their_empty_cells(tmp_path):
    path = tmp_path / "some.TSV"
    path.write_bytes('\ufeffgröße\t a b \t"x\ty"\tx.1\tx\n1\t\tu\t2\t3\n\n4\t5\t\t6\t7\n'.encode())
    table = table_files.read(path)
    assert table.columns.tolist() == ["größe", "a b", "x\ty", "x.1", "x"]
    assert table.isna().to_numpy().tolist() == [
        [False, True, False, False, False],
        [False, False, True, False, False],
    ]


def test_columns_that_share_a_name_are_told(tmp_path):
    path = tmp_path / "some.csv"
    path.write_text("a,b, a,b.1\n1,2,3,4\n5,6,7,8\n")
    assert [str(finding) for finding in tables.faults(table_files.read(path))] == [
        'table: has 2 columns called "a". Rename all but one.'
    ]
    assert [str(finding) for finding in tables.faults(pd.DataFrame([[1, 2]], columns=[5, 5]))] == [
        'table: has 2 columns called "5". Rename all but one.'
    ]


ODD = ["größe cm", "a.b", "log", "1996", "年", "x (new)", "class", "C#", "mother's age", "1"]


@pytest.mark.parametrize("by", ["formula", "graph"])
def test_any_name_may_be_a_predictor_and_a_task(tmp_path, by):
    random = np.random.default_rng(5)
    rows = 41
    whole = pd.DataFrame({name: random.normal(size=rows) for name in ODD})
    whole["punkte (neu).2"] = random.normal(size=rows)
    whole["数 vote"] = random.integers(0, 2, rows)
    formula = " + ".join(f"`{name}`" for name in ODD)
    causes = ", ".join(f'"{name}"' for name in ODD)
    way = {
        "formula": f"formula = '''{formula}'''",
        "graph": f"dag = '''\n{causes} -> punkte (neu).2\n{causes} -> 数 vote\n'''",
    }[by]
    (tmp_path / "odd.csv").write_text(whole.to_csv(index=False), encoding="utf-8")
    (tmp_path / "odd.toml").write_text(
        f'{way}\n[tasks]\n"punkte (neu).2" = "gaussian"\n"数 vote" = "bernoulli"\n'
        '[data]\ntable = "odd.csv"\n',
        encoding="utf-8",
    )
    model = load(tmp_path / "odd.toml")
    table = table_files.read(model.folder / model.data["table"])
    assert check(model) == check(model, table) == []
    design = encode(model, table)
    assert set(design.feature.labels) == set(ODD)
    assert design.task.labels == ("punkte (neu).2", "数 vote")
    for i, name in enumerate(design.feature.labels):
        np.testing.assert_allclose(design.x[:, i], whole[name])


def test_models_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Model(tasks={"y": "gaussian"}).name = "other"
