"""What is said of weights that are no effects: held to linear algebra, to ``valid``, to the literature."""

import re

import numpy as np
import pytest
from test_adjustment import CONTROLS, Regression, canonical, effects, graphs, linear

from bayesmtl.causal import bad_controls, regressions
from bayesmtl.causal.dag import Dag
from bayesmtl.causal.estimands import Effect, closing, estimand
from bayesmtl.causal.validity import Valid, valid
from bayesmtl.checks import check
from bayesmtl.spec import Model


def drawn(number):
    """Random graphs, each with an outcome and predictors of it that are no effects of it."""
    for seed, (draw, dag, nodes) in enumerate(graphs(number)):
        outcome = nodes[-1]
        rest = [name for name in nodes[:-1] if name not in dag.descendants([outcome])]
        predictors = [name for name in rest if draw.random() < 0.6]
        acting = [name for name in predictors if outcome in dag.descendants([name])]
        if acting:
            yield seed, dag, outcome, predictors, acting


def test_a_weight_is_an_effect_just_when_linear_algebra_says_so():
    right = wrong = 0
    for seed, dag, outcome, predictors, acting in drawn(300):
        names, weights, cov = linear(canonical(dag), seed)
        fitted = Regression(names, cov, outcome, predictors).weights
        expected = effects(names, weights, predictors, outcome)  # along paths that meet no other predictor
        for name in acting:
            at = predictors.index(name)
            told = estimand(dag, name, outcome, set(predictors) - {name})
            assert isinstance(told, Effect) == np.isclose(fitted[at], expected[at], rtol=1e-7, atol=1e-7)
            if isinstance(told, Effect):
                total = effects(names, weights, [name], outcome)[0]
                assert bool(told.through) != np.isclose(fitted[at], total, rtol=1e-7, atol=1e-7)
            right, wrong = right + isinstance(told, Effect), wrong + (not isinstance(told, Effect))
    assert min(right, wrong) > 100


def test_what_closes_the_open_paths_makes_a_weight_an_effect():
    found = none = 0
    for _, dag, outcome, predictors, acting in drawn(300):
        for name in acting:
            given = frozenset(predictors) - {name}
            if isinstance(estimand(dag, name, outcome, given), Effect):
                continue
            add = closing(dag, name, outcome, given)
            if add is None:
                none += 1
            elif not given & dag.descendants([name]):  # which nothing could mend
                found += 1
                assert isinstance(estimand(dag, name, outcome, given | add), Effect)
    assert min(found, none) > 20


def test_findings_of_bias_are_those_that_the_adjustment_criterion_has():
    biased = sound = 0
    for _, dag, outcome, predictors, acting in drawn(200):
        task = regressions.Regression("formula", "task", outcome, tuple(predictors), dag)
        found = list(bad_controls.faults([task]))
        is_bias = [finding for finding in found if "direct effect" not in finding.problem]
        if isinstance(valid(dag, acting, outcome, set(predictors) - set(acting)), Valid):
            sound += 1
            assert not is_bias
        else:
            biased += 1
            # a control that can't be mended, and serves another predictor, is only noted
            assert any(f.level == "warning" or "as a control for" in f.remedy for f in is_bias)
    assert min(biased, sound) > 40


def test_who_follows_the_advice_is_told_no_more_of_it():
    steps = 0
    for _, dag, outcome, predictors, _ in drawn(200):
        for _ in range(10):
            formula = " + ".join(predictors)
            found = check(Model(tasks={outcome: "gaussian"}, formula=formula, dag=dag)) if formula else []
            advice = [f.remedy for f in found if f.level == "warning" and f.remedy[:4] in ("Add ", "Drop")]
            if not advice:
                break
            steps += 1
            names = set(re.findall(r'"(\w+)"', re.split(" to the | from the |, which", advice[0])[0]))
            more = names if advice[0].startswith("Add") else set()
            predictors = sorted(set(predictors) - names | more)
        else:
            pytest.fail(f"{dag}: {advice}")
    assert steps > 20


