"""Every likelihood keeps its role's promises, and agrees with SciPy. New ones are found by their file."""

import jax.numpy as jnp
import numpy as np
import pytest
from densities import (
    COLUMN,
    ETA,
    GRADES,
    OF,
    PARTS,
    PLAIN,
    ROW,
    TASK,
    facts,
    marked,
    outcome,
    predictor,
    scipys,
)
from scipy import integrate, stats
from scipy.special import expit, logsumexp

from bayesmtl import parts, responses

pytestmark = pytest.mark.usefixtures("double")
every = pytest.mark.parametrize("part", [marked(p) for p in PARTS])


@every
def test_is_a_distribution_over_cells(part):
    found = facts(part)
    said, one = found["said"], found["said"]["distribution"]
    assert one.batch_shape == (ROW,) and one.event_shape == ()
    assert said["mean"].shape == (ROW,) and said["information"].shape == predictor(part).shape
    assert said["loss_weight"].shape == said["noise"].shape == (len(TASK),) and found["loss"]
    assert said["marginal"] is None and bool(found["allowed"].all())
    # linear predictors that no table has, and none of which may end a chain by a nan
    value, slope = found["far"]
    assert np.isfinite(slope).all() and not np.isnan(value).any() and np.isfinite(value[0])


@every
def test_mean_noise_and_information_are_integrals_of_the_density(part):
    found = facts(part)
    said, chance = found["said"], found["chance"]
    y = GRADES[np.minimum(found["y"], 3)] if part["kind"] in ("ordinal", "categorical") else found["y"]
    close = {"rtol": 1e-8, "atol": 1e-10}
    np.testing.assert_allclose(chance.sum(0), 1.0, rtol=1e-9)
    np.testing.assert_allclose((chance * y).sum(0), said["mean"], **close)
    variance = (chance * (y - said["mean"]) ** 2).sum(0)
    noise = np.sqrt(np.bincount(OF, variance) / np.bincount(OF))
    known = np.isfinite(said["noise"])
    np.testing.assert_allclose(noise[known], said["noise"][known], **close)
    score = found["score"]
    chance = chance.reshape(chance.shape + (1,) * (score.ndim - chance.ndim))
    square = np.where(chance > 0, chance * score**2, 0.0).sum(0)
    np.testing.assert_allclose(square, said["information"], **close)


def _huber(y, o):
    def density(x, delta):
        return np.exp(-0.5 * x**2 if abs(x) < delta else -delta * (abs(x) - delta / 2))

    total = np.array([integrate.quad(density, -90, 90, (d,), points=(-d, d))[0] for d in o.delta])
    r = (np.asarray(y) - o.loc) / o.scale
    return np.log([density(a, d) for a, d in zip(r, o.delta, strict=True)]) - np.log(total * o.scale)


def _inflated(y, o):
    return np.log(o.gate * (y == 0) + (1 - o.gate) * scipys(o.base_dist).pmf(y))


def _truncated(y, o):
    base = scipys(o.base)
    return base.logpdf(y) - np.log(base.cdf(o.upper) - base.cdf(o.lower))


DENSITIES = {
    "huber": _huber,
    "zero_inflated": _inflated,
    "categorical": lambda y, o: np.asarray(o.logits)[range(ROW), y] - logsumexp(o.logits, axis=1),
    "censored": lambda y, o: scipys(o.base).logpdf(y),
    "truncated": _truncated,
}


@pytest.mark.parametrize("part", [marked(p) for p in PLAIN if p["kind"] != "ordinal"])
def test_log_density_is_scipys(part):
    found = facts(part)
    y, one = np.asarray(found["draws"][0]), found["said"]["distribution"]
    if part["kind"] in DENSITIES:
        expected = DENSITIES[part["kind"]](y, one)
    else:
        expected = scipys(one).logpmf(y) if one.support.is_discrete else scipys(one).logpdf(y)
    np.testing.assert_allclose(found["log_prob"], expected, rtol=1e-9, atol=1e-12)


def test_the_linear_predictor_gives_each_family_its_mean():
    """By the definitions of the links, with offset 0 and columns as given."""
    units, plain = COLUMN["units"], {"offset": 0.0}
    for kind, options, expected in [
        ("poisson", {"exposure": "units"}, units * np.exp(ETA)),
        ("poisson", {}, np.exp(ETA)),
        ("negative_binomial", {"exposure": "units", "shape": 2}, units * np.exp(ETA)),
        ("binomial", {"trials": "units"}, units * expit(ETA)),
        ("binomial", {}, expit(ETA)),
        ("binomial", {"trials": "units", "link": "probit"}, units * stats.norm.cdf(ETA)),
        ("beta", {"precision": 3}, expit(ETA)),
        ("gamma", {"shape": 3}, np.exp(ETA)),
        ("lognormal", {"sigma": 0.5}, np.exp(ETA + 0.125)),
        ("bernoulli", {"temperature": 2}, expit(ETA / 2)),
        ("bernoulli", {"temperature": 2, "link": "probit"}, stats.norm.cdf(ETA / 2)),
    ]:
        said = outcome({"kind": kind} | plain | options, ETA)
        np.testing.assert_allclose(said.mean, expected, rtol=1e-9)


