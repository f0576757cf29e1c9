"""Weights, from what tasks share (a relation) and from how large features are (a shrinkage)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions.transforms import AffineTransform, LowerCholeskyAffine, Transform
from numpyro.distributions.util import cholesky_of_inverse

from bayesmtl.axes import Axis, axis
from bayesmtl.errors import Finding, ModelError, unknown
from bayesmtl.sites import STANDARD, Array, latent

Pilot = Mapping[str, Any]  # "precision" and "place"; [task, feature]

# Up to so many tasks the factors of a feature are turned together, in as few coordinates as there are tasks.
# That takes the cube of the tasks; beyond, each task's own part is drawn given the common ones.
FEW = 16
NONE = 1e-12  # what is tasks' own of a variance where they have nothing of their own


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Loading:
    """A loading matrix of common factors, and of one factor of each task's own.

    Attributes
    ----------
    common
        Loadings on the common factors; [task, factor] or [feature, task, factor].
    own
        That of each task on its own factor; [task] or [feature, task].
    """

    common: Array
    own: Array

    @property
    def matrix(self) -> Array:
        """All factors, common ones first; [task, factor] or [feature, task, factor]."""
        return jnp.concatenate([self.common, self.own[..., None] * jnp.eye(self.own.shape[-1])], axis=-1)


@dataclass(frozen=True)
class Mixture:
    """Normal components of a task's weights (from a relation) or of a feature's (from a shrinkage).

    Every task, or feature, belongs to one component; which one is summed out.

    Attributes
    ----------
    chance
        Probability of each component; [task or feature, component].
    centre, width
        Mean and standard deviation of a weight in each component; [component, feature].
    tell
        Records what it likes, given the probability that a task, or feature, belongs to each component
        at this draw of the weights; [task or feature, component].
    """

    chance: Array
    centre: Array
    width: Array
    tell: Callable[[Array], None]


def weights(relation: Array | Loading | Mixture, shrinkage: Array | Mixture, pilot: Pilot | None) -> Array:
    """Standard weights; [task, feature].

    Under a loading matrix and scales they are ``scale * loading @ v`` with ``v [factor, feature]`` standard
    normal. A relation that is a mixture stands for ``loading @ v``, a shrinkage that is a mixture for
    ``scale * v``.

    With a pilot the sampler sees ``z``, where ``v = place + spread @ z`` has about the mean and the variance
    that it would have, given everything above it, were the likelihood normal there. The density of ``z`` is
    that of ``v`` by change of variables, so the prior stays what it is.
    """
    if isinstance(relation, Mixture):
        if isinstance(shrinkage, Mixture):
            problem = "is a mixture over tasks, and the shrinkage is one over features."
            raise ModelError(Finding("relation", problem, 'Use shrinkage = "horseshoe" with it.'))
        return _mixed_tasks(relation, shrinkage, pilot)
    if isinstance(relation, Loading) and relation.own.shape[-1] > FEW and not isinstance(shrinkage, Mixture):
        return _normal_and_own(relation, shrinkage, pilot)
    loading = relation.matrix if isinstance(relation, Loading) else relation
    if loading.shape[-1] > loading.shape[-2]:
        # more factors than tasks would be directions that the data can't tell apart: the Cholesky
        # factor of the covariance has the same prior with the fewest coordinates
        loading = jnp.linalg.cholesky(loading @ loading.mT)
    if isinstance(shrinkage, Mixture):
        return _mixed_features(loading, shrinkage, pilot)
    return _normal(loading, shrinkage, pilot)


def leans(relation: Array | Loading | Mixture) -> dict[str, Array]:
    """By which factor a feature's scale leans: what is tasks' own of it, where relations differ by feature.

    Data of many tasks know how much these differ, and of what they have in common only one number: the scale
    and the share in common are both unknown, and what is the tasks' own is not.
    """
    if not isinstance(relation, Loading) or relation.own.ndim == 1:
        return {}
    own = (relation.own**2).mean(1)
    return {"scale": jnp.sqrt(jnp.where(own > NONE, own, 1.0))}


def members(one: Axis, name: Any, where: str) -> list[int]:
    """The labels that a user's name stands for: ``mood`` for itself, or for each ``mood[...]``."""
    found = [i for i, label in enumerate(one.labels) if label == name or label.startswith(f"{name}[")]
    if not found:
        raise ModelError(unknown(where, one.name, str(name), one.labels))
    return found


def _normal(loading: Array, scale: Array, pilot: Pilot | None) -> Array:
    features, factors = len(scale), loading.shape[-1]
    if not features:
        return jnp.zeros((loading.shape[-2], 0))
    loading = scale[:, None, None] * loading  # [feature, task, factor]
    there = None
    if pilot is not None:
        known, pull = _seen(loading, pilot)
        spread = cholesky_of_inverse(known + jnp.eye(factors))
        there = LowerCholeskyAffine(_times(spread, _times(spread.mT, pull)), spread)
    v = _drawn(dist.Normal(0.0, 1.0).expand((features, factors)).to_event(1), there)
    return jnp.einsum("ktf,kf->tk", loading, v)


