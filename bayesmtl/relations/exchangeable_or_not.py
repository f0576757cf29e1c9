"""Tasks that are alike, save those that refuse to be."""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, ModelError
from bayesmtl.priors import Fraction
from bayesmtl.sharing import Mixture
from bayesmtl.sites import STANDARD, Array, latent, record, sample


def exchangeable_or_not(
    task: Axis, feature: Axis, *, borrowing: Fraction = "beta(1, 1)", share: Fraction = "beta(2, 2)"
) -> Mixture:
    """Each task either borrows, as in ``partial``, or has weights of its own, as in ``independent``.

    ``borrowing`` is the share of tasks that borrow, and ``share`` the variance of a weight that these have in
    common. Which tasks do is summed out: ``borrows`` is each one's probability.

    References
    ----------
    Neuenschwander, Wandel, Roychoudhury and Bailey (2016). Robust exchangeability designs for early phase
        clinical trials with multiple strata. Pharmaceutical Statistics 15, 123-134.
    """
    often = sample("borrowing", borrowing, support="Fraction")
    if share == 1:
        raise ModelError(Finding("relation.share", "is fixed at 1.", "Give less."))
    common = sample("share", share, feature, support="Fraction")
    centre = latent("centre" + STANDARD, dist.Normal(0.0, 1.0), feature)

    def tell(belongs: Array) -> None:
        record("borrows", belongs[:, 0], task)

    return Mixture(
        chance=jnp.broadcast_to(jnp.stack([often, 1 - often]), (len(task), 2)),
        centre=jnp.stack([jnp.sqrt(common) * centre, jnp.zeros(len(feature))]),
        width=jnp.stack([jnp.sqrt(1 - common), jnp.ones(len(feature))]),
        tell=tell,
    )
