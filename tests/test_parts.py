"""Every part keeps its role's promises. New parts are found here by their file."""

import ast
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from scipy import stats

from bayesmtl import parts, priors
from bayesmtl.axes import axis
from bayesmtl.outcomes import Cells
from bayesmtl.program import weights

TASK, FEATURE, ROW = axis("task", 3), axis("feature", 5), 7  # a transposed axis can't hide
EVERY = [(role, name) for role in parts.ROLES for name in parts.names(role)]


def of(role):
    return pytest.mark.parametrize("name", parts.names(role))


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("role, name", EVERY)
def test_is_one_documented_function_named_after_its_file(role, name):
    part = parts.find(role, name)
    assert part.__module__ == f"bayesmtl.{role}.{name}" and part.__name__ == name
    public = [
        node.name
        for node in ast.parse(inspect.getsource(inspect.getmodule(part))).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]
    assert public[:1] == [name] or role == "reports"
    manual = parts.manual(role, name)
    assert manual.doc == inspect.getdoc(part)
    assert manual.references and len(manual.summary) > 20
    for option in inspect.signature(part).parameters.values():
        if option.kind is option.KEYWORD_ONLY:
            assert option.default is not option.empty
            assert manual.options[option.name].default == option.default


@pytest.mark.parametrize("role", [r for r in parts.ROLES if r not in ("reports",)])
def test_every_default_passes_its_own_check(role):
    for name in parts.names(role):
        part = {"kind": name, **parts.settings(role, {"kind": name})}
        assert parts.faults(role, part, role) == []


def drawn(part, *args, count=4000):
    def run(key):
        return numpyro.handlers.seed(part, key)(*args)

    return jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), count))


@of("relations")
def test_relation_has_rows_of_length_one(name):
    loading = drawn(parts.find("relations", name), TASK, FEATURE, count=50)
    assert loading.shape[-2] == len(TASK) and loading.ndim in (3, 4)
    np.testing.assert_allclose((loading**2).sum(-1), 1.0, rtol=1e-12)


@of("relations")
def test_relation_is_a_standard_prior_on_task_by_feature(name):
    relation = parts.find("relations", name)
    w = drawn(lambda: weights(relation(TASK, FEATURE), jnp.ones(len(FEATURE)), None))
    assert w.shape[1:] == (len(TASK), len(FEATURE))
    # 15 means and 15 variances at 5 standard errors: a false alarm in 1 of 60,000 seeds
    assert np.abs(w.mean(0)).max() < 5 / np.sqrt(4000)
    assert np.abs(w.var(0) - 1).max() < 5 * np.sqrt((stats.kurtosis(w).max() + 2) / 4000)


@of("shrinkage")
def test_shrinkage_is_one_positive_scale_per_feature(name):
    s = drawn(parts.find("shrinkage", name), FEATURE, count=50)
    assert s.shape[1:] == (len(FEATURE),) and bool((s > 0).all())


def cells(levels: int = 4) -> Cells:
    third = jnp.array([0.0, 0.3, -0.2])
    return Cells(
        task=TASK,
        of=jnp.arange(ROW) % 3,
        centre=third,
        unit=jnp.array([1.0, 2.0, 0.5]),
        shift=third,
        grades=jnp.tile(jnp.array([1.0, 2.0, 4.0, 5.0])[:levels], (3, 1)),
    )


def links(name):
    kind = parts.manual("likelihoods", name).options["link"].kind
    return ast.literal_eval(kind.removeprefix("Literal"))


LINKED = [(name, link) for name in parts.names("likelihoods") for link in links(name)]


def outcome(name, link, eta):
    part = parts.bind("likelihoods", {"kind": name, "link": link})
    return numpyro.handlers.seed(part, 3)(eta, cells())


ETA = jnp.linspace(-1.0, 1.0, ROW)


@pytest.mark.parametrize("name, link", LINKED)
def test_likelihood_is_a_distribution_over_cells(name, link):
    said = outcome(name, link, ETA)
    y = said.distribution.sample(jax.random.key(1))
    assert said.distribution.batch_shape == (ROW,) and said.distribution.event_shape == ()
    assert said.mean.shape == said.information.shape == (ROW,)
    assert said.loss_weight.shape == said.noise.shape == (len(TASK),) and said.loss
    assert bool(jnp.broadcast_to(said.distribution.support(y), (ROW,)).all())
    slope = jax.grad(lambda eta: outcome(name, link, eta).distribution.log_prob(y).sum())(ETA)
    assert jnp.isfinite(slope).all()


