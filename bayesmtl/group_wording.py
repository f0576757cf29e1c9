"""Group effects and their priors in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bayesmtl import parts
from bayesmtl.axes import Axis
from bayesmtl.design import Design
from bayesmtl.errors import ModelError
from bayesmtl.groups import Grouping
from bayesmtl.matching import governed
from bayesmtl.wording import prior_text, support

_EFFECTS = "bayesmtl.effects:effects"  # whose signature has the priors


def defaults() -> list[tuple[str, Any, str]]:
    """Each parameter of group effects, its prior when nothing is set, and what that is over."""
    known = parts.manual("relations", _EFFECTS).options.values()
    return [(o.name, o.default, support(o.kind)) for o in known if support(o.kind) and o.name != "df"]


def outline(grouping: Grouping, tasks: Sequence[str]) -> str:
    """Which terms vary between the levels of a group, and what is correlated."""
    found: dict[str, list[str]] = {}
    for task, uses in zip(tasks, grouping.uses, strict=True):
        terms = [term for term, used in zip(grouping.term.labels, uses, strict=True) if used]
        if terms:
            found.setdefault(" + ".join(terms), []).append(task)
    whose = "; ".join(
        f"{terms} of {'every task' if len(names) == len(tasks) else ', '.join(names)}"
        for terms, names in found.items()
    )
    words = [f"{grouping.name}: {len(grouping.level):,} levels, each its own {whose}"]
    words += ["correlated over tasks and terms"] if grouping.together else []
    words += ["Student-t"] if grouping.student else []
    words += ["with a known covariance between levels"] if grouping.closed else []
    return f"Group {', '.join(words)}"


def sd_rows(grouping: Grouping, design: Design, given: Mapping[str, Any], most: int) -> list[list[str]]:
    """The prior of each standard deviation: a head, and a row for each of the first tasks."""
    default = next(value for name, value, _ in defaults() if name == "sd")
    name, rows = f"sd_{grouping.name}", [["", *(f"sd of {term}" for term in grouping.term.labels)]]
    tasks = np.flatnonzero(grouping.uses.any(1))
    for t in tasks[:most]:
        row, label = [], design.line.labels[t]
        for k, term in enumerate(grouping.term.labels):
            value = _set(given, name, (Axis("task", (label,)), Axis("term", (term,))), "Positive", default)
            unit = float(design.unit_of[t] / grouping.sd[k])
            row.append(prior_text(value, "Positive", (0.0, unit)) if grouping.uses[t, k] else "")
        rows.append([label, *row])
    more = len(tasks) - most
    return [*rows, [f"and {more} more", *([""] * len(grouping.term))]] if more > 0 else rows


def other_rows(grouping: Grouping, given: Mapping[str, Any]) -> list[list[str]]:
    """The priors of correlations and of degrees of freedom, where the group has them."""
    many = [bool(np.bincount(own[own >= 0]).max(initial=0) > 1) for own in grouping.bundle]
    if grouping.together:
        many = [int(grouping.uses.sum()) > 1]
    known = parts.manual("relations", _EFFECTS).options
    wanted = [("correlation", "Correlation")] * any(many) + [("df", "Positive")] * grouping.student
    return [
        [name, prior_text(_set(given, f"{name}_{grouping.name}", (), over, known[name].default), over, None)]
        for name, over in wanted
    ]


def _set(given: Mapping[str, Any], name: str, axes: tuple[Axis, ...], over: str, default: Any) -> Any:
    """What ``[priors]`` says of an entry, or else the default."""
    try:
        own = governed(given, name, axes, over)
    except ModelError:
        own = []
    return own[0].prior if own else default
