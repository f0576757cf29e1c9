"""A program in axes in which its posterior is about standard normal: what the sampler sees."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import numpyro
from numpyro.distributions import ImproperUniform, constraints
from numpyro.infer.util import ParamInfo

from bayesmtl.modes import Mode, Slope, mode
from bayesmtl.runtime import ONCE
from bayesmtl.sites import STANDARD
from bayesmtl.space import Space

WHITE = f"white{STANDARD}"
FEW = 400  # dimensions, of which a product with all axes takes little beside a gradient
WIDE, NEAR = 2.0, 1e-3  # how far along each axis chains begin, and where no nearer place is tried


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


def seen(left: Space, density: Callable[[], Slope]) -> Mode:
    """The mode of the parameters, and the axes there in which the posterior of few dimensions is sampled.

    What predictors are linear in is nearly normal given the rest, whatever that is; axes in which both are
    mixed would bend as the rest moves. Of many dimensions a product with all axes would take longer than it
    saves.
    """
    if left.size > FEW:
        return plain(left)
    return mode(density(), left.size, left.parameters, left.linear)


def slope(left: Space, known: Mapping[str, Any]) -> Callable[[], Slope]:
    """What compiles the log density of a space and its gradient, for who takes them few times.

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


def starts(density: Slope, top: Mode, chains: int, seed: int) -> list[ParamInfo]:
    """Where chains begin, about a mode and wider apart than the draws, and the slope of the density there.

    As they are known, what a sampler compiles to begin has no gradient in it. A start whose energy is
    infinite was not found.
    """
    data, root = {"mode": vars(top)}, top.root

    def begun(at: np.ndarray) -> ParamInfo:
        height, uphill = density(point(data, at))
        well = np.isfinite(height) and np.isfinite(uphill).all()
        if not well and np.abs(at).max() > NEAR:
            return begun(at / 2)
        along = root.T @ uphill if root.ndim == 2 else root * uphill
        return ParamInfo({WHITE: at}, np.float64(-height if well else np.inf), {WHITE: -along})

    wide = np.random.default_rng(seed).uniform(-WIDE, WIDE, (chains, len(top.place)))
    return [begun(at) for at in wide]


def origin(size: int) -> ParamInfo:
    """A start at the mode, of the shapes that ``starts`` has."""
    zero = np.zeros(size)
    return ParamInfo({WHITE: zero}, np.float64(0.0), {WHITE: zero})


def point(data: Mapping[str, Any], at: Any) -> Any:
    """Where a point in the axes of a mode lies in the space that they are of."""
    place, root = data["mode"]["place"], data["mode"]["root"]
    return place + (root @ at if root.ndim == 2 else root * at)
