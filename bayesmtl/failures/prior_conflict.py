"""Priors that the data contradict."""

from collections.abc import Iterator

import arviz_stats
import numpy as np
import xarray as xr

from bayesmtl import labelled
from bayesmtl.failures import Failure
from bayesmtl.failures.blocks import block

MOST = 10  # parameters that are named
OUT = 0.005  # the chance, by the prior, of a value as far out as the posterior's median
REMEDY = "Look at its data and at its prior, and widen the prior if that was a guess."


def contradicted(post: xr.DataTree, psense: float) -> Iterator[Failure]:
    """Parameters that the prior holds where the data do not want them.

    Power-scaling asks how far a posterior moves as its prior, or its likelihood, is raised to a power near 1.
    Where it moves with both, and lies where the prior said that it would not, the two disagree. A
    parameter of few features or levels moves with its prior however right that is: so both are asked. If
    the truth is drawn from the prior, a parameter fails in less than one of 200 fits.

    References
    ----------
    Kallioinen, Paananen, Buerkner and Vehtari (2024). Detecting and diagnosing prior and likelihood
        sensitivity with power-scaling. Statistics and Computing 34, 57.
    Evans and Moshonov (2006). Checking for prior-data conflict. Bayesian Analysis 1, 893-914.
    """
    if not {"log_likelihood", "log_prior", "prior"} <= set(post.children):
        return
    log_prior = post["log_prior"].to_dataset().to_dataarray("site").sum("site")
    if not np.ptp(log_prior.values):
        return
    chance = _out(post)
    if not chance:
        return
    draws = labelled.parameters(post).sel(parameter=list(chance))
    cells = post.log_likelihood.to_dataset()
    likely = cells.sum([d for d in cells.dims if d not in ("chain", "draw")]).to_dataarray("task").sum("task")
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"value": draws}),
            "log_prior": xr.Dataset({"total": log_prior}),
            "log_likelihood": xr.Dataset({"total": likely}),
        }
    )
    found = {
        group: arviz_stats.psense(tree, group=group)["value"].values for group in ("prior", "likelihood")
    }
    moved = np.minimum(found["prior"], found["likelihood"])
    for i in np.argsort(-moved)[:MOST]:
        if moved[i] >= psense:
            name = list(chance)[i]
            problem = f"prior and data disagree: by its prior, chance {chance[name]:.2g} of so far out"
            yield Failure(name, problem, float(moved[i]), psense, REMEDY, block(name), 0.05)


def _out(post: xr.DataTree) -> dict[str, float]:
    """The parameters whose posterior lies where the prior hardly is, and the prior's chance of it."""
    own = {str(name) for name in post["log_prior"].data_vars}
    names = [str(name) for name in post.posterior.data_vars if str(name) in own and name in post["prior"]]
    after, before = (
        labelled.parameters(xr.DataTree.from_dict({"posterior": post[group].to_dataset()[names]}))
        for group in ("posterior", "prior")
    )
    found = {}
    for name in np.intersect1d(after.parameter.values.astype(str), before.parameter.values.astype(str)):
        drawn, middle = before.sel(parameter=name).values, np.median(after.sel(parameter=name).values)
        chance = 2 * (1 + min((drawn <= middle).sum(), (drawn >= middle).sum())) / (2 + drawn.size)
        if chance < OUT:
            found[str(name)] = float(chance)
    return found
