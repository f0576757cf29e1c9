"""Tasks whose neighbours are known."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy.sparse.csgraph import connected_components

from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, ModelError
from bayesmtl.priors import Fraction
from bayesmtl.sharing import members
from bayesmtl.sites import Array, sample


def graph(task: Axis, feature: Axis, *, edges: list | None = None, omega: Fraction = "beta(1, 1)") -> Array:
    """Weights of tasks that are joined by an edge are alike.

    ``edges`` are pairs of tasks. The precision matrix over tasks is ``omega`` times the scaled Laplacian of
    the graph and ``1 - omega`` times the identity; the weights are then brought to variance 1. With ``omega``
    near 0 the data have refused the graph and tasks share nothing; with ``omega`` near 1 all tasks that a
    path joins are the same task.

    References
    ----------
    Leroux, Lei and Breslow (2000). Estimation of disease rates in small areas: a new mixed model for spatial
        dependence. Statistical Models in Epidemiology, the Environment, and Clinical Trials, 179-191.
    Evgeniou, Micchelli and Pontil (2005). Learning multiple tasks with kernel methods. Journal of Machine
        Learning Research 6, 615-637.
    Sorbye and Rue (2014). Scaling intrinsic Gaussian Markov random field priors in spatial modelling. Spatial
        Statistics 8, 39-51.
    """
    if not edges:
        raise ModelError(Finding("relation.edges", "is empty.", 'Give pairs of tasks: [["a", "b"]].'))
    if omega == 1:
        raise ModelError(Finding("relation.omega", "is fixed at 1.", 'Use relation = "pooled".'))
    joined = np.zeros((len(task), len(task)))
    for edge in edges:
        if not isinstance(edge, list | tuple) or len(edge) != 2:
            raise ModelError(Finding("relation.edges", f"has {edge!r}.", "Give pairs of tasks."))
        one, other = (members(task, name, "relation.edges") for name in edge)
        joined[np.ix_(one, other)] = joined[np.ix_(other, one)] = 1.0
    np.fill_diagonal(joined, 0.0)
    curvature, direction = np.linalg.eigh(_scaled(joined))
    known = sample("omega", omega, support="Fraction")
    root = direction / jnp.sqrt(known * np.maximum(curvature, 0.0) + 1 - known)
    return root / jnp.linalg.norm(root, axis=1, keepdims=True)


def joined(
    task: Axis,
    new: Axis,
    feature: Axis,
    told: Sequence[Any],
    *,
    edges: list | None = None,
    omega: Fraction = "beta(1, 1)",
) -> Array:
    """The loadings of known tasks and of new ones with the neighbours that are told."""
    more = [[name, other] for name, others in zip(new.labels, told, strict=True) for other in others or ()]
    return graph(task + new, feature, edges=[*(edges or ()), *more], omega=omega)


def _scaled(joined: np.ndarray) -> np.ndarray:
    """The Laplacian, with the variances that it leaves in each component having a geometric mean of 1."""
    laplacian = np.diag(joined.sum(0)) - joined
    _, component = connected_components(joined)
    for own in (np.flatnonzero(component == c) for c in np.unique(component)):
        if len(own) > 1:
            block = np.ix_(own, own)
            laplacian[block] *= np.exp(np.log(np.diag(np.linalg.pinv(laplacian[block]))).mean())
    return laplacian
