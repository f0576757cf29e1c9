"""What can be wrong with a model or a table, said once and in one shape."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

FEW = 3  # tasks that are named one by one; of more it is said once how many they are


@dataclass(frozen=True)
class Finding:
    """One thing to know before a fit: where, what, and what to do.

    An ``error`` stops the fit, a ``warning`` says what the answers can't be trusted for, and a
    ``note`` only informs.
    """

    where: str
    problem: str
    remedy: str = ""
    level: Literal["error", "warning", "note"] = "error"

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}" + (f" {self.remedy}" if self.remedy else "")


class ModelError(ValueError):
    """A model that can't be fitted to its table, with every reason, not only the first."""

    def __init__(self, *findings: Finding):
        self.findings = findings
        super().__init__(*findings)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))


def refuse(findings: Iterable[Finding]) -> list[Finding]:
    """Raise a ModelError of the errors, if there are any; else hand back the findings."""
    findings = list(findings)
    if errors := [finding for finding in findings if finding.level == "error"]:
        raise ModelError(*errors)
    return findings


def unknown(where: str, noun: str, name: str, known: Iterable[str]) -> Finding:
    """A misspelt name, with the nearest right one."""
    known = sorted(map(str, known))
    near = get_close_matches(name.lower(), {k.lower(): k for k in known}, n=1)
    exact = {k.lower(): k for k in known}
    hint = f'Did you mean "{exact[near[0]]}"?' if near else f"Known: {listed(known) or 'none'}."
    return Finding(where, f'no {noun} called "{name}".', hint)


def named(names: Iterable[str]) -> str:
    """Names in quotes, those of a set in alphabetical order."""
    ordered = sorted(names) if isinstance(names, frozenset) else dict.fromkeys(names)
    return listed([f'"{name}"' for name in ordered])


def listed(things: Iterable[object], most: int = 8) -> str:
    """The first few things, and how many more there are."""
    words = list(map(str, things))
    more = len(words) - most
    return ", ".join(words[:most]) + (f" and {more} more" if more > 0 else "")


def among(tasks: Collection[str], of: int, most: int = FEW) -> str:
    """How many tasks these are of how many, and the first of them."""
    return f"{len(tasks)} of {of} tasks ({listed(tasks, most)})" if len(tasks) < of else f"all {of} tasks"


def gathered(findings: Iterable[Finding], tasks: Collection[str]) -> Iterator[Finding]:
    """Findings, with those that more than a few tasks have alike, by their remedy, as one.

    An error names all these tasks, and else the first few of them.
    """
    known = {f"tasks.{name}": name for name in tasks}
    alike: dict[object, list[Finding]] = {}
    for finding in findings:
        key = (finding.level, finding.remedy) if finding.where in known else finding
        alike.setdefault(key, []).append(finding)
    for own in alike.values():
        names = list(dict.fromkeys(known[f.where] for f in own if f.where in known))
        if len(names) <= FEW:
            yield from own
            continue
        one, most = own[0], len(names) if own[0].level == "error" else FEW
        each = "each" if len({f.problem for f in own}) == 1 else f"such as {names[0]}"
        yield Finding(
            "tasks", f"{among(names, len(known), most)}, {each}: {one.problem}", one.remedy, one.level
        )
