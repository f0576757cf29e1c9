"""Which effects on the tasks a graph lets a table tell, and what to adjust for."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bayesmtl.causal.adjustment import Adjustment, adjustment
from bayesmtl.causal.dag import Dag
from bayesmtl.causal.estimands import Effect
from bayesmtl.causal.frontdoor import frontdoor
from bayesmtl.causal.instruments import Instrument, instruments
from bayesmtl.causal.paths import mediators, onward
from bayesmtl.causal.regressions import Regression
from bayesmtl.causal.validity import Invalid, judged
from bayesmtl.checks import check, regressions
from bayesmtl.errors import Finding, ModelError, refuse
from bayesmtl.spec import Model

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    *("task", "exposure", "weight", "adjust", "sets"),
    *("confounders", "mediators", "colliders", "instruments", "otherwise"),
)


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
        apart by ";", small ones first; "nothing" is the empty set, and "none" says that no measured one is
        valid. Of more than 1,000 so many are listed, and "and more" stands behind them.
        ``confounders`` act on the exposure, and on the task by another way; ``mediators`` stand between;
        ``colliders`` are other measured nodes that spoil that set if they are adjusted for too: common
        effects, also of hidden causes, effects of mediators, and what these act on. ``instruments``, each
        with what it needs given, go with the task by way of the exposure only, and are no effects of it.
        ``otherwise``: where no set is valid, an instrument, or the smallest front-door set.

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
        for name in sorted(model.dag.ancestors([each.outcome]) & model.dag.measured)
    ]
    return pd.DataFrame(rows, columns=[*COLUMNS])


def _told(regression: Regression, exposure: str) -> tuple[str, ...]:
    """One row, by the names of its columns."""
    dag, outcome = regression.dag, regression.outcome
    found, adjust, sets, otherwise = adjustment(dag, exposure, outcome), "none", "none", ""
    between = mediators(dag, frozenset([exposure]), outcome) - {outcome}
    colliders: list[str] = []
    if isinstance(found, Adjustment):
        adjust = _listed(found.efficient) or "nothing"
        sets = "; ".join(_listed(one) or "nothing" for one in found.minimal)
        sets += "" if found.complete else "; and more"
        rest = dag.measured - found.efficient - between - {exposure, outcome}
        colliders = [n for n in rest if _spoils(dag, exposure, outcome, found.efficient, n)]
    instrumental = {one.node: _instrument(one) for one in instruments(dag, exposure, outcome)}
    if isinstance(found, Invalid):
        doors = [f"front door {_listed(one)}" for one in frontdoor(dag, exposure, outcome)]
        otherwise = next(iter([*(f"instrument {one}" for one in instrumental.values()), *doors]), "")
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
    before = [words for node, words in instrumental.items() if node not in dag.descendants([exposure])]
    roles = (_listed(both), _listed(between), _listed(colliders), "; ".join(before))
    return (regression.task, exposure, weight, adjust, sets, *roles, otherwise)


def _spoils(dag: Dag, exposure: str, outcome: str, given: frozenset[str], node: str) -> bool:
    return isinstance(judged(dag, frozenset([exposure]), outcome, given | {node}), Invalid)


def _instrument(found: Instrument) -> str:
    return f"{found.node} given {_listed(found.given)}" if found.given else found.node


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
