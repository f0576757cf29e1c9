"""Tables that a model makes itself, and how their makers rank among the draws of their fits."""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.handlers import seed, trace
from numpyro.infer import NUTS

from bayesmtl.axes import Axis
from bayesmtl.design import Design
from bayesmtl.pilot import pilot
from bayesmtl.program import Program, Said
from bayesmtl.replay import replay
from bayesmtl.sites import STANDARD, Array

WARMUP, DRAWS, THIN = 250, 400, 5
KEPT = DRAWS // THIN  # draws among which a rank is taken, far enough apart to count as independent

Cells = Mapping[str, Any]


def _seen(cells: Cells, y: Array) -> Cells:
    return {**cells, "y": y}


def ranking(
    design: Design, program: Program, measured: Callable[[Cells, Array], Cells] = _seen
) -> Callable[[Array], dict[str, Any]]:
    """A table that the model makes, and its fit, as a function of a random key.

    The predictors and the pattern of empty cells are those of the design. The fit is that of NUTS, with one
    chain: what is calibrated is the model, whichever engine fits it later.

    Parameters
    ----------
    measured
        What is recorded of new responses, given a family's cells and these; by default all of them.

    Returns
    -------
    callable
        Of a key: for each site of a posterior and for the ``density`` of each family's responses, how many
        of ``KEPT`` draws are ``below`` what made the table, and ``equal`` to it, of the site's shape; and
        how many of all draws were ``divergences``.
    """
    plain = jax.device_put(design.data)
    # any pilot leaves the posterior as it is; this one is of other responses than those to come, so that it
    # had better not be too sure of them: a fourth of its precision takes a third of the steps
    wrong = {
        block: {
            name: jnp.asarray(v / 4 if name in ("precision", "pull", "cross") else v)
            for name, v in known.items()
        }
        for block, known in pilot(plain, design).items()
    }
    kernel = NUTS(program, target_accept_prob=0.9)

    def simulate(key: Array) -> tuple[dict[str, Array], dict[str, Cells]]:
        with trace() as sites:
            said = seed(program, key)(plain, observed=False)
        values = {n: s["value"] for n, s in sites.items() if not n.endswith(".y")}
        cells = {n: measured(own, said[n].y.astype(own["y"].dtype)) for n, own in plain["cells"].items()}
        again = replay(program, plain | {"cells": cells}, values, key, True)[2]
        return _told({n: v for n, v in values.items() if not n.endswith(STANDARD)}, again), cells

    def fit(key: Array, cells: Mapping[str, Cells]) -> tuple[dict[str, Array], Array]:
        data = plain | {"cells": cells, "pilot": wrong}
        start, back = jax.random.split(key)

        def one(_: Any, carry: Any) -> Any:
            state, divergences = carry
            state = kernel.sample(state, (data,), {})
            return state, divergences + state.diverging

        def several(carry: Any, _: Any) -> Any:
            carry = jax.lax.fori_loop(0, THIN, one, carry)
            return carry, (carry[0].z, carry[1])

        begin = kernel.init(start, WARMUP, None, (data,), {}), 0
        _, (drawn, divergences) = jax.lax.scan(several, begin, None, (WARMUP + DRAWS) // THIN)
        drawn = jax.tree.map(lambda z: z[-KEPT:], drawn)

        def look(z: Any, key: Array) -> dict[str, Array]:
            # the latent sites alone: what was integrated out is drawn back
            sites = {n: v for n, v in kernel.postprocess_fn((data,), {})(z).items() if n in z}
            recorded, _, said = replay(program, data, sites, key, True)
            return _told(recorded, said)

        return jax.vmap(look)(drawn, jax.random.split(back, KEPT)), divergences[-1] - divergences[-KEPT - 1]

    def rank(key: Array) -> dict[str, Any]:
        truth_key, fit_key = jax.random.split(key)
        truth, cells = simulate(truth_key)
        drawn, divergences = fit(fit_key, cells)
        return {
            "below": {n: (drawn[n] < truth[n]).sum(0) for n in drawn},
            "equal": {n: (drawn[n] == truth[n]).sum(0) for n in drawn},
            "divergences": divergences,
        }

    return rank


def labels(axes: Mapping[str, tuple[Axis, ...]], sites: Mapping[str, Any]) -> list[str]:
    """The name of every entry of some sites, as a posterior's ``weight[vote, age]``."""
    found = []
    for site in sites:
        name = site.rpartition(".")[2]
        for label in product(*(axis.labels for axis in axes.get(site, ()))):
            found.append(f"{name}[{', '.join(map(str, label))}]" if label else site)
    return found


def _told(recorded: Mapping[str, Array], said: Mapping[str, Said]) -> dict[str, Array]:
    """What is ranked: all that a posterior holds, and the density of the responses."""
    density = {
        f"density of {n}": s.outcome.distribution.log_prob(s.y).sum()
        if s.joint is None
        else s.joint.log_prob(s.y)
        for n, s in said.items()
    }
    return {n: jnp.round(v, 9) for n, v in (dict(recorded) | density).items()}
