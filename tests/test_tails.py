"""Tails, and the likelihoods that live on them: censored and truncated cells."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from densities import COLUMN, ETA, PARTS, ROW, bound, cells, facts, marked, outcome, scipys
from scipy import integrate, stats
from scipy.special import logsumexp

from bayesmtl.tails import log_cdf, log_mass, log_survival

pytestmark = pytest.mark.usefixtures("double")
BASES = [
    {"kind": "gaussian", "sigma": 0.8},
    {"kind": "student_t", "sigma": 0.8, "df": 3.5},
    {"kind": "laplace", "sigma": 0.8},
    {"kind": "huber", "sigma": 0.8, "delta": 0.9},
    {"kind": "lognormal", "sigma": 0.6},
    {"kind": "gamma", "shape": 2.5},
    {"kind": "poisson"},
    {"kind": "negative_binomial", "shape": 1.7},
]
of_bases = pytest.mark.parametrize("part", BASES, ids=[p["kind"] for p in BASES])


def _tails_of_huber(one, y):
    """Log chances below and above, by quadrature of the density to and from each side."""
    found = []
    for i, at in enumerate(np.broadcast_to(y, ROW)):
        loc, scale = float(one.loc[i]), float(one.scale[i])

        def density(r):
            return float(np.exp(-0.5 * r**2 if abs(r) < 0.9 else -0.9 * (abs(r) - 0.45)))

        def integral(a, b):
            inside = sorted({a, *[p for p in (-0.9, 0.9) if a < p < b], b})
            return sum(integrate.quad(density, p, q, epsabs=0, epsrel=1e-11)[0] for p, q in pairwise(inside))

        r = (at - loc) / scale
        below, above = integral(-60.0, r), integral(r, 60.0)
        found.append(np.log([below, above]) - np.log(below + above))
    return np.array(found).T


@of_bases
def test_tails_are_scipys(part):
    one = outcome(part | {"offset": 0.3}, ETA).distribution
    count, positive = part["kind"] in ("poisson", "negative_binomial"), part["kind"] in ("lognormal", "gamma")
    far = [0.0, 1.0, 5.0, 20.0] if count else [1e-3, 0.4, 2.0, 9.0] if positive else [-9.0, -0.5, 1.3, 9.0]
    both = jax.jit(lambda one, y: (log_cdf(one, y), log_survival(one, y)))
    for y in far:
        if part["kind"] == "huber":
            expected = _tails_of_huber(one, y)
        else:
            law = scipys(one)
            expected = law.logcdf(y), law.logsf(y)
        np.testing.assert_allclose(both(one, y), expected, rtol=1e-9, atol=1e-14)
    a, b = (2.0, 5.0) if count else (0.5, 1.4)
    mass = jax.jit(lambda one: log_mass(one, a, b))(one)
    if part["kind"] == "huber":
        expected = np.exp(_tails_of_huber(one, b)[0]) - np.exp(_tails_of_huber(one, a)[0])
    else:
        expected = scipys(one).cdf(b) - scipys(one).cdf(a - 1 if count else a)
    np.testing.assert_allclose(np.exp(mass), expected, rtol=1e-9)


@of_bases
def test_gradients_of_tails_are_differences(part):
    one = outcome(part | {"offset": 0.3}, ETA).distribution
    leaves, tree = jax.tree.flatten(one)
    y = jnp.full(ROW, 2.0)

    def total(leaves):
        one = jax.tree.unflatten(tree, leaves)
        return (log_cdf(one, y) + 2 * log_survival(one, y)).sum()

    slope = jax.jit(jax.grad(total))
    total = jax.jit(total)
    for i, (leaf, found) in enumerate(zip(leaves, slope(leaves), strict=True)):
        up, down = ([*leaves[:i], leaf + step, *leaves[i + 1 :]] for step in (1e-5, -1e-5))
        np.testing.assert_allclose(found.sum(), (total(up) - total(down)) / 2e-5, rtol=1e-6, atol=1e-8)


OWN = [p for p in PARTS if p["kind"] in ("huber", "truncated")]


@pytest.mark.parametrize("part", [marked(p) for p in OWN])
def test_draws_of_distributions_of_our_own_follow_their_density(part):
    found = facts(part)
    one = found["said"]["distribution"]
    y = np.asarray(jax.jit(lambda: one.sample(jax.random.key(2), (2000,)))())
    base, lower = getattr(one, "base", one), getattr(one, "lower", None)
    # ten parts with 7 cells: a calibrated sampler fails in fewer than 1 of 5000 seeds
    least = 1e-6
    for cell in range(ROW):
        if one.support.is_discrete:
            values, counts = np.unique(y[:, cell], return_counts=True)
            chance = np.asarray(found["chance"])[values.astype(int), cell]
            common = chance * len(y) > 10
            counts = [*counts[common], len(y) - counts[common].sum()]
            chance = [*chance[common], 1 - chance[common].sum()]
            kept = np.array(chance) * len(y) > 1e-6
            expected = np.array(chance)[kept] * len(y)
            assert stats.chisquare(np.array(counts)[kept], expected * len(y) / expected.sum()).pvalue > least
    if not one.support.is_discrete:
        upper = getattr(one, "upper", None)
        share = np.exp(jax.jit(lambda y: log_mass(base, lower, y))(y) - log_mass(base, lower, upper))
        assert min(stats.kstest(share[:, cell], "uniform").pvalue for cell in range(ROW)) > least


def test_a_censored_cell_counts_by_the_chance_beyond_its_limit():
    said = outcome({"kind": "censored", "by": "by"}, ETA)
    normal, y = said.distribution.base, ETA**2
    pdf, cdf, sf = (
        getattr(stats.norm, f)(y, normal.loc, normal.scale) for f in ("logpdf", "logcdf", "logsf")
    )
    expected = np.select([COLUMN["by"] == 0, COLUMN["by"] < 0], [pdf, cdf], sf)
    np.testing.assert_allclose(said.distribution.log_prob(jnp.asarray(y)), expected, rtol=1e-9)


@of_bases
def test_a_limit_tells_what_a_yes_or_no_does(part):
    """Fisher's information of the side on which a response lies, from the slope of its chance."""
    inner, y = part | {"offset": 0.3}, jnp.full(ROW, 2.0)
    said = outcome({"kind": "censored", "of": inner, "by": 1}, ETA, cells(y=y))

    def above(eta):
        return jnp.exp(log_survival(bound(inner, cells())(eta).distribution, y))

    chance, slope = jax.jit(lambda eta: jax.jvp(above, (eta,), (jnp.ones(ROW),)))(jnp.asarray(ETA))
    np.testing.assert_allclose(said.information, slope**2 / (chance * (1 - chance)), rtol=1e-8)


