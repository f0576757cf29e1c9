"""The g-formula: against truncated factorisations of small networks, the adjustment criterion, by hand."""

from itertools import product

import numpy as np
import pytest

from bayesmtl.causal.dag import Dag
from bayesmtl.causal.gformula import Equation, gformula
from bayesmtl.causal.validity import Valid, valid

NODES = tuple("abcdefg")  # of which the last two are hidden


def network(draw, nodes=NODES, dense=0.45):
    """A random graph in an order of its nodes, and the chance of a 1 of each given its causes."""
    order = list(draw.permutation(nodes))
    arrows = [(p, q) for i, p in enumerate(order) for q in order[i + 1 :] if draw.random() < dense]
    causes = {n: sorted(p for p, q in arrows if q == n) for n in order}
    chance = {n: draw.uniform(0.1, 0.9, (2,) * len(causes[n])) for n in order}
    return Dag(frozenset(arrows), latent=frozenset(nodes[-2:])), causes, chance


def joint(causes, chance, setting):
    """The probabilities of all nodes, whose causes among some others are set; [node, ...]."""
    found = np.zeros((2,) * len(NODES))
    for values in product((0, 1), repeat=len(NODES)):
        at, prob = dict(zip(NODES, values, strict=True)), 1.0
        for node in NODES:
            one = chance[node][tuple(setting.get(p, at[p]) for p in causes[node])]
            prob *= one if at[node] else 1 - one
        found[values] = prob
    return found


def conditional(probs, node, given, at):
    """The chance of a 1 given the values of some nodes; None where these have no chance."""
    index = [slice(None)] * len(NODES)
    for name in given:
        index[NODES.index(name)] = slice(at[name], at[name] + 1)
    part = probs[tuple(index)]
    one = np.take(part, [1], axis=NODES.index(node)).sum()
    return None if part.sum() == 0 else one / part.sum()


def every(equation):
    """The equations of a formula by their nodes."""
    found = {equation.node: equation}
    for each in equation.inputs:
        found |= every(each)
    return found


def by_formula(equation, formulas, probs, setting, natural):
    """The chance of a 1 by the equations, in rows that are the same in all that keeps its value."""
    equations, total = every(equation), 0.0
    for values in product((0, 1), repeat=len(equations)):
        drawn, prob = dict(zip(equations, values, strict=True)), 1.0
        for node, own in equations.items():
            at = natural | {n: v for n, v in setting.items() if n not in own.kept} | drawn
            one = conditional(probs, node, formulas[node], at)
            prob *= one if drawn[node] else 1 - one
        total += prob * drawn[equation.node]
    return total


@pytest.mark.parametrize("selects", [False, True])
def test_what_is_told_is_the_effect_in_every_row(selects):
    # each draw of a network asks one question; of those that are answered, all answers are the truth: the
    # distribution where the causes that are set have their values, given all that keeps its own
    draw, told, inputs, kept, moved = np.random.default_rng(5), 0, 0, 0, 0
    for _ in range(2000):
        dag, causes, chance = network(draw)
        measured = sorted(dag.measured)
        if selects:
            dag = Dag(dag.arrows, latent=dag.latent, selected=frozenset([measured.pop()]))
        exposures = frozenset(draw.choice(measured, draw.integers(1, 3), replace=False))
        tasks = [n for n in measured if n not in exposures and draw.random() < 0.7]
        formulas = {
            n: frozenset(p for p in measured if p not in dag.descendants([n]) | {n} and draw.random() < 0.8)
            for n in tasks
        }
        acted = [n for n in tasks if n in dag.descendants(exposures)]
        if not acted:
            continue
        found = gformula(dag, formulas, exposures, acted[-1])
        if not isinstance(found, Equation):
            continue
        equations, after = every(found), dag.descendants(exposures)
        probs = joint(causes, chance, {})
        for name in dag.selected:
            probs = probs * np.arange(2).reshape([-1 if n == name else 1 for n in NODES])
        still = sorted(set(measured) & set().union(exposures, *(formulas[n] for n in equations)) - after)
        for values in product((0, 1), repeat=len(exposures)):
            setting = dict(zip(sorted(exposures), values, strict=True))
            truth = joint(causes, chance, setting)
            for rest in product((0, 1), repeat=len(still)):
                natural = dict(zip(still, rest, strict=True))
                fixed = {name: 1 for name in dag.selected - after}
                want = conditional(truth, found.node, [*natural, *fixed], natural | fixed)
                got = by_formula(found, formulas, probs, setting, natural)
                assert got == pytest.approx(want, abs=1e-10), (str(dag), formulas, exposures, found)
        told, inputs, kept = (
            told + 1,
            inputs + bool(found.inputs),
            kept + any(e.kept for e in equations.values()),
        )
        moved += bool(dag.selected & after)
    assert told > 200 and inputs > 15 and kept > 3
    assert not selects or moved > 3


