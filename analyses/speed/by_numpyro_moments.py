"""NumPyro's own sampler, told the responses of normal tasks by their cross-products."""

# /// script
# requires-python = ">=3.12"
# dependencies = ["numpyro>=0.20", "jax>=0.7", "numpy", "pandas"]
# ///

from functools import partial
from typing import Any, NamedTuple

from by_numpyro import HALF_T, jnp, np, numpyro, related, run, sample
from contest import enter, timed
from problems import Problem


class Moments(NamedTuple):
    """Counts and sums by group, and cross-products of all rows; of predictors x and responses y."""

    n: Any
    x: Any
    y: Any
    xx: Any
    xy: Any
    yy: Any


def tasks(m: Moments, group: Any) -> None:
    """Normal tasks on the same rows: a gradient costs the same for any number of them."""
    weight, effect = related(m.x, m.y, group)
    sigma = sample("sigma", HALF_T.expand([m.y.shape[1]]))
    error = m.yy - 2 * (weight * m.xy).sum(0) + (weight * (m.xx @ weight)).sum(0)
    error += (effect * (m.n[:, None] * effect - 2 * (m.y - m.x @ weight))).sum(0)
    numpyro.factor("y", (-0.5 * error / sigma**2 - m.n.sum() * jnp.log(sigma)).sum())


def moments(x: np.ndarray, y: np.ndarray, group: np.ndarray) -> Moments:
    """One pass over the rows."""
    n, *sums = (by_group(group, column) for column in (None, *x.T, *y.T))
    sums = np.stack(sums, axis=1)
    return Moments(n, sums[:, : x.shape[1]], sums[:, x.shape[1] :], x.T @ x, x.T @ y, (y**2).sum(0))


def by_group(group: np.ndarray, column: np.ndarray | None) -> np.ndarray:
    """The sum of a column in each group, or the count; [group]."""
    return np.bincount(group, column).astype(float)


def fit(problem: Problem, seed: int, draws: int) -> tuple[dict, int]:
    """The program of the problem of section 5, the only one that is written for moments."""
    if problem.program != "tasks":
        raise SystemExit("no program by moments is written for this")
    with timed("sample"):
        m = moments(problem.x, problem.y, problem.group)
    return run(partial(tasks, m, np.arange(len(m.n))), problem.accept, seed, draws)


if __name__ == "__main__":
    enter(fit, ["numpyro", "jax"])
