"""The coefficients of normal tasks integrated out: against dense algebra, and against sampling them."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from numpyro.distributions import LKJCholesky, biject_to
from numpyro.handlers import block, seed, substitute, trace
from numpyro.infer.util import initialize_model
from scipy.stats import beta, multivariate_normal

import bayesmtl as bm
from bayesmtl.arrow import Arrow, Prior, eliminate, log_integral, place
from bayesmtl.collapsed import collapse
from bayesmtl.collapsible import burden, refusal
from bayesmtl.coordinates import free, latent, linear
from bayesmtl.correlations import Slopes
from bayesmtl.encoded import encode
from bayesmtl.labelled import parameters
from bayesmtl.modes import mode
from bayesmtl.program import build

TASKS = {name: {"kind": "gaussian"} for name in ("u", "v", "w")}


def table(rows: int = 47) -> pd.DataFrame:
    """Three outcomes with empty cells, two predictors, and two groups."""
    draw = np.random.default_rng(3)
    found = pd.DataFrame({"a": draw.normal(size=rows), "b": draw.normal(2.0, 3.0, rows)})
    found["g"] = draw.choice(list("pqrst"), rows)
    found["h"] = draw.choice(list("xyz"), rows)
    for name in TASKS:
        found[name] = 5.0 + found.a + draw.normal(0.0, 2.0, rows)
    found.loc[:9, "u"] = np.nan
    found.loc[5:20, "v"] = np.nan
    found["weight"] = draw.uniform(0.5, 2.0, rows)
    return found


def schools(tasks: int = 19) -> pd.DataFrame:
    """Tasks as rows: more than share one block of weights."""
    draw = np.random.default_rng(5)
    each = draw.integers(3, 8, tasks)
    found = pd.DataFrame({"school": np.repeat([f"s{i}" for i in range(tasks)], each)})
    found["a"], found["b"] = draw.normal(size=(2, len(found)))
    found["a"] += np.repeat(draw.normal(0.0, 3.0, tasks), each)
    return found.assign(y=found.a + draw.normal(size=len(found)))


def columns(**given) -> tuple[bm.Model, pd.DataFrame]:
    settings = {"formula": "a + b", "relation": {"kind": "partial"}} | given
    return bm.Model(tasks=settings.pop("tasks", TASKS), **settings), table()


def rows(relation) -> tuple[bm.Model, pd.DataFrame]:
    tasks = {"by": "school", "outcome": "y", "kind": "gaussian"}
    return bm.Model(tasks=tasks, formula="a + b", relation=relation), schools()


CORRELATED = {"residual": {"kind": "correlated"}}
CASES = {
    "partial": columns(),
    "correlated, empty cells": columns(**CORRELATED, relation={"kind": "correlated"}),
    "low rank, a group": columns(formula="a + (1 | g)", relation={"kind": "low_rank"}),
    "slopes, crossed": columns(formula="a + (1 + b || g) + (1 | h)", shrinkage={"kind": "horseshoe"}),
    "effects over tasks": columns(formula="a + (1 + b |p| g)", **CORRELATED),
    "chosen pairs": columns(residual={"kind": "correlated", "pairs": [["u", "w"]]}, formula="a + (1 | g)"),
    "tempered": columns(tasks={**TASKS, "u": {"kind": "gaussian", "importance": 0.5, "weights": "weight"}}),
    "priors of the user's": columns(priors={"weight[u, a]": "normal(1, 0.3)", "level[w]": "normal(4, 1)"}),
    "pooled noise": columns(tasks={name: {"kind": "gaussian", "sigma": "pooled"} for name in TASKS}),
    "a sum": columns(relation=[{"kind": "pooled"}, {"kind": "independent"}]),
    "many tasks": rows({"kind": "partial"}),
    "many tasks, a sum": rows([{"kind": "low_rank"}, {"kind": "outlying"}]),
    "many tasks, on their own": rows({"kind": "independent"}),
}


def prepared(case):
    """A case's design, program and arrays, and its collapsed form."""
    design = encode(*case)
    program, data = build(design), jax.tree.map(jnp.asarray, design.data)
    assert refusal(design, program, data) == ""
    return design, program, data, collapse(design, program, data)


