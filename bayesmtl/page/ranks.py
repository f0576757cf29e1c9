"""The ranks of a calibration as pictures."""

import math

import arviz_stats.ecdf_utils
import matplotlib.pyplot as plt
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from bayesmtl.page.figures import ACCENT, FAINT, INK, offscreen

MOST = 12  # parameters that are drawn
BAND = 0.99  # that a calibrated parameter's ranks stay within, all along


def ecdfs(found: xr.DataArray, judged: pd.DataFrame) -> Figure:
    """How far the ranks of the worst parameters are from uniform, each with a band for all of its line.

    Parameters
    ----------
    found
        What ``ranks`` gives; [simulation, parameter].
    judged
        What ``judged`` says of these.

    References
    ----------
    Sailynoja, Burkner and Vehtari (2022). Graphical test for discrete uniformity and its applications in
        goodness-of-fit evaluation and multiple sample comparison. Statistics and Computing 32, 32.
    """
    names = judged.index[:MOST]
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    with offscreen():
        figure, axes = plt.subplots(
            rows, columns, figsize=(3.2 * columns, 2.2 * rows + 0.6), sharex=True, squeeze=False
        )
        for place, name in zip(axes.flat, names, strict=False):
            u = found.sel(parameter=name).values
            x, line, low, high = arviz_stats.ecdf_utils.ecdf_pit(u, BAND, 1000)
            place.fill_between(x, low - x, high - x, color=FAINT, linewidth=0)
            off = judged.loc[name, "verdict"] != "calibrated"
            place.plot(x, line - x, color=ACCENT, linewidth=2 if off else 1.2, linestyle="--" if off else "-")
            place.set_title(f"{name}\n{judged.loc[name, 'verdict']}", fontsize=9, color=INK)
            place.set_xlim(0, 1)
        for place in axes.flat[len(names) :]:
            place.remove()
        for place in axes[:, 0]:
            place.set_ylabel("share below, less rank")
        figure.suptitle(
            f"Ranks of what made {found.sizes['simulation']} tables among the draws of their fits: "
            f"the worst {len(names)} of {found.sizes['parameter']} parameters",
            fontsize=10,
        )
        figure.canvas.draw()
    return figure
