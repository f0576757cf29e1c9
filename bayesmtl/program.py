"""Models as NumPyro programs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax.scipy.linalg import solve_triangular
from numpyro.handlers import scope, seed, substitute, trace

from bayesmtl.axes import Axis, axis
from bayesmtl.design import Design
from bayesmtl.outcomes import Cells, Outcome
from bayesmtl.parts import bind
from bayesmtl.sites import STANDARD, Array, latent, record

Program = Callable[..., dict[str, Outcome]]


def build(design: Design) -> Program:
    """A model as a NumPyro program ``program(data, observed=True)``.

    Arrays are arguments, so that refits of one shape share one compilation. With ``observed=False`` it
    simulates the responses. It returns each family's outcome.

    The linear predictor of a cell is ``offset + x @ weight``, with the weights of a task
    ``scale * (loading @ z)``, in the units of its response over those of the predictors.
    """
    relation = bind("relations", design.model.relation)
    shrinkage = bind("shrinkage", design.model.shrinkage)
    likelihoods = {f.name: bind("likelihoods", f.likelihood) for f in design.families}
    task, feature = design.task, design.feature
    members = {f.name: [task.labels.index(n) for n in f.task.labels] for f in design.families}
    units = jnp.array([design.unit(name)[1] for name in task.labels])
    mean, sd, uses = jnp.array(design.mean), jnp.array(design.sd), jnp.array(design.uses)

    def program(data: Mapping[str, Any], observed: bool = True) -> dict[str, Outcome]:
        standard = weights(relation(task, feature), shrinkage(feature), data.get("pilot"))
        weight = jnp.where(uses, standard * units[:, None] / sd, 0.0)
        weight = record("weight", weight, task, feature)
        outcomes = {}
        for family in design.families:
            given = data["cells"][family.name]
            own = weight[jnp.array(members[family.name])]
            cells = Cells(
                task=family.task,
                of=given["of"],
                centre=jnp.array(family.centre),
                unit=jnp.array(family.unit),
                shift=own @ mean,
                grades=jnp.array(family.values),
            )
            eta = (data["x"][given["row"]] * own[given["of"]]).sum(-1)
            with scope(prefix=family.name, divider="."):
                outcome = likelihoods[family.name](eta, cells)
                y = given["y"] if observed else None
                numpyro.sample("y", outcome.distribution, obs=y)
            outcomes[family.name] = outcome
        return outcomes

    return program


def weights(loading: Array, scale: Array, pilot: Mapping[str, Any] | None) -> Array:
    """Standard weights under a relation's loading matrix and a shrinkage's scales; [task, feature].

    They are ``scale * loading @ v`` with ``v [factor, feature]`` standard normal. With a pilot, ``v`` is
    drawn by way of its conditional distribution given loading and scale, were the likelihood normal there.
    """
    tasks, features = loading.shape[-2], len(scale)
    if not features:
        return jnp.zeros((tasks, 0))
    if loading.shape[-1] > tasks:
        # more factors than tasks would be directions that the data can't tell apart: the Cholesky
        # factor of the covariance has the same prior with the fewest coordinates
        loading = jnp.linalg.cholesky(loading @ jnp.swapaxes(loading, -1, -2))
    loading = scale[:, None, None] * loading  # [feature, task, factor]
    shape = (axis("feature", features), axis("factor", loading.shape[-1]))
    z = latent("z" + STANDARD, dist.Normal(0.0, 1.0), *shape)
    if pilot is None:
        return jnp.einsum("ktf,kf->tk", loading, z)
    precision, place = pilot["precision"].T, pilot["place"].T  # [feature, task]
    known = jnp.einsum("ktf,kt,ktg->kfg", loading, precision, loading) + jnp.eye(len(shape[1]))
    root = jnp.linalg.cholesky(known)
    pull = jnp.einsum("ktf,kt->kf", loading, precision * place)[..., None]
    mean = solve_triangular(root, pull, lower=True)
    v = solve_triangular(root, mean + z[..., None], lower=True, trans=1)[..., 0]
    change = jnp.log(jnp.diagonal(root, axis1=-2, axis2=-1)).sum()
    numpyro.factor("pilot", 0.5 * jnp.sum(z**2 - v**2) - change)
    return jnp.einsum("ktf,kf->tk", loading, v)


@dataclass(frozen=True)
class Anatomy:
    """What a program is made of: the axes of every site, and each family's loss."""

    axes: Mapping[str, tuple[Axis, ...]]
    losses: Mapping[str, str]


def anatomy(program: Program, data: Mapping[str, Any]) -> Anatomy:
    """What a program is made of, without running it."""
    found: dict[str, tuple[Axis, ...]] = {}
    losses: dict[str, str] = {}

    def shapes() -> None:
        with trace() as sites:
            outcomes = seed(program, 0)(data)
        losses.update({name: outcome.loss for name, outcome in outcomes.items()})
        for name, site in sites.items():
            if (axes := _axes(site)) is not None:
                found[name] = axes

    jax.eval_shape(shapes)
    return Anatomy(found, losses)


def replay(
    program: Program, data: Mapping[str, Any], sites: Mapping[str, Array], key: Array, observed: bool
) -> tuple[dict[str, Array], dict[str, Array], dict[str, Outcome]]:
    """The program at one draw of its sites: what it records, the log priors, and the outcomes.

    The log priors are those that the user can set: of the parameters above the weights, not of the weights
    given them.
    """
    with trace() as seen:
        outcomes = seed(substitute(program, data=dict(sites)), key)(data, observed)
    free = {n: s for n, s in seen.items() if s["type"] == "sample" and not s["is_observed"]}
    recorded = {
        name: site["value"]
        for name, site in seen.items()
        if not name.endswith(STANDARD) and _axes(site) is not None
    }
    log_prior = {
        name.removesuffix(STANDARD): jnp.sum(site["fn"].log_prob(site["value"]))
        for name, site in free.items()
        if not name.endswith(".y") and name != "z" + STANDARD
    }
    return recorded, log_prior, outcomes


def _axes(site: Mapping[str, Any]) -> tuple[Axis, ...] | None:
    """The axes of a parameter's site; None of any other site, such as the responses."""
    return site.get("axes", site.get("infer", {}).get("axes"))
