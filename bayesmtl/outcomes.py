"""What a likelihood takes, and what it says of its cells."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.axes import Axis
from bayesmtl.priors import Positive, Real
from bayesmtl.sites import Array, record, sample


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
        What the weights add to the linear predictor of an average row; [task].
    grades
        The values of a graded response, lowest first; empty for any other; [task, grade].
    """

    task: Axis
    of: Array
    centre: Array
    unit: Array
    shift: Array
    grades: Array


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
        Fisher's information about the linear predictor; [cell].
    loss, loss_weight
        The family's own loss, and the factor that the noise puts before it; [task].
    noise
        Standard deviation of a response about its mean, in its units; nan without a free scale; [task].
    """

    distribution: dist.Distribution
    mean: Array
    information: Array
    loss: str
    loss_weight: Array
    noise: Array


def locate(cells: Cells, offset: Real) -> Array:
    """Each cell's offset, for predictors that are centred; [cell].

    The prior is on ``level``, the linear predictor of an average row, as in brms; ``offset`` is the
    formula's: the linear predictor where all predictors are 0.
    """
    level = sample("level", offset, cells.task, support="Real", centre=cells.centre, unit=cells.unit)
    record("offset", level - cells.shift, cells.task)
    return level[cells.of]


def scale(name: str, cells: Cells, prior: Positive) -> Array:
    """A positive parameter of each task, in the units of its response; [task]."""
    return sample(name, prior, cells.task, support="Positive", unit=cells.unit)


def no_scale(loss: str, cells: Cells) -> dict[str, Any]:
    """The loss, its weight and the noise of a family without a free scale: a weight of one, no noise."""
    one = jnp.ones(len(cells.task))
    return {"loss": loss, "loss_weight": one, "noise": jnp.nan * one}
