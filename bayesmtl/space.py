"""The latent sites of a program as one vector without constraints."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpyro.distributions import biject_to
from numpyro.handlers import block, seed, trace
from numpyro.infer.util import potential_energy

from bayesmtl.coordinates import free
from bayesmtl.sites import Array


@dataclass(frozen=True)
class Space:
    """The unconstrained space of a program.

    Parameters
    ----------
    size
        Its dimensions.
    density
        The log density of a point [dimension], given the program's data.
    read
        The values of the latent sites at a point.
    parameters, linear
        Whether each dimension is of a parameter, and not of what is standard given these; and whether linear
        predictors are linear in it, given the others; [dimension].
    """

    size: int
    density: Callable[[Array, Mapping[str, Any]], Array]
    read: Callable[[Array], dict[str, Array]]
    parameters: np.ndarray
    linear: np.ndarray


def space(program: Callable[..., Any], data: Mapping[str, Any]) -> Space:
    """The unconstrained space of a program whose supports are always the same."""
    supports: dict[str, Any] = {}
    kinds: dict[str, tuple[bool, bool]] = {}

    def look() -> dict[str, Array]:
        with block(), trace() as sites:
            seed(program, 0)(data)
        latent = {name: site for name, site in sites.items() if free(site)}
        supports.update({name: site["fn"].support for name, site in latent.items()})
        infer = {name: site["infer"] for name, site in latent.items()}
        kinds.update({n: (bool(own.get("of")), bool(own.get("linear"))) for n, own in infer.items()})
        return {name: biject_to(one).inv(sites[name]["value"]) for name, one in supports.items()}

    like = jax.tree.map(lambda one: jnp.zeros(one.shape, one.dtype), jax.eval_shape(look))
    flat, shaped = ravel_pytree(like)

    @jax.jit  # traced once, whatever asks for it
    def density(point: Array, data: Mapping[str, Any]) -> Array:
        with block():  # as it may be asked for by another program
            return -potential_energy(program, (data,), {}, shaped(point))

    def read(point: Array) -> dict[str, Array]:
        return {name: biject_to(supports[name])(value) for name, value in shaped(point).items()}

    each = (np.concatenate([np.full(like[n].size, kinds[n][k]) for n in sorted(like)]) for k in (0, 1))
    return Space(len(flat), density, read, *each)
