"""Which weights of a regression are direct effects, for what lies between is a predictor too.

What lies between may rather be a task: then its own causes are told as well, and ``intervene`` adds up what
goes through it.
"""

from collections.abc import Iterable, Iterator

from bayesmtl.causal.estimands import Effect, via
from bayesmtl.causal.paths import onward
from bayesmtl.causal.regressions import Regression
from bayesmtl.causal.validity import shown
from bayesmtl.errors import Finding, listed, named


def faults(regressions: Iterable[Regression]) -> Iterator[Finding]:
    """Notes on the weights of some tasks that leave something out; what is alike is said once."""
    regressions = list(regressions)
    for where in dict.fromkeys(each.where for each in regressions):
        here = [each for each in regressions if each.where == where]
        if direct := [each for each in here if _through(each)]:
            yield _direct(where, direct, regressions)
        for each in here:
            yield from _tasks(where, each, regressions)


def _through(regression: Regression) -> dict[str, frozenset[str]]:
    """The predictors with direct effects, and what is given on their causal paths."""
    effects = {x: told.through for x, told in regression.told.items() if isinstance(told, Effect)}
    return {x: through for x, through in effects.items() if through}


def _direct(where: str, regressions: list[Regression], every: list[Regression]) -> Finding:
    """Weights that leave out what goes through other predictors, each with a path of it."""
    steps = [_through(each) for each in regressions]
    tasks = "all tasks" if len(regressions) == len(every) > 1 else named(each.task for each in regressions)
    paths: dict[str, str] = {}
    for each, own in zip(regressions, steps, strict=True):
        for x in own.keys() - paths.keys():
            paths[x] = shown(via(each.dag, x, own[x], each.outcome))
    weights = f"the weight{'s' * (len(paths) > 1)} of {named(frozenset(paths))}"
    if any(own != steps[0] for own in steps):
        weights = "some weights"
    are = "is a direct effect" if len(paths) == 1 and weights != "some weights" else "are direct effects"
    between = frozenset(step for own in steps for through in own.values() for step in through)
    fixed = between & every[0].dag.selected
    what = "what selects the rows" if fixed == between else "other predictors"
    left = listed([paths[x] for x in sorted(paths)], 4)
    problem = f"{weights} for {tasks} {are}, without what goes through {what}: {left}."
    return Finding(where, problem, _instead(between, fixed, regressions, every), "note")


def _instead(
    between: frozenset[str], fixed: frozenset[str], regressions: list[Regression], every: list[Regression]
) -> str:
    """What tells total effects, and which other weights leaving out a step would confound."""
    rows = f"For a total effect take rows whatever {named(fixed)}." if fixed else ""
    between -= fixed
    if not between:
        return rows
    task = f"make {'it a task' if len(between) == 1 else 'them tasks'} and "
    task = "" if between <= {each.outcome for each in every} else task
    remedy = f"For a total effect leave out {named(between)}, or {task}ask intervene."
    needed = [step for step in sorted(between) if any(each.served(step) for each in regressions)]
    biased = f"Leaving out {named(needed)} biases other weights; intervene does not." if needed else ""
    return " ".join(filter(None, [rows, remedy, biased]))


def _tasks(where: str, regression: Regression, every: list[Regression]) -> Iterator[Finding]:
    """Predictors that are tasks themselves, and on no other predictor's path."""
    through = frozenset().union(*_through(regression).values())
    for x in regression.predictors:
        path = onward(regression.dag, [x], regression.outcome)
        if path and x not in through and x in {each.outcome for each in every}:
            problem = f'"{x}" is a task, and a predictor of "{regression.task}": {shown(path)}.'
            remedy = f'To predict "{regression.task}" where "{x}" is unknown, leave it out.'
            yield Finding(where, problem, remedy, "note")
