"""Features matter or they don't."""

import jax.numpy as jnp

from bayesmtl.axes import Axis
from bayesmtl.parts import Chance
from bayesmtl.priors import Fraction, Positive
from bayesmtl.sharing import Mixture
from bayesmtl.sites import Array, record, sample


def spike_slab(
    task: Axis,
    feature: Axis,
    *,
    chance: Fraction = "beta(1, 1)",
    slab: Positive = "half_normal(1)",
    narrow: Chance = 0.1,
) -> Mixture:
    """A feature's weights are all of the slab's size, or all practically 0.

    ``chance`` is the share of features that matter, ``slab`` the standard deviation of their weights, and
    ``narrow`` that of the others' as a fraction of it. Which features matter is summed out: ``inclusion`` is
    each one's probability.

    References
    ----------
    Mitchell and Beauchamp (1988). Bayesian variable selection in linear regression. Journal of the American
        Statistical Association 83, 1023-1032.
    George and McCulloch (1993). Variable selection via Gibbs sampling. Journal of the American Statistical
        Association 88, 881-889.
    """
    often = sample("chance", chance, support="Fraction")
    wide = sample("slab", slab, support="Positive")

    def tell(belongs: Array) -> None:
        record("inclusion", belongs[:, 0], feature)

    return Mixture(
        chance=jnp.broadcast_to(jnp.stack([often, 1 - often]), (len(feature), 2)),
        centre=jnp.zeros((2, len(feature))),
        width=jnp.broadcast_to(wide * jnp.array([[1.0], [narrow]]), (2, len(feature))),
        tell=tell,
    )
