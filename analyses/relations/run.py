"""Which relation between twelve months foretells best the years that it has not seen."""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

import bayesmtl as bm

HOME = Path(__file__).parents[2] / "models"
SEAS = bm.load(HOME / "seas.toml")
MONTHS = [*SEAS.tasks]
ORDERED = {"kind": "ordered", "order": MONTHS}
JOINED = {"kind": "graph", "edges": [*map(list, pairwise(MONTHS))]}
SINCE = {"kind": "described", "by": {month: i for i, month in enumerate(MONTHS)}}  # months since December
RELATIONS = ["pooled", "independent", "partial", "outlying", "exchangeable_or_not", "correlated", "low_rank"]
RELATIONS += ["clustered", JOINED, SINCE, ORDERED, ["pooled", ORDERED]]  # the last is a sum


def answer(quick: bool = False) -> None:
    """Fit each relation to 10 years of each month, and print its error in the other 50."""
    table = pd.read_csv(HOME / "data" / "seas.csv")
    years = np.random.default_rng(1)
    seen = np.column_stack([years.permutation(len(table)) < 10 for _ in MONTHS])
    known = table.assign(**{m: table[m].where(seen[:, i]) for i, m in enumerate(MONTHS)})
    engine = {"kind": "nuts", "chains": 2, "warmup": 100 if quick else 300, "draws": 100 if quick else 300}
    for relation in RELATIONS[-1:] if quick else RELATIONS:
        model = bm.Model(**{**vars(SEAS), "relation": relation, "engine": engine})
        post = bm.fit(model, known, seed=1)
        said = bm.predict(post, table).pivot(index="row", columns="task", values="mean")[MONTHS]
        error = np.sqrt(np.mean((said.to_numpy() - table[MONTHS].to_numpy())[~seen] ** 2))
        divergences = int(post.sample_stats["diverging"].sum())
        print(f"{model.relation['kind']:20} error {error:.3f} degrees, divergences {divergences}", flush=True)


if __name__ == "__main__":
    answer(quick="--quick" in sys.argv)
