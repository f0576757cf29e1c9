"""Every likelihood keeps its role's promises, and agrees with SciPy. New ones are found by their file."""

import ast
from functools import cache
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from scipy import integrate, optimize, stats
from scipy.special import expit, logsumexp

from bayesmtl import outcomes, parts, responses
from bayesmtl.axes import Axis, axis
from bayesmtl.errors import ModelError
from bayesmtl.likelihoods.gaussian import RATE, SHAPE
from bayesmtl.outcomes import Cells, Outcome
from bayesmtl.tails import log_cdf, log_mass, log_survival

TASK, ROW = axis("task", 3), 7  # a transposed axis can't hide
OF = np.arange(ROW) % 3
ETA = np.linspace(-1.0, 1.0, ROW)
GRADES = np.array([1.0, 2.0, 4.0, 5.0])
COLUMN = {"units": np.array([3.0, 1, 7, 2, 5, 4, 9]), "by": np.array([0.0, 1, -1, 0, 1, -1, 0])}


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def cells(part=None, **more):
    """Three tasks' cells, with a linear predictor for each category but the first if there are any."""
    shift, lines = jnp.array([0.0, 0.3, -0.2]), None
    if part and part["kind"] == "categorical":
        shift, lines = jnp.zeros((3, 3)), axis("task", 9)
    filled = {
        "task": TASK,
        "of": jnp.asarray(OF),
        "centre": jnp.array([0.0, 0.3, -0.2]),
        "unit": jnp.array([1.0, 2.0, 0.5]),
        "shift": shift,
        "grades": jnp.tile(GRADES, (3, 1)),
        "lines": lines,
    }
    return Cells(**filled | more)


# offsets that keep counts small enough to sum over, and noise with a variance; columns of the table
NEAR = {"offset": "normal(0, 0.3)"}
SETTINGS = {
    "gaussian": {"sigma": 0.8},
    "student_t": {"df": 6, "sigma": 0.8},
    "laplace": {"sigma": 0.8},
    "huber": {"sigma": 0.8, "delta": 0.7},
    "negative_binomial": {"shape": 1.7, "exposure": "units"} | NEAR,
    "poisson": {"exposure": "units"} | NEAR,
    "gamma": {"shape": 2.5},
    "beta": {"precision": 30} | NEAR,
    "lognormal": {"sigma": 0.6},
    "binomial": {"trials": "units"},
    "censored": {"of": {"kind": "gaussian", "sigma": 0.8}},
    "truncated": {"of": {"kind": "gaussian", "offset": 0.2, "sigma": 0.8}, "lower": -0.5, "upper": 2},
    "zero_inflated": {"of": {"kind": "poisson"} | NEAR},
}
NEGATIVE_BINOMIAL = {"kind": "negative_binomial", "shape": 1.7} | NEAR
MORE = [
    {"kind": "bernoulli", "temperature": 1.7},
    {"kind": "categorical", "temperature": 1.7},
    {"kind": "gaussian", "sigma": 0, "se": "units"},
    {"kind": "student_t", "df": 6, "se": "units"},
    {"kind": "zero_inflated", "of": NEGATIVE_BINOMIAL},
    {"kind": "zero_inflated", "of": {"kind": "binomial", "trials": "units", "link": "probit"}},
    {"kind": "truncated", "of": {"kind": "poisson"} | NEAR, "lower": 1},
    {"kind": "truncated", "of": NEGATIVE_BINOMIAL, "lower": 2, "upper": 6},
    {"kind": "truncated", "of": {"kind": "lognormal", "sigma": 0.6, "offset": 0}, "lower": 0.5},
    {"kind": "truncated", "of": {"kind": "gamma", "shape": 2.5, "offset": 0}, "upper": 3},
    {"kind": "truncated", "of": {"kind": "student_t", "df": 6, "sigma": 1, "offset": 0}, "lower": 0.5},
    {"kind": "truncated", "of": {"kind": "laplace", "sigma": 1, "offset": 0}, "lower": -1, "upper": 1},
    {"kind": "truncated", "of": {"kind": "huber", "sigma": 1, "offset": 0}, "upper": 0.5},
]


def linked(name):
    option = parts.manual("likelihoods", name).options.get("link")
    choices = ast.literal_eval(option.kind.removeprefix("Literal")) if option else [None]
    links = [{"link": choice} for choice in choices if choice]
    return [{"kind": name} | SETTINGS.get(name, {}) | link for link in links or [{}]]


