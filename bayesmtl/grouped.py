"""Groupings learned from a table, and applied to another."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from bayesmtl import formulas, tables
from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, ModelError, unknown
from bayesmtl.formulas import Encoding
from bayesmtl.group_terms import GroupTerm, split
from bayesmtl.groups import Grouping
from bayesmtl.kin import covariance
from bayesmtl.levels import labels_of, order
from bayesmtl.terms import offset

_TAKEN = ("chain", "draw", "task", "feature")  # axes of every posterior


class Predictor(NamedTuple):
    """A task's linear predictor: its label, formula, rows with a cell, and where the formula is written."""

    label: str
    formula: str
    rows: np.ndarray
    where: str = "formula"


class _Use(NamedTuple):
    """One group term of one task: the task's place, and the bundle it makes there."""

    task: int
    bundle: int
    term: GroupTerm


def learn(predictors: Iterable[Sequence], table: pd.DataFrame, folder: Path) -> tuple[Grouping, ...]:
    """The groupings of all linear predictors: one for each group, and one for each that links tasks.

    Parameters
    ----------
    predictors
        Label, formula, rows with a cell [row], and where the formula is written; see ``Predictor``.
    table
        The rows.
    folder
        Where the files of known covariances are.

    Raises
    ------
    ModelError
        When a group or a term can't be encoded; it names all of them.
    """
    given = [Predictor(*predictor) for predictor in predictors]
    read = {p.formula: split(p.formula, p.where)[1] for p in given}
    blocks: dict[tuple[str, ...], list[_Use]] = {}
    for task, predictor in enumerate(given):
        for bundle, term in enumerate(read[predictor.formula]):
            # with an id a group's terms are one block; without, those of one kind are
            kind = () if term.id else (term.cov, term.dist)
            key = (term.group, term.id, *kind)
            blocks.setdefault(key, []).append(_Use(task, bundle, term))
    names = _names(blocks)
    found, wrong = [], []
    for key, uses in blocks.items():
        try:
            found.append(_grouping(names[key], uses, given, table, folder))
        except ModelError as error:
            wrong += [finding for finding in error.findings if finding not in wrong]
    if wrong:
        raise ModelError(*wrong)
    return tuple(found)


def apply(
    grouping: Grouping,
    table: pd.DataFrame,
    rows: np.ndarray | None = None,
    where: str = "formula",
    anonymous: bool = False,
) -> Grouping:
    """The same grouping on another table; levels that it never saw are ``new``.

    Parameters
    ----------
    rows
        For each task, which rows have a cell of it; by default all; [task, row].
    anonymous
        Whether rows whose level is empty belong to one that nobody knows, if the group takes new levels.

    Raises
    ------
    ModelError
        When a column is missing, a group or a term is empty, or a level has no known covariance.
    """
    rows = np.ones((len(grouping.bundle), len(table)), bool) if rows is None else rows
    needed = rows.T @ grouping.uses  # [row, term]
    labels = labels_of(grouping.factors, table, needed.any(1), anonymous and not grouping.closed)
    known = {label: i for i, label in enumerate(grouping.level.labels)}
    new = tuple(label for label in dict.fromkeys(labels) if label and label not in known)
    if new and grouping.closed:
        wrong = [
            unknown(f"table.{':'.join(grouping.factors)}", "level with a known covariance", label, known)
            for label in new[:8]
        ]
        raise ModelError(*wrong)
    known |= {label: len(known) + i for i, label in enumerate(new)}
    made = _columns([(e, formulas.apply(e, table, where)) for e in grouping.encodings], table, where)
    z = np.column_stack([made[name] for name in grouping.term.labels])
    return replace(
        grouping,
        index=np.array([known.get(label, 0) for label in labels], int),
        z=_finite(z, needed, grouping.term, table, where),
        new=new,
    )


def _names(blocks: Mapping[tuple[str, ...], list[_Use]]) -> dict[tuple[str, ...], str]:
    """A name for each block: that of its group, and its id or a number where that is taken."""
    names: dict[tuple[str, ...], str] = {}
    for key in blocks:
        stem = name = re.sub(r"[./]", "_", key[0])
        count = 1
        while name in names.values():
            count += 1
            name = f"{stem}_{key[1] or count}" if count == 2 else f"{stem}_{key[1]}{count}"
        names[key] = name
    return names


