"""Causal graphs of several tasks held against each other, and against what the tasks share."""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import combinations, pairwise

from bayesmtl import conflicts
from bayesmtl.causal.dag import Dag
from bayesmtl.causal.estimands import Biased, Effect, closing, estimand
from bayesmtl.causal.paths import mediators, onward, unadjustable
from bayesmtl.causal.regressions import Regression
from bayesmtl.errors import Finding, named
from bayesmtl.spec import Model, Task

MOST = 9  # nodes whose subsets are all tried
_SIGNED = ("correlated", "low_rank")  # relations that let the weights of two tasks have opposite signs


def contradictions(model: Model, tasks: Iterable[Task]) -> Iterator[Finding]:
    """What the graphs of the tasks can't all mean: arrows that turn, cycles, and signs that differ.

    References
    ----------
    Alrajeh, Chockler and Halpern (2020). Combining experts' causal judgments. Artificial Intelligence 288,
        103355.
    """
    graphs = {f"tasks.{task.name}.dag" if not model.as_rows else "tasks.dag": task.dag for task in tasks}
    own = frozenset(arrow for dag in graphs.values() for arrow in dag.arrows)
    graphs["dag"] = Dag(model.dag.arrows - own, signs=model.dag.signs)
    opposite = set[tuple[str, str]]()
    for a, b in sorted(model.dag.arrows):
        if a < b and (b, a) in model.dag.arrows:
            here, there = _holder(graphs, (a, b)), _holder(graphs, (b, a))
            if here != there:
                opposite |= {(a, b), (b, a)}
                problem = f"has {a} -> {b}, and {there} has {b} -> {a}: a confounder there is a step here."
                yield Finding(here, problem, "Turn one of them: the tasks are about one world.")
    if cycle := Dag(model.dag.arrows - opposite).cycle():
        holders = {f"{a} -> {b}": _holder(graphs, (a, b)) for a, b in pairwise(cycle)}
        one = len({*holders.values()}) == 1
        parts = "" if one else f": {', '.join(f'{arrow} in {where}' for arrow, where in holders.items())}"
        problem = f"has a cycle: {' -> '.join(cycle)}{parts}."
        yield Finding(next(iter(holders.values())) if one else "dag", problem, "Remove one arrow.")
    for arrow in sorted(model.dag.signs):
        said = {where: dag.signs[arrow] for where, dag in graphs.items() if arrow in dag.signs}
        for where, sign in said.items():
            if sign != model.dag.signs[arrow]:
                other = next(place for place, known in said.items() if known != sign)
                problem = f"has {' -> '.join(arrow)} {sign}, and {other} has the opposite sign."
                yield Finding(where, problem, "Give the arrow one sign, or none.")


def _holder(graphs: dict[str, Dag], arrow: tuple[str, str]) -> str:
    return next(where for where, dag in graphs.items() if arrow in dag.arrows)


def faults(model: Model, regressions: list[Regression]) -> Iterator[Finding]:
    """What the tasks share though the graph has it otherwise, and group effects that predictors follow.

    References
    ----------
    Mundlak (1978). On the pooling of time series and cross section data. Econometrica 46, 69-85.
    """
    dag = model.dag
    yield from _group_effects(dag, regressions, {model.tasks["by"]} if model.as_rows else set())
    if model.as_rows or len(regressions) < 2:
        return
    yield from _common_sets(dag, regressions)
    kinds = {part["kind"] for _, part in conflicts.nested("relations", model.relation, "")}
    if shared := kinds - {"independent", "sum_of"}:
        signed = bool(shared & {*_SIGNED})
        for name in sorted({name for each in regressions for name in each.predictors}):
            users = [each for each in regressions if name in each.predictors]
            found = [*_idle(dag, name, users), *_direct_and_total(dag, name, users)]
            found += [] if signed else _signs(dag, name, users)
            shares = f'{" and ".join(sorted(shared))} shares the weight of "{name}" over tasks'
            yield from (Finding("relation", f"{shares}{why}", remedy, "warning") for why, remedy in found)


def _idle(dag: Dag, name: str, users: list[Regression]) -> Iterator[tuple[str, str]]:
    """A shared weight that the graph has at 0 for some tasks: what is wrong, and what to do."""
    after = dag.descendants([name])
    idle = [each.task for each in users if each.outcome not in after]
    if idle and len(idle) < len(users):
        remedy = f'Give {named(idle)} a formula without "{name}", or take relation = "independent".'
        yield f", and the graph has no effect of it on {named(idle)}.", remedy


