"""Some cells at random in place of all, for steps that take the density as it is on average.

A gradient of many cells is hardly better known than that of some, and takes as much longer as they are more.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
from numpyro.distributions import biject_to
from numpyro.handlers import block, trace
from numpyro.infer.util import potential_energy

from bayesmtl.aggregated import apart
from bayesmtl.coordinates import free, latent
from bayesmtl.design import Design
from bayesmtl.sites import Array

SOME = 10_000  # cells of a family


def subsample(design: Design, program: Callable[..., Any], data: Mapping[str, Any]) -> Callable[..., Any]:
    """A program that takes other cells each time it runs, with the log density of all on average.

    What its cells say at 0, where a pilot fit puts the posterior, is exchanged for what all of them say
    there: its gradient varies only by how much theirs differ in what they add on the way from 0.

    Parameters
    ----------
    data
        The program's, with a pilot. Families of few cells, or whose cells know of each other, keep all.

    References
    ----------
    Baker, Fearnhead, Fox and Nemeth (2019). Control variates for stochastic gradient MCMC. Statistics and
        Computing 29, 599-615.

    Examples
    --------
    >>> subsample(design, program, data) is program  # with up to 10,000 cells  # doctest: +SKIP
    True
    """
    large = [f.name for f in design.families if apart(design, f) and len(data["cells"][f.name]["y"]) > SOME]
    if not large:
        return program

    def slope(data: Mapping[str, Any], sites: Mapping[str, Any]) -> dict[str, Array]:
        zero = {name: jnp.zeros_like(_unconstrained(site)) for name, site in sites.items()}
        with block():
            return jax.grad(lambda at: -potential_energy(program, (data,), {}, at))(zero)

    whole = jax.jit(lambda data: slope(data, latent(program, data)))(data)

    def subsampled(data: Mapping[str, Any]) -> None:
        few = _some(large, data, numpyro.prng_key())
        with trace() as sites:
            program(few)
        own = {name: site for name, site in sites.items() if free(site)}
        part = slope(few, own)
        numpyro.factor("rest", sum(jnp.sum((whole[n] - part[n]) * _unconstrained(own[n])) for n in own))

    return subsampled


def _unconstrained(site: Mapping[str, Any]) -> Array:
    return biject_to(site["fn"].support).inv(site["value"])


def _some(large: list[str], data: Mapping[str, Any], key: Array) -> dict[str, Any]:
    """A program's arrays with some cells of the large families, which count for all."""
    cells = dict(data["cells"])
    for name, own in zip(large, jax.random.split(key, len(large)), strict=True):
        count = len(cells[name]["y"])
        at = jax.random.randint(own, (SOME,), 0, count)
        few = jax.tree.map(lambda value, at=at: value[at], dict(cells[name]))
        cells[name] = few | {"power": few["power"] * (count / SOME)}
    return {**data, "cells": cells}
