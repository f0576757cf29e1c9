"""Refusals: what a user wrote, and the exact finding."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesmtl import tables
from bayesmtl.checks import check
from bayesmtl.separation import separators
from bayesmtl.spec import Model, load

ROWS = 13
KEYS = {
    "tasks": {"score": "gaussian", "vote": "bernoulli"},
    "formula": "age + income",
    "data": {"units": "unit"},
}
BY_GROUP = {"tasks": {"by": "group", "outcome": "score", "kind": "gaussian"}}
MODELS = sorted((Path(__file__).parent.parent / "models").glob("*.toml"))


def table(**changes):
    """A table without fault, with some columns exchanged."""
    random = np.random.default_rng(7)
    whole = pd.DataFrame(
        {
            "unit": [f"u{i}" for i in range(1, ROWS + 1)],
            "age": random.integers(20, 70, ROWS).astype(float),
            "income": random.normal(size=ROWS).round(2),
            "score": random.normal(size=ROWS).round(2),
            "vote": [0, 1, 0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1],
            "grade": [1, 2, 3, 1, 2, 3, 3, 2, 1, 2, 1, 3, 2],
            "group": list("abcabcabcabca"),
        }
    )
    for name, change in changes.items():
        whole[name] = change(whole[name]) if callable(change) else change
    return whole


def at(row, value):
    """A change of one cell."""

    def change(column):
        column = column.astype(object if isinstance(value, str) else float)
        column.iloc[row - 1] = value
        return column

    return change


def said(model, given=None):
    return [f"{finding.level} {finding}" for finding in check(model, given)]


def test_a_sound_model_and_table_have_no_finding():
    assert check(Model(**KEYS)) == []
    assert check(Model(**KEYS), table()) == []


MODEL_FAULTS = {
    "misspelt relation": (
        {"relation": "partal"},
        ['error relation: no relation called "partal". Did you mean "partial"?'],
    ),
    "misspelt option": (
        {"shrinkage": {"kind": "normal", "scal": 1}},
        ['error shrinkage: no option called "scal". Did you mean "scale"?'],
    ),
    "option of a wrong type": (
        {"engine": {"kind": "nuts", "chains": "4"}},
        ["error engine.chains: is '4'. Give a whole number from 1."],
    ),
    "misspelt choice": (
        {"tasks": {"vote": {"kind": "bernoulli", "link": "logti"}}},
        ['error tasks.vote.link: no choice called "logti". Did you mean "logit"?'],
    ),
    "misspelt likelihood of tasks as rows": (
        {"tasks": BY_GROUP["tasks"] | {"kind": "gausian"}},
        ['error tasks: no likelihood called "gausian". Did you mean "gaussian"?'],
    ),
    "prior over something else": (
        {"tasks": {"score": {"kind": "gaussian", "sigma": "normal(0, 1)"}}},
        [
            'error tasks.score.sigma: "normal(0, 1)" is a prior over any number, and this is a '
            "positive number. Use one of half_normal, half_student_t, half_cauchy, exponential, "
            "gamma, inverse_gamma, lognormal."
        ],
    ),
    "prior of width 0": (
        {"tasks": {"score": {"kind": "gaussian", "sigma": "half_normal(0)"}}},
        ['error tasks.score.sigma: "half_normal(0)" has a width of 0. Make it > 0.'],
    ),
    "part of a module that is not there": (
        {"relation": "no.such:thing"},
        [
            'error relation: no module called "no.such". Install it, or run where it stands.',
        ],
    ),
    "part that its module does not have": (
        {"shrinkage": "json:dumpz"},
        ['error shrinkage: no function called "dumpz". Did you mean "dump"?'],
    ),
    "cycle": (
        {"dag": "age -> score -> age\nincome -> vote"},
        ["error dag: has a cycle: age -> score -> age. Remove one arrow."],
    ),
    "effect as a predictor": (
        {"dag": "age -> score -> step -> income\nage -> vote"},
        [
            'error formula: "income" is an effect of task "score". Drop "income" from the formula '
            "of that task, or turn an arrow."
        ],
    ),
    "effect in a formula of its own": (
        {
            "tasks": {"score": {"kind": "gaussian", "formula": "log(vote)"}, "vote": "bernoulli"},
            "dag": "age, income -> score -> vote",
        },
        [
            'error tasks.score.formula: "vote" is an effect of task "score". Drop "vote" from the '
            "formula of that task, or turn an arrow."
        ],
    ),
    "latent predictor": (
        {"dag": "latent: age\nage, income -> score\nincome -> vote"},
        ['error formula: "age" is latent, and so not measured. Drop "age" from the formula, or from latent.'],
    ),
    "latent task": (
        {"dag": "latent: vote\nage, income -> score\nincome -> vote"},
        [
            'error tasks.vote: "vote" is latent, and so not measured. Take "vote" out of latent, '
            "or out of the tasks."
        ],
    ),
    "no predictors": (
        {"formula": None, "tasks": {"vote": "bernoulli"}},
        [
            "error tasks.vote: has no predictors: no formula, and no measured cause in dag. "
            'Write a formula, or draw its causes: "cause -> vote".'
        ],
    ),
    "only latent causes": (
        {"formula": None, "dag": "latent: u\nu -> score\nage -> vote"},
        [
            "error tasks.score: has no predictors: no formula, and no measured cause in dag. "
            'Write a formula, or draw its causes: "cause -> score".'
        ],
    ),
    "no predictors of tasks as rows": (
        BY_GROUP | {"formula": None},
        [
            "error tasks: has no predictors: no formula, and no measured cause in dag. "
            'Write a formula, or draw its causes: "cause -> score".'
        ],
    ),
    "task and predictor outside the graph": (
        {"dag": "age -> score"},
        [
            'warning formula: "income" is not in the graph. Draw its arrows: nothing can be checked of it.',
            'warning tasks.vote: "vote" is not in the graph. Draw its causes: "cause -> vote".',
        ],
    ),
    "task that the relation names, and no one has": (
        {"relation": {"kind": "graph", "edges": [["score", "voet"]]}},
        ['error relation.edges: no task called "voet". Did you mean "vote"?'],
    ),
    "task in a relation of a sum": (
        {"relation": ["pooled", {"kind": "described", "by": {"score": 1, "voet": 2}}]},
        ['error relation.relations[2].by: no task called "voet". Did you mean "vote"?'],
    ),
    "task that the order of a relation misspells": (
        {"relation": {"kind": "ordered", "order": ["vote", "scores"]}},
        ['error relation.order: no task called "scores". Did you mean "score"?'],
    ),
    "mixture in a sum": (
        {"relation": ["pooled", "clustered"]},
        [
            "error relation.relations[2]: clustered is a mixture over the weights of a task, and can't be "
            "one of a sum. Take it alone, or another relation."
        ],
    ),
    "mixture of mixtures": (
        {"relation": "exchangeable_or_not", "shrinkage": "spike_slab"},
        [
            "error shrinkage: spike_slab is a mixture over single weights, and exchangeable_or_not over "
            "those of a task. Take the horseshoe, or another relation."
        ],
    ),
    "correlated residuals of two kinds": (
        {"residual": "correlated"},
        [
            "error residual: is correlated, which all-gaussian or all-student_t tasks can be: vote "
            '(bernoulli). Take residual = "factor", which any tasks can share, or pairs.'
        ],
    ),
    "correlated residuals of two kinds of noise": (
        {"residual": "correlated", "tasks": {"score": "gaussian", "vote": "student_t"}},
        [
            "error residual: is correlated, which all-gaussian or all-student_t tasks can be: score "
            '(gaussian), vote (student_t). Take residual = "factor", which any tasks can share, or pairs.'
        ],
    ),
    "tempered tasks with correlated residuals": (
        {"residual": "correlated", "tasks": {"score": {"kind": "gaussian", "importance": 2}}},
        [
            "error tasks.score: is tempered, and correlated residuals have one density for all cells of a "
            'row. Take residual = "factor", or importance = 1.'
        ],
    ),
    "pairs of tasks that no one has": (
        {
            "tasks": {"score": "gaussian", "vote": "bernoulli", "grade": "gaussian"},
            "residual": {"kind": "correlated", "pairs": [["score", "grades"]]},
        },
        ['error residual.pairs: no task called "grades". Did you mean "grade"?'],
    ),
    "correlated residuals of tasks as rows": (
        BY_GROUP | {"residual": "correlated"},
        [
            "error residual: is correlated, and with tasks as rows no two tasks have a cell in one row. Make "
            "the tasks columns of one table."
        ],
    ),
    "probabilities of categories that a likelihood has not": (
        {"tasks": {"score": {"kind": "gaussian", "soft": ["a", "b"]}}},
        [
            "error tasks.score.soft: gives probabilities of categories, and gaussian has none. Take kind = "
            '"categorical".'
        ],
    ),
    "task that predicts itself": (
        {"formula": "age + score"},
        ['error formula: task "score" predicts itself. Drop "score" from the formula of that task.'],
    ),
}


@pytest.mark.parametrize(("keys", "findings"), MODEL_FAULTS.values(), ids=MODEL_FAULTS)
def test_faults_of_a_model(keys, findings):
    assert said(Model(**(KEYS | keys))) == findings


SOUND = {
    "graph": {"relation": {"kind": "graph", "edges": [["score", "vote"]]}},
    "described": {"relation": {"kind": "described", "by": {"score": 1, "vote": [2]}}},
    "sum": {"relation": ["pooled", "independent"]},
    "mixture": {"relation": "clustered", "shrinkage": "horseshoe"},
    "gaussian pair beside another kind": {
        "tasks": {"score": "gaussian", "vote": "bernoulli", "grade": "gaussian"},
        "residual": {"kind": "correlated", "pairs": [["score", "grade"]]},
    },
    "factor of two kinds": {"residual": "factor"},
}


@pytest.mark.parametrize("keys", SOUND.values(), ids=SOUND)
def test_parts_that_go_together_have_no_finding(keys):
    assert check(Model(**(KEYS | keys)), table()) == []


def test_errors_come_before_warnings_and_all_are_found():
    keys = {"relation": "x", "dag": "age -> score -> age", "engine": "nut", "shrinkage": "y"}
    levels = [finding.level for finding in check(Model(**(KEYS | keys)))]
    assert levels == ["error"] * 4 + ["warning"] * 2


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
            "large for the table: the prior alone holds it.",
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
        ['warning formula: "age" is constant over the cells. Its weight is the prior\'s; drop it.'],
    ),
    "predictor that is constant for one task": (
        {},
        table(
            age=lambda c: c.where(np.arange(ROWS) < 7, 31.0),
            vote=lambda c: c.where(np.arange(ROWS) >= 7),
        ),
        [
            'warning tasks.vote: "age" is constant over the cells. Its weight is the prior\'s; drop it.',
            "note tasks.vote: 7 of 13 cells are empty.",
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
    "more predictors than cells": (
        {"formula": "income + bs(age, 11)"},
        table().iloc[:11],
        [
            "warning formula: has 12 predictors for 11 cells. Only the prior and the other tasks "
            "hold its weights."
        ],
    ),
    "separated by one predictor": (
        {},
        table(vote=(table().age > 40).astype(int)),
        [
            'warning tasks.vote: has responses that "age" tells apart. No weight is too large for '
            "the table: the prior alone holds it."
        ],
    ),
    "separated by two predictors": (
        {},
        table(vote=((table().age - 45) / 15 + table().income > 0).astype(int)),
        [
            'warning tasks.vote: has responses that "age", "income" tell apart. No weight is too '
            "large for the table: the prior alone holds it."
        ],
    ),
    "separated grades": (
        {"tasks": {"score": "gaussian", "grade": "ordinal"}},
        table(grade=1 + (table().income > -0.3) + (table().income > 0.3)),
        [
            'warning tasks.grade: has responses that "income" tells apart. No weight is too large '
            "for the table: the prior alone holds it."
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


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_shipped_models_have_no_errors_and_no_warnings(path):
    model = load(path)
    found = check(model, tables.read(model.data["table"], model.folder))
    assert [str(finding) for finding in found if finding.level != "note"] == []


def test_without_a_table_nothing_heavy_is_imported():
    code = (
        "import sys; from bayesmtl.checks import check; from bayesmtl.spec import load; "
        f"check(load({str(MODELS[0])!r})); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"jax", "numpyro", "pandas", "numpy", "formulaic", "arviz", "networkx"}
    assert not heavy & set(done.stdout.split())


def test_a_likelihood_of_the_users_own_that_fails_is_a_finding(tmp_path, monkeypatch):
    (tmp_path / "broken_part.py").write_text("def broken(eta, cells):\n    return 1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    keys = {"tasks": {"score": "broken_part:broken", "vote": "bernoulli"}}
    assert said(Model(**(KEYS | keys)), table()) == [
        "error tasks.score: has a likelihood that fails: ZeroDivisionError: division by zero. Mend that part."
    ]


OWN = """
from __future__ import annotations

