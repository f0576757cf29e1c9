"""Tasks that are joined in pairs."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, listed, refuse, unknown


def members(task: Axis, pairs: Sequence[Any], where: str) -> list[list[int]]:
    """The places of the linear predictors of each pair; a task's name means all of its own.

    Raises
    ------
    ModelError
        When a pair is not two tasks, or names one that is not there.
    """
    names = [label if label in _flat(pairs) else label.partition("[")[0] for label in task.labels]
    findings = []
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or len(set(map(str, pair))) != 2:
            findings.append(Finding(where, f"{pair!r} is not two tasks.", 'Write [["a", "b"], ["a", "c"]].'))
            continue
        findings += [unknown(where, "task", str(name), names) for name in pair if name not in names]
    refuse(findings)
    return [[i for i, name in enumerate(names) if name in pair] for pair in pairs]


def sets(task: Axis, pairs: Sequence[Any], where: str = "residual.pairs") -> list[list[int]]:
    """The sets that pairs form: every two tasks of one are a pair; no pairs are one set of all tasks.

    Raises
    ------
    ModelError
        When two tasks are joined by way of a third, but are no pair themselves.
    """
    if not pairs:
        return [list(range(len(task)))]
    joined = [set(pair) for pair in members(task, pairs, where)]
    found: list[set[int]] = []
    for pair in joined:
        apart = [one for one in found if not one & pair]
        found = [*apart, pair.union(*(one for one in found if one & pair))]
    findings = []
    for one in found:
        for a, b in combinations(sorted(one), 2):
            if {a, b} not in joined:
                names = [task.labels[i] for i in (a, b)]
                problem = f"{listed(names)} are each joined to others of their set, but not to each other."
                findings.append(Finding(where, problem, f"Add {names!r}, or leave out what joins them."))
    refuse(findings)
    return sorted(map(sorted, found))


def set_of(task: Axis, pairs: Sequence[Any]) -> list[int]:
    """Each task's set, counted from 0, for ``layout``; one that is in no pair is a set of its own."""
    found = [0] * len(task)
    together = sets(task, pairs)
    alone = [[i] for i in range(len(task)) if not any(i in one for one in together)]
    for number, one in enumerate([*together, *alone]):
        for i in one:
            found[i] = number
    return found


def _flat(pairs: Sequence[Any]) -> set[str]:
    return {str(name) for pair in pairs if isinstance(pair, list | tuple) for name in pair}
