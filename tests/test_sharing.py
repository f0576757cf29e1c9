"""Weights have the density that relation and shrinkage say, whatever the pilot, and tell what they should."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.handlers import seed, substitute, trace
from scipy import stats
from scipy.special import logsumexp, softmax

from bayesmtl import parts
from bayesmtl.axes import Axis, axis
from bayesmtl.errors import ModelError
from bayesmtl.sharing import Loading, Mixture, weights

TASK, FEATURE = Axis("task", ("a", "b", "mood[sad]", "mood[glad]")), axis("feature", 2)
T, D = len(TASK), len(FEATURE)
RANDOM = np.random.default_rng(11)
SCALE = jnp.array([0.6, 1.7])
PILOT = {"precision": RANDOM.gamma(1.0, 2.0, (T, D)), "place": RANDOM.normal(size=(T, D))}
CHANCE, CENTRE = np.array([0.2, 0.5, 0.3]), RANDOM.normal(size=(3, D))
WIDTH = np.array([[0.7, 0.5], [0.4, 0.9], [1.0, 0.3]])
LOADING = RANDOM.normal(size=(D, T, T)) / 2

pytestmark = pytest.mark.usefixtures("double")


def mixture(units, told=lambda belongs: None):
    return Mixture(jnp.tile(CHANCE, (units, 1)), jnp.asarray(CENTRE), jnp.asarray(WIDTH), told)


def pair(kind, told=lambda belongs: None):
    """A relation and a shrinkage of each kind."""
    return {
        "normal": (jnp.asarray(LOADING), SCALE),
        "one factor": (jnp.ones((T, 1)), SCALE),
        "more factors than tasks": (jnp.tile(jnp.asarray(LOADING[0]), 2), SCALE),
        "tasks": (mixture(T, told), SCALE),
        "features": (jnp.asarray(LOADING), mixture(D, told)),
    }[kind]


KINDS = pytest.mark.parametrize("kind", ["normal", "one factor", "tasks", "features"])


def run(kind, pilot, z=None, told=lambda belongs: None):
    """Weights, and the site that the sampler sees."""
    given = {} if z is None else {"z_standard": z}
    with trace() as sites, seed(rng_seed=1), substitute(data=given):
        w = weights(*pair(kind, told), pilot)
    return w, sites["z_standard"]


def log_density(kind, v):
    """By enumeration over every assignment of every task or feature; v as the sampler sees it."""
    if kind in ("normal", "one factor"):
        return stats.norm.logpdf(v).sum()
    return logsumexp([value for _, value in enumerated(kind, v)])


def enumerated(kind, v):
    for of in product(range(3), repeat=len(v)):
        own = list(of)
        centre = CENTRE[own] if kind == "tasks" else CENTRE[own, range(D)][:, None]
        width = WIDTH[own] if kind == "tasks" else WIDTH[own, range(D)][:, None]
        yield own, np.log(CHANCE[own]).sum() + stats.norm.logpdf(v, centre, width).sum()


@KINDS
def test_a_pilot_changes_variables_and_not_the_density(kind):
    """log p(z) = log p(v(z)) + log |dv/dz|, by automatic derivatives of the weights."""
    shape = jax.eval_shape(lambda: run(kind, PILOT)[1]["value"]).shape
    z = jnp.asarray(np.random.default_rng(3).normal(size=shape))

    def at(z, pilot):
        return run(kind, pilot, z)[0].ravel(), run(kind, pilot, z)[1]["fn"].log_prob(z)

    def with_slope(pilot):
        return jax.jit(
            lambda z: (*at(z, pilot), jax.jacobian(lambda z: at(z, pilot)[0])(z).reshape(T * D, -1))
        )

    w, found, moved = with_slope(PILOT)(z)
    plain = with_slope(None)(z)[2]
    v = np.linalg.lstsq(plain, w)[0].reshape(shape)  # weights are linear in v
    change = np.linalg.slogdet(np.linalg.lstsq(plain, moved)[0])[1]
    np.testing.assert_allclose(found, log_density(kind, v) + change, rtol=0, atol=1e-9)
    same, prior, _ = with_slope(None)(v)
    np.testing.assert_allclose(same, w, atol=1e-9)
    np.testing.assert_allclose(prior, log_density(kind, v), rtol=0, atol=1e-9)


def moments(kind):
    """Mean and variance of every weight, by hand; [task, feature]."""
    mean = CHANCE @ CENTRE
    square = CHANCE @ (WIDTH**2 + CENTRE**2)
    scale = np.asarray(SCALE)
    if kind == "tasks":
        return np.tile(mean * scale, (T, 1)), np.tile((square - mean**2) * scale**2, (T, 1))
    if kind == "features":  # the factors of a feature have a component in common
        between = CHANCE @ (CENTRE**2) - mean**2
        rows = LOADING.sum(2).T
        return rows * mean, (LOADING**2).sum(2).T * (CHANCE @ WIDTH**2) + rows**2 * between
    loading = {"normal": LOADING, "one factor": np.ones((D, T, 1))}.get(kind, np.tile(LOADING[:1], (D, 1, 2)))
    return np.zeros((T, D)), (loading**2).sum(2).T * scale**2


@pytest.mark.parametrize("pilot", [None, PILOT])
@pytest.mark.parametrize("kind", ["normal", "one factor", "more factors than tasks", "tasks", "features"])
def test_prior_draws_have_the_priors_moments_whatever_the_pilot(kind, pilot):
    def one(key):
        with seed(rng_seed=key):
            return weights(*pair(kind), pilot)

    w = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(2), 4000))
    mean, variance = moments(kind)
    # 8 means and 8 variances at 5 standard errors, ten times: a false alarm in 1 of 10,000 seeds
    assert (np.abs(w.mean(0) - mean) < 5 * np.sqrt(variance / 4000)).all()
    assert (np.abs(w.var(0) / variance - 1) < 5 * np.sqrt((stats.kurtosis(w) + 2) / 4000)).all()


@KINDS
def test_where_the_likelihood_is_the_pilots_z_has_mean_0_and_variance_1(kind):
    """By quadrature over all coordinates, for two tasks or two factors of one feature."""
    first = {k: v[:2, :1] for k, v in PILOT.items()}
    if kind == "tasks":  # features of a task are not turned: one at a time is enough
        relation = Mixture(jnp.tile(CHANCE, (2, 1)), CENTRE[:, :1], WIDTH[:, :1], lambda b: None)
        chosen = relation, SCALE[:1]
    elif kind == "features":
        chosen = (
            jnp.asarray(LOADING[:1, :2, :2]),
            Mixture(CHANCE[None], CENTRE[:, :1], WIDTH[:, :1], lambda b: None),
        )
    else:
        chosen = jnp.asarray(LOADING[:1, :2, : 2 if kind == "normal" else 1]), SCALE[:1]

    def joint(z):
        with trace() as sites, seed(rng_seed=0), substitute(data={"z_standard": z}):
            w = weights(*chosen, first)
        far = 0.5 * (first["precision"] * (w - first["place"]) ** 2).sum()
        return sites["z_standard"]["fn"].log_prob(z).sum() - far

    shape = (2, 1) if kind == "tasks" else (1, 1 if kind == "one factor" else 2)
    line = np.linspace(-9, 9, 181)
    z = np.stack(np.meshgrid(*[line] * int(np.prod(shape))), -1).reshape(-1, *shape)
    mass = softmax(np.asarray(jax.jit(jax.vmap(joint))(jnp.asarray(z))))
    flat = z.reshape(len(z), -1)
    np.testing.assert_allclose(mass @ flat, 0.0, atol=1e-7)
    np.testing.assert_allclose(np.einsum("n,ni,nj->ij", mass, flat, flat), np.eye(flat.shape[1]), atol=1e-7)


@pytest.mark.parametrize("factors", [0, 1, 3])
def test_many_tasks_with_parts_of_their_own_have_the_density_of_all_factors(factors):
    """Where the likelihood is the pilot's, z is standard normal up to its integral, by dense algebra."""
    draw = np.random.default_rng(5)
    tasks = 17
    loading = Loading(
        common=jnp.asarray(draw.normal(size=(D, tasks, factors))),
        own=jnp.asarray(np.append(draw.gamma(2.0, 0.5, (D, tasks - 1)), np.zeros((D, 1)), axis=1)),
    )
    pilot = {"precision": draw.gamma(1.0, 2.0, (tasks, D)), "place": draw.normal(size=(tasks, D))}
    matrix = np.asarray(SCALE)[:, None, None] * loading.matrix
    width = 1 / np.sqrt(pilot["precision"])
    whole = sum(
        stats.multivariate_normal.logpdf(
            pilot["place"][:, j], cov=matrix[j] @ matrix[j].T + np.diag(width[:, j] ** 2)
        )
        for j in range(D)
    )
    for seeded in range(3):
        with trace() as sites, seed(rng_seed=seeded):
            w = weights(loading, SCALE, pilot)
        own = [site for site in sites.values() if site["type"] == "sample"]
        prior = sum(float(site["fn"].log_prob(site["value"]).sum()) for site in own)
        likely = stats.norm.logpdf(pilot["place"], w, width).sum()
        standard = sum(stats.norm.logpdf(site["value"]).sum() for site in own)
        assert prior + likely == pytest.approx(standard + whole, abs=1e-9)
        assert sum(site["value"].size for site in own) == D * (tasks + factors)


