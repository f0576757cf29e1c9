"""What to adjust for: held to the definitions path by path, to linear algebra, and to the literature."""

import random
from collections.abc import Iterator
from itertools import combinations, count, islice, pairwise
from typing import NamedTuple

import numpy as np
import pytest

from bayesmtl.causal import dseparation
from bayesmtl.causal.adjustment import MOST, Adjustment, adjustment
from bayesmtl.causal.dag import Dag
from bayesmtl.causal.dseparation import separators
from bayesmtl.causal.frontdoor import frontdoor
from bayesmtl.causal.instruments import Instrument, instruments
from bayesmtl.causal.validity import Invalid, Valid, valid
from bayesmtl.errors import ModelError

Parents = dict[str, set[str]]
MANY = pytest.mark.parametrize("number", [100, pytest.param(1000, marks=pytest.mark.slow)])


class Path(NamedTuple):
    """A path by what decides whether it is open."""

    nodes: tuple[str, ...]
    tails: set[str]  # the nodes that it leaves or enters along an arrow of theirs
    middles: set[str]  # the nodes inside that are no colliders
    colliders: set[str]

    @property
    def directed(self) -> bool:
        return self.tails == set(self.nodes[:-1])

    def open(self, given: set[str], above: set[str]) -> bool:
        return not self.middles & given and self.colliders <= above


def canonical(dag: Dag) -> Parents:
    """The parents of each node, with a hidden node for each arc."""
    parents: Parents = {node: set() for node in dag.nodes}
    for cause, effect in dag.arrows:
        parents[effect].add(cause)
    for a, b in dag.arcs:
        parents[f"{a}<->{b}"] = set()
        parents[a].add(f"{a}<->{b}")
        parents[b].add(f"{a}<->{b}")
    return parents


def above(parents: Parents, nodes: set[str]) -> set[str]:
    """Some nodes and their ancestors."""
    found = set(nodes)
    while more := {cause for node in found for cause in parents[node]} - found:
        found |= more
    return found


def below(parents: Parents, nodes: set[str]) -> set[str]:
    """Some nodes and their descendants."""
    return {node for node in parents if above(parents, {node}) & nodes}