PLAIN = [part for name in parts.names("likelihoods") for part in linked(name)]
PARTS = PLAIN + MORE


def marked(part):
    """The tests of a part run in one process, which compiles it once; those of unusual ones in CI."""
    marks = [pytest.mark.xdist_group(str(part))] + [pytest.mark.slow] * (part in MORE[3:])
    return pytest.param(part, marks=marks, id=str(part))


every = pytest.mark.parametrize("part", [marked(p) for p in PARTS])


def compiled(function):
    """Compiled in a hurry: compiling takes longer than running here."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def bound(part, given):
    return lambda eta: numpyro.handlers.seed(parts.bind("likelihoods", part, COLUMN), 3)(eta, given)


def outcome(part, eta, given=None):
    """What a likelihood says, compiled."""
    loss = []

    def run(eta):
        said = vars(bound(part, given or cells(part))(eta)).copy()
        loss.append(said.pop("loss"))
        return said

    found = compiled(run)(jnp.asarray(eta))
    return Outcome(loss=loss[0], **found)


def predictor(part):
    """Linear predictors: one for each cell, or for each of its categories but the first."""
    lines = jnp.array([1.0, -0.5, 0.3])
    return jnp.asarray(ETA)[:, None] * lines if part["kind"] == "categorical" else jnp.asarray(ETA)


def nodes(one):
    """Values of a distribution and their widths, for sums over all that it allows; [node, cell]."""
    base, support = getattr(one, "base", one), one.support
    if support.is_discrete:
        y = jnp.arange(1000)[:, None] * jnp.ones(ROW, int)
        return y, support(y) * 1.0
    # coordinates in which tails are short, and pieces between which a density may have a kink
    if base.support is numpyro.distributions.constraints.positive:
        middle, edge = jnp.log(base.mean), jnp.array([-30.0, -4.0, 0.0, 2.0, 12.0])
        value, coordinate, slope = jnp.exp, jnp.log, jnp.exp
    elif base.support is numpyro.distributions.constraints.unit_interval:
        middle, edge = jnp.log(base.mean / (1 - base.mean)), jnp.array([-30.0, -2.0, 0.0, 2.0, 30.0])
        value, coordinate = jax.nn.sigmoid, None
        slope = lambda z: jax.nn.sigmoid(z) * jax.nn.sigmoid(-z)  # noqa: E731
    else:
        middle, bend = jnp.zeros(ROW), jnp.arcsinh(getattr(base, "delta", jnp.ones(ROW))[0])
        edge = jnp.array([-14.0, -3.0, -1.0, 0.0, 1.0, 3.0, 14.0]) * jnp.array([1, 1, bend, 1, bend, 1, 1])
        value, coordinate, slope = (
            lambda z: base.loc + base.scale * jnp.sinh(z),
            lambda y: jnp.arcsinh((y - base.loc) / base.scale),
            lambda z: base.scale * jnp.cosh(z),
        )
    edges = middle + edge[:, None]
    if (lower := getattr(one, "lower", None)) is not None:
        edges = jnp.maximum(edges, coordinate(lower))
    if (upper := getattr(one, "upper", None)) is not None:
        edges = jnp.minimum(edges, coordinate(upper))
    node, weight = (jnp.asarray(each)[:, None, None] for each in np.polynomial.legendre.leggauss(100))
    half = (edges[1:] - edges[:-1]) / 2
    z = (edges[:-1] + half + half * node).reshape(-1, ROW)
    return value(z), slope(z) * (half * weight).reshape(-1, ROW)


@cache
def _facts(text):
    part = ast.literal_eval(text)
    eta = predictor(part)

    def density(eta, y):
        return bound(part, cells(part))(eta).distribution.log_prob(y)

    def run():
        with numpyro.handlers.trace() as sites:
            said = vars(bound(part, cells(part))(eta)).copy()
        loss = said.pop("loss")
        one = said["distribution"]
        draws = one.sample(jax.random.key(1), (50,))
        at = jnp.stack([eta, eta + 40.0, eta - 40.0, 1e3 * eta])
        y, width = nodes(one)
        log = density(eta, y)
        slope = jax.grad(lambda eta, y: density(eta, y).sum())
        return {
            "said": said,
            "loss": bool(loss),
            "sites": {name: site["value"] for name, site in sites.items()},
            "draws": draws,
            "allowed": jnp.broadcast_to(one.support(draws), draws.shape),
            "log_prob": one.log_prob(draws[0]),
            "far": density_and_slope(at, draws[0]),
            "y": y,
            "chance": jnp.where(width > 0, jnp.exp(log) * width, 0.0),
            "score": jax.vmap(slope, (None, 0))(eta, y),
        }

    def density_and_slope(at, y):
        return jax.vmap(jax.value_and_grad(lambda eta: density(eta, y).sum()))(at)

    return compiled(run)()


def facts(part):
    """All that is asked of a likelihood at one linear predictor, compiled once."""
    return _facts(repr(part))


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
    assert jnp.isfinite(slope).all() and not jnp.isnan(value).any() and jnp.isfinite(value[0])


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
    square = jnp.where(chance > 0, chance * score**2, 0.0).sum(0)
    np.testing.assert_allclose(square, said["information"], **close)


def _huber(y, o):
    def density(x, delta):
        return np.exp(-0.5 * x**2 if abs(x) < delta else -delta * (abs(x) - delta / 2))

    total = np.array([integrate.quad(density, -90, 90, (d,), points=(-d, d))[0] for d in o.delta])
    r = (np.asarray(y) - o.loc) / o.scale
    return np.log([density(a, d) for a, d in zip(r, o.delta, strict=True)]) - np.log(total * o.scale)


def scipys(one):
    """SciPy's distribution."""
    match type(one).__name__:
        case "Normal":
            return stats.norm(one.loc, one.scale)
        case "StudentT":
            return stats.t(one.df, one.loc, one.scale)
        case "Laplace":
            return stats.laplace(one.loc, one.scale)
        case "LogNormal":
            return stats.lognorm(one.scale, scale=np.exp(one.loc))
        case "Gamma":
            return stats.gamma(one.concentration, scale=1 / one.rate)
        case "Poisson":
            return stats.poisson(one.rate)
        case "NegativeBinomialLogits":
            return stats.nbinom(one.total_count, expit(-one.logits))
        case "BinomialLogits":
            return stats.binom(one.total_count, expit(one.logits))
        case "BernoulliLogits":
            return stats.bernoulli(expit(one.logits))
        case "Beta":
            return stats.beta(one.concentration1, one.concentration0)
    raise AssertionError(one)


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


