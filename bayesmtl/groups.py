"""Groups of rows: which level each row belongs to, and the columns whose coefficients vary between levels."""

import ast
from dataclasses import dataclass

import numpy as np

from bayesmtl.axes import Axis
from bayesmtl.formulas import Encoding


@dataclass(frozen=True)
class Grouping:
    """A group of rows, and what varies between its levels.

    Parameters
    ----------
    name
        The group's, as the posterior's variables bear it.
    factors
        The columns of the table that make it.
    level, term
        Its levels, and the columns whose coefficients vary between them.
    bundle
        Terms of a task that share a number are correlated; -1 for one that the task has not; [task, term].
    together
        Whether all tasks' coefficients of one level are correlated.
    student
        Whether levels may lie far out.
    closed
        Whether the covariance between levels is known, so that no other level can come.
    encodings
        One for each formula of terms.
    sd
        Of each term's column; 1 for the offset; [term].
    index
        The level of each row; [row].
    z
        The terms' columns, in the user's units; [row, term].
    covariance
        Between levels, where it is known; [level, level].
    new
        The levels of another table that the fit never saw; they come after those of ``level`` in ``index``.
    """

    name: str
    factors: tuple[str, ...]
    level: Axis
    term: Axis
    bundle: np.ndarray
    together: bool
    student: bool
    closed: bool
    encodings: tuple[Encoding, ...]
    sd: np.ndarray
    index: np.ndarray
    z: np.ndarray
    covariance: np.ndarray | None = None
    new: tuple[str, ...] = ()

    @property
    def uses(self) -> np.ndarray:
        """Whether a task has a term; [task, term]."""
        return self.bundle >= 0

    @property
    def data(self) -> dict[str, np.ndarray]:
        """The arrays that change from table to table, as the program takes them."""
        return {"level": self.index, "z": self.z}

    def __str__(self) -> str:
        plain = [self.name, list(self.factors), list(self.level.labels), list(self.term.labels)]
        flags = [self.bundle.tolist(), self.together, self.student, self.closed]
        return repr([*plain, *flags, list(map(str, self.encodings)), self.sd.tolist()])

    @classmethod
    def read(cls, text: str) -> "Grouping":
        """The grouping whose text this is, with no rows."""
        name, factors, level, term, bundle, together, student, closed, encodings, sd = ast.literal_eval(text)
        return cls(
            name=name,
            factors=tuple(factors),
            level=Axis(name, tuple(level)),
            term=Axis(f"{name}_term", tuple(term)),
            bundle=np.array(bundle, int),
            together=together,
            student=student,
            closed=closed,
            encodings=tuple(map(Encoding.read, encodings)),
            sd=np.array(sd),
            index=np.zeros(0, int),
            z=np.zeros((0, len(term))),
        )


def coefficients(grouping: Grouping) -> list[tuple[np.ndarray, np.ndarray]]:
    """The coefficients of one level, in sets of one size that are drawn together.

    Returns
    -------
    list
        For each size the tasks and the terms of the coefficients; [set, coefficient] twice. With ``together``
        all are one set; else each task has a set, and tasks with the same terms and bundles stand together.
    """
    if grouping.together:
        tasks, terms = np.nonzero(grouping.uses)
        return [(tasks[None], terms[None])]
    alike: dict[tuple[int, ...], list[int]] = {}
    for task, bundles in enumerate(grouping.bundle.tolist()):
        if max(bundles) >= 0:
            numbers = {b: i for i, b in enumerate(dict.fromkeys(b for b in bundles if b >= 0))}
            alike.setdefault(tuple(numbers.get(b, -1) for b in bundles), []).append(task)
    found = []
    for pattern, tasks in alike.items():
        terms = np.flatnonzero(np.array(pattern) >= 0)
        shape = (len(tasks), len(terms))
        found.append((np.broadcast_to(np.array(tasks)[:, None], shape), np.broadcast_to(terms, shape)))
    return found
