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
    log_chance, density = _between(at[cells.of] - eta[:, None], link)
    probability = jnp.exp(log_chance)
    slope = jnp.diff(density, axis=1, prepend=0.0, append=0.0)
    return Outcome(
        distribution=dist.Categorical(logits=log_chance),
        mean=(probability * cells.grades[cells.of]).sum(1),
        information=(slope**2 / jnp.maximum(probability, jnp.finfo(eta.dtype).tiny)).sum(1),
        **no_scale("log loss", cells),
    )


def _between(reach: Array, link: str) -> tuple[Array, Array]:
    """The log chance of each grade, exact in both tails, and the density at each cut."""
    below, above = (
        (jax.nn.log_sigmoid(reach), jax.nn.log_sigmoid(-reach))
        if link == "logit"
        else (norm.logcdf(reach), norm.logcdf(-reach))
    )
    # F(b) - F(a) from the tail that is nearer: neither is then rounded to 1
    near = reach[:, :-1] + reach[:, 1:] < 0
    more = jnp.where(near, below[:, 1:], above[:, :-1])
    less = jnp.where(near, below[:, :-1], above[:, 1:])
    middle = more + jnp.log(-jnp.expm1(jnp.minimum(less - more, -jnp.finfo(reach.dtype).tiny)))
    chance = jnp.concatenate([below[:, :1], middle, above[:, -1:]], axis=1)
    return chance, jnp.exp(below + above) if link == "logit" else norm.pdf(reach)
