"""Refusals of models: what a user wrote, and the exact finding."""

import subprocess
import sys
from pathlib import Path

import pytest
from refusals import BY_GROUP, KEYS, said, table

from bayesmtl import table_files
from bayesmtl.checks import check
from bayesmtl.spec import Model, load

MODELS = sorted((Path(__file__).parent.parent / "models").glob("*.toml"))


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


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_shipped_models_have_no_errors_and_no_warnings(path):
    model = load(path)
    found = check(model, table_files.read(model.data["table"], model.folder))
    assert [str(finding) for finding in found if finding.level != "note"] == []


def test_without_a_table_nothing_heavy_is_imported():
    code = (
        "import sys; from bayesmtl.checks import check; from bayesmtl.spec import load; "
        f"check(load({str(MODELS[0])!r})); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"jax", "numpyro", "pandas", "numpy", "formulaic", "arviz", "networkx"}
    assert not heavy & set(done.stdout.split())
