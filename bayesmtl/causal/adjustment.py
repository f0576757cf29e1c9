"""All minimal sets to adjust for, so that an association is a causal effect."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from bayesmtl.causal.dag import Dag
from bayesmtl.causal.dseparation import between, minimal
from bayesmtl.causal.paths import backdoor, unadjustable
from bayesmtl.causal.validity import Invalid, faults, judged, named, shown
from bayesmtl.errors import refuse

MOST = 1000  # sets; of a graph that has more, so many are listed


@dataclass(frozen=True)
class Adjustment:
    """The sets to choose from.

    Parameters
    ----------
    minimal
        The sets of which no node, but a forced one, can be left out; small ones first.
    efficient
        A valid set that tells the effect most precisely.
    complete
        Whether no minimal set is left out.
    """

    minimal: tuple[frozenset[str], ...]
    efficient: frozenset[str]
    complete: bool


def adjustment(
    dag: Dag,
    exposures: str | Iterable[str],
    outcome: str,
    *,
    forced: Iterable[str] = (),
    forbidden: Iterable[str] = (),
) -> Adjustment | Invalid:
    """All minimal sets to adjust for, and the most precise one; or why there is none.

    Parameters
    ----------
    dag
        The causal graph; its latent nodes are in no set, and its selected ones are given beside each.
    exposures
        One node, or several whose joint effect is asked for.
    outcome
        The node that they act on.
    forced
        Nodes that are adjusted for in any case.
    forbidden
        Nodes that can't be adjusted for.

    Returns
    -------
    Adjustment or Invalid
        ``Invalid`` names a path that stays open however many of the measured nodes are adjusted for,
        or the causal path that a forced node blocks. Beyond 1,000 sets ``complete`` is false.

    Raises
    ------
    ModelError
        Of names that are not in the graph or stand on two sides, and of a cycle.

    Notes
    -----
    ``efficient`` are the parents, by measured nodes, of the outcome and of what lies between it and
    the exposures. No valid set has a smaller asymptotic variance if nothing is hidden, or if all that
    is measured are ancestors of an exposure or of the outcome; else there may be no such set. For joint
    exposures this is known of linear models in which nothing is hidden. All this is of exposures that do
    act on the outcome.

    References
    ----------
    van der Zander, Liskiewicz and Textor (2019). Separators and adjustment sets in causal graphs:
        complete criteria and an algorithmic framework. Artificial Intelligence 270, 1-40.
    Rotnitzky and Smucler (2020). Efficient adjustment sets for population average causal treatment
        effect estimation in graphical models. Journal of Machine Learning Research 21(188), 1-86.
    Henckel, Perkovic and Maathuis (2022). Graphical criteria for efficient total effect estimation via
        adjustment in causal linear models. Journal of the Royal Statistical Society B 84, 579-599.
    Smucler, Sapienza and Rotnitzky (2022). Efficient adjustment sets in causal graphical models with
        hidden variables. Biometrika 109, 49-65.

    Examples
    --------
    >>> found = adjustment(Dag.read("age -> diet -> drug -> stroke <- age"), "drug", "stroke")
    >>> [sorted(given) for given in found.minimal], sorted(found.efficient)
    ([['age'], ['diet']], ['age'])
    """
    starts, forced, forbidden = named(exposures), named(forced), named(forbidden)
    refuse(faults(dag, starts, outcome, forced, forbidden))
    wrong = unadjustable(dag, starts, outcome)
    if (forced | dag.selected) & wrong:
        return judged(dag, starts, outcome, forced)  # type: ignore[return-value]
    allowed = dag.measured - wrong - forbidden - forced - starts - {outcome}
    cut, start = backdoor(dag, starts, outcome), min(starts)
    graph = between(cut, starts, outcome, forced, allowed)
    if start in graph[outcome]:
        # of all sets that of all ancestors blocks the most
        widest = allowed & cut.ancestors(starts | {outcome} | forced | dag.selected)
        path = cut.path(starts, outcome, widest | forced)
        assert path is not None
        return Invalid(f"no set to be had blocks all that is not causal, such as {shown(path)}", path)
    found = list(islice(minimal(graph, start, outcome), MOST + 1))
    sets = sorted((some | forced for some in found[:MOST]), key=lambda some: (len(some), sorted(some)))
    return Adjustment(tuple(sets), frozenset(graph[outcome]) | forced, len(found) <= MOST)


def adjustable(dag: Dag, exposures: Iterable[str], outcome: str) -> bool:
    """Whether any set of measured nodes tells the joint effect of some exposures."""
    starts = frozenset(exposures)
    wrong = unadjustable(dag, starts, outcome)
    allowed = dag.measured - wrong - starts - {outcome}
    graph = between(backdoor(dag, starts, outcome), starts, outcome, frozenset(), allowed)
    return not dag.selected & wrong and min(starts) not in graph[outcome]
