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
from bayesmtl.sharing import Loading, Mixture, weights

TASK, FEATURE, ROW = axis("task", 3), axis("feature", 5), 7  # a transposed axis can't hide
EVERY = [(role, name) for role in parts.ROLES for name in parts.names(role)]


def of(role):
    return pytest.mark.parametrize("name", parts.names(role))


pytestmark = pytest.mark.usefixtures("double")


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
        options = parts.manual(role, name).options
        part = {"kind": name, **{option.name: option.default for option in options.values()}}
        assert parts.faults(role, part, role) == []


def drawn(part, *args, count=4000):
    def run(key):
        return numpyro.handlers.seed(part, key)(*args)

    return jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), count))


# what a part can't do without
NEEDED = {
    "graph": {"edges": [["1", "3"]]},
    "described": {"by": {"1": [0.0, 1.0], "2": [2.0, 2.0], "3": [3.0, -1.0]}},
}


def bound(role, name):
    return parts.bind(role, {"kind": name} | NEEDED.get(name, {}))


@of("relations")
def test_relation_has_rows_of_length_one_or_is_a_mixture(name):
    with numpyro.handlers.seed(rng_seed=0):
        first = bound("relations", name)(TASK, FEATURE)
    if isinstance(first, Mixture):
        assert first.chance.shape[0] == len(TASK)
        np.testing.assert_allclose(first.chance.sum(1), 1.0, rtol=1e-12)
        return
    loading = drawn(bound("relations", name), TASK, FEATURE, count=50)
    loading = loading.matrix if isinstance(loading, Loading) else loading
    assert loading.shape[-2] == len(TASK) and loading.ndim in (3, 4)
    if name != "outlying":  # whose rows have length one on average, as the next test says
        np.testing.assert_allclose((loading**2).sum(-1), 1.0, rtol=1e-12)


@of("relations")
def test_relation_is_a_standard_prior_on_task_by_feature(name):
    relation = bound("relations", name)
    w = drawn(lambda: weights(relation(TASK, FEATURE), jnp.ones(len(FEATURE)), None))
    assert w.shape[1:] == (len(TASK), len(FEATURE))
    # 15 means and 15 variances at 5 standard errors: a false alarm in 1 of 60,000 seeds
    assert np.abs(w.mean(0)).max() < 5 / np.sqrt(4000)
    assert np.abs(w.var(0) - 1).max() < 5 * np.sqrt((stats.kurtosis(w).max() + 2) / 4000)


@of("shrinkage")
def test_shrinkage_is_one_positive_scale_per_feature_or_a_mixture_of_them(name):
    def run():
        found = bound("shrinkage", name)(TASK, FEATURE)
        return found.width.T[:, 0] if isinstance(found, Mixture) else found

    s = drawn(run, count=50)
    assert s.shape[1:] == (len(FEATURE),) and bool((s > 0).all())


@pytest.mark.parametrize("family", [f for f, (s, _) in priors.FAMILIES.items() if s != "Correlation"])
def test_a_prior_in_the_file_is_that_density(family):
    from bayesmtl.user_priors import _DENSITIES

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