def paths(parents: Parents, start: str, end: str, barred: frozenset[str] = frozenset()) -> list[Path]:
    """All paths between two nodes."""

    def onward(nodes: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if nodes[-1] == end:
            yield nodes
            return
        for other in parents:
            joined = other in parents[nodes[-1]] or nodes[-1] in parents[other]
            if joined and other not in nodes and other not in barred:
                yield from onward((*nodes, other))

    found = []
    for nodes in onward((start,)):
        steps = list(pairwise(nodes))
        tails = {a if a in parents[b] else b for a, b in steps}
        colliders = {b for (a, b), (_, c) in pairwise(steps) if a in parents[b] and c in parents[b]}
        found.append(Path(nodes, tails, set(nodes[1:-1]) - colliders, colliders))
    return found


def connected(parents: Parents, routes: list[Path], given: set[str]) -> bool:
    over = above(parents, given)
    return any(path.open(given, over) for path in routes)


def subsets(nodes: set[str]) -> list[frozenset[str]]:
    """All subsets, small ones first."""
    return [frozenset(some) for size in range(len(nodes) + 1) for some in combinations(sorted(nodes), size)]


def smallest(sets: list[frozenset[str]]) -> set[frozenset[str]]:
    return {some for some in sets if not any(other < some for other in sets)}


class Truth:
    """Validity as Perkovic et al. (2018) define it, path by path."""

    def __init__(self, dag: Dag, starts: set[str], outcome: str):
        self.parents = canonical(dag)
        proper = [
            path
            for start in starts
            for path in paths(self.parents, start, outcome, frozenset(starts - {start}))
        ]
        causal = [path for path in proper if path.directed]
        self.other = [path for path in proper if not path.directed]
        self.first = {path.nodes[:2] for path in causal}
        self.forbidden = below(self.parents, {node for path in causal for node in path.nodes[1:]})

    def valid(self, given: set[str]) -> bool:
        return not given & self.forbidden and not connected(self.parents, self.other, given)


def graphs(number: int) -> Iterator[tuple[random.Random, Dag, list[str]]]:
    """Random graphs of up to 8 nodes, with the measured ones, four or more, in an order for questions."""
    seeds = count()
    while number:
        draw = random.Random(next(seeds))
        names = draw.sample("abcdefgh", draw.choice([5, 6, 7, 8, 8, 8]))
        rate = draw.choice([0.25, 0.35, 0.45])
        arrows = frozenset(pair for pair in combinations(names, 2) if draw.random() < rate)
        arcs = frozenset(tuple(sorted(draw.sample(names, 2))) for _ in range(draw.choice([0, 0, 1, 2, 3])))
        latent = draw.sample(names, draw.choice([0, 0, 0, 1, 2]))
        dag = Dag(arrows, arcs, frozenset(latent))
        # mostly in causal order, so that most questions are of effects that there are
        nodes = [name for name in names if name in dag.nodes - dag.latent]
        if len(nodes) >= 4:
            number -= 1
            yield draw, dag, nodes if draw.random() < 0.8 else draw.sample(nodes, len(nodes))


def question(draw: random.Random, nodes: list[str], most: int) -> tuple[set[str], str, set[str]]:
    """Exposures, an outcome, and the other measured nodes; with the last as outcome most is to adjust for."""
    starts = set(draw.sample(nodes[1:-1], min(draw.randint(1, most), len(nodes) - 2)))
    return starts, nodes[-1], set(nodes[:-1]) - starts


@MANY
def test_separation_is_that_of_the_paths(number):
    asked = separated = 0
    for draw, dag, nodes in graphs(number):
        parents = canonical(dag)
        a, b = draw.sample(nodes, 2)
        routes, rest = paths(parents, a, b), set(nodes) - {a, b}
        apart = [given for given in subsets(rest) if not connected(parents, routes, set(given))]
        for given in draw.sample(subsets(rest), min(8, 2 ** len(rest))):
            assert dag.separated(a, b, given) == (given in apart)
            asked, separated = asked + 1, separated + (given in apart)
        forced, forbidden = split(draw, rest)
        listed = list(separators(dag, a, b, forced=forced, forbidden=forbidden))
        assert len(listed) == len(set(listed))
        assert set(listed) == smallest(
            [given for given in apart if forced <= given and not forbidden & given]
        )
    assert 0.1 * asked < separated < 0.9 * asked


def split(draw: random.Random, rest: set[str]) -> tuple[set[str], set[str]]:
    """Some nodes to force into each set, and some to keep out; mostly none."""
    picks = {node: draw.random() for node in sorted(rest)} if draw.random() < 0.5 else {}
    return {n for n, pick in picks.items() if pick < 0.2}, {n for n, pick in picks.items() if pick > 0.8}


@MANY
@pytest.mark.parametrize("most", [1, 3], ids=["single", "joint"])
def test_validity_and_the_lists_of_sets_are_those_of_the_definition(number, most):
    none = several = wrong = right = 0
    for draw, dag, nodes in graphs(number):
        starts, outcome, rest = question(draw, nodes, most)
        truth = Truth(dag, starts, outcome)
        good = [given for given in subsets(rest) if truth.valid(set(given))]
        for given in draw.sample(subsets(rest), min(6, 2 ** len(rest))):
            verdict = valid(dag, starts, outcome, given)
            assert isinstance(verdict, Valid) == (given in good)
            if isinstance(verdict, Invalid):
                shows(truth, verdict, dag, starts, outcome, given)
            wrong, right = wrong + (given not in good), right + (given in good)
        forced, forbidden = split(draw, rest)
        found = adjustment(dag, starts, outcome, forced=forced, forbidden=forbidden)
        possible = [given for given in good if forced <= given and not forbidden & given]
        if isinstance(found, Invalid):
            assert not possible
            ancestors = above(truth.parents, starts | {outcome} | forced)
            widest = set() if forced & truth.forbidden else rest & ancestors - truth.forbidden - forbidden
            shows(truth, found, dag, starts, outcome, forced | widest)
            none += 1
        else:
            assert found.complete and len(found.minimal) == len(set(found.minimal))
            assert set(found.minimal) == smallest(possible)
            assert list(map(len, found.minimal)) == sorted(map(len, found.minimal))
            assert found.efficient in possible
            several += len(found.minimal) > 1
    assert min(none, several, wrong, right) > number / 40


def shows(truth: Truth, verdict: Invalid, dag: Dag, starts: set[str], outcome: str, given: set[str]) -> None:
    """That the path of a verdict is in the graph, and shows what is wrong."""
    nodes, edges = verdict.path[::2], verdict.path[1::2]
    assert len(set(nodes)) == len(nodes) and starts & set(nodes) == {nodes[0]} and nodes[-1] == outcome
    for a, edge, b in zip(nodes[:-1], edges, nodes[1:], strict=True):
        if edge == "<->":
            assert tuple(sorted([a, b])) in dag.arcs
        else:
            assert ((a, b) if edge == "->" else (b, a)) in dag.arrows
    assert " ".join(verdict.path) in verdict.reason
    if set(given) & truth.forbidden:
        assert set(edges) == {"->"} and set(given) & below(truth.parents, set(nodes[1:]))
    else:
        over = above(truth.parents, set(given))
        lengths = [
            sum("<->" not in node for node in path.nodes)
            for path in truth.other
            if path.open(set(given), over)
        ]
        assert set(edges) != {"->"} and len(nodes) == min(lengths)


def instruments_by_definition(dag: Dag, x: str, y: str, rest: set[str]) -> dict[str, list[frozenset[str]]]:
    """Every set given which a node is an instrument, by Brito and Pearl (2002)."""
    truth = Truth(dag, {x}, y)
    parents = truth.parents
    cut = {b: {a for a in causes if (a, b) not in truth.first} for b, causes in parents.items()}
    never = truth.forbidden | below(parents, {y})
    found = {}
    for z in rest:
        to_exposure, to_outcome = paths(parents, z, x), paths(cut, z, y)
        found[z] = [
            given
            for given in subsets(rest - never - {z})
            if connected(parents, to_exposure, given) and not connected(cut, to_outcome, given)
        ]
    return found


@MANY
def test_instruments_are_those_of_the_definition(number):
    conditional = 0
    for draw, dag, nodes in graphs(number):
        (x,), y, rest = question(draw, nodes, 1)
        sets = instruments_by_definition(dag, x, y, rest)
        found = instruments(dag, x, y)
        for instrument in found:
            assert instrument.given in sets[instrument.node]
        ancestral = {z for z in rest if any(given <= dag.ancestors([y, z]) for given in sets[z])}
        assert {instrument.node for instrument in found} == ancestral
        assert bool(found) == any(sets.values())
        conditional += any(instrument.given for instrument in found)
    assert conditional > number / 20


def front_door_by_definition(dag: Dag, x: str, y: str, rest: set[str]) -> list[frozenset[str]]:
    """Every front-door set, by Pearl (1995)."""
    parents = canonical(dag)
    causal = [path for path in paths(parents, x, y) if path.directed]
    from_x = {z: [path for path in paths(parents, x, z) if x not in path.tails] for z in rest}
    to_y = {z: paths(parents, z, y) for z in rest}
    found = []
    for given in subsets(rest):
        # without the arrows out of the set
        cut = {b: causes - given for b, causes in parents.items()}
        left = [path for z in given for path in to_y[z] if not path.tails & given]
        before = any(connected(parents, from_x[z], set()) for z in given)
        if not before and not connected(cut, left, {x}) and all(given & set(path.nodes) for path in causal):
            found.append(given)
    return found


@MANY
def test_front_door_sets_are_those_of_the_definition(number):
    some = 0
    for draw, dag, nodes in graphs(number):
        (x,), y, rest = question(draw, nodes, 1)
        expected = smallest(front_door_by_definition(dag, x, y, rest))
        assert set(frontdoor(dag, x, y)) == expected
        some += bool(expected - {frozenset()})
    assert some > number / 40


def linear(parents: Parents, seed: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The nodes of a linear model, its coefficients and its covariance; [node, node]."""
    draw = np.random.default_rng(seed)
    nodes = sorted(parents)
    weights = np.array([[draw.normal() * (a in parents[b]) for a in nodes] for b in nodes])
    spread = np.linalg.inv(np.eye(len(nodes)) - weights)
    return nodes, weights, spread * draw.uniform(0.5, 2.0, len(nodes)) @ spread.T


def effects(nodes: list[str], weights: np.ndarray, starts: list[str], outcome: str) -> np.ndarray:
    """The joint total effects on an outcome: of setting the exposures, whatever causes them."""
    at = [nodes.index(start) for start in starts]
    weights = weights.copy()
    weights[at] = 0.0
    return np.linalg.inv(np.eye(len(nodes)) - weights)[nodes.index(outcome), at]


class Regression:
    """The least squares of one node on others: coefficients, and their asymptotic variances."""

    def __init__(self, nodes: list[str], cov: np.ndarray, outcome: str, on: list[str]):
        at, y = [nodes.index(name) for name in on], nodes.index(outcome)
        inverse = np.linalg.inv(cov[np.ix_(at, at)])
        self.weights = inverse @ cov[at, y]
        self.variances = (cov[y, y] - cov[at, y] @ self.weights) * np.diag(inverse)


@pytest.mark.parametrize("most", [1, 3], ids=["single", "joint"])
def test_regression_on_a_listed_set_has_the_total_effects(most):
    answered = 0
    for seed, (draw, dag, nodes) in enumerate(graphs(300)):
        starts, outcome, _ = question(draw, nodes, most)
        found = adjustment(dag, starts, outcome)
        if isinstance(found, Invalid):
            continue
        order = sorted(starts)
        names, weights, cov = linear(canonical(dag), seed)
        for given in {*found.minimal, found.efficient}:
            fit = Regression(names, cov, outcome, [*order, *sorted(given)])
            expected = effects(names, weights, order, outcome)
            np.testing.assert_allclose(fit.weights[: len(order)], expected, rtol=1e-7, atol=1e-7)
        answered += 1
    assert answered > 100


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("most", [1, 3], ids=["single", "joint"])
def test_no_valid_set_is_more_precise_than_the_efficient_one(most, hidden):
    answered = 0
    for seed, (draw, dag, nodes) in enumerate(graphs(300)):
        starts, outcome, rest = question(draw, nodes, most)
        if hidden:  # what is measured are ancestors
            rest &= dag.ancestors(starts | {outcome})
            dag = Dag(dag.arrows, dag.arcs, dag.nodes - rest - starts - {outcome})
        else:
            dag = Dag(dag.arrows)
            rest = set(dag.nodes) - starts - {outcome}
            if not starts | {outcome} <= dag.nodes:
                continue
        found = adjustment(dag, starts, outcome)
        if isinstance(found, Invalid) or not all(outcome in dag.descendants([start]) for start in starts):
            continue
        order = sorted(starts)
        names, _, cov = linear(canonical(dag), seed)
        truth = Truth(dag, starts, outcome)
        good = [given for given in subsets(rest) if truth.valid(given)]
        variances = {
            given: Regression(names, cov, outcome, [*order, *sorted(given)]).variances[: len(order)]
            for given in good
        }
        for given in good:
            assert (variances[found.efficient] <= variances[given] * (1 + 1e-9)).all()
        answered += len(good) > 1
    assert answered > 40


def test_an_instrument_and_a_front_door_set_tell_the_total_effect():
    by_instrument = by_front_door = 0
    for seed, (draw, dag, nodes) in enumerate(graphs(300)):
        (x,), y, _ = question(draw, nodes, 1)
        names, weights, cov = linear(canonical(dag), seed)
        (expected,) = effects(names, weights, [x], y)
        for instrument in instruments(dag, x, y):
            on = [instrument.node, *sorted(instrument.given)]
            ratio = Regression(names, cov, y, on).weights[0] / Regression(names, cov, x, on).weights[0]
            np.testing.assert_allclose(ratio, expected, rtol=1e-6, atol=1e-6)
            by_instrument += 1
        for through in frontdoor(dag, x, y):
            steps = sorted(through)
            there = [Regression(names, cov, z, [x]).weights[0] for z in steps]
            onward = Regression(names, cov, y, [*steps, x]).weights[:-1]
            np.testing.assert_allclose(onward @ np.array(there), expected, rtol=1e-7, atol=1e-7)
            by_front_door += bool(steps)
    assert min(by_instrument, by_front_door) > 10


# Cinelli, Forney and Pearl (2022), A crash course in good and bad controls. Sociological Methods & Research
# 53(3), 1071-1104: of each model whether the effect of x on y is told without z, and with it. "Good" is a z
# that is needed, "bad" one that spoils, "neutral" neither. Model 10 is bad though neither is right: z makes
# the bias larger, which no graph can tell.
CONTROLS = {
    1: ("z -> x -> y; z -> y", False, True),
    2: ("u -> z -> x -> y; u -> y", False, True),
    3: ("u -> z -> y; u -> x -> y", False, True),
    4: ("z -> x -> m -> y; z -> m", False, True),
    5: ("u -> z -> x -> m -> y; u -> m", False, True),
    6: ("u -> z -> m; u -> x -> m -> y", False, True),
    7: ("u -> x -> y; u -> z; v -> z; v -> y", True, False),
    8: ("z -> y; x -> y", True, True),
    9: ("z -> x -> y", True, True),
    10: ("z -> x -> y; u -> x; u -> y", False, False),
    11: ("x -> z -> y", True, False),
    12: ("x -> m -> y; m -> z", True, False),
    13: ("x -> m -> y; z -> m", True, True),
    14: ("x -> y; x -> z", True, True),
    15: ("x -> y; x -> z -> w; u -> w; u -> y", True, True),
    16: ("x -> y; x -> z; u -> z; u -> y", True, False),
    17: ("x -> y; x -> z; y -> z", True, False),
    18: ("x -> y -> z", True, False),
}


@pytest.mark.parametrize("model", CONTROLS)
def test_good_and_bad_controls(model):
    text, without, given_z = CONTROLS[model]
    dag = Dag.read(text.replace("; ", "\n") + "\nlatent: u, v")
    assert isinstance(valid(dag, "x", "y"), Valid) == without
    assert isinstance(valid(dag, "x", "y", ["z"]), Valid) == given_z
    if model == 15:  # of a sample that w has selected, z is a good control
        assert isinstance(valid(dag, "x", "y", ["w"]), Invalid)
        assert isinstance(valid(dag, "x", "y", ["w", "z"]), Valid)


def test_the_sets_of_pearls_example():
    # Pearl (2009), Causality, figure 3.4: {x3, x4} and {x4, x5} are named there
    dag = Dag.read("x1 -> x3 -> x -> x6 -> y\nx2 -> x5 -> y\nx1, x2 -> x4\nx4 -> x\nx4 -> y")
    found = adjustment(dag, "x", "y")
    assert set(found.minimal) == {frozenset({"x4", f"x{i}"}) for i in (1, 2, 3, 5)}
    assert found.efficient == {"x4", "x5"}
    assert frontdoor(dag, "x", "y") == (frozenset({"x6"}),)


def test_every_front_door_set_is_listed():
    dag = Dag.read("x -> a -> b -> c -> y\nx -> d -> e -> y <-> x")
    assert set(frontdoor(dag, "x", "y")) == {frozenset({p, q}) for p in "abc" for q in "de"}


def test_reasons_are_said_with_their_path():
    dag = Dag.read("u -> x -> m -> y -> z\nu -> y\nm -> d\nx -> c <- v -> y\nc -> e\nlatent: v")
    assert valid(dag, "x", "y", ["u"]) == Valid()
    reasons = {
        (): "x <- u -> y is open, and not causal",
        ("u", "m"): '"m" is on the causal path x -> m -> y',
        ("u", "d"): '"d" is an effect of "m", on the causal path x -> m -> y',
        ("u", "z"): '"z" is an effect of "y", on the causal path x -> m -> y',
        ("u", "c"): 'adjusting for "c" opens x -> c <- v -> y, which is not causal',
        ("u", "e"): 'adjusting for "e" opens x -> c <- v -> y, which is not causal',
    }
    for given, reason in reasons.items():
        assert valid(dag, "x", "y", given).reason == reason
    none = adjustment(Dag.read("x -> y\nx <- u -> y\nlatent: u"), "x", "y")
    assert none.path == ("x", "<-", "u", "->", "y")
    assert instruments(Dag.read("z -> x -> y\nx <-> y"), "x", "y") == (Instrument("z", frozenset()),)
    assert adjustment(Dag.read("x -> y"), "x", "y") == Adjustment((frozenset(),), frozenset(), True)


def test_unsound_questions_are_refused():
    dag = Dag.read("x -> y\nu -> y\nlatent: u")
    for ask in (
        lambda: valid(dag, "x", "z"),
        lambda: valid(dag, "x", "y", ["x"]),
        lambda: valid(dag, "x", "y", ["u"]),
        lambda: valid(dag, [], "y"),
        lambda: adjustment(dag, "x", "y", forced=["q"]),
        lambda: adjustment(dag, "y", "y"),
        lambda: instruments(dag, "x", "z"),
        lambda: frontdoor(dag, "x", "x"),
        lambda: separators(dag, "x", "z"),
        lambda: adjustment(Dag.read("x -> y -> x"), "x", "y"),
    ):
        with pytest.raises(ModelError):
            ask()


def test_thirty_nodes_are_listed_at_a_bounded_delay(monkeypatch):
    # 3^9 minimal sets; a search through a graph is all that costs time, and a set costs some for each node
    dag = Dag.read("x -> y\n" + "\n".join(f"x <- a{i} <- b{i} -> c{i} -> y" for i in range(9)))
    searched = []
    reach = dseparation._reach
    monkeypatch.setattr(dseparation, "_reach", lambda *asked: searched.append(1) or reach(*asked))
    found = adjustment(dag, "x", "y")
    assert len(found.minimal) == MOST and not found.complete
    assert len(searched) < 4 * len(dag.nodes) * MOST
    apart = Dag(dag.arrows - {("x", "y")})
    searched.clear()
    assert len(list(islice(separators(apart, "x", "y"), 5))) == 5
    assert len(searched) < 4 * len(dag.nodes) * 5
    few = Dag.read("x -> y\n" + "\n".join(f"x <- a{i} <- b{i} -> y" for i in range(5)))
    assert len(adjustment(few, "x", "y").minimal) == 2**5
