"""What is said of weights that are no effects: held to linear algebra, to ``valid``, to the literature."""

import re

import numpy as np
import pytest
from test_adjustment import CONTROLS, Regression, canonical, effects, graphs, linear

from bayesmtl.causal import bad_controls, feedback, regressions
from bayesmtl.causal.adjustment import adjustment
from bayesmtl.causal.dag import Dag
from bayesmtl.causal.estimands import Effect, closing, estimand
from bayesmtl.causal.validity import Invalid, Valid, valid
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
            'from the formula of "y", or make it a task.'
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
    "effect of a step, which is confounded itself": (
        "x -> m -> y; m -> d -> y; c -> d; c -> y",
        "x + d",
        [
            'warning formula: the weight of "x" for "y" is biased: "d" is an effect of "m", on the causal '
            'path x -> m -> y. Drop "d" from the formula of "y", or make it a task.',
            'warning formula: the weight of "d" for "y" is confounded: d <- c -> y is open. Add "c", "m" to '
            'the formula of "y".',
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
    "mediator that may rather be a task": (
        "x -> m -> y; x -> y",
        "x + m",
        [
            'note formula: the weight of "x" for "y" is a direct effect, without what goes through other '
            'predictors: x -> m -> y. For a total effect leave out "m", or make it a task and ask '
            "intervene."
        ],
    ),
    "feedback": (
        "x1 -> z -> x2 -> y; x1 -> y; z -> y",
        "x1 + x2",
        [
            'warning formula: no one regression tells the joint effect of "x1", "x2" on "y": "z" lies '
            'between (x1 -> z -> x2); without it x2 <- z -> y is open, and with it the weight of "x1" '
            'lacks x1 -> z -> y. Add "z" to the formula of "y" for direct effects; for the joint effect '
            'make "z" a task and ask intervene.'
        ],
    ),
    "feedback with what lies between": (
        "x1 -> z -> x2 -> y; x1 -> y; z -> y",
        "x1 + z + x2",
        [
            'note formula: the weights of "x1", "z" for "y" are direct effects, without what goes through '
            'other predictors: x1 -> z -> y, z -> x2 -> y. For a total effect leave out "x2", "z", or '
            'make them tasks and ask intervene. Leaving out "z" biases other weights; intervene does '
            "not."
        ],
    ),
    "feedback with a hidden cause": (
        "x1 -> z -> x2 -> y; x1 -> y; u -> z; u -> y",
        "x1 + z + x2",
        [
            'warning formula: no one regression tells the joint effect of "x1", "x2" on "y": "z" lies '
            'between (x1 -> z -> x2); without it x2 <- z <- u -> y is open, and with it "x2", "z" opens '
            'x1 -> z <- u -> y. A formula without what comes after "x1" tells its effect alone; for the '
            'joint effect make "z" a task and ask intervene.',
            'note formula: the weight of "z" for "y" is no effect: z <- u -> y is open. Keep "z" as a '
            'control for "x2", without reading it.',
        ],
    ),
    "selection by the outcome": (
        "x -> y -> s; w -> y; selected: s",
        "x + w",
        [
            'warning formula: the weights of "w", "x" for "y" are biased: "s", which selects the rows, is '
            'an effect of "y", on the causal path w -> y. No formula mends that: take rows whatever "s", '
            "or read what is so among those taken."
        ],
    ),
    "selection by an effect with a hidden cause": (
        "x -> y; x -> s; u -> s; u -> y; selected: s",
        "x",
        [
            'warning formula: the weight of "x" for "y" is biased: selection by "s" opens x -> s <- u -> '
            'y. No formula mends that: take rows whatever "s", or read what is so among those taken.'
        ],
    ),
    "selection that a control makes good": (  # model 15 of Cinelli, Forney and Pearl
        "x -> y; x -> z -> s; u -> s; u -> y; selected: s",
        "x",
        [
            'warning formula: the weight of "x" for "y" is biased: selection by "s" opens x -> z -> s <- '
            'u -> y. Add "z" to the formula of "y".'
        ],
    ),
    "and the same with the control": ("x -> y; x -> z -> s; u -> s; u -> y; selected: s", "x + z", []),
    "selection by an exposure": ("x -> y; x -> s; selected: s", "x", []),
    "selection by a mediator": (
        "x -> m -> y; x -> y; selected: m",
        "x",
        [
            'note formula: the weight of "x" for "y" is a direct effect, without what goes through what '
            'selects the rows: x -> m -> y. For a total effect take rows whatever "m".'
        ],
    ),
    "what selects the rows as a predictor": (
        "x -> y; x -> s; selected: s",
        "x + s",
        [
            'error formula: "s" selects the rows, and so is the same in all of them. If they are taken by '
            'its values, draw it: "s -> taken" and "selected: taken".'
        ],
    ),
}


@pytest.mark.parametrize(("text", "formula", "findings"), SAID.values(), ids=SAID)
def test_what_is_said(text, formula, findings):
    assert of(text, formula) == findings


def test_a_task_as_a_predictor_is_noted_once():
    tasks = {"m": "gaussian", "y": {"kind": "gaussian", "formula": "m"}}
    dag = Dag.read("x -> m -> y")
    (note,) = check(Model(tasks=tasks, formula="x", dag=dag))
    assert str(note) == (
        'tasks.y.formula: "m" is a task, and a predictor of "y": m -> y. '
        'To predict "y" where "m" is unknown, leave it out.'
    )
    tasks["y"] = {"kind": "gaussian", "formula": "x + m"}
    (note,) = check(Model(tasks=tasks, formula="x", dag=dag))
    assert note.remedy == 'For a total effect leave out "m", or ask intervene.'


def test_a_loop_whose_middle_is_a_task_is_left_to_intervene():
    tasks = {"z": {"kind": "gaussian", "formula": "x1"}, "y": "gaussian"}
    dag = Dag.read("x1 -> z -> x2 -> y\nx1 -> y\nz <-> y")
    found = check(Model(tasks=tasks, formula="x1 + z + x2", dag=dag))
    assert [f.remedy.partition("; ")[2] for f in found if f.level == "warning"] == [
        "for the joint effect ask intervene."
    ]


def test_of_a_loop_no_regression_tells_the_joint_effect_and_two_after_each_other_do():
    dag = Dag.read("x1 -> z -> x2 -> y\nx1 -> y\nz -> y\nz <-> y")
    names, weights, cov = linear(canonical(dag), 7)
    expected = effects(names, weights, ["x1", "x2"], "y")
    for on in (["x1", "x2"], ["x1", "x2", "z"]):
        assert np.abs(Regression(names, cov, "y", on).weights[:2] - expected).max() > 0.05
    last = Regression(names, cov, "y", ["x1", "x2", "z"]).weights
    middle = Regression(names, cov, "z", ["x1"]).weights[0]
    assert np.allclose([last[0] + last[2] * middle, last[1]], expected)  # the g-formula


def test_where_a_loop_is_told_no_set_tells_both_and_what_is_said_of_each_is_so():
    told = 0
    for seed, dag, outcome, predictors, _ in drawn(300):
        task = regressions.Regression("formula", "task", outcome, tuple(predictors), dag)
        for loop in feedback.loops(task):
            first, between, second = loop
            assert between in dag.descendants([first]) & dag.ancestors([second])
            assert isinstance(adjustment(dag, (first, second), outcome), Invalid)
            names, weights, cov = linear(canonical(dag), seed)
            on = [*{*predictors} - {between}]
            total = effects(names, weights, [second, *(n for n in on if n != second)], outcome)[0]
            assert not np.isclose(Regression(names, cov, outcome, on).weights[on.index(second)], total)
            told += 1
    assert told > 10