@pytest.mark.parametrize("kind", ["tasks", "features"])
def test_a_mixture_tells_the_posterior_of_assignments_given_the_weights(kind):
    told = []
    _, site = run(kind, None, told=told.append)
    v = site["value"]
    chance = np.zeros((len(v), 3))
    logs = np.array([value for _, value in enumerated(kind, v)])
    for (of, _), p in zip(enumerated(kind, v), softmax(logs), strict=True):
        chance[range(len(v)), of] += p
    np.testing.assert_allclose(told[0], chance, atol=1e-12)


def test_mixtures_of_tasks_and_of_features_do_not_go_together():
    with pytest.raises(ModelError, match=r"mixture over tasks.*horseshoe"):
        weights(mixture(T), mixture(D), None)


def relation(kind, **options):
    """A relation's loading matrix and its sites, at one draw."""
    part = parts.bind("relations", {"kind": kind, **options})

    def draw():
        with trace() as sites, seed(rng_seed=4):
            loading = part(TASK, FEATURE)
            loading = loading.matrix if isinstance(loading, Loading) else loading
        return loading, {name: site["value"] for name, site in sites.items()}

    return jax.jit(draw)()


EDGES = [["a", "b"], ["b", "mood[sad]"]]


@pytest.mark.parametrize("omega", [0.0, 0.4, 0.97])
def test_graph_penalises_differences_between_neighbours(omega):
    loading, _ = relation("graph", edges=EDGES, omega=omega)
    penalty = np.zeros((T, T))
    for s, t in [(0, 1), (1, 2)]:
        away = np.eye(T)[s] - np.eye(T)[t]  # the quadratic form of (w_s - w_t) ** 2
        penalty += np.outer(away, away)
    penalty *= stats.gmean(np.diag(np.linalg.pinv(penalty))[:3])  # a glad mood has no neighbour
    covariance = np.linalg.inv(omega * penalty + (1 - omega) * np.eye(T))
    size = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(loading @ loading.T, covariance / np.outer(size, size), atol=1e-12)
    if omega == 0:
        np.testing.assert_allclose(loading @ loading.T, np.eye(T), atol=1e-12)


