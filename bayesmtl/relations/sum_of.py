"""Several relations at once."""

from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.handlers import block, seed, trace
from numpyro.primitives import Messenger

from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, ModelError
from bayesmtl.parts import Relations
from bayesmtl.sharing import Loading, Mixture
from bayesmtl.sites import Array, latent


def sum_of(
    task: Axis,
    feature: Axis,
    *,
    relations: Relations = ("pooled", "independent"),
    concentration: float = 1.0,
) -> Array | Loading:
    """Weights are sums of a part for each relation, with the shares of these in the variance learned.

    A low-rank part beside an outlying one is robust multi-task learning, a sum of kernels over descriptors a
    linear model of coregionalisation. ``shares`` are under a Dirichlet prior; with ``concentration`` 1 every
    division is as likely. Relations that are mixtures can't be summed.

    References
    ----------
    Chen, Zhou and Ye (2011). Integrating low-rank and group-sparse structures for robust multi-task
        learning. International Conference on Knowledge Discovery and Data Mining, 42-50.
    Fuglstad, Hem, Knight, Rue and Riebler (2020). Intuitive joint priors for variance parameters. Bayesian
        Analysis 15, 1109-1137.
    """
    part = Axis("part", _labels(relations))
    if not relations:
        raise ModelError(Finding("relation", "is an empty sum.", "Give relations."))
    shares = jnp.ones(1)
    if len(part) > 1:
        shares = latent("shares", dist.Dirichlet(jnp.full(len(part), float(concentration))), part)
    uses = [_sites(relation, task, feature) for relation in relations]
    taken = Counter(name for names in uses for name in names)
    twice = frozenset(name for name, count in taken.items() if count > 1)
    common, own = [], []
    for label, share, relation in zip(part.labels, shares, relations, strict=True):
        with _Renamed(label, twice):
            loading = relation(task, feature)
        if isinstance(loading, Mixture):
            raise ModelError(Finding(f"relation.{label}", "is a mixture.", "Use it alone, not in a sum."))
        if isinstance(loading, Loading):
            own.append(share * jnp.broadcast_to(loading.own**2, (len(feature), len(task))))
            loading = loading.common
        full = len(feature), *loading.shape[-2:]
        common.append(jnp.broadcast_to(jnp.sqrt(share) * loading, full))
    whole = jnp.concatenate(common, axis=-1)
    if not own:
        return whole
    variance = jnp.sum(jnp.stack(own), axis=0)
    return Loading(whole, jnp.sqrt(jnp.maximum(variance, 1e-30)))  # a root has no slope at 0


def _labels(relations: Relations) -> tuple[str, ...]:
    """A name for each relation: its kind, and a number where there are several."""
    kinds = [getattr(relation, "func", relation).__name__ for relation in relations]
    nth = [kinds[: i + 1].count(kind) for i, kind in enumerate(kinds)]
    return tuple(kind if n == 1 else f"{kind}_{n}" for kind, n in zip(kinds, nth, strict=True))


def _sites(relation: Any, task: Axis, feature: Axis) -> list[str]:
    """The names of a relation's sites, without running it."""
    found: list[str] = []

    def run() -> None:
        with block(), trace() as sites, seed(rng_seed=0):
            relation(task, feature)
        found.extend(sites)

    jax.eval_shape(run)
    return found


class _Renamed(Messenger):
    """Puts a label before the names that several relations of a sum would use."""

    def __init__(self, label: str, names: frozenset[str]):
        self.label, self.names = label, names
        super().__init__()

    def process_message(self, msg: dict[str, Any]) -> None:
        if msg.get("name") in self.names:
            msg["name"] = f"{self.label}_{msg['name']}"
