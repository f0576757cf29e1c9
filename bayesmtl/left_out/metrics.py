"""Metrics of several tasks as one number."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from bayesmtl.errors import Finding, ModelError, listed


def delta_m(table: pd.DataFrame, baseline: str, *, higher: Collection[str] = ()) -> pd.DataFrame:
    """How much better methods are than a baseline, in percent, on average over tasks and their metrics.

    Each metric counts by its change over the baseline's value, with the sign by which more is better; each
    task by the mean over its metrics. The mean mixes units, and grows out of bounds where a value is
    near 0; the gains of ``transfer`` are in one unit and do not.

    Parameters
    ----------
    table
        A row for each task and metric, in an index of both; a column for each method.
    baseline
        The column that the others are held against, such as the tasks alone.
    higher
        The metrics of which more is better; of the others less is.

    Returns
    -------
    DataFrame
        A row for each other method: ``delta_m``, the mean over tasks, above 0 where it is better; ``worst``,
        that of the task that loses most, and which ``task`` it is.

    Raises
    ------
    ModelError
        When the table has no such column or metric, or the baseline is 0 or not a number.

    References
    ----------
    Maninis, Radosavovic and Kokkinos (2019). Attentive single-tasking of multiple tasks. Conference on
        Computer Vision and Pattern Recognition, 1851-1860.

    Examples
    --------
    >>> index = pd.MultiIndex.from_tuples([("depth", "error"), ("parts", "iou")], names=["task", "metric"])
    >>> table = pd.DataFrame({"alone": [0.5, 0.4], "joint": [0.4, 0.38]}, index)
    >>> delta_m(table, "alone", higher=["iou"]).round(2).values.tolist()
    [[7.5, -5.0, 'parts']]
    """
    if not isinstance(table, pd.DataFrame) or table.index.nlevels != 2:
        raise ModelError(Finding("table", "has no index of task and metric.", "Set one: set_index([...])."))
    wrong = []
    metrics = table.index.get_level_values(1)
    if baseline not in table:
        wrong.append(Finding("baseline", f'is no column: "{baseline}".', f"Known: {listed(table.columns)}."))
    elif bad := [f"{task} {metric}" for (task, metric), v in table[baseline].items() if not v or v != v]:
        problem = f"is 0 or missing of {listed(bad)}, and nothing is a share of it."
        wrong.append(Finding("baseline", problem, "Leave these metrics out."))
    if strange := sorted(set(higher) - set(metrics)):
        wrong.append(
            Finding("higher", f"names no metric: {listed(strange)}.", f"Known: {listed(set(metrics))}.")
        )
    if wrong:
        raise ModelError(*wrong)
    sign = np.where(metrics.isin(list(higher)), 1.0, -1.0)
    change = table.drop(columns=baseline).sub(table[baseline], axis=0)
    percent = change.div(table[baseline].abs(), axis=0).mul(100 * sign, axis=0)
    each = percent.groupby(level=0, sort=False).mean()
    found = pd.DataFrame({"delta_m": each.mean(), "worst": each.min(), "task": each.idxmin()})
    return found.rename_axis("method")
