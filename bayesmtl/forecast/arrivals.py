"""Tasks that a fit never saw, as if a posterior had drawn them too."""

import inspect
import json
from collections.abc import Collection, Iterator, Mapping
from hashlib import blake2b
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from numpyro.handlers import seed, substitute

from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, listed, refuse
from bayesmtl.labelled import members
from bayesmtl.parts import bind
from bayesmtl.runtime import ready
from bayesmtl.sharing import Loading
from bayesmtl.spec import Model

# what a posterior reports of a task that its program does not ask for
_TOLD = {"offset", "information", "loss_weight", "noise", "outlying", "communality", "borrows"}
_NEAR = 1e-9  # what keeps the correlations of tasks that are the same task invertible


def extended(post: xr.DataTree, new: Collection[str] | Mapping[str, Any]) -> xr.DataTree:
    """A posterior that has new tasks as well.

    Their weights are drawn from what the relation says of them given the weights of the known tasks. What
    tasks don't share by the relation, the level and the noise, is drawn as of one more of the known tasks: a
    Student-t by their mean and standard deviation, of the logarithms of what is positive. A new task's unit
    is the root mean square of theirs.

    Parameters
    ----------
    new
        The new tasks; as a mapping it tells of each its description, place or neighbours, where the relation
        has these.

    Raises
    ------
    ModelError
        When the model says too little of a new task.

    References
    ----------
    Baxter (2000). A model of inductive bias learning. Journal of Artificial Intelligence Research 12,
        149-198.
    """
    new = new if isinstance(new, Mapping) else dict.fromkeys(new)
    model, constant = Model.read(json.loads(post.attrs["model"])), post.constant_data.to_dataset()
    known, more = Axis("task", tuple(map(str, constant.task.values))), Axis("task", tuple(map(str, new)))
    refuse(_faults(post, model, known, more))
    names = "\0".join(("tasks", *more.labels)).encode()
    key = int.from_bytes(blake2b(names, digest_size=16).digest())
    draw = np.random.default_rng([int(post.attrs["seed"]), key])
    whole = post.posterior.to_dataset().reindex(task=[*known.labels, *more.labels])
    unit = np.sqrt((constant["unit"] ** 2).mean().item())
    found = {"weight": _weights(post, model, known, more, list(new.values()), unit, draw)}
    for name, variable in post.posterior.data_vars.items():
        if variable.dims == ("chain", "draw", "task") and name not in _TOLD:
            values = variable.sel(task=list(known.labels)).values
            found[str(name)] = _one_more(values, name == "level", len(more), draw)
    for name, values in found.items():
        whole[name].loc[{"task": list(more.labels)}] = values
    if "weight" in whole and "level" in whole:
        whole["offset"] = whole["level"] - (whole["weight"] * constant["mean"]).sum("feature")
    same = constant.isel(task=np.zeros(len(more), int)).assign_coords(task=list(more.labels))
    centre = np.full(len(more), constant["centre"].mean().item())
    same = same.assign(centre=("task", centre), unit=("task", np.full(len(more), unit)))
    same = same.assign({name: same[name] * 0 for name in ("cells", "empty", "unserved")})
    by_task = [name for name, variable in constant.data_vars.items() if "task" in variable.dims]
    grown = xr.concat([constant[by_task], same[by_task]], "task").merge(constant.drop_dims("task"))
    tree = xr.DataTree.from_dict({"posterior": whole, "constant_data": grown})
    grades = json.loads(post.attrs["grades"])
    grades |= {name: grades[known.labels[0]] for name in more.labels if grades}
    tree.attrs = {**post.attrs, "grades": json.dumps(grades)}
    return tree


def _faults(post: xr.DataTree, model: Model, known: Axis, new: Axis) -> Iterator[Finding]:
    """Why a posterior says too little of new tasks."""
    kind = model.relation["kind"]
    if not model.as_rows:
        remedy = "Write tasks as rows, with by and outcome, to have new ones."
        yield Finding("new_tasks", "are of tasks that are columns, whose likelihoods are their own.", remedy)
    if old := set(known.labels) & set(new.labels):
        yield Finding("new_tasks", f"has {listed(sorted(old))}, which the fit knew.", "Leave it out.")
    if len(known) < 2:
        yield Finding("new_tasks", "has one known task to learn from.", "Fit at least two.")
    if _joined(model) is None:
        problem = f"can't join by {kind}: a posterior does not keep what it takes."
        yield Finding("new_tasks", problem, "Use another relation, such as partial.")
    if model.residual["kind"] != "independent":
        yield Finding("new_tasks", "would have residuals that others share.", "Use independent residuals.")
    if "scale" not in post.posterior and "weight" in post.posterior:
        yield Finding("new_tasks", f"needs a scale, and {model.shrinkage['kind']} has none.", "Use normal.")
    if any(str(key).startswith("weight") for key in model.priors):
        yield Finding("new_tasks", "would have weights with priors of their own.", "Take these off.")
    if json.loads(post.attrs["groups"]):
        yield Finding("new_tasks", "would have effects of groups of their own.", "Drop the group terms.")
    if strange := [name for name, variable in post.posterior.data_vars.items() if _strange(name, variable)]:
        problem = f"would need {listed(strange)} of its own."
        yield Finding("new_tasks", problem, "Use a likelihood without it.")


