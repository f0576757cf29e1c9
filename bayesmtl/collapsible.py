"""Whether the coefficients of a model can be integrated out, and whether that pays."""

from collections.abc import Mapping
from typing import Any

import jax
import numpyro.distributions as dist

from bayesmtl.coordinates import blocks, latent, linear
from bayesmtl.design import Design
from bayesmtl.errors import Finding, ModelError
from bayesmtl.matching import called
from bayesmtl.parts import settings
from bayesmtl.program import Program
from bayesmtl.sites import STANDARD

SMALL = 60_000  # with fewer products in the blocks of tasks a gradient is short, whatever the rows
PAYS = 5  # entries of cross-products for a cell; with more, chains are as fast with the coefficients
MOST = 500  # coefficients that no blocks tell apart; a gradient takes the square of them times the columns


def refusal(design: Design, program: Program, data: Mapping[str, Any]) -> str:
    """Why the coefficients of a model can't be integrated out; empty if they can."""
    for family in design.families:
        options = settings("likelihoods", family.likelihood)
        name = ", ".join(family.task.labels)
        if family.likelihood["kind"] != "gaussian":
            return f"{name} is {family.likelihood['kind']}"
        if options["se"] is not None:
            return f"the standard errors of {name} are known"
        if options["sigma"] == "marginal" or isinstance(options["sigma"], Mapping):
            return f"the noise of {name} is not one number"
    if design.gaps is not None:
        return "missing predictors are imputed"
    if design.model.residual["kind"] == "factor":
        return "each row has latent factors"
    if student := [group.name for group in design.groups if group.student]:
        return f"the effects of {student[0]} are Student-t"
    said: list[str] = []

    def look() -> None:
        every = latent(program, data)
        found = linear(every)
        if len(found) == len(every):
            said.append("no scale, correlation or noise is left to draw")
        strange = [site["infer"]["of"] for site in found.values() if not isinstance(site["fn"], dist.Normal)]
        said.extend(f"the prior of {called(name or 'weight')} is not normal" for name in strange)
        apart = blocks(design, set(found))
        near = [f"z_{apart.group.name}{STANDARD}"] if apart.group is not None else []
        near += [f"level{STANDARD}", f"z_own{STANDARD}"] if apart.tasks else []
        rest = sum(site["value"].size for name, site in found.items() if name.rpartition(".")[2] not in near)
        if rest > MOST:
            said.append(f"{rest:,} coefficients meet in one block, and {MOST} at most are fast")

    jax.eval_shape(look)
    return said[0] if said else ""


def burden(design: Design, program: Program, data: Mapping[str, Any]) -> str:
    """Why chains without the coefficients would take longer than with them; empty if they would not.

    Tasks that stand apart have cross-products of their own, which are larger than the rows of short tables.
    """
    tasks, size = len(design.line), 1 + len(design.feature)
    cells = sum(len(family.y) for family in design.families)
    if tasks * size**3 < SMALL or tasks * size**2 < PAYS * cells:
        return ""
    names: set[str] = set()
    jax.eval_shape(lambda: names.update(linear(latent(program, data))))
    few = f"{tasks} tasks have too few rows for cross-products to pay"
    return few if blocks(design, names).tasks else ""


def required(design: Design, program: Program, data: Mapping[str, Any], remedy: str) -> None:
    """Refuse a model for an engine that integrates the coefficients out, and can't.

    Raises
    ------
    ModelError
        With the reason, and the remedy that is given.
    """
    if reason := refusal(design, program, data):
        raise ModelError(Finding("engine", f"can't integrate the coefficients out: {reason}.", remedy))
