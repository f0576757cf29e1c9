"""Normal systems whose precision matrix is an arrow: blocks that meet only in a common rest."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

Array = jax.Array

UNROLLED = 8  # up to so many coefficients a block is factored entry by entry, for all blocks at once


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Arrow:
    """A precision matrix and the precision times the mean.

    Parameters
    ----------
    block, border, rest
        The matrix within each block, between it and the rest, and within the rest; [block, own, own],
        [block, own, rest], [rest, rest].
    pull, rest_pull
        Of each block, and of the rest; [block, own], [rest].
    """

    block: Array
    border: Array
    rest: Array
    pull: Array
    rest_pull: Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Factor:
    """An arrow, eliminated block by block.

    Parameters
    ----------
    root, rest_root
        Inverse Cholesky factors of the blocks, Cholesky factor of what is left of the rest.
    border, pull, rest_pull
        The arrow's, multiplied by the inverse factors.
    """

    root: Array
    rest_root: Array
    border: Array
    pull: Array
    rest_pull: Array

    def at(self, own: Array | float, rest: Array | float) -> tuple[Array, Array]:
        """The mean, and standard normal coordinates from there: of the blocks, and of the rest."""
        place = solve_triangular(self.rest_root, self.rest_pull + rest, lower=True, trans=1)
        left = self.pull - self.border @ place + own
        return jnp.einsum("bnm,bn->bm", self.root, left), place

    def draw(self, key: Array) -> tuple[Array, Array]:
        """A draw from the normal distribution: of the blocks [block, own] and of the rest [rest]."""
        one, other = jax.random.split(key)
        own = jax.random.normal(one, self.pull.shape)
        return self.at(own, jax.random.normal(other, self.rest_pull.shape))


def eliminate(arrow: Arrow) -> Factor:
    """Factor an arrow: the blocks, each by itself, then what they leave of the rest.

    References
    ----------
    Golub and Van Loan (2013). Matrix computations. Johns Hopkins University Press. (Section 4.2.)
    """
    root = inverse_root(arrow.block)
    border, pull = _times(root, arrow.border), _times(root, arrow.pull[..., None])[..., 0]
    flat = border.reshape(border.shape[0] * border.shape[1], border.shape[2])
    rest = jnp.linalg.cholesky(arrow.rest - flat.T @ flat)
    left = arrow.rest_pull - flat.T @ pull.ravel()
    return Factor(root, rest, border, pull, solve_triangular(rest, left, lower=True))


@jax.custom_vjp
def log_integral(arrow: Arrow) -> Array:
    """Log of the integral of ``exp(pull'v - v' precision v / 2)``, over that of a standard normal's.

    Its gradient is that of the exponent, averaged over the normal distribution: the mean and the covariance
    give it, and nothing is differentiated through the factorisation (Fisher's identity).
    """
    return _integral(eliminate(arrow))


def _integral(one: Factor) -> Array:
    blocks = jnp.log(jnp.diagonal(one.root, axis1=-2, axis2=-1)).sum()
    volume = jnp.log(jnp.diagonal(one.rest_root)).sum() - blocks
    return 0.5 * (jnp.sum(one.pull**2) + jnp.sum(one.rest_pull**2)) - volume


def _forward(arrow: Arrow) -> tuple[Array, Factor]:
    one = eliminate(arrow)
    return _integral(one), one


def _backward(one: Factor, weight: Array) -> tuple[Arrow]:
    own, rest = one.at(0.0, 0.0)
    turned = _times(one.root.mT, one.border)  # what a block follows the rest by, turned round
    inverse = solve_triangular(one.rest_root, jnp.eye(len(rest)), lower=True)
    covariance = inverse.T @ inverse
    across = turned @ covariance
    square = own[:, :, None] * own[:, None, :] + _times(one.root.mT, one.root) + _times(across, turned.mT)
    return (
        Arrow(
            block=-0.5 * weight * square,
            border=-weight * (own[:, :, None] * rest - across),
            rest=-0.5 * weight * (jnp.outer(rest, rest) + covariance),
            pull=weight * own,
            rest_pull=weight * rest,
        ),
    )


log_integral.defvjp(_forward, _backward)


def _times(one: Array, other: Array) -> Array:
    """Products of many small matrices, as sums over all at once: XLA has a call for each otherwise."""
    return jnp.sum(one[..., :, :, None] * other[..., None, :, :], axis=-2)


def inverse_root(matrix: Array) -> Array:
    """The inverse of the Cholesky factor of each matrix; [..., own, own].

    Small ones entry by entry: a factorisation per block costs more in calls than in arithmetic.
    """
    size = matrix.shape[-1]
    if size > UNROLLED:
        root = jnp.linalg.cholesky(matrix)
        return solve_triangular(root, jnp.broadcast_to(jnp.eye(size), root.shape), lower=True)
    if not size:
        return matrix
    zero = jnp.zeros(matrix.shape[:-2])
    root = [[zero] * size for _ in range(size)]
    for j in range(size):
        root[j][j] = jnp.sqrt(matrix[..., j, j] - sum((root[j][k] ** 2 for k in range(j)), zero))
        for i in range(j + 1, size):
            done = sum((root[i][k] * root[j][k] for k in range(j)), zero)
            root[i][j] = (matrix[..., i, j] - done) / root[j][j]
    inverse = [[zero] * size for _ in range(size)]
    for i in range(size):
        inverse[i][i] = 1 / root[i][i]
        for j in range(i):
            done = sum((root[i][k] * inverse[k][j] for k in range(j, i)), zero)
            inverse[i][j] = -done * inverse[i][i]
    return jnp.stack([jnp.stack(row, -1) for row in inverse], -2)
