"""The coefficients of a program in standard units: those of a response over those of a column."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from bayesmtl.design import Design
from bayesmtl.groups import Grouping
from bayesmtl.sites import Array


def coefficients(
    design: Design, local: Grouping | None, sites: Mapping[str, Any], line: Any = slice(None)
) -> tuple[Array, Array]:
    """What multiplies the dense and the local columns of ``moments``; [line, dense], [line, level, term].

    Parameters
    ----------
    design
        Of all tasks of the program, or of some.
    local
        The group whose columns are the local ones; None for none.
    sites
        The program's.
    line
        The places of the design's linear predictors among the program's.
    """
    unit, lines = jnp.asarray(design.unit_of), len(design.line)
    dense, near = [by_line(design, sites, "level", centred=True)[:, None]], jnp.zeros((lines, 1, 0))
    if len(design.feature):
        dense.append(sites["weight"]["value"][line] * design.sd / unit[:, None])
    for group in design.groups:
        u = sites[f"effect_{group.name}"]["value"][line] * group.sd / unit[:, None, None]
        if local is not None and group.name == local.name:
            near = u
        else:
            dense.append(u.reshape(lines, -1))
    return jnp.concatenate(dense, axis=1), near


def by_line(design: Design, sites: Mapping[str, Any], name: str, centred: bool = False) -> Array:
    """A parameter of each family in standard units; [line]."""
    found = jnp.zeros(len(design.line))
    for family in design.families:
        own = np.array([design.line.labels.index(label) for label in family.task.labels])
        value = sites[f"{family.name}.{name}"]["value"] - (family.centre if centred else 0.0)
        found = found.at[own].set(value / family.unit)
    return found
