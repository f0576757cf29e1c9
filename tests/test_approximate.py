"""Engines that approximate: right where the answer is known, and loud where they fail."""

import re

import arviz_stats
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from fakes import fake_posterior
from numpyro.handlers import seed
from numpyro.infer.util import potential_energy, unconstrain_fn
from scipy.optimize import OptimizeResult
from scipy.special import digamma, polygamma
from scipy.stats import genpareto, norm

import bayesmtl as bm
from bayesmtl import adaptive, subsampled
from bayesmtl.chains import Problem, Progress, Run
from bayesmtl.coordinates import latent
from bayesmtl.encoded import encode
from bayesmtl.engines import importance as engine
from bayesmtl.labelled import parameters
from bayesmtl.page import answers, verdicts
from bayesmtl.pilot import pilot
from bayesmtl.program import build
from bayesmtl.progress import words
from bayesmtl.runtime import ready
from bayesmtl.weighted import resampled, smoothed

QUIET = {"watch": lambda progress: None}


def adapted(density, size, enough=2000.0):
    *_, last = adaptive.adapted(density, np.zeros(size), enough, np.random.default_rng(1))
    return last


def test_ratios_of_a_known_tail_have_its_pareto_k():
    # the shape of a tail of 600 draws has a standard error of (1 + k) / sqrt(600): off by 0.3 in 1 of 5,000
    # seeds
    for k in (0.3, 1.0):
        ratio = genpareto(k).rvs(40_000, random_state=np.random.default_rng(2))
        weights, quality = smoothed(np.log(ratio))
        assert quality.pareto_k == pytest.approx(k, abs=0.3) and quality.trusted == (k < 0.7)
        assert np.exp(weights).sum() == pytest.approx(1.0)
    flat, quality = smoothed(np.zeros(500))
    assert quality.effective == pytest.approx(500.0) and np.ptp(flat) < 1e-12
    alone, quality = smoothed(np.append(np.arange(500.0) ** 2, 1e6))
    assert not quality.trusted and quality.effective == pytest.approx(1.0) and alone[-1] == 0.0


def test_points_without_density_weigh_nothing():
    ratio = np.random.default_rng(1).normal(size=1000)
    ratio[:300] = -np.inf
    weights, quality = smoothed(ratio)
    assert np.exp(weights[:300]).max() == 0.0 and np.isfinite([*weights, quality.pareto_k]).all()


def test_resampled_draws_are_as_many_as_their_weights_say():
    weights = np.log(np.random.default_rng(1).dirichlet(np.ones(50)))
    count = np.bincount(resampled(weights, 1000, np.random.default_rng(2)), minlength=50)
    assert count.sum() == 1000 and np.abs(count - 1000 * np.exp(weights)).max() < 1.0


def test_a_skewed_density_with_its_mode_at_the_edge_is_found():
    # gamma variables of shape 0.5 to 3, on the log scale: exact means and variances, 2,000 effective draws.
    # Means within 5 standard errors of 1 / sqrt(2,000), sds within 15 %: 5 of each go wrong by chance once
    # in 100,000 seeds
    shape = np.array([0.5, 0.8, 1.2, 2.0, 3.0])
    found = adapted(lambda z: (shape * z - np.exp(np.minimum(z, 700.0))).sum(1), 5)
    assert found.quality.trusted and found.quality.effective >= 2000
    weights = np.exp(found.weights)
    mean = weights @ found.points
    sd = np.sqrt(weights @ (found.points - mean) ** 2)
    want, width = digamma(shape), np.sqrt(polygamma(1, shape))
    assert np.abs((mean - want) / width).max() < 5 / np.sqrt(2000)
    np.testing.assert_allclose(sd, width, rtol=0.15)


def test_neals_funnel_is_not_trusted():
    def funnel(z):
        width = np.exp(z[:, :1] / 2)
        return norm.logpdf(z[:, 0], scale=3.0) + norm.logpdf(z[:, 1:], scale=width).sum(1)

    found = adapted(funnel, 10)
    assert found.quality.pareto_k > 0.7 and not found.quality.trusted


def one_task(rows: int = 40) -> pd.DataFrame:
    draw = np.random.default_rng(4)
    found = pd.DataFrame({"x": draw.normal(size=rows), "g": draw.choice(list("abcdef"), rows)})
    return found.assign(y=1.0 + 0.5 * found.x + draw.normal(size=rows), hit=(found.x > 0) * 1.0)


