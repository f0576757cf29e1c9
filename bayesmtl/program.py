"""Models as NumPyro programs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro.handlers import scale, scope

from bayesmtl import sites, user_priors
from bayesmtl.design import Design
from bayesmtl.effects import contribution, effects
from bayesmtl.frames import Frame, cells_of, frames_of
from bayesmtl.imputation import impute
from bayesmtl.information import beside
from bayesmtl.joint import Joint, Residual
from bayesmtl.outcomes import Cells, Outcome, place
from bayesmtl.own import own_weights
from bayesmtl.parts import bind, settings
from bayesmtl.sharing import leans, weights
from bayesmtl.sites import Array, record
from bayesmtl.summing import Summed, sum_out


@dataclass(frozen=True)
class Said:
    """What a program says of a family's cells.

    Parameters
    ----------
    outcome
        Of each cell by itself.
    y
        The responses, observed or simulated; [cell].
    joint, part
        The distribution of all cells whose residuals are correlated, and the family's place among them;
        None where residuals are independent.
    summed
        The configurations of missing predictors, for each of which ``outcome`` has a distribution; None where
        nothing is summed out.
    """

    outcome: Outcome
    y: Array
    joint: Joint | None = None
    part: slice = slice(None)
    summed: Summed | None = None


type Program = Callable[..., dict[str, Said]]


def build(design: Design) -> Program:
    """A model as a NumPyro program ``program(data, observed=True)``.

    Arrays are arguments, so that refits of one shape share one compilation. With ``observed=False`` it
    simulates the responses. It returns what is said of each family's cells.

    The linear predictor of a cell is ``offset + x @ weight + z @ effect``, with the weights of a task
    ``scale * (loading @ v)``, in the units of its response over those of the predictors.
    """
    model, line, units = design.model, design.line, jnp.array(design.unit_of)
    frames, partners = frames_of(design), design.partner
    residual = bind("residuals", model.residual)
    width = jnp.array([design.unit_of[line.labels.index(name)] for name in partners.labels])
    student = all(f.likelihood["kind"] == "student_t" for f in design.partners)

    def program(data: Mapping[str, Any], observed: bool = True) -> dict[str, Said]:
        with user_priors.settings(model.priors):
            pilot, given, filled = data.get("pilot", {}), data, None
            if design.gaps is not None:
                filled = impute(design.gaps, data, observed)
                data = filled.data
            weight = _weights(design, pilot.get("weight"))
            keys = _keys(data.get("key"), frames)
            cells = {
                name: cells_of(design, frame, data, weight, keys.get(name), observed)
                for name, frame in frames.items()
            }
            fixed = jnp.concatenate([_levels(design, frames, cells)[:, None], weight], axis=1)
            effect = {}
            for group in design.groups:
                known = beside(pilot[group.name], group, fixed) if group.name in pilot else None
                effect[group.name] = effects(group, line, units, known)
            rows = len(data["residual"].get("pattern", ()))
            common = (
                residual(partners, rows, student, width) if partners.labels else Residual(None, None, None)
            )
            outcomes = {}
            for name, frame in frames.items():
                each = [
                    _predictor(data, name, frame, at, weight, effect, common, units)
                    for at in range(frame.line.shape[1])
                ]
                eta = jnp.stack(each, -1) if frame.family.nominal else each[0]
                tail = {"df": common.df} if common.df is not None and frame.part.stop else {}
                likelihood = {**frame.family.likelihood, **tail}
                part = bind("likelihoods", likelihood, data["cells"][name]["columns"])
                with scope(prefix=name, divider="."):
                    outcomes[name] = part(eta, cells[name])
            if filled is None or not filled.summed:
                return _observe(data, frames, outcomes, common, observed)
            found, y, summed = sum_out(filled, outcomes, given["cells"], observed, data.get("key"))
            return {name: Said(found[name], y[name], summed=summed) for name in frames}

    return program


def _keys(key: Any, frames: Mapping[str, Frame]) -> dict[str, Any]:
    """A key for each family, where there is one for all."""
    return {} if key is None else dict(zip(frames, jax.random.split(key, len(frames)), strict=True))


def _weights(design: Design, pilot: Mapping[str, Any] | None) -> Array:
    """The weights in the user's units, shared or with a prior of their own; [line, feature]."""
    model, line, feature = design.model, design.line, design.feature
    if not len(feature):
        return jnp.zeros((len(line), 0))
    unit = design.unit_of[:, None] / design.predictors.sd
    own = own_weights(line, feature, design.uses, unit)
    shared = np.flatnonzero((design.uses & ~own.known).any(0))
    weight = jnp.zeros(design.uses.shape)
    if len(shared):
        some = feature.take(shared.tolist())
        given = {name: value[:, shared] for name, value in pilot.items()} if pilot else None
        relation, shrinkage = bind("relations", model.relation), bind("shrinkage", model.shrinkage)
        related = relation(line, some)
        with sites.leaning(leans(related)):
            size = shrinkage(line, some)
        standard = weights(related, size, given)
        weight = weight.at[:, shared].set(standard * unit[:, shared])
    return record("weight", jnp.where(design.uses, own.draw(weight), 0.0), line, feature)


