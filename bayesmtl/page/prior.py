"""What the prior expected: beside the data, and beside the posterior."""

import json

import numpy as np
import xarray as xr

from bayesmtl import prior_predictive
from bayesmtl.page import predictive
from bayesmtl.page.figures import PROB, Picture
from bayesmtl.page.numbers import NONE, Estimate, estimate, percent
from bayesmtl.page.tables import Table, cut
from bayesmtl.reports.weights import tempered

# what is shown before all else, by how a name begins
FIRST = ("offset", "cut", "sigma", "share", "scale", "task_correlation", "sd_", "correlation_")
_EDGES = [(1 - PROB) / 2, 0.5, (1 + PROB) / 2]


def pictures(post: xr.DataTree) -> list[Picture]:
    """A picture of each of the first tasks."""
    grades = json.loads(post.attrs.get("grades", "{}"))
    found = []
    for task in prior_predictive.tasks(post)[: predictive.MOST]:
        drawn, observed = prior_predictive.responses(post, task)
        found.append(predictive.before(observed, drawn, task, grades.get(task, [])))
    return found


def tables_of(post: xr.DataTree) -> list[tuple[str, Table]]:
    """Responses by the prior and as observed; parameters by the prior and by the posterior."""
    found = []
    if rows := _responses(post):
        head = ["task", "a response, by the prior", "observed", "mean of all cells, by the prior", "observed"]
        found.append(("Responses", cut(head, rows)))
    if "prior" in post and (rows := _parameters(post)):
        head = ["parameter", "prior", "posterior", "width"]
        found.append(("Parameters", cut(head, rows)))
    return found


def _responses(post: xr.DataTree) -> list[list[str | Estimate]]:
    marked = dict(zip(map(str, post.constant_data.task.values), tempered(post)))
    rows: list[list[str | Estimate]] = []
    for task in prior_predictive.tasks(post):
        drawn, observed = prior_predictive.responses(post, task)
        low, middle, high = np.quantile(drawn.mean(1), _EDGES)
        rows.append(
            [
                f"{task} (tempered)" if marked[task] else task,
                _median(drawn),
                _median(observed),
                estimate(middle, low, high),
                estimate(observed.mean(), low, low),
            ]
        )
    return rows


def _parameters(post: xr.DataTree) -> list[list[str | Estimate]]:
    """The main parameters first; what is fixed is left out."""
    before = prior_predictive.parameters(post["prior"].to_dataset())
    after = prior_predictive.parameters(post.posterior.to_dataset())
    known = set(map(str, after.parameter.values))
    rows: list[tuple[int, list[str | Estimate]]] = []
    for name in map(str, before.parameter.values):
        if name not in known:
            continue
        ends = [np.quantile(draws.sel(parameter=name).values, _EDGES) for draws in (before, after)]
        width = (ends[1][2] - ends[1][0]) / (ends[0][2] - ends[0][0])
        said = [estimate(middle, low, high) for low, middle, high in ends]
        place = next((i for i, start in enumerate(FIRST) if name.startswith(start)), len(FIRST))
        share = percent(width, width, width).mean if np.isfinite(width) else NONE
        rows.append((place, [name, *said, share]))
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def _median(values: np.ndarray) -> Estimate:
    low, middle, high = np.quantile(values, _EDGES)
    return estimate(float(middle), float(low), float(high))
