"""Refusals of tables: what stands in a table, and the exact finding."""

import numpy as np
import pandas as pd
import pytest
from refusals import BY_GROUP, KEYS, ROWS, at, said, table

from bayesmtl.checks import check
from bayesmtl.spec import Model

TABLE_FAULTS = {
    "missing columns": (
        {
            "tasks": {"scor": "gaussian", "vote": "bernoulli"},
            "formula": "agee + income",
            "data": {"units": "respondent"},
        },
        table(),
        [
            'error tasks.scor: no column called "scor". Did you mean "score"?',
            'error data.units: no column called "respondent". '
            "Known: age, grade, group, income, score, unit, vote.",
            'error formula: no column called "agee". Did you mean "age"?',
        ],
    ),
    "missing columns of tasks as rows": (
        {"tasks": {"by": "grup", "outcome": "scor", "kind": "gaussian"}},
        table(),
        [
            'error tasks.by: no column called "grup". Did you mean "group"?',
            'error tasks.outcome: no column called "scor". Did you mean "score"?',
        ],
    ),
    "node of the graph that is no column": (
        {"dag": "aeg, age, income -> score\nage, income -> vote"},
        table(),
        ['error dag: no column called "aeg". Did you mean "age"? If no table has it, write "latent: aeg".'],
    ),
    "two columns of one name": (
        {},
        pd.concat([table(), table()[["age"]]], axis=1),
        ['error table: has 2 columns called "age". Rename all but one.'],
    ),
    "no rows": ({}, table().iloc[:0], ["error table: has no rows. Give at least two."]),
    "one row": (
        {},
        table().iloc[:1],
        [
            "error tasks.score: has one measured cell. Give at least two.",
            "error tasks.vote: has one measured cell. Give at least two.",
        ],
    ),
    "no table": (
        {},
        [2, 3, 5],
        ["error table: is a list. Give a data frame, of pandas or polars, or one for each task."],
    ),
    "words for numbers": (
        {},
        table(score=at(3, "high")),
        [
            "error tasks.score: has 'high' (unit u3), which is no finite number. Leave a cell "
            "empty when it was not measured."
        ],
    ),
    "infinite response, after an empty one": (
        {},
        table(score=lambda c: at(2, np.nan)(at(4, -np.inf)(c))),
        [
            "error tasks.score: has -inf (unit u4), which is no finite number. Leave a cell empty "
            "when it was not measured.",
            "note tasks.score: 1 of 13 cells are empty.",
        ],
    ),
    "response outside the support, without units": (
        {"data": {}},
        table(vote=at(5, 2)),
        ["error tasks.vote: has 2 (row 5). The likelihood bernoulli takes 0 and 1."],
    ),
    "counts that are none": (
        {"tasks": {"grade": "poisson", "vote": "bernoulli"}},
        table(grade=lambda c: at(11, -1)(at(7, 1.5)(c))),
        ["error tasks.grade: has 1.5, -1 (unit u7, u11). The likelihood poisson takes whole numbers from 0."],
    ),
    "grade beyond the levels": (
        {"tasks": {"score": "gaussian", "grade": {"kind": "ordinal", "levels": 2}}},
        table(),
        [
            "error tasks.grade: has 3 (unit u3, u6, u7, u12) outside its 2 levels. The levels are "
            "1, 2; mend the table or set levels."
        ],
    ),
    "grades in words": (
        {"tasks": {"score": "gaussian", "grade": "ordinal"}},
        table(grade=lambda c: c.map({1: "low", 2: "mid", 3: "high"})),
        ['error tasks.grade: has grades in words. Give their order: levels = ["low", "high"].'],
    ),
    "no measured cell": (
        {},
        table(vote=np.nan),
        ["error tasks.vote: has no measured cell. Drop the task, or look at its column."],
    ),
    "equal responses": (
        {"tasks": {"score": "gaussian", "vote": "bernoulli", "grade": "ordinal"}},
        table(score=2.5, vote=1, grade=3),
        [
            f"error tasks.{name}: has the same response, {value}, in all its 13 cells. Drop the "
            "task: it has nothing to explain."
            for name, value in (("score", 2.5), ("vote", 1), ("grade", 3))
        ],
    ),
    "one cell of a task as rows": (
        BY_GROUP,
        table(group=list("aaaabbbbbbbbc")),
        ["error tasks.c: has one measured cell. Give at least two."],
    ),
    "slash in the name of a task as rows": (
        BY_GROUP,
        table(group=["a/b"] * 6 + ["c"] * 7),
        ['error tasks.by: "group" has a/b, with a "/" in the name. Rename them.'],
    ),
    "empty and infinite predictors": (
        {},
        table(age=at(2, np.nan), income=at(3, np.inf)),
        [
            "error table.income: is infinite: unit u3. Mend it, or drop these rows.",
            "warning table.age: is empty in 1 row (unit u2): 2 cells of score, vote are left out. "
            'Write missing = "impute", or fill it in.',
        ],
    ),
    "predictor that is empty for one task": (
        {
            "tasks": {"score": {"kind": "gaussian", "formula": "age"}, "vote": "bernoulli"},
            "formula": "income",
        },
        table(age=lambda c: at(2, np.nan)(at(7, np.nan)(c)), score=at(7, np.nan)),
        [
            "warning table.age: is empty in 1 row (unit u2): 1 cell of score is left out. "
            'Write missing = "impute", or fill it in.',
            "note tasks.score: 1 of 13 cells are empty.",
        ],
    ),
    "predictor that is empty for all of a task": (
        {"data": {}, "formula": "income + age"},
        table(
            age=lambda c: c.where(np.arange(ROWS) < 7),
            vote=lambda c: c.where(np.arange(ROWS) >= 7),
        ),
        [
            "error tasks.vote: has no cell with all its predictors. Fill them in, or drop the task.",
            "warning table.age: is empty in 6 rows (row 8, 9, 10, 11, 12 and 1 more): 12 cells of score, "
            "vote are left out. "
            'Write missing = "impute", or fill it in.',
            "note tasks.vote: 7 of 13 cells are empty.",
        ],
    ),
    "equal responses where the predictors are known": (
        {"tasks": {"vote": "bernoulli"}},
        table(vote=[0] * 11 + [1, 1], age=lambda c: c.where(np.arange(ROWS) < 11)),
        [
            "error tasks.vote: has the same response, 0, in all its 11 cells. Drop the task: it has nothing "
            "to explain.",
            "warning table.age: is empty in 2 rows (unit u12, u13): 2 cells of vote are left out. "
            'Write missing = "impute", or fill it in.',
        ],
    ),
    "empty predictor where nothing was measured": (
        {},
        table(age=at(2, np.nan), score=at(2, np.nan), vote=at(2, np.nan)),
        [f"note tasks.{name}: 1 of 13 cells are empty." for name in ("score", "vote")],
    ),
    "empty category": (
        {"formula": "age + group"},
        table(group=["b", None, *"acabcabcaba"]),
        [
            "warning table.group: is empty in 1 row (unit u2): 2 cells of score, vote are left out. "
            'Write missing = "impute", or fill it in.',
            'warning tasks.vote: has responses that "group[T.b]", "group[T.c]" tell apart. No weight is too '
            "large for the table: only the prior and the other tasks can hold it.",
        ],
    ),
    "logarithm of 0": (
        {"formula": "log(age) + income"},
        table(age=at(6, 0)),
        ['error formula: "log(age)" is no finite number: unit u6. Mend that term, or drop these rows.'],
    ),
    "a word among numbers": (
        {},
        table(age=at(4, "1O")),
        [
            "error table.age: holds text among numbers: '1O' (unit u4). Mend it, or write C(age) "
            "if these are categories."
        ],
    ),
    "numbers as text": (
        {},
        table(age=lambda c: c.astype(str)),
        ["error table.age: holds numbers as text. Mend it, or write C(age) if these are categories."],
    ),
    "dates": (
        {},
        table(age=pd.date_range("2011-02-03", periods=ROWS)),
        ["error table.age: holds dates or times. Make it a number, such as the year."],
    ),
    "neither numbers nor categories": (
        {},
        table(age=pd.cut(table().age, 3), score=table().score * 1j),
        [
            "error tasks.score: holds complex numbers. Give two columns of numbers.",
            "error table.age: holds Interval values. Make them text or numbers.",
        ],
    ),
    "one category": (
        {"formula": "age + group"},
        table(group="a"),
        ["warning table.group: is 'a' in every row. It makes no predictor; drop it."],
    ),
    "rows without a unit": (
        {},
        table(unit=at(3, "")).replace({"unit": {"": None}}),
        ['error data.units: "unit" is empty in row 3. Name every row.'],
    ),
    "rows without a task": (
        BY_GROUP,
        table(group=[None, *"abcabcabcabc"]),
        ['note tasks.by: "group" is empty in 1 of 13 rows, which belong to no task.'],
    ),
    "no row with a task": (
        BY_GROUP,
        table(group=None),
        ['error tasks.by: "group" is empty in 13 of 13 rows, which belong to no task.'],
    ),
    "levels that are no levels": (
        {"tasks": {"score": "gaussian", "grade": {"kind": "ordinal", "levels": [1, 2, 3, 3]}}},
        table(),
        ["error tasks.grade: has the levels 1, 2, 3, 3, some of them twice. Name each once."],
    ),
    "a term that can't be computed": (
        {"formula": "age + {1 / 0}"},
        table(),
        [
            'error formula: can\'t encode "{1 / 0}": Unable to evaluate factor `1 / 0`. '
            "[ZeroDivisionError: division by zero] Mend that term."
        ],
    ),
    "formula that is none": (
        {"formula": "age + (income"},
        table(),
        [
            'error formula: can\'t read "age + (income": Could not find matching context marker. '
            'Write it as "x + z + x:z".'
        ],
    ),
    "misspelt function": (
        {"formula": "lgo(age) + income"},
        table(),
        ['error formula: no function called "lgo". Did you mean "log"?'],
    ),
    "constant predictor": (
        {},
        table(age=41.0),
        [
            'warning formula: "age" is constant over the cells. Its weight comes from the prior alone; '
            "drop it."
        ],
    ),
    "predictor that is constant for one task": (
        {},
        table(
            age=lambda c: c.where(np.arange(ROWS) < 7, 31.0),
            vote=lambda c: c.where(np.arange(ROWS) >= 7),
        ),
        [
            'warning tasks.vote: "age" is constant over the cells. Its weight comes from the prior and the '
            "other tasks alone.",
            "note tasks.vote: 7 of 13 cells are empty.",
        ],
    ),
    "predictor that is constant for one task, which learns from no other": (
        {"relation": "independent"},
        table(
            age=lambda c: c.where(np.arange(ROWS) < 7, 31.0),
            vote=lambda c: c.where(np.arange(ROWS) >= 7),
        ),
        [
            'warning tasks.vote: "age" is constant over the cells. Its weight comes from the prior alone.',
            "note tasks.vote: 7 of 13 cells are empty.",
        ],
    ),
    "predictors that are constant where one task has a formula of its own": (
        {"tasks": {"score": {"kind": "gaussian", "formula": "a + b + age"}, "vote": "bernoulli"}},
        table().assign(a=1.0, b=2.0),
        [
            'warning tasks.score: "a", "b" are constant over the cells. Their weights come from the prior '
            "alone; drop them."
        ],
    ),
    "collinear predictors": (
        {"formula": "age + grade + income + mix"},
        table().assign(mix=2 * table().age + 3 * table().income),
        [
            'warning formula: "mix" is a linear combination of "age", "income". Drop one of them: '
            "their weights can't be told apart."
        ],
    ),
    "collinear predictors of one task": (
        {"formula": "age + mix"},
        table().assign(
            mix=lambda t: t.age.where(t.index < 7, t.income), vote=lambda t: t.vote.where(t.index < 7)
        ),
        [
            'warning tasks.vote: "mix" is a linear combination of "age". Only the prior and the other tasks '
            "can tell their weights apart.",
            "note tasks.vote: 6 of 13 cells are empty.",
        ],
    ),
    "more predictors than cells": (
        {"formula": "income + bs(age, 11)"},
        table().iloc[:11],
        [
            "warning formula: has 12 predictors for 11 cells. Only the prior and the other tasks can hold "
            "its weights."
        ],
    ),
    "separated by one predictor": (
        {},
        table(vote=(table().age > 40).astype(int)),
        [
            'warning tasks.vote: has responses that "age" tells apart. No weight is too large for '
            "the table: only the prior and the other tasks can hold it."
        ],
    ),
    "separated by two predictors": (
        {},
        table(vote=((table().age - 45) / 15 + table().income > 0).astype(int)),
        [
            'warning tasks.vote: has responses that "age", "income" tell apart. No weight is too '
            "large for the table: only the prior and the other tasks can hold it."
        ],
    ),
    "separated grades": (
        {"tasks": {"score": "gaussian", "grade": "ordinal"}},
        table(grade=1 + (table().income > -0.3) + (table().income > 0.3)),
        [
            'warning tasks.grade: has responses that "income" tells apart. No weight is too large '
            "for the table: only the prior and the other tasks can hold it."
        ],
    ),
    "units that stand twice": (
        {},
        table(unit=["a", "a", *"bcdefghijkb"]),
        ['error data.units: "unit" has a, b in more than one row. Give each row a unit of its own.'],
    ),
    "units that stand twice for one task": (
        BY_GROUP,
        table(unit=[1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5]),
        [
            'error data.units: "unit" has 1 (a) in more than one row of the same group. Give each '
            "row a unit of its own."
        ],
    ),
    "faults that have nothing to do with each other": (
        {"relation": "partal", "tasks": {"score": "gausian", "vote": "bernoulli"}},
        table(vote=at(5, 2), age=at(2, np.nan), unit=["a", "a", *"bcdefghijkl"]),
        [
            'error relation: no relation called "partal". Did you mean "partial"?',
            'error tasks.score: no likelihood called "gausian". Did you mean "gaussian"?',
            'error data.units: "unit" has a in more than one row. Give each row a unit of its own.',
            "error tasks.vote: has 2 (unit d). The likelihood bernoulli takes 0 and 1.",
            "warning table.age: is empty in 1 row (unit a): 2 cells of score, vote are left out. "
            'Write missing = "impute", or fill it in.',
        ],
    ),
}