def dense(design, program, data):
    """A function of the free parameters: mean and covariance of the linear coordinates and of the cells.

    It asks the program for one cell after the other; nothing is said of moments, blocks or arrows.
    """

    def places():
        with trace() as sites:
            seed(program, 0)(data)
        return {
            n: (site["fn"].loc, site["fn"].scale, sites[n]["value"])
            for n, site in linear(latent(program, data)).items()
        }

    known = {
        n: tuple(jnp.broadcast_to(v, each[2].shape) for v in each[:2])
        for n, each in jax.jit(places)().items()
    }

    def said(given):
        with block(), trace():
            found = seed(substitute(program, data=given), 0)(data)
        return [found[family.name] for family in design.families]

    def run(given):
        def cells(v):
            return jnp.concatenate([each.outcome.distribution.loc for each in said({**given, **v})])

        mean = {n: loc for n, (loc, _) in known.items()}
        turn, each = jax.jacfwd(cells)(mean), said({**given, **mean})
        root = jnp.concatenate(
            [turn[n].reshape(len(turn[n]), -1) * s.ravel() for n, (_, s) in known.items()], 1
        )
        width = jnp.concatenate([one.outcome.distribution.scale for one in each])
        noise = jnp.diag(width**2)
        joint = next((one.joint for one in each if one.joint is not None), None)
        if joint is not None:  # one family, so that cells stand as in it
            row, task = joint.layout["row"], joint.layout["task"]
            whole = (joint.root @ joint.root.T)[task][:, task]
            noise = jnp.where(row[:, None] == row, whole, 0.0) * width[:, None] * width
        power = jnp.concatenate([data["cells"][family.name]["power"] for family in design.families])
        return cells(mean), root, noise, power

    return jax.jit(run), known


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_density_is_that_of_dense_linear_algebra(double, case):
    design, program, data, one = prepared(case)
    y = np.concatenate([family.y for family in design.families])
    run, _ = dense(design, program, data)

    @jax.jit
    def density(key):
        with trace() as sites:
            seed(one.program, key)(one.data)
        given = {name: site["value"] for name, site in sites.items() if free(site)}
        return given, sites["collapsed"]["fn"].log_factor

    for number in range(5):
        given, got = density(jax.random.key(number))
        mean, root, noise, power = map(np.asarray, run(given))
        # a cell raised to a power is one with less noise, times a constant
        variance = noise / np.sqrt(np.outer(power, power))
        want = multivariate_normal(mean, root @ root.T + variance).logpdf(y)
        width = np.diag(noise)
        want += np.sum(0.5 * np.log(2 * np.pi * width / power) - 0.5 * power * np.log(2 * np.pi * width))
        assert got == pytest.approx(want, rel=1e-8)


@pytest.mark.parametrize("name", ["correlated, empty cells", "slopes, crossed"])
def test_what_is_left_keeps_its_prior_and_the_volume_of_its_transforms(double, name):
    *_, one = prepared(CASES[name])
    model = initialize_model(jax.random.key(1), one.program, model_args=(one.data,))

    @jax.jit
    def alone(z):
        given = model.postprocess_fn(z)
        with trace() as sites:
            substitute(one.program, data=given)(one.data)
        found = sites["collapsed"]["fn"].log_factor
        for name, moved in z.items():
            turn = biject_to(sites[name]["fn"].support)
            found += sites[name]["fn"].log_prob(turn(moved)).sum()
            found += turn.log_abs_det_jacobian(moved, turn(moved)).sum()
        return found

    for width in (0.5, 2.0):
        z = {name: width * v for name, v in model.param_info.z.items()}
        assert -jax.jit(model.potential_fn)(z) == pytest.approx(float(alone(z)), rel=1e-10)


