"""Exposures one after the other, with an effect of the first between them that confounds the second.

The second can't be told without what lies between. Beside it the first has lost a part of its effect, or is
biased, where a hidden cause is behind what lies between and the outcome. So no one regression tells what both
do; the g-formula does, by which ``intervene`` answers.

References
----------
Robins (1986). A new approach to causal inference in mortality studies with a sustained exposure period.
    Mathematical Modelling 7, 1393-1512.
"""

from collections.abc import Iterator

from bayesmtl.causal.adjustment import adjustable
from bayesmtl.causal.estimands import Biased, Effect, via
from bayesmtl.causal.regressions import Regression
from bayesmtl.causal.validity import shown

Loop = tuple[str, str, str]  # the first exposure, what lies between, and the second


def loops(regression: Regression) -> Iterator[Loop]:
    """The predictors of which the first is biased because of a second one, or of what this one needs."""
    dag, told = regression.dag, regression.told
    for first in [x for x, verdict in told.items() if isinstance(verdict, Biased)]:
        after = dag.descendants([first])
        if isinstance(regression.estimand(first, regression.others(first) - after), Biased):
            continue
        for second in sorted(after.intersection(told)):
            if not adjustable(dag, (first, second), regression.outcome):
                steps = sorted(after & dag.ancestors([second]) & dag.measured)
                yield from ((first, step, second) for step in steps if _needed(regression, second, step))


def reason(regression: Regression, loop: Loop) -> str:
    """What a regression gets wrong without what lies between, and what with it."""
    first, between, second = loop
    dag, beside = regression.dag, _beside(regression, loop)
    without = regression.estimand(second, regression.others(second) - {between})
    assert isinstance(without, Biased)
    if isinstance(beside, Biased):
        wrong = beside.reason
    else:
        wrong = f'the weight of "{first}" lacks {shown(via(dag, first, [between], regression.outcome))}'
    way = shown(via(dag, first, [between], second))
    return f'"{between}" lies between ({way}); without it {without.reason}, and with it {wrong}'


def remedy(regression: Regression, loop: Loop, tasks: str, *, task: bool) -> str:
    """What tells the joint effect, and what a formula tells; ``task`` says that what lies between is one."""
    first, between, _ = loop
    if isinstance(_beside(regression, loop), Effect):
        alone = f'Add "{between}" to the formula of {tasks} for direct effects'
    else:
        alone = f'A formula without what comes after "{first}" tells its effect alone'
    return f"{alone}; for the joint effect {'' if task else f'make "{between}" a task and '}ask intervene."


def _needed(regression: Regression, second: str, between: str) -> bool:
    """Whether an exposure is told with what lies before it, and not without."""
    rest = regression.others(second)
    beside = regression.estimand(second, rest | {between})
    return isinstance(beside, Effect) and isinstance(regression.estimand(second, rest - {between}), Biased)


def _beside(regression: Regression, loop: Loop) -> Effect | Biased:
    """What the weight of the first tells with what lies between."""
    first, between, _ = loop
    return regression.estimand(first, regression.others(first) | {between})
