"""Which weights of a regression are no causal effects, and what to drop or to add.

With one exposure ``x`` and one control ``z`` these are the models of Cinelli, Forney and Pearl (2022):

========================  =======  ============================================================
models                    level    what is said
========================  =======  ============================================================
1, 4                      note     the weight of ``z`` is a direct effect (``direct``), without ``z -> x``
2, 5                      note     ``z`` is a control for ``x``; its own weight is confounded
3, 6, 8, 13, 14, 15       none     both weights are total effects, or ``z`` does no harm
9                         note     all that ``z`` does goes through ``x``
10                        warning  ``z`` is an instrument, and makes the bias of ``x`` larger
11                        note     ``z`` is a mediator: the weight of ``x`` is a direct effect
7, 12, 16                 warning  ``z`` opens a path (M-bias, collider), or blocks one in part
17, 18                    error    ``z`` is an effect of the outcome
1 to 6 without ``z``      warning  the weight of ``x`` is confounded; add ``z``
10 without ``z``          warning  nothing closes the path; ``z`` is an instrument
========================  =======  ============================================================

What selects the rows can be neither dropped nor added: where it opens a path, or is an effect of a causal
one, no formula helps unless a predictor closes the path.

References
----------
Cinelli, Forney and Pearl (2022). A crash course in good and bad controls. Sociological Methods & Research
    53, 1071-1104.
Westreich and Greenland (2013). The table 2 fallacy: presenting and interpreting confounder and modifier
    coefficients. American Journal of Epidemiology 177, 292-298.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from bayesmtl.causal import feedback
from bayesmtl.causal.dag import Dag
from bayesmtl.causal.estimands import Biased, Effect, closing
from bayesmtl.causal.frontdoor import frontdoor
from bayesmtl.causal.instruments import instruments
from bayesmtl.causal.regressions import Regression
from bayesmtl.errors import Finding, named


@dataclass(frozen=True)
class _Case:
    """A weight that tells no effect: what helps, and why it is so."""

    kind: str
    change: frozenset[str]
    exposure: str
    reason: str
    loop: feedback.Loop = ("", "", "")


def faults(regressions: Iterable[Regression]) -> Iterator[Finding]:
    """What to know of the weights of some tasks: what is alike is said once.

    The graph has no cycle, and no predictor is an effect of its outcome.
    """
    regressions = list(regressions)
    tasks = {each.outcome for each in regressions}
    found: dict[tuple[str, str, frozenset[str]], list[tuple[Regression, _Case]]] = {}
    for regression in regressions:
        for case in _cases(regression):
            found.setdefault((regression.where, case.kind, case.change), []).append((regression, case))
    for (where, kind, change), cases in found.items():
        finding = _finding(where, kind, change, cases, tasks)
        needed = _needed(regressions, cases, change) if kind == "drop" else []
        remedy = f"{finding.remedy[:-1]}; {named(needed)} needs it." if needed else finding.remedy
        yield replace(finding, remedy=remedy)


def _cases(regression: Regression) -> Iterator[_Case]:
    """The weights that tell no effect; of predictors that are to be dropped those that others would mend."""
    reasons = {x: verdict.reason for x, verdict in regression.told.items() if isinstance(verdict, Biased)}
    mends = {x: _mend(regression, x) for x in reasons}
    silent = set[str]()
    for loop in feedback.loops(regression):
        first, between, second = loop
        if not {first, second} <= silent:
            silent |= {first, second}
            reason = feedback.reason(regression, loop)
            yield from (_Case("feedback", frozenset([between]), x, reason, loop) for x in (first, second))
    for x, (kind, _) in mends.items():
        if kind == "open" and x not in silent and (amplifiers := _amplifiers(regression, x)):
            silent |= {x} | amplifiers
            yield _Case("amplifier", amplifiers, x, reasons[x])
    settled = frozenset(silent)
    for x, (kind, drop) in mends.items():
        if kind == "drop" and x not in silent:
            silent |= drop
            yield _Case(kind, drop, x, reasons[x])
    added = frozenset[str]()
    for x, (kind, add) in mends.items():
        if kind == "add" and x not in settled:  # who asks for what a dropped one does is told what it lacks
            enough = regression.estimand(x, regression.others(x) | added)
            added = added if isinstance(enough, Effect) else add
            yield _Case(kind, added, x, reasons[x])
    for x, (kind, by) in mends.items():
        if kind in ("open", "selected") and x not in silent:
            kind = "control" if regression.served(x) else kind
            yield _Case(kind, by if kind == "selected" else frozenset([x]), x, reasons[x])


def _mend(regression: Regression, exposure: str) -> tuple[str, frozenset[str]]:
    """What to add, or to drop, for a weight to tell an effect; "selected" or "open" when nothing helps."""
    dag, outcome, told = regression.dag, regression.outcome, regression.told
    given = regression.others(exposure)
    drop, verdict = frozenset[str](), told[exposure]
    while isinstance(verdict, Biased) and (by := verdict.by - dag.selected):
        drop |= by
        verdict = regression.estimand(exposure, given - drop)
    clean = isinstance(verdict, Effect)
    add = closing(dag, exposure, outcome, given)
    # what acts on the outcome itself is dropped only when nothing else helps
    if add is not None and not (clean and not drop & told.keys()):
        kept = all(
            regression.estimand(x, regression.others(x) | add) == effect
            for x, effect in told.items()
            if isinstance(effect, Effect)
        )
        mended = isinstance(regression.estimand(exposure, given | add), Effect)
        if mended and (kept or not regression.served(exposure)):
            return "add", add
    if drop and (clean or closing(dag, exposure, outcome, given - drop, drop) is not None):
        return "drop", drop
    if isinstance(verdict, Biased) and verdict.by:
        return "selected", verdict.by
    return "open", frozenset()


def _needed(
    regressions: list[Regression], cases: list[tuple[Regression, _Case]], drop: frozenset[str]
) -> list[str]:
    """Other tasks for which a predictor to drop confounds the same exposures: one list can't serve both."""
    exposures = {case.exposure for _, case in cases}
    here = {each.task for each, _ in cases}
    return [
        each.task
        for each in regressions
        if each.task not in here
        for name in drop & {*each.predictors}
        if exposures & {*each.served(name)}
    ]