def _grouping(
    name: str, uses: list[_Use], given: list[Predictor], table: pd.DataFrame, folder: Path
) -> Grouping:
    """One block on a table."""
    where, first = given[uses[0].task].where, uses[0].term
    if name in _TAKEN:
        remedy = "Rename the column: every posterior has an axis of that name."
        raise ModelError(Finding(where, f'has the group "{name}".', remedy))
    if any((use.term.cov, use.term.dist) != (first.cov, first.dist) for use in uses):
        problem = f'has terms of the group "{first.group}" that are correlated and differ in cov or dist.'
        raise ModelError(Finding(where, problem, f'Give all with "|{first.id}|" the same.'))
    made = {t: formulas.learn_part(t, table, where) for t in dict.fromkeys(use.term.terms for use in uses)}
    columns = _columns(list(made.values()), table, where)
    term = Axis(f"{name}_term", tuple(columns))
    bundle = _bundles(uses, {t: _features(e, where) for t, (e, _) in made.items()}, term, given)
    together = bool(first.id) and len({use.task for use in uses}) > 1
    needed = np.array([p.rows for p in given]).T @ (bundle >= 0)  # [row, term]
    labels = labels_of(first.factors, table, needed.any(1))
    known = None
    levels = order(first.factors, table, labels)
    if first.cov:
        levels, known = covariance(folder / first.cov, levels, where)
    z = _finite(np.column_stack(list(columns.values())), needed, term, table, where)
    places = {label: i for i, label in enumerate(levels)}
    return Grouping(
        name=name,
        factors=first.factors,
        level=Axis(name, tuple(levels)),
        term=term,
        bundle=bundle,
        together=together,
        student=first.dist == "student",
        closed=bool(first.cov),
        encodings=tuple(encoding for encoding, _ in made.values()),
        sd=_spread(z, needed, term),
        index=np.array([places.get(label, 0) for label in labels], int),
        z=z,
        covariance=known,
    )


def _features(encoding: Encoding, where: str) -> tuple[str, ...]:
    """The names of a formula's columns, the offset's first."""
    return ("1",) * offset(encoding.formula, where) + encoding.features


def _columns(
    made: list[tuple[Encoding, pd.DataFrame]], table: pd.DataFrame, where: str
) -> dict[str, np.ndarray]:
    """The columns of several formulae, each name once, the offset first; [row]."""
    columns: dict[str, np.ndarray] = {}
    if any(offset(encoding.formula, where) for encoding, _ in made):
        columns["1"] = np.ones(len(table))
    for encoding, own in made:
        for name in encoding.features:
            values = own[name].to_numpy(float)
            if not np.array_equal(columns.setdefault(name, values), values, equal_nan=True):
                problem = f'makes another "{name}" than an earlier term of the same group.'
                raise ModelError(Finding(where, problem, "Write it alike."))
    return columns


def _bundles(
    uses: list[_Use], features: Mapping[str, tuple[str, ...]], term: Axis, given: list[Predictor]
) -> np.ndarray:
    """Which terms of a task are correlated; -1 for a term that it has not; [task, term]."""
    bundle = np.full((len(given), len(term)), -1)
    for use in uses:
        places = [term.labels.index(name) for name in features[use.term.terms]]
        if twice := [term.labels[k] for k in places if bundle[use.task, k] >= 0]:
            problem = f'has "{twice[0]}" of the group "{use.term.group}" twice.'
            raise ModelError(Finding(given[use.task].where, problem, "Drop one."))
        if use.term.id:
            bundle[use.task, places] = 0
        else:
            apart = np.arange(len(places)) if not use.term.correlated else 0
            bundle[use.task, places] = bundle[use.task].max() + 1 + apart
    return bundle


def _finite(z: np.ndarray, needed: np.ndarray, term: Axis, table: pd.DataFrame, where: str) -> np.ndarray:
    """The columns where some cell needs them, and 0 elsewhere; [row, term]."""
    wrong = []
    for k, label in enumerate(term.labels):
        bad = pd.Series(~np.isfinite(z[:, k]) & needed[:, k])
        if rows := tables.named(table, bad):
            problem = f'"{label}" is no finite number: {rows}.'
            wrong.append(Finding(where, problem, "Mend that term, or drop these rows."))
    if wrong:
        raise ModelError(*wrong)
    return np.where(needed, z, 0.0)


def _spread(z: np.ndarray, needed: np.ndarray, term: Axis) -> np.ndarray:
    """The standard deviation of each term's column where it is needed; 1 for the offset; [term]."""
    found = np.ones(len(term))
    for k, label in enumerate(term.labels):
        own = z[needed[:, k], k]
        if label != "1" and len(own) > 1 and own.std() > 0:
            found[k] = own.std(ddof=1)
    return found
