"""A picture of how the tasks are related: a heat map of their correlations, and the tree that they make."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import squareform

from bayesmtl.page.figures import FAINT, INK, PALE, PROB, WIDTH, Picture, embed
from bayesmtl.page.plots import shortened
from bayesmtl.reports.relatedness import relatedness

FEW = 7  # tasks whose numbers can be read in their places
MOST = 60  # tasks of one picture
DARK = 0.6  # correlation from which a place is dark


def picture(post: xr.DataTree) -> Picture | None:
    """The heat map of a posterior's weights; None of fewer than three tasks, or where nothing is learned."""
    frame = relatedness(post, prob=PROB)
    if "weights" not in frame.index.get_level_values("of"):
        return None
    pairs = frame.loc["weights"]
    tasks = list(dict.fromkeys([*pairs.index.get_level_values(0), *pairs.index.get_level_values(1)]))
    if not 3 <= len(tasks) <= MOST or (pairs["low"] == pairs["high"]).all():
        return None
    one, other = pairs["mean"].abs().idxmax()
    strongest = pairs.loc[(one, other)]
    said = f"Correlations of the weights of {len(tasks)} tasks; the strongest, {one} and {other}, is "
    return embed(
        heat_map(pairs),
        f"{said}{strongest['mean']:.2f} ({strongest['low']:.2f} to {strongest['high']:.2f}).",
        "Correlations of the tasks\N{RIGHT SINGLE QUOTATION MARK} weights; pale where the sign is not known",
    )


def heat_map(pairs: pd.DataFrame) -> Figure:
    """Correlations as colours, paler the less their sign is known, below the tree of the tasks.

    The tree joins tasks by average linkage of one less the correlation. Of few tasks the mean stands above
    the diagonal, and the interval below it.

    Parameters
    ----------
    pairs
        ``relatedness`` of one kind; index ``task`` and ``task_``.
    """
    tasks = list(dict.fromkeys([*pairs.index.get_level_values(0), *pairs.index.get_level_values(1)]))
    mean, known, low, high = (_square(pairs, tasks, *key) for key in _KEYS)
    tree = linkage(squareform(np.clip(1 - mean, 0, 2), checks=False), "average")
    size = WIDTH + 0.16 * max(0, len(tasks) - FEW)
    figure, (top, axes) = plt.subplots(
        2, 1, figsize=(size, 1.25 * size), gridspec_kw={"height_ratios": [1, 4]}
    )
    order = dendrogram(tree, ax=top, no_labels=True, color_threshold=0, above_threshold_color=PALE)["leaves"]
    top.set_axis_off()
    mean, known, low, high = (each[np.ix_(order, order)] for each in (mean, known, low, high))
    shown = axes.imshow(
        mean, cmap="RdBu_r", vmin=-1, vmax=1, alpha=np.clip(2 * np.abs(known - 0.5), 0.15, 1), aspect="auto"
    )
    names = [shortened(tasks[i], 14) for i in order]
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(color=FAINT, length=0)
    if len(tasks) <= FEW:
        for i, j in np.argwhere(~np.eye(len(tasks), dtype=bool)):
            text = f"{mean[i, j]:.2f}" if i < j else f"{low[i, j]:.1f} to\n{high[i, j]:.1f}"
            ink = "white" if abs(mean[i, j]) > DARK and abs(known[i, j] - 0.5) > 0.4 else INK
            axes.text(j, i, text, ha="center", va="center", fontsize=7, color=ink)
    figure.colorbar(shown, ax=axes, orientation="horizontal", shrink=0.7, label="correlation")
    return figure


_KEYS = (("mean", 1.0), ("positive", 1.0), ("low", 1.0), ("high", 1.0))


def _square(pairs: pd.DataFrame, tasks: list[str], column: str, own: float) -> np.ndarray:
    """One number of each pair as a symmetric matrix."""
    half = pairs[column].unstack().reindex(index=tasks, columns=tasks).to_numpy()
    whole = np.where(np.isfinite(half), half, half.T)
    np.fill_diagonal(whole, own)
    return whole