def test_a_known_standard_error_adds_to_the_variance():
    se = COLUMN["units"]
    for kind in ("gaussian", "student_t"):
        said = outcome({"kind": kind, "sigma": 1.5, "se": "units"}, ETA)
        np.testing.assert_allclose(said.distribution.scale, np.hypot(1.5, se), rtol=1e-12)
        said = outcome({"kind": kind, "sigma": 0, "se": "units"}, ETA)
        np.testing.assert_allclose(said.distribution.scale, se, rtol=1e-12)
    with pytest.raises(ModelError):
        outcome({"kind": "gaussian", "sigma": "marginal", "se": "units"}, ETA, cells(y=jnp.asarray(ETA)))
    for kind in ("gaussian", "student_t", "laplace", "huber", "lognormal"):
        with pytest.raises(ModelError):
            outcome({"kind": kind, "sigma": 0}, ETA)


def test_a_standard_deviation_integrated_out_is_the_quadrature():
    y, unit = ETA**2, [1.0, 2.0, 0.5]
    said = outcome({"kind": "gaussian", "sigma": "marginal"}, ETA, cells(y=jnp.asarray(y)))
    total = 0.0
    for task in range(3):
        own, at = y[task == OF], said.mean[task == OF]
        prior = stats.invgamma(SHAPE, scale=RATE * unit[task] ** 2)

        def density(log, own=own, at=at, prior=prior):  # of log sigma^2
            square = np.exp(log)
            return np.exp(stats.norm.logpdf(own, at, np.sqrt(square)).sum()) * prior.pdf(square) * square

        total += np.log(integrate.quad(density, -25, 60, points=(-4, 0, 4), epsabs=0, epsrel=1e-10)[0])
    np.testing.assert_allclose(said.marginal, total, atol=1e-8)


