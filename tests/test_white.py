"""What the sampler sees: a density in the axes of its mode, and where chains begin there."""

from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer import NUTS
from numpyro.infer.util import potential_energy

from bayesmtl.chains import Problem, run, sampler
from bayesmtl.errors import ModelError
from bayesmtl.modes import Mode
from bayesmtl.runtime import ready
from bayesmtl.space import Space
from bayesmtl.white import WHITE, WIDE, origin, slope, starts, white

PLACE, KNOWN = np.array([0.3, -1.0, 2.0]), np.array([1.0, 4.0, 9.0])
MATRIX = np.array([[1.0, 0.2, 0.0], [0.5, 2.0, 0.1], [0.0, -0.4, 0.7]])


def _space(density):
    return Space(3, density, lambda at: {"at": at}, np.ones(3, bool), np.zeros(3, bool))


@pytest.mark.parametrize("root", [MATRIX, MATRIX.diagonal()], ids=["axes", "lengths"])
def test_chains_begin_with_the_energy_and_the_slope_that_the_sampler_would_find(root):
    left = _space(lambda at, known: -jnp.sum(known * at**4))
    top = Mode(PLACE, root)
    with ready():
        found = starts(slope(left, KNOWN)(), top, 4, seed=1)
        data = {"known": KNOWN, "mode": vars(top)}
        energy = jax.value_and_grad(lambda at: potential_energy(white(left), (data,), {}, at))
        for one in found:
            height, along = energy(one.z)
            np.testing.assert_allclose(one.potential_energy, height, rtol=1e-12)
            np.testing.assert_allclose(one.z_grad[WHITE], along[WHITE], rtol=1e-12)
    assert len({tuple(one.z[WHITE]) for one in found}) == 4


def test_chains_begin_nearer_to_the_mode_where_there_is_no_density_farther_away():
    left = _space(lambda at, known: jnp.where(jnp.abs(at - PLACE).max() < 0.3, -jnp.sum(at**2), -jnp.inf))
    with ready():
        found = starts(slope(left, KNOWN)(), Mode(PLACE, np.eye(3)), 8, seed=1)
    far = [np.abs(one.z[WHITE]).max() for one in found]
    assert all(0.3 * 0.5 * 0.99 < each < 0.3 for each in far) and WIDE > 0.3
    assert all(np.isfinite(one.potential_energy) for one in found)


def test_chains_that_find_no_density_anywhere_are_refused():
    left = _space(lambda at, known: jnp.log(-1.0 - jnp.sum(at**2)))
    top, data = Mode(PLACE, np.eye(3)), {"known": KNOWN, "mode": vars(Mode(PLACE, np.eye(3)))}
    with ready(), ThreadPoolExecutor() as pool:
        found = starts(slope(left, KNOWN)(), top, 2, seed=1)
        compiling = sampler(NUTS(white(left)), data, pool, origin(3), chains=2, warmup=10)
        with pytest.raises(ModelError, match="gives no finite starting point"):
            run(compiling, data, Problem(None, None, {}, 1, print), found, engine="nuts", draws=10)
    assert all(np.isposinf(one.potential_energy) for one in found)
