"""What can't be trusted."""

import json
from collections.abc import Iterator

import pandas as pd
import xarray as xr

from bayesmtl.failures import Failure
from bayesmtl.failures.dependence import dependent
from bayesmtl.failures.mixing import approximate, mixed
from bayesmtl.failures.mixing import convergence as convergence
from bayesmtl.failures.predictions import heavy, off
from bayesmtl.failures.prior_conflict import contradicted
from bayesmtl.failures.rows import influential, outlying
from bayesmtl.failures.sampler import approximated, sampled
from bayesmtl.failures.scores import scored
from bayesmtl.failures.tasks import separated, unlike
from bayesmtl.spec import Model


def diagnostics(
    post: xr.DataTree,
    *,
    rhat: float = 1.01,
    ess: float = 100.0,
    energy: float = 0.3,
    pareto_k: float = 0.7,
    psense: float = 0.05,
    influence: float = 1.0,
    calibration: float = 0.001,
) -> pd.DataFrame:
    """One row per failure, each with what to do; empty when all is well.

    What spoils everything comes first: the sampler or the approximation, then parameters, then what ties
    tasks, then single tasks and rows; the worst first in each. Chains that agree say something of Markov
    chains only: an approximation is judged by the Pareto k and the effective draws of its importance
    weights. Divergences are located: at the parameters whose draws lie furthest off the others there. A
    sound fit fails a test of its predictions in at most ``(tasks + 4) * calibration`` of cases, and a
    parameter under a true prior in one of 200; of few cells, one may well decide its own prediction or a
    weight, and that is said. Predictions, rows and priors are tested where the fit recorded the log density
    of each cell, which one of very many rows does not: of such a fit their silence is no good news.

    Parameters
    ----------
    rhat
        The largest potential scale reduction.
    ess
        The least effective sample size per chain, in the bulk and in the tails; of an approximation, that of
        its weighted draws, as of four chains.
    energy
        The least Bayesian fraction of missing information of a chain.
    pareto_k
        The largest shape of the importance ratios of an approximation, and of a cell that is left out.
    psense
        How far a parameter may move with its prior and with its likelihood where the prior did not expect it.
    influence
        How far one row may move a weight, in posterior standard deviations.
    calibration
        The least p-value of the tests of predictions: their ranks, their coverage, and how they go with the
        level, for each task; of residuals that are independent between tasks, of rows and tasks that lie
        far out, for the fit. A false alarm in that share of tasks, or of fits. A task whose rows have weights
        is not tested: they are no fair sample of what is predicted.

    Returns
    -------
    DataFrame
        Columns ``where``, ``problem``, ``value``, ``threshold``, ``remedy``, ``block``, the part of the model
        that it concerns, and ``arviz``, ArviZ's own threshold where it has one.

    Examples
    --------
    >>> diagnostics(post)[["where", "problem", "remedy"]]  # doctest: +SKIP

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021). Rank-normalization, folding, and
        localization: an improved R-hat. Bayesian Analysis 16, 667-718.
    Betancourt (2016). Diagnosing suboptimal cotangent disintegrations in Hamiltonian Monte Carlo. arXiv
        1604.00695.
    Vehtari, Simpson, Gelman, Yao and Gabry (2024). Pareto smoothed importance sampling. Journal of
        Machine Learning Research 25(72), 1-58.
    Kallioinen, Paananen, Buerkner and Vehtari (2024). Detecting and diagnosing prior and likelihood
        sensitivity with power-scaling. Statistics and Computing 34, 57.
    """
    rows = [
        *(approximated(post, pareto_k, ess) if approximate(post) else sampled(post, energy)),
        *mixed(post, rhat, ess),
        *contradicted(post, psense),
        *separated(post),
        *unlike(post, calibration),
        *_predicted(post, pareto_k, influence, calibration),
    ]
    return pd.DataFrame(rows, columns=list(Failure._fields))


def _predicted(post: xr.DataTree, pareto_k: float, influence: float, calibration: float) -> Iterator[Failure]:
    """What is wrong with the predictions of cells, each made without its own."""
    if "log_likelihood" not in post:
        return
    names = [str(name) for name in post.constant_data.task.values]
    listed = Model.read(json.loads(post.attrs["model"])).listed_tasks(names)
    tasks = [scored(post, name, number) for number, name in enumerate(names)]
    # rows that stand for more or fewer than themselves are no fair sample of what is predicted
    whole = {task.name for task in listed if task.weights is None}
    fair = [task for task in tasks if task.task in whole]
    yield from dependent(post, fair, calibration)
    for task in tasks:
        yield from heavy(task, pareto_k)
        if task.task in whole:
            yield from off(task, calibration)
    yield from outlying(post, fair, calibration)
    yield from influential(post, tasks, influence)