@pytest.mark.parametrize("name", ["slopes, crossed", "effects over tasks", "many tasks"])
def test_completed_draws_are_those_of_the_normal_posterior(double, name):
    # 20,000 draws: each standardised mean and variance is within 5.5 standard errors; of at most 400
    # statistics one goes wrong by chance once in 60,000 runs
    design, program, data, one = prepared(CASES[name])
    run, known = dense(design, program, data)
    with trace() as sites:
        seed(one.program, 1)(one.data)
    given = {site: value["value"] for site, value in sites.items() if free(value)}
    mean, root, noise, _ = map(np.asarray, run(given))
    y = np.concatenate([family.y for family in design.families])
    precision = np.eye(root.shape[1]) + root.T @ np.linalg.solve(noise, root)
    expected = np.linalg.solve(precision, root.T @ np.linalg.solve(noise, y - mean))
    keys = jax.random.split(jax.random.key(2), 20_000)
    drawn = jax.jit(jax.vmap(lambda key: one.complete(given, one.data, key)))(keys)
    standard = [((drawn[n] - loc) / scale).reshape(len(keys), -1) for n, (loc, scale) in known.items()]
    white = (np.concatenate(standard, axis=1) - expected) @ np.linalg.cholesky(precision)
    assert np.abs(white.mean(0)).max() * np.sqrt(len(keys)) < 5.5
    assert np.abs((white**2).mean(0) - 1).max() * np.sqrt(len(keys) / 2) < 5.5


def test_the_gradient_of_an_arrow_is_that_of_its_dense_matrix(double):
    draws = np.random.default_rng(0)
    parts, blocks, own, dense, size = 2, 3, 2, 4, 3
    half = draws.normal(size=(parts, 40, blocks * own + dense))
    for b in range(blocks):  # rows of one block say nothing of the others
        at = slice(b * own, b * own + own)
        half[:, np.arange(40) % blocks != b, at] = 0.0
    whole, split = half.mT @ half, blocks * own
    pull = draws.normal(size=(parts, blocks * own + dense))
    within = whole[:, :split, :split].reshape(parts, blocks, own, blocks, own)
    arrow = Arrow(
        block=jnp.array(np.einsum("abibj->aijb", within)),
        border=jnp.array(whole[:, split:, :split].reshape(parts, dense, blocks, own).swapaxes(2, 3)),
        rest=jnp.array(whole[:, split:, split:]),
        pull=jnp.array(pull[:, :split].reshape(parts, blocks, own).mT),
        rest_pull=jnp.array(pull[:, split:]),
    )
    mean, way = draws.normal(size=(parts, dense)), draws.normal(size=(parts, dense, size))
    prior = Prior(jnp.array(mean), jnp.array(way))

    def direct(arrow, prior):
        """All coordinates at once: those of the blocks of each part, then the common ones."""
        count = parts * split + size
        precision, tug, alone = jnp.eye(count), jnp.zeros(count), 0.0
        for a in range(parts):
            full = jnp.zeros((split + dense, split + dense)).at[split:, split:].set(arrow.rest[a])
            for b in range(blocks):
                at = slice(b * own, b * own + own)
                full = full.at[at, at].set(arrow.block[a, :, :, b])
                full = full.at[split:, at].set(arrow.border[a, :, :, b])
                full = full.at[at, split:].set(arrow.border[a, :, :, b].T)
            turn = jnp.zeros((split + dense, count)).at[split:, parts * split :].set(prior.way[a])
            turn = turn.at[:split, a * split : a * split + split].set(jnp.eye(split))
            place = jnp.zeros(split + dense).at[split:].set(prior.mean[a])
            towards = jnp.concatenate([arrow.pull[a].T.ravel(), arrow.rest_pull[a]])
            precision += turn.T @ full @ turn
            tug += turn.T @ (towards - full @ place)
            alone += towards @ place - 0.5 * place @ full @ place
        found = jnp.linalg.solve(precision, tug)
        return alone + 0.5 * tug @ found - 0.5 * jnp.linalg.slogdet(precision)[1], found

    want, mean_there = direct(arrow, prior)
    assert log_integral(arrow, prior) == pytest.approx(float(want), rel=1e-12)
    got = jax.grad(log_integral, (0, 1))(arrow, prior)
    expected = jax.grad(lambda *given: direct(*given)[0], (0, 1))(arrow, prior)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        if other.ndim > 2 and other.shape[1] == other.shape[2]:  # of a symmetric matrix only that counts
            other = (other + jnp.swapaxes(other, 1, 2)) / 2
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)
    inside, common = place(eliminate(arrow, prior), 0.0, 0.0, arrow, prior)
    np.testing.assert_allclose(np.ravel(inside.mT), mean_there[: parts * split], rtol=1e-9)
    np.testing.assert_allclose(common, mean_there[parts * split :], rtol=1e-9)


