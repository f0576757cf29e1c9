"""A pilot fit: where the data put each weight, so that the sampler need not search for it.

Weights under a scale that is itself unknown are hard to sample: drawn as ``scale * z`` they tie ``z`` to the
scale when the data are strong, drawn directly they make a funnel when the data are weak. Given the scales,
though, weights with a normal prior and a nearly normal likelihood have a known mean and variance. The program
draws them from there on, ``mean(scale) + sd(scale) * z``, with the exact density: ``z`` is near standard
normal in both cases, and there is no centring to choose.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.flatten_util import ravel_pytree
from numpyro.handlers import seed, substitute, trace
from scipy.optimize import minimize

from bayesmtl.design import Design
from bayesmtl.program import Program

WIDTH = 2.5  # of the normal prior that keeps the pilot's weights finite under separation


def pilot(program: Program, data: Mapping[str, Any], design: Design) -> dict[str, np.ndarray]:
    """Where the likelihood alone puts each standard weight, and how precisely.

    Every task is fitted by itself, at the mode; its likelihood is taken as normal there.

    Returns
    -------
    dict
        ``place`` and ``precision``; [task, feature]. A weight that a task does not have has precision 0.
    """
    units = np.array([design.unit(name)[1] for name in design.task.labels])
    width = jnp.asarray(np.where(design.uses, units[:, None] / design.sd, 0.0))
    start = {"weight": jnp.zeros(width.shape), "own": _own_sites(program, data)}
    flat, shaped = ravel_pytree(start)

    def run(point: Any) -> tuple[Any, Any]:
        given = {"weight": point["weight"] * width} | _constrained(program, data, point["own"])
        with trace() as sites:
            outcomes = seed(substitute(program, data=given), 0)(data)
        density = sum(
            jnp.sum(site["fn"].log_prob(site["value"]))
            for name, site in sites.items()
            if "." in name and site["type"] == "sample"
        )
        return density, outcomes

    def loss(vector: Any) -> Any:
        point = shaped(vector)
        return 0.5 * jnp.sum((point["weight"] / WIDTH) ** 2) - run(point)[0]

    found = minimize(jax.jit(jax.value_and_grad(loss)), np.asarray(flat), jac=True, method="L-BFGS-B")
    mode = shaped(jnp.asarray(found.x))
    information = jax.jit(lambda point: {n: o.information for n, o in run(point)[1].items()})(mode)
    return _normal(design, np.asarray(mode["weight"]), jax.tree.map(np.asarray, information), units)


def _own_sites(program: Program, data: Mapping[str, Any]) -> dict[str, Any]:
    """The likelihoods' latent sites at 0, unconstrained."""
    shapes: dict[str, Any] = {}

    def find() -> None:
        with trace() as sites:
            seed(program, 0)(data)
        for name, site in sites.items():
            if "." in name and site["type"] == "sample" and not site["is_observed"]:
                there = dist.biject_to(site["fn"].support)
                shapes[name] = jax.eval_shape(there.inv, site["value"]).shape

    jax.eval_shape(find)
    return {name: jnp.zeros(shape) for name, shape in shapes.items()}


def _constrained(program: Program, data: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    with trace() as sites:
        seed(program, 0)(data)
    return {name: dist.biject_to(sites[name]["fn"].support)(value) for name, value in own.items()}


def _normal(
    design: Design, mode: np.ndarray, information: Mapping[str, np.ndarray], units: np.ndarray
) -> dict[str, np.ndarray]:
    """The likelihood of each task's weights as a normal, one feature at a time."""
    place, precision = np.zeros_like(mode), np.zeros_like(mode)
    scaled = (design.x - design.mean) / design.sd
    for family in design.families:
        for member, name in enumerate(family.task.labels):
            t, own = design.task.labels.index(name), family.of == member
            used = np.flatnonzero(design.uses[t])
            each = np.maximum(information[family.name][own], 0.0) * units[t] ** 2
            x = scaled[np.ix_(family.row[own], used)]
            x = x - np.average(x, axis=0, weights=each + 1e-300)  # the offset is free
            curved = x.T * each @ x + 1e-6 * np.eye(len(used))
            variance = np.linalg.inv(curved)
            place[t, used] = mode[t, used] + variance @ (mode[t, used] / WIDTH**2)
            precision[t, used] = 1 / np.diag(variance)
    return {"place": place, "precision": precision}
