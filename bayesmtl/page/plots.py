"""Plots of parameters: intervals, mixing and energy, all by ArviZ."""

import warnings
from collections.abc import Sequence

import arviz_plots
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import MaxNLocator

from bayesmtl.page.figures import ACCENT, FAINT, INK, PROB, Picture, embed, plot
from bayesmtl.page.numbers import Estimate, estimate, joined

MOST = 40  # rows of one plot
THIN = 250  # draws of each chain that a trace shows


def quantiles(draws: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Mean, and both ends of the central interval, over all draws."""
    # not ArviZ's eti: weights takes plain quantiles, and one page must not show two intervals
    over = ["chain", "draw"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of what a task does not have, which is nan
        ends = draws.quantile([(1 - PROB) / 2, (1 + PROB) / 2], over)
        mean = draws.mean(over)
    return mean, ends.isel(quantile=0, drop=True), ends.isel(quantile=1, drop=True)


def estimates(draws: xr.DataArray) -> list[Estimate]:
    """Each row of ``draws`` as text; [row]."""
    return [estimate(*ends) for ends in zip(*(q.values for q in quantiles(draws)))]


def intervals(
    draws: xr.DataArray, what: str, *, zero: bool = False, unit: str = "", middle: str = "mean"
) -> Picture:
    """Half and 90% intervals, one row for each label of the last dimension.

    Parameters
    ----------
    draws
        [chain, draw, row]; rows that are not finite are left out.
    what
        What the numbers are, for the caption and the text in the picture's place.
    zero
        Whether a line stands at 0.
    unit
        Below the axis.
    middle
        The point on an interval: ``mean`` or ``median``.
    """
    row = draws.dims[-1]
    draws = draws.isel({row: np.isfinite(draws.values).all((0, 1))})
    labels = [str(label) for label in draws[row].values]
    more = len(labels) - MOST
    draws, labels = draws.isel({row: slice(MOST)}), labels[:MOST]
    figure = _forest(draws.rename({row: "row"}), labels, middle)
    axes = figure.axes[0]
    if zero:
        axes.axvline(0, color=FAINT, lw=1, zorder=0)
    axes.set_xlabel(unit)
    said = [f"{name} {text}" for name, text in zip(labels, estimates(draws))]
    caption = f"{what}; the first {MOST} of {MOST + more}" if more > 0 else what
    return embed(figure, f"{caption}: {joined(said, most=12)}.", caption, rows=said[::-1])


def _forest(draws: xr.DataArray, labels: Sequence[str], middle: str) -> Figure:
    """Intervals by row, with labels beside them; [chain, draw, row]."""
    rows = len(labels)
    plain = draws.assign_coords(row=np.arange(rows), chain=np.arange(draws.sizes["chain"]))
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset({"value": plain})})
    figure = plot(
        arviz_plots.plot_forest,
        tree,
        height=0.55 + 0.24 * max(rows, 2),
        combined=True,
        labels=[],
        ci_kind="eti",
        ci_probs=(0.5, PROB),
        point_estimate=middle,
        visuals={
            "twig": {"color": ACCENT, "width": 1.2},
            "trunk": {"color": ACCENT, "width": 3.5},
            "point_estimate": {"color": "white", "facecolor": INK, "size": 22},
        },
    )
    figure.delaxes(figure.axes[0])  # the column that ArviZ keeps for labels of its own
    axes = figure.axes[0]
    axes.set_subplotspec(GridSpec(1, 1, figure=figure)[0])
    low, high = sorted(axes.get_ylim())
    axes.set_ylim(low - 0.4, high + 0.4)
    axes.set_yticks(np.arange(rows)[::-1], [shortened(label) for label in labels])
    axes.yaxis.set_visible(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, labelleft=True)
    axes.tick_params(axis="x", color=FAINT)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def mixing(draws: xr.DataArray, stats: xr.DataTree | None, name: str) -> tuple[Picture, ...]:
    """Trace of one parameter, and before it the ranks that compare its chains; [chain, draw]."""
    labelled = draws.assign_coords(chain=np.arange(draws.sizes["chain"]), draw=np.arange(draws.sizes["draw"]))
    step = max(1, draws.sizes["draw"] // THIN)
    trace = plot(
        arviz_plots.plot_trace,
        _tree(labelled.isel(draw=slice(None, None, step)), stats, step),
        height=1.7,
        visuals={"title": False, "xlabel": False, "trace": {"width": 0.7, "alpha": 0.8}},
    )
    trace.axes[0].set_xlabel("draw")
    traced = embed(trace, f"Trace of {name}, a line for each chain.", f"{name}: trace")
    if draws.sizes["chain"] == 1:
        return (traced,)
    ranks = plot(
        arviz_plots.plot_rank,
        _tree(labelled),
        height=1.7,
        visuals={"title": False, "xlabel": False},
    )
    ranks.axes[0].set_xlabel("rank among all draws, as a fraction")
    return (embed(ranks, f"Rank plot of {name}, a line for each chain.", f"{name}: ranks"), traced)


def energy(stats: xr.DataTree) -> Picture:
    """The energies of the trajectories beside their changes."""
    figure = plot(
        arviz_plots.plot_energy,
        xr.DataTree.from_dict({"sample_stats": stats.to_dataset()}),
        height=2.1,
        show_bfmi=False,
        visuals={"title": False},
    )
    alt = "Densities of the energy and of its change from draw to draw."
    return embed(figure, alt, "Energy, about its mean, and its change from draw to draw")


def shortened(name: str, most: int = 20) -> str:
    """A name that fits beside a plot."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _tree(draws: xr.DataArray, stats: xr.DataTree | None = None, step: int = 1) -> xr.DataTree:
    groups = {"posterior": xr.Dataset({"value": draws})}
    if stats is not None and "diverging" in stats:
        kept = stats["diverging"].isel(draw=slice(None, None, step))
        groups["sample_stats"] = xr.Dataset({"diverging": kept.drop_vars(kept.coords)})
        groups["sample_stats"] = groups["sample_stats"].assign_coords(draws.coords)
    return xr.DataTree.from_dict(groups)