@pytest.mark.parametrize(("size", "concentration"), [(2, 1.0), (4, 2.0), (5, 0.7)])
def test_slopes_have_the_density_of_the_correlations_that_they_make(double, size, concentration):
    # 20,000 draws: the spread of each correlation lies within 5 of its standard errors of what Lewandowski
    # et al. derive, a beta distribution stretched over (-1, 1); of 17 one goes wrong once in 10^5 seeds
    prior = Slopes(size, concentration)
    drawn = prior.sample(jax.random.key(1), (20_000,))
    below = np.tril_indices(size, -1)
    volume = jnp.linalg.slogdet(jax.jacobian(lambda v: prior.root(v)[below])(drawn[0]))[1]
    want = LKJCholesky(size, concentration).log_prob(prior.root(drawn[0])) + volume
    assert prior.log_prob(drawn[0]) == pytest.approx(float(want), rel=1e-12)
    roots = prior.root(drawn)
    found = np.asarray(roots @ roots.mT)[:, *below]
    half = beta(concentration + size / 2 - 1, concentration + size / 2 - 1)
    square = (4 * half.var(), np.sqrt(16 * (half.stats("k") + 2) * half.var() ** 2 / len(drawn)))
    assert (np.abs((found**2).mean(0) - square[0]) / square[1]).max() < 5
    np.testing.assert_allclose(np.diagonal(roots @ roots.mT, axis1=1, axis2=2), 1.0, rtol=1e-12)


