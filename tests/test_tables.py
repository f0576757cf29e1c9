"""Tables: data frames of every kind, and a table for each task."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from bayesmtl import table_files, tables
from bayesmtl.checks import check
from bayesmtl.errors import ModelError
from bayesmtl.spec import Model

APART = {"tasks": {"height": "gaussian", "visits": "poisson"}, "formula": "age"}


def heights(**changes):
    """A task's table without fault, with some columns exchanged."""
    random = np.random.default_rng(5)
    whole = pd.DataFrame(
        {
            "patient": [f"p{i}" for i in range(7)],
            "age": random.normal(50, 10, 7).round(1),
            "height": random.normal(170, 10, 7).round(1),
        }
    )
    return whole.assign(**changes)


def visits(**changes):
    """Another's: some of the same patients and some others, with a column that the first lacks."""
    random = np.random.default_rng(6)
    whole = pd.DataFrame(
        {
            "patient": [f"p{i}" for i in range(4, 15)],
            "age": random.integers(20, 80, 11),
            "ward": list("abcabcabcab"),
            "visits": random.poisson(3, 11),
        }
    )
    return whole.assign(**changes)


def said(model, given):
    return [f"{finding.level} {finding}" for finding in check(model, given)]


def refusal(give, *args):
    with pytest.raises(ModelError) as error:
        give(*args)
    return list(map(str, error.value.findings))


def of_polars():
    pl = pytest.importorskip("polars", reason="polars is not installed")
    return pl.DataFrame(
        {
            "whole": [3, 1, 2],
            "gaps": [3, None, 2],
            "real": [0.5, float("nan"), None],
            "exact": [Decimal("1.5"), None, Decimal(2)],
            "truth": [True, False, True],
            "doubt": [True, None, False],
            "word": ["x", None, "y"],
            "grade": pl.Series(["low", None, "high"], dtype=pl.Enum(["low", "mid", "high"])),
            "kind": pl.Series(["q", None, "p"], dtype=pl.Categorical),
            "day": [datetime.date(2011, 2, 3), None, datetime.date(2011, 2, 5)],
        }
    )


PANDAS = pd.DataFrame(
    {
        "whole": [3, 1, 2],
        "gaps": [3, np.nan, 2],
        "real": [0.5, np.nan, np.nan],
        "exact": [1.5, np.nan, 2.0],
        "truth": [True, False, True],
        "doubt": [True, None, False],
        "word": ["x", None, "y"],
        "grade": pd.Categorical(["low", None, "high"], ["low", "mid", "high"], ordered=True),
        "kind": ["q", None, "p"],
        "day": pd.to_datetime(["2011-02-03", None, "2011-02-05"]).astype("datetime64[s]"),
    }
)


@pytest.mark.parametrize("lazy", [False, True])
def test_polars_gives_what_pandas_holds(lazy):
    given = of_polars()
    pd.testing.assert_frame_equal(tables.frame(given.lazy() if lazy else given), PANDAS, check_dtype=False)
    kinds = {name: dtype.kind for name, dtype in tables.frame(given).dtypes.items()}
    assert kinds == {name: dtype.kind for name, dtype in PANDAS.dtypes.items()}


def test_no_order_of_categories_comes_from_what_polars_saw_before():
    pl = pytest.importorskip("polars", reason="polars is not installed")
    pl.Series(["other", "b"], dtype=pl.Categorical)
    given = tables.frame(pl.DataFrame({"y": pl.Series(["b", "a"], dtype=pl.Categorical)}))
    assert given["y"].tolist() == ["b", "a"] and not hasattr(given["y"], "cat")


def test_an_empty_frame_of_polars_keeps_its_columns():
    given = tables.frame(of_polars().clear())
    assert given.columns.tolist() == PANDAS.columns.tolist() and len(given) == 0


def test_pandas_nullable_numbers_are_those_of_numpy():
    given = pd.DataFrame({"a": pd.array([1, None], "Int64"), "b": pd.array([1, 2], "Int64"), "c": [0.5, 1]})
    made = tables.frame(given)
    assert [str(dtype) for dtype in made.dtypes] == ["float64", "int64", "float64"]
    assert made["a"].tolist()[0] == 1 and np.isnan(made["a"][1])
    assert str(given["a"].dtype) == "Int64"  # what was given stays as it was
    assert tables.frame(made) is made