@pytest.mark.slow
@pytest.mark.parametrize("name, link", LINKED)
def test_mean_and_information_are_those_of_draws(name, link):
    said = outcome(name, link, ETA)
    y = said.distribution.sample(jax.random.key(2), (40_000,))
    values = jnp.asarray(cells().grades)[cells().of, y.astype(int)] if name == "ordinal" else y
    # means over 40,000 draws at 6 standard errors: a false alarm in fewer than 1 of 10^7 seeds
    spread = values.std(0) / 200
    if name != "student_t":  # whose draws may have no variance
        assert (jnp.abs(values.mean(0) - said.mean) < 6 * spread).all()
    score = jax.vmap(
        jax.grad(lambda eta, y: outcome(name, link, eta).distribution.log_prob(y).sum()),
        in_axes=(None, 0),
    )(ETA, y)
    square = score**2
    error = square.std(0) / 200
    assert (jnp.abs(square.mean(0) - said.information) < 6 * error).all()


DENSITIES = {
    "gaussian": lambda y, o: stats.norm.logpdf(y, o.loc, o.scale),
    "student_t": lambda y, o: stats.t.logpdf(y, o.df, o.loc, o.scale),
    "bernoulli": lambda y, o: stats.bernoulli.logpmf(y, o.probs),
    "poisson": lambda y, o: stats.poisson.logpmf(y, o.rate),
    "ordinal": lambda y, o: np.log(np.take_along_axis(o.probs, np.array(y)[:, None], 1)[:, 0]),
}


@pytest.mark.parametrize("name, link", LINKED)
def test_log_density_is_scipys(name, link):
    said = outcome(name, link, ETA)
    y = said.distribution.sample(jax.random.key(4))
    expected = DENSITIES[name](y, said.distribution)
    np.testing.assert_allclose(said.distribution.log_prob(y), expected, rtol=1e-9)


def test_cumulative_probabilities_are_the_inverse_link_of_cut_minus_eta():
    with numpyro.handlers.trace() as sites:
        said = outcome("ordinal", "probit", ETA)
    cut = sites["cut_level"]["value"][cells().of]
    expected = stats.norm.cdf(cut - ETA[:, None])
    np.testing.assert_allclose(jnp.cumsum(said.distribution.probs, 1)[:, :-1], expected, rtol=1e-9)


@pytest.mark.parametrize("family", [f for f, (s, _) in priors.FAMILIES.items() if s != "Correlation"])
def test_a_prior_in_the_file_is_that_density(family):
    from bayesmtl.sites import _DENSITIES

    numbers = {"student_t": (5.0, 0.3, 1.5), "uniform": (0.2, 0.9), "beta": (2.0, 3.0)}
    numbers = numbers.get(family, (1.3, 0.7)[: len(priors.FAMILIES[family][1])])
    at = np.array([0.25, 0.5, 0.8])
    scipys = {
        "normal": stats.norm(1.3, 0.7),
        "student_t": stats.t(5.0, 0.3, 1.5),
        "cauchy": stats.cauchy(1.3, 0.7),
        "laplace": stats.laplace(1.3, 0.7),
        "half_normal": stats.halfnorm(0, 1.3),
        "half_student_t": None,
        "half_cauchy": stats.halfcauchy(0, 1.3),
        "exponential": stats.expon(scale=1 / 1.3),
        "gamma": stats.gamma(1.3, scale=1 / 0.7),
        "inverse_gamma": stats.invgamma(1.3, scale=0.7),
        "lognormal": stats.lognorm(0.7, scale=np.exp(1.3)),
        "beta": stats.beta(2.0, 3.0),
        "uniform": stats.uniform(0.2, 0.7),
    }[family]
    expected = np.log(2) + stats.t.logpdf(at, 1.3, 0, 0.7) if scipys is None else scipys.logpdf(at)
    np.testing.assert_allclose(_DENSITIES[family](*numbers).log_prob(at), expected, rtol=1e-9)
