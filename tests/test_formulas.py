"""Formulae: the columns that they name and make, there and on another table."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesmtl import formulas
from bayesmtl.errors import ModelError
from bayesmtl.formulas import Encoding
from bayesmtl.group_terms import split
from bayesmtl.terms import mentioned

ROWS = 23
FORMULAE = [
    "x",
    "x + z + x:z",
    "x * g",
    "(x + z + k) ** 2",
    "poly(x, 3)",
    "bs(x, 5)",
    "cr(x, df=4)",
    "bs(x, df=4):g",
    "C(k)",
    "C(k) * x",
    "C(g, contr.sum)",
    "C(g, Treatment('b')) + log(abs(z))",
    "g:o + flag",
    "scale(x) + center(z) + I(x**2) + {x + z}",
    "poly(`a.b`, 2) + a_b + `1` + `hours worked`:x",
    "np.exp(x) + C",
    "größe + class + `größe`:`class`",
    "x + (1 + z |p| g) + (0 + `hours worked` || g:o)",
    "(1 | gr(g, cov = 'K.csv', dist = \"student\"))",
    "z + (1 | `a.b`/k)",
]


def table(rows=ROWS):
    random = np.random.default_rng(11)
    names = ["x", "z", "a.b", "a_b", "1", "hours worked", "C", "größe", "class", "w"]
    whole = pd.DataFrame({name: random.normal(size=rows) for name in names})
    whole["k"] = [2, 3, 5, 7][0:1] * (rows % 4) + [2, 3, 5, 7] * (rows // 4)
    whole["g"] = random.choice(["a", "b", "c"], rows)
    whole["o"] = pd.Categorical(random.choice(["low", "high"], rows), ["low", "high"])
    whole["flag"] = random.choice([True, False], rows)
    return whole


@pytest.mark.parametrize("formula", FORMULAE)
@given(st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=7))
@settings(deadline=None, derandomize=True, max_examples=7)
def test_other_rows_are_encoded_as_at_first(formula, rows):
    whole = table()
    encoding, made = formulas.learn(formula, whole, "formula")
    read = Encoding.read(str(encoding))
    assert read == encoding
    assert tuple(made.columns) == encoding.features
    again = formulas.apply(read, whole.iloc[rows], "formula")
    pd.testing.assert_frame_equal(again, made.iloc[rows], atol=1e-12)


@pytest.mark.parametrize("formula", FORMULAE)
def test_columns_are_those_that_the_encoding_needs(formula):
    whole = table()
    needed = formulas.columns(formula)
    assert needed == mentioned(formula)
    every = formulas.learn(formula, whole, "formula")[1]
    pd.testing.assert_frame_equal(every, formulas.learn(formula, whole[needed], "formula")[1])
    for name in needed:
        if name not in formulas.columns(split(formula)[0]):
            continue  # group terms are encoded elsewhere
        with pytest.raises(ModelError, match=f'no column called "{name}"'):
            formulas.learn(formula, whole.drop(columns=name), "formula")


def test_what_the_columns_hold():
    whole = table()
    made = formulas.learn("x + `hours worked`:x + log(abs(`a.b`)) + C(k) + g", whole, "f")[1]
    assert made.columns.tolist() == [
        *("x", "log(abs(`a.b`))", "C(k)[T.3]", "C(k)[T.5]", "C(k)[T.7]", "g[T.b]", "g[T.c]"),
        "hours worked:x",
    ]
    np.testing.assert_allclose(made["hours worked:x"], whole["hours worked"] * whole["x"])
    np.testing.assert_allclose(made["log(abs(`a.b`))"], np.log(np.abs(whole["a.b"])))
    np.testing.assert_array_equal(made["C(k)[T.5]"], whole["k"] == 5)
    np.testing.assert_array_equal(made["g[T.c]"], whole["g"] == "c")


def test_names_that_differ_by_a_dot_are_two_columns():
    whole = table()
    made = formulas.learn("poly(`a.b`, 1) + poly(a_b, 1)", whole, "f")[1]
    for name, column in zip(["a.b", "a_b"], made, strict=True):
        assert np.corrcoef(whole[name], made[column])[0, 1] == pytest.approx(1.0)


def test_an_empty_or_infinite_entry_spoils_its_own_entries_only():
    whole = table().astype({"k": float})
    holes = {"x": [2, np.inf], "z": [3, -np.inf], "g": [5, None], "k": [7, np.nan]}
    terms = {"x": "poly(x, 2)", "z": "bs(z, 4)", "g": "g", "k": "C(k)"}
    for name, (row, value) in holes.items():
        whole.loc[row, name] = value
    encoding, made = formulas.learn(" + ".join(terms.values()), whole, "f")
    for name, (row, _) in holes.items():
        alone = formulas.learn(terms[name], whole.drop(index=row), "f")[1]
        pd.testing.assert_frame_equal(made[alone.columns].drop(index=row), alone)
        assert made.loc[row, alone.columns].isna().all()
    pd.testing.assert_frame_equal(formulas.apply(encoding, whole, "f"), made)


REFUSED = [
    ("x +", 'can\'t read "x +": Operator `+` has insuffient arguments and/or is misplaced. '),
    ("y ~ x", '"y ~ x" has a "~". Write its right side only.'),
    ("x | z", 'can\'t read "x | z": a "|" stands outside brackets. Write it as "(1 + x | g)".'),
    ("x + (0 | g)", 'has a term of the group "g" without a column. Write "(1 | g)".'),
    ("x + (1 + lgo(x) | g)", 'no function called "lgo". Did you mean "log"?'),
    ("0 + x + (1 | g)", '"0 + x + (1 | g)" drops the offset, which every task has.'),
    (
        "x - 1",
        '"x - 1" drops the offset, which every task has. Take the "0" out; the prior of a '
        "task's offset can be set.",
    ),
    (".", 'can\'t read ".": The `.` operator requires additional context'),
    ("`x", 'can\'t read "`x": Formula ended before quote context was closed.'),
    ("lgo(x)", 'no function called "lgo". Did you mean "log"?'),
    ("x + lag(z)", 'no function called "lag". Did you mean "log"?'),
    ("{__import__('os').getcwd()}", 'no function called "__import__". Known: '),
    ("x + `Intercept`", 'names a column "Intercept", as the offset is called. Rename it.'),
]


@pytest.mark.parametrize(("formula", "said"), REFUSED)
def test_what_is_no_formula_is_refused(formula, said):
    with pytest.raises(ModelError) as error:
        formulas.columns(formula, "tasks.y.formula")
    assert str(error.value).startswith(f"tasks.y.formula: {said}")


def test_a_new_category_is_refused_not_taken_for_the_first():
    whole = table()
    encoding, _ = formulas.learn("x + g + C(k)", whole, "formula")
    other = whole.astype({"g": object, "k": int})
    other.loc[2, "g"] = "d"
    other.loc[3, "k"] = 11
    with pytest.raises(ModelError) as error:
        formulas.apply(encoding, other, "formula")
    assert str(error.value).splitlines() == [
        "table.g: has categories that the fit never saw: d. Known: a, b, c.",
        "table.k: has categories that the fit never saw: 11. Known: 2, 3, 5, 7.",
    ]


def test_a_table_that_lost_a_column_or_its_numbers_is_refused():
    whole = table()
    encoding, _ = formulas.learn("x + z", whole, "formula")
    other = whole.drop(columns="z").astype({"x": str})[["x", "w"]]
    with pytest.raises(ModelError) as error:
        formulas.apply(encoding, other, "formula")
    assert str(error.value).splitlines() == [
        'table: no column called "z". Known: w, x.',
        "table.x: holds text, and held numbers at the fit. Mend it.",
    ]


def test_a_spline_beyond_its_knots_is_refused():
    encoding, _ = formulas.learn("bs(x, 4)", table(), "formula")
    with pytest.raises(ModelError, match=r'formula: can\'t encode "bs\(x, 4\)"'):
        formulas.apply(encoding, table().assign(x=99.0), "formula")


def test_names_are_quoted_when_a_formula_needs_it():
    names = ["x", "größe", "a.b", "1", "hours worked", "class"]
    quoted = ["x", "größe", "`a.b`", "`1`", "`hours worked`", "`class`"]
    assert list(map(formulas.quoted, names)) == quoted
