"""Group effects: coefficients that vary between the levels of a group.

A level's coefficients are ``A v`` with ``v`` standard normal and ``A`` the standard deviations times a
Cholesky factor of the correlations. Where a pilot says what the likelihood knows of each level, ``v`` is
drawn by way of its conditional distribution given ``A``, were the likelihood normal there: no funnel, and no
centring to choose.
"""

from contextlib import nullcontext
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.linalg import solve_triangular
from numpyro.distributions.transforms import AffineTransform, ExpTransform
from numpyro.handlers import scope

from bayesmtl import small
from bayesmtl.axes import Axis, axis
from bayesmtl.groups import Grouping, coefficients
from bayesmtl.information import Mapped, Pilot, known_of
from bayesmtl.priors import Correlation, Positive
from bayesmtl.sites import STANDARD, Array, latent, record, sample
from bayesmtl.structured import correlation_root

# Up to so many coefficients of related levels are drawn together, by a Cholesky factor of all.
TOGETHER = 300


def effects(
    grouping: Grouping,
    task: Axis,
    unit: Array,
    pilot: Pilot | None = None,
    *,
    sd: Positive = "half_student_t(3, unit)",
    correlation: Correlation = "lkj(2)",
    df: Positive = "gamma(2, 0.1)",
) -> Array:
    """The coefficients of each level, new ones last; [task, level, term].

    They are in units of the linear predictor per unit of the term's column.

    Parameters
    ----------
    unit
        Standard deviation of each task's response, on the scale of its linear predictor; [task].
    pilot
        What the likelihood knows of each level's coefficients, as ``level_information`` gives it.

    References
    ----------
    Laird and Ware (1982). Random-effects models for longitudinal data. Biometrics 38, 963-974.
    Bürkner (2017). brms: an R package for Bayesian multilevel models using Stan. Journal of Statistical
        Software 80 (1), 1-28.
    """
    sds = _sds(grouping, task, unit, sd)
    known = jnp.zeros((len(task), len(grouping.level), len(grouping.term)))
    new = jnp.zeros((len(task), len(grouping.new), len(grouping.term)))
    sets = coefficients(grouping)
    for number, (tasks, terms) in enumerate(sets):
        with _apart(grouping, number, len(sets)):
            root = _root(grouping, task, tasks, terms, correlation)
            scale = sds[tasks, terms][..., None] * root  # [set, coefficient, coefficient]
            freedom = _freedom(grouping, task, tasks, df)
            many = grouping.closed and len(grouping.level) * tasks.shape[1] > TOGETHER
            own = None if pilot is None or many else known_of(pilot, grouping, tasks, terms)
            known = _placed(known, _levels(grouping, task, tasks, scale, freedom, own), tasks, terms)
            if grouping.new:
                new = _placed(new, _new(grouping, tasks, scale, freedom), tasks, terms)
    known = record(f"effect_{grouping.name}", known, task, grouping.level, grouping.term)
    return jnp.concatenate([known, new], axis=1)


def contribution(u: Array, level: Array, z: Array, predictor: Array, row: Array) -> Array:
    """What group effects add to the linear predictors of cells; [cell].

    Parameters
    ----------
    u
        The coefficients; [task, level, term].
    level, z
        Each row's level, and its columns; [row], [row, term].
    predictor, row
        Each cell's linear predictor, and its row; [cell].
    """
    return (u[predictor, level[row]] * z[row]).sum(-1)


def _apart(grouping: Grouping, number: int, count: int) -> Any:
    """A prefix for the sites of one of several sets; the posterior merges what is called alike after it."""
    return scope(prefix=f"{grouping.name}{number + 1}", divider=".") if count > 1 else nullcontext()


def _sds(grouping: Grouping, task: Axis, unit: Array, prior: Positive) -> Array:
    """The standard deviation of each term's coefficients; 0 for those that a task has not; [task, term]."""
    name, sds = f"sd_{grouping.name}", jnp.zeros(grouping.bundle.shape)
    for k in range(len(grouping.term)):
        own = np.flatnonzero(grouping.uses[:, k])
        with _apart(grouping, k, len(grouping.term)):
            axes = (task.take(own.tolist()), grouping.term.take([k]))
            width = jnp.asarray(unit)[own] / grouping.sd[k]
            sds = sds.at[own, k].set(sample(name, prior, *axes, support="Positive", unit=width)[:, 0])
    return sds


def _root(grouping: Grouping, task: Axis, tasks: np.ndarray, terms: np.ndarray, prior: Correlation) -> Array:
    """Cholesky factors of the correlations between coefficients; [set, coefficient, coefficient]."""
    size, name = tasks.shape[1], f"correlation_{grouping.name}"
    if grouping.together:
        root = correlation_root(name, prior, axis("coefficient", size))
        full = jnp.full((len(task), len(grouping.term)) * 2, jnp.nan)
        of, term = tasks[0], terms[0]
        full = full.at[of[:, None], term[:, None], of, term].set(_matrix(root))
        axes = (task, grouping.term, task.other(), grouping.term.other())
        full = record(name, full, *axes)
        return (_factor(full[of[:, None], term[:, None], of, term]) if grouping.new else root)[None]
    members = task.take(tasks[:, 0].tolist())
    roots = jnp.broadcast_to(jnp.eye(size), (len(tasks), size, size))
    bundles = grouping.bundle[tasks[0, 0], terms[0]]
    several = [b for b in dict.fromkeys(bundles.tolist()) if (bundles == b).sum() > 1]
    for number, bundle in enumerate(several):
        own = np.flatnonzero(bundles == bundle)
        term = grouping.term.take(terms[0, own].tolist())
        with _apart(grouping, number, len(several)):
            root = correlation_root(name, prior, axis("coefficient", len(own)), members)
            matrix = record(name, _matrix(root), members, term, term.other())
        root = _factor(matrix) if grouping.new else root
        roots = roots.at[:, own[:, None], own].set(root)
    return roots


