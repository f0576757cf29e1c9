"""Programs run once more at what was drawn, and looked at without being run."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.handlers import seed, substitute, trace

from bayesmtl import parts
from bayesmtl.axes import Axis
from bayesmtl.design import Design
from bayesmtl.encoded import encode
from bayesmtl.errors import Finding
from bayesmtl.matching import unmatched
from bayesmtl.program import Program, Said, build
from bayesmtl.sites import STANDARD, Array
from bayesmtl.spec import Model
from bayesmtl.user_priors import settings


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
            said = seed(program, 0)(data)
        losses.update({name: each.outcome.loss for name, each in said.items()})
        for name, site in sites.items():
            if (axes := _axes(site)) is not None:
                found[name] = axes

    jax.eval_shape(shapes)
    return Anatomy(found, losses)


def replay(
    program: Program, data: Mapping[str, Any], sites: Mapping[str, Array], key: Array, observed: bool
) -> tuple[dict[str, Array], dict[str, Array], dict[str, Said]]:
    """The program at one draw of its sites: what it records, the log priors, and what it says of the cells.

    The log priors are those that the user can set: of the parameters above the weights and effects, not of
    these given them.
    """
    with trace() as seen:
        said = seed(substitute(program, data=dict(sites)), key)({**data, "key": key}, observed)
    recorded = {
        name: site["value"]
        for name, site in seen.items()
        if not name.endswith(STANDARD) and _axes(site) is not None
    }
    log_prior: dict[str, Array] = {}
    for name, site in seen.items():
        if of := site.get("infer", {}).get("of"):
            name = name.rpartition(".")[0] + "." + of if "." in name else of
            own = jnp.sum(site["fn"].log_prob(site["value"]))
            log_prior[name] = log_prior.get(name, 0.0) + own + jnp.log(site["infer"]["stretch"]).sum()
    return recorded, log_prior, said


def densities(said: Mapping[str, Said], data: Mapping[str, Any]) -> dict[str, Array]:
    """The log density of each cell given all that it is not independent of, raised to its power; [cell]."""
    found = {}
    for name, each in said.items():
        if each.summed is not None:
            found[name] = each.summed.density(name)
            continue
        if each.joint is None:
            density = each.outcome.distribution.log_prob(each.y)
        else:
            whole = jnp.concatenate([said[n].y for n in said if said[n].joint is not None])
            density = each.joint.conditional(whole)[each.part]
        found[name] = density * data["cells"][name]["power"]
    return found


def simulate(said: Mapping[str, Said], key: Array) -> dict[str, Array]:
    """New responses of each family; [cell]."""
    keys = dict(zip(said, jax.random.split(key, len(said)), strict=True))
    joint = next((each.joint for each in said.values() if each.joint is not None), None)
    whole = joint.sample(key) if joint is not None else None
    drawn = {
        name: each.outcome.distribution.sample(keys[name])
        if whole is None or each.joint is None
        else whole[each.part]
        for name, each in said.items()
    }
    return {name: y if (s := said[name].summed) is None else s.pick(name, y) for name, y in drawn.items()}


def teller(design: Design, program: Program, data: Mapping[str, Any], pointwise: bool) -> Any:
    """Everything that a program says at each of some draws of its sites; [draw, ...].

    Compiled once for chains and prior alike.
    """
    sizes = {f.name: len(f.task) for f in design.families}
    # what is integrated out is drawn back given the responses, so that the prior is told without them
    options = [parts.settings("likelihoods", f.likelihood) for f in design.families]
    marginal = any("marginal" in own.values() for own in options)

    def one(given: Any, observed: bool) -> Any:
        sites, key = given
        recorded, log_prior, said = replay(program, data, sites, key, observed=observed)
        told = {}
        for name, each in said.items():
            of, power = data["cells"][name]["of"], data["cells"][name]["power"]
            information = each.outcome.information.reshape(len(of), -1).sum(-1) * power
            total = jax.ops.segment_sum(information, of, sizes[name])
            count = jax.ops.segment_sum(jnp.ones_like(information), of, sizes[name])
            told[name] = {
                "information": total / count,
                "loss_weight": each.outcome.loss_weight,
                "noise": each.outcome.noise,
            }
        if pointwise:
            density, drawn = densities(said, data), simulate(said, jax.random.fold_in(key, 1))
            for name in said:
                told[name]["log_prob"] = density[name].astype(jnp.float32)
                told[name]["y"] = drawn[name].astype(jnp.float32)
        return recorded, log_prior, told

    @partial(jax.jit, static_argnums=1)
    def many(given: Any, observed: bool) -> Any:
        return jax.lax.map(lambda each: one(each, observed), given, batch_size=50)

    def tell(sites: Mapping[str, Any], draws: int, key: Any, observed: bool = True) -> Any:
        told = many((dict(sites), jax.random.split(key, draws)), observed or not marginal)
        return jax.tree.map(np.asarray, told)

    return tell


def _axes(site: Mapping[str, Any]) -> tuple[Axis, ...] | None:
    """The axes of a parameter's site; None of any other site, such as the responses."""
    return site.get("axes", site.get("infer", {}).get("axes"))


def astray(model: Model, table: Any) -> list[Finding]:
    """The keys of ``[priors]`` that are no parameter of a sound model on its table."""
    design = encode(model, table)
    with settings({}) as heard:
        anatomy(build(design), design.data)
    return unmatched(model.priors, heard)
