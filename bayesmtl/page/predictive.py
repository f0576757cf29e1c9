"""Posterior predictive checks: what was observed, against what the model would have drawn."""

import json

import arviz_plots
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from bayesmtl.page.figures import ACCENT, FAINT, INK, PROB, WIDTH, Picture, embed, plot
from bayesmtl.page.plots import shortened
from bayesmtl.reports.weights import tempered

MOST = 12  # tasks
SMALL = 100  # cells from which a density says more than the cumulative shares
CURVES = 40  # draws that are shown as curves
REACH = 5  # ranges of what was observed beyond which a prior isn't drawn
FEW = 12  # values that are shown as bars


def checks(post: xr.DataTree, tasks: list[str]) -> list[Picture]:
    """A predictive check for each task."""
    grades = json.loads(post.attrs.get("grades", "{}"))
    marked = dict(zip(map(str, post.constant_data.task.values), tempered(post)))
    return [
        check(
            np.asarray(post["observed_data"][task]),
            np.asarray(post["posterior_predictive"][task].transpose("chain", "draw", ...)),
            f"{task} (tempered)" if marked[task] else task,
            grades.get(task, []),
        )
        for task in tasks
    ]


def check(observed: np.ndarray, drawn: np.ndarray, task: str, grades: list[object]) -> Picture:
    """The check that fits a task's values; ``observed [cell]``, ``drawn [..., cell]``."""
    drawn = drawn.reshape(-1, drawn.shape[-1])
    if (bars := _few(observed, drawn, task, grades)) is not None:
        return bars
    if not _whole(observed) or not _whole(drawn[:CURVES]):
        return _curves(observed, drawn, task)
    return _counts(observed, drawn, task)


def before(observed: np.ndarray, drawn: np.ndarray, task: str, grades: list[object]) -> Picture:
    """What the prior alone draws beside what was observed, as far as the prior reaches."""
    drawn = drawn.reshape(-1, drawn.shape[-1])
    if (bars := _few(observed, drawn, task, grades, "prior")) is not None:
        return bars
    drawn = np.nan_to_num(drawn.astype(float))
    span = np.ptp(observed) or 1.0
    low, high = np.quantile(drawn, [(1 - PROB) / 2, (1 + PROB) / 2])
    # a prior that reaches further than this is wide whatever its end
    low = min(observed.min(), max(low, observed.min() - REACH * span))
    high = max(observed.max(), min(high, observed.max() + REACH * span))
    edge = 0.05 * (high - low)
    clipped = np.clip(drawn, low - 2 * edge, high + 2 * edge)
    return _curves(observed, clipped, task, (low - edge, high + edge))


def _few(
    observed: np.ndarray, drawn: np.ndarray, task: str, grades: list[object], who: str = "predicted"
) -> Picture | None:
    """Bars of graded responses and of few values; None of any other."""
    if grades:
        known = np.asarray(grades)
        return _bars(_places(observed, known), _places(drawn, known), list(map(str, grades)), task, who)
    values = np.unique(observed)
    if not _whole(observed) or len(values) > FEW or not np.isin(drawn, values).all():
        return None
    places = np.searchsorted(values, observed), np.searchsorted(values, drawn)
    return _bars(*places, [f"{value:g}" for value in values], task, who)


def _whole(values: np.ndarray) -> bool:
    return bool(np.all(values == np.round(values)))


def _places(values: np.ndarray, grades: np.ndarray) -> np.ndarray:
    """Where grades stand in their order; values that are places already stay so."""
    known = values.astype(grades.dtype) if grades.dtype.kind in "if" else values.astype(str)
    grades = grades if grades.dtype.kind in "if" else grades.astype(str)
    # the draws of graded tasks may be places where what was observed are grades
    if not np.isin(known, grades).all():
        return values.astype(int)
    order = np.argsort(grades)
    return order[np.searchsorted(grades[order], known)]


