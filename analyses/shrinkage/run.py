"""What the last two quarters tell of this one, and which shrinkage hears it best."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import bayesmtl as bm

TABLE = Path(__file__).parents[2] / "models" / "data" / "economy.csv"
TASKS = ["gdp", "consumption", "investment", "prices", "unemployment"]
LAGS = [name for name in pd.read_csv(TABLE, nrows=1) if name.endswith(("_1", "_2"))]
MONEY = [lag for lag in LAGS if lag.startswith(("prices", "money", "bills"))]
VIEWS = {"money": MONEY, "goods": [lag for lag in LAGS if lag not in MONEY]}
SHRINKAGE = ["flat", "normal", "laplace", "horseshoe", "spike_slab", {"kind": "blocks", "views": VIEWS}]


def answer(quick: bool = False) -> None:
    """Fit each shrinkage to 10 years of quarters, and print its error in the 40 years that follow."""
    table = pd.read_csv(TABLE)
    before, after = table.iloc[:40], table.iloc[40:].reset_index(drop=True)
    engine = {"kind": "nuts", "chains": 2, "warmup": 100 if quick else 300, "draws": 100 if quick else 300}
    for kind in SHRINKAGE[-1:] if quick else SHRINKAGE:
        tasks = dict.fromkeys(TASKS, "gaussian")
        model = bm.Model(tasks, " + ".join(LAGS), relation="independent", shrinkage=kind, engine=engine)
        post = bm.fit(model, before, seed=1)
        said = bm.predict(post, after).pivot(index="row", columns="task", values="mean")[TASKS]
        error = np.sqrt(((after[TASKS] - said.to_numpy()) ** 2).mean()) / after[TASKS].std()
        weight = abs(post.posterior["weight"].mean(("chain", "draw")) * post.constant_data["sd"]).to_series()
        first = weight.unstack("feature").div(before[TASKS].std(), axis=0).mean().nlargest(3)
        divergences = int(post.sample_stats["diverging"].sum())
        parts = ", ".join(f"{task} {one:.2f}" for task, one in error.items())
        print(f"{model.shrinkage['kind']:10} error {error.mean():.2f} ({parts})")
        print(f"{'':10} first {', '.join(first.index)}; divergences {divergences}", flush=True)


if __name__ == "__main__":
    answer(quick="--quick" in sys.argv)
