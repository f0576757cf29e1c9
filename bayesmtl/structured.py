"""Parameters that know of each other by their prior: in rising order, or a correlation matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from bayesmtl import priors
from bayesmtl.axes import Axis, axis
from bayesmtl.correlations import Slopes
from bayesmtl.errors import Finding, ModelError
from bayesmtl.priors import Correlation, Prior, Real
from bayesmtl.sites import STANDARD, Array, latent, record
from bayesmtl.user_priors import density, set_by_user


class _Sorted(dist.Distribution):
    """Independent draws of one density, in rising order along the last axis."""

    support = dist.constraints.ordered_vector

    def __init__(self, density: dist.Distribution, size: int):
        self.density, self.size = density, size
        super().__init__(density.batch_shape, (size,))

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return jnp.sort(self.density.sample(key, sample_shape + self.shape()), axis=-1)

    def log_prob(self, value: Array) -> Array:
        each = self.density.log_prob(value).sum(-1)
        return each + jax.scipy.special.gammaln(self.size + 1.0)


def ordered(name: str, prior: Real, *axes: Axis) -> Array:
    """Parameters in rising order along the last axis, otherwise independent; their shape is ``axes``."""
    rows, last = axes[:-1], axes[-1]
    shape = tuple(map(len, rows))
    own = set_by_user(name, axes, "Real")
    for each in own:
        if (each.where.any(-1) != each.where.all(-1)).any():
            raise ModelError(
                Finding(f"priors.{each.key}", f"names one {last.name} of several.", "Name a task's all.")
            )
    sets = [(each.key, each.prior, each.where.all(-1)) for each in own]
    rest = ~np.any([where for *_, where in sets], axis=0) if sets else np.full(shape, True)
    if rest.any():
        sets.append((name, priors.read(prior, name, "Real"), rest))
    for key, read, _ in sets:
        if isinstance(read, float):
            raise ModelError(Finding(key, "can't all be fixed at one number.", "Give a prior."))
    if len(sets) == 1:
        return latent(name, _Sorted(density(sets[0][1]), len(last)), *axes, of=name)  # type: ignore[arg-type]
    value = jnp.zeros((*shape, len(last)))
    for number, (_, read, where) in enumerate(sets):
        some = axis(f"{name}{number + 1}", int(where.sum()))
        own_cuts = _Sorted(density(read), len(last))  # type: ignore[arg-type]
        risen = latent(f"{name}{number + 1}{STANDARD}", own_cuts, some, last, of=name)
        value = value.at[where].set(risen)
    return record(name, value, *axes)


def correlation_root(name: str, prior: Correlation, one: Axis, *members: Axis) -> Array:
    """The Cholesky factor of a correlation matrix over an axis, for each member; [members, one, one]."""
    shape = tuple(map(len, members))
    if len(one) == 1:
        return jnp.ones((*shape, 1, 1))
    concentration = np.full(shape, _concentration(priors.read(prior, name, "Correlation")))
    for each in set_by_user(name, members, "Correlation"):
        concentration = np.where(each.where, _concentration(each.prior), concentration)
    prior, pair = Slopes(len(one), concentration), axis(f"{name}_pair", len(one) * (len(one) - 1) // 2)
    return prior.root(latent(name + STANDARD, prior, *members, pair, of=name))


def _concentration(prior: Prior | float) -> float:
    return prior.numbers()[0]  # type: ignore[union-attr]