@pytest.mark.parametrize(("keys", "given", "findings"), TABLE_FAULTS.values(), ids=TABLE_FAULTS)
def test_faults_of_a_table(keys, given, findings):
    assert said(Model(**(KEYS | keys)), given) == findings


def test_a_table_with_an_index_of_its_own_is_named_by_its_rows():
    given = table(vote=at(5, 2)).set_index(pd.Index(range(100, 100 + ROWS)))
    assert said(Model(**(KEYS | {"data": {}})), given) == [
        "error tasks.vote: has 2 (row 5). The likelihood bernoulli takes 0 and 1."
    ]


def test_yes_and_no_may_be_true_and_false():
    given = table(vote=lambda c: c.astype(bool))
    assert check(Model(**KEYS), given) == []


MANY = {"tasks": {"by": "school", "outcome": "score", "kind": "gaussian"}, "formula": "x + z"}


def schools(random, cells=7, many=11):
    """Schools with two predictors and a score, without fault."""
    rows = cells * many
    return pd.DataFrame(
        {"school": np.repeat([f"s{i}" for i in range(1, many + 1)], cells)}
        | {name: random.normal(size=rows).round(3) for name in ("x", "z", "score")}
    )


def first(given, many):
    """The rows of the first schools."""
    return given["school"].isin([f"s{i}" for i in range(1, many + 1)])


