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
    """What data say of coefficients, those of the blocks in standard normal coordinates.

    The precision matrix that the data add to the prior's, and the precision times the mean. There may be
    several parts, each with blocks and a rest of its own, which meet by their prior alone.

    Parameters
    ----------
    block, border, rest
        The matrix within each block, between the rest and each block, and within the rest;
        [part, own, own, block], [part, dense, own, block], [part, dense, dense].
    pull, rest_pull
        Of each block, and of the rest; [part, own, block], [part, dense].
    """

    block: Array
    border: Array
    rest: Array
    pull: Array
    rest_pull: Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Prior:
    """The rest's coefficients as linear functions of standard normal coordinates.

    Parameters
    ----------
    mean, way
        Where the coordinates are 0, and by how much one of each moves them; [part, dense],
        [part, dense, coordinate].
    """

    mean: Array
    way: Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Factor:
    """An arrow under a prior, eliminated block by block.

    Parameters
    ----------
    root
        Inverse Cholesky factors of the blocks' precision; [part, own, own, block].
    follow
        How a block follows the rest, turned round; [part, dense, own, block].
    pull, left
        Of the blocks and of the rest, where the rest is at its prior mean; [part, own, block], [part, dense].
    known, seen
        What is known of the rest without the blocks, and that times the prior's way; [part, dense, dense],
        [part, dense, coordinate].
    rest_root, white
        Cholesky factor of the precision of the rest's coordinates, and its inverse times their pull.
    """

    root: Array
    follow: Array
    pull: Array
    left: Array
    known: Array
    seen: Array
    rest_root: Array
    white: Array


def eliminate(arrow: Arrow, prior: Prior) -> Factor:
    """Factor an arrow under a prior: the blocks, each by itself, then what they leave of the rest.

    References
    ----------
    Golub and Van Loan (2013). Matrix computations. Johns Hopkins University Press. (Section 4.2.)
    """
    root = inverse_root(arrow.block + jnp.eye(arrow.block.shape[1])[..., None])
    follow = _times(arrow.border, _times(_turned(root), root))
    pull = arrow.pull - jnp.einsum("aqmb,aq->amb", arrow.border, prior.mean)
    known = arrow.rest - jnp.einsum("aqmb,armb->aqr", arrow.border, follow)
    left = arrow.rest_pull - jnp.einsum("aqr,ar->aq", arrow.rest, prior.mean)
    left -= jnp.einsum("aqmb,amb->aq", follow, pull)
    seen = known @ prior.way
    precision = jnp.einsum("aqi,aqj->ij", prior.way, seen) + jnp.eye(prior.way.shape[-1])
    rest_root = jnp.linalg.cholesky(precision)
    white = solve_triangular(rest_root, jnp.einsum("aqj,aq->j", prior.way, left), lower=True)
    return Factor(root, follow, pull, left, known, seen, rest_root, white)


def draw(arrow: Arrow, prior: Prior, key: Array) -> tuple[Array, Array]:
    """Coordinates from their normal distribution: of the blocks [part, own, block] and of the rest."""
    one = eliminate(arrow, prior)
    keys = jax.random.split(key)
    own, rest = (jax.random.normal(k, v.shape) for k, v in zip(keys, (one.pull, one.white), strict=True))
    return place(one, own, rest, arrow, prior)


def place(
    one: Factor, own: Array | float, rest: Array | float, arrow: Arrow, prior: Prior
) -> tuple[Array, Array]:
    """The mean of the coordinates, and standard normal ones from there; as ``draw`` has them."""
    common = solve_triangular(one.rest_root, one.white + rest, lower=True, trans=1)
    left = one.pull - jnp.einsum("aqmb,aq->amb", arrow.border, prior.way @ common)
    return _apply(_turned(one.root), _apply(one.root, left) + own), common


@jax.custom_vjp
def log_integral(arrow: Arrow, prior: Prior) -> Array:
    """Log of the mean of ``exp(pull'c - c' precision c / 2)`` over the prior of the coefficients ``c``.

    Its gradient is that of the exponent, averaged over the normal distribution: the mean and the covariance
    give it, and nothing is differentiated through the factorisation (Fisher's identity).
    """
    return _forward(arrow, prior)[0]


type _Kept = tuple[Arrow, Prior, Factor]


