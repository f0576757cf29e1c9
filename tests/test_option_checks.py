"""Refusals of the options of parts that read a table's columns, a user's own parts among them."""

import numpy as np
import pytest
from refusals import BY_GROUP, KEYS, ROWS, at, said, table

from bayesmtl.spec import Model


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
    "limits in words": (
        {"tasks": {"score": {"kind": "censored", "of": "gaussian", "by": "grade"}}},
        table(grade=lambda c: np.where(np.arange(ROWS) % 2, "above", "seen")),
        ["error table.grade: holds no numbers, as by must be. Mend it."],
    ),
    "limits that are neither above nor below": (
        {"tasks": {"score": {"kind": "censored", "of": "gaussian", "by": "grade"}}},
        table(grade=lambda c: at(4, 2)(0 * c)),
        ["error table.grade: has 2 (unit u4), and by must be -1, 0 or 1. Mend it, or drop these rows."],
    ),
    "limits as a yes or no": (
        {"tasks": {"score": {"kind": "censored", "of": "gaussian", "by": "grade"}}},
        table(grade=lambda c: np.arange(ROWS) % 2 == 1),
        [],
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