WEAK = {
    "constant": (
        lambda t: t.assign(x=t.x.mask(first(t, 5), 2.0)),
        'formula: columns are constant over the cells of 5 of 11 tasks (s1, s2, s3 and 2 more): "x".',
        "There their weights come from {} alone.",
    ),
    "several constant": (
        lambda t: t.assign(x=t.x.mask(first(t, 5), 2.0), z=t.z.mask(first(t, 3), 1.0)),
        "formula: columns are constant over the cells of 5 of 11 tasks (s1, s2, s3 and 2 more): "
        'most often "x" (in 5), "z" (in 3).',
        "There their weights come from {} alone.",
    ),
    "linear combinations": (
        lambda t: t.assign(x=t.x.mask(first(t, 4), 3 * t.z)),
        "formula: columns are linear combinations of others over the cells of 4 of 11 tasks (s1, s2, s3 and "
        '1 more): "x" with "z".',
        "There only {} can tell their weights apart.",
    ),
    "few cells": (
        lambda t: t[~first(t, 9) | (t.groupby("school").cumcount() < 2)],
        "formula: 9 of 11 tasks (s1, s2, s3 and 6 more) have no more cells than predictors.",
        "There only {} can hold their weights.",
    ),
    "separated": (
        lambda t: t.assign(
            score=((t.score > 0) ^ (t.groupby("school").cumcount() == 0)).mask(first(t, 6), t.x > 0)
        ),
        'formula: predictors, "x", tell the responses of 6 of 11 tasks (s1, s2, s3 and 3 more) apart.',
        "There no weight is too large for the table: only {} can hold it.",
    ),
}