def test_where_no_predictor_responds_it_is_adjustment():
    draw, counts = np.random.default_rng(6), {True: 0, False: 0}
    for _ in range(600):
        dag, _, _ = network(draw, dense=0.35)
        arcs = frozenset(tuple(sorted(draw.choice(NODES, 2, replace=False))) for _ in range(2))
        dag = Dag(dag.arrows, arcs, dag.latent)
        exposures = frozenset(draw.choice(sorted(dag.measured), draw.integers(1, 3), replace=False))
        after = dag.descendants(exposures)
        acted = sorted((dag.measured & after) - exposures)
        if not acted:
            continue
        outcome = str(draw.choice(acted))
        given = frozenset(n for n in dag.measured - after - exposures if draw.random() < 0.6)
        found = gformula(dag, {outcome: given | exposures}, exposures, outcome)
        right = isinstance(valid(dag, exposures, outcome, given), Valid)
        # an exposure that does not act, and has its natural value, is adjusted for where a path is open
        assert (isinstance(found, Equation) and not found.kept) == right, (
            str(dag),
            exposures,
            outcome,
            given,
        )
        counts[right] += 1
    assert min(counts.values()) > 50


def ask(dag, formulas, exposures, outcome, **options):
    formulas = {node: frozenset(names) for node, names in formulas.items()}
    return gformula(Dag.read(dag), formulas, frozenset(exposures), outcome, **options)


def test_steps_come_before_what_they_predict():
    found = ask("x -> m -> n -> y\nx, m -> y", {"m": "x", "n": "m", "y": "xmn"}, "x", "y")
    m = Equation("m", frozenset())
    assert found == Equation("y", frozenset(), (m, Equation("n", frozenset(), (m,))))
    # a hidden cause of a step and the outcome is no harm, as long as the outcome has the exposure too
    assert isinstance(ask("x -> m -> y <- x\nm <-> y", {"m": "x", "y": "xm"}, "x", "y"), Equation)
    # a predictor that does not respond keeps its value, though it is a task
    assert ask("w -> y <- x", {"w": "", "y": "wx"}, "x", "y").inputs == ()


def test_exposures_one_after_the_other_are_told_with_what_lies_between():
    graph = "x -> m -> z -> y <- x\nm <-> y"
    assert ask(graph, {"m": "x", "y": "xmz"}, "xz", "y").inputs == (Equation("m", frozenset()),)
    (without,) = ask(graph, {"y": "xz"}, "xz", "y")
    assert without.problem == 'can\'t tell the effect of "z" on "y": z <- m <-> y is open.'


REFUSED = {
    "confounded": ("x <- c -> y <- x", {"y": "x"}, 'x <- c -> y is open. Adjust for "c" in its formula.'),
    "front door": ("x -> m -> y <-> x", {"y": "x"}, 'Make "m" a task, and predict "y" by it and by "x".'),
    "hidden": ("x <-> y <- x", {"y": "x"}, "x <-> y is open. Measure what lies on that path."),
    "responds": ("x -> m -> y <- x", {"y": "xm"}, 'predicts "y" by "m", which responds to "x" and has no'),
    "left out": ("x -> m -> y <- x", {"m": "x", "y": "m"}, '"y" without "x", and x -> y is open. Add "x" to'),
    "step": (
        "x <- c -> m -> y <- x -> m",
        {"m": "x", "y": "xm"},
        'the effect of "x" on "m": x <- c -> m is open',
    ),
    "collider": (
        "x <-> c <-> y <- x",
        {"y": "xc"},
        "x <-> c <-> y is open. Adjust for nothing in its formula.",
    ),
    "each other": ("x -> m, n", {"m": "xn", "n": "xm"}, 'has "m", "n" predict each other.'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_told_is_said_with_the_path_and_the_remedy(name):
    graph, formulas, said = REFUSED[name]
    (found,) = ask(graph, formulas, "x", "m" if "y" not in formulas else "y")
    assert said in str(found)


def test_rows_that_are_selected():
    graph = "x -> y <- c\nselected: s\n"
    assert isinstance(ask(graph + "x -> s", {"y": "xc"}, "x", "y"), Equation)
    (found,) = ask(graph + "x, c -> s", {"y": "x"}, "x", "y")
    assert 'rows that "s" selects, which responds to what is set, and s <- c -> y is open.' in found.problem
    # taken by what came before, which the exposure shares a cause with
    (found,) = ask(graph + "s <-> x\ns <-> y", {"y": "xc"}, "x", "y")
    assert "x <-> s <-> y is open" in found.problem
    front = ask("x -> m -> y <-> x\nselected: s\nx -> s", {"m": "x", "y": "xm"}, "x", "y")
    assert [f.remedy for f in front] == ['Take rows whatever "s".']


def test_levels_must_come_before_what_is_set():
    (found,) = ask("x -> m, y", {"y": "x"}, "x", "y", by=["m"])
    assert str(found) == 'by: "m" responds to what is set. Take what comes before it.'
    (found,) = ask("x -> y <- c", {"y": "x"}, "x", "y", by=["c"])
    assert found.remedy == 'Add "c" to the formula of "y".'
    assert isinstance(ask("c -> x -> y", {"y": "x"}, "x", "y", by=["c", "x"]), Equation)


def test_residuals_that_are_tied_stand_for_an_arc_but_not_along_an_arrow():
    graph, formulas = "x -> m, n\nm, n -> y\nm <-> n", {"m": "x", "n": "x", "y": "mn"}
    (found,) = ask(graph, formulas, "x", "y")
    assert found.remedy in ('Add "m" to the formula of "n".', 'Add "n" to the formula of "m".')
    assert isinstance(ask(graph, formulas, "x", "y", tied=frozenset("mn")), Equation)
    found = ask(graph, formulas, "x", "y", tied=frozenset("mny"))
    assert {f.where for f in found} == {"residual"} and len(found) == 2
