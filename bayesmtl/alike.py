"""How alike a relation makes the weights of tasks, at each draw of a posterior or of its prior."""

import json
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from numpyro.handlers import block, seed, substitute, trace

from bayesmtl import parts, sites, user_priors
from bayesmtl.axes import Axis
from bayesmtl.errors import ModelError
from bayesmtl.parts import Part
from bayesmtl.runtime import ready
from bayesmtl.sharing import Loading, Mixture
from bayesmtl.spec import Model

LARGEST = 20_000_000  # numbers of all draws; of larger matrices fewer draws are taken
MATRICES = ("task_correlation", "together")  # what a relation records of pairs of tasks


def lines(post: xr.DataTree) -> Axis:
    """The linear predictors: the tasks, and for one in categories each category but the first."""
    labels = [str(name) for name in post.posterior.task.values] if "task" in post.posterior.dims else []
    tasks = [str(name) for name in post.constant_data.task.values]
    own = ([label for label in labels if label.startswith(f"{task}[")] or [task] for task in tasks)
    return Axis("task", tuple(label for every in own for label in every))


def owners(post: xr.DataTree) -> np.ndarray:
    """Each linear predictor's task, by its place; [line]."""
    labels, tasks = lines(post).labels, [str(name) for name in post.constant_data.task.values]
    own = (max((t for t in tasks if n == t or n.startswith(f"{t}[")), key=len) for n in labels)
    return np.array([tasks.index(name) for name in own])


def taken(post: xr.DataTree, group: str, size: int, most: int = LARGEST) -> np.ndarray:
    """Which draws are taken, evenly, so that all have about ``most`` numbers of ``size`` each."""
    total = post[group].sizes["chain"] * post[group].sizes["draw"]
    return np.linspace(0, total - 1, int(np.clip(most // max(size, 1), min(20, total), total))).astype(int)


def flat(array: xr.DataArray, take: np.ndarray) -> np.ndarray:
    """Some draws of all chains; [draw, ...]."""
    values = array.transpose("chain", "draw", ...).values
    return values.reshape(-1, *values.shape[2:])[take]


def covariance(post: xr.DataTree, take: np.ndarray, group: str = "posterior") -> np.ndarray:
    """The prior covariance of standard weights over tasks, given what the relation learned.

    Of a mixture it is that of two tasks that are in one component with the probability that they are given
    their weights. It is NaN for a feature that takes no part, and of a part of the user's own that is not at
    hand or does not record what it learned.

    Parameters
    ----------
    take
        Which draws; [draw].
    group
        ``"posterior"`` or ``"prior"``.

    Returns
    -------
    array
        [draw, feature, task, task], with a task for each linear predictor.
    """
    model, task = Model.read(json.loads(post.attrs["model"])), lines(post)
    feature = Axis("feature", tuple(map(str, post.constant_data.feature.values)))
    shape = len(take), len(feature), len(task), len(task)
    if not len(feature):
        return np.zeros(shape)
    drawn = post[group].to_dataset()
    try:
        with ready(), user_priors.settings(model.priors):
            found = _of(model.relation, drawn, task, feature, take)
    except (ModelError, ImportError, KeyError):  # a part, or what it learned, is not at hand
        return np.full(shape, np.nan)
    return np.broadcast_to(found, shape)


def correlation(covariance: np.ndarray) -> np.ndarray:
    """A covariance in units of its standard deviations; [..., task, task]."""
    sd = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    with np.errstate(invalid="ignore"):  # of what has no variance, it is not known
        return covariance / (sd[..., :, None] * sd[..., None, :])


def membership(drawn: xr.Dataset, task: Axis, take: np.ndarray) -> np.ndarray | None:
    """The probability that two tasks are in one component of a mixture; None of any other relation."""
    names = list(task.labels)
    if "together" in drawn:
        return flat(drawn["together"].sel(task=names, task_=names).transpose(..., "task", "task_"), take)
    if "borrows" not in drawn:
        return None
    own = flat(drawn["borrows"].sel(task=names), take)  # given the weights, tasks decide apart
    both = own[:, :, None] * own[:, None, :]
    return np.where(np.eye(len(names), dtype=bool), 1.0, both)


def learned(post: xr.DataTree) -> list[str]:
    """The variables of a posterior that its relation records of itself, pairs of tasks apart."""
    model, task = Model.read(json.loads(post.attrs["model"])), lines(post)
    feature = Axis("feature", tuple(map(str, post.constant_data.feature.values)))
    if not len(feature):
        return []
    try:
        with ready(), user_priors.settings(model.priors):
            names = [*_axes(parts.bind("relations", model.relation), task, feature), "borrows"]
    except (ModelError, ImportError):
        return []
    return [name for name in names if name in post.posterior and not name.endswith(MATRICES)]


def _of(
    relation: Part, drawn: xr.Dataset, task: Axis, feature: Axis, take: np.ndarray, label: str = ""
) -> np.ndarray:
    """The covariance of one relation, or of a sum of them; [draw, feature, task, task]."""
    if relation["kind"] == "sum_of":
        summed, several = parts.settings("relations", relation)["relations"], "shares" in drawn
        shares = flat(drawn["shares"], take) if several else np.ones((len(take), 1))
        labels = drawn["shares"].part.values if several else [""]
        total = np.zeros((len(take), len(feature), len(task), len(task)))
        for each, name, share in zip(summed, labels, shares.T, strict=True):
            total += share[:, None, None, None] * _of(parts.table(each), drawn, task, feature, take, name)
        return total
    part = parts.bind("relations", relation)
    given = {}
    for name, axes in _axes(part, task, feature).items():
        # in a sum, what several relations call alike has the label of each before it
        own = f"{label}_{name}" if f"{label}_{name}" in drawn else name
        given[name] = flat(_at(drawn[own], axes), take)
    if "task_correlation" in given:
        return given["task_correlation"][:, None]
    shared = np.asarray(jax.jit(jax.vmap(lambda *each: _shared(part, task, feature, *each)))(given, take))
    if shared.ndim == 4:
        return shared
    together = membership(drawn, task, take)
    if together is None:
        raise KeyError("together")
    both = together[:, None] * shared[:, :, None, None]
    return np.where(np.eye(len(task), dtype=bool), 1.0, both)


def _shared(part: Any, task: Axis, feature: Axis, given: Mapping[str, jax.Array], at: jax.Array) -> jax.Array:
    """The covariance of a draw; of a mixture the variance that its first component shares."""
    with seed(rng_seed=0), substitute(data=dict(given)):
        loading = part(task, feature)
    if isinstance(loading, Mixture):
        return 1 - loading.width[0] ** 2
    matrix = loading.matrix if isinstance(loading, Loading) else loading
    return jnp.broadcast_to(matrix @ matrix.mT, (len(feature), len(task), len(task)))


def _axes(part: Any, task: Axis, feature: Axis) -> dict[str, tuple[Axis, ...]]:
    """The axes of all that a relation records, without running it."""
    found: dict[str, tuple[Axis, ...]] = {}

    def run() -> None:
        with block(), trace() as seen, seed(rng_seed=0):
            part(task, feature)
        for name, site in seen.items():
            if not name.endswith(sites.STANDARD):
                found[name] = site.get("axes") or site.get("infer", {}).get("axes", ())

    jax.eval_shape(run)
    return found


def _at(array: xr.DataArray, axes: tuple[Axis, ...]) -> xr.DataArray:
    """A variable at a site's labels, in the order of its axes."""
    labels = {axis.name: list(axis.labels) for axis in axes}
    return array.reindex(labels).transpose("chain", "draw", *labels)
