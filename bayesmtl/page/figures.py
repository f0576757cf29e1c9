"""Figures inside a page: drawn off screen in one style, and embedded as data."""

import base64
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import arviz_base
import matplotlib
import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.figure import Figure

INK, PALE, FAINT, ACCENT = "#1f2d3a", "#5b6670", "#c9d3dc", "#1f5a8c"
CHAINS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7"]  # Okabe and Ito: told apart by any eye
WIDTH = 3.5  # inches: at this size it fits a phone, so that its text is never scaled down
LARGEST = 60_000  # bytes of a drawing; a larger one is smaller as pixels
PROB = 0.9  # of every interval

_PLACES = re.compile(rb' (?:d|x|y|transform)="[^"]*"')
_DECIMALS = re.compile(rb"(\d\.\d\d)\d+")  # a hundredth of a point is finer than any screen
_STYLE = {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": PALE,
    "axes.labelsize": 9,
    "axes.prop_cycle": cycler(color=CHAINS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.formatter.useoffset": False,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "path.simplify_threshold": 0.3,
    "svg.fonttype": "none",
    "svg.hashsalt": "bayesmtl",
    "text.color": INK,
    "text.parse_math": False,  # a name may hold dollars
    "xtick.color": PALE,
    "xtick.labelsize": 9,
    "ytick.color": INK,
    "ytick.labelsize": 9,
    "ytick.left": False,
}


@dataclass(frozen=True)
class Spot:
    """What a part of a figure says to who points at it; its place is in hundredths of the figure's height."""

    top: float
    height: float
    text: str


@dataclass(frozen=True)
class Picture:
    """A figure as data for the ``src`` of an image, with its size in CSS pixels and its words."""

    src: str
    width: int
    height: int
    alt: str
    caption: str = ""
    spots: tuple[Spot, ...] = ()


@contextmanager
def offscreen() -> Iterator[None]:
    """Draw in this package's style without a window, and leave the user's settings as they were."""
    before, opened = matplotlib.get_backend(), set(plt.get_fignums())
    try:
        plt.switch_backend("agg")
        settings = {"stats.ci_kind": "eti", "stats.ci_prob": PROB, "plot.backend": "matplotlib"}
        with (
            warnings.catch_warnings(),
            plt.style.context(["default", _STYLE]),
            arviz_base.rc_context(settings),
        ):
            # of glyphs that the font lacks and the browser's has, and of flat or few draws, which
            # are rows of the diagnostics
            warnings.simplefilter("ignore")
            yield
    finally:
        for number in set(plt.get_fignums()) - opened:
            plt.close(number)
        plt.switch_backend(before)


def embed(figure: Figure, alt: str, caption: str = "", rows: Sequence[str] = ()) -> Picture:
    """A figure as a drawing, or as pixels where that is smaller; it is closed.

    ``rows`` are what the rows of its plot say, from its y of 0 upwards.
    """
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    data = _saved(figure, "svg", {"metadata": {"Date": None, "Creator": None}})
    data = _PLACES.sub(lambda place: _DECIMALS.sub(rb"\1", place.group()), data)
    data = data[data.index(b"<svg") :]
    data = data.replace(b"'DejaVu Sans'", b"system-ui, 'DejaVu Sans'")
    kind = "svg+xml"
    if len(data) > LARGEST:
        kind, data = "png", _saved(figure, "png", {"dpi": 200, "metadata": {"Software": None}})
    spots = tuple(_spots(figure, rows)) if rows else ()
    plt.close(figure)
    src = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return Picture(src, width, height, alt, caption, spots)


def _spots(figure: Figure, rows: Sequence[str]) -> Iterator[Spot]:
    """The place of each row, once the figure has been drawn."""
    axes = figure.axes[0]
    for y, text in enumerate(rows):
        ends = axes.transData.transform([(0, y - 0.5), (0, y + 0.5)])[:, 1] / figure.bbox.height
        yield Spot(round(100 * (1 - ends[1]), 2), round(100 * (ends[1] - ends[0]), 2), text)


def plot(draw: Callable[..., Any], *args: Any, height: float = 1.9, **options: Any) -> Figure:
    """The figure that one of ArviZ's plots draws."""
    size = {"figsize": (WIDTH, height)}
    collection = draw(*args, backend="matplotlib", figure_kwargs=size, **options)
    return collection.viz["figure"].item()


def _saved(figure: Figure, kind: str, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind, facecolor="white", **options)
    return file.getvalue()
