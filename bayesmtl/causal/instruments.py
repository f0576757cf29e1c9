"""Instruments: nodes whose own variation reaches an outcome only by way of an exposure."""

from collections.abc import Iterator
from dataclasses import dataclass

from bayesmtl.causal.dag import Dag
from bayesmtl.causal.dseparation import between, nearest
from bayesmtl.causal.paths import backdoor, unadjustable
from bayesmtl.errors import refuse


@dataclass(frozen=True)
class Instrument:
    """A node, and what must be given for it to be an instrument."""

    node: str
    given: frozenset[str]


def instruments(dag: Dag, exposure: str, outcome: str) -> tuple[Instrument, ...]:
    """The instruments of an exposure for its total effect on an outcome, each with what it needs given.

    Given these nodes an instrument is connected to the exposure, and to the outcome by nothing but
    causal paths from the exposure; none of them is on such a path, or an effect of the outcome. In a
    linear model the ratio of its covariances with outcome and exposure is then the total effect.

    Those are listed that need given only ancestors of the outcome and of themselves: whenever there is
    any conditional instrument, there is one of these. Any other is connected to the exposure only
    because a common effect is given, and to tell whether a node is one is NP-hard. What selects the rows,
    and its ancestors, may be given too; when it is an effect of a causal path there is no instrument.

    Parameters
    ----------
    dag
        The causal graph; its latent nodes are neither instruments nor given.
    exposure, outcome
        Two nodes.

    Raises
    ------
    ModelError
        Of names that are not in the graph, of twice the same, and of a cycle.

    References
    ----------
    Brito and Pearl (2002). Generalized instrumental variables. Uncertainty in Artificial Intelligence
        18, 85-93.
    van der Zander, Textor and Liskiewicz (2015). Efficiently finding conditional instruments for causal
        inference. International Joint Conference on Artificial Intelligence 24, 3243-3249.

    Examples
    --------
    >>> dag = Dag.read("training <-> wage <- age -> offer -> training -> wage")
    >>> [(found.node, sorted(found.given)) for found in instruments(dag, "training", "wage")]
    [('offer', ['age'])]
    """
    refuse(dag.faults([exposure], [outcome]))
    return tuple(_found(dag, exposure, outcome))


def _found(dag: Dag, exposure: str, outcome: str) -> Iterator[Instrument]:
    cut = backdoor(dag, frozenset([exposure]), outcome)
    never = unadjustable(dag, frozenset([exposure]), outcome) | dag.descendants([outcome])
    if dag.selected & never:
        return
    candidates = dag.measured - never - {exposure, outcome}
    for node in sorted(candidates):
        given = nearest(between(cut, [node], outcome, frozenset(), candidates - {node}), node, outcome)
        # of all sets of ancestors, the one nearest to the outcome blocks least on the way to the exposure
        if given is not None and exposure in dag.connected([node], given):
            yield Instrument(node, given)
