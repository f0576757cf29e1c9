"""Ordered grades."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.stats import norm

from bayesmtl.axes import axis
from bayesmtl.outcomes import Cells, Outcome, no_scale
from bayesmtl.priors import Real
from bayesmtl.sites import Array, record
from bayesmtl.structured import ordered


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
    grades = Graded(at[cells.of] - eta[:, None], link)
    probability = jnp.exp(grades.logits)
    slope = jnp.diff(grades.slope, axis=1, prepend=0.0, append=0.0)
    return Outcome(
        distribution=grades,
        mean=(probability * cells.grades[cells.of]).sum(1),
        information=(slope**2 / jnp.maximum(probability, jnp.finfo(eta.dtype).tiny)).sum(1),
        **no_scale("log loss", cells),
    )


class Graded(dist.CategoricalLogits):
    """The grade that a variate of a symmetric law has by the cuts that it falls between.

    The log density of a grade takes the two cuts beside it: that of all grades is several times the work,
    and a sampler asks for nothing else.
    """

    pytree_data_fields = ("reach",)
    pytree_aux_fields = ("link",)

    def __init__(self, reach: Array, link: str, *, validate_args: bool | None = None):
        self.reach, self.link = reach, link
        grades = jnp.arange(reach.shape[-1] + 1)
        every = self.log_prob(grades.reshape(-1, *[1] * (reach.ndim - 1)))
        super().__init__(jnp.moveaxis(every, 0, -1), validate_args=validate_args)

    @property
    def slope(self) -> Array:
        """The density of the variate at each cut; [cell, threshold]."""
        if self.link == "probit":
            return norm.pdf(self.reach)
        return jnp.exp(self._log_below(self.reach) + self._log_below(-self.reach))

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Grades by drawing the variate."""
        law = jax.random.logistic if self.link == "logit" else jax.random.normal
        variate = law(key, sample_shape + self.batch_shape)
        return (variate[..., None] > self.reach).sum(-1)

    def log_prob(self, value: Array) -> Array:
        """The log chance of each cell's grade, exact in both tails."""
        there = jnp.asarray(value)[..., None] == jnp.arange(self.reach.shape[-1] + 1)
        lowest, highest = there[..., 0], there[..., -1]
        low, top = (jnp.where(one, self.reach, 0.0).sum(-1) for one in (there[..., 1:], there[..., :-1]))
        # F(top) - F(low) from the tail that is nearer: neither is then rounded to 1
        below = lowest | (~highest & (low + top < 0))
        more = self._log_below(jnp.where(below, top, -low))
        between = ~(lowest | highest)
        less = self._log_below(jnp.where(between, jnp.where(below, low, -top), -1.0))
        gap = jnp.where(between, jnp.minimum(less - more, -jnp.finfo(more.dtype).tiny), -1.0)
        return more + jnp.where(between, jnp.log(-jnp.expm1(gap)), 0.0)

    def _log_below(self, reach: Array) -> Array:
        return jax.nn.log_sigmoid(reach) if self.link == "logit" else norm.logcdf(reach)