def test_the_mode_of_a_normal_density_is_its_mean_and_its_width_the_covariance():
    draw = np.random.default_rng(2)
    root = draw.normal(size=(6, 6))
    covariance, mean = 0.1 * root @ root.T, draw.normal(size=6)
    precision = np.linalg.inv(covariance)

    def density(point):
        away = point - mean
        return -0.5 * away @ precision @ away, -precision @ away

    found = mode(density, 6)
    np.testing.assert_allclose(found.place, mean, atol=1e-4)
    np.testing.assert_allclose(found.root @ found.root.T, covariance, rtol=1e-6, atol=1e-8)
    # where the others are 0, in some
    some = np.isin(np.arange(6), [1, 4])
    part, inside = mode(density, 6, some, np.arange(6) // 3), precision[np.ix_(some, some)]
    apart = np.linalg.inv(precision * np.kron(np.eye(2), np.ones((3, 3))))  # in blocks of three
    np.testing.assert_allclose(part.root @ part.root.T, apart, rtol=1e-6, atol=1e-8)
    want = np.zeros(6)
    want[some] = np.linalg.solve(inside, (precision @ mean)[some])
    np.testing.assert_allclose(part.place, want, atol=1e-4)


def test_a_gradient_costs_the_same_for_any_number_of_rows(double):
    def cost(rows):
        model = bm.Model(tasks=TASKS, formula="a + (1 | g)", relation={"kind": "correlated"})
        *_, one = prepared((model, table(rows)))

        def drawn():
            with trace() as sites:
                seed(one.program, 0)(one.data)
            return {name: site["value"] for name, site in sites.items() if free(site)}

        def density(given, data):
            with block(), trace() as seen:
                substitute(one.program, data=given)(data)
            return seen["collapsed"]["fn"].log_factor

        return jax.jit(jax.grad(density)).lower(jax.eval_shape(drawn), one.data).compile().cost_analysis()

    few, many = cost(60), cost(6_000)
    assert many["flops"] == few["flops"]
    assert many["bytes accessed"] == few["bytes accessed"]


REFUSED = {
    "counts is poisson": {"tasks": {"u": "gaussian", "counts": "poisson"}},
    "the noise of u is not one number": {"tasks": {"u": {"kind": "gaussian", "sigma": "marginal"}}},
    "the standard errors of u are known": {"tasks": {"u": {"kind": "gaussian", "se": 0.5}}},
    "the effects of g are Student-t": {"formula": "a + (1 | gr(g, dist = 'student'))"},
    "no scale, correlation or noise is left to draw": {
        "tasks": {"u": {"kind": "gaussian", "sigma": 2.0}},
        "relation": {"kind": "independent"},
        "shrinkage": {"kind": "flat"},
    },
    "each row has latent factors": {"residual": {"kind": "factor"}},
    "the prior of weight is not normal": {"shrinkage": {"kind": "spike_slab"}},
    "the prior of offset is not normal": {"priors": {"offset": "student_t(3, centre, 2 * unit)"}},
}


@pytest.mark.parametrize(("reason", "given"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_integrated_out_is_said_and_sampled(double, reason, given):
    model, rows = columns(**given)
    design = encode(model, rows.assign(counts=np.arange(len(rows)) % 4))
    program, data = build(design), jax.tree.map(jnp.asarray, design.data)
    assert refusal(design, program, data) == reason


@pytest.mark.parametrize(("size", "pays"), [(500, False), (10_000, True)])
def test_tasks_with_few_rows_are_sampled_since_their_cross_products_are_larger(double, size, pays):
    draw = np.random.default_rng(1)
    found = pd.DataFrame(draw.normal(size=(size, 15)), columns=[f"x{i}" for i in range(14)] + ["y"])
    found["school"] = draw.permutation(np.arange(size) % 19).astype(str)
    tasks = {"by": "school", "outcome": "y", "kind": "gaussian"}
    design = encode(bm.Model(tasks=tasks, formula=" + ".join(found.columns[:14])), found)
    program, data = build(design), jax.tree.map(jnp.asarray, design.data)
    few = "" if pays else "19 tasks have too few rows for cross-products to pay"
    assert refusal(design, program, data) == "" and burden(design, program, data) == few


def test_asked_for_in_vain_it_is_a_finding(double):
    model, rows = columns(tasks={"u": {"kind": "gaussian", "se": 0.5}}, engine={"kind": "collapsed"})
    with pytest.raises(bm.ModelError, match="can't integrate the coefficients out: the standard errors of u"):
        bm.fit(model, rows, seed=1, watch=lambda progress: None)


@pytest.mark.slow
def test_the_posterior_is_that_of_sampling_everything():
    # each mean within 4.5 combined Monte Carlo errors, each sd within 5: of about 40 parameters one goes
    # wrong by chance once in 1,500 seeds
    case, rows = columns(formula="a + (1 | g)", relation={"kind": "correlated"})
    import arviz  # first imported here, as it would leave numpyro half loaded

    found = {}
    for kind in ("auto", "nuts"):
        engine = {"kind": kind, "chains": 4, "warmup": 500, "draws": 1000}
        model = bm.Model(**{**vars(case), "engine": engine})
        found[kind] = bm.fit(model, rows, seed=4, watch=lambda progress: None)
    assert found["auto"].attrs["engine"] == "collapsed" and found["nuts"].attrs["engine"] == "nuts"
    one, other = (parameters(tree) for tree in found.values())
    assert list(one.parameter.values) == list(other.parameter.values)
    for statistic, bar in (("mean", 4.5), ("sd", 5.0)):
        means = [getattr(v, "std" if statistic == "sd" else "mean")(("chain", "draw")) for v in (one, other)]
        errors = [arviz.mcse(v.to_dataset(name="x"), method=statistic)["x"] for v in (one, other)]
        away = np.abs(means[0] - means[1]) / np.hypot(*errors)
        assert away.max() < bar, away.parameter[int(np.argmax(away.data))].item()
