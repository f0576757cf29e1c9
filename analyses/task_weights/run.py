"""Loss weights as a posterior, on the data on which uncertainty weighting was shown first."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayesmtl as bm

NETWORK = {"loud": 8.648, "quiet": 0.925}  # the noise that the network of that paper's authors found


def kendall() -> pd.DataFrame:
    """The table of yaringal/multi-task-learning-example, with noises of 10 and 1."""
    draw = np.random.RandomState(0)
    x, loud, quiet = draw.randn(3, 100)
    return pd.DataFrame({"x": x, "loud": 2 * x + 8 + 10 * loud, "quiet": 3 * x + 3 + quiet})


def answer(quick: bool = False) -> None:
    """Print each task's loss weight from 100 rows and from 12, beside points; and draw the intervals."""
    figure, axes = plt.subplots(figsize=(6, 2.4), layout="constrained")
    for rows in [100] if quick else [100, 12]:
        post = bm.fit(bm.Model(dict.fromkeys(NETWORK, "gaussian"), "x"), kendall().head(rows), seed=1)
        for i, (task, row) in enumerate(bm.weights(post, prob=0.95).iterrows()):
            interval = f"{row.weight:.3g} [{row.weight_low:.3g}, {row.weight_high:.3g}]"
            points = [0.5 / noise**2 for noise in (row.noise, NETWORK[task], (10, 1)[i])]
            said = "at the median noise {:.3g}, network {:.3g}, truth {:.3g}".format(*points)
            print(f"{(name := f'{task}, {rows} rows'):15} weight {interval}; {said}", flush=True)
            axes.plot([row.weight_low, row.weight_high], [name] * 2, f"C{i}", lw=4)
            axes.plot(points[1], name, "kx", points[2], name, "k|", ms=10, mew=2)
    axes.set(xscale="log", xlabel="loss weight, 1 / (2 sigma²): 95 % interval; | truth, x network")
    if not quick:
        figure.savefig(Path(__file__).with_name("weights.svg"), metadata={"Date": None})


if __name__ == "__main__":
    answer(quick="--quick" in sys.argv)
