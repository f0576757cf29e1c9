"""The tables of a page, as text."""

import json
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.page.numbers import NONE, Estimate, count, estimate, percent, plain
from bayesmtl.page.plots import estimates, quantiles

MOST = 120  # rows of a table
LONG = 16  # rows from which a table is folded


@dataclass(frozen=True)
class Table:
    """Rows below a head, each named by its first cell; ``words`` are the columns of text."""

    head: list[str]
    rows: list[list[str | Estimate]]
    words: frozenset[int] = frozenset()
    note: str = ""

    @property
    def long(self) -> bool:
        """Whether it is folded."""
        return len(self.rows) > LONG


def task_weights(weighed: pd.DataFrame) -> Table:
    """What each task weighs, with the precision where the loss is the squared error."""
    rows: list[list[str | Estimate]] = []
    for name, row in weighed.iterrows():
        ends = [row["weight"], row["weight_low"], row["weight_high"]]
        squared = row["loss"] == "squared error"
        fixed = ends[1] == ends[2]
        rows.append(
            [
                f"{name} (tempered)" if row["tempered"] else str(name),
                percent(row["share"], row["share_low"], row["share_high"]),
                _of(row, "noise"),
                str(row["loss"]),
                Estimate(f"{plain(ends[0])}, fixed") if fixed else estimate(*ends),
                estimate(*(2 * end for end in ends)) if squared else NONE,
                str(row["likelihood"]),
                f"{row['cells']:,}",
            ]
        )
    head = [
        "task",
        "information",
        "noise \N{GREEK SMALL LETTER SIGMA}",
        "loss",
        "loss weight",
        "precision 1/\N{GREEK SMALL LETTER SIGMA}²",
    ]
    table = cut([*head, "likelihood", "cells"], rows, {3, 6})
    return _full(table)


def coefficients(post: xr.DataTree) -> Table:
    """Every weight, and the offsets; the longer of tasks and features goes down."""
    weight = post.posterior["weight"].transpose("chain", "draw", "task", "feature")
    columns = [str(name) for name in post.constant_data.feature.values]
    mean, low, high = (part.values for part in quantiles(weight))
    texts = [[estimate(*ends) for ends in zip(*task)] for task in zip(mean, low, high)]
    given = post.posterior.get("offset")
    if given is not None and given.dims[2:] == ("task",) and np.isfinite(given).any():
        columns = [*columns, "offset"]
        for text, offset in zip(texts, estimates(given), strict=True):
            text.append(offset)
    # a task that has a linear predictor for each category has no weights of its own
    said = [any(str(each) != NONE for each in text) for text in texts]
    tasks = [str(name) for name, any_ in zip(weight.task.values, said, strict=True) if any_]
    texts = [text for text, any_ in zip(texts, said, strict=True) if any_]
    if len(columns) > max(len(tasks), 5):
        flipped = [[name, *row] for name, row in zip(columns, zip(*texts), strict=True)]
        return cut(["", *tasks], flipped)
    return cut(["task", *columns], [[name, *row] for name, row in zip(tasks, texts)])


def sharing(post: xr.DataTree) -> list[Table]:
    """What the tasks share: per feature, and between each two tasks."""
    found = []
    columns = {
        name: estimates(post.posterior[name])
        for name in ("share", "scale")
        if name in post.posterior and post.posterior[name].dims[2:] == ("feature",)
    }
    if columns and post.constant_data.sizes["feature"]:
        names = map(str, post.constant_data.feature.values)
        rows = [[name, *row] for name, row in zip(names, zip(*columns.values()), strict=True)]
        found.append(cut(["feature", *columns], rows))
    if (pairs := correlations(post)) is not None:
        rows = [[str(pair), text] for pair, text in zip(pairs.pair.values, estimates(pairs), strict=True)]
        found.append(cut(["tasks", "correlation of their weights"], rows))
    return found


def correlations(post: xr.DataTree) -> xr.DataArray | None:
    """The correlation of each two tasks, strongest first and not too many; [chain, draw, pair]."""
    if "task_correlation" not in post.posterior:
        return None
    whole = post.posterior["task_correlation"].transpose("chain", "draw", "task", ...)
    tasks = [str(name) for name in whole.task.values]
    strength = np.abs(whole.mean(["chain", "draw"]).values)
    pairs = [pair for pair in combinations(range(len(tasks)), 2) if np.isfinite(strength[pair])]
    pairs = sorted(pairs, key=lambda pair: -strength[pair])[:MOST]
    if not pairs:
        return None
    drawn = np.stack([whole.values[:, :, i, j] for i, j in pairs], axis=-1)
    labels = [f"{tasks[i]} and {tasks[j]}" for i, j in pairs]
    return xr.DataArray(drawn, dims=["chain", "draw", "pair"], coords={"pair": labels})


