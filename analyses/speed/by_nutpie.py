"""PyMC's models, sampled by nutpie."""

# /// script
# requires-python = ">=3.12"
# dependencies = ["pymc>=5.25", "nutpie>=0.16", "numba", "numpy", "pandas"]
# ///

import os
import tempfile

from contest import CORRELATIONS, FIXED, SCALES, enter, timed
from problems import Problem

CACHE = tempfile.TemporaryDirectory()
os.environ["PYTENSOR_FLAGS"] = f"base_compiledir={CACHE.name}"  # else what was compiled once is found again

with timed("import"):
    import numpy as np
    import nutpie
    import pymc as pm
    import pytensor.tensor as pt


def tasks(x: np.ndarray, y: np.ndarray, group: np.ndarray) -> None:
    """Normal tasks on the same rows; weights and group effects are correlated over tasks."""
    sigma = pm.HalfStudentT("sigma", nu=3, sigma=1, shape=y.shape[1])
    pm.Normal("y", related(x, y, group), sigma, observed=y)


def related(x: np.ndarray, y: np.ndarray, group: np.ndarray) -> pt.TensorVariable:
    """The linear predictors of tasks whose weights and group effects are correlated; [row, task]."""
    features, size = x.shape[1], y.shape[1]
    level = pm.Normal("level", 0, 2.5, shape=size)
    scale = pm.HalfNormal("scale", 1, shape=features)
    root = correlated("task_correlation", size)
    roots = scale[:, None, None] * root
    weight = pm.MvNormal("weights", np.zeros(size), chol=roots, shape=(features, size))
    pm.Deterministic("weight", weight.T)
    sd = pm.HalfStudentT("sd", nu=3, sigma=1, shape=size)
    root = correlated("group_correlation", size)
    effect = pm.MvNormal("effect", level, chol=sd[:, None] * root, shape=(int(group.max()) + 1, size))
    return x @ weight + effect[group]


def correlated(name: str, size: int) -> pt.TensorVariable:
    """A Cholesky factor of correlations under LKJ(2)."""
    root = pm.LKJCorr(f"{name}_root", n=size, eta=2)
    pm.Deterministic(name, root @ root.T)
    return root


def contraception(x: np.ndarray, y: np.ndarray, group: np.ndarray) -> None:
    """Yes or no, with a level of each group."""
    pm.Bernoulli("y", logit_p=grouped(x, group), observed=y[:, 0])


def epil(x: np.ndarray, y: np.ndarray, group: np.ndarray) -> None:
    """Overdispersed counts, with a level of each group."""
    shape = pm.InverseGamma("shape", 0.4, 0.3)
    pm.NegativeBinomial("y", mu=pt.exp(grouped(x, group)), alpha=shape, observed=y[:, 0])


def grouped(x: np.ndarray, group: np.ndarray) -> pt.TensorVariable:
    """A linear predictor with a level of each group; [row]."""
    level = pm.Normal("level", 0, 2.5)
    weight = pm.Normal("weight", 0, 5, shape=x.shape[1])
    sd = pm.HalfStudentT("sd", nu=3, sigma=1)
    standard = pm.Normal("standard_effect", shape=int(group.max()) + 1)
    return level + x @ weight + sd * standard[group]


def gcsemv(x: np.ndarray, y: np.ndarray, group: np.ndarray) -> None:
    """Two tasks with correlated residuals: the first, and the second given the first where that was seen."""
    mean = related(x, y, group)
    sigma = pm.HalfStudentT("sigma", nu=3, sigma=1, shape=2)
    root = pm.LKJCorr("residual_root", n=2, eta=1)
    residual = pm.Deterministic("residual_correlation", root @ root.T)[1, 0]
    first, second = (np.flatnonzero(seen) for seen in ~np.isnan(y).T)
    known = np.isfinite(y[second, 0])
    pm.Normal("y0", mean[first, 0], sigma[0], observed=y[first, 0])
    slope = residual * sigma[1] / sigma[0] * known
    shift = slope * (np.nan_to_num(y[second, 0]) - mean[second, 0])
    width = sigma[1] * pt.sqrt(1 - residual**2 * known)
    pm.Normal("y1", mean[second, 1] + shift, width, observed=y[second, 1])


def school_ilea(x: np.ndarray, y: np.ndarray, group: np.ndarray) -> None:
    """Each group a task, with weights about common ones."""
    features, size = x.shape[1], int(group.max()) + 1
    level = pm.Normal("level", 0, 2.5, shape=size)
    scale = pm.HalfNormal("scale", 1, shape=features)
    share = pm.Beta("share", 1, 1, shape=features)
    common = pm.Normal("common", 0, scale * pt.sqrt(share), shape=features)
    own = pm.Normal("own", shape=(size, features))
    weight = pm.Deterministic("weight", common + scale * pt.sqrt(1 - share) * own)
    centre = pm.Normal("sigma_centre", 0, 1)
    spread = pm.HalfNormal("sigma_spread", 1)
    standard = pm.Normal("standard_sigma", shape=size)
    sigma = pm.Deterministic("sigma", pt.exp(centre + spread * standard))
    mean = level[group] + (x * weight[group]).sum(1)
    pm.Normal("y", mean, sigma[group], observed=y[:, 0])


def fit(problem: Problem, seed: int, draws: int) -> tuple[dict, int]:
    """Compile by numba, which is nutpie's default."""
    with timed("compile"):
        with pm.Model() as model:
            globals()[problem.program](problem.x, problem.y, problem.group)
        compiled = nutpie.compile_pymc_model(model)
    with timed("sample"):
        post = nutpie.sample(
            compiled,
            draws=draws,
            tune=1000,
            chains=4,
            seed=seed,
            target_accept=problem.accept,
            progress_bar=False,
        )
    known = [name for name in [*FIXED, *SCALES, *CORRELATIONS] if name in post.posterior]
    draws = {name: post.posterior[name].to_numpy() for name in known}
    return draws, int(post.sample_stats.diverging.sum())


if __name__ == "__main__":
    enter(fit, ["pymc", "nutpie"])
