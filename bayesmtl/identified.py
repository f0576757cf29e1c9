"""What the cells of tasks can't tell of their weights; what many tasks share is said once."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.linalg

from bayesmtl import categories, parts
from bayesmtl.errors import FEW, Finding, ModelError, among, listed, named
from bayesmtl.responses import response
from bayesmtl.separation import separators
from bayesmtl.spec import Task

_BINARY = ("logit", "probit")  # the links of a probability
_KINDS = ("constant", "made", "many", "apart")
_PRIOR = "the prior"
_LEVEL = re.compile(r"(?:C\((?P<wrapped>[^,()]+)(?:, .*)?\)|(?P<plain>[^():]+))\[T\.[^\]:]*\]")


@dataclass(frozen=True)
class Weakness:
    """Columns whose weights the cells of a task can't tell.

    ``kind`` is "constant" where each is, "made" where the others make up the first, "many" where there are as
    many as ``cells``, and "apart" where they tell the responses apart.
    """

    kind: str
    columns: tuple[str, ...]
    cells: int = 0


@dataclass(frozen=True)
class Told:
    """What the cells of a task tell: where its formula stands, that formula's columns, and the weak ones."""

    task: str
    where: str
    formula: str
    features: tuple[str, ...]
    weak: tuple[Weakness, ...]

    @property
    def strong(self) -> frozenset[str]:
        """The columns whose weights other tasks can learn of."""
        return frozenset(self.features).difference(*(w.columns for w in self.weak if w.kind != "many"))


def weaknesses(task: Task, features: pd.Index, x: np.ndarray, column: pd.Series | None) -> Iterator[Weakness]:
    """Columns that are constant, too many, made of each other, or tell responses apart, over a task's cells.

    ``x`` are the columns of its formula, [cell, feature]; ``column`` holds its responses, if one column does.
    """
    finite = np.isfinite(x).all(axis=1)
    x, cells = x[finite], int(finite.sum())
    if cells < 2:
        return
    x = x / np.maximum(np.abs(x).max(axis=0, initial=0.0), np.finfo(float).tiny)
    spread = x - x.mean(axis=0)
    size = np.sqrt((spread**2).sum(axis=0))
    varies = size > 1e-10 * np.sqrt(cells)
    yield from (Weakness("constant", (name,)) for name in features[~varies])
    x, names = spread[:, varies] / size[varies], features[varies]
    if len(names) >= cells:
        yield Weakness("many", tuple(names), cells)
        return
    yield from (Weakness("made", made) for made in _made(x, names))
    if column is not None and (by := _separators(task, column[finite], x)):
        yield Weakness("apart", tuple(names[by]))


def _made(x: np.ndarray, names: pd.Index) -> Iterator[tuple[str, ...]]:
    """Each column that others make up, and these."""
    if not len(names):
        return
    triangle, order = scipy.linalg.qr(x, mode="r", pivoting=True)
    rank = int((np.abs(np.diag(triangle)) > 1e-7).sum())
    made = scipy.linalg.solve_triangular(triangle[:rank, :rank], triangle[:rank, rank:])
    for column, weights in zip(order[rank:], made.T, strict=True):
        yield tuple(names[[column, *sorted(order[:rank][np.abs(weights) > 1e-6])]])


def _separators(task: Task, column: pd.Series, x: np.ndarray) -> list[int]:
    """The predictors that separate the grades of a graded response, or its noes from its yeses."""
    if categories.strange(column):
        return []
    try:
        y, grades = response(task, column)
    except (ModelError, TypeError, ValueError, OverflowError):
        return []
    options = parts.settings("likelihoods", task.likelihood)
    codes = np.unique(y, return_inverse=True)[1]
    if "categories" in options:
        return sorted({by for code in set(codes) for by in separators(x, (codes == code).astype(int))})
    binary = np.isin(y, [0, 1]).all() and options.get("link") in _BINARY and "trials" not in options
    return separators(x, codes) if grades or binary else []


