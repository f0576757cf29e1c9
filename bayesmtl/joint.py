"""Cells that are correlated within a row, whichever of its tasks were measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import gammaln

from bayesmtl.sites import Array


@dataclass(frozen=True)
class Residual:
    """What the cells of one row have in common beyond their predictors.

    Parameters
    ----------
    shift
        What a row adds to each linear predictor, in its unit; [row, task]. None adds nothing.
    root
        Cholesky factor of the correlation of the residuals; [task, task]. None: they are independent.
    df
        Degrees of freedom that the Student-t tasks of a row have in common. None: each its own, or normal.
    """

    shift: Array | None
    root: Array | None
    df: Array | None


class Joint(dist.Distribution):
    """The joint distribution of cells whose residuals are correlated within a row.

    What was not measured is left out exactly: it is neither imputed nor latent.

    Parameters
    ----------
    loc, scale
        Place and scale of each cell; [cell]. The scale is the standard deviation of normal cells.
    root
        Cholesky factor of the correlation of residuals; [task, task].
    layout
        Where the cells stand, as ``layout.layout`` says.
    df
        None for normal cells. Otherwise the cells of a row are multivariate Student-t: each cell is
        Student-t with these degrees of freedom, and an outlying row is outlying in all of its tasks.

    References
    ----------
    Kotz and Nadarajah (2004). Multivariate t distributions and their applications. Cambridge University
        Press.
    """

    support = dist.constraints.real_vector
    pytree_data_fields = ("loc", "scale", "root", "layout", "df")

    def __init__(
        self,
        loc: Array,
        scale: Array,
        root: Array,
        layout: Mapping[str, Any],
        df: Array | None = None,
        *,
        validate_args: bool | None = None,
    ):
        self.loc, self.scale, self.root, self.layout, self.df = loc, scale, root, dict(layout), df
        super().__init__((), jnp.shape(loc)[-1:], validate_args=validate_args)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws, exact for any pattern: of all tasks of a row, and those measured are kept."""
        normal, mixing = jax.random.split(key)
        shape = (*sample_shape, len(self.layout["pattern"]))
        noise = jax.random.normal(normal, (*shape, len(self.root))) @ self.root.T
        if self.df is not None:
            noise /= jnp.sqrt(jax.random.chisquare(mixing, self.df, shape) / self.df)[..., None]
        return self.loc + self.scale * noise[..., self.layout["row"], self.layout["task"]]

    def log_prob(self, value: Array) -> Array:
        """Log density of all cells together."""
        return self.rows(value).sum(-1)

    def rows(self, value: Array) -> Array:
        """Log density of the cells of each row, of each of its sets if there are several; [row]."""
        pattern, mask = self.layout["pattern"], self.layout["mask"]
        inverse = self._inverse()
        square = (_turn(inverse, pattern, self._standard(value)) ** 2).sum(-1)
        # the diagonal of the inverse factor holds the determinant
        volume = jnp.log(jnp.diagonal(inverse, axis1=-2, axis2=-1)).sum(-1)
        unit = self._grid(jnp.log(self.scale)).sum(-1)
        size = mask.sum(-1)
        if self.df is None:
            return (volume - 0.5 * size * jnp.log(2 * jnp.pi))[pattern] - 0.5 * square - unit
        total = self.df + size
        volume += gammaln(0.5 * total) - gammaln(0.5 * self.df) - 0.5 * size * jnp.log(self.df * jnp.pi)
        return volume[pattern] - 0.5 * total[pattern] * jnp.log1p(square / self.df) - unit

    def given_others(self, value: Array) -> dist.Distribution:
        """The distribution of each cell given the other cells of its row; [cell]."""
        row, task, pattern = self.layout["row"], self.layout["task"], self.layout["pattern"]
        inverse = self._inverse()
        white = _turn(inverse, pattern, self._standard(value))
        pull = _turn(jnp.swapaxes(inverse, -1, -2), pattern, white)[..., row, task]
        precision = (inverse**2).sum(-2)[pattern[row], task]
        residual = (value - self.loc) / self.scale
        loc = value - self.scale * pull / precision
        variance = self.scale**2 / precision
        if self.df is None:
            return dist.Normal(loc, jnp.sqrt(variance))
        others = self.layout["mask"].sum(-1)[pattern[row]] - 1
        square = (white**2).sum(-1)[..., row] - pull**2 / precision
        # of no others the square is 0, but for rounding
        square = jnp.where(others > 0, jnp.maximum(square, 0.0), 0.0 * residual)
        df = self.df + others
        return dist.StudentT(df, loc, jnp.sqrt(variance * (self.df + square) / df))

    def conditional(self, value: Array) -> Array:
        """Log density of each cell given the other cells of its row, for leaving out one cell; [cell]."""
        return self.given_others(value).log_prob(value)

    @property
    def mean(self) -> Array:
        """The expected cells; nan where a Student-t has none."""
        return self.loc if self.df is None else jnp.where(self.df > 1, self.loc, jnp.nan)

    @property
    def variance(self) -> Array:
        """The variances of the cells; infinite or nan where a Student-t has none."""
        if self.df is None:
            return self.scale**2
        return dist.StudentT(self.df, self.loc, self.scale).variance

    def _grid(self, value: Array) -> Array:
        """Cells on their rows, 0 where nothing was measured; [row, task]."""
        shape = (*value.shape[:-1], len(self.layout["pattern"]), len(self.root))
        place = (..., self.layout["row"], self.layout["task"])
        return jnp.zeros(shape, value.dtype).at[place].set(value, unique_indices=True)

    def _standard(self, value: Array) -> Array:
        """Residuals in units of their scale; [row, task]."""
        return self._grid((value - self.loc) / self.scale)

    def _inverse(self) -> Array:
        """Inverse Cholesky factor of each pattern's correlation, the identity over what is missing."""
        mask = self.layout["mask"]
        both = mask[:, :, None] & mask[:, None, :]
        eye = jnp.eye(len(self.root))
        factor = jnp.linalg.cholesky(jnp.where(both, self.root @ self.root.T, eye))
        return solve_triangular(factor, jnp.broadcast_to(eye, factor.shape), lower=True)


def _turn(matrix: Array, pattern: Array, value: Array) -> Array:
    """Each row's residuals times the matrix of its pattern; [row, task]."""
    # column by column: no matrix per row is ever made, which halves the time of a gradient
    columns = range(matrix.shape[-1])
    return sum((matrix[pattern, :, k] * value[..., k, None] for k in columns), jnp.zeros_like(value))
