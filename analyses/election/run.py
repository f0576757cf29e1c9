"""What age, schooling and income do to party, ideology and the vote of 1996."""

import sys
from pathlib import Path

import bayesmtl as bm

HERE = Path(__file__).parent
MODEL = HERE.parents[1] / "models" / "election.toml"


def answer(quick: bool = False) -> None:
    """Fit the model, and print the effect of a standard deviation of each predictor on each task."""
    model = bm.load(MODEL)
    if quick:
        engine = {"kind": "nuts", "chains": 2, "warmup": 200, "draws": 200}
        model = bm.Model(**{**vars(model), "engine": engine})
    post = bm.fit(model, seed=1996)
    effect = post.posterior["weight"] * post.constant_data["sd"]
    low, high = effect.quantile([0.05, 0.95], ("chain", "draw"))
    table = effect.mean(("chain", "draw")).to_dataframe("mean").drop(columns="quantile", errors="ignore")
    table["low"], table["high"] = low.to_series(), high.to_series()
    print(table.round(2).to_string())
    print(bm.weights(post)[["cells", "share"]].round(2).to_string())
    print("can't be trusted:", bm.diagnostics(post).to_dict("records") or "nothing found")
    (HERE / "out").mkdir(exist_ok=True)
    (HERE / "out" / "election.html").write_text(bm.report(post), encoding="utf-8")


if __name__ == "__main__":
    answer(quick="--quick" in sys.argv)