def fit(kind, seed=3, **given):
    settings = {"tasks": {"y": "gaussian"}, "formula": "x + (1 | g)"} | given
    return bm.fit(bm.Model(**settings, engine=kind), one_task(), seed=seed, **QUIET)


@pytest.fixture(scope="module")
def quick():
    """An approximate posterior."""
    return fit("importance")


def test_a_conjugate_model_has_its_closed_form():
    # Student-t posteriors of offset and weight under flat priors and p(sigma) ~ 1 / sigma, which an inverse
    # gamma of nearly 0 is. Means of 2,000 effective draws within 4.5 standard errors, sds within 10 %, about
    # 5 standard errors: 2 of each go wrong by chance once in 60,000 seeds
    table = one_task()
    tasks = {"y": {"kind": "gaussian", "offset": "normal(0, 1e3)", "sigma": "inverse_gamma(1e-6, 1e-6)"}}
    priors = {"weight": "normal(0, 1e3)"}
    post = fit("importance", tasks=tasks, formula="x", shrinkage="flat", priors=priors)
    x = np.column_stack([np.ones(len(table)), table.x])
    place, (square,), *_ = np.linalg.lstsq(x, table.y)
    free = len(x) - 2
    width = np.sqrt(np.diag(np.linalg.inv(x.T @ x)) * square / (free - 2))
    drawn = np.column_stack([post.posterior.offset.values.ravel(), post.posterior.weight.values.ravel()])
    effective = post.attrs["effective"]
    assert np.abs((drawn.mean(0) - place) / width).max() < 4.5 / np.sqrt(effective)
    np.testing.assert_allclose(drawn.std(0), width, rtol=0.1)


@pytest.mark.slow
def test_means_are_those_of_markov_chains(quick):
    # each mean within 4.5 combined Monte Carlo errors: of about 15 parameters one goes wrong by chance
    # once in 10,000 seeds
    chains = fit({"kind": "collapsed", "chains": 2, "draws": 1000})
    one, other = parameters(quick), parameters(chains)
    assert list(one.parameter.values) == list(other.parameter.values)
    spread = other.std(("chain", "draw"))
    error = np.hypot(spread / np.sqrt(quick.attrs["effective"]), arviz_stats.mcse(other))
    away = np.abs(one.mean(("chain", "draw")) - other.mean(("chain", "draw"))) / error
    assert float(away.max()) < 4.5
    ratio = one.std(("chain", "draw")) / spread
    assert float(np.abs(np.log(ratio)).max()) < 0.2


def test_an_approximation_says_so_everywhere(quick):
    k = quick.attrs["pareto_k"]
    assert 0 < quick.attrs["effective"] <= 16_000 and k <= 0.7 and quick.attrs["approximate"] == 1
    assert quick.attrs["engine"] == f"importance, approximate, Pareto k {k:.2f}"
    assert quick.posterior.sizes["chain"] == 1 and quick.posterior.sizes["draw"] == 4000
    assert set(quick.sample_stats) == {"lp"}
    text = " ".join(verdicts(quick, answers(quick)))
    assert "These answers are approximate" in text and f"is {k:.2f}" in text and "chains agree" not in text
    assert not bm.diagnostics(quick).problem.str.contains("R-hat|effective|Pareto k").any()
    page = bm.report(quick)
    assert f"4,000 draws, by importance, approximate, Pareto k {k:.2f}" in page
    assert "1 chains" not in page and "effective draws, bulk" not in page


def test_the_terminal_says_that_it_is_approximate():
    progress = Progress("importance, approximate, Pareto k 0.31", 1, 0, 4000, [4000], approximate=True)
    assert words(progress) == "importance, approximate, Pareto k 0.31, done, 4,000 draws"


@pytest.mark.parametrize(("k", "effective"), [(0.9, 2000.0), (float("inf"), 2000.0), (0.2, 30.0)])
def test_a_poor_approximation_is_the_first_row_of_the_diagnostics(k, effective):
    post = fake_posterior()
    post.attrs |= {"approximate": 1, "pareto_k": k, "effective": effective}
    row = bm.diagnostics(post).iloc[0]
    assert row["where"] == "fit" and "nuts" in row["remedy"]
    assert row["problem"] == (
        "few effective draws of the approximation"
        if k == 0.2
        else "the approximation can't be trusted: Pareto k"
    )


