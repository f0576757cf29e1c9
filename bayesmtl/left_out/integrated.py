"""Cells of normal tasks left out by weights of what their coefficients are integrated out of.

Scales, correlations and noises know little of any one cell: weights of their draws are even where those of
all draws together have a long tail. Given them the coefficients without the cell are drawn exactly.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import logsumexp

from bayesmtl.basis import basis_of
from bayesmtl.chains import Basis
from bayesmtl.design import Design
from bayesmtl.left_out.folds import parted
from bayesmtl.left_out.held_out import LARGE, WHOLE
from bayesmtl.left_out.smoothing import weigh
from bayesmtl.left_out.telling import scored
from bayesmtl.left_out.ways import completed, without
from bayesmtl.program import build
from bayesmtl.progress import busy, counted
from bayesmtl.replay import replay
from bayesmtl.runtime import ready
from bayesmtl.space import space
from bayesmtl.weighted import TRUSTED

DRAWS = 500  # of scales, with one of the coefficients each
MOST = 200  # units; each takes as many densities as there are draws
BATCH = 50  # draws that a program takes at once


def integrated(
    post: xr.DataTree, design: Design | None, cells: pd.DataFrame, unit: str, seed: int, name: str
) -> pd.DataFrame:
    """Cells with the density and the ``k`` of weights of the scales alone, where those of all are too high.

    As they were, where coefficients were drawn, units have parameters of their own, or very many are high.

    References
    ----------
    Vehtari, Mononen, Tolvanen, Sivula and Winther (2016). Bayesian leave-one-out cross-validation
        approximations for Gaussian latent variable models. Journal of Machine Learning Research 17(103),
        1-38.
    """
    known, high = basis_of(post), cells["unit"][~(cells["k"] <= TRUSTED)].unique()
    if known is None or design is None or unit in LARGE or not 0 < len(high) <= MOST:
        return cells
    out = [(cells["unit"] == one).to_numpy() for one in high]
    found = _told(known, design, out, unit in WHOLE, seed, f"cells that {name} knows much of")
    elpd, k = cells["elpd"].to_numpy(copy=True), cells["k"].to_numpy(copy=True)
    for where, (own, shape) in zip(out, found, strict=True):
        if shape <= TRUSTED:
            elpd[where], k[where] = own, shape
    return cells.assign(elpd=elpd, k=k)


def _told(
    known: Basis, design: Design, out: Sequence[np.ndarray], marginal: bool, seed: int, title: str
) -> list[tuple[np.ndarray, float]]:
    """Of each fold the log density of its cells without them, in the order of the tasks, and the Pareto k."""
    every = known.points.reshape(known.density.size, -1)
    taken = np.random.default_rng(seed).permutation(len(every))[:DRAWS]
    points, whole = every[taken], known.density.ravel()[taken]
    with ready(), busy(f"{title}: compiling"):
        program, data = build(design), jax.device_put(design.data | {"count": known.count})
        one, moved = without(design, program, data, out)
        left, (narrow, parts) = space(one.program, one.data), parted(design, program, data, out)

        def each(given: tuple[Any, Any], data: Any, part: Any) -> Any:
            at, key = given
            sites = completed(one, program, left.read(at), data, key)
            said = replay(narrow, part, sites, key, observed=True)[2]
            return left.density(at, data), scored(said, part, marginal)[0]

        def told(points: Any, keys: Any, data: Any, part: Any) -> Any:
            return jax.lax.map(lambda given: each(given, data, part), (points, keys), batch_size=BATCH)

        keys, cells = jax.random.split(jax.random.key(seed), len(points)), [part.data for part in parts]
        run = jax.jit(told).lower(jnp.asarray(points), keys, moved[0], cells[0]).compile()

    def fold(number: int) -> tuple[np.ndarray, float]:
        with jax.enable_x64(True):  # which threads do not see
            height, score = run(jnp.asarray(points), keys, moved[number], jax.device_put(cells[number]))
        weights, k = weigh((whole - np.asarray(height))[:, None])
        own = logsumexp(parts[number].read(score) + weights, axis=0)
        return own[np.argsort(parts[number].cell)], float(k[0])

    found = []
    with ThreadPoolExecutor(os.cpu_count()) as pool, counted(title, len(out)) as say:
        for one_fold in pool.map(fold, range(len(out))):
            found.append(one_fold)
            say(len(found))
    return found
