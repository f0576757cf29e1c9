"""What a picture of a causal graph marks: roles, what to adjust for, open paths, and contradictions."""

from dataclasses import dataclass
from typing import Any

from bayesmtl.causal.adjustment import adjustment
from bayesmtl.causal.estimands import Biased
from bayesmtl.causal.regressions import Regression
from bayesmtl.causal.validity import Invalid
from bayesmtl.checks import regressions
from bayesmtl.errors import ModelError, unknown
from bayesmtl.spec import Model
from bayesmtl.terms import factors
from bayesmtl.wanted import outcomes


@dataclass(frozen=True)
class Asked:
    """A task, and perhaps the effect of an exposure on it: what its formula and the graph adjust for.

    Parameters
    ----------
    outcome
        The task's node.
    formula
        The nodes that its formula adjusts for, without the exposure.
    exposure
        The node whose effect is asked for; "" for none.
    needed
        What to adjust for, to tell its total effect most precisely.
    path
        Why the exposure's weight tells no effect, or why no set of measured nodes does: an open path that is
        not causal, or a causal one that is blocked.
    words
        All this in sentences.
    """

    outcome: str = ""
    formula: frozenset[str] = frozenset()
    exposure: str = ""
    needed: frozenset[str] = frozenset()
    path: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def edges(self) -> frozenset[tuple[str, str, str]]:
        """The edges of the path: ("cause", "->", "effect"), or ("a", "<->", "b") in alphabetical order."""
        found = set()
        for a, edge, b in zip(self.path[::2], self.path[1::2], self.path[2::2]):
            if edge == "<-" or (edge == "<->" and b < a):
                a, b = b, a
            found.add((a, "<->" if edge == "<->" else "->", b))
        return frozenset(found)

    @property
    def state(self) -> str:
        """What the path is: one that begins to end along the arrows is causal, and should not be blocked."""
        return "blocked" if set(self.path[1::2]) == {"->"} else "open"


def roles(model: Model) -> dict[str, str]:
    """What each node is: "task", "latent", "selected", "group" or "predictor"."""
    tasks, dag = outcomes(model), model.dag
    groups = {name for task in tasks for name in factors(task.formula or "")}
    kinds = {
        "task": {task.column for task in tasks},
        "latent": dag.latent,
        "selected": dag.selected,
        "group": groups | ({model.tasks["by"]} if model.as_rows else set()),
    }
    return {
        node: next((kind for kind, nodes in kinds.items() if node in nodes), "predictor")
        for node in sorted(dag.nodes | kinds["task"])
    }


def alike(model: Model) -> list[list[str]]:
    """Tasks of the graph with the same causes, effects and signs, put together."""
    found: dict[frozenset[Any], list[str]] = {}
    for node in (task.column for task in outcomes(model)):
        arrows = [(a, b, model.dag.signs.get((a, b))) for a, b in model.dag.arrows]
        near = [each for each in [*arrows, *model.dag.arcs] if node in each]
        key = frozenset(tuple("" if end == node else end for end in each) for each in near)
        if near:
            found.setdefault(key, []).append(node)
    return list(found.values())


def contradictions(model: Model) -> dict[tuple[str, str], str]:
    """The arrows that can't all be, each with the word for it.

    Examples
    --------
    >>> contradictions(Model(tasks={"vote": "bernoulli"}, dag="age -> vote -> age"))
    {('age', 'vote'): 'opposite', ('vote', 'age'): 'opposite'}
    """
    dag = model.dag
    signs = {
        arrow
        for task in outcomes(model)
        for arrow, sign in task.dag.signs.items()
        if sign != dag.signs[arrow]
    }
    found = {}
    for a, b in sorted(dag.arrows):
        if a != b and (b, a) in dag.arrows:
            found[a, b] = "opposite"
        elif a in dag.descendants([b]):
            found[a, b] = "cycle"
        elif (a, b) in signs:
            found[a, b] = "two signs"
    return found


def question(model: Model, task: str, exposure: str | None = None) -> Asked:
    """What a formula adjusts a task for, and the graph the effect of an exposure on it.

    Raises
    ------
    ModelError
        When the graph has no such task or exposure, or an exposure is asked for and the graph has a cycle.
    """
    known = {each.task: each for each in regressions(model)}
    wrong = [] if task in known else [unknown("task", "task in the graph", task, known)]
    if exposure is not None and exposure not in model.dag.nodes:
        wrong.append(unknown("exposure", "node", exposure, model.dag.nodes))
    if wrong:
        raise ModelError(*wrong)
    regression = known[task]
    outcome = regression.outcome
    if exposure is None:
        formula = regression.others(outcome) - model.dag.selected
        words = f"The formula of {task} adjusts for {_listed(formula)}."
        return Asked(outcome, formula, words=(words,))
    causes = model.dag.ancestors([outcome]) & model.dag.measured - {outcome}
    if exposure not in causes:
        raise ModelError(unknown("exposure", f"measured cause of {task}", exposure, causes))
    return _effect(regression, exposure)


def _effect(regression: Regression, exposure: str) -> Asked:
    """What the graph and the formula say of one effect."""
    dag, outcome, given = regression.dag, regression.outcome, regression.others(exposure)
    formula = given - dag.selected
    found = adjustment(dag, exposure, outcome)
    path: tuple[str, ...] = ()
    needed, how = frozenset[str](), "no set of measured nodes tells it by adjustment"
    if isinstance(found, Invalid):
        path = found.path
    else:
        needed, how = found.efficient, f"best adjusted for {_listed(found.efficient)}"
    own = f'"{exposure}" is not in the formula.'
    if exposure in regression.predictors:
        told = regression.estimand(exposure, given)
        if isinstance(told, Biased):
            own, path = f"Its weight in the formula tells no effect: {told.reason}.", told.path
        else:
            less = f"a direct effect, without what goes through {_listed(told.through)}"
            own = f"Its weight in the formula tells {less if told.through else 'the total effect'}."
    words = (f"The effect of {exposure} on {regression.task}: {how}.", own)
    return Asked(outcome, formula, exposure, needed, path, words)


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