def test_what_is_integrated_out_is_drawn_back_and_follows_the_units():
    part, y = {"kind": "gaussian", "sigma": "marginal", "offset": 0}, jnp.asarray(ETA**2)

    def said(times, **more):
        changed = cells(y=times * y, unit=times * jnp.array([1.0, 2.0, 0.5]), **more)
        return bound(part, changed)(times * jnp.asarray(ETA))

    moved = said(10.0).marginal - said(1.0).marginal
    np.testing.assert_allclose(moved, -ROW * np.log(10), rtol=1e-12)
    keys = jax.random.split(jax.random.key(5), 4000)
    noise = jax.jit(jax.vmap(lambda key: said(1.0, key=key).noise))(keys)
    error = np.array([((ETA**2 - ETA)[task == OF] ** 2).sum() for task in range(3)])
    shape, rate = SHAPE + np.bincount(OF) / 2, RATE * np.array([1.0, 4.0, 0.25]) + error / 2
    for task in range(3):
        # three tests: a calibrated sampler fails in 3 of 10,000 seeds
        p = stats.kstest(noise[:, task] ** 2, stats.invgamma(shape[task], scale=rate[task]).cdf).pvalue
        assert p > 1e-4
    np.testing.assert_allclose(said(1.0).loss_weight, shape / rate / 2, rtol=1e-12)


def test_the_gradient_of_the_marginal_is_that_of_the_weighted_loss():
    """Fisher's identity: the weight is the posterior mean of 1 / (2 sigma^2)."""
    part, y = {"kind": "gaussian", "sigma": "marginal", "offset": 0}, jnp.asarray(ETA**2)
    slope = jax.grad(lambda eta: bound(part, cells(y=y))(eta).marginal)(jnp.asarray(ETA))
    said = outcome(part, ETA, cells(y=y))
    np.testing.assert_allclose(slope, 2 * said.loss_weight[OF] * (y - ETA), rtol=1e-10)


def test_half_of_the_prior_of_an_integrated_noise_is_below_a_third_of_a_unit():
    """As gaussian.py says: median 0.30, the middle 90 % from 0.10 to 3.2."""
    ends = np.sqrt(stats.invgamma(SHAPE, scale=RATE).ppf([0.05, 0.5, 0.95]))
    np.testing.assert_allclose(ends, [0.10, 0.30, 3.2], rtol=0.03)


def test_a_temperature_is_found_where_the_logits_are_known():
    """methods.md L3: for T = 1.7 the exact estimate is 1.696, and Kendall's approximation says 2.653.

    The sheet does not say of which data. Found by search: 5000 rows of five normal logits of sd 2.
    """
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 2, (5000, 5))
    y = (logits / 1.7 + draw.gumbel(size=logits.shape)).argmax(1)
    big = cells(
        task=axis("task", 1),
        lines=axis("task", 4),
        of=jnp.zeros(len(y), int),
        centre=jnp.zeros(1),
        unit=jnp.ones(1),
        shift=jnp.zeros((1, 4)),
        grades=jnp.arange(5.0)[None],
    )
    eta, part = jnp.asarray(logits[:, 1:] - logits[:, :1]), {"kind": "categorical", "offset": 0.0}

    @jax.jit
    def entropy(temperature):
        heat = numpyro.handlers.substitute(
            parts.bind("likelihoods", part | {"temperature": "half_normal(1)"}),
            {"temperature_standard": temperature[None]},
        )
        said = numpyro.handlers.seed(heat, 0)(eta, big)
        return -said.distribution.log_prob(y).mean()

    exact = optimize.minimize_scalar(entropy, bounds=(0.5, 5.0), method="bounded", options={"xatol": 1e-8}).x
    # within three and a half standard errors of the truth, from the curvature
    second = (entropy(exact + 0.01) - 2 * entropy(exact) + entropy(exact - 0.01)) / 1e-4
    assert abs(exact - 1.7) < 3.5 / np.sqrt(len(y) * second)
    fixed = outcome(part | {"temperature": 1.7}, eta, big).distribution
    np.testing.assert_allclose(-fixed.log_prob(y).mean(), entropy(1.7), rtol=1e-12)

    plain = float(entropy(1.0))  # cross-entropy without a temperature

    def kendall(square):
        return plain / square + 0.5 * np.log(square)

    approximate = optimize.minimize_scalar(
        kendall, bounds=(0.5, 9.0), method="bounded", options={"xatol": 1e-8}
    ).x
    np.testing.assert_allclose(approximate, 2 * plain, rtol=1e-6)
    np.testing.assert_allclose([exact, approximate], [1.696, 2.653], atol=6e-4)


def _outliers():
    """Two tasks of 200 cells, slope 1 and noise 1; a tenth of the first, at x above 0, is 20 too high."""
    draw = np.random.default_rng(1)
    x, of = draw.normal(size=400), np.repeat([0, 1], 200)
    gross = np.zeros(400, bool)
    gross[draw.choice(np.flatnonzero(x[:200] > 0), 20, replace=False)] = True
    return x, x + draw.normal(size=400) + 20 * gross, of, gross