def in_common(frame: pd.DataFrame) -> Table | None:
    """The rows of ``in_common``, the prior beside the posterior; the shares stand elsewhere."""
    rows: list[list[str | Estimate]] = [
        [
            str(what) + (f" of {label}" if label else ""),
            estimate(row["mean"], row["low"], row["high"]),
            estimate(row["prior"], row["prior_low"], row["prior_high"]),
        ]
        for (what, label), row in frame.iterrows()
        if what != "share"
    ]
    return cut(["of all tasks", "posterior", "prior"], rows) if rows else None


def sensitivity(frame: pd.DataFrame | None) -> Table | None:
    """The rows of ``sensitivity``, the strongest first."""
    if frame is None or frame.empty:
        return None
    rows: list[list[str | Estimate]] = [
        [
            row.task,
            row.feature,
            *(f"{100 * part:.1f}%" for part in (row.partial_r2, row.robustness, row.robustness_interval)),
        ]
        for row in frame.sort_values("robustness", ascending=False).itertuples()
    ]
    head = ["task", "predictor", "its own share", "share that takes the weight to 0", "the interval to 0"]
    return cut(head, rows, {1})


def failures(frame: pd.DataFrame) -> Table:
    """The rows of the diagnostics."""
    rows: list[list[str | Estimate]] = [
        [
            str(row["where"]),
            str(row["problem"]),
            plain(float(row["value"])),
            plain(float(row["threshold"])),
            str(row["remedy"]),
        ]
        for _, row in frame.iterrows()
    ]
    return Table(["where", "problem", "value", "threshold", "what to do"], rows, frozenset({1, 4}))


def convergence(mixed: pd.DataFrame) -> Table:
    """The parameters that mix worst."""
    rows: list[list[str | Estimate]] = [
        [str(name), f"{row['rhat']:.3f}", f"{row['ess_bulk']:,.0f}", f"{row['ess_tail']:,.0f}"]
        for name, row in mixed.iterrows()
    ]
    head = ["parameter", "R-hat", "effective draws, bulk", "effective draws, tails"]
    return Table(head, rows)


def tasks(post: xr.DataTree) -> Table:
    """The cells of each task."""
    grades = json.loads(post.attrs.get("grades", "{}"))
    constant = post.constant_data
    rows: list[list[str | Estimate]] = []
    for name, kind, cells, empty in zip(
        *(constant[key].values for key in ("task", "likelihood", "cells", "empty"))
    ):
        rows.append([str(name), str(kind), f"{cells:,}", f"{empty:,}"])
        rows[-1].append(_response(post, str(name), grades.get(str(name), [])))
    head = ["task", "likelihood", "cells", "empty", "observed, mean and sd"]
    if "unserved" in constant and constant["unserved"].any():
        head.append("left out, as a predictor is missing")
        for row, left in zip(rows, constant["unserved"].values, strict=True):
            row.append(f"{left:,}")
    return cut(head, rows, {1})


def features(post: xr.DataTree) -> Table:
    """The predictors as the fit saw them."""
    constant = post.constant_data
    rows: list[list[str | Estimate]] = [
        [str(name), plain(float(mean), 4), plain(float(sd))]
        for name, mean, sd in zip(*(constant[key].values for key in ("feature", "mean", "sd")))
    ]
    return cut(["predictor", "mean", "sd"], rows)


def _response(post: xr.DataTree, name: str, grades: list[object]) -> str:
    if grades:
        return f"{count(len(grades), 'grade')}, {grades[0]} to {grades[-1]}"
    if "observed_data" not in post or name not in post["observed_data"]:
        return NONE
    values = np.asarray(post["observed_data"][name])
    return f"{plain(float(values.mean()))}, {plain(float(values.std()))}"


def _of(row: pd.Series, name: str) -> Estimate:
    return estimate(row[name], row[f"{name}_low"], row[f"{name}_high"])


def _full(table: Table) -> Table:
    """A table without the columns that say nothing."""
    kept = [k for k in range(len(table.head)) if any(str(row[k]) != NONE for row in table.rows)]
    words = frozenset(new for new, k in enumerate(kept) if k in table.words)
    rows = [[row[k] for k in kept] for row in table.rows]
    return Table([table.head[k] for k in kept], rows, words, table.note)


def cut(head: list[str], rows: list[list[str | Estimate]], words: set[int] | None = None) -> Table:
    """A table of its first rows, which says how many there are."""
    more = len(rows) - MOST
    note = f"The first {MOST} of {len(rows):,} rows; the posterior holds the rest." if more > 0 else ""
    return Table(head, rows[:MOST], frozenset(words or ()), note)