@pytest.mark.parametrize("relation", ["partial", "independent"])
@pytest.mark.parametrize(("change", "problem", "remedy"), WEAK.values(), ids=WEAK)
def test_what_is_weak_in_many_tasks_is_said_once(change, problem, remedy, relation):
    given = change(schools(np.random.default_rng(5), cells=29))
    kind = "bernoulli" if given["score"].dtype == bool else "gaussian"
    model = Model(**(MANY | {"tasks": MANY["tasks"] | {"kind": kind}, "relation": relation}))
    by = "the prior and the other tasks" if relation == "partial" else "the prior"
    assert said(model, given) == [f"warning {problem} {remedy.format(by)}"]


def test_what_is_weak_in_all_tasks_is_said_of_the_formula_and_what_is_in_few_of_these():
    given = schools(np.random.default_rng(6))
    given["x"] = 2.0
    given["z"] = given["z"].mask(first(given, 3), 1.0)
    few = [
        f'warning tasks.s{i}: "z" is constant over the cells. Its weight comes from the prior and the other '
        "tasks alone."
        for i in (1, 2, 3)
    ]
    assert said(Model(**MANY), given) == [
        'warning formula: "x" is constant over the cells. Its weight comes from the prior alone; drop it.',
        *few,
    ]


def test_a_kind_that_all_tasks_have_of_different_columns_is_said_once():
    given = schools(np.random.default_rng(7), many=6)
    given["x"], given["z"] = given["x"].mask(first(given, 3), 1.0), given["z"].where(first(given, 3), 1.0)
    assert said(Model(**MANY), given) == [
        'warning formula: columns are constant over the cells of all 6 tasks: most often "x" (in 3), "z" '
        "(in 3). There their weights come from the prior and the other tasks alone."
    ]


