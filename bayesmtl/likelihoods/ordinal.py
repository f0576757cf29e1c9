"""Ordered grades."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.stats import norm

from bayesmtl.axes import axis
from bayesmtl.outcomes import Cells, Outcome, no_scale
from bayesmtl.priors import Real
from bayesmtl.sites import Array, ordered, record


def ordinal(
    eta: Array,
    cells: Cells,
    *,
    levels: int | list = 0,
    link: Literal["logit", "probit"] = "logit",
    cut: Real = "normal(0, 2.5)",
) -> Outcome:
    """Grades by where the linear predictor falls among each task's cuts: a cumulative model.

    ``P(y <= grade) = F(cut - eta)``. The cuts take the place of the offset; their prior is on the cuts of
    an average row, independent but for their order. ``levels`` is the number of grades (coded 0, 1, ... or
    1, 2, ...) or their list, lowest first; without it they are read from the table. The mean is that of
    the grades' numbers, or of their places from 0 if they are words.

    References
    ----------
    McCullagh (1980). Regression models for ordinal data. Journal of the Royal Statistical Society B
        42, 109-142.
    """
    count = cells.grades.shape[-1]
    cuts = axis("threshold", count - 1)
    at = ordered("cut_level", cut, cells.task, cuts)
    record("cut", at + cells.shift[:, None], cells.task, cuts)
    reach = at[cells.of] - eta[:, None]
    inverse, density = (
        (jax.nn.sigmoid, lambda r: jax.nn.sigmoid(r) * jax.nn.sigmoid(-r))
        if link == "logit"
        else (norm.cdf, norm.pdf)
    )
    edge = [(0, 0), (1, 1)]
    below = jnp.pad(inverse(reach), edge, constant_values=((0, 0), (0, 1)))
    probability = jnp.clip(jnp.diff(below, axis=1), jnp.finfo(eta.dtype).tiny)
    slope = jnp.diff(jnp.pad(density(reach), edge), axis=1)
    return Outcome(
        distribution=dist.Categorical(probs=probability),
        mean=(probability * cells.grades[cells.of]).sum(1),
        information=(slope**2 / probability).sum(1),
        **no_scale("log loss", cells),
    )
