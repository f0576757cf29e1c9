"""Whether adjusting for some nodes tells a causal effect, and why not."""

from collections.abc import Iterable
from dataclasses import dataclass

from bayesmtl.causal.dag import Dag
from bayesmtl.causal.paths import backdoor, mediators, onward, unadjustable
from bayesmtl.errors import Finding, refuse


@dataclass(frozen=True)
class Valid:
    """Adjusting for a set tells the causal effect."""


@dataclass(frozen=True)
class Invalid:
    """Adjusting for a set tells something else: why, and the path that shows it.

    Parameters
    ----------
    reason
        Why, as a sentence without its full stop.
    path
        An open path that is not causal, or the causal one that is blocked, as
        ``("x", "<-", "u", "->", "y")``.
    """

    reason: str
    path: tuple[str, ...]


def valid(
    dag: Dag, exposures: str | Iterable[str], outcome: str, given: Iterable[str] = ()
) -> Valid | Invalid:
    """Whether adjusting for some nodes tells the total effect of exposures on an outcome.

    By the adjustment criterion, which is sound and complete: the set holds no node of a causal path
    nor an effect of one, and blocks all paths that are not causal. Pearl's back-door criterion
    refuses some sets that this one accepts: those with effects of an exposure that are on no path to
    the outcome. What selects the rows counts as one of the set: in a linear model it then tells the effect
    among those taken, which is that on all.

    Parameters
    ----------
    dag
        The causal graph.
    exposures
        One node, or several whose joint effect is asked for.
    outcome
        The node that they act on.
    given
        The nodes that are adjusted for, all measured.

    Raises
    ------
    ModelError
        Of names that are not in the graph or stand on two sides, of latent nodes to adjust for, and
        of a cycle.

    References
    ----------
    Shpitser, VanderWeele and Robins (2010). On the validity of covariate adjustment for estimating
        causal effects. Uncertainty in Artificial Intelligence 26, 527-536.
    Perkovic, Textor, Kalisch and Maathuis (2018). Complete graphical characterization and
        construction of adjustment sets in Markov equivalence classes of ancestral graphs. Journal of
        Machine Learning Research 18(220), 1-62.

    Examples
    --------
    >>> dag = Dag.read("age -> drug -> pressure -> stroke <- age")
    >>> valid(dag, "drug", "stroke", ["age"])
    Valid()
    >>> valid(dag, "drug", "stroke", ["age", "pressure"]).reason
    '"pressure" is on the causal path drug -> pressure -> stroke'
    """
    starts, given = named(exposures), named(given)
    refuse(faults(dag, starts, outcome, given))
    return judged(dag, starts, outcome, given)


def judged(dag: Dag, starts: frozenset[str], outcome: str, given: frozenset[str]) -> Valid | Invalid:
    """What ``valid`` answers to a sound question."""
    given |= dag.selected
    if wrong := given & unadjustable(dag, starts, outcome):
        return _blocked(dag, starts, outcome, wrong)
    path = backdoor(dag, starts, outcome).path(starts, outcome, given)
    if path is None:
        return Valid()
    colliders = [
        node
        for before, node, after in zip(path[1::2], path[2::2], path[3::2])
        if before.endswith(">") and after.startswith("<")
    ]
    if opening := given & (dag.descendants(colliders) | set(colliders)):
        names = ", ".join(f'"{name}"' for name in sorted(opening))
        how = "selection by" if opening <= dag.selected else "adjusting for"
        return Invalid(f"{how} {names} opens {shown(path)}, which is not causal", path)
    return Invalid(f"{shown(path)} is open, and not causal", path)


def faults(
    dag: Dag,
    starts: frozenset[str],
    outcome: str,
    given: frozenset[str],
    forbidden: frozenset[str] = frozenset(),
) -> list[Finding]:
    """Why a question about an effect has no answer, if it has none."""
    found = dag.faults(starts, [outcome], given, forbidden)
    if not starts:
        found.append(Finding("dag", "is asked for the effect of no exposure.", "Name one."))
    for name in sorted((starts | {outcome}) & dag.selected):
        problem = f'"{name}" selects the rows, and is the same in all of them.'
        found.append(Finding("dag", problem, "Ask for something that varies."))
    for name in sorted(given & dag.latent):
        problem = f'"{name}" is latent, and can\'t be adjusted for.'
        found.append(Finding("dag", problem, "Leave it out, or measure it."))
    return found


def named(nodes: str | Iterable[str]) -> frozenset[str]:
    """One name or several, as a set."""
    return frozenset([nodes] if isinstance(nodes, str) else nodes)


def shown(path: Iterable[str]) -> str:
    """A path as text."""
    return " ".join(path)


def _blocked(dag: Dag, starts: frozenset[str], outcome: str, wrong: frozenset[str]) -> Invalid:
    """A node of a causal path that is adjusted for, or an effect of one."""
    between = mediators(dag, starts, outcome)
    node = min(wrong & between or wrong)
    above = onward(dag, between, node)
    assert above is not None  # each of the wrong is in reach
    nearest = above[0]
    before, after = onward(dag, starts, nearest), onward(dag, [nearest], outcome, starts)
    assert before is not None and after is not None
    path = before + after[1:]
    on = "is" if node == nearest else f'is an effect of "{nearest}",'
    name = f'"{node}"{", which selects the rows," * (node in dag.selected)}'
    return Invalid(f"{name} {on} on the causal path {shown(path)}", path)