def _levels(design: Design, frames: Mapping[str, Frame], cells: dict[str, Cells]) -> Array:
    """The level of each linear predictor, 0 where there is none; [line]. They are put in the cells."""
    level = jnp.zeros(len(design.line))
    for name, frame in frames.items():
        options = settings("likelihoods", frame.family.likelihood)
        if "offset" in options:
            with scope(prefix=name, divider="."):
                own = place(cells[name], options["offset"])
            cells[name] = replace(cells[name], level=own)
            level = level.at[frame.line.ravel()].set(own.ravel())
    return level


def _predictor(
    data: Mapping[str, Any],
    name: str,
    frame: Frame,
    at: int,
    weight: Array,
    effect: Mapping[str, Array],
    common: Residual,
    units: Array,
) -> Array:
    """One linear predictor of each cell of a family, without its offset; [cell]."""
    of, row, own = data["cells"][name]["of"], data["cells"][name]["row"], frame.line[:, at]
    line, x = jnp.array(own)[of], data["x"][row]
    # of one task a product of a matrix, whose gradient does not go through the cells one by one
    eta = x @ weight[own[0]] if len(own) == 1 else (x * weight[line]).sum(-1)
    for group, u in effect.items():
        given = data["groups"][group]
        eta += contribution(u, given["level"], given["z"], line, row)
    if common.shift is not None and frame.part.stop:
        place = data["residual"]["row"][frame.part]
        eta += units[line] * common.shift[place, jnp.array(frame.partner[:, at])[of]]
    return eta


def _observe(
    data: Mapping[str, Any],
    frames: Mapping[str, Frame],
    outcomes: Mapping[str, Outcome],
    common: Residual,
    observed: bool,
) -> dict[str, Said]:
    """Condition on the responses, or simulate them."""
    said = {}
    together = [name for name, f in frames.items() if f.part.stop and common.root is not None]
    if together and common.root is not None:
        loc, width = (
            jnp.concatenate([getattr(outcomes[name].distribution, each) for name in together])
            for each in ("loc", "scale")
        )
        joint = Joint(loc, width, common.root, data["residual"], common.df)
        y = jnp.concatenate([data["cells"][name]["y"] for name in together]) if observed else None
        y = numpyro.sample("joint.y", joint, obs=y)
        said = {n: Said(outcomes[n], y[frames[n].part], joint, frames[n].part) for n in together}
    for name, outcome in outcomes.items():
        if name not in together:
            said[name] = Said(outcome, _seen(name, outcome, data["cells"][name], observed))
    return {name: said[name] for name in frames}


def _seen(name: str, outcome: Outcome, given: Mapping[str, Any], observed: bool) -> Array:
    """The responses of one family; [cell]."""
    with scope(prefix=name, divider="."):
        if observed and outcome.marginal is not None:
            numpyro.factor("marginal", outcome.marginal)
            return given["y"]
        with scale(scale=given["power"]):
            return numpyro.sample("y", outcome.distribution, obs=given["y"] if observed else None)