def test_a_model_checks_a_frame_of_polars():
    pl = pytest.importorskip("polars", reason="polars is not installed")
    given = visits()
    model = Model(tasks={"visits": "poisson"}, formula="age + ward", data={"units": "patient"})
    assert check(model, pl.DataFrame(given.to_dict("list"))) == check(model, given) == []
    wrong = given.assign(visits=[-1, *given["visits"][1:]]).to_dict("list")
    assert said(model, pl.DataFrame(wrong)) == [
        "error tasks.visits: has -1 (patient p4). The likelihood poisson takes whole numbers from 0."
    ]
    assert said(model, pl.DataFrame(wrong | {"age": [datetime.date(2011, 2, 3)] * 11}))[-1] == (
        "error table.age: holds dates or times. Make it a number, such as the year."
    )


def test_the_tables_of_tasks_are_stacked():
    whole = tables.stack({"height": heights(), "visits": visits()})
    owner = tables.owner(whole)
    assert owner.tolist() == ["height"] * 7 + ["visits"] * 11
    assert whole.index[[0, 6, 7]].tolist() == ["1 of height", "7 of height", "1 of visits"]
    for task, own in (("height", heights()), ("visits", visits())):
        rows = tables.of_task(whole, task)
        assert rows.tolist() == (owner == task).tolist()
        for name in own:
            assert whole.loc[rows, name].tolist() == own[name].tolist()
        assert whole.loc[rows, list(set(whole) - set(own) - {tables.OWNER})].isna().all(axis=None)
    assert tables.owner(heights()) is None
    assert tables.of_task(heights(), "height").all()
    assert tables.of_task(visits(), "a", "ward").tolist() == [c == "a" for c in "abcabcabcab"]


def test_a_mapping_of_frames_is_a_table_wherever_one_is_taken():
    pl = pytest.importorskip("polars", reason="polars is not installed")
    given = {"height": heights(), "visits": pl.DataFrame(visits().to_dict("list"))}
    pd.testing.assert_frame_equal(
        tables.frame(given), tables.stack({"height": heights(), "visits": visits()})
    )


def test_categories_of_several_tables_keep_their_order():
    one = heights(grade=pd.Categorical(list("bacabca"), list("cba"), ordered=True))
    other = visits(grade=pd.Categorical(list("dbdbdbdbdbd"), list("bd"), ordered=True))
    whole = tables.stack({"height": one, "visits": other})
    assert whole["grade"].cat.categories.tolist() == ["c", "b", "a", "d"] and whole["grade"].cat.ordered
    assert whole["grade"].tolist() == [*"bacabca", *"dbdbdbdbdbd"]


@pytest.mark.parametrize(
    ("given", "findings"),
    [
        ({}, ["table: is an empty mapping. Give a table for each task."]),
        (
            {"height": heights().iloc[:0], "visits": [2, 3]},
            [
                "data.table.height: has no rows. Give at least two.",
                "data.table.visits: is a list. Give a data frame, of pandas or polars, or one for each task.",
            ],
        ),
        (
            {"height": pd.concat([heights(), heights()[["age"]]], axis=1), "visits": visits()},
            ['data.table.height: has 2 columns called "age". Rename all but one.'],
        ),
        (
            {"height": heights(**{"(task)": 1}), "visits": visits()},
            ['data.table.height: has a column "(task)". Rename it: that name is taken.'],
        ),
        (
            {"height": heights(age="old", patient=True), "visits": visits()},
            [
                "table.patient: holds truth values in the table of height and text in the table of visits. "
                "Make them alike, or rename one.",
                "table.age: holds text in the table of height and numbers in the table of visits. "
                "Make them alike, or rename one.",
            ],
        ),
        (
            {"height": heights(age=pd.date_range("2011-02-03", periods=7)), "visits": visits()},
            [
                "table.age: holds dates in the table of height and numbers in the table of visits. "
                "Make them alike, or rename one."
            ],
        ),
    ],
    ids=["none", "empty and no table", "columns of one name", "reserved name", "unlike", "dates"],
)
def test_faults_of_a_mapping(given, findings):
    assert refusal(tables.stack, given) == findings
    assert said(Model(**APART), given) == [f"error {finding}" for finding in findings]


def test_a_column_that_is_empty_in_one_table_is_unlike_none():
    whole = tables.stack({"height": heights(ward=np.nan), "visits": visits()})
    assert whole["ward"].tolist()[7:] == list("abcabcabcab") and whole["ward"][:7].isna().all()