def _strange(name: Any, variable: xr.DataArray) -> bool:
    """Whether a variable is of tasks, and neither a weight nor one real or positive number of each."""
    more = set(variable.dims) - {"chain", "draw", "task", "feature"}
    own = "task" in variable.dims and "task_" not in variable.dims and name not in _TOLD
    return own and (bool(more) or name == "zero")


def _joined(model: Model) -> Any:
    """The function of a relation that takes new tasks, with the options of the model's; None without."""
    part = bind("relations", model.relation)
    return getattr(import_module(part.func.__module__), "joined", None)  # type: ignore[attr-defined]


def _weights(
    post: xr.DataTree,
    model: Model,
    known: Axis,
    new: Axis,
    told: list[Any],
    unit: float,
    draw: np.random.Generator,
) -> np.ndarray:
    """The weights of new tasks given those of the known; [chain, draw, task, feature]."""
    constant, p = post.constant_data, post.posterior
    feature = Axis("feature", tuple(map(str, constant.feature.values)))
    shape = p.sizes["chain"], p.sizes["draw"], len(new), len(feature)
    if not len(feature):
        return np.zeros(shape)
    joined, options = _joined(model), dict(bind("relations", model.relation).keywords)  # type: ignore[attr-defined]
    takes = "told" in inspect.signature(joined).parameters
    if not takes and any(each is not None for each in told):
        problem = f"tells of tasks what the relation {model.relation['kind']} does not take."
        refuse([Finding("new_tasks", problem, "Give their names alone.")])
    scale = members(post, (feature,), "scale")
    size = scale[:, None] / constant["sd"].values
    weight = members(post, (known, feature), "weight") / (size * constant["unit"].values[:, None])
    sites = {str(n): _flat(v, known) for n, v in p.data_vars.items() if n not in ("weight", "scale")}
    z = draw.standard_normal((len(scale), len(feature), len(new)))
    key = int(draw.integers(2**32))

    def one(given: tuple[Any, Any, Any, Any]) -> Any:
        own, weight, z, key = given
        relation = seed(substitute(joined, data=own), key)
        loading = relation(known, new, feature, *([told] if takes else []), **options)
        matrix = loading.matrix if isinstance(loading, Loading) else loading
        return _given(matrix, weight, z)

    with ready():
        keys = jax.random.split(jax.random.key(key), len(scale))
        drawn = jax.jit(lambda given: jax.lax.map(one, given, batch_size=50))((sites, weight, z, keys))
    return (np.asarray(drawn) * size * unit).reshape(shape)


def _given(loading: Any, weight: Any, z: Any) -> Any:
    """Standard weights of new tasks given those of the known, from the loadings of all; [task, feature]."""
    known, features = weight.shape
    covariance = loading @ jnp.swapaxes(loading, -1, -2)
    covariance = jnp.broadcast_to(covariance, (features, *covariance.shape[-2:]))
    among = covariance[:, :known, :known] + _NEAR * jnp.eye(known)
    between, own = covariance[:, known:, :known], covariance[:, known:, known:]
    gain = jnp.swapaxes(jnp.linalg.solve(among, jnp.swapaxes(between, 1, 2)), 1, 2)
    variance, direction = jnp.linalg.eigh(own - gain @ jnp.swapaxes(between, 1, 2))
    spread = jnp.einsum("knm,km,km->kn", direction, jnp.sqrt(jnp.maximum(variance, 0.0)), z)
    return (jnp.einsum("kno,ok->kn", gain, weight) + spread).T


def _flat(variable: xr.DataArray, known: Axis) -> np.ndarray:
    """All draws of a variable, of the known tasks where it has tasks; [sample, ...]."""
    own = {dim: list(known.labels) for dim in ("task", "task_") if dim in variable.dims}
    values = variable.sel(own).transpose("chain", "draw", ...).values
    return values.reshape(-1, *values.shape[2:])


def _one_more(values: np.ndarray, real: bool, count: int, draw: np.random.Generator) -> np.ndarray:
    """More of what some tasks have, of tasks that are exchangeable with them; [chain, draw, task].

    The distribution of a further normal number under the prior that is flat in mean and log deviation.
    """
    each = values if real else np.log(values)
    tasks = each.shape[-1]
    t = draw.standard_t(tasks - 1, (*each.shape[:2], count))
    deviation = each.std(-1, ddof=1, keepdims=True) * np.sqrt(1 + 1 / tasks)
    drawn = each.mean(-1, keepdims=True) + deviation * t
    return drawn if real else np.exp(drawn)
