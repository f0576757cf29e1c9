"""What the prior alone expects, before any data."""

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl import labelled

# functions of parameters, what offsets and cuts are for an average row, and what each level adds
_HIDDEN = ("information", "loss_weight", "noise", "level", "cut_level")


def expected(tree: xr.DataTree, *, prob: float = 0.9) -> pd.DataFrame:
    """What the prior expects of each task's responses and of every parameter, beside what was observed.

    Parameters
    ----------
    tree
        What ``prior`` gives, or a posterior: groups ``prior``, ``prior_predictive`` and ``observed_data``.
    prob
        Of the intervals.

    Returns
    -------
    DataFrame
        Index ``name``; ``what``, then ``prior``, the median, and ``observed``, each with ``_low`` and
        ``_high``. A ``response`` is one cell's; a ``mean`` is that of all cells of a task in one draw.

    References
    ----------
    Gabry, Simpson, Vehtari, Betancourt and Gelman (2019). Visualization in Bayesian workflow. Journal of
        the Royal Statistical Society A 182, 389-402.
    """
    rows = [row for task in tasks(tree) for row in _of_task(tree, task, prob)]
    if "prior" in tree:
        drawn = parameters(tree["prior"].to_dataset())
        ends = np.quantile(drawn.values.reshape(len(drawn), -1), _edges(prob), axis=1).T
        for name, quantiles in zip(drawn.parameter.values, ends, strict=True):
            rows.append((str(name), "parameter", *quantiles, np.nan, np.nan, np.nan))
    columns = ["name", "what", "prior_low", "prior", "prior_high"]
    columns += ["observed_low", "observed", "observed_high"]
    frame = pd.DataFrame(rows, columns=columns).set_index("name")
    order = [f"{of}{end}" for of in ("prior", "observed") for end in ("", "_low", "_high")]
    return frame[["what", *order]]


def tasks(tree: xr.DataTree) -> list[str]:
    """The tasks whose responses the prior has simulated."""
    if "prior_predictive" not in tree:
        return []
    names = [str(name) for name in tree.constant_data.task.values]
    return [name for name in names if name in tree["prior_predictive"].data_vars]


def parameters(drawn: xr.Dataset) -> xr.DataArray:
    """Every scalar parameter, without what follows from others and what each level of a group adds."""
    kept = [v for v in drawn if str(v) not in _HIDDEN and not str(v).startswith("effect_")]
    return labelled.parameters(xr.DataTree.from_dict({"posterior": drawn[kept]}))


def responses(tree: xr.DataTree, task: str) -> tuple[np.ndarray, np.ndarray]:
    """What the prior draws of a task's cells, and what was observed; [draw, cell] and [cell]."""
    drawn = tree["prior_predictive"][task].transpose("chain", "draw", ...).values
    return drawn.reshape(-1, drawn.shape[-1]), np.asarray(tree["observed_data"][task], float)


def _of_task(tree: xr.DataTree, task: str, prob: float) -> list[tuple[object, ...]]:
    drawn, observed = responses(tree, task)
    edges, mean = _edges(prob), observed.mean()
    return [
        (task, "response", *np.quantile(drawn, edges), *np.quantile(observed, edges)),
        (task, "mean", *np.quantile(drawn.mean(1), edges), np.nan, mean, np.nan),
    ]


def _edges(prob: float) -> list[float]:
    return [(1 - prob) / 2, 0.5, (1 + prob) / 2]
