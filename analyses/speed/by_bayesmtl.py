"""bayesmtl, with the engine that it chooses by itself."""

# /// script
# requires-python = ">=3.12"
# dependencies = ["bayesmtl"]
#
# [tool.uv.sources]
# bayesmtl = { path = "../..", editable = true }
# ///

import json
import os

from contest import SECONDS, enter, timed
from problems import Problem

os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # else what was compiled once is found again
with timed("import"):
    import bayesmtl as bm

    bm.fit  # noqa: B018 (imported when it is first asked for)

NAMES = {"sd_g": "sd", "correlation_g": "group_correlation"}


def fit(problem: Problem, seed: int, draws: int) -> tuple[dict, int]:
    """The model as a user would write it; what of a fit is not sampling counts as compiling."""
    model = bm.Model(formula=problem.formula, engine={"kind": "auto", "draws": draws}, **problem.model)
    with timed("compile"):
        post = bm.fit(model, problem.table, seed=seed)
    sampled = json.loads(post.attrs["seconds"])["sample"]
    SECONDS["sample"] += sampled
    SECONDS["compile"] -= sampled
    return {NAMES.get(n, n): v.to_numpy() for n, v in post.posterior.items()}, int(
        post.sample_stats["diverging"].sum()
    )


if __name__ == "__main__":
    enter(fit, ["bayesmtl", "numpyro", "jax"])
