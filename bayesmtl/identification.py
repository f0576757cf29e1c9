"""Which effects on the tasks a graph lets a table tell, and what to adjust for."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bayesmtl.causal.adjustment import Adjustment, adjustment
from bayesmtl.causal.dag import Dag
from bayesmtl.causal.estimands import Effect
from bayesmtl.causal.frontdoor import frontdoor
from bayesmtl.causal.instruments import instruments
from bayesmtl.causal.paths import mediators, onward
from bayesmtl.causal.regressions import Regression
from bayesmtl.checks import check, regressions
from bayesmtl.errors import Finding, ModelError, refuse
from bayesmtl.spec import Model

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("task", "exposure", "weight", "adjust", "sets", "confounders", "mediators", "otherwise")


def identify(model: Model) -> "pd.DataFrame":
    """What the graph says of the effect of each measured node on each task: a row for each pair.

    Parameters
    ----------
    model
        What ``load`` read, or a ``Model``; no table is needed.

    Returns
    -------
    DataFrame
        ``task`` and ``exposure``, a measured node that acts on the task. ``weight``: what its weight in the
        task's formula tells, "total effect", "direct effect" or "no effect"; empty where it has none.
        ``adjust``: the valid set that tells the total effect most precisely, and ``sets``, all minimal ones,
        apart by ";"; "nothing" is the empty set, and "none" says that no measured one is valid.
        ``confounders`` act on the exposure, and on the task by another way; ``mediators`` stand between.
        ``otherwise``: where no set is valid, an instrument with what it needs given, or the smallest
        front-door set.

    Raises
    ------
    ModelError
        When the model is at fault, or has no graph.

    References
    ----------
    van der Zander, Liskiewicz and Textor (2019). Separators and adjustment sets in causal graphs: complete
        criteria and an algorithmic framework. Artificial Intelligence 270, 1-40.

    Examples
    --------
    >>> model = Model(tasks={"stroke": "bernoulli"}, dag="age -> drug -> stroke <- age")
    >>> identify(model)[["task", "exposure", "weight", "adjust"]]
         task exposure         weight   adjust
    0  stroke      age  direct effect  nothing
    1  stroke     drug   total effect      age
    """
    import pandas as pd

    refuse(check(model))
    if not model.dag:
        raise ModelError(Finding("dag", "is missing.", "Draw the graph that is to be asked."))
    rows = [
        _told(each, name)
        for each in regressions(model)
        for name in sorted(model.dag.ancestors([each.outcome]) - model.dag.latent)
    ]
    return pd.DataFrame(rows, columns=[*COLUMNS])


def _told(regression: Regression, exposure: str) -> tuple[str, ...]:
    """One row, by the names of its columns."""
    dag, outcome = regression.dag, regression.outcome
    found = adjustment(dag, exposure, outcome)
    adjust, sets, otherwise = "none", "none", ""
    if isinstance(found, Adjustment):
        adjust = _listed(found.efficient) or "nothing"
        sets = "; ".join(_listed(one) or "nothing" for one in found.minimal)
    else:
        otherwise = _otherwise(dag, exposure, outcome)
    between = mediators(dag, frozenset([exposure]), outcome) - {outcome}
    both = [
        node
        for node in dag.ancestors([exposure])
        if onward(dag, [node], outcome, frozenset([exposure])) is not None
    ]
    weight = ""
    if exposure in regression.told:
        told = regression.told[exposure]
        weight = "no effect"
        if isinstance(told, Effect):
            weight = "direct effect" if told.through else "total effect"
    return (regression.task, exposure, weight, adjust, sets, _listed(both), _listed(between), otherwise)


def _otherwise(dag: Dag, exposure: str, outcome: str) -> str:
    """What tells an effect that no adjustment tells; empty if nothing does."""
    if found := instruments(dag, exposure, outcome):
        given = f" given {_listed(found[0].given)}" if found[0].given else ""
        return f"instrument {found[0].node}{given}"
    sets = frontdoor(dag, exposure, outcome)
    return f"front door {_listed(sets[0])}" if sets else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