def _robust(kind):
    """Slopes with and without the outliers at the mode, and what the mode and the log density are."""
    x, y, of, gross = _outliers()
    one = jnp.ones(2)
    both = cells(
        task=axis("task", 2),
        of=jnp.asarray(of),
        centre=0 * one,
        unit=one,
        shift=0 * one,
        grades=jnp.zeros((2, 0)),
    )
    part = parts.bind("likelihoods", {"kind": kind})
    with numpyro.handlers.trace() as sites, numpyro.handlers.seed(rng_seed=0):
        part(jnp.zeros(400), both)
    free = {name: site["fn"] for name, site in sites.items() if site["type"] == "sample"}
    to = {name: numpyro.distributions.biject_to(prior.support) for name, prior in free.items()}

    def loss(point, keep):
        point = point.reshape(-1, 2)
        given = {name: to[name](z) for name, z in zip(free, point[1:], strict=True)}
        said = numpyro.handlers.seed(numpyro.handlers.substitute(part, given), 0)(point[0][of] * x, both)
        prior = sum(density.log_prob(given[name]).sum() for name, density in free.items())
        return -(said.distribution.log_prob(y) * keep).sum() - prior

    slope = compiled(jax.value_and_grad(loss))
    with_them, without = (
        optimize.minimize(slope, np.zeros(2 + 2 * len(free)), keep, jac=True).x
        for keep in (np.ones(400), 1.0 - gross)
    )
    return with_them[:2] - without[:2], with_them, list(free), loss


def test_gross_outliers_of_a_task_move_a_gaussian_slope_and_no_robust_one():
    """methods.md L6. The bias is what the outliers add to the slope of the other cells."""
    bias, error = {}, 1 / np.sqrt(200)  # the standard error of a slope
    for kind in ("gaussian", "huber", "student_t"):
        bias[kind], mode, names, loss = _robust(kind)
        assert abs(bias[kind][1]) < 0.01 * error  # the other task has none of it
    # one data set: even an estimate without bias may move by a part of its standard error
    assert abs(bias["student_t"][0]) < error
    assert bias["gaussian"][0] > 20 * error and bias["gaussian"][0] > 5 * abs(bias["student_t"][0])
    # Huber's loss bounds the pull of an outlier, and does not let go of it as Student's t does
    assert bias["gaussian"][0] > 3 * abs(bias["huber"][0])
    # the posterior of the first task's df given the other parameters at the mode
    at, log = 2 * names.index("df_standard") + 2, np.linspace(-4, 6, 500)
    points = np.tile(mode, (500, 1))
    points[:, at] = log
    density = -compiled(jax.vmap(lambda point: loss(point, np.ones(400))))(points) + log
    chance = np.exp(density - density.max())
    assert chance[np.exp(log) < 10].sum() / chance.sum() > 0.99


NOISE = Axis("noise_feature", ("x", "z"))


def drawn(prior, **more):
    with numpyro.handlers.trace() as sites, numpyro.handlers.seed(rng_seed=1):
        spread = outcomes.scale("sigma", cells(**more), prior)
    return spread, {name: site["value"] for name, site in sites.items()}


def test_a_pooled_scale_is_log_normal_over_tasks():
    spread, sites = drawn("pooled")
    z = sites["z_sigma_standard"]
    expected = np.array([1.0, 2.0, 0.5]) * np.exp(sites["sigma_centre"] + sites["sigma_spread"] * z)
    np.testing.assert_allclose(spread.task, expected, rtol=1e-12)
    np.testing.assert_allclose(sites["sigma"], expected, rtol=1e-12)
    np.testing.assert_allclose(spread.cell, expected[OF], rtol=1e-12)


@pytest.mark.parametrize("typical", ["half_normal(unit)", "pooled", 1.5])
def test_a_formula_of_a_scale_is_log_linear_about_the_typical_value(typical):
    x = np.random.default_rng(0).normal(size=(ROW, 2))
    prior = {"formula": "x + z", "sigma": typical, "weight": "normal(0, 0.3)"}
    spread, sites = drawn(prior, noise_x=jnp.asarray(x), noise_feature=NOISE)
    weight = sites["sigma_weight"]
    assert weight.shape == (3, 2)
    expected = np.log(sites["sigma"])[OF] + (x * weight[OF]).sum(1)
    np.testing.assert_allclose(np.log(spread.cell), expected, rtol=1e-12)
    np.testing.assert_allclose(spread.task, sites["sigma"], rtol=1e-12)
    assert spread.task.shape == (3,)


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
