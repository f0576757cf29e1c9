"""Many small matrices at once, against LAPACK."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from bayesmtl import small


@pytest.mark.parametrize("size", [1, 3])
def test_factors_solutions_and_their_gradients_are_those_of_lapack(double, size):
    draw = np.random.default_rng(size)
    half = draw.normal(size=(3, 5, size, size + 2))
    many, vectors = half @ half.swapaxes(-1, -2), draw.normal(size=(3, 5, size))

    def run(many, vectors):
        root = small.cholesky(many)
        return root, small.solve(root, vectors), small.solve(root, vectors, turned=True)

    root, one, other = jax.jit(run)(many, vectors)
    for at in np.ndindex(3, 5):
        want = scipy.linalg.cholesky(many[at], lower=True)
        np.testing.assert_allclose(root[at], want, rtol=1e-9, atol=1e-12)
        for trans, got in (("N", one), ("T", other)):
            solved = scipy.linalg.solve_triangular(want, vectors[at], lower=True, trans=trans)
            np.testing.assert_allclose(got[at], solved, rtol=1e-8, atol=1e-12)
    # the log determinant and the square of what is solved have gradients in closed form
    found = jax.jit(
        jax.grad(
            lambda m: (
                2 * jnp.log(jnp.diagonal(small.cholesky(m), axis1=-2, axis2=-1)).sum()
                + (small.solve(small.cholesky(m), vectors) ** 2).sum()
            )
        )
    )(many)
    inverse = np.linalg.inv(many)
    moved = np.einsum("...ij,...j->...i", inverse, vectors)
    want = inverse - moved[..., :, None] * moved[..., None, :]
    np.testing.assert_allclose((found + found.swapaxes(-1, -2)) / 2, want, rtol=1e-7, atol=1e-9)
