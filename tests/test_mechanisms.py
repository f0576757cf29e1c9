"""Causal graphs of several tasks held against each other, and against what the tasks share.

Each conflict stands on a smallest example, and beside it a mended twin of which nothing is said.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_adjustment import graphs, subsets

from bayesmtl import mechanisms
from bayesmtl.causal.estimands import closing
from bayesmtl.causal.regressions import Regression
from bayesmtl.causal.validity import Valid, valid
from bayesmtl.checks import check
from bayesmtl.errors import ModelError
from bayesmtl.spec import Model, load

MODELS = Path(__file__).parent.parent / "models"


def lines(text):
    return text.replace("; ", "\n")


def said(*, a="", b="", formula="x", own=None, **keys):
    """What is said of tasks ``a`` and ``b`` with graphs of their own, but for notes of direct effects."""
    tasks = {
        name: {"kind": "gaussian", "dag": lines(text), **({"formula": own} if own and name == "b" else {})}
        for name, text in (("a", a), ("b", b))
    }
    keys["dag"] = lines(keys.get("dag", ""))
    found = check(Model(tasks=tasks, formula=formula, **keys))
    return [f"{each.level} {each}" for each in found if "direct effect" not in each.problem]


CONFLICTS = {
    "opposite arrows": (
        {"a": "z -> x -> a; z -> a", "b": "x -> z -> b", "formula": "x + z"},
        {"a": "z -> x -> a; z -> a", "b": "z -> x; x, z -> b", "formula": "x + z"},
        [
            "error tasks.b.dag: has x -> z, and tasks.a.dag has z -> x: a confounder there is a step here. "
            "Turn one of them: the tasks are about one world."
        ],
    ),
    "cycle of the union": (
        {"a": "x -> z -> a", "b": "z -> w -> x -> b"},
        {"a": "x -> z -> a", "b": "x -> w -> b; w -> z"},
        [
            "error dag: has a cycle: w -> x -> z -> w: w -> x in tasks.b.dag, x -> z in tasks.a.dag, "
            "z -> w in tasks.b.dag. Remove one arrow."
        ],
    ),
    "cycle of one task": (
        {"a": "x -> z -> x; x -> a", "b": "x -> b"},
        {"a": "x -> z; x -> a", "b": "x -> b"},
        ["error tasks.a.dag: has a cycle: x -> z -> x. Remove one arrow."],
    ),
    "opposite arrows beside a cycle": (
        {"a": "z -> x -> a; z -> a", "b": "x -> z -> b; x -> w -> v -> w", "formula": "x + z"},
        {"a": "z -> x -> a; z -> a", "b": "z -> x; x, z -> b; x -> w -> v", "formula": "x + z"},
        [
            "error tasks.b.dag: has x -> z, and tasks.a.dag has z -> x: a confounder there is a step here. "
            "Turn one of them: the tasks are about one world.",
            "error tasks.b.dag: has a cycle: v -> w -> v. Remove one arrow.",
        ],
    ),
    "opposite signs of one arrow": (
        {"a": "x -> m +; m -> a", "b": "x -> m -; m -> b"},
        {"a": "x -> m +; m -> a", "b": "x -> m +; m -> b"},
        [
            "error tasks.b.dag: has x -> m -, and tasks.a.dag has the opposite sign. "
            "Give the arrow one sign, or none."
        ],
    ),
    "a sign of the model and of a task": (
        {"dag": "x -> a, b; x -> m + ", "a": "x -> m -"},
        {"dag": "x -> a, b; x -> m + ", "a": "x -> m +"},
        ["error tasks.a.dag: has x -> m -, and dag has the opposite sign. Give the arrow one sign, or none."],
    ),
    "declared mechanisms of opposite signs": (
        {"a": "x -> a +", "b": "x -> b -"},
        {"a": "x -> a +", "b": "x -> b +"},
        [
            'warning relation: partial shares the weight of "x" over tasks, and the graph has it positive '
            'for "a" and negative for "b". Take relation = "correlated", whose correlations have a sign, or '
            "recode a task."
        ],
    ),
    "signs along paths": (
        {"a": "x -> m -; m -> a -", "b": "x -> n -; n -> b +"},
        {"a": "x -> m -; m -> a -; x -> a -", "b": "x -> n -; n -> b +"},  # two signs are none
        [
            'warning relation: partial shares the weight of "x" over tasks, and the graph has it positive '
            'for "a" and negative for "b". Take relation = "correlated", whose correlations have a sign, or '
            "recode a task."
        ],
    ),
    "shared, and of no effect": (
        {"a": "x -> a", "b": "w -> b; w <-> x", "formula": "x + w", "dag": "w -> a"},
        {"a": "x -> a", "b": "w -> b; w <-> x", "formula": "x + w", "dag": "w -> a", "own": "w"},
        [
            'warning relation: partial shares the weight of "x" over tasks, and the graph has no effect of '
            'it on "b". Give "b" a formula without "x", or take relation = "independent".'
        ],
    ),
    "direct and total": (
        {"dag": "x -> m -> a; m -> b; x -> a, b", "own": "x + m"},
        {"dag": "x -> m -> a; m -> b; x -> a, b", "formula": "x + m"},
        [
            'warning relation: partial shares the weight of "x" over tasks: for "b" it leaves out what goes '
            'through "m", and for "a" it does not. Take "m" into all of these formulas, or out of all.'
        ],
    ),
    "confounder here and collider there": (
        {
            "dag": "latent: u, v; x -> a, b; u -> x, z; v -> z, b; z -> a",
            "relation": "independent",
            "formula": "x + z",
        },
        {
            "dag": "latent: u, v; x -> a, b; u -> x, z; v -> z, b; z -> a",
            "relation": "independent",
            "formula": "x + z",
            "own": "x",
        },
        [
            'warning formula: the weight of "x" for "b" is biased: "z" opens x <- u -> z <- v -> b. '
            'Drop "z" from the formula of "b"; "a" needs it.',
            'warning formula: no one set of controls tells the effect of "x" on "a", "b". '
            "Give these tasks formulas of their own.",
        ],
    ),
    "group effects that a predictor follows": (
        {"dag": "ward -> x; x, ward -> a; x, ward -> b", "formula": "x + (1 | ward)"},
        {"dag": "ward -> mean -> x; x, ward -> a; x, ward -> b", "formula": "x + mean + (1 | ward)"},
        [
            'warning formula: the effects of "ward" on "a", "b" are drawn to 0 as if they had nothing to do '
            'with "x", and the graph has "ward" act on both: the weight of "x" takes a part of them. '
            'Add the mean of "x" in each "ward" as a column, drawn ward -> mean -> x.'
        ],
    ),
}


@pytest.mark.parametrize(("wrong", "mended", "findings"), CONFLICTS.values(), ids=CONFLICTS)
def test_conflicts_and_their_mended_twins(wrong, mended, findings):
    assert said(**wrong) == findings
    assert said(**mended) == []


def test_what_one_task_says_of_the_graph_holds_for_the_others():
    # a's table reveals what confounds b
    (finding,) = said(a="z -> x -> a; z -> a", b="x -> b", dag="z -> b", formula="x", own="x + z")
    assert finding.startswith('warning formula: the weight of "x" for "a" is confounded: x <- z -> a')


def test_the_relation_that_shares_is_named():
    for relation in ("pooled", ["pooled", "low_rank"], {"kind": "clustered", "clusters": 2}):
        (finding,) = said(a="x -> a", b="w -> b; w <-> x", formula="x + w", dag="w -> a", relation=relation)
        kinds = {"pooled", "low_rank"} if isinstance(relation, list) else {finding.split()[2]}
        shares = " and ".join(sorted(kinds)) + ' shares the weight of "x" over tasks'
        assert finding.startswith(f"warning relation: {shares}") and (kinds & {"pooled", "clustered"})


def test_one_set_for_several_tasks_is_found_wherever_there_is_one():
    """Against a search through all sets, and not only those of the tasks' ancestors."""
    none = some = 0
    for draw, dag, (before, x, z, *rest) in graphs(300):
        if len(rest) < 2:
            continue
        a, b = rest[-2:]
        # z confounds a, and in every other graph hidden causes make it a collider for b
        hidden = {tuple(sorted(pair)) for pair in ((x, z), (z, b))[: draw.randint(1, 2)]}
        dag = replace(dag, arrows=dag.arrows | {(z, a), (x, a), (x, b)}, arcs=dag.arcs | hidden)
        if draw.random() < 0.3 and before not in dag.descendants([x]):
            dag = replace(dag, selected=frozenset([before]))
        tasks = [Regression("formula", y, y, (x,), dag) for y in (a, b)]
        if dag.cycle() or any(closing(dag, x, y, frozenset()) is None for y in (a, b)):
            continue
        free = dag.measured - {x, a, b}
        sound = any(
            all(isinstance(valid(dag, x, y, given), Valid) for y in (a, b)) for given in subsets(free)
        )
        assert mechanisms._common(dag, x, tasks) == sound
        none, some = none + (not sound), some + sound
    assert none > 10 and some > 10