def test_a_task_of_several_predictors_is_named_once():
    all_three, _ = relation("graph", edges=[["a", "mood"]], omega=0.8)
    correlation = all_three @ all_three.T
    assert correlation[0, 2] == pytest.approx(correlation[0, 3]) and correlation[0, 2] > 0.3
    assert abs(correlation[0, 1]) < 1e-12


@pytest.mark.parametrize(
    "options, place",
    [
        ({}, [0, 1, 2, 3]),
        ({"order": ["b", "mood[glad]", "a", "mood[sad]"]}, [2, 0, 3, 1]),
        ({"at": {"a": 1990, "b": 2020, "mood[sad]": 1993, "mood[glad]": 2005}}, [0, 3, 0.3, 1.5]),
    ],
)
def test_ordered_tasks_correlate_by_their_distance(options, place):
    loading, sites = relation("ordered", **options)
    apart = np.abs(np.subtract.outer(place, place))
    np.testing.assert_allclose(loading @ loading.T, sites["autocorrelation"] ** apart, atol=1e-12)


def test_described_tasks_correlate_by_a_kernel_of_their_descriptors():
    by = {"a": [1.0, 30.0], "b": [2.0, 20.0], "mood[sad]": [3.0, 25.0], "mood[glad]": [7.0, 60.0]}
    loading, sites = relation("described", by=by)
    table = stats.zscore(np.array(list(by.values())))
    square = ((table[:, None] - table) ** 2).sum(-1)
    alike = (1 - sites["own"]) * np.exp(-square / 2 / sites["length"] ** 2) + sites["own"] * np.eye(T)
    np.testing.assert_allclose(loading @ loading.T, alike, atol=2e-7)
    same, _ = relation("described", by={"a": 1, "b": 2, "mood": 3}, own=0.0, length=1.0)
    assert (same @ same.T)[2, 3] == pytest.approx(1.0, abs=1e-6) and np.isfinite(same).all()


