"""A task that contradicts three others, under four relations."""

import sys

import numpy as np
import pandas as pd

import bayesmtl as bm

DRAW, ROWS, TRUTH = np.random.default_rng(7), 60, np.array([1.0, -0.7, 0.5])
TASKS = {"first": 1, "second": 1, "third": 1, "contrary": -1}  # the sign of all their weights
TABLE = pd.DataFrame(DRAW.normal(size=(ROWS, 3)), columns=["a", "b", "c"])
TABLE = TABLE.assign(**{t: s * TABLE @ TRUTH + DRAW.normal(0, 1.5, ROWS) for t, s in TASKS.items()})
RELATIONS = ["pooled", "partial", "exchangeable_or_not", "correlated"]


def answer(quick: bool = False) -> None:
    """Print for each relation what each task gains by the others, and how related they seem."""
    engine = {"kind": "nuts", "chains": 2, "warmup": 150, "draws": 150} if quick else "auto"

    def fit(relation: str):
        model = bm.Model(dict.fromkeys(TASKS, "gaussian"), "a + b + c", relation=relation, engine=engine)
        return bm.fit(model, TABLE, seed=1)

    alone = fit("independent")
    for relation in RELATIONS[:1] if quick else RELATIONS:
        post = fit(relation)
        found = bm.transfer(post, alone, TABLE)
        told = ", ".join(f"{t} {r.gain:.1f} (se {r.se:.1f}) {r.verdict}" for t, r in found.iterrows())
        print(f"{relation:20} {told}", flush=True)
        if relation == "correlated":
            print(bm.relatedness(post).loc["weights"][["mean", "low", "high", "positive"]].round(2))


if __name__ == "__main__":
    answer(quick="--quick" in sys.argv)