def faults(tasks: Sequence[Told], shares: bool) -> Iterator[Finding]:
    """What is weak in all tasks of a formula, in many tasks, or in a few, which are then named one by one.

    ``shares`` says whether the relation lets a task's weights learn from the cells of others.
    """
    strong = frozenset[str]().union(*(each.strong for each in tasks)) if shares else frozenset[str]()

    def holders(weak: Iterable[Weakness]) -> str:
        """What says something of these weights, where the cells do not."""
        several = shares and len(tasks) > 1
        helped = any(several if w.kind == "many" else strong & {*w.columns} for w in weak)
        return "the prior and the other tasks" if helped else _PRIOR

    alike: dict[tuple[str, str], list[Told]] = {}
    for each in tasks:
        alike.setdefault((each.where, each.formula), []).append(each)
    own: dict[str, list[Weakness]] = {}
    for (where, _), same in alike.items():
        whole = frozenset(same[0].weak).intersection(*(each.weak for each in same)) if len(same) > 1 else ()
        yield from _said(where, [w for w in same[0].weak if w in whole], holders, whole=True)
        own |= {each.task: [w for w in each.weak if w not in whole] for each in same}
    single = {same[0].task for same in alike.values() if len(same) == 1}
    places = {each.where for each in tasks}
    for kind in _KINDS:
        found = {task: here for task, weak in own.items() if (here := [w for w in weak if w.kind == kind])}
        if len(found) > FEW:
            place = min(places) if len(places) == 1 else "tasks"
            every = [w for here in found.values() for w in here]
            yield _gathered(place, every, among(found, len(tasks)), holders(every))
            continue
        for task, here in found.items():
            yield from _said(f"tasks.{task}", here, holders, whole=task in single)


def _said(
    where: str, weak: Sequence[Weakness], holders: Callable[[Iterable[Weakness]], str], *, whole: bool
) -> Iterator[Finding]:
    """What is weak in one place, which is ``whole`` if these are all the cells of a formula."""
    constant: dict[str, list[str]] = {}
    for each in weak:
        by = holders([each])
        idle = whole and by == _PRIOR
        name, *others = each.columns
        if each.kind == "constant":
            constant.setdefault(by, []).append(name)
        elif each.kind == "made":
            remedy = f"Only {by} can tell their weights apart."
            remedy = "Drop one of them: their weights can't be told apart." if idle else remedy
            remedy += _other_base(each.columns)
            yield _warning(where, f'"{name}" is a linear combination of {named(others)}.', remedy)
        elif each.kind == "many":
            problem = f"has {len(each.columns)} predictors for {each.cells} cells."
            yield _warning(where, problem, f"Only {by} can hold its weights.")
        else:
            problem = f"has responses that {named(each.columns)} {'tell' if others else 'tells'} apart."
            yield _warning(where, problem, f"No weight is too large for the table: only {by} can hold it.")
    for by, names in constant.items():
        one = len(names) == 1
        remedy = f"{'Its weight comes' if one else 'Their weights come'} from {by} alone"
        drop = f"; drop {'it' if one else 'them'}" if whole and by == _PRIOR else ""
        yield _warning(
            where, f"{named(names)} {'is' if one else 'are'} constant over the cells.", f"{remedy}{drop}."
        )


def _gathered(where: str, weak: Sequence[Weakness], tasks: str, by: str) -> Finding:
    """One kind of weakness of many tasks."""
    counts = Counter(tuple(sorted(each.columns)) for each in weak).most_common()
    most = _with(counts[0][0])
    if len(counts) > 1:
        most = f"most often {listed([f'{_with(columns)} (in {count})' for columns, count in counts], 3)}"
    problem, remedy = {
        "constant": (
            f"columns are constant over the cells of {tasks}: {most}.",
            f"There their weights come from {by} alone.",
        ),
        "made": (
            f"columns are linear combinations of others over the cells of {tasks}: {most}.",
            f"There only {by} can tell their weights apart.{_other_base(counts[0][0])}",
        ),
        "many": (f"{tasks} have no more cells than predictors.", f"There only {by} can hold their weights."),
        "apart": (
            f"predictors, {most}, tell the responses of {tasks} apart.",
            f"There no weight is too large for the table: only {by} can hold it.",
        ),
    }[weak[0].kind]
    return _warning(where, problem, remedy)


def _other_base(columns: Sequence[str]) -> str:
    """What to do where levels of one factor make up each other: the level that they are told from is missing.

    Examples
    --------
    >>> _other_base(["C(band)[T.1]", "C(band)[T.2]"])
    ' Or tell levels from one that all tasks have: C(band, contr.treatment(base=...)).'
    >>> _other_base(["C(band, contr.treatment(base=3))[T.1]", "C(band, contr.treatment(base=3))[T.2]"])
    ' Or tell levels from one that all tasks have: C(band, contr.treatment(base=...)).'
    >>> _other_base(["C(band)[T.1]", "age"]), _other_base(["bs(age)[1]", "bs(age)[2]"])
    ('', '')
    """
    levels = [_LEVEL.fullmatch(name) for name in columns]
    factors = {level["wrapped"] or level["plain"] for level in levels if level is not None}
    if len(factors) != 1 or None in levels:
        return ""
    return f" Or tell levels from one that all tasks have: C({min(factors)}, contr.treatment(base=...))."


def _with(columns: Sequence[str]) -> str:
    first, *others = [f'"{name}"' for name in columns]
    return f"{first} with {' and '.join(others)}" if others else first


def _warning(where: str, problem: str, remedy: str) -> Finding:
    return Finding(where, problem, remedy, "warning")