def _amplifiers(regression: Regression, exposure: str) -> frozenset[str]:
    """The instruments of an exposure among the predictors, but those that serve another exposure."""
    given = regression.others(exposure)
    found = instruments(regression.dag, exposure, regression.outcome)
    nodes = [each.node for each in found if each.node in regression.predictors and each.given <= given]
    return frozenset(node for node in nodes if not regression.served(node))


def _finding(
    where: str,
    kind: str,
    change: frozenset[str],
    cases: list[tuple[Regression, _Case]],
    outcomes: set[str],
) -> Finding:
    """Cases that one change mends, with the reason of the first."""
    regression, case = cases[0]
    tasks = named(each.task for each, _ in cases)
    exposures = named(each.exposure for _, each in cases)
    several = "," in exposures
    weights, are = f"the weight{'s' * several} of {exposures}", "are" if several else "is"
    terms, reason = named(change), case.reason
    if kind == "feedback":
        problem = f"no one regression tells the joint effect of {exposures} on {tasks}: {reason}."
        remedy = feedback.remedy(regression, case.loop, tasks, task=change <= outcomes)
        return Finding(where, problem, remedy, "warning")
    if kind == "selected":
        problem = f"{weights} for {tasks} {are} biased: {reason}."
        remedy = f"No formula mends that: take rows whatever {terms}, or read what is so among those taken."
        return Finding(where, problem, remedy, "warning")
    if kind == "drop":
        problem = f"{weights} for {tasks} {are} biased: {reason}."
        after = change <= regression.dag.descendants([case.exposure]) - outcomes
        task = f", or make {'it a task' if len(change) == 1 else 'them tasks'}" if after else ""
        return Finding(where, problem, f"Drop {terms} from the formula of {tasks}{task}.", "warning")
    if kind == "add":
        word = "confounded" if reason.endswith("is open") else "biased"
        problem = f"{weights} for {tasks} {are} {word}: {reason}."
        return Finding(where, problem, f"Add {terms} to the formula of {tasks}.", "warning")
    if kind == "amplifier":
        problem = f"{terms} in the formula enlarges the bias of {weights} for {tasks}: {reason}."
        remedy = f"Drop {terms}, which is an instrument of {exposures}; for its own effect drop {exposures}."
        return Finding(where, problem, remedy, "warning")
    if kind == "control":
        served = named(regression.served(case.exposure))
        problem = f"{weights} for {tasks} {are} no effect: {reason}."
        return Finding(where, problem, f"Keep {terms} as a control for {served}, without reading it.", "note")
    problem = f"{weights} for {tasks} {are} confounded: {reason}, and no measured column closes it."
    return Finding(where, problem, _otherwise(regression.dag, case.exposure, regression.outcome), "warning")


def _otherwise(dag: Dag, exposure: str, outcome: str) -> str:
    """What tells an effect that no adjustment tells."""
    if found := instruments(dag, exposure, outcome):
        given = f" given {named(found[0].given)}" if found[0].given else ""
        return f'"{found[0].node}" is an instrument of it{given}; else measure what lies on that path.'
    if sets := frontdoor(dag, exposure, outcome):
        return f"{named(sets[0])} carries the whole effect (front door): make it a task."
    return "Measure what lies on that path, or read the weight as an association."
