"""NumPyro's own sampler on programs written for these models."""

# /// script
# requires-python = ">=3.12"
# dependencies = ["numpyro>=0.20", "jax>=0.7", "numpy", "pandas"]
# ///

from collections.abc import Callable
from functools import partial
from typing import Any

from contest import enter, tell_compiling_apart, timed
from problems import Problem

with timed("import"):
    import jax
    import jax.numpy as jnp
    import numpy as np
    import numpyro
    import numpyro.distributions as dist
    from numpyro import deterministic, sample
    from numpyro.infer import MCMC, NUTS

    numpyro.set_host_device_count(4)
    numpyro.enable_x64()

HALF_T = dist.FoldedDistribution(dist.StudentT(3.0, 0.0, 1.0))
HALF_NORMAL = dist.HalfNormal(1.0)


def tasks(x: Any, y: Any, group: Any) -> None:
    """Normal tasks on the same rows; weights and group effects are correlated over tasks."""
    weight, effect = related(x, y, group)
    sigma = sample("sigma", HALF_T.expand([y.shape[1]]))
    sample("y", dist.Normal(x @ weight + effect[group], sigma), obs=y)


def gcsemv(x: Any, y: Any, group: Any) -> None:
    """Two tasks with correlated residuals: the first, and the second given the first where that was seen."""
    weight, effect = related(x, y, group)
    mean, sigma = x @ weight + effect[group], sample("sigma", HALF_T.expand([2]))
    residual = correlated("residual_correlation", 2, 1.0)[1, 0]
    first, second = (np.flatnonzero(seen) for seen in ~np.isnan(y).T)
    known = np.isfinite(y[second, 0])
    sample("y0", dist.Normal(mean[first, 0], sigma[0]), obs=y[first, 0])
    slope = residual * sigma[1] / sigma[0] * known
    shift = slope * (np.nan_to_num(y[second, 0]) - mean[second, 0])
    width = sigma[1] * jnp.sqrt(1 - residual**2 * known)
    sample("y1", dist.Normal(mean[second, 1] + shift, width), obs=y[second, 1])


def related(x: Any, y: Any, group: Any) -> tuple[Any, Any]:
    """Weights and group effects that are correlated over tasks; [feature, task] and [group, task]."""
    features, size, levels = x.shape[1], y.shape[1], group.max() + 1
    level = sample("level", dist.Normal(0.0, 2.5).expand([size]))
    scale = sample("scale", HALF_NORMAL.expand([features]))
    root = correlated("task_correlation", size, 2.0)
    weight = sample("weights", dist.MultivariateNormal(0.0, scale_tril=scale[:, None, None] * root))
    deterministic("weight", weight.T)
    sd = sample("sd", HALF_T.expand([size]))
    root = sd[:, None] * correlated("group_correlation", size, 2.0)
    effect = sample("effect", dist.MultivariateNormal(level, scale_tril=root).expand([levels]))
    return weight, effect


def correlated(name: str, size: int, concentration: float) -> Any:
    """A Cholesky factor of correlations under LKJ."""
    root = sample(f"{name}_root", dist.LKJCholesky(size, concentration))
    deterministic(name, root @ root.T)
    return root


def contraception(x: Any, y: Any, group: Any) -> None:
    """Yes or no, with a level of each group."""
    sample("y", dist.BernoulliLogits(grouped(x, group)), obs=y[:, 0])


def epil(x: Any, y: Any, group: Any) -> None:
    """Overdispersed counts, with a level of each group."""
    shape = sample("shape", dist.InverseGamma(0.4, 0.3))
    eta = grouped(x, group)
    sample("y", dist.NegativeBinomialLogits(shape, eta - jnp.log(shape)), obs=y[:, 0])


def grouped(x: Any, group: Any) -> Any:
    """A linear predictor with a level of each group; [row]."""
    level = sample("level", dist.Normal(0.0, 2.5))
    weight = sample("weight", dist.Normal(0.0, 5.0).expand([x.shape[1]]))
    sd = sample("sd", HALF_T)
    standard = sample("standard_effect", dist.Normal(0.0, 1.0).expand([group.max() + 1]))
    return level + x @ weight + sd * standard[group]


def school_ilea(x: Any, y: Any, group: Any) -> None:
    """Each group a task, with weights about common ones."""
    features, size = x.shape[1], group.max() + 1
    level = sample("level", dist.Normal(0.0, 2.5).expand([size]))
    scale = sample("scale", HALF_NORMAL.expand([features]))
    share = sample("share", dist.Beta(1.0, 1.0).expand([features]))
    common = sample("common", dist.Normal(0.0, scale * jnp.sqrt(share)))
    own = sample("own", dist.Normal(0.0, 1.0).expand([size, features]))
    weight = deterministic("weight", common + scale * jnp.sqrt(1 - share) * own)
    centre = sample("sigma_centre", dist.Normal(0.0, 1.0))
    spread = sample("sigma_spread", HALF_NORMAL)
    standard = sample("standard_sigma", dist.Normal(0.0, 1.0).expand([size]))
    sigma = deterministic("sigma", jnp.exp(centre + spread * standard))
    mean = level[group] + (x * weight[group]).sum(1)
    sample("y", dist.Normal(mean, sigma[group]), obs=y[:, 0])


def fit(problem: Problem, seed: int, draws: int) -> tuple[dict, int]:
    """The program of the problem."""
    program = partial(globals()[problem.program], problem.x, problem.y, problem.group)
    return run(program, problem.accept, seed, draws)


def run(program: Callable[[], None], accept: float, seed: int, draws: int) -> tuple[dict, int]:
    """One chain per core, in double precision as the others."""
    tell_compiling_apart()
    with timed("sample"):
        kernel = NUTS(program, target_accept_prob=accept)
        mcmc = MCMC(kernel, num_warmup=1000, num_samples=draws, num_chains=4, progress_bar=False)
        mcmc.run(jax.random.key(seed))
        found = {name: np.asarray(value) for name, value in mcmc.get_samples(group_by_chain=True).items()}
    return found, int(mcmc.get_extra_fields()["diverging"].sum())


if __name__ == "__main__":
    enter(fit, ["numpyro", "jax"])
