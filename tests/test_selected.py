"""What selects the rows: given in every question, and never to be taken out of a set.

Held to the paths of the graph, to linear algebra with the node given, and to rows taken by a threshold.
"""

import numpy as np
import pandas as pd
import pytest
from test_adjustment import (
    Regression,
    Truth,
    canonical,
    connected,
    effects,
    graphs,
    instruments_by_definition,
    linear,
    paths,
    question,
    smallest,
    subsets,
)

import bayesmtl as bm
from bayesmtl.causal.adjustment import adjustable, adjustment
from bayesmtl.causal.dag import Dag
from bayesmtl.causal.dseparation import separators
from bayesmtl.causal.estimands import Effect, estimand
from bayesmtl.causal.frontdoor import frontdoor
from bayesmtl.causal.instruments import instruments
from bayesmtl.causal.validity import Invalid, Valid, valid


def selected(number):
    """Random graphs with one or two nodes that select the rows, the other measured ones in an order."""
    for draw, dag, nodes in graphs(number):
        chosen = frozenset(draw.sample(nodes, 2 if len(nodes) > 6 else 1))
        rest = [name for name in nodes if name not in chosen]
        if len(rest) >= 3:
            yield draw, Dag(dag.arrows, dag.arcs, dag.latent, selected=chosen), rest


def test_separation_and_its_sets_are_those_of_the_paths_among_the_rows_taken():
    opened = closed = 0
    for draw, dag, nodes in selected(150):
        parents = canonical(dag)
        a, b = draw.sample(nodes, 2)
        routes, rest = paths(parents, a, b), {*nodes} - {a, b}
        apart = [g for g in subsets(rest) if not connected(parents, routes, {*g} | dag.selected)]
        assert all(dag.separated(a, b, g) == (g in apart) for g in subsets(rest))
        assert set(separators(dag, a, b)) == smallest(apart)
        before, now = not connected(parents, routes, set()), frozenset() in apart
        opened, closed = opened + (before and not now), closed + (now and not before)
    assert min(opened, closed) > 5


def test_validity_and_the_lists_of_sets_are_those_of_the_definition_among_the_rows_taken():
    none = some = 0
    for draw, dag, nodes in selected(200):
        starts, outcome, rest = question(draw, nodes, 2)
        truth = Truth(dag, starts, outcome)
        good = [given for given in subsets(rest) if truth.valid({*given} | dag.selected)]
        for given in subsets(rest)[:6]:
            assert isinstance(valid(dag, starts, outcome, given), Valid) == (given in good)
        found = adjustment(dag, starts, outcome)
        assert adjustable(dag, starts, outcome) == bool(good)
        if isinstance(found, Invalid):
            assert not good
            none += 1
        else:
            assert set(found.minimal) == smallest(good) and found.efficient in good
            some += 1
    assert min(none, some) > 20


def test_a_weight_an_instrument_and_a_front_door_tell_the_effect_among_the_rows_taken():
    told = biased = by_instrument = by_door = 0
    for seed, (draw, dag, nodes) in enumerate(selected(400)):
        (x,), y, rest = question(draw, nodes, 1)
        names, weights, cov = linear(canonical(dag), seed)
        taken = sorted(dag.selected)
        given = sorted(name for name in rest if draw.random() < 0.5 and name not in dag.descendants([y]))
        on = [x, *given, *taken]
        if y in dag.descendants([x]):
            fitted, expected = Regression(names, cov, y, on).weights[0], effects(names, weights, on, y)[0]
            right = isinstance(estimand(dag, x, y, given), Effect)
            assert right == np.isclose(fitted, expected, rtol=1e-7, atol=1e-7)
            told, biased = told + right, biased + (not right)
        (total,) = effects(names, weights, [x], y)
        sets = instruments_by_definition(dag, x, y, rest | dag.selected)
        for found in instruments(dag, x, y):
            assert found.given | dag.selected in sets[found.node]
            beside = [found.node, *sorted(found.given), *taken]
            ratio = (
                Regression(names, cov, y, beside).weights[0] / Regression(names, cov, x, beside).weights[0]
            )
            assert np.isclose(ratio, total, rtol=1e-5, atol=1e-6)
            by_instrument += 1
        for door in frontdoor(dag, x, y):
            steps = sorted(door)
            there = [Regression(names, cov, z, [x, *taken]).weights[0] for z in steps]
            onward = Regression(names, cov, y, [*steps, x, *taken]).weights[: len(steps)]
            assert np.isclose(onward @ np.array(there), total, rtol=1e-6, atol=1e-6)
            by_door += bool(steps)
    assert min(told, biased) > 60 and min(by_instrument, by_door) > 5


def test_rows_that_a_threshold_takes_bear_the_findings_out():
    # model 15 of Cinelli, Forney and Pearl: by an effect of x and by what hides behind y
    draw = np.random.default_rng(15)
    x, u, z_noise, s_noise, y_noise = draw.normal(size=(5, 200_000))
    z = x + z_noise
    y = 0.5 * x + u + y_noise
    taken = z + u + s_noise > 1
    with_z, without = (
        np.linalg.lstsq(np.column_stack([np.ones(taken.sum()), *given]), y[taken])[0][1]
        for given in ([x[taken], z[taken]], [x[taken]])
    )
    assert with_z == pytest.approx(0.5, abs=0.03)  # 4 standard errors: one false alarm in 10,000
    assert without < 0.4
    model = bm.Model(tasks={"y": "gaussian"}, formula="x", dag=TAKEN)
    assert bm.identify(model).set_index("exposure").adjust["x"] == "z"


TAKEN = "x -> y <- u -> s <- z <- x\nlatent: u\nselected: s"


def test_the_graph_as_text_and_the_table_need_no_such_column():
    model = bm.Model(tasks={"y": "gaussian"}, formula="x + z", dag=TAKEN)
    assert bm.Dag.read(str(model.dag)) == model.dag
    draw = np.random.default_rng(1)
    table = pd.DataFrame({name: draw.normal(size=60) for name in "xyz"})
    assert [str(f) for f in bm.check(model, table) if f.level == "error"] == []
    assert bm.implications(model, table).empty  # selection joins z and y
    free = bm.Model(tasks={"y": "gaussian"}, dag="x -> y <- u -> s\nx -> z\nlatent: u\nselected: s")
    assert bm.implications(free, table)[["a", "b", "given"]].to_numpy().tolist() == [["y", "z", "x"]]
    own = bm.Model(tasks={"y": {"kind": "gaussian", "dag": "x -> y -> s\nselected: s"}})
    assert own.dag.selected == {"s"} and [task.formula for task in own.listed_tasks()] == ["x"]


def test_questions_about_what_selects_the_rows_are_refused():
    dag = Dag.read("x -> y -> s\nselected: s")
    with pytest.raises(bm.ModelError, match="selects the rows, and is the same in all of them"):
        adjustment(dag, "x", "s")
    with pytest.raises(bm.ModelError, match=r'tasks\.s: "s" selects the rows'):
        bm.identify(bm.Model(tasks={"s": "gaussian"}, dag=dag))
    assert valid(dag, "x", "y").reason == (
        '"s", which selects the rows, is an effect of "y", on the causal path x -> y'
    )
