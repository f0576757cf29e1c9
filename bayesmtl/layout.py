"""Rows whose cells are correlated: which tasks were measured in each."""

from collections.abc import Sequence

import numpy as np


def layout(
    row: np.ndarray, task: np.ndarray, tasks: int, sets: Sequence[int] | None = None
) -> dict[str, np.ndarray]:
    """Where each cell stands among the cells that it may be correlated with.

    They are data of a program, so that refits of one shape share one compilation.

    Parameters
    ----------
    row, task
        Each cell's row, and its task among those whose residuals are correlated; [cell], in any order.
    tasks
        How many tasks there are.
    sets
        Each task's set; [task]. Tasks of two sets have nothing in common: a row is split into its sets.

    Returns
    -------
    dict
        ``row`` and ``task`` [cell], rows without cells left out; ``mask`` [pattern, task], the patterns of
        measured tasks; ``pattern`` [row].
    """
    row, task = np.asarray(row), np.asarray(task)
    member = np.zeros(tasks, int) if sets is None else np.asarray(sets)
    kept, place = np.unique(row * (member.max(initial=0) + 1) + member[task], return_inverse=True)
    measured = np.zeros((len(kept), tasks), bool)
    measured[place, task] = True
    if measured.sum() < len(row):
        raise ValueError("a row has two cells of one task")
    mask, pattern = np.unique(measured, axis=0, return_inverse=True)
    return {"row": place, "task": task, "mask": mask, "pattern": pattern.reshape(-1)}