def _bars(observed: np.ndarray, drawn: np.ndarray, labels: list[str], task: str, who: str) -> Picture:
    """Relative frequencies of few values: observed as bars, predicted as intervals."""
    values = np.arange(len(labels))
    seen = (observed == values[:, None]).mean(1)
    drawn = np.array([(drawn == value).mean(1) for value in values])
    low, high = np.quantile(drawn, [(1 - PROB) / 2, (1 + PROB) / 2], axis=1)
    figure, axes = plt.subplots(figsize=(WIDTH, 2.1))
    axes.bar(values, seen, width=0.72, color="#cfe0ef", label="observed")
    axes.vlines(values, low, high, color=ACCENT, lw=2, label=who)
    axes.plot(values, drawn.mean(1), "o", color=ACCENT, ms=4)
    axes.set_xticks(values, [shortened(label, 10) for label in labels])
    axes.set_ylim(bottom=0)
    _tidy(axes, "share of cells")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.18), ncols=2)
    outside = int(((seen < low) | (seen > high)).sum())
    said = f"{outside} of {len(values)} observed frequencies lie outside the {who} intervals"
    return embed(figure, f"Frequencies of {task}: {said}.", task)


def _curves(
    observed: np.ndarray, drawn: np.ndarray, task: str, ends: tuple[float, float] | None = None
) -> Picture:
    """Densities of a continuous response; cumulative shares of few or of heavy tails, or between ends."""
    some = drawn[np.linspace(0, len(drawn) - 1, min(CURVES, len(drawn))).astype(int)].astype(float)
    low, high = observed.min(), observed.max()
    heavy = ends is not None or len(observed) < SMALL or np.ptp(some) > 4 * (high - low)
    figure = plot(
        arviz_plots.plot_ppc_dist,
        _tree(observed.astype(float), some),
        height=2.1,
        kind="ecdf" if heavy else "kde",
        num_samples=len(some),
        visuals={
            "title": False,
            "predictive_dist": {"color": ACCENT, "alpha": 0.18, "width": 0.8},
            "observed_dist": {"color": INK, "width": 1.8},
            "remove_axis": not heavy,
        },
    )
    reach = 0.4 * (high - low)
    axes = figure.axes[0]
    axes.set_xlim(*(ends or (low - reach, high + reach)))
    axes.tick_params(axis="x", color=FAINT)
    if heavy:
        axes.set_ylabel("share at most")
    said = "cumulative shares" if heavy else "densities"
    alt = f"{said.capitalize()} of {task}: one dark line observed, {len(some)} pale lines predicted."
    return embed(figure, alt, task)


def _counts(observed: np.ndarray, drawn: np.ndarray, task: str) -> Picture:
    """A rootogram of counts."""
    figure = plot(
        arviz_plots.plot_ppc_rootogram,
        _tree(observed.astype(int), drawn.astype(int)),
        height=2.1,
        ci_prob=PROB,
        visuals={
            "title": False,
            "grid": False,
            "predictive_markers": {"color": ACCENT},
            "credible_interval": {"color": ACCENT},
            "observed_markers": {"color": INK},
        },
    )
    axes = figure.axes[0]
    axes.set_xlim(-0.5, observed.max() * 1.3 + 0.5)
    _tidy(axes, "cells, on a root scale")
    axes.set_xlabel("")
    return embed(figure, f"Rootogram of {task}: counts observed and predicted.", task)


def _tree(observed: np.ndarray, drawn: np.ndarray) -> xr.DataTree:
    """A tree of one plain variable: ArviZ gives names such as ``~x`` a meaning."""
    cell = np.arange(len(observed))
    dims = ["chain", "draw", "cell"]
    coords = {"chain": [0], "draw": np.arange(len(drawn)), "cell": cell}
    return xr.DataTree.from_dict(
        {
            "posterior_predictive": xr.Dataset({"y": (dims, drawn[None])}, coords=coords),
            "observed_data": xr.Dataset({"y": ("cell", observed)}, coords={"cell": cell}),
        }
    )


def _tidy(axes: plt.Axes, label: str) -> None:
    axes.set_ylabel(label)
    axes.tick_params(axis="x", length=0)
