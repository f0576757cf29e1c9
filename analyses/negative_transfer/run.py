"""A task that contradicts three others, under four relations."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayesmtl as bm

DRAW, ROWS, TRUTH = np.random.default_rng(7), 60, np.array([1.0, -0.7, 0.5])
TASKS = {"first": 1, "second": 1, "third": 1, "contrary": -1}  # the sign of all their weights
TABLE = pd.DataFrame(DRAW.normal(size=(ROWS, 3)), columns=["a", "b", "c"])
TABLE = TABLE.assign(**{t: s * TABLE @ TRUTH + DRAW.normal(0, 1.5, ROWS) for t, s in TASKS.items()})
RELATIONS = ["pooled", "partial", "exchangeable_or_not", "correlated"]


def answer(quick: bool = False) -> None:
    """Print and draw for each relation what each task gains by the others, and how related they seem."""
    engine = {"kind": "nuts", "chains": 2, "warmup": 150, "draws": 150} if quick else "auto"
    figure, panels = plt.subplots(1, 4, figsize=(9, 2.2), layout="constrained", sharey=True)

    def fit(relation: str):
        model = bm.Model(dict.fromkeys(TASKS, "gaussian"), "a + b + c", relation=relation, engine=engine)
        return bm.fit(model, TABLE, seed=1)

    alone = fit("independent")
    for panel, relation in zip(panels, RELATIONS[:1] if quick else RELATIONS):
        found = bm.transfer(post := fit(relation), alone, TABLE)
        print(relation, found[["gain", "se", "verdict"]].round(1), sep="\n", flush=True)
        panel.barh(list(TASKS), found.gain[list(TASKS)], xerr=2 * found.se[list(TASKS)])
        panel.set(title=relation, xlabel="gain, 2 standard errors", ylim=(3.5, -0.5))
    if not quick:
        print(bm.relatedness(post).loc["weights"][["mean", "low", "high", "positive"]].round(2))
        figure.savefig(Path(__file__).with_name("gains.svg"), metadata={"Date": None})


if __name__ == "__main__":
    answer(quick="--quick" in sys.argv)
