"""Features come in views."""

import numpy as np

from bayesmtl.axes import Axis
from bayesmtl.errors import Finding, ModelError
from bayesmtl.priors import Positive
from bayesmtl.sharing import members
from bayesmtl.sites import Array, record, sample


def blocks(
    task: Axis, feature: Axis, *, views: dict | None = None, size: Positive = "half_normal(1)"
) -> Array:
    """Normal weights, with one standard deviation for all features of a view.

    ``views`` names lists of features: a laboratory's measurements, the answers to one questionnaire. A
    feature that is in none is a view of its own. A view whose ``size`` is near 0 is one that no task needs.

    References
    ----------
    van de Wiel, Lien, Verlaat, van Wieringen and Wilting (2016). Better prediction by use of co-data:
        adaptive group-regularized ridge regression. Statistics in Medicine 35, 368-381.
    Virtanen, Klami, Khan and Kaski (2012). Bayesian group factor analysis. Artificial Intelligence and
        Statistics, 1269-1277.
    """
    labels, of = _views(feature, views)
    return record("scale", sample("size", size, Axis("view", labels), support="Positive")[of], feature)


def _views(feature: Axis, views: dict | None) -> tuple[tuple[str, ...], np.ndarray]:
    """The views, those of single features among them, and each feature's."""
    of: list[str | None] = [None] * len(feature)
    for view, names in (views or {}).items():
        if not isinstance(names, list | tuple):
            raise ModelError(Finding(f"shrinkage.views.{view}", f"is {names!r}.", "List features."))
        for name in names:
            for member in members(feature, name, f"shrinkage.views.{view}"):
                if of[member] not in (None, view):
                    problem = f'has "{feature.labels[member]}", which is in "{of[member]}" too.'
                    raise ModelError(Finding(f"shrinkage.views.{view}", problem, "Keep one of them."))
                of[member] = view
    found = [view if view is not None else label for view, label in zip(of, feature.labels, strict=True)]
    labels = tuple(dict.fromkeys(found))
    return labels, np.array([labels.index(view) for view in found], dtype=int)
