"""Which entries of a parameter the keys of ``[priors]`` mean."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, ModelError, listed, unknown
from bayesmtl.priors import FAMILIES, Prior, labels, read

if TYPE_CHECKING:
    import numpy as np

type Places = Mapping[str, Sequence[tuple[Axis, ...]]]  # the axes of every parameter that has a prior

# What a user calls the parameters whose prior is on what they are for an average row, or on a factor.
_CALLED = {"level": "offset", "cut_level": "cut", "correlation_root": "task_correlation"}


@dataclass(frozen=True)
class Governed:
    """Entries of a parameter with a prior of their own, or a number at which they are fixed.

    ``where`` is true for these entries and has the shape of the parameter; ``key`` is one that says so.
    """

    key: str
    prior: Prior | float
    where: "np.ndarray"


def called(name: str) -> str:
    """The name by which a user sets a parameter: that which the posterior has in the user's units."""
    return _CALLED.get(name, name)


def governed(given: Mapping[str, Any], name: str, axes: tuple[Axis, ...], support: str) -> list[Governed]:
    """The entries that ``[priors]`` governs: those of one prior together, no entry twice.

    Of several keys the one with the most labels decides, of equally many the last. Labels stand in the order
    of the axes; any may be left out. A task's name means all of its linear predictors.

    Raises
    ------
    ModelError
        When a prior can't be read, or has another support.
    """
    import numpy as np

    keys = sorted((key for key in given if _name(key) == called(name)), key=lambda key: len(labels(key)))
    owner = np.full(tuple(map(len, axes)), -1)
    for i, key in enumerate(keys):
        if (at := _entries(labels(key), axes)) is not None:
            owner[np.ix_(*at)] = i
    found: dict[Prior | float, Governed] = {}
    for i, key in enumerate(keys):
        if not (where := owner == i).any():
            continue
        prior = read(given[key], f"priors.{key}", support)
        before = found.get(prior)
        found[prior] = Governed(key, prior, where | before.where if before else where)
    return list(found.values())


def unmatched(given: Mapping[str, Any], known: Places) -> list[Finding]:
    """The keys of ``[priors]`` that mean nothing, each with what it may have meant.

    Parameters
    ----------
    known
        The axes of every parameter that has a prior, as ``user_priors.settings`` heard them: a name stands
        for several when families of tasks each have it.
    """
    places: dict[str, list[tuple[Axis, ...]]] = {}
    for name, every in known.items():
        places.setdefault(called(name.rpartition(".")[2]), []).extend(every)
    found = []
    for key in given:
        where, name, own = f"priors.{key}", _name(key), labels(key)
        if name not in places:
            found.append(unknown(where, "parameter with a prior", name, places))
        elif all(_entries(own, axes) is None for axes in places[name]):
            found.append(_astray(where, name, own, places[name]))
    return found


def faults(given: Mapping[str, Any]) -> list[Finding]:
    """What is wrong with ``[priors]`` whatever the parameters are."""
    found = []
    for key, value in given.items():
        where = f"priors.{key}"
        if "[" in key and not (key.endswith("]") and labels(key) and all(labels(key))):
            found.append(Finding(where, "is no name with labels.", 'Write it like "weight[task, age]".'))
            continue
        family = value.partition("(")[0].strip() if isinstance(value, str) else ""
        try:
            read(value, where, FAMILIES[family][0] if family in FAMILIES else "Real")
        except ModelError as error:
            near = [unknown(where, "prior", family, FAMILIES)] if family.isidentifier() else error.findings
            found += error.findings if family in FAMILIES else near
    return found


def _name(key: str) -> str:
    return called(key.partition("[")[0].strip())


def _entries(own: tuple[str, ...], axes: Sequence[Axis]) -> list[list[int]] | None:
    """The places along each axis that labels mean; None when they mean nothing."""
    for chosen in combinations(range(len(axes)), len(own)):
        at = [list(range(len(axis))) for axis in axes]
        for place, label in zip(chosen, own, strict=True):
            at[place] = [i for i, name in enumerate(axes[place].labels) if _means(label, name)]
        if all(map(len, at)):
            return at
    return None


def _means(label: str, name: str) -> bool:
    return name == label or name.startswith(f"{label}[")


def _astray(where: str, name: str, own: tuple[str, ...], places: Iterable[tuple[Axis, ...]]) -> Finding:
    """The finding of labels that are not a parameter's."""
    axes: dict[str, dict[str, None]] = {}
    for place in places:
        for axis in place:
            axes.setdefault(axis.name, {}).update(dict.fromkeys(axis.labels))
    every = {label for names in axes.values() for label in names}
    for label in own:
        if not any(_means(label, known) for known in every):
            return unknown(where, f"label of {name}", label, every)
    words = "; ".join(f"{axis}: {listed(names, 4)}" for axis, names in axes.items())
    return Finding(where, f"is no entry of {name}.", f"Its axes are {words}." if words else "It has no axes.")
