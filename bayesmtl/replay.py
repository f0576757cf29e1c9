"""Programs run once more at what was drawn, and looked at without being run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.handlers import seed, substitute, trace

from bayesmtl.axes import Axis
from bayesmtl.design import encode
from bayesmtl.errors import Finding
from bayesmtl.matching import unmatched
from bayesmtl.program import Program, Said, build
from bayesmtl.sites import STANDARD, Array, settings
from bayesmtl.spec import Model


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
            log_prior[name] = log_prior.get(name, 0.0) + jnp.sum(site["fn"].log_prob(site["value"]))
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


def _axes(site: Mapping[str, Any]) -> tuple[Axis, ...] | None:
    """The axes of a parameter's site; None of any other site, such as the responses."""
    return site.get("axes", site.get("infer", {}).get("axes"))


def astray(model: Model, table: Any) -> list[Finding]:
    """The keys of ``[priors]`` that are no parameter of a sound model on its table."""
    design = encode(model, table)
    with settings({}) as heard:
        anatomy(build(design), design.data)
    return unmatched(model.priors, heard)