@pytest.mark.parametrize("rank", [1, 2, 9])
def test_low_rank_is_a_correlation_of_few_factors(rank):
    loading, sites = relation("low_rank", rank=rank)
    correlation = sites["task_correlation"]
    np.testing.assert_allclose(loading @ loading.T, correlation, atol=1e-12)
    np.testing.assert_allclose(np.diag(correlation), 1.0, rtol=1e-12)
    assert np.linalg.eigvalsh(correlation).min() > 0
    common = np.linalg.eigvalsh(correlation - np.diag(1 - sites["communality"]))
    assert (common > 1e-10).sum() == min(rank, T) and common.min() > -1e-10


def test_outlying_tasks_have_a_part_of_their_own_size():
    loading, sites = relation("outlying")
    share, own = sites["share"][:, None, None], np.diag(sites["outlying"] ** 2)
    np.testing.assert_allclose(loading @ loading.mT, share + (1 - share) * own, atol=1e-12)
    with trace() as seen, seed(rng_seed=4):
        parts.bind("relations", {"kind": "outlying", "df": 7.0})(TASK, FEATURE)
    mixing = seen["outlying_standard"]["fn"].base_dist
    np.testing.assert_allclose(mixing.mean, 1.0)
    # a normal with such a variance is Student's t with df degrees of freedom, brought to variance 1
    grid = np.linspace(1e-4, 60, 400_001)
    density = np.exp(np.asarray(mixing.log_prob(grid[:, None]))[:, 0]) * stats.norm.pdf(1.3, 0, np.sqrt(grid))
    assert np.trapezoid(density, grid) == pytest.approx(stats.t.pdf(1.3, 7, 0, np.sqrt(5 / 7)), rel=1e-5)


def test_a_sum_adds_covariances_by_their_shares_and_keeps_names_apart():
    kinds = ["partial", {"kind": "graph", "edges": EDGES}, "correlated", "partial"]
    loading, sites = relation("sum_of", relations=kinds)
    shares = sites["shares"]
    assert shares.shape == (4,) and float(shares.sum()) == pytest.approx(1.0)
    first, again = sites["partial_share"], sites["partial_2_share"]
    assert "share" not in sites and {"omega", "task_correlation"} < set(sites)
    graph, _ = relation("graph", edges=EDGES, omega=float(sites["omega"]))
    for j in range(D):
        expected = (
            shares[0] * (first[j] + (1 - first[j]) * np.eye(T))
            + shares[1] * graph @ graph.T
            + shares[2] * sites["task_correlation"]
            + shares[3] * (again[j] + (1 - again[j]) * np.eye(T))
        )
        np.testing.assert_allclose(loading[j] @ loading[j].T, expected, atol=1e-12)


CHAIN = {"a": 0, "b": 1, "mood": 2}