def test_past_the_limit_the_model_is_sampled_and_the_reason_said(monkeypatch):
    # one round from far away, and chains that only say what they were asked
    def chains(problem, *, draws):
        problem.watch(Progress("collapsed", 4, 500, draws, [0] * 4))
        return Run({}, {}, {}, {}, f"collapsed, {draws} each")

    monkeypatch.setattr(adaptive, "ROUNDS", 1)

    def nowhere(slope, start, gradient):
        return OptimizeResult(x=start + 5.0, hess_inv=0.01 * np.eye(len(start)))

    monkeypatch.setattr(adaptive, "climb", nowhere)
    monkeypatch.setattr(engine, "find", lambda role, name: {("engines", "auto"): chains}[role, name])
    design = encode(bm.Model(tasks={"y": "gaussian"}, formula="x"), one_task())
    said = []
    with ready():
        data = jax.tree.map(jnp.asarray, design.data)
        problem = Problem(design, build(design), data, 3, lambda progress: said.append(words(progress)))
        run = engine.importance(problem, draws=402)
    assert re.fullmatch(
        r"collapsed, 101 each, as importance sampling has Pareto k (inf|\d+\.\d\d)", run.engine
    )
    assert run.approximation is None
    assert said[0] == "importance, approximate, sampling, 0 of 402 draws"
    assert said[-1].startswith("collapsed, as importance sampling has Pareto k")


def test_what_it_is_not_for_is_a_finding():
    with pytest.raises(bm.ModelError, match=r'coefficients out: hit is bernoulli\. Use engine = "svi"'):
        fit("importance", tasks={"hit": "bernoulli"})


def test_svi_is_near_a_closed_form_and_says_that_it_is_approximate():
    # Poisson counts with a gamma posterior of their rate: with a flat prior on the log rate it is
    # gamma(total, cells). 4,000 draws: the mean within 5 of its standard errors once in 1.7 million seeds,
    # if a half of the draws are effective, and the sd within 10 %
    counts = np.random.default_rng(6).poisson(3.0, 30)
    model = bm.Model(
        tasks={"n": {"kind": "poisson", "offset": "normal(0, 100)"}},
        formula="1",
        engine={"kind": "svi", "steps": 1500},
    )
    post = bm.fit(model, pd.DataFrame({"n": counts}), seed=1, **QUIET)
    rate = np.exp(post.posterior.offset.values.ravel())
    mean, sd = counts.sum() / 30, np.sqrt(counts.sum()) / 30
    assert post.attrs["approximate"] == 1 and post.attrs["pareto_k"] <= 0.7
    assert post.attrs["engine"].startswith("svi, approximate, Pareto k ")
    assert abs(rate.mean() - mean) < 5 * sd / np.sqrt(2000)
    assert rate.std() == pytest.approx(sd, rel=0.1)


def test_some_cells_have_the_density_of_all_on_average_and_at_0_its_gradient(double, monkeypatch):
    # 1,000 draws of 30 of 80 cells: the mean within 4.5 standard errors but once in 150,000 seeds
    rows = pd.concat([one_task(), one_task()])
    rows["n"] = np.random.default_rng(7).poisson(2.0, len(rows))
    design = encode(bm.Model(tasks={"n": "poisson"}, formula="x + (1 | g)"), rows)
    program, data = build(design), jax.tree.map(jnp.asarray, design.data)
    data |= {"pilot": jax.tree.map(jnp.asarray, pilot(data, design))}
    assert subsampled.subsample(design, program, data) is program
    monkeypatch.setattr(subsampled, "SOME", 30)
    few = subsampled.subsample(design, program, data)

    @jax.jit
    def start(data):
        given = {name: site["value"] for name, site in latent(program, data).items()}
        return unconstrain_fn(program, (data,), {}, given)

    point = start(data)
    zero = jax.tree.map(jnp.zeros_like, point)

    @jax.jit
    def both(keys, data):
        def away(key, at):
            some, every = (potential_energy(seed(p, key), (data,), {}, at) for p in (few, program))
            return some - every

        return jax.lax.map(lambda key: (away(key, point), jax.grad(away, 1)(key, zero)), keys, batch_size=500)

    away, slope = both(jax.random.split(jax.random.key(8), 1000), data)
    assert np.std(away) > 0.01 and max(np.abs(each).max() for each in slope.values()) < 1e-8
    assert abs(np.mean(away)) < 4.5 * np.std(away) / np.sqrt(1000)