def of(text, formula):
    """The findings of a task ``y`` with a formula, in a graph written on one line."""
    dag = Dag.read(text.replace("; ", "\n") + "\nlatent: u, v")
    return [
        f"{finding.level} {finding}"
        for finding in check(Model(tasks={"y": "gaussian"}, formula=formula, dag=dag))
        if "is not in the graph" not in finding.problem
    ]


WITH = {
    **dict.fromkeys([1, 4, 9], ("note", '"z" for "y" is a direct effect, without')),
    **dict.fromkeys([2, 5], ("note", 'Keep "z" as a control for "x"')),
    **dict.fromkeys([7, 12, 16], ("warning", 'Drop "z"')),
    10: ("warning", '"z" in the formula enlarges the bias of the weight of "x"'),
    11: ("note", '"x" for "y" is a direct effect, without what goes through other predictors: x -> z -> y'),
    **dict.fromkeys([17, 18], ("error", '"z" is an effect of task "y"')),
}


@pytest.mark.parametrize("model", CONTROLS)
def test_the_controls_of_cinelli_forney_and_pearl(model):
    text, without, _ = CONTROLS[model]
    found = of(text, "x + z")
    if model in WITH:
        level, words = WITH[model]
        assert len(found) == 1 and found[0].startswith(level) and words in found[0]
    else:
        assert found == []
    alone = of(text, "x")
    if without:
        assert alone == []
    elif model == 10:
        assert len(alone) == 1 and alone[0].startswith("warning") and '"z" is an instrument' in alone[0]
    else:
        assert len(alone) == 1 and alone[0].startswith("warning") and 'Add "z" to the formula' in alone[0]


SAID = {
    "M-bias": (
        "u -> x -> y; u -> z; v -> z; v -> y",
        "x + z",
        [
            'warning formula: the weight of "x" for "y" is biased: "z" opens x <- u -> z <- v -> y. '
            'Drop "z" from the formula of "y".'
        ],
    ),
    "M-bias with a measured cause": (
        "a -> x -> y; a -> z; b -> z -> y; b -> y",
        "x + z",
        [
            'warning formula: the weights of "x", "z" for "y" are biased: "z" opens x <- a -> z <- b -> '
            'y. Add "b" to the formula of "y".'
        ],
    ),
    "front door": (
        "x -> m -> y; u -> x; u -> y",
        "x",
        [
            'warning formula: the weight of "x" for "y" is confounded: x <- u -> y is open, and no measured '
            'column closes it. "m" carries the whole effect (front door): make it a task.'
        ],
    ),
    "nothing helps": (
        "x -> y; u -> x; u -> y",
        "x",
        [
            'warning formula: the weight of "x" for "y" is confounded: x <- u -> y is open, and no measured '
            "column closes it. Measure what lies on that path, or read the weight as an association."
        ],
    ),
    "confounded mediator": (
        "x -> m -> y; x -> y; u -> m; u -> y",
        "x + m",
        [
            'warning formula: the weight of "x" for "y" is biased: "m" opens x -> m <- u -> y. Drop "m" '
            'from the formula of "y".'
        ],
    ),
    "confounded mediator, or instrument": (
        "x -> m -> y; u -> m; u -> y",
        "x + m",
        [
            'warning formula: "x" in the formula enlarges the bias of the weight of "m" for "y": m <- u -> y '
            'is open. Drop "x", which is an instrument of "m"; for its own effect drop "m".'
        ],
    ),
    "mediator with a measured confounder": (
        "x -> m -> y; a -> m; a -> y",
        "x + m",
        [
            'warning formula: the weights of "m", "x" for "y" are confounded: m <- a -> y is open. '
            'Add "a" to the formula of "y".'
        ],
    ),
}


@pytest.mark.parametrize(("text", "formula", "findings"), SAID.values(), ids=SAID)
def test_what_is_said(text, formula, findings):
    assert of(text, formula) == findings