def test_sound_tables_of_tasks_have_no_finding():
    model = Model(**APART, data={"units": "patient"})
    given = {"height": heights(), "visits": visits()}
    assert check(model, given) == check(model, tables.stack(given)) == []


APART_FAULTS = {
    "task without a table": (
        {},
        {"height": heights()},
        [
            "error tasks.visits: has no table. Give it one of its own in data.table.",
            'error tasks.visits: no column called "visits". Known: age, height, patient.',
        ],
    ),
    "table without a task": (
        {},
        {"height": heights(), "visits": visits(), "visit": visits()},
        ['error data.table: no task called "visit". Did you mean "visits"?'],
    ),
    "columns that only another table has": (
        {"formula": "age + ward"},
        {"height": heights(), "visits": visits()},
        [
            'error formula: no column in the table of height called "ward". Known: age, height, patient.',
        ],
    ),
    "a wrong response": (
        {},
        {"height": heights(), "visits": visits(visits=[1.5, *range(10)])},
        ["error tasks.visits: has 1.5 (row 1 of visits). The likelihood poisson takes whole numbers from 0."],
    ),
    "an empty predictor": (
        {},
        {"height": heights(age=[31, None, *range(40, 45)]), "visits": visits()},
        [
            "warning table.age: is empty in 1 row (row 2 of height): 1 cell of height is left out. "
            'Write missing = "impute", or fill it in.'
        ],
    ),
    "an empty response": (
        {},
        {"height": heights(height=[171, None, *range(160, 165)]), "visits": visits()},
        ["note tasks.height: 1 of 7 cells are empty."],
    ),
    "a unit twice in one table": (
        {"data": {"units": "patient"}},
        {"height": heights(patient=list("aabcdef")), "visits": visits()},
        [
            'error data.units: "patient" has a (height) in more than one row of the same task. Give each row '
            "a unit of its own."
        ],
    ),
    "tasks as rows": (
        {"tasks": {"by": "ward", "outcome": "visits", "kind": "poisson"}},
        {"height": heights(), "visits": visits()},
        [
            "error table: is one for each task, and the model has its tasks as rows of one. Stack them, or "
            "name the tasks."
        ],
    ),
    "related residuals": (
        {"tasks": {"height": "gaussian", "visits": "gaussian"}, "residual": "factor"},
        {"height": heights(), "visits": visits()},
        [
            "error residual: is factor, and with tables of their own no two tasks have a cell in one row. "
            "Make the tasks columns of one table."
        ],
    ),
}


@pytest.mark.parametrize(("keys", "given", "findings"), APART_FAULTS.values(), ids=APART_FAULTS)
def test_faults_of_the_tables_of_tasks(keys, given, findings):
    assert said(Model(**(APART | keys)), given) == findings


def test_files_of_tasks_are_read_and_faulty_ones_named(tmp_path):
    heights().to_csv(tmp_path / "heights.csv", index=False)
    visits().to_csv(tmp_path / "visits.csv", index=False)
    (tmp_path / "short.csv").write_text("a,b\n1\n")
    files = {"height": "heights.csv", "visits": "visits.csv"}
    whole = tables.stack({"height": heights(), "visits": visits()})
    pd.testing.assert_frame_equal(table_files.read(files, tmp_path), whole)
    assert refusal(table_files.read, {"height": "short.csv", "visits": "none.csv"}, tmp_path) == [
        "data.table.height: table short.csv: can't be read: line 2 has 1 cells for 2 columns. Mend the file.",
        "data.table.visits: table none.csv: can't be read: No such file or directory. Look at the path.",
    ]


def test_a_model_says_which_task_has_no_file_and_which_file_no_task():
    model = Model(**APART, data={"table": {"height": "heights.csv", "visit": "visits.csv"}})
    assert said(model, None) == [
        'error data.table: no task called "visit". Did you mean "visits"?',
        "error tasks.visits: has no table. Give it one of its own in data.table.",
    ]


def test_complete_rows_have_all_of_the_named_columns():
    given = pd.DataFrame({"a": [1, np.nan, 3], "b": ["x", "y", None], "c": [np.nan] * 3})
    assert tables.complete(given, ["a", "b"]).tolist() == [True, False, False]
    assert tables.complete(given, ["a", "a"]).tolist() == [True, False, True]
    assert tables.complete(given, []).tolist() == [True] * 3
