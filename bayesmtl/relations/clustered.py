"""Tasks that fall into groups, with the groups learned."""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.axes import Axis, axis
from bayesmtl.errors import Finding, ModelError
from bayesmtl.parts import Count
from bayesmtl.priors import Fraction
from bayesmtl.sharing import Mixture
from bayesmtl.sites import STANDARD, Array, latent, record, sample


def clustered(
    task: Axis,
    feature: Axis,
    *,
    clusters: Count = 3,
    share: Fraction = "beta(2, 2)",
    concentration: float = 1.0,
) -> Mixture:
    """Tasks of one cluster have weights around the same centre; tasks of different clusters share nothing.

    ``clusters`` is the most there may be, and ``concentration`` the Dirichlet prior of their sizes: below 1
    it leaves some empty. ``share`` is the variance of a weight that tasks of a cluster have in common. Which
    task is in which cluster is summed out. Clusters have no names, so none are reported: ``together`` is the
    probability that two tasks are in the same one.

    References
    ----------
    Bakker and Heskes (2003). Task clustering and gating for Bayesian multitask learning. Journal of Machine
        Learning Research 4, 83-99.
    Xue, Liao, Carin and Krishnapuram (2007). Multi-task learning for classification with Dirichlet process
        priors. Journal of Machine Learning Research 8, 35-63.
    """
    cluster = axis("cluster", clusters)
    if share == 1:
        raise ModelError(Finding("relation.share", "is fixed at 1.", "Give less."))
    common = sample("share", share, feature, support="Fraction")
    chance = jnp.ones(1)
    if clusters > 1:
        prior = dist.Dirichlet(jnp.full(clusters, float(concentration)))
        chance = latent("chance" + STANDARD, prior, cluster)
    centre = latent("centre" + STANDARD, dist.Normal(0.0, 1.0), cluster, feature)

    def tell(belongs: Array) -> None:
        same = jnp.where(jnp.eye(len(task), dtype=bool), 1.0, belongs @ belongs.T)
        record("together", same, task, task.other())

    return Mixture(
        chance=jnp.broadcast_to(chance, (len(task), clusters)),
        centre=jnp.sqrt(common) * centre,
        width=jnp.broadcast_to(jnp.sqrt(1 - common), centre.shape),
        tell=tell,
    )
