"""Models as NumPyro programs."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
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
        standard = weights(relation(task, feature), task, feature) * shrinkage(feature)
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
                grades=len(family.grades),
            )
            eta = (data["x"][given["row"]] * own[given["of"]]).sum(-1)
            with scope(prefix=family.name, divider="."):
                outcome = likelihoods[family.name](eta, cells)
                y = given["y"] if observed else None
                numpyro.sample("y", outcome.distribution, obs=y)
            outcomes[family.name] = outcome
        return outcomes

    return program


def weights(loading: Array, task: Axis, feature: Axis) -> Array:
    """Standard weights under a relation's loading matrix; [task, feature].

    More factors than tasks would be directions that the data can't tell apart: the Cholesky factor of the
    covariance has the same prior with the fewest coordinates.
    """
    if not len(feature):
        return jnp.zeros((len(task), 0))
    if loading.shape[-1] > len(task):
        loading = jnp.linalg.cholesky(loading @ jnp.swapaxes(loading, -1, -2))
    factor = axis("factor", loading.shape[-1])
    z = latent("z" + STANDARD, dist.Normal(0.0, 1.0), factor, feature)
    return loading @ z if loading.ndim == 2 else jnp.einsum("ktf,fk->tk", loading, z)


def axes(program: Program, data: Mapping[str, Any]) -> dict[str, tuple[Axis, ...]]:
    """The axes of every site, without running the program."""
    found: dict[str, tuple[Axis, ...]] = {}

    def shapes() -> None:
        with trace() as sites:
            seed(program, 0)(data)
        for name, site in sites.items():
            if "axes" in site:
                found[name] = site["axes"]
            elif "axes" in site.get("infer", {}):
                found[name] = site["infer"]["axes"]

    jax.eval_shape(shapes)
    return found


def replay(program: Program, data: Mapping[str, Any], sites: Mapping[str, Array], key: Array) -> Any:
    """The program at one draw of its sites: every recorded site, the log priors, and the outcomes."""
    with trace() as seen:
        outcomes = seed(substitute(program, data=dict(sites)), key)(data)
    recorded = {
        name: site["value"]
        for name, site in seen.items()
        if not name.endswith(STANDARD) and not site.get("is_observed") and name.rpartition(".")[2] != "y"
    }
    log_prior = {
        name.removesuffix(STANDARD): jnp.sum(site["fn"].log_prob(site["value"]))
        for name, site in seen.items()
        if site["type"] == "sample" and not site["is_observed"]
    }
    return recorded, log_prior, outcomes