def _direct_and_total(dag: Dag, name: str, users: list[Regression]) -> Iterator[tuple[str, str]]:
    """A shared weight that is a direct effect for one task, and for another a total one."""
    told = [(each, each.told.get(name)) for each in users]
    effects = {each: effect.through for each, effect in told if isinstance(effect, Effect)}
    lies = {each: mediators(dag, frozenset([name]), each.outcome) - {each.outcome} for each in effects}
    for step in sorted(frozenset().union(*effects.values())):
        direct = [each.task for each, through in effects.items() if step in through]
        total = [each.task for each in effects if step in lies[each] - each.others(name)]
        if total:
            left = f': for {named(direct)} it leaves out what goes through "{step}"'
            remedy = f'Take "{step}" into all of these formulas, or out of all.'
            yield f"{left}, and for {named(total)} it does not.", remedy


def _signs(dag: Dag, name: str, users: list[Regression]) -> Iterator[tuple[str, str]]:
    """A shared weight that the graph has on two sides of 0."""
    signs = {each.task: _sign(dag, name, each) for each in users}
    above, below = ([task for task, sign in signs.items() if sign == side] for side in "+-")
    if above and below:
        why = f", and the graph has it positive for {named(above)} and negative for {named(below)}."
        yield why, 'Take relation = "correlated", whose correlations have a sign, or recode a task.'


def _sign(dag: Dag, name: str, task: Regression) -> str:
    """The sign of a weight: that of the product of the arrows' signs, if all paths agree; else empty."""
    given, towards = task.others(name), dag.ancestors([task.outcome]) | {task.outcome}

    @cache
    def signs(node: str) -> frozenset[str]:
        if node == task.outcome:
            return frozenset("+")
        found = set()
        for after in (dag.effects(node) & towards) - given:
            sign = dag.signs.get((node, after), "")
            found |= {"" if not (sign and rest) else "+" if sign == rest else "-" for rest in signs(after)}
        return frozenset(found)

    found = signs(name)
    return min(found) if len(found) == 1 else ""


def _common_sets(dag: Dag, regressions: list[Regression]) -> Iterator[Finding]:
    """A formula of several tasks that no controls make right for all, though each task has some."""
    for where in dict.fromkeys(each.where for each in regressions):
        tasks = [each for each in regressions if each.where == where]
        for name in tasks[0].predictors if len(tasks) > 1 else ():
            told = [each.told.get(name) for each in tasks]
            acted = [each for each, verdict in zip(tasks, told, strict=True) if verdict]
            if len(acted) > 1 and any(isinstance(v, Biased) for v in told) and not _common(dag, name, acted):
                problem = (
                    f'no one set of controls tells the effect of "{name}" on {named(t.task for t in acted)}.'
                )
                yield Finding(where, problem, "Give these tasks formulas of their own.", "warning")


def _common(dag: Dag, name: str, tasks: list[Regression]) -> bool:
    """Whether one set tells an effect on all tasks; also where one has no set, or to look takes too long."""
    if any(closing(dag, name, each.outcome, frozenset()) is None for each in tasks):
        return True
    outcomes = {each.outcome for each in tasks}
    wrong = dag.descendants(outcomes) | outcomes | {name}
    wrong |= frozenset().union(*(unadjustable(dag, frozenset([name]), outcome) for outcome in outcomes))
    # a set that separates two nodes does so without those of its nodes that are above none of all these
    free = sorted((dag.measured - wrong) & dag.ancestors(outcomes | {name} | dag.selected))
    sets = (some for size in range(len(free) + 1) for some in combinations(free, size))
    return len(free) > MOST or any(
        all(isinstance(estimand(dag, name, outcome, some), Effect) for outcome in outcomes) for some in sets
    )


def _group_effects(dag: Dag, regressions: list[Regression], fixed: set[str]) -> Iterator[Finding]:
    """Group effects that are correlated with a predictor, where the model has them independent."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for each in regressions:
        for group in sorted(each.groups - fixed):
            if onward(dag, [group], each.outcome, frozenset(each.predictors)) is None:
                continue
            for name in each.predictors:
                # what the group alone causes, and acts on a predictor, stands for its mean
                mean = dag.causes(name) == {group} and dag.effects(name) & {*each.predictors}
                if not mean and onward(dag, [group], name, each.others(name)):
                    found.setdefault((each.where, group, name), []).append(each.task)
    for (where, group, name), tasks in found.items():
        problem = (
            f'the effects of "{group}" on {named(tasks)} are drawn to 0 as if they had nothing to do with '
            f'"{name}", and the graph has "{group}" act on both: the weight of "{name}" takes a part of them.'
        )
        remedy = f'Add the mean of "{name}" in each "{group}" as a column, drawn {group} -> mean -> {name}.'
        yield Finding(where, problem, remedy, "warning")
