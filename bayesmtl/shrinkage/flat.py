"""Weights are left as the data have them."""

import jax.numpy as jnp

from bayesmtl.axes import Axis
from bayesmtl.sites import Array, record


def flat(task: Axis, feature: Axis, *, scale: float = 100.0) -> Array:
    """Practically flat: normal weights with a large, fixed standard deviation.

    A standard weight is one standard deviation of the response per standard deviation of the predictor. With
    ``scale`` 100 its prior adds 1/10,000 to a precision that is of the order of the number of rows, so
    coefficients are those of maximum likelihood to a ten-thousandth or better, save where separation or
    collinear predictors leave the likelihood itself flat. Under a relation other than ``independent`` the
    prior is flat along what tasks share, and so are their differences but where the relation forbids them.

    References
    ----------
    Gelman, Carlin, Stern, Dunson, Vehtari and Rubin (2013). Bayesian data analysis, chapter 14. CRC Press.
    """
    return record("scale", jnp.full(len(feature), float(scale)), feature)
