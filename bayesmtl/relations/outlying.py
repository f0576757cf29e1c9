"""Tasks that are alike, with a few far off."""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, ModelError
from bayesmtl.priors import Fraction
from bayesmtl.sharing import Loading
from bayesmtl.sites import STANDARD, latent, record, sample


def outlying(task: Axis, feature: Axis, *, share: Fraction = "beta(1, 1)", df: float = 5.0) -> Loading:
    """A common weight and a weight of each task's own, as in ``partial``, with own weights of heavy tails.

    A task's own weights are multivariate Student-t with ``df`` degrees of freedom: a task may be unlike the
    others in all its weights without loosening the ties between these. ``outlying`` is how many times larger
    its own weights may be than usual. Variance 1 is that of a weight on average over tasks; ``df`` must
    exceed 2 for there to be one.

    References
    ----------
    Yu, Tresp and Yu (2007). Robust multi-task learning with t-processes. International Conference on Machine
        Learning, 1103-1110.
    """
    if df <= 2:
        raise ModelError(Finding("relation.df", f"is {df:g}.", "Give a number above 2."))
    common = sample("share", share, feature, support="Fraction")[:, None]
    own = latent("outlying" + STANDARD, dist.InverseGamma(df / 2, (df - 2) / 2), task)
    own = record("outlying", jnp.sqrt(own), task)
    same = jnp.ones((len(feature), len(task)))
    return Loading(common=(jnp.sqrt(common) * same)[..., None], own=jnp.sqrt(1 - common) * own)


def joined(
    task: Axis, new: Axis, feature: Axis, *, share: Fraction = "beta(1, 1)", df: float = 5.0
) -> Loading:
    """The loadings of known tasks and of new ones, of which any may lie far out."""
    common = sample("share", share, feature, support="Fraction")[:, None]
    known = record("outlying", jnp.ones(len(task)), task)
    far = jnp.sqrt(latent("outlying_new" + STANDARD, dist.InverseGamma(df / 2, (df - 2) / 2), new))
    same = jnp.ones((len(feature), len(task) + len(new)))
    own = jnp.sqrt(1 - common) * jnp.concatenate([known, far])
    return Loading(common=(jnp.sqrt(common) * same)[..., None], own=own)
