"""What ``[priors]`` sets of what a program samples, and the densities of priors. JAX starts here."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.axes import Axis
from bayesmtl.matching import Governed, called, governed
from bayesmtl.priors import Prior

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


type Heard = dict[str, list[tuple[Axis, ...]]]
_SETTINGS: ContextVar[tuple[Mapping[str, Any], Heard] | None] = ContextVar("settings", default=None)


@contextmanager
def settings(given: Mapping[str, Any]) -> Iterator[Heard]:
    """Let ``[priors]`` set what is sampled inside; yields the axes of every parameter that it could set.

    What an inner block hears, the outer one hears too.
    """
    outer = _SETTINGS.get()
    heard: Heard = {} if outer is None else outer[1]
    token = _SETTINGS.set((given, heard))
    try:
        yield heard
    finally:
        _SETTINGS.reset(token)


def set_by_user(name: str, axes: tuple[Axis, ...], support: str) -> list[Governed]:
    """What ``[priors]`` says of a parameter."""
    if (block := _SETTINGS.get()) is None:
        return []
    given, heard = block
    if axes not in heard.setdefault(called(name), []):
        heard[called(name)].append(axes)
    return governed(given, name, axes, support)


def density(prior: Prior, place: Any = 0.0, width: Any = 1.0) -> dist.Distribution:
    """The density of ``(value - place) / width`` under a prior in the user's units."""
    return _DENSITIES[prior.family](*prior.standard(place, width, jnp.log))
