"""Which noise crimes have, with an outlying city among them, and which the visits to a doctor."""

import sys
from pathlib import Path

import arviz as az
import pandas as pd

import bayesmtl as bm

DATA = Path(__file__).parents[2] / "models" / "data"
CRIMES = ["gaussian", "student_t", "laplace", "huber", "lognormal", "gamma"]
COUNTS = ["poisson", "negative_binomial"]
VISITS = COUNTS + [{"kind": "zero_inflated", "of": count} for count in COUNTS]
LIKELIHOODS = CRIMES + VISITS


def answer(quick: bool = False) -> None:
    """Print the expected log density of a cell that is left out, by likelihood: more is better."""
    n = 100 if quick else 300
    engine = {"kind": "nuts", "chains": 2, "warmup": n, "draws": n}
    crimes = pd.read_csv(DATA / "statecrime.csv")
    people = pd.read_csv(DATA / "insurance.csv")
    for kinds, table, tasks, formula in (
        (CRIMES, crimes, ["murder", "violent"], "hs_grad + poverty + single + urban"),
        (VISITS, people, ["visits"], "coinsurance + deductible + disease + limited"),
    ):
        for kind in kinds[-1:] if quick else kinds:
            post = bm.fit(bm.Model(dict.fromkeys(tasks, kind), formula, engine=engine), table, seed=1)
            found = {task: az.loo(post, var_name=task, pointwise=True) for task in tasks}
            score = ", ".join(f"{task} {one.elpd:.0f} (se {one.se:.0f})" for task, one in found.items())
            doubt = sum(int((one.pareto_k > one.good_k).sum()) for one in found.values())
            name = kind if isinstance(kind, str) else f"{kind['kind']} {kind['of']}"
            divergences = int(post.sample_stats["diverging"].sum())
            print(f"{name:31} {score}; in doubt {doubt}, divergences {divergences}", flush=True)


if __name__ == "__main__":
    answer(quick="--quick" in sys.argv)