def test_tasks_that_share_nothing_may_differ():
    assert said(a="x -> a +", b="x -> b -", relation="independent") == []
    assert said(a="x -> a +", b="x -> b -", relation="correlated") == []
    assert len(said(a="x -> a +", b="x -> b -", relation="pooled")) == 1
    assert len(said(a="x -> a +", b="x -> b -", relation=["pooled", "independent"])) == 1


def test_the_graphs_of_tasks_are_one_and_go_into_a_file_and_back():
    tasks = {"a": {"kind": "gaussian", "dag": "z -> x +\nx -> a"}, "b": {"kind": "poisson", "dag": "w -> b"}}
    model = Model(tasks=tasks, dag="latent: u\nu -> a")
    assert model.dag.arrows == {("z", "x"), ("x", "a"), ("w", "b"), ("u", "a")}
    assert model.dag.latent == {"u"} and model.dag.signs == {("z", "x"): "+"}
    assert [task.formula for task in model.listed_tasks()] == ["x", "w"]
    assert Model.read(json.loads(model.to_json())) == model
    assert check(model) == []


@pytest.mark.parametrize(
    ("dag", "finding"),
    [
        (3, "tasks.y.dag: is 3. Give a string of arrows."),
        ("x => y", 'tasks.y.dag: can\'t read "x => y".'),
    ],
)
def test_graphs_of_tasks_that_are_none(dag, finding):
    with pytest.raises(ModelError) as error:
        Model(tasks={"y": {"kind": "gaussian", "dag": dag}}, formula="x")
    assert str(error.value).startswith(finding)


DIRECT = {
    "conviction": '"age", "education"',
    "election": '"age", "education"',
    "household": '"age"',
    "seas": '"year"',
    "shares": '"year"',
    "statecrime": '"hs_grad", "poverty", "urban"',
    "travel": '"income"',
}


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.toml")), ids=lambda path: path.stem)
def test_of_the_shipped_models_only_direct_effects_are_noted(path):
    found = check(load(path))
    if path.stem not in DIRECT:
        assert found == []
        return
    (note,) = found
    weights = f"the weight{'s' * (',' in DIRECT[path.stem])} of {DIRECT[path.stem]} for "
    assert note.level == "note" and note.problem.startswith(weights)