def test_far_tails_of_censored_and_truncated_cells_are_scipys():
    fixed = {"kind": "gaussian", "offset": 0.0, "sigma": 1.0}
    one = outcome({"kind": "censored", "by": 1, "of": fixed}, 0 * ETA).distribution
    np.testing.assert_allclose(one.log_prob(jnp.full(ROW, 50.0)), stats.norm.logsf(50.0), rtol=1e-9)
    one = outcome({"kind": "truncated", "lower": 50.0, "of": fixed}, 0 * ETA).distribution
    y = jax.jit(lambda: one.sample(jax.random.key(0), (2000,)))()
    assert bool((y >= 50).all())
    # beyond 50 a normal is exponential with rate 50 within 0.1 %; 14,000 draws at 6 standard errors
    assert abs(float((y - 50).mean()) * 50 - 1) < 6 / np.sqrt(14_000)


def test_counts_far_beyond_their_mean_have_moments():
    """From 30 on, where a Poisson of mean 1 has a chance of 10^-33."""
    said = outcome({"kind": "truncated", "lower": 30, "of": {"kind": "poisson", "offset": 0}}, 0 * ETA)
    y = np.arange(30, 90)
    log = stats.poisson.logpmf(y, 1.0)
    chance = np.exp(log - logsumexp(log))
    np.testing.assert_allclose(said.mean, (chance * y).sum(), rtol=1e-9)
    variance = (chance * y**2).sum() - (chance * y).sum() ** 2
    np.testing.assert_allclose(said.noise**2, variance, rtol=1e-7)
    np.testing.assert_allclose(said.information, variance, rtol=1e-7)
