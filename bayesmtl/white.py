"""A program in axes in which its posterior is about standard normal: what the sampler sees."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import numpyro
from numpyro.distributions import ImproperUniform, constraints

from bayesmtl.modes import Mode, Slope, mode
from bayesmtl.runtime import ONCE
from bayesmtl.sites import STANDARD, Array
from bayesmtl.space import Space

WHITE = f"white{STANDARD}"
FEW = 400  # dimensions, of which a product with all axes takes little beside a gradient


def white(left: Space) -> Callable[[Mapping[str, Any]], None]:
    """A program with one site, ``WHITE``: a point of a space, in the axes of a mode.

    Its data are what the program of the space takes, as ``known``, and the arrays of a ``mode``.
    """

    def program(data: Mapping[str, Any]) -> None:
        at = numpyro.sample(WHITE, ImproperUniform(constraints.real_vector, (), (left.size,)))
        numpyro.factor("density", left.density(point(data, at), data["known"]))

    return program


def plain(left: Space) -> Mode:
    """No axes but the dimensions: what is seen where these are many, and of few before a mode is known."""
    return Mode(np.zeros(left.size), np.eye(left.size) if left.size <= FEW else np.ones(left.size))


def seen(left: Space, known: Mapping[str, Any]) -> Mode:
    """The mode of the parameters, and the axes there in which the posterior of few dimensions is sampled.

    What predictors are linear in is nearly normal given the rest, whatever that is; axes in which both are
    mixed would bend as the rest moves. Of many dimensions a product with all axes would take longer than it
    saves.
    """
    if left.size > FEW:
        return plain(left)
    return mode(slope(left, known)(), left.size, left.parameters, left.linear)


def slope(left: Space, known: Mapping[str, Any]) -> Callable[[], Slope]:
    """What compiles the log density of a space and its gradient, for a search that takes them few times.

    Another thread may compile what is written here: NumPyro has one stack of handlers for all threads.
    """
    lowered = jax.jit(jax.value_and_grad(left.density)).lower(np.zeros(left.size), known)

    def made() -> Slope:
        program = lowered.compile(ONCE)

        def at(point: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = program(point, known)
            return float(value), np.asarray(gradient)

        return at

    return made


def point(data: Mapping[str, Any], at: Array) -> Array:
    """Where a point in the axes of a mode lies in the space that they are of."""
    place, root = data["mode"]["place"], data["mode"]["root"]
    return place + (root @ at if root.ndim == 2 else root * at)
