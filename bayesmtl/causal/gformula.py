"""The g-formula: an effect told by the equations of what lies between, one after the other."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter

from bayesmtl.causal.adjustment import Adjustment, adjustment
from bayesmtl.causal.dag import Dag
from bayesmtl.causal.frontdoor import frontdoor
from bayesmtl.causal.paths import backdoor
from bayesmtl.causal.validity import shown
from bayesmtl.errors import Finding, named

Formulas = Mapping[str, frozenset[str]]  # of each node that has an equation, the nodes that predict it


@dataclass(frozen=True)
class Equation:
    """A node given its formula, as one factor of a g-formula.

    Parameters
    ----------
    node
        What the equation is of.
    kept
        The exposures that have their natural values in it; all others are set.
    inputs
        The equations of those of its predictors that respond to the exposures, and are drawn before it.
    """

    node: str
    kept: frozenset[str]
    inputs: tuple["Equation", ...] = ()


def gformula(
    dag: Dag,
    formulas: Formulas,
    exposures: frozenset[str],
    outcome: str,
    *,
    by: Iterable[str] = (),
    tied: frozenset[str] = frozenset(),
) -> Equation | list[Finding]:
    """The equations that tell the effect of setting some nodes on another, or why they don't tell it.

    Predictors that respond to an exposure are drawn from equations of their own, the others keep their
    values. Seen on these nodes alone, with the rest hidden, the graph falls into districts: nodes that hidden
    causes join. The effect is told if no exposure acts on a node of its own district, and if every equation
    has all of the earlier nodes that its outcome depends on. An exposure has its natural value in the
    equations of its own district, as in the front-door formula, and elsewhere the value that is set. Where no
    predictor responds, this is adjustment. What selects the rows stands beside the predictors; if it responds
    itself, no equation may depend on it.

    Parameters
    ----------
    dag
        The causal graph, without a cycle.
    formulas
        The nodes that have an equation, and what predicts them.
    exposures, outcome
        The nodes that are set, and one that has an equation.
    by
        Nodes within whose levels the effect is asked for.
    tied
        Nodes whose residuals are drawn together.

    References
    ----------
    Robins (1986). A new approach to causal inference in mortality studies with a sustained exposure period.
        Mathematical Modelling 7, 1393-1512.
    Tian and Pearl (2002). A general identification condition for causal effects. National Conference on
        Artificial Intelligence 18, 567-573.
    Bhattacharya, Nabi and Shpitser (2022). Semiparametric inference for causal effects in graphical models
        with hidden variables. Journal of Machine Learning Research 23(295), 1-76.

    Examples
    --------
    >>> formulas = {"m": frozenset("x"), "y": frozenset("mx")}
    >>> gformula(Dag.read("x -> m -> y <-> x"), formulas, frozenset("x"), "y").kept  # the front door
    frozenset({'x'})
    """
    moved, by = dag.descendants(exposures), frozenset(by)
    if outcome not in moved:
        return Equation(outcome, exposures)
    wrong = [
        Finding("by", f'"{name}" responds to what is set.', "Take what comes before it.")
        for name in sorted(by & moved)
    ]
    drawn, strange = _drawn(formulas, exposures, moved, outcome)
    for node, name in strange:
        problem = f'predicts "{node}" by "{name}", which responds to {named(exposures)} and has no equation.'
        wrong.append(Finding("", problem, f'Make "{name}" a task, set it too, or leave it out.'))
    try:
        order = _order(dag, formulas, drawn)
    except CycleError:
        problem = f"has {named(drawn)} predict each other."
        return [*wrong, Finding("", problem, "Leave one out of the formula of another.")]
    if wrong:
        return wrong
    fixed, free = dag.selected - moved, replace(dag, selected=dag.selected - moved)
    before = frozenset().union(*(formulas[node] for node in drawn)) - moved | by | exposures | fixed
    whole, found = before | drawn, dict[str, Equation]()
    for node in (name for name in order if name in drawn):
        given, district = formulas[node] | fixed, _district(dag, node, whole)
        above, own = _above(dag, node, whole), exposures & district
        acting = [name for name in sorted(own) if any(name in dag.causes(each) for each in above)]
        wrong += [_confounded(dag, name, node, outcome, given) for name in acting]
        place = order.index(node)
        earlier = {n for n in whole - {node} if n not in moved or order.index(n) < place}
        if not acting:
            alike = tied & drawn if node in tied else frozenset()
            wrong += _left_out(free, node, earlier - given - alike, given)
        kept = own & given
        wrong += _unnatural(dag, node, kept - {*acting}, moved, tied & drawn)
        wrong += _selected(free, node, given, dag.selected & moved, kept)
        inputs = tuple(found[name] for name in sorted(given & drawn))
        found[node] = Equation(node, kept, inputs)
    return wrong or found[outcome]


def _drawn(
    formulas: Formulas, exposures: frozenset[str], moved: frozenset[str], outcome: str
) -> tuple[frozenset[str], list[tuple[str, str]]]:
    """The nodes that are drawn, the outcome among them; and predictors that respond and have no equation."""
    found, strange, front = {outcome}, [], [outcome]
    while front:
        node = front.pop()
        for name in sorted(formulas[node] & moved - exposures):
            if name not in formulas:
                strange.append((node, name))
            elif name not in found:
                found.add(name)
                front.append(name)
    return frozenset(found), strange


def _order(dag: Dag, formulas: Formulas, drawn: frozenset[str]) -> list[str]:
    """The nodes, each after its causes and, if it is drawn, after its predictors."""
    before = {n: dag.causes(n) | (formulas[n] if n in drawn else frozenset()) for n in sorted(dag.nodes)}
    return list(TopologicalSorter({node: sorted(names) for node, names in before.items()}).static_order())


def _above(dag: Dag, node: str, whole: frozenset[str]) -> set[str]:
    """A node and all that leads to it by arrows, up to the next nodes of a set."""
    found, front = {node}, [node]
    while front:
        new = dag.causes(front.pop()) - whole - found
        found |= new
        front += new
    return found


def _district(dag: Dag, node: str, whole: frozenset[str]) -> set[str]:
    """The nodes of a set that arcs, or causes outside the set, join with one of them."""
    above = {name: _above(dag, name, whole) for name in whole}

    def joined(a: set[str], b: set[str]) -> bool:
        return bool(a & b) or any((c in a and d in b) or (d in a and c in b) for c, d in dag.arcs)

    found, front = {node}, [node]
    while front:
        one = above[front.pop()]
        new = {name for name in whole - found if joined(one, above[name])}
        found |= new
        front += new
    return found


def _confounded(dag: Dag, exposure: str, node: str, outcome: str, given: frozenset[str]) -> Finding:
    """An exposure that acts on a node of its own district, and what helps."""
    cut = backdoor(dag, frozenset([exposure]), node)
    path = cut.path([exposure], node, given - {exposure})
    how = f"{shown(path)} is open" if path else "hidden causes join them by way of what is given"
    problem = f'can\'t tell the effect of "{exposure}" on "{node}": {how}.'
    found = adjustment(dag, exposure, node)
    if isinstance(found, Adjustment):
        what = named(found.efficient)
        remedy = f"Adjust for {what} in its formula." if what else "Adjust for nothing in its formula."
    elif sets := frontdoor(dag, exposure, outcome):
        remedy = f'Make {named(sets[0])} a task, and predict "{outcome}" by it and by "{exposure}".'
    else:
        remedy = "Measure what lies on that path."
    return Finding("", problem, remedy)


def _left_out(dag: Dag, node: str, names: Iterable[str], given: frozenset[str]) -> list[Finding]:
    """Earlier nodes that a node depends on, given its formula."""
    found = []
    for name in sorted(names):
        if path := dag.path([name], node, given):
            problem = f'predicts "{node}" without "{name}", and {shown(path)} is open.'
            found.append(Finding("", problem, f'Add "{name}" to the formula of "{node}".'))
    return found


def _unnatural(
    dag: Dag, node: str, kept: frozenset[str], moved: frozenset[str], tied: frozenset[str]
) -> list[Finding]:
    """Exposures that are wanted as they are and respond to others; residuals that an arrow crosses."""
    found = [
        Finding("", f'needs "{name}" as it is, which responds to what is set.', "Don't set it.")
        for name in sorted(kept & moved)
    ]
    for name in sorted(tied & dag.ancestors([node]) if node in tied else ()):
        problem = f'ties the residuals of "{name}" and of "{node}", on which it acts.'
        found.append(Finding("residual", problem, 'Take residual = "independent", or pair others.'))
    return found


def _selected(
    dag: Dag, node: str, given: frozenset[str], selected: frozenset[str], kept: frozenset[str]
) -> list[Finding]:
    """What selects the rows, responds to what is set, and stands for more than the formula has."""
    found = []
    for name in sorted(selected):
        path = dag.path([name], node, given)
        if kept or path:
            way = f", and {shown(path)} is open" if path else ""
            problem = f'has rows that "{name}" selects, which responds to what is set{way}.'
            found.append(Finding("", problem, f'Take rows whatever "{name}".'))
    return found
