"""Named axes, so that every number knows its task, feature or factor."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """A named axis: ``name`` is a dimension of the posterior, ``labels`` are its coordinates."""

    name: str
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, members: Sequence[int]) -> "Axis":
        """Some of the labels, in the order given."""
        return Axis(self.name, tuple(self.labels[i] for i in members))

    def __add__(self, more: "Axis") -> "Axis":
        """The labels of both, under the name of the first."""
        return Axis(self.name, self.labels + more.labels)

    def other(self) -> "Axis":
        """The same labels under another name, for a matrix of the axis with itself."""
        return Axis(f"{self.name}_", self.labels)


def axis(name: str, size: int) -> Axis:
    """An axis whose labels count from 1."""
    return Axis(name, tuple(str(i + 1) for i in range(size)))
