"""The coordinates of a program in which its linear predictors are linear, and which of them stand apart."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from numpyro.handlers import seed, trace

from bayesmtl.design import Design
from bayesmtl.groups import Grouping
from bayesmtl.program import Program
from bayesmtl.sites import STANDARD, Array

LEVEL, OWN = f"level{STANDARD}", f"z_own{STANDARD}"


@dataclass(frozen=True)
class Blocks:
    """What coordinates stand apart by: those of two blocks meet only by way of the rest.

    Parameters
    ----------
    group
        The group whose levels are blocks; None for none.
    tasks
        Whether tasks are blocks, by the offset and the weights that are each one's own.
    """

    group: Grouping | None = None
    tasks: bool = False


@dataclass(frozen=True)
class Place:
    """Where the entries of a latent array stand among the coordinates.

    Parameters
    ----------
    mean, width
        Of their prior; of the array's shape.
    block, coordinate
        The block of each entry, -1 for the rest, and its place there; of the array's shape.
    """

    mean: np.ndarray
    width: np.ndarray
    block: np.ndarray
    coordinate: np.ndarray

    @property
    def apart(self) -> bool:
        """Whether the entries belong to blocks."""
        return bool(self.block.max(initial=-1) >= 0)

    def read(self, own: Array, rest: Array) -> Array:
        """The array at standard coordinates, of blocks [block, own] and of the rest [rest]."""
        standard = own[self.block, self.coordinate] if self.apart else rest[self.coordinate]
        return self.mean + self.width * standard


def free(site: Mapping[str, Any]) -> bool:
    """Whether a site is latent."""
    return site["type"] == "sample" and not site["is_observed"]


def latent(program: Program, data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The latent sites of a program."""
    with trace() as sites:
        seed(program, 0)(data)
    return {name: site for name, site in sites.items() if free(site)}


def linear(sites: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Those that predictors are linear in; ``fn`` is the prior of one entry or of all."""
    found = {}
    for name, site in sites.items():
        if site["infer"].get("linear"):
            prior = site["fn"]
            while isinstance(prior, dist.Independent | dist.ExpandedDistribution):
                prior = prior.base_dist
            found[name] = {**site, "fn": prior}
    return found


def blocks(design: Design, names: set[str]) -> Blocks:
    """The blocks of a design whose coordinates are latent arrays of these names."""
    related = [group for group in design.groups if group.covariance is None]
    if related:
        return Blocks(group=max(related, key=lambda group: len(group.level)))
    alone = design.model.residual["kind"] == "independent" and not design.groups
    return Blocks(tasks=alone and OWN in names)


def places(program: Program, data: Mapping[str, Any], design: Design) -> tuple[Blocks, dict[str, Place]]:
    """The blocks of a program with normal priors, and where its latent arrays stand."""
    shapes: dict[str, tuple[int, ...]] = {}

    def look() -> dict[str, tuple[Array, Array]]:
        found = linear(latent(program, data))
        shapes.update({name: site["value"].shape for name, site in found.items()})
        return {name: (site["fn"].loc, site["fn"].scale) for name, site in found.items()}

    known = jax.tree.map(np.asarray, jax.jit(look)())
    apart = blocks(design, set(known))
    found: dict[str, Place] = {}
    taken = [0, 0]
    for name, prior in known.items():
        shape = shapes[name]
        block, number = _apart(design, apart, name, shape)
        inside = block is not None
        if block is None:
            block, number = np.array(-1), np.arange(math.prod(shape)).reshape(shape)
        block, number, loc, scale = (np.broadcast_to(v, shape) for v in (block, number, *prior))
        shared = name.rpartition(".")[2] == LEVEL and inside  # families have each a part of the tasks
        found[name] = Place(loc, scale, block, number if shared else number + taken[inside])
        taken[inside] = max(taken[inside], found[name].coordinate.max(initial=-1) + 1)
    return apart, found


def _apart(
    design: Design, apart: Blocks, name: str, shape: tuple[int, ...]
) -> tuple[np.ndarray | None, np.ndarray]:
    """The block of each entry of an array, and its place there, counted from 0; None for the rest."""
    family, _, own = name.rpartition(".")
    if apart.group is not None and own == f"z_{apart.group.name}{STANDARD}":
        sets, levels, size = shape
        return np.arange(levels)[None, :, None], np.arange(sets * size).reshape(sets, 1, size)
    if apart.tasks and own == OWN:
        return np.arange(shape[1]), np.arange(shape[0])[:, None] + 1
    if apart.tasks and own == LEVEL:
        labels = next(f.task.labels for f in design.families if f.name == family)
        return np.array([design.line.labels.index(label) for label in labels]), np.zeros(1, int)
    return None, np.zeros(0, int)


def directions(found: Mapping[str, Place], apart: bool, at: Mapping[str, Array]) -> dict[str, Array]:
    """One direction for each coordinate, of the rest or in all blocks at once; [coordinate, ...].

    They are of arrays like ``at``, which may have fewer blocks.
    """
    some = {name: place for name, place in found.items() if place.apart == apart}
    count = 1 + max((place.coordinate.max(initial=-1) for place in some.values()), default=-1)
    ways = {}
    for name, place in some.items():
        few = tuple(map(slice, at[name].shape))
        coordinate, width = place.coordinate[few], place.width[few]
        each = np.arange(count).reshape(-1, *(1,) * coordinate.ndim)
        ways[name] = jnp.asarray(np.where(coordinate == each, width, 0.0))
    return ways