import numpyro.distributions as dist

from bayesmtl.outcomes import Outcome, no_scale


def outcome(distribution, eta, cells):
    return Outcome(distribution, eta, eta, **no_scale("log loss", cells))


def counted(eta, cells, *, trials: Column = 1):
    return outcome(dist.Binomial(trials, logits=eta), eta, cells)


def exposed(eta, cells, *, exposure: Column = 1, se: Column = 0):
    return outcome(dist.Poisson(exposure), eta, cells)


def tempered(eta, cells, *, temperature: Positive = 1):
    return outcome(dist.Bernoulli(logits=eta), eta, cells)


def noisy(eta, cells, *, sigma: Scale | Literal["marginal"] = 1):
    return outcome(dist.Normal(eta), eta, cells)


def inside(eta, cells, *, of: Likelihood = "own_parts:noisy"):
    return of(eta, cells)
"""
COUNTED = {"kind": "own_parts:counted", "trials": "grade"}
EXPOSED = {"kind": "own_parts:exposed", "exposure": "age", "se": "income"}
LEARNED = {"kind": "own_parts:tempered", "temperature": "lognormal(0, 1)"}
MARGINAL = {"kind": "own_parts:noisy", "sigma": "marginal"}
FREE = (
    "is learned, and so is the scale of the weights: the table only tells their ratio. Fix one: "
    'shrinkage = { kind = "normal", scale = 1 }, or temperature = 1.'
)


@pytest.fixture
def own_parts(tmp_path, monkeypatch):
    (tmp_path / "own_parts.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)


COLUMN_FAULTS = {
    "each cell has a support of its own": (
        {"tasks": {"vote": COUNTED}},
        table(vote=at(1, 2)),
        [
            "error tasks.vote: has 2 (unit u1). The likelihood own_parts:counted takes whole numbers from 0 "
            "to the trials."
        ],
    ),
    "shares of nothing and of all": (
        {"tasks": {"score": "beta"}},
        table(score=np.linspace(0, 1, ROWS)),
        ["error tasks.score: has 0, 1 (unit u1, u13). The likelihood beta takes numbers between 0 and 1."],
    ),
    "formula of a scale": (
        {"tasks": {"score": {"kind": "laplace", "sigma": {"formula": "agee"}}}},
        table(),
        ['error tasks.score.sigma.formula: no column called "agee". Did you mean "age"?'],
    ),
    "empty predictor of a scale": (
        {"tasks": {"score": {"kind": "laplace", "sigma": {"formula": "grade"}}}},
        table(grade=at(2, None)),
        ["warning table.grade: is empty in 1 row (unit u2): 1 cell of score is left out."],
    ),
    "column of an option that is missing": (
        {"tasks": {"vote": {"kind": "own_parts:inside", "of": COUNTED | {"trials": "grades"}}}},
        table(),
        ['error tasks.vote.of.trials: no column called "grades". Did you mean "grade"?'],
    ),
    "empty trials": (
        {"tasks": {"vote": {"kind": "own_parts:inside", "of": COUNTED}}},
        table(grade=at(4, None)),
        ["warning table.grade: is empty in 1 row (unit u4): 1 cell of vote is left out."],
    ),
    "trials that are no counts": (
        {"tasks": {"vote": COUNTED}},
        table(grade=lambda c: at(4, 2.5)(at(3, -1)(c)), vote=at(3, None)),
        [
            "error table.grade: has 2.5 (unit u4), and trials must be a whole number from 0. Mend it, or "
            "drop these rows.",
            "note tasks.vote: 1 of 13 cells are empty.",
        ],
    ),
    "trials in words": (
        {"tasks": {"vote": COUNTED}},
        table(grade="many"),
        [
            "error table.grade: holds no numbers, as trials must be. Mend it.",
            "warning table.grade: is 'many' in every row. It makes no predictor; drop it.",
        ],
    ),
    "exposure of 0 and negative standard errors": (
        {"tasks": {"grade": EXPOSED}},
        table(age=at(2, 0), income=np.arange(ROWS) - 1.0),
        [
            "error table.age: has 0 (unit u2), and exposure must be positive. Mend it, or drop these rows.",
            "error table.income: has -1 (unit u1), and se must be at least 0. Mend it, or drop these rows.",
        ],
    ),
    "weights of 0": (
        {"tasks": {"score": {"kind": "gaussian", "weights": "grade"}}},
        table(grade=lambda c: at(2, 0)(at(9, np.inf)(c))),
        [
            "error table.grade: is infinite: unit u9. Mend it, or drop these rows.",
            "error table.grade: has 0 (unit u2), and weights must be positive. Mend it, or drop these rows.",
        ],
    ),
    "learned temperature": (
        {"tasks": {"vote": LEARNED}},
        table(),
        [f"error tasks.vote.temperature: {FREE}"],
    ),
    "learned temperature of flat weights": (
        {"tasks": {"vote": {"kind": "own_parts:inside", "of": LEARNED}}, "shrinkage": "flat"},
        table(),
        [f"error tasks.vote.of.temperature: {FREE}"],
    ),
    "temperature of weights whose scale is fixed": (
        {"tasks": {"vote": LEARNED}, "shrinkage": {"kind": "normal", "scale": 1}},
        table(),
        [],
    ),
    "temperature of weights whose scale a prior fixes": (
        {"tasks": {"vote": LEARNED}, "priors": {"scale": 1}},
        table(),
        [],
    ),
    "marginal and correlated": (
        {"tasks": {"score": MARGINAL}, "residual": {"kind": "correlated", "pairs": [["score", "score"]]}},
        None,
        [
            "error residual: is correlated, which all-gaussian or all-student_t tasks can be: score "
            '(own_parts:noisy). Take residual = "factor", which any tasks can share, or pairs.',
            'error tasks.score.sigma: is "marginal", and is of residuals that are correlated: then it can\'t '
            "be integrated out. Give it a prior.",
        ],
    ),
    "marginal in another": (
        {"tasks": {"score": {"kind": "own_parts:inside", "of": MARGINAL}}},
        None,
        [
            'error tasks.score.of.sigma: is "marginal", and stands in own_parts:inside: then it can\'t be '
            "integrated out. Give it a prior."
        ],
    ),
    "marginal with weights": (
        {"tasks": {"score": MARGINAL | {"importance": 2}}},
        None,
        [
            'error tasks.score.sigma: is "marginal", and is of cells that are weighted: then it can\'t be '
            "integrated out. Give it a prior."
        ],
    ),
    "features that a view misspells": (
        {"shrinkage": {"kind": "blocks", "views": {"person": ["age", "incme"]}}},
        table(),
        ['error shrinkage.views.person: no feature called "incme". Did you mean "income"?'],
    ),
    "tasks that a relation leaves out": (
        BY_GROUP | {"relation": {"kind": "ordered", "order": ["a", "c"]}},
        table(),
        ["error relation.order: lacks b. Name every task."],
    ),
    "rows of a task that a relation misspells": (
        BY_GROUP | {"relation": {"kind": "graph", "edges": [["a", "d"]]}},
        table(),
        ['error relation.edges: no task called "d". Known: a, b, c.'],
    ),
    "probabilities that do not sum to 1": (
        {"tasks": {"mood": {"kind": "categorical", "soft": ["p", "q"]}}},
        table().assign(p=np.linspace(0, 1, ROWS), q=lambda t: 1 - t.p).assign(q=lambda t: at(3, 2)(t.q)),
        ["error tasks.mood.soft: are no probabilities that sum to 1: unit u3. Mend these rows."],
    ),
    "group terms": (
        {"tasks": {"score": "gaussian"}, "formula": "age + (1 + income | group)"},
        table(group=[None, *"bcabcabcabca"], income=at(3, np.inf)),
        [
            "error table.income: is infinite: unit u3. Mend it, or drop these rows.",
            "warning table.group: is empty in 1 row (unit u1): 1 cell of score is left out.",
        ],
    ),
    "group term that is no number": (
        {"tasks": {"score": "gaussian"}, "formula": "age + (1 + log(grade) | group)"},
        table(grade=at(3, 0)),
        [
            'error formula: "log(grade)" is no finite number: unit u3. Mend that term, or drop these rows.',
        ],
    ),
    "covariance of a group that has no file": (
        {"tasks": {"score": "gaussian"}, "formula": "age + (1 | gr(group, cov = 'kin.csv'))"},
        table(),
        ["error table kin.csv: can't be read: No such file or directory. Look at the path."],
    ),
    "groups of one level": (
        {"tasks": {"score": "gaussian"}, "formula": "age + (1 | group)", "dag": "age -> score"},
        table(group="a"),
        ["warning table.group: is 'a' in every row. It makes no group; drop it."],
    ),
    "effect that varies between groups": (
        {"tasks": {"score": "gaussian"}, "formula": "(1 + age | group)", "dag": "income -> score -> age"},
        table(),
        [
            'error formula: "age" is an effect of task "score". Drop "age" from the formula of that task, or '
            "turn an arrow."
        ],
    ),
}


@pytest.mark.usefixtures("own_parts")
@pytest.mark.parametrize(("keys", "given", "findings"), COLUMN_FAULTS.values(), ids=COLUMN_FAULTS)
def test_faults_of_options(keys, given, findings):
    assert said(Model(**(KEYS | keys)), given) == findings


@pytest.mark.parametrize("seed", range(7))
@pytest.mark.parametrize("grades", [2, 3, 5])
def test_separation_is_told_from_overlap(seed, grades):
    random = np.random.default_rng(seed)
    x = random.normal(size=(53, 3))
    eta = x @ np.array([1.0, -2.0, 0.0])
    grade = np.searchsorted(np.quantile(eta, np.arange(1, grades) / grades), eta)
    assert {0, 1} <= set(separators(x, grade))
    # the same places with the grades turned round: nothing tells them apart
    both = np.concatenate([grade, grades - 1 - grade])
    assert separators(np.vstack([x, x]), both) == []


def test_quasi_separation_by_an_indicator_is_found_and_an_unrelated_one_is_not():
    random = np.random.default_rng(3)
    rare = (np.arange(47) < 5).astype(float)
    other = random.integers(0, 2, 47).astype(float)
    vote = np.where(rare == 1, 1, random.integers(0, 2, 47))
    assert separators(np.column_stack([other, rare]), vote) == [1]
