"""Many matrices at once, those of one row by a root and a quotient.

XLA has a call of LAPACK for each matrix, which for a matrix of one row takes far longer than its arithmetic:
so it is with a level of its own for each group, the most common of group terms.
"""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

Array = jax.Array


def cholesky(many: Array) -> Array:
    """The lower Cholesky factor of each matrix; [..., row, column].

    Examples
    --------
    >>> cholesky(jnp.array([[[4.0]], [[9.0]]])).ravel().tolist()
    [2.0, 3.0]
    """
    return jnp.sqrt(many) if many.shape[-1] == 1 else jnp.linalg.cholesky(many)


def solve(root: Array, vectors: Array, turned: bool = False) -> Array:
    """What each lower triangular matrix, or with ``turned`` its transpose, makes a vector of; [..., row].

    Examples
    --------
    >>> solve(jnp.array([[2.0, 0.0], [1.0, 3.0]]), jnp.array([2.0, 7.0])).tolist()
    [1.0, 2.0]
    """
    if root.shape[-1] == 1:
        return vectors / root[..., 0]
    return solve_triangular(root, vectors[..., None], lower=True, trans=int(turned))[..., 0]
