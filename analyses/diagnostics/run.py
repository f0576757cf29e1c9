"""A model that is wrong in five ways on purpose, and what the diagnostics say of it."""

import sys

import numpy as np
import pandas as pd

import bayesmtl as bm

DRAW, ROWS = np.random.default_rng(11), 300
X, BOTH = DRAW.normal(size=ROWS), DRAW.normal(size=ROWS)
TABLE = pd.DataFrame(
    {
        "x": X,
        "bent": X + X**2 + DRAW.normal(0, 0.5, ROWS),  # a curve, for which the formula has a line
        "torn": X + DRAW.standard_t(1.5, ROWS),  # tails that a normal has not
        "one": X + BOTH + DRAW.normal(0, 0.5, ROWS),  # these two have a cause in common
        "two": X + BOTH + DRAW.normal(0, 0.5, ROWS),
        "counts": DRAW.negative_binomial(1, 1 / (1 + np.exp(0.5 + 0.3 * X))),  # wider than a Poisson
    }
)
WRONG = dict.fromkeys(["bent", "torn", "one", "two"], "gaussian") | {"counts": "poisson"}
RIGHT = WRONG | {"bent": {"kind": "gaussian", "formula": "x + I(x**2)"}, "torn": "student_t"}
RIGHT |= {"counts": "negative_binomial"}


def answer(quick: bool = False) -> None:
    """Print the diagnostics of the wrong model, and of one in which each fault is mended."""
    engine = {"kind": "nuts", "chains": 2, "warmup": 200, "draws": 200} if quick else "auto"
    pair = {"kind": "correlated", "pairs": [["one", "two"]]}
    for tasks, residual in [(WRONG, "independent"), (RIGHT, pair)][: 1 if quick else 2]:
        model = bm.Model(tasks, "x", residual=residual, engine=engine)
        found = bm.diagnostics(bm.fit(model, TABLE, seed=1))
        print(f"{'wrong' if tasks is WRONG else 'mended'}: {len(found)} rows", flush=True)
        for row in found.itertuples():
            print(f"  {row.where}: {row.problem} {row.value:.3g} ({row.threshold:.3g}). {row.remedy}")


if __name__ == "__main__":
    answer(quick="--quick" in sys.argv)