def _forward(arrow: Arrow, prior: Prior) -> tuple[Array, _Kept]:
    one = eliminate(arrow, prior)
    volume = jnp.log(jnp.diagonal(one.rest_root)).sum()
    volume -= jnp.log(jnp.diagonal(one.root, axis1=1, axis2=2)).sum()
    at_mean = arrow.rest_pull - 0.5 * jnp.einsum("aqr,ar->aq", arrow.rest, prior.mean)
    squares = jnp.sum(one.white**2) + jnp.sum(_apply(one.root, one.pull) ** 2)
    return 0.5 * squares + jnp.sum(prior.mean * at_mean) - volume, (arrow, prior, one)


def _backward(kept: _Kept, weight: Array) -> tuple[Arrow, Prior]:
    arrow, prior, one = kept
    inverse = solve_triangular(one.rest_root, jnp.eye(len(one.white)), lower=True)
    common = one.white @ inverse
    inverse = inverse.T @ inverse
    away = prior.way @ common  # the rest's mean from where its prior has it
    rest = prior.mean + away
    spread = prior.way @ inverse @ prior.way.mT
    covariance = _times(_turned(one.root), one.root)
    own = _apply(covariance, one.pull - jnp.einsum("aqmb,aq->amb", arrow.border, away))
    across = jnp.einsum("aqr,armb->aqmb", spread, one.follow)
    within = own[:, :, None] * own[:, None] + covariance
    within += _times(_turned(across), one.follow)
    score = one.left - jnp.einsum("aqr,ar->aq", one.known, away)
    return (
        Arrow(
            block=-0.5 * weight * within,
            border=weight * (across - rest[:, :, None, None] * own[:, None]),
            rest=-0.5 * weight * (rest[:, :, None] * rest[:, None] + spread),
            pull=weight * own,
            rest_pull=weight * rest,
        ),
        Prior(mean=weight * score, way=weight * (score[..., None] * common - one.seen @ inverse)),
    )


log_integral.defvjp(_forward, _backward)


def _turned(many: Array) -> Array:
    """Many matrices transposed; [part, column, row, block]."""
    return jnp.swapaxes(many, 1, 2)


def _apply(many: Array, vectors: Array) -> Array:
    """Products of many matrices and vectors; [part, row, block]."""
    if many.shape[1] > UNROLLED:
        return jnp.einsum("aikb,akb->aib", many, vectors)
    return (many * vectors[:, None]).sum(2)


def _times(one: Array, other: Array) -> Array:
    """Products of many matrices [part, row, column, block].

    Of many small ones as sums over all at once: XLA has a call for each otherwise.
    """
    rows, inner = one.shape[1:3]
    if min(rows, inner) > UNROLLED:
        return jnp.einsum("aikb,akjb->aijb", one, other)
    if not 0 < inner <= UNROLLED:
        return (_turned(one)[:, :, :, None] * other[:, :, None]).sum(1)
    each = [one[:, :, k, None] * other[:, None, k] for k in range(inner)]
    return sum(each[1:], each[0])


def inverse_root(many: Array) -> Array:
    """The inverse of the Cholesky factor of each matrix; [part, row, column, block].

    Small ones entry by entry: a factorisation per block costs more in calls than in arithmetic.
    """
    size = many.shape[1]
    if size > UNROLLED:
        root = jnp.linalg.cholesky(jnp.moveaxis(many, -1, 1))
        return jnp.moveaxis(
            solve_triangular(root, jnp.broadcast_to(jnp.eye(size), root.shape), lower=True), 1, -1
        )
    if not size:
        return many
    zero = jnp.zeros_like(many[:, 0, 0])
    root = [[zero] * size for _ in range(size)]
    for j in range(size):
        root[j][j] = jnp.sqrt(many[:, j, j] - sum((root[j][k] ** 2 for k in range(j)), zero))
        for i in range(j + 1, size):
            done = sum((root[i][k] * root[j][k] for k in range(j)), zero)
            root[i][j] = (many[:, i, j] - done) / root[j][j]
    inverse = [[zero] * size for _ in range(size)]
    for i in range(size):
        inverse[i][i] = 1 / root[i][i]
        for j in range(i):
            done = sum((root[i][k] * inverse[k][j] for k in range(j, i)), zero)
            inverse[i][j] = -done * inverse[i][i]
    return jnp.stack([jnp.stack(row, 1) for row in inverse], 1)
