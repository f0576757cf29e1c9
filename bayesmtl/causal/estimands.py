"""What the weight of one predictor tells, in a linear model that follows the graph."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bayesmtl.causal.dag import Dag
from bayesmtl.causal.dseparation import between
from bayesmtl.causal.paths import mediators, onward
from bayesmtl.causal.validity import shown


@dataclass(frozen=True)
class Effect:
    """The weight is the effect along the causal paths that meet no other predictor.

    Parameters
    ----------
    through
        What is given on causal paths, predictors or what selects the rows: with none the effect is the total
        one, else a direct one.
    """

    through: frozenset[str]


@dataclass(frozen=True)
class Biased:
    """The weight is something else.

    Parameters
    ----------
    reason
        Why, as a sentence without its full stop.
    path
        The open path that is not causal, or the causal one that is blocked in part.
    by
        What is given that opens or blocks it, predictors or what selects the rows; without any it is open as
        it is.
    """

    reason: str
    path: tuple[str, ...]
    by: frozenset[str]


def estimand(dag: Dag, exposure: str, outcome: str, given: Iterable[str]) -> Effect | Biased:
    """What the weight of an exposure tells in the regression of an outcome on it and on others.

    By the single-door criterion, for all causal paths that meet no other predictor at once: none of these
    is an effect of what lies on such a path, and they block every other path. This holds for every
    exposure among the predictors just if adjusting for the rest tells their joint effect.

    Parameters
    ----------
    dag
        The causal graph, without a cycle.
    exposure, outcome
        A predictor, and the node that it acts on.
    given
        The other predictors, and the nodes by which rows are grouped; what selects them is given in any case.

    References
    ----------
    Pearl (2009). Causality: models, reasoning, and inference, 2nd edition, theorem 5.3.1. Cambridge
        University Press.

    Examples
    --------
    >>> estimand(Dag.read("age -> drug -> stroke <- age"), "age", "stroke", ["drug"])
    Effect(through=frozenset({'drug'}))
    """
    given = frozenset(given) | dag.selected
    free = _free(dag, exposure, outcome, given)
    if wrong := given & (free | dag.descendants(free)):
        node = min(wrong)
        nearest = (onward(dag, free, node) or (node,))[0]
        path = via(dag, exposure, [nearest], outcome, given)
        name = f'"{node}"{", which selects the rows," * (node in dag.selected)}'
        return Biased(f'{name} is an effect of "{nearest}", on the causal path {shown(path)}', path, wrong)
    path = _cut(dag, exposure, free).path([exposure], outcome, given) or ()
    if not path:
        return Effect(given & mediators(dag, frozenset([exposure]), outcome))
    colliders = [
        node
        for before, node, after in zip(path[1::2], path[2::2], path[3::2])
        if before.endswith(">") and after.startswith("<")
    ]
    by = given & (dag.descendants(colliders) | set(colliders))
    names = ", ".join(f'"{name}"' for name in sorted(by))
    if not by:
        return Biased(f"{shown(path)} is open", path, by)
    return Biased(f"{'selection by ' * (by <= dag.selected)}{names} opens {shown(path)}", path, by)


def closing(
    dag: Dag, exposure: str, outcome: str, given: frozenset[str], barred: Iterable[str] = ()
) -> frozenset[str] | None:
    """The measured nodes nearest to the outcome that close what the given ones leave open, or None.

    References
    ----------
    Henckel, Perkovic and Maathuis (2022). Graphical criteria for efficient total effect estimation via
        adjustment in causal linear models. Journal of the Royal Statistical Society B 84, 579-599.
    """
    free = _free(dag, exposure, outcome, given | dag.selected)
    after = free | dag.descendants(free) | dag.descendants([outcome])
    if dag.selected & after:
        return None
    allowed = dag.measured - after - given - {exposure, outcome} - frozenset(barred)
    graph = between(_cut(dag, exposure, free), [exposure], outcome, given, allowed)
    return None if exposure in graph[outcome] else frozenset(graph[outcome])


def via(
    dag: Dag, exposure: str, steps: Iterable[str], outcome: str, barred: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """A shortest causal path through one of some nodes; it meets no barred node."""
    ways = []
    for step in sorted(steps):
        before, after = onward(dag, [exposure], step, barred), onward(dag, [step], outcome, barred)
        ways += [before + after[1:]] if before and after else []
    return min(ways, key=len)


def _free(dag: Dag, exposure: str, outcome: str, given: frozenset[str]) -> frozenset[str]:
    """The nodes after the exposure on causal paths that meet no given node."""
    rest = replace(dag, arrows=frozenset((a, b) for a, b in dag.arrows if b not in given))
    return mediators(rest, frozenset([exposure]), outcome)


def _cut(dag: Dag, exposure: str, free: frozenset[str]) -> Dag:
    """The graph without the arrows by which these paths begin."""
    return replace(dag, arrows=frozenset((a, b) for a, b in dag.arrows if a != exposure or b not in free))
