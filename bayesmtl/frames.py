"""The families of a design as a program meets them: their linear predictors among all, and their cells."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from bayesmtl.axes import Axis
from bayesmtl.design import Design
from bayesmtl.outcomes import Cells
from bayesmtl.responses import Family
from bayesmtl.sites import Array


@dataclass(frozen=True)
class Frame:
    """What a program knows of a family before it sees any data.

    ``line [member, line]`` are the places of its linear predictors among all, and ``partner`` those among the
    linear predictors that rows have something in common with. ``away [member, feature]`` is how far the mean
    of a member's own rows is from that of all.
    """

    family: Family
    line: np.ndarray
    partner: np.ndarray
    part: slice
    spread: Axis
    away: np.ndarray


def frames_of(design: Design) -> dict[str, Frame]:
    """The families by their names."""
    found, taken, beside = {}, 0, 0
    for family in design.families:
        line = np.array([[design.line.labels.index(n) for n in lines] for lines in family.lines])
        spread = design.spread.feature.take(design.spread_of(family).tolist())
        joined = family in design.partners
        part = slice(taken, taken + len(family.y)) if joined else slice(0)
        found[family.name] = Frame(
            family,
            line,
            np.arange(line.size).reshape(line.shape) + beside,
            part,
            spread,
            _away(design, family),
        )
        taken, beside = (taken + len(family.y), beside + line.size) if joined else (taken, beside)
    return found


def _away(design: Design, family: Family) -> np.ndarray:
    x, count = design.predictors.centred[family.row], np.bincount(family.of, minlength=len(family.task))
    total = np.zeros((len(family.task), x.shape[1]))
    np.add.at(total, family.of, np.nan_to_num(x))
    mean = total / np.maximum(count, 1)[:, None]
    return np.where(np.abs(mean) > 1e-9 * design.predictors.sd, mean, 0.0)


def cells_of(
    design: Design,
    frame: Frame,
    data: Mapping[str, Any],
    weight: Array,
    key: Any,
    observed: bool,
) -> Cells:
    """What a likelihood is given of a family's cells, but for their linear predictors."""
    family = frame.family
    given = data["cells"][family.name]
    own = weight[jnp.array(frame.line)]  # [member, line, feature]
    shift, lean = own @ design.predictors.mean, jnp.einsum("mlf,mf->ml", own, jnp.array(frame.away))
    return Cells(
        task=family.task,
        of=given["of"],
        centre=jnp.array(family.centre),
        unit=jnp.array(family.unit),
        shift=shift if family.nominal else shift[:, 0],
        lean=lean if data.get("pilot") and frame.away.any() else None,
        grades=jnp.array(family.values),
        lines=Axis("task", tuple(label for lines in family.lines for label in lines)),
        noise_x=given["noise_x"],
        noise_feature=frame.spread,
        y=given["y"] if observed else None,
        key=key,
        count=data["count"][np.array([design.task.labels.index(name) for name in family.task.labels])],
    )
