"""Three regressions that a graph calls wrong before any fit, after McElreath's Statistical Rethinking."""

import sys

import numpy as np
import pandas as pd

import bayesmtl as bm

DRAW, N = np.random.default_rng(2020), 500
TABLE = pd.DataFrame({"wed_at": DRAW.normal(size=N), "h0": DRAW.normal(10, 2, N)})
TABLE["marriage"] = DRAW.normal(-0.7 * TABLE.wed_at, 0.7)  # in standard deviations, as the age
TABLE["divorce"] = DRAW.normal(-0.6 * TABLE.wed_at, 0.8)
TABLE["treatment"] = DRAW.integers(0, 2, N)
TABLE["fungus"] = DRAW.binomial(1, 0.5 - 0.4 * TABLE.treatment)
TABLE["h1"] = DRAW.normal(TABLE.h0 + 5 - 3 * TABLE.fungus)
TABLE["age"], TABLE["happiness"] = DRAW.uniform(1.8, 6.5, N), DRAW.uniform(-2, 2, N)  # decades
TABLE["married"] = DRAW.binomial(1, 1 / (1 + np.exp(4 - TABLE.age - TABLE.happiness)))
CASES = {  # the flagged formula and the advised one; the graph, and what the first predictor does in truth
    ("divorce ~ marriage", "divorce ~ marriage + wed_at"): ("wed_at -> marriage -> divorce <- wed_at", 0.0),
    ("h1 ~ treatment + fungus + h0", "h1 ~ treatment + h0"): ("treatment -> fungus -> h1 <- h0", 1.2),
    ("happiness ~ age + married", "happiness ~ age"): ("age -> happiness -> married <- age", 0.0),
}


def answer(quick: bool = False) -> None:
    """Print what check says of each formula, and the effect that its fit tells."""
    engine = {"kind": "collapsed", "chains": 2, "warmup": 200, "draws": 200} if quick else "auto"
    for formulas, (dag, truth) in list(CASES.items())[-1 if quick else 0 :]:
        for task, formula in (text.split(" ~ ") for text in formulas):
            print(f"{task} ~ {formula}", *bm.check(bm.Model({task: "gaussian"}, formula, dag)), sep="\n  ")
            model = bm.Model({task: "gaussian"}, formula, shrinkage="flat", engine=engine)
            weight = bm.fit(model, TABLE, seed=1).posterior["weight"].sel(feature=formula.split()[0])
            low, high = weight.quantile([0.05, 0.95]).to_numpy()
            print(f"  {weight.mean():.2f} ({low:.2f} to {high:.2f}), in truth {truth}", flush=True)


if __name__ == "__main__":
    answer(quick="--quick" in sys.argv)
