"""A model that is wrong in five ways on purpose, and what the diagnostics say of it."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayesmtl as bm

DRAW, N = np.random.default_rng(11), 300
X, BOTH = DRAW.normal(size=(2, N))
# a curve; tails that a normal has not; two with a cause in common; and counts that are wider than a Poisson's
TABLE = {"x": X, "bent": X + X**2 + DRAW.normal(0, 0.5, N), "torn": X + DRAW.standard_t(1.5, N)}
TABLE |= {name: X + BOTH + DRAW.normal(0, 0.5, N) for name in ("one", "two")}
TABLE = pd.DataFrame(TABLE | {"counts": DRAW.negative_binomial(1, 1 / (1 + np.exp(0.5 + 0.3 * X)))})
WRONG = dict.fromkeys(["bent", "torn", "one", "two"], "gaussian") | {"counts": "poisson"}
RIGHT = WRONG | {"bent": {"kind": "gaussian", "formula": "x + I(x**2)"}, "torn": "student_t"}
RIGHT |= {"counts": "negative_binomial"}


def answer(quick: bool = False) -> None:
    """Print the diagnostics of the wrong model, and of one in which each fault is mended; draw both."""
    engine = {"kind": "nuts", "chains": 2, "warmup": 200, "draws": 200} if quick else "auto"
    pair = {"kind": "correlated", "pairs": [["one", "two"]]}
    figure, panels = plt.subplots(2, 5, figsize=(10, 4), layout="constrained", sharex=True, sharey="col")
    for line, (tasks, residual) in zip(panels, [(WRONG, "independent"), (RIGHT, pair)][: 1 if quick else 2]):
        post = bm.fit(bm.Model(tasks, "x", residual=residual, engine=engine), TABLE, seed=1)
        print("wrong" if tasks is WRONG else "mended", bm.diagnostics(post).to_string(), sep="\n", flush=True)
        for panel, (task, own) in zip(line, bm.predict(post, TABLE.sort_values("x")).groupby("task")):
            panel.fill_between(np.sort(X), own.low, own.high, alpha=0.3)
            panel.plot(X, TABLE[task], "k.", ms=2)
            panel.set(title=task, ylim=1.3 * TABLE[task].quantile([0.01, 0.99]))
    if not quick:
        figure.savefig(Path(__file__).with_name("intervals.png"), dpi=120)


if __name__ == "__main__":
    answer(quick="--quick" in sys.argv)
