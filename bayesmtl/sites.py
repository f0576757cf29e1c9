"""Sites of a program that know their axes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.primitives import _PYRO_STACK, apply_stack

from bayesmtl import priors
from bayesmtl.axes import Axis, axis
from bayesmtl.matching import Governed
from bayesmtl.priors import Real
from bayesmtl.user_priors import density, set_by_user

Array = jax.Array

STANDARD = "_standard"  # the ending of sites that the sampler sees and the posterior does not

_LEANING: ContextVar[Mapping[str, Array]] = ContextVar("leaning")


@contextmanager
def leaning(by: Mapping[str, Array]) -> Iterator[None]:
    """Let positive parameters of these names that are sampled inside lean by these factors.

    They have the shapes of the parameters. What the data know is the product, and that the sampler sees.
    """
    token = _LEANING.set(by)
    try:
        yield
    finally:
        _LEANING.reset(token)


def latent(
    name: str,
    prior: dist.Distribution,
    *axes: Axis,
    of: str = "",
    linear: bool = False,
    stretch: Array | float = 1.0,
) -> Array:
    """A latent array with one entry per combination of labels; its shape is ``axes``.

    ``of`` is the parameter under a prior of the user's that it is, or is a part of; by how much it is longer
    than that one is ``stretch``. It is ``linear`` if the linear predictors are linear in it and in all others
    that are, given those that are not.
    """
    own = len(axes) - prior.event_dim
    prior = prior.expand(tuple(map(len, axes[:own]))).to_event(own)
    infer = {"axes": axes, "of": of, "linear": linear, "stretch": stretch}
    return numpyro.sample(name, prior, infer=infer)


def record(name: str, value: Array, *axes: Axis) -> Array:
    """A quantity to keep in the posterior, with its axes."""
    if not _PYRO_STACK:
        return value
    message: Any = {"type": "deterministic", "name": name, "value": value, "axes": axes}
    return apply_stack(message | {"cond_indep_stack": []})["value"]


def sample(
    name: str,
    prior: Real | Array,
    *axes: Axis,
    support: str,
    centre: Any = 0.0,
    unit: Any = 1.0,
    lean: Array | None = None,
    linear: bool = False,
) -> Array:
    """A parameter under a prior that the user can set, in the user's units; its shape is ``axes``.

    The sampler sees ``(value + lean - centre) / unit``, which is of order one whatever the units. A real
    parameter that other parameters make up for leans by what they add, so that the sampler sees the sum that
    the data know; a positive one leans by a factor, if ``leaning`` says so. In place of a prior an array
    fixes it.
    """
    shape = tuple(map(len, axes))
    if isinstance(prior, jax.Array):
        return record(name, jnp.broadcast_to(prior, shape), *axes)
    place, width = _per_label(centre if support == "Real" else 0.0, shape), _per_label(unit, shape)
    if support == "Positive":
        lean = _LEANING.get({}).get(name)
    elif lean is not None:
        lean = lean / width
    if own := set_by_user(name, axes, support):
        return _mixed(name, prior, own, axes, support, place, width, lean, linear)
    read = priors.read(prior, name, support)
    if isinstance(read, float):
        return record(name, jnp.full(shape, read), *axes)
    if support == "Fraction":
        return latent(name, density(read), *axes, of=name)
    standard = _leaning(name, density(read, place, width), support, lean, *axes, of=name, linear=linear)
    return record(name, place + width * standard, *axes)


def _mixed(
    name: str,
    prior: Real,
    own: list[Governed],
    axes: tuple[Axis, ...],
    support: str,
    place: Any,
    width: Any,
    lean: Array | None,
    linear: bool,
) -> Array:
    """A parameter some of whose entries have priors of their own: a site for those of each prior."""
    shape = tuple(map(len, axes))
    rest = ~np.any([each.where for each in own], axis=0)
    sets = [(each.prior, each.where) for each in own]
    if rest.any():
        sets.append((priors.read(prior, name, support), rest))
    value = jnp.zeros(shape)
    for number, (read, where) in enumerate(sets):
        if isinstance(read, float):
            value = jnp.where(where, read, value)
            continue
        some = axis(f"{name}{number + 1}", int(where.sum()))
        at, by = (0.0, 1.0) if support == "Fraction" else (place, width)
        at, by = (jnp.broadcast_to(each, shape)[where] for each in (at, by))
        leaning = None if lean is None else lean[where]
        standard = _leaning(
            f"{name}{number + 1}", density(read, at, by), support, leaning, some, of=name, linear=linear
        )
        value = value.at[where].set(at + by * standard)
    return record(name, value, *axes)


def _leaning(
    name: str,
    prior: dist.Distribution,
    support: str,
    lean: Array | None,
    *axes: Axis,
    of: str,
    linear: bool,
) -> Array:
    """A draw from a prior, by way of what it is with ``lean`` added, or if it is positive times ``lean``."""
    name += STANDARD
    if lean is None:
        return latent(name, prior, *axes, of=of, linear=linear)
    prior = prior.expand(tuple(map(len, axes)))
    if support == "Positive":
        return latent(name, _Stretched(prior, lean), *axes, of=of, linear=linear, stretch=lean) / lean
    moved = dist.TransformedDistribution(prior, dist.transforms.AffineTransform(lean, 1.0))
    return latent(name, moved, *axes, of=of, linear=linear) - lean


class _Stretched(dist.TransformedDistribution):
    """What is positive, times a positive factor."""

    support = dist.constraints.positive

    def __init__(self, density: dist.Distribution, factor: Array):
        super().__init__(density, dist.transforms.AffineTransform(0.0, factor, domain=self.support))


def _per_label(value: Any, shape: tuple[int, ...]) -> Any:
    """A number, or an array over the first axis made to broadcast over the others."""
    value = jnp.asarray(value)
    return value.reshape(value.shape + (1,) * (len(shape) - 1)) if value.ndim else value