def _normal_and_own(loading: Loading, scale: Array, pilot: Pilot | None) -> Array:
    """As ``_normal``: the common factors with the tasks' own summed out, then these given the common."""
    features, factors = len(scale), loading.common.shape[-1]
    own = scale[:, None] * loading.own  # [feature, task]
    shape = own.shape
    given = jnp.zeros(shape)
    if pilot is not None:
        precision, place = pilot["precision"].T, pilot["place"].T  # [feature, task]
        shrunk = 1 + precision * own**2
    if factors:
        common = scale[:, None, None] * loading.common
        there = None
        if pilot is not None:
            left = precision / shrunk
            known = jnp.einsum("ktf,kt,ktg->kfg", common, left, common)
            spread = cholesky_of_inverse(known + jnp.eye(factors))
            pull = jnp.einsum("ktf,kt->kf", common, left * place)
            there = LowerCholeskyAffine(_times(spread, _times(spread.mT, pull)), spread)
        v = _drawn(dist.Normal(0.0, 1.0).expand((features, factors)).to_event(1), there)
        given = jnp.einsum("ktf,kf->kt", common, v)
    there = None
    if pilot is not None:
        there = AffineTransform(own * precision * (place - given) / shrunk, shrunk**-0.5)
    v = _drawn(dist.Normal(0.0, 1.0).expand(shape).to_event(1), there, "z_own")
    return (given + own * v).T


def _mixed_features(loading: Array, rows: Mixture, pilot: Pilot | None) -> Array:
    features, factors = rows.width.shape[1], loading.shape[-1]
    if not features:
        return jnp.zeros((loading.shape[-2], 0))
    loading = jnp.broadcast_to(loading, (features, *loading.shape[-2:]))
    centre, width = rows.centre.T[..., None], rows.width.T[..., None]  # [feature, component, factor]
    parts = dist.Normal(centre, jnp.broadcast_to(width, (*width.shape[:2], factors))).to_event(1)
    prior = dist.MixtureSameFamily(dist.Categorical(rows.chance), parts)
    there = None
    if pilot is not None:
        known, pull = (a[:, None] for a in _seen(loading, pilot))
        root = cholesky_of_inverse(known + jnp.eye(factors) / width[..., None] ** 2)
        half = _times(root.mT, pull + centre / width**2)
        likely = jnp.log(jnp.diagonal(root, axis1=-2, axis2=-1) / width) + 0.5 * (half**2)
        likely = (likely - 0.5 * (centre / width) ** 2).sum(-1)
        belongs = jax.nn.softmax(jnp.log(rows.chance) + likely)[..., None]
        each = _times(root, half)
        place = (belongs * each).sum(1)
        away = (each - place[:, None])[..., None]
        covariance = (belongs[..., None] * (root @ root.mT + away * away.mT)).sum(1)
        there = LowerCholeskyAffine(place, jnp.linalg.cholesky(covariance))
    v = _drawn(prior, there)
    rows.tell(jax.nn.softmax(prior.component_log_probs(v)))
    return jnp.einsum("ktf,kf->tk", loading, v)


def _mixed_tasks(columns: Mixture, scale: Array, pilot: Pilot | None) -> Array:
    if not len(scale):
        return jnp.zeros((len(columns.chance), 0))
    centre, width = columns.centre, columns.width
    parts = dist.Normal(centre, width).expand((len(columns.chance), *width.shape)).to_event(1)
    prior = dist.MixtureSameFamily(dist.Categorical(columns.chance), parts)
    there = None
    if pilot is not None:
        precision, place = pilot["precision"][:, None], pilot["place"][:, None]  # [task, 1, feature]
        away = place - scale * centre  # [task, component, feature]
        shrunk = 1 + precision * (scale * width) ** 2
        likely = -0.5 * (jnp.log(shrunk) + precision * away**2 / shrunk).sum(-1)
        belongs = jax.nn.softmax(jnp.log(columns.chance) + likely)[..., None]
        each = centre + width**2 * scale * precision * away / shrunk
        mean = (belongs * each).sum(1)
        variance = (belongs * (width**2 / shrunk + (each - mean[:, None]) ** 2)).sum(1)
        there = AffineTransform(mean, jnp.sqrt(variance))
    v = _drawn(prior, there)
    columns.tell(jax.nn.softmax(prior.component_log_probs(v)))
    return scale * v


def _seen(loading: Array, pilot: Pilot) -> tuple[Array, Array]:
    """The pilot's precision of each feature's factors, and that times their place."""
    precision, place = pilot["precision"].T, pilot["place"].T  # [feature, task]
    known = jnp.einsum("ktf,kt,ktg->kfg", loading, precision, loading)
    return known, jnp.einsum("ktf,kt->kf", loading, precision * place)


def _drawn(prior: dist.Distribution, there: Transform | None, name: str = "z") -> Array:
    """A draw from a prior, by way of coordinates that are ``there`` turned back."""
    shape = axis(f"{name}_row", prior.batch_shape[0]), axis(f"{name}_column", prior.event_shape[0])
    if there is None:
        return latent(name + STANDARD, prior, *shape, linear=True)
    moved = dist.TransformedDistribution(prior, there.inv)
    return there(latent(name + STANDARD, moved, *shape, linear=True))


def _times(matrix: Array, vector: Array) -> Array:
    return (matrix @ vector[..., None])[..., 0]
