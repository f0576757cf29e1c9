"""Correlation matrices as the sampler sees them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import gammaln

Array = jax.Array


class Slopes(dist.Distribution):
    """The prior ``lkj(concentration)`` of a correlation matrix, by the slopes of its Cholesky factor.

    The factor's rows are ``(slopes, 1, 0, ...)`` over their lengths: member by member, how its part that
    follows those before it compares with the part of its own. A row of ``n`` slopes is multivariate
    Student-t, and where data make a correlation nearly 1 their likelihood in the slopes is nearly normal; in
    logistic coordinates it would be a wall there, which rises exponentially.

    Parameters
    ----------
    size
        Members of the matrix.
    concentration
        1 is uniform over correlation matrices; larger numbers draw them towards 0.

    References
    ----------
    Lewandowski, Kurowicka and Joe (2009). Generating random correlation matrices based on vines and
        extended onion method. Journal of Multivariate Analysis 100, 1989-2001.
    """

    support = dist.constraints.real_vector

    def __init__(self, size: int, concentration: Any):
        self.size, self.concentration = size, jnp.asarray(concentration, float)
        super().__init__(self.concentration.shape, (size * (size - 1) // 2,))

    def log_prob(self, value: Array) -> Array:
        """Of a vector of slopes, row by row; [...]."""
        count = np.arange(1, self.size)
        total = 0.5 * (self.size - 1) + self.concentration[..., None]
        each = gammaln(total) - gammaln(total - 0.5 * count) - 0.5 * count * np.log(np.pi)
        length = jnp.square(self._rows(value)).sum(-1)[..., 1:]
        return (each - total * jnp.log(length)).sum(-1)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Normal slopes over the root of a chi-square of each row."""
        one, other = jax.random.split(key)
        row, _ = np.tril_indices(self.size, -1)
        shape = sample_shape + self.batch_shape
        freedom = self.size - 1 - np.arange(1, self.size) + 2 * self.concentration[..., None]
        spread = jnp.sqrt(jax.random.chisquare(other, freedom, (*shape, self.size - 1)))
        return jax.random.normal(one, (*shape, len(row))) / spread[..., row - 1]

    def root(self, value: Array) -> Array:
        """The Cholesky factor; [..., member, member]."""
        rows = self._rows(value)
        return rows / jnp.sqrt(jnp.square(rows).sum(-1, keepdims=True))

    def _rows(self, value: Array) -> Array:
        whole = jnp.broadcast_to(jnp.eye(self.size), (*value.shape[:-1], self.size, self.size))
        return whole.at[..., *np.tril_indices(self.size, -1)].set(value)
