"""Weights that have a prior of their own, outside what tasks share."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from bayesmtl.axes import Axis, axis
from bayesmtl.matching import Governed
from bayesmtl.sites import STANDARD, Array, latent
from bayesmtl.user_priors import density, set_by_user


@dataclass(frozen=True)
class Own:
    """Weights by the priors that the user gave them.

    Parameters
    ----------
    known
        Which weights have a prior of their own; [line, feature].
    unit
        A standard deviation of the response per one of the predictor; [line, feature].
    entries
        Each prior, or the number at which weights are fixed, and which weights have it.
    """

    known: np.ndarray
    unit: np.ndarray
    entries: tuple[Governed, ...]

    def draw(self, weight: Array) -> Array:
        """The other weights, and these under their priors; [line, feature]."""
        for number, entry in enumerate(self.entries, 1):
            at = np.nonzero(entry.where & self.known)
            if isinstance(entry.prior, float):
                weight = weight.at[at].set(entry.prior)
            elif len(at[0]):
                unit = jnp.array(self.unit[at])
                some = axis(f"weight{number}", len(at[0]))
                standard = latent(
                    f"weight{number}{STANDARD}",
                    density(entry.prior, 0.0, unit),
                    some,
                    of="weight",
                    linear=True,
                )
                weight = weight.at[at].set(unit * standard)
        return weight


def own_weights(line: Axis, feature: Axis, uses: np.ndarray, unit: np.ndarray) -> Own:
    """The weights that ``[priors]`` names.

    The words ``centre`` and ``unit`` of their priors stand for 0 and for ``unit``.
    """
    entries = tuple(set_by_user("weight", (line, feature), "Real"))
    known = np.logical_or.reduce([entry.where for entry in entries], initial=False)
    return Own(uses & known, unit, entries)
