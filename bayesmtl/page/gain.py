"""What sharing gave each task: in words, as a table and as a picture."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import norm

from bayesmtl.left_out.gain import ALL
from bayesmtl.page.figures import ACCENT, FAINT, INK, PROB, WIDTH, Picture, embed
from bayesmtl.page.numbers import NONE, Estimate, called, count, estimate, joined, plain
from bayesmtl.page.plots import MOST, shortened
from bayesmtl.page.tables import Table, cut

WORDS = {"helps": "helped", "harms": "harmed"}


def verdict(frame: pd.DataFrame) -> str:
    """Which tasks gained and which lost, in a sentence or two; all together first if some are open."""
    whole, frame = frame.loc[ALL], frame.drop(ALL)
    said = []
    for kind, verb in WORDS.items():
        own = frame[frame["verdict"] == kind].sort_values("gain", key=np.abs, ascending=False)
        named = [f"{called(str(name))} by {_gain(row)}" for name, row in own.iterrows()]
        said.append(f"Sharing {verb} {joined(named, most=4)} in log predictive density" if named else "")
    unsure = [called(str(name)) for name in frame.index[frame["verdict"] == "can't tell"]]
    told = WORDS.get(whole["verdict"])
    together = f"All tasks together, sharing {told} by {_gain(whole)} in log predictive density. "
    first = together if told and unsure else ""
    if not any(said):
        who = joined(unsure, most=4)
        return f"{first}Whether sharing helped or harmed {who} can't be told from this table."
    text = first + ". ".join(filter(None, said))
    if not said[1]:
        text += ", and harmed none that can be told" if unsure else ", and harmed none"
    elif not said[0]:
        text += ", and helped none that can be told" if unsure else ", and helped none"
    return f"{text}. Of {joined(unsure, most=4)} it can't be told." if unsure else f"{text}."


def table_of(frame: pd.DataFrame) -> Table:
    """The rows of ``transfer`` as text: all tasks, and then each, the largest gains and losses first."""
    rows: list[list[str | Estimate]] = []
    tasks = frame.drop(ALL).sort_values("gain", key=np.abs, ascending=False)
    for name, row in [(ALL, frame.loc[ALL]), *tasks.iterrows()]:
        per_cell = estimate(*(end / row["cells"] for end in (row["gain"], *_ends(row))))
        p, cells = _p(row["p"]), f"{row['cells']:,}"
        rows.append([str(name), _gain(row), per_cell, p, cells, str(row["verdict"])])
    head = ["task", "gain", "gain for each cell", "p of none, after Holm", "cells", "sharing"]
    table, high = cut(head, rows, {5}), int(frame.loc[ALL, "high"])
    words = f"Pareto k is above 0.7 for {count(high, 'cell')}, whose tasks are given no verdict."
    return replace(table, note=f"{table.note} {words}".strip()) if high else table


def picture(frame: pd.DataFrame) -> Picture:
    """The gain of each task, with its interval; of many tasks the largest."""
    frame = frame.drop(ALL)
    shown = frame.sort_values("gain", key=np.abs, ascending=False).head(MOST).sort_values("gain")
    ends = np.array([_ends(row) for _, row in shown.iterrows()])
    figure, axes = plt.subplots(figsize=(WIDTH, 0.55 + 0.24 * max(len(shown), 2)))
    axes.hlines(range(len(shown)), *ends.T, color=ACCENT, lw=1.2)
    axes.scatter(shown["gain"], range(len(shown)), s=22, color=INK, zorder=3)
    axes.axvline(0, color=FAINT, lw=1, zorder=0)
    axes.set_yticks(range(len(shown)), [shortened(str(name)) for name in shown.index])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("gain in log predictive density")
    said = [f"{name} {_gain(row)}" for name, row in shown[::-1].iterrows()]
    more = f"; the {MOST} largest of {len(frame)}" if len(frame) > MOST else ""
    caption = f"What each task gained by sharing{more}"
    return embed(figure, f"{caption}: {joined(said, most=12)}.", caption, rows=said[::-1])


def _ends(row: pd.Series) -> tuple[float, float]:
    half = norm.ppf((1 + PROB) / 2) * row["se"]
    return row["gain"] - half, row["gain"] + half


def _gain(row: pd.Series) -> Estimate:
    return estimate(row["gain"], *_ends(row))


def _p(value: float) -> str:
    return NONE if np.isnan(value) else "<0.001" if value < 0.001 else plain(value, 2)