@pytest.mark.parametrize(
    "kind, options, message",
    [
        ("graph", {}, "relation.edges: is empty"),
        ("graph", {"edges": [["a", "bb"]]}, 'no task called "bb". Did you mean "b"'),
        ("graph", {"edges": ["ab"]}, "relation.edges: has 'ab'"),
        ("graph", {"edges": EDGES, "omega": 1.0}, "is fixed at 1"),
        ("ordered", {"order": ["a", "b"]}, r"relation.order: lacks mood\[sad\], mood\[glad\]"),
        ("ordered", {"at": CHAIN}, "two tasks in one place"),
        ("ordered", {"at": CHAIN, "order": list(CHAIN)}, "both order and at"),
        ("described", {"by": {"a": 1, "b": 2}}, "relation.by: lacks mood"),
        ("described", {"by": CHAIN | {"a": [1, 2]}}, "several lengths"),
        ("described", {"by": {"a": 1, "b": 1, "mood": 1}}, "one value"),
        ("outlying", {"df": 2.0}, "relation.df: is 2"),
        ("clustered", {"share": 1.0}, "relation.share: is fixed at 1"),
        ("sum_of", {"relations": ["pooled", "clustered"]}, "relation.clustered: is a mixture"),
    ],
)
def test_what_a_relation_cannot_use_is_a_finding(kind, options, message):
    with pytest.raises(ModelError, match=message):
        relation(kind, **options)


@pytest.mark.parametrize("kind, options", [("clustered", {"clusters": 2}), ("exchangeable_or_not", {})])
def test_what_a_mixture_of_tasks_records_is_what_enumeration_finds(kind, options):
    part = parts.bind("relations", {"kind": kind, **options})
    with trace() as sites, seed(rng_seed=6):
        made = part(TASK, FEATURE)
        w = np.asarray(weights(made, jnp.ones(D), None))
    chance, centre, width = (np.asarray(a) for a in (made.chance, made.centre, made.width))
    share = np.asarray(sites["share"]["value"])
    if kind == "clustered":
        np.testing.assert_allclose(centre, np.sqrt(share) * sites["centre_standard"]["value"])
        np.testing.assert_allclose(width, np.tile(np.sqrt(1 - share), (2, 1)))
    else:
        np.testing.assert_allclose(centre, [np.sqrt(share) * sites["centre_standard"]["value"], np.zeros(D)])
        np.testing.assert_allclose(width, [np.sqrt(1 - share), np.ones(D)])
    every = list(product(range(2), repeat=T))
    logs = [
        sum(
            np.log(chance[t, k]) + stats.norm.logpdf(w[t], centre[k], width[k]).sum()
            for t, k in enumerate(own)
        )
        for own in every
    ]
    p, of = softmax(logs), np.array(every)
    if kind == "clustered":
        expected = [[p @ (of[:, s] == of[:, t]) for t in range(T)] for s in range(T)]
        np.testing.assert_allclose(sites["together"]["value"], expected, atol=1e-12)
    else:
        np.testing.assert_allclose(sites["borrows"]["value"], p @ (of == 0), atol=1e-12)


def shrinkage(kind, features=FEATURE, **options):
    part = parts.bind("shrinkage", {"kind": kind, **options})

    def draw():
        with trace() as sites, seed(rng_seed=5):
            found = part(TASK, features)
        return found, {name: site["value"] for name, site in sites.items()}

    return jax.jit(draw)()


def test_blocks_give_the_features_of_a_view_one_scale():
    features = Axis("feature", ("age", "x", "C(region)[T.b]", "C(region)[T.c]", "z"))
    found, sites = shrinkage("blocks", features, views={"place": ["C(region)", "x"], "self": ["age"]})
    place, own = found[1], sites["size"]
    assert own.shape == (3,) and len({float(s) for s in own}) == 3
    np.testing.assert_array_equal(found, jnp.stack([found[0], place, place, place, found[4]]))
    with pytest.raises(ModelError, match='Did you mean "age"'):
        shrinkage("blocks", features, views={"self": ["aeg"]})
    with pytest.raises(ModelError, match='has "x", which is in "place" too'):
        shrinkage("blocks", features, views={"place": ["x"], "self": ["x"]})
