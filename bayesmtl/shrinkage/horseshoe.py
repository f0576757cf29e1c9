"""Few features matter, and the tasks agree on which."""

import jax.numpy as jnp

from bayesmtl.axes import Axis
from bayesmtl.priors import Positive
from bayesmtl.sites import Array, record, sample


def horseshoe(
    task: Axis,
    feature: Axis,
    *,
    overall: Positive = "half_cauchy(1)",
    local: Positive = "half_cauchy(1)",
    slab: Positive = "inverse_gamma(2, 8)",
) -> Array:
    """Regularised horseshoe: most features' weights are drawn to 0 in all tasks, few are left alone.

    ``overall`` scales every feature, ``local`` each, and ``slab`` is the largest variance that a weight's
    prior can have.

    References
    ----------
    Carvalho, Polson and Scott (2010). The horseshoe estimator for sparse signals. Biometrika 97, 465-480.
    Piironen and Vehtari (2017). Sparsity information and regularization in the horseshoe and other
        shrinkage priors. Electronic Journal of Statistics 11, 5018-5051.
    """
    whole = sample("overall", overall, support="Positive")
    each = sample("local", local, feature, support="Positive")
    most = sample("slab", slab, support="Positive")
    free = whole * each
    return record("scale", free / jnp.sqrt(1 + free**2 / most), feature)
