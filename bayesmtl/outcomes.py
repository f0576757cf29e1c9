"""What a likelihood takes, and what it says of its cells."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, ModelError
from bayesmtl.priors import Positive, Real, Scale
from bayesmtl.sites import STANDARD, Array, latent, record, sample


@dataclass(frozen=True)
class Cells:
    """The cells of the tasks that share a likelihood.

    Parameters
    ----------
    task
        The tasks.
    of
        Each cell's task; [cell].
    centre, unit
        Mean and standard deviation of each task's response, on the scale of its linear predictor; [task].
    shift
        What the weights add to the linear predictor of an average row; [task], of a response in
        categories [task, line].
    lean
        What the weights add in the mean of each task's own rows; as ``shift``, or None where it is 0.
    count
        About how many cells of each task the sampler's coordinates are made for; [task].
    grades
        The values of a graded response, lowest first, or of categories; empty for any other; [task, grade].
    lines
        The linear predictors; by default the tasks.
    level
        The linear predictor of an average row, where it is drawn already; [task], or [task, line].
    noise_x, noise_feature
        The standardised columns of a scale's formula, and their names; [cell, noise_feature].
    y
        The observed responses; [cell]. None when they are simulated.
    key
        For drawing parameters that were integrated out, where draws are recorded; None elsewhere.
    """

    task: Axis
    of: Array
    centre: Array
    unit: Array
    shift: Array
    grades: Array
    noise_x: Array | None = None
    noise_feature: Axis = Axis("noise_feature", ())
    y: Array | None = None
    key: Array | None = None
    lines: Axis | None = None
    level: Array | None = None
    lean: Array | None = None
    count: Array | float = 0.0

    @property
    def line(self) -> Axis:
        """The linear predictors."""
        return self.lines or self.task


@dataclass(frozen=True)
class Outcome:
    """What a likelihood says of its cells.

    Parameters
    ----------
    distribution
        Of the responses; log density, draws and allowed values come from it; [cell].
    mean
        The expected response; [cell].
    information
        Fisher's information about the linear predictor; [cell], of a response in categories [cell, line].
    loss, loss_weight
        The family's own loss, and the factor that the noise puts before it; [task].
    noise
        Standard deviation of a response about its mean, in its units; nan without a free scale; [task].
    marginal
        Log density of all cells together, a parameter integrated out; None where nothing is.
    """

    distribution: dist.Distribution
    mean: Array
    information: Array
    loss: str
    loss_weight: Array
    noise: Array
    marginal: Array | None = None


@dataclass(frozen=True)
class Spread:
    """A positive parameter.

    Parameters
    ----------
    task
        Its typical value in each task; [task].
    cell
        Its value in each cell; [cell].
    """

    task: Array
    cell: Array


def place(cells: Cells, offset: Real) -> Array:
    """The level of each linear predictor, which is that of an average row; [task], or [task, line].

    The prior is on the level, as in brms; the ``offset`` that is recorded is the formula's, the linear
    predictor where all predictors are 0. What the data know is the level of a task's own rows, and there the
    sampler draws it: a predictor that hardly varies within a task is no longer traded for its level.
    """
    shape, each = cells.shift.shape, cells.shift.size // len(cells.task)
    centre, unit = (jnp.repeat(value, each) for value in (cells.centre, cells.unit))
    lean = None if cells.lean is None else cells.lean.ravel()
    level = sample(
        "level", offset, cells.line, support="Real", centre=centre, unit=unit, lean=lean, linear=True
    )
    record("offset", level - cells.shift.ravel(), cells.line)
    return level.reshape(shape)


def locate(cells: Cells, offset: Real) -> Array:
    """Each cell's offset, for predictors that are centred; [cell], or [cell, line].

    A program draws the levels before the group effects, which make up for them, and gives them in ``cells``.
    """
    level = place(cells, offset) if cells.level is None else cells.level
    if len(cells.task) == 1:  # the gradient of an index goes through the cells one by one
        return jnp.broadcast_to(level, (len(cells.of), *level.shape[1:]))
    return level[cells.of]


def scale(name: str, cells: Cells, prior: Scale, known: Array | float | None = None) -> Spread:
    """A positive parameter, in the units of each task's response.

    A prior or a number is each task's own. ``"pooled"`` learns how much tasks differ:
    ``log(value / unit)`` is normal over the tasks. A table with a ``formula`` lets it vary within a task,
    ``log value = log typical + x @ weight`` with standardised columns; its keys ``sigma`` and ``weight``
    are the priors of the typical value and of the weights. The square of a ``known`` standard error adds to
    that of each cell, and the number may then be 0.
    """
    own = prior.get("sigma", "half_student_t(3, unit)") if isinstance(prior, Mapping) else prior
    typical = _typical(name, cells, own, known is not None)
    cell = typical[cells.of]
    if isinstance(prior, Mapping) and cells.noise_x is not None and len(cells.noise_feature):
        weight = prior.get("weight", "normal(0, 0.5)")
        weight = sample(f"{name}_weight", weight, cells.task, cells.noise_feature, support="Real")
        cell *= jnp.exp((cells.noise_x * weight[cells.of]).sum(-1))
    if known is not None:
        cell = jnp.sqrt(cell**2 + jnp.asarray(known) ** 2)
    return Spread(typical, cell)


def _typical(name: str, cells: Cells, prior: Positive, known: bool) -> Array:
    if prior == "pooled":
        # about as precisely as cells know a logarithm, and all of them their mean: what the sampler sees is
        # of order one given the spread, whatever that is, and its steps are no longer until it has learned
        sure = 2.0 * cells.count * jnp.ones(len(cells.task))
        centre = sample(f"{name}_centre", "normal(0, 1)", support="Real", unit=(1 + sure.sum()) ** -0.5)
        spread = sample(f"{name}_spread", "half_normal(1)", support="Positive")
        longer = jnp.sqrt(1 + sure * spread**2)
        z = latent(f"z_{name}{STANDARD}", dist.Normal(0.0, longer), cells.task) / longer
        return record(name, cells.unit * jnp.exp(centre + spread * z), cells.task)
    if isinstance(prior, int | float) and prior == 0:
        if not known:
            raise ModelError(Finding(name, "is fixed at 0.", "Give it a prior, or the known errors, se."))
        return record(name, jnp.zeros(len(cells.task)), cells.task)
    return sample(name, prior, cells.task, support="Positive", unit=cells.unit)


def average(cells: Cells, value: Array, empty: Array | float = jnp.nan) -> Array:
    """The mean of a number per cell over the cells of each task, ``empty`` for a task without; [task]."""
    count = jnp.zeros(len(cells.task)).at[cells.of].add(1.0)
    total = jnp.zeros(len(cells.task), jnp.result_type(value)).at[cells.of].add(value)
    return jnp.where(count > 0, total / jnp.maximum(count, 1.0), empty)


def rate(eta: Array) -> Array:
    """The inverse of the log link, finite and positive for any linear predictor."""
    end = jnp.log(jnp.finfo(jnp.result_type(eta, float)).max) - 20
    return jnp.exp(jnp.clip(eta, -end, end))


def log_odds(eta: Array, link: str) -> tuple[Array, Array]:
    """The log odds of a probability under the logit or probit link, and their derivative.

    Log odds are exact in both tails, where the probability rounds to 0 or 1.
    """
    if link == "logit":
        return eta, jnp.ones_like(eta)
    norm = jax.scipy.stats.norm
    above, below = norm.logcdf(eta), norm.logcdf(-eta)
    return above - below, jnp.exp(norm.logpdf(eta) - above - below)


def no_scale(loss: str, cells: Cells) -> dict[str, Any]:
    """The loss, its weight and the noise of a family without a free scale: a weight of one, no noise."""
    one = jnp.ones(len(cells.task))
    return {"loss": loss, "loss_weight": one, "noise": jnp.nan * one}
