"""A posterior's design on a new table: all that is wrong with it at once, and what its rows are called."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesmtl import tables
from bayesmtl.chains import Run
from bayesmtl.checks import check
from bayesmtl.encoded import encode
from bayesmtl.errors import ModelError
from bayesmtl.forecast.renewed import renew
from bayesmtl.labelled import constants
from bayesmtl.spec import Model
from bayesmtl.trees import stamp

ROWS = 19
TASKS = {
    "falls": {"kind": "poisson", "exposure": "nights"},
    "stay": {"kind": "gaussian", "se": "error"},
    "cured": {"kind": "binomial", "trials": "beds"},
    "pain": {"kind": "censored", "by": "limit"},
}
NAMED = ("nights", "error", "beds", "limit")


def table(**changes):
    draw = np.random.default_rng(3)
    made = pd.DataFrame(
        {
            "age": draw.normal(60, 9, ROWS),
            "bmi": draw.normal(26, 4, ROWS),
            "sex": draw.choice(["f", "m"], ROWS),
            "ward": draw.choice(["a", "b", "c"], ROWS),
            "falls": draw.poisson(3, ROWS),
            "stay": draw.normal(9, 2, ROWS),
            "cured": draw.integers(0, 5, ROWS),
            "pain": draw.normal(size=ROWS),
            "nights": draw.uniform(1, 9, ROWS),
            "error": draw.uniform(0.1, 1, ROWS),
            "beds": draw.integers(5, 9, ROWS),
            "limit": draw.choice([-1, 0, 1], ROWS),
        }
    )
    return made.assign(**changes)


def fitted(model, given):
    """What ``renew`` reads of a posterior, which takes no draws."""
    design = encode(model, tables.frame(given))
    losses = {family.name: "" for family in design.families}
    tree = xr.DataTree.from_dict({"constant_data": constants(design, losses)})
    return stamp(tree, design, Run({}, {}, {}, {}, "nuts"), 0, [])


def said(post, new):
    """What is wrong with a new table, a line for each finding."""
    with pytest.raises(ModelError) as caught:
        renew(post, tables.frame(new))
    return [str(finding) for finding in caught.value.findings]


@pytest.fixture(scope="module")
def post():
    return fitted(Model(tasks=TASKS, formula="age"), table())


@pytest.mark.parametrize(
    "name, values",
    [
        ("nights", [2.0, -1.0, 0.0]),
        ("nights", [2.0, np.inf, 1.0]),
        ("nights", ["two", "one", "two"]),
        ("error", [0.0, -0.5, 1.0]),
        ("beds", [7.0, 2.5, -1.0]),
        ("beds", [True, False, True]),
        ("limit", ["0", "1", "-1"]),
    ],
)
def test_columns_that_likelihoods_name_are_checked_as_for_a_fit(post, name, values):
    wrong = table().head(3).assign(**{name: values})
    expected = [str(f) for f in check(Model(tasks=TASKS, formula="age"), wrong) if f.where == f"table.{name}"]
    assert expected and set(expected) <= set(said(post, wrong))


@pytest.mark.parametrize("name", NAMED)
def test_a_new_row_without_a_number_that_its_likelihood_needs_is_a_finding(post, name):
    wrong = table().head(3).assign(**{name: [1.0, np.nan, 1.0]})
    assert said(post, wrong) == [f"table.{name}: is no finite number (row 2). Fill it."]


def test_words_of_a_column_without_a_range_are_no_numbers(post):
    wrong = table().head(3).assign(limit=["above", "0", "below"])
    assert "table.limit: is no finite number (row 1, 3). Fill it." in said(post, wrong)


def test_columns_of_responses_and_weights_are_not_needed():
    model = Model(tasks={"falls": {"kind": "poisson", "weights": "nights"}}, formula="age")
    assert renew(fitted(model, table()), table()[["age"]].head(2)).cells == {"falls": 2}


def test_everything_is_said_at_once():
    model = Model(
        tasks={**TASKS, "stay": {"kind": "gaussian", "sigma": {"formula": "bmi"}}},
        formula="age + sex + log(bmi) + (1 + bmi | ward)",
    )
    new = table(age=[np.nan, *[1.0] * (ROWS - 1)], sex="x", nights=-1.0).drop(columns=["ward", "beds", "bmi"])
    found = said(fitted(model, table()), pd.concat([new, new[["error"]]], axis=1))
    known = "Known: age, cured, error, falls, limit, nights, pain, sex and 1 more."
    rows = "row 1, 2, 3, 4, 5 and 14 more"
    assert sorted(found) == [
        "table.age: is no finite number (row 1). Fill it.",
        f"table.nights: has -1 ({rows}), and exposure must be positive. Mend it, or drop these rows.",
        "table.sex: has categories that the fit never saw: x. Known: f, m.",
        'table: has 2 columns called "error". Rename all but one.',
        *(f'table: no column called "{name}". {known}' for name in ("beds", "bmi", "ward")),
    ]


def test_an_empty_table_lacks_columns_too(post):
    found = said(post, table()[["age"]].head(0))
    assert found[0] == "table: has no rows. Give at least two."
    assert {text.split('"')[1] for text in found[1:]} == set(NAMED)


def test_rows_of_unknown_tasks_are_said_beside_the_rest():
    by = {"tasks": {"by": "ward", "outcome": "stay", "kind": "gaussian"}, "formula": "age"}
    whole = table(patient=[f"p{i // 3}" for i in range(ROWS)])
    post = fitted(Model(**by, data={"units": "patient"}), whole)
    new = whole.head(4).assign(ward=["a", None, "z", "b"], age=[np.nan, 1.0, 1.0, np.nan])
    assert said(post, new) == [
        "table.ward: is empty (patient p0). Fill it in, or drop these rows.",
        'table.ward: no task called "z". Known: a, b, c.',
        "table.age: is no finite number (patient p0, p1). Fill it.",
    ]
    known = "Known: beds, bmi, cured, error, falls, limit, nights, pain and 3 more."
    assert said(post, new.drop(columns=["ward", "age"])) == [
        f'table: no column called "ward". {known}',
        f'table: no column called "age". {known}',
    ]
    design = renew(post, whole.head(6))
    assert design.units.tolist() == ["p0", "p0", "p0", "p1", "p1", "p1"]


@pytest.mark.parametrize(
    "index, names, noun",
    [
        (pd.RangeIndex(100, 103), [1, 2, 3], "row 2"),
        (pd.Index(["x", "y", "z"], name="patient"), ["x", "y", "z"], "patient y"),
        (pd.Index([2001, 2002, 2003], name="year"), [2001, 2002, 2003], "year 2002"),
    ],
)
def test_rows_are_called_alike_by_a_fit_its_predictions_and_their_findings(post, index, names, noun):
    new = table().head(3).set_axis(index, axis=0)
    model = Model(tasks=TASKS, formula="age")
    assert encode(model, new).units.tolist() == renew(post, new).units.tolist() == names
    wrong = new.assign(age=[1.0, np.nan, 1.0], nights=[1.0, -1.0, 1.0])
    assert said(post, wrong) == [
        f"table.nights: has -1 ({noun}), and exposure must be positive. Mend it, or drop these rows.",
        f"table.age: is no finite number ({noun}). Fill it.",
    ]


def test_units_name_the_rows_where_the_table_has_them(post):
    model = Model(tasks=TASKS, formula="age", data={"units": "patient"})
    whole = table(patient=[f"p{i}" for i in range(ROWS)])
    units, new = fitted(model, whole), whole.head(3).assign(nights=[1.0, 0.0, 1.0])
    assert "(patient p1)" in said(units, new)[0]
    assert "(row 2)" in said(units, new.drop(columns="patient"))[0]
    assert renew(units, whole.tail(2)).units.tolist() == ["p17", "p18"]


def test_group_terms_are_needed_in_the_rows_of_their_own_tasks_only():
    model = Model(
        tasks={
            "stay": {"kind": "gaussian", "formula": "1 + (1 | ward)"},
            "mood": {"kind": "categorical", "formula": "1 + (1 + age | ward)"},
            "pain": {"kind": "gaussian", "formula": "1 + (1 | ward)"},
        }
    )
    whole = table(mood=["glad", "sad", "calm"] * 6 + ["sad"])
    own = {
        "stay": whole[["ward", "stay"]],
        "mood": whole[["ward", "age", "mood"]],
        "pain": whole[["ward", "pain"]],
    }
    new = {task: given.head(2) for task, given in own.items()}
    z = renew(fitted(model, own), tables.frame(new)).groups[0].z
    np.testing.assert_array_equal(z[:, 0], np.ones(6))
    np.testing.assert_array_equal(z[:, 1], [0.0, 0.0, *whole.age[:2], 0.0, 0.0])