@pytest.mark.parametrize("link, law", [("logit", stats.logistic), ("probit", stats.norm)])
def test_a_grade_has_the_chance_between_its_cuts(link, law):
    part = {"kind": "ordinal", "link": link}
    found = facts(part)
    cut = found["sites"]["cut_level"]
    below = law.cdf(cut[OF] - ETA[:, None])
    one = found["said"]["distribution"]
    np.testing.assert_allclose(jnp.cumsum(jnp.exp(one.logits), 1)[:, :-1], below, rtol=1e-9)
    # where the difference of two distribution functions rounds to 0
    for far in (12.0, -12.0):
        a, b = cut[OF, 0] - far, cut[OF, 1] - far
        more, less = (law.logcdf(b), law.logcdf(a)) if far > 0 else (law.logsf(a), law.logsf(b))
        expected = more + np.log1p(-np.exp(less - more))
        said = outcome(part, jnp.full(ROW, far))
        np.testing.assert_allclose(said.distribution.log_prob(jnp.ones(ROW, int)), expected, rtol=1e-9)


def test_loss_weights_are_those_of_the_densities():
    """The negative log density falls by the weight times the fall of the loss."""
    y = np.linspace(0.5, 3.0, ROW)

    def huber(y, m):
        r, bend = np.abs(y - m), 0.9 * 0.7
        return np.where(r < bend, r**2 / 2, bend * (r - bend / 2))

    losses = {
        "squared error": lambda y, m: (y - m) ** 2,
        "absolute error": lambda y, m: np.abs(y - m),
        "half deviance": lambda y, m: y / m - 1 - np.log(y / m),
        "Huber loss": huber,
        "squared error of the logarithm": lambda y, m: (np.log(y) - np.log(m) + 0.7**2 / 2) ** 2,
    }
    for part in [
        {"kind": "gaussian", "sigma": 0.7},
        {"kind": "laplace", "sigma": 0.7},
        {"kind": "huber", "sigma": 0.7, "delta": 0.9},
        {"kind": "gamma", "shape": 0.7},
        {"kind": "lognormal", "sigma": 0.7},
    ]:
        one, other = (outcome(part | {"offset": 0}, e) for e in (ETA, 0.5 * ETA))
        loss = losses[one.loss]
        fall = one.loss_weight[OF] * (loss(y, one.mean) - loss(y, other.mean))
        found = other.distribution.log_prob(y) - one.distribution.log_prob(y)
        np.testing.assert_allclose(found, fall, rtol=1e-9)


def test_the_gradient_of_counts_is_that_of_half_the_deviance():
    y = np.arange(ROW)
    for part, deviance in [
        ({"kind": "poisson"}, lambda m: jnp.where(y > 0, y * jnp.log(y / m), 0.0) - (y - m)),
        (
            {"kind": "negative_binomial", "shape": 2.0},
            lambda m: jnp.where(y > 0, y * jnp.log(y / m), 0.0) - (y + 2.0) * jnp.log((y + 2.0) / (m + 2.0)),
        ),
    ]:
        one, other = (outcome(part | {"offset": 0}, e) for e in (ETA, 0.5 * ETA))
        found = other.distribution.log_prob(y) - one.distribution.log_prob(y)
        fall = deviance(one.mean) - deviance(other.mean)
        np.testing.assert_allclose(found, one.loss_weight[OF] * fall, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "part, centre, unit",
    [
        ("gaussian", "mean", "sd"),
        ("student_t", "mean", "sd"),
        ("laplace", "mean", "sd"),
        ("huber", "mean", "sd"),
        ("lognormal", "log", "log sd"),
        ("gamma", "log mean", 1),
        ("poisson", "log mean", 1),
        ({"kind": "poisson", "exposure": "units"}, "log rate", 1),
        ({"kind": "negative_binomial", "exposure": "units"}, "log rate", 1),
        ("zero_inflated", "log mean", 1),
        ({"kind": "zero_inflated", "of": {"kind": "poisson", "exposure": "units"}}, "log rate", 1),
        ({"kind": "zero_inflated", "of": "binomial"}, 0, 1),
        ({"kind": "censored", "of": "lognormal"}, "log", "log sd"),
        ({"kind": "truncated", "of": {"kind": "lognormal", "sigma": 1}, "lower": 0.1}, "log", "log sd"),
        ({"kind": "truncated", "of": "gamma", "lower": 0.1}, "log mean", 1),
        ({"kind": "censored", "of": {"kind": "truncated", "lower": 0.1}}, "mean", "sd"),
        ("bernoulli", 0, 1),
        ({"kind": "bernoulli", "link": "probit"}, 0, 1),
        ("binomial", 0, 1),
        ("beta", 0, 1),
        ("ordinal", 0, 1),
        ("categorical", 0, 1),
    ],
    ids=str,
)
def test_centre_and_unit_are_on_the_scale_of_the_linear_predictor(part, centre, unit):
    y, units = np.array([1.0, 2.0, 4.0, 9.0]), np.array([1.0, 1.0, 2.0, 4.0])
    known = {
        "mean": 4.0,
        "sd": np.sqrt(38 / 3),
        "log": np.log(72) / 4,
        "log sd": np.std(np.log(y), ddof=1),
        "log mean": np.log(4.0),
        "log rate": np.log(2.0),  # 16 events among 8 units
    }
    found = responses.scale(parts.table(part), y, {"units": units})
    np.testing.assert_allclose(found, [known.get(centre, centre), known.get(unit, unit)], rtol=1e-12)
