"""Sites of a program that know their axes. JAX starts here."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro.primitives import _PYRO_STACK, apply_stack

from bayesmtl import priors
from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, ModelError
from bayesmtl.priors import Correlation, Real

Array = jax.Array

STANDARD = "_standard"  # the ending of sites that the sampler sees and the posterior does not

_DENSITIES: dict[str, Callable[..., dist.Distribution]] = {
    "normal": dist.Normal,
    "student_t": dist.StudentT,
    "cauchy": dist.Cauchy,
    "laplace": dist.Laplace,
    "half_normal": dist.HalfNormal,
    "half_student_t": lambda df, scale: dist.FoldedDistribution(dist.StudentT(df, 0.0, scale)),
    "half_cauchy": dist.HalfCauchy,
    "exponential": dist.Exponential,
    "gamma": dist.Gamma,
    "inverse_gamma": dist.InverseGamma,
    "lognormal": dist.LogNormal,
    "beta": dist.Beta,
    "uniform": dist.Uniform,
}


def latent(name: str, prior: dist.Distribution, *axes: Axis) -> Array:
    """A latent array with one entry per combination of labels; its shape is ``axes``."""
    own = len(axes) - prior.event_dim
    prior = prior.expand(tuple(map(len, axes[:own]))).to_event(own)
    return numpyro.sample(name, prior, infer={"axes": axes})


def record(name: str, value: Array, *axes: Axis) -> Array:
    """A quantity to keep in the posterior, with its axes."""
    if not _PYRO_STACK:
        return value
    message: Any = {"type": "deterministic", "name": name, "value": value, "axes": axes}
    return apply_stack(message | {"cond_indep_stack": []})["value"]


def sample(name: str, prior: Real, *axes: Axis, support: str, centre: Any = 0.0, unit: Any = 1.0) -> Array:
    """A parameter under a prior that the user can set, in the user's units; its shape is ``axes``.

    The sampler sees ``(value - centre) / unit``, which is of order one whatever the units.
    """
    read = priors.read(prior, name, support)
    shape = tuple(map(len, axes))
    if isinstance(read, float):
        return record(name, jnp.full(shape, read), *axes)
    place, width = _per_label(centre if support == "Real" else 0.0, shape), _per_label(unit, shape)
    arguments = read.standard(place, width)
    if support == "Fraction":
        return latent(name, _DENSITIES[read.family](*arguments), *axes)
    standard = latent(name + STANDARD, _DENSITIES[read.family](*arguments), *axes)
    return record(name, place + width * standard, *axes)


def _per_label(value: Any, shape: tuple[int, ...]) -> Any:
    """A number, or an array over the first axis made to broadcast over the others."""
    value = jnp.asarray(value)
    return value.reshape(value.shape + (1,) * (len(shape) - 1)) if value.ndim else value


class _Sorted(dist.Distribution):
    """Independent draws of one density, in rising order along the last axis."""

    support = dist.constraints.ordered_vector

    def __init__(self, density: dist.Distribution, size: int):
        self.density, self.size = density, size
        super().__init__(density.batch_shape, (size,))

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return jnp.sort(self.density.sample(key, sample_shape + self.shape()), axis=-1)

    def log_prob(self, value: Array) -> Array:
        each = self.density.log_prob(value).sum(-1)
        return each + jax.scipy.special.gammaln(self.size + 1.0)


def ordered(name: str, prior: Real, *axes: Axis) -> Array:
    """Parameters in rising order along the last axis, otherwise independent; their shape is ``axes``."""
    read = priors.read(prior, name, "Real")
    if isinstance(read, float):
        raise ModelError(Finding(name, "can't all be fixed at one number.", "Give a prior."))
    density = _DENSITIES[read.family](*read.standard())
    return latent(name, _Sorted(density, len(axes[-1])), *axes)


def correlation_root(name: str, prior: Correlation, one: Axis) -> Array:
    """The Cholesky factor of a correlation matrix over an axis; its shape is the axis twice."""
    if len(one) == 1:
        return jnp.ones((1, 1))
    read = priors.read(prior, name, "Correlation")
    (concentration,) = read.numbers()  # type: ignore[union-attr]
    return latent(name + STANDARD, dist.LKJCholesky(len(one), concentration), one, one.other())
