"""Modes under our priors are the estimates of the penalties they stand for; spike and slab is exact.

Argyriou, Evgeniou and Pontil (2006), Multi-task feature learning: the L2,1 penalty. Pong, Tseng, Ji and Ye
(2010), Trace norm regularization: SIAM Journal on Optimization 20, 3465-3489.
"""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.handlers import seed, substitute
from numpyro.infer import MCMC, NUTS
from numpyro.infer.util import log_density
from scipy.optimize import minimize
from scipy.special import betaln, softmax
from scipy.stats import multivariate_normal

from bayesmtl import parts
from bayesmtl.axes import axis
from bayesmtl.sharing import weights

N, D, T = 30, 6, 3
TASK, FEATURE = axis("task", T), axis("feature", D)
RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(N, D))
TRUTH = np.where(np.arange(D)[:, None] < 3, RANDOM.normal(size=(D, T)), 0.0)
Y = X @ TRUTH + RANDOM.normal(size=(N, T))
RATE = 8.0

pytestmark = pytest.mark.usefixtures("double")


# the logarithm of a row's variance, over all of its prior that matters
LOCAL = np.arange(-60.0, 6.0, 0.1)


def row(w):
    """The log density of a row of weights under ``laplace``, its variance integrated out by quadrature."""
    one, overall = axis("feature", 1), float(np.sqrt(T + 1) / RATE)

    def model():
        scale = parts.bind("shrinkage", {"kind": "laplace", "overall": overall})(TASK, one)
        weights(jnp.eye(T), scale, None)

    def joint(t):
        given = {"local_standard": jnp.exp(t)[None]}
        scale = overall * jnp.exp(t / 2)
        value, _ = log_density(model, (), {}, given | {"z_standard": w[None] / scale})
        return value - T * jnp.log(scale) + t

    return jax.scipy.special.logsumexp(jax.vmap(joint)(LOCAL)) + jnp.log(0.1)


def test_a_row_under_laplace_has_density_exp_of_minus_its_norm():
    at = np.random.default_rng(6).normal(size=(4, T)) * np.array([[2.0], [1.0], [0.1], [1e-3]])
    found = np.asarray(jax.jit(jax.vmap(row))(at))
    expected = -RATE * np.linalg.norm(at, axis=1)
    np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=0, atol=1e-9)


@pytest.fixture(scope="module")
def mode():
    """The mode of the posterior at noise 1, by reweighted ridge regressions."""
    with jax.enable_x64(True):
        # a log density f(|w|) is touched from below by a parabola of this curvature
        curvature = jax.jit(jax.vmap(lambda w: -(jax.grad(row)(w) @ w) / (w @ w)))
        w = np.linalg.solve(X.T @ X, X.T @ Y)
        for _ in range(200):
            small = np.linalg.norm(w, axis=1, keepdims=True) < 1e-10
            each = np.asarray(curvature(np.where(small, 1e-10, w)))
            w = np.linalg.solve(X.T @ X + np.diag(each), X.T @ Y)
    return w


def proximal():
    """The multi-task lasso: proximal gradient steps on |Y - XW|^2 / 2n + alpha sum_j |w_j|."""
    w, step = np.zeros((D, T)), N / np.linalg.eigvalsh(X.T @ X).max()
    for _ in range(3000):
        w = w - step * X.T @ (X @ w - Y) / N
        norm = np.linalg.norm(w, axis=1, keepdims=True)
        w = w * np.maximum(0, 1 - step * RATE / N / np.maximum(norm, 1e-300))
    return w


def sklearns():
    linear_model = pytest.importorskip("sklearn.linear_model")
    lasso = linear_model.MultiTaskLasso(alpha=RATE / N, fit_intercept=False, tol=1e-15, max_iter=20_000)
    return lasso.fit(X, Y).coef_.T


@pytest.mark.parametrize("estimate", [proximal, sklearns])
def test_the_mode_under_laplace_is_the_multi_task_lasso(mode, estimate):
    expected = estimate()
    empty = (np.linalg.norm(expected, axis=1) < 1e-9).sum()
    assert 1 <= empty <= 4  # the penalty chooses some
    np.testing.assert_allclose(mode, expected, atol=1e-6)


def test_the_mode_of_normal_factors_is_the_trace_norms():
    """With orthonormal predictors and noise 1: singular values of X'Y, less the penalty."""
    x = np.linalg.qr(X)[0]
    penalty = 6.0

    def model():
        loading = numpyro.sample("loading", dist.Normal(0, 1).expand((T, T)).to_event(2))
        w = weights(loading, jnp.full(D, 1 / penalty), None)
        numpyro.sample("y", dist.Normal(x @ w.T, 1).to_event(2), obs=Y)

    def split(flat):
        return {"loading": flat[: T * T].reshape(T, T), "z_standard": flat[T * T :].reshape(D, T)}

    def loss(flat):
        return -log_density(model, (), {}, split(flat))[0]

    start = np.random.default_rng(0).normal(size=T * T + T * D)
    found = minimize(
        jax.jit(jax.value_and_grad(loss)), start, jac=True, method="BFGS", options={"gtol": 1e-9}
    )
    with seed(rng_seed=0), substitute(data=split(jnp.asarray(found.x))):
        w = weights(split(jnp.asarray(found.x))["loading"], jnp.full(D, 1 / penalty), None)
    left, size, right = np.linalg.svd(x.T @ Y, full_matrices=False)
    assert size.min() < penalty < size.max()
    np.testing.assert_allclose(w.T, left * np.maximum(size - penalty, 0) @ right, atol=1e-6)


@pytest.mark.slow
def test_inclusion_is_that_of_all_models():
    """Against the 64 models of 6 features, each integrated in closed form; noise 1, slab 1."""
    draw = np.random.default_rng(7)
    truth = np.array([[0.9], [-0.5], [0.25], [0.2], [0.0], [0.0]]) * draw.choice([-1, 1], (D, T))
    y = X @ truth + draw.normal(size=(N, T))
    narrow, logs, every = 0.2, [], np.array(list(product([0, 1], repeat=D)))
    for own in every:
        covariance = np.eye(N) + X @ np.diag(np.where(own, 1.0, narrow**2)) @ X.T
        count = own.sum()
        evidence = multivariate_normal(np.zeros(N), covariance).logpdf(y.T).sum()
        logs.append(evidence + betaln(1 + count, 1 + D - count))
    exact = softmax(logs) @ every
    inverse = np.linalg.inv(X.T @ X)
    pilot = {
        "precision": np.tile(1 / np.diag(inverse), (T, 1)),
        "place": (inverse @ X.T @ y).T,
    }
    shrinkage = parts.bind("shrinkage", {"kind": "spike_slab", "slab": 1.0, "narrow": narrow})

    def model():
        w = weights(jnp.eye(T), shrinkage(TASK, FEATURE), pilot)
        numpyro.sample("y", dist.Normal(X @ w.T, 1).to_event(2), obs=y)

    run = MCMC(
        NUTS(model),
        num_warmup=500,
        num_samples=2500,
        num_chains=4,
        chain_method="vectorized",
        progress_bar=False,
    )
    run.run(jax.random.key(1))
    found = run.get_samples()["inclusion"].mean(0)
    assert (exact > 0.2).sum() > (exact > 0.8).sum() > 0  # some are neither in nor out
    np.testing.assert_allclose(found, exact, atol=0.03)
