"""Rows that lie far out, or move what all others say."""

import json
from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr
from scipy.special import logsumexp
from scipy.stats import chi2

from bayesmtl import alike
from bayesmtl.failures import Failure
from bayesmtl.failures.scores import Scores
from bayesmtl.multiplicity import adjusted
from bayesmtl.spec import Model

LOOK = "Look at these rows for errors; if they are right, take a likelihood with heavier tails."
WITHOUT = "Fit without them too, and say what changes."


def outlying(post: xr.DataTree, tasks: Sequence[Scores], level: float) -> Iterator[Failure]:
    """Rows that lie far from what is predicted of them, in all of their tasks together.

    The squared normal scores of a row's cells add to a chi square. By Holm's adjustment there is a false
    alarm in about ``level`` of fits.
    """
    total: dict[object, tuple[float, int]] = {}
    for label, score in (each for one in tasks for each in zip(_names(one), one.score, strict=True)):
        if np.isfinite(score):
            square, count = total.get(label, (0.0, 0))
            total[label] = square + score**2, count + 1
    if not total:
        return
    labels, (square, count) = list(total), np.array(list(total.values())).T
    p = adjusted(chi2.sf(square, count), "holm")
    if far := int((p < level).sum()):
        worst = p.argmin() if p.min() > 0 else (square / count).argmax()
        problem = (
            f"{_rows(far, len(p), 'lie')} far from all that is predicted, most this one: p of no such row"
        )
        yield Failure(_where(post, labels[worst]), problem, float(p[worst]), level, LOOK, "rows")


def influential(post: xr.DataTree, tasks: Sequence[Scores], most: float) -> Iterator[Failure]:
    """Rows without which some weight would be elsewhere, by ``most`` posterior standard deviations or more.

    References
    ----------
    Belsley, Kuh and Welsch (1980). Regression diagnostics: identifying influential data and sources of
        collinearity, chapter 2. Wiley.
    """
    if "weight" not in post.posterior or not post.posterior["weight"].size:
        return
    draws = post.posterior["weight"].sel(task=list(alike.lines(post).labels))
    labels = [(str(t), str(f)) for t in draws.task.values for f in draws.feature.values]
    weight = draws.transpose("chain", "draw", "task", "feature").values.reshape(-1, len(labels))
    known = np.isfinite(weight).all(0) & (weight.std(0) > 0)
    standard = (weight[:, known] - weight[:, known].mean(0)) / weight[:, known].std(0)
    names = [label for label, own in zip(labels, known, strict=True) if own]
    rows = {label: i for i, label in enumerate(dict.fromkeys(n for one in tasks for n in _names(one)))}
    log_weight = np.zeros((len(rows), len(standard)))
    for one in tasks:
        log_weight[[rows[label] for label in _names(one)]] += one.log_weights
    log_weight -= logsumexp(log_weight, axis=1, keepdims=True)
    # no mean moves further than the weights vary (Cauchy and Schwarz)
    varies = len(standard) * np.exp(logsumexp(2 * log_weight, axis=1)) - 1
    some = np.flatnonzero(varies >= most**2)
    shift = np.abs(np.exp(log_weight[some]) @ standard)
    found = np.flatnonzero(shift.max(1, initial=0.0) >= most)
    if len(found):
        i, at = np.unravel_index(shift.argmax(), shift.shape)
        (task, feature), label = names[at], list(rows)[some[i]]
        moves = _rows(len(found), len(rows), "move")
        problem = f"{moves} a weight, most this one weight[{task}, {feature}]: standard deviations without it"
        yield Failure(_where(post, label), problem, float(shift[i, at]), most, WITHOUT, "rows")


def _names(cells: Scores) -> list[object]:
    """What each cell's row is called; a name that is no row's own becomes the cell's."""
    if len(np.unique(cells.cell)) == len(cells.cell):
        return list(cells.cell)
    return [(cells.task, i) for i in range(len(cells.cell))]


def _where(post: xr.DataTree, label: object) -> str:
    if isinstance(label, tuple):
        return f"{label[0]}, cell {label[1] + 1}"
    return f"{Model.read(json.loads(post.attrs['model'])).data.get('units', 'row')} {label}"


def _rows(some: int, every: int, verb: str) -> str:
    return f"{some} of {every} rows {verb}{'s' if some == 1 else ''}"
