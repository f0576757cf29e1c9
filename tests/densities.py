"""What a likelihood says of seven cells of three tasks, compiled once, and SciPy's distributions."""

import ast
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from scipy import stats
from scipy.special import expit

from bayesmtl import parts
from bayesmtl.axes import axis
from bayesmtl.outcomes import Cells, Outcome

TASK, ROW = axis("task", 3), 7  # a transposed axis can't hide
OF = np.arange(ROW) % 3
ETA = np.linspace(-1.0, 1.0, ROW)
GRADES = np.array([1.0, 2.0, 4.0, 5.0])
COLUMN = {"units": np.array([3.0, 1, 7, 2, 5, 4, 9]), "by": np.array([0.0, 1, -1, 0, 1, -1, 0])}


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
    """Tests of unusual parts run in CI. Those of a part share a process by its id, and compile it once."""
    return pytest.param(part, marks=[pytest.mark.slow] * (part in MORE[3:]), id=str(part))


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

    return jax.device_get(compiled(run)())  # numpy's arithmetic need not be compiled


def facts(part):
    """All that is asked of a likelihood at one linear predictor, compiled once."""
    return _facts(repr(part))


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