def _matrix(root: Array) -> Array:
    """The correlations that a Cholesky factor stands for; 1 to the last digit on the diagonal."""
    one = jnp.eye(root.shape[-1], dtype=bool)
    return jnp.where(one, 1.0, root @ jnp.swapaxes(root, -1, -2))


def _factor(matrix: Array) -> Array:
    """The Cholesky factor of a recorded correlation, which a posterior's draws may have replaced."""
    return jnp.linalg.cholesky(matrix)


def _freedom(grouping: Grouping, task: Axis, tasks: np.ndarray, prior: Positive) -> Array | None:
    """The degrees of freedom of levels that may lie far out; [set]."""
    if not grouping.student:
        return None
    members = () if grouping.together else (task.take(tasks[:, 0].tolist()),)
    return jnp.atleast_1d(sample(f"df_{grouping.name}", prior, *members, support="Positive"))


def _levels(
    grouping: Grouping,
    task: Axis,
    tasks: np.ndarray,
    scale: Array,
    freedom: Array | None,
    known: tuple[Array, Array] | None,
) -> Array:
    """The coefficients of the known levels; [set, level, coefficient]."""
    sets, size = tasks.shape
    first = task.take(tasks[:, 0].tolist()) if not grouping.together else axis("set", sets)
    axes = (first, grouping.level, axis("coefficient", size))
    name = f"z_{grouping.name}{STANDARD}"
    spread = _spread(f"mixing_{grouping.name}{STANDARD}", freedom, *axes[:2])
    wide = scale[:, None] * spread[..., None, None]  # [set, level or 1, coefficient, coefficient]
    if known is None:
        v = latent(name, dist.Normal(0.0, 1.0), *axes, linear=True)
        if grouping.covariance is not None:
            v = jnp.einsum("lm,smk->slk", jnp.linalg.cholesky(jnp.asarray(grouping.covariance)), v)
    elif grouping.covariance is not None:
        return _kin(name, first, jnp.asarray(grouping.covariance), wide, *known)
    else:
        precision, pull = known
        turned = jnp.swapaxes(wide, -1, -2)
        root = small.cholesky(turned @ precision @ wide + jnp.eye(size))
        shift = small.solve(root, (turned @ pull[..., None])[..., 0])
        prior = Mapped(root, shift)
        v = prior.back(latent(name, prior, *axes, linear=True))
    return (wide @ v[..., None])[..., 0]


def _kin(name: str, first: Axis, covariance: Array, wide: Array, precision: Array, pull: Array) -> Array:
    """The coefficients of levels that are related, all drawn together; [set, level, coefficient]."""
    sets, levels, size = pull.shape
    wide = jnp.broadcast_to(wide, (sets, levels, size, size))
    turned = jnp.einsum("lm,slkj->slkmj", jnp.linalg.cholesky(covariance), wide)
    turned = turned.reshape(sets, levels, size, levels * size)
    seen = jnp.einsum("slkn,slkh,slhm->snm", turned, precision, turned, optimize=True)
    root = jnp.linalg.cholesky(seen + jnp.eye(levels * size))
    shift = solve_triangular(root, jnp.einsum("slkn,slk->sn", turned, pull)[..., None], lower=True)[..., 0]
    prior = Mapped(root, shift)
    v = prior.back(latent(name, prior, first, axis("coefficient", levels * size), linear=True))
    return jnp.einsum("slkn,sn->slk", turned, v)


def _new(grouping: Grouping, tasks: np.ndarray, scale: Array, freedom: Array | None) -> Array:
    """The coefficients of levels that the fit never saw, from the population; [set, level, coefficient]."""
    sets, size = tasks.shape
    axes = (axis("set", sets), Axis("new", grouping.new), axis("coefficient", size))
    v = latent(f"z_new_{grouping.name}{STANDARD}", dist.Normal(0.0, 1.0), *axes)
    spread = _spread(f"mixing_new_{grouping.name}{STANDARD}", freedom, *axes[:2])
    return (scale[:, None] * spread[..., None, None] @ v[..., None])[..., 0]


def _spread(name: str, freedom: Array | None, *axes: Axis) -> Array:
    """How far out each level may lie: 1, or the square root that makes a normal a Student-t; [set, level].

    The sampler sees its logarithm less about its mean over about its standard deviation: the more degrees of
    freedom, the nearer all are to 1, which would be a funnel.
    """
    if freedom is None:
        return jnp.ones((1, 1))
    half = jnp.broadcast_to(freedom[:, None] / 2, tuple(map(len, axes)))
    standard = AffineTransform(-0.5 / half, jnp.sqrt((1 + 0.5 / half) / half)).inv
    prior = dist.TransformedDistribution(dist.Gamma(half, half), [ExpTransform().inv, standard])
    return jnp.exp(-0.5 * standard.inv(latent(name, prior, *axes)))


def _placed(u: Array, values: Array, tasks: np.ndarray, terms: np.ndarray) -> Array:
    """Coefficients of sets written where they belong; [task, level, term]."""
    return u.at[tasks, :, terms].set(jnp.swapaxes(values, 1, 2))