def test_the_diagnostics_know_what_is_told_apart():
    from bayesmtl.failures.tasks import APART

    assert all(problem.endswith(APART) == (name == "separated") for name, (_, problem, _) in WEAK.items())


def columns(random, many=11):
    """A predictor, and as many outcomes."""
    return pd.DataFrame({name: random.normal(size=ROWS) for name in ["x", *(f"y{i}" for i in range(many))]})


def test_other_faults_of_many_tasks_are_said_once_too():
    given = columns(np.random.default_rng(8))
    tasks = {f"y{i}": "gaussian" for i in range(11)}
    for i in range(9):
        given.loc[: i % 2, f"y{i}"] = np.nan
    given.loc[ROWS - 3, [f"y{i}" for i in range(5, 10)]] = np.inf
    given["y10"] = 2.5
    assert said(Model(tasks, "x"), given) == [
        "error tasks: 5 of 11 tasks (y5, y6, y7, y8, y9), each: has inf (row 11), which is no finite number. "
        "Leave a cell empty when it was not measured.",
        "error tasks.y10: has the same response, 2.5, in all its 13 cells. Drop the task: it has nothing to "
        "explain.",
        "note tasks: 9 of 11 tasks (y0, y1, y2 and 6 more), such as y0: 1 of 13 cells are empty.",
    ]
    assert said(Model(tasks, "x"), columns(np.random.default_rng(8))) == []


def test_tables_and_columns_that_many_tasks_lack_are_said_once():
    tasks = {f"y{i}": "gaussian" for i in range(11)}
    given = columns(np.random.default_rng(9), many=5).rename(
        columns=lambda name: name.replace("y", "outcome ")
    )
    assert said(Model(tasks, "x"), given) == [
        'error tasks: all 11 tasks, such as y0: no column called "y0". Known: outcome 0, outcome 1, '
        "outcome 2, outcome 3, outcome 4, x."
    ]
    own = {"outcome 0": given[["x", "outcome 0"]]}
    assert said(Model(tasks, "x"), own)[1] == (
        "error tasks: all 11 tasks, each: has no table. Give it one of its own in data.table."
    )
