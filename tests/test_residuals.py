"""Residuals that are correlated within a row, held to scipy's densities of what was measured."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from scipy import stats

from bayesmtl.axes import Axis, axis
from bayesmtl.errors import ModelError
from bayesmtl.joint import Joint
from bayesmtl.layout import layout
from bayesmtl.pairs import set_of
from bayesmtl.residuals.correlated import correlated
from bayesmtl.residuals.factor import factor
from bayesmtl.residuals.independent import independent

TASKS, ROWS = 3, 19
TASK = axis("task", TASKS)
CORRELATION = np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]])
ROOT = np.linalg.cholesky(CORRELATION)
DF = 4.5

pytestmark = pytest.mark.usefixtures("double")


def cells(seed=0, rows=ROWS):
    """Cells in any order, of rows with gaps between them: all 7 patterns, with a scale for each cell."""
    draw = np.random.default_rng(seed)
    code = np.arange(rows) % 7 + 1
    row, task = np.nonzero(code[:, None] >> np.arange(TASKS) & 1)
    order = draw.permutation(len(row))
    row, task = 3 * row[order] + 2, task[order]
    loc, scale = draw.normal(size=len(row)), draw.uniform(0.3, 3.0, len(row))
    return row, task, loc, scale, loc + 2 * scale * draw.normal(size=len(row))


def joint(row, task, loc, scale, df=None, root=ROOT):
    return Joint(jnp.array(loc), jnp.array(scale), jnp.array(root), layout(row, task, len(root)), df)


def scipys(at, task, loc, scale, y, df, correlation=CORRELATION):
    """Log density of some cells of one row; of no cells it is 0."""
    if not len(at):
        return 0.0
    covariance = correlation[np.ix_(task[at], task[at])] * np.outer(scale[at], scale[at])
    if df is None:
        return stats.multivariate_normal.logpdf(y[at], loc[at], covariance)
    return stats.multivariate_t.logpdf(y[at], loc[at], covariance, df)


@pytest.mark.parametrize("df", [None, DF])
def test_the_log_density_of_every_pattern_is_scipys(df):
    row, task, loc, scale, y = cells()
    found = joint(row, task, loc, scale, df)
    assert found.layout["mask"].shape == (7, TASKS) and found.event_shape == y.shape
    expected = [scipys(np.flatnonzero(row == r), task, loc, scale, y, df) for r in np.unique(row)]
    np.testing.assert_allclose(found.rows(jnp.array(y)), expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.log_prob(jnp.array(y)), sum(expected), rtol=0, atol=1e-10)


@pytest.mark.parametrize("df", [None, DF])
def test_the_conditional_of_a_cell_is_the_joint_less_the_others(df):
    row, task, loc, scale, y = cells()
    expected = []
    for i in range(len(y)):
        whole = np.flatnonzero(row == row[i])
        with_it, others = (scipys(at, task, loc, scale, y, df) for at in (whole, whole[whole != i]))
        expected.append(with_it - others)
    found = joint(row, task, loc, scale, df).conditional(jnp.array(y))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("df", [None, DF])
def test_a_row_of_one_cell_is_a_distribution_of_one(df):
    row, task = np.arange(5), np.array([2, 0, 1, 0, 2])
    y, loc, scale = np.array([0.1, -3.0, 2.0, 0.0, 9.0]), np.zeros(5), np.array([1.0, 2.0, 0.5, 1.0, 3.0])
    expected = stats.norm.logpdf(y, loc, scale) if df is None else stats.t.logpdf(y, df, loc, scale)
    found = joint(row, task, loc, scale, df)
    for said in (found.rows(jnp.array(y)), found.conditional(jnp.array(y))):
        np.testing.assert_allclose(said, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("df", [None, DF])
def test_the_slope_is_that_of_small_steps(df):
    row, task, loc, scale, y = cells()
    arrays = layout(row, task, TASKS)

    def density(loc, scale, free, df):
        root = jnp.tril(free)
        root /= jnp.sqrt((root**2).sum(-1, keepdims=True))
        return Joint(loc, scale, root, arrays, df).log_prob(jnp.array(y))

    at = [jnp.array(loc), jnp.array(scale), jnp.array(ROOT), df]
    wanted = (0, 1, 2) if df is None else (0, 1, 2, 3)
    value, slopes = jax.jit(jax.value_and_grad(density, argnums=wanted))(*at)
    draw = np.random.default_rng(1)
    way = [draw.normal(size=np.shape(at[k])) for k in wanted]
    step = 1e-6
    ends = [density(*[at[k] + s * step * way[k] for k in wanted], *at[len(wanted) :]) for s in (1, -1)]
    expected = (ends[0] - ends[1]) / (2 * step)
    assert np.isfinite(value)
    np.testing.assert_allclose(sum((s * w).sum() for s, w in zip(slopes, way)), expected, rtol=1e-6)


@pytest.mark.parametrize("df", [None, 9.0])
def test_draws_have_the_moments_that_are_declared(df):
    row, task, loc, scale, _ = cells(rows=7)
    found = joint(row, task, loc, scale, df)
    count = 40_000
    y = np.array(found.sample(jax.random.key(3), (count,)))
    assert y.shape == (count, len(loc))
    np.testing.assert_allclose(found.mean, loc)
    spread = np.sqrt(np.asarray(found.variance))
    z = (y - loc) / spread
    # 12 means at 5 standard errors: a false alarm in 1 of 140,000 seeds
    assert np.abs(z.mean(0)).max() < 5 / np.sqrt(count)
    products = z[:, :, None] * z[:, None, :]
    expected = np.where(row[:, None] == row, CORRELATION[np.ix_(task, task)], 0.0)
    # 78 second moments at 5 standard errors: a false alarm in 1 of 20,000 seeds
    assert (np.abs(products.mean(0) - expected) < 5 * products.std(0) / np.sqrt(count)).all()


def test_student_t_cells_of_a_row_share_their_mixing():
    y = joint(np.zeros(2, int), np.arange(2), np.zeros(2), np.ones(2), 5.0, np.eye(2))
    draws = np.array(y.sample(jax.random.key(0), (20_000,)))
    for each in draws.T:  # two margins: a false alarm in 1 of 5,000 seeds
        assert stats.kstest(each, stats.t(5.0).cdf).pvalue > 1e-4
    # independent cells would correlate in absolute value by more than 5 / sqrt(20000) in 1 of 10^6 seeds
    assert np.corrcoef(np.log(np.abs(draws.T)))[0, 1] > 5 / np.sqrt(20_000)


def test_a_student_t_has_no_variance_where_its_tails_are_heavy():
    row, task, loc, scale, _ = cells()
    np.testing.assert_allclose(
        joint(row, task, loc, scale, 5.0).variance, stats.t.var(5.0, loc, scale), rtol=1e-12
    )
    assert np.isinf(joint(row, task, loc, scale, 1.5).variance).all()
    assert np.isnan(joint(row, task, loc, scale, 0.9).mean).all()


def test_the_order_of_cells_changes_nothing():
    row, task, loc, scale, y = cells()
    order = np.argsort(y)
    one = joint(row, task, loc, scale, DF)
    other = joint(row[order], task[order], loc[order], scale[order], DF)
    np.testing.assert_allclose(
        other.conditional(jnp.array(y[order])), one.conditional(jnp.array(y))[order], rtol=1e-12
    )


def test_only_rows_and_patterns_that_are_there_are_laid_out():
    row, task = np.repeat(np.arange(100_000), 2), np.tile([1, 3], 100_000)
    found = layout(row + 7, task, 6)
    assert found["mask"].tolist() == [[False, True, False, True, False, False]]
    assert found["pattern"].shape == (100_000,) and not found["pattern"].any()
    with pytest.raises(ValueError, match="two cells of one task"):
        layout(np.array([4, 4]), np.array([1, 1]), 2)


def test_a_gradient_makes_no_matrix_per_row():
    row, task = np.repeat(np.arange(1000), 6), np.tile(np.arange(6), 1000)
    arrays = layout(row, task, 6)

    def density(loc):
        return Joint(loc, jnp.ones(6000), jnp.eye(6), arrays, DF).log_prob(jnp.zeros(6000))

    program = jax.make_jaxpr(jax.grad(density))(jnp.zeros(6000))
    largest = max(v.aval.size for e in program.jaxpr.eqns for v in e.outvars if hasattr(v.aval, "size"))
    assert largest <= 2 * 6000  # cells, or the two indices of each


def drawn(part, *args, count, **options):
    """Recorded sites and what a part returns, for many draws of its prior."""

    def run(key):
        with numpyro.handlers.trace() as seen:
            said = numpyro.handlers.seed(part, key)(*args, **options)
        values = {name: site["value"] for name, site in seen.items()}
        return values, (said.shift, said.root, said.df)

    return jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(5), count))


def test_independent_residuals_have_nothing():
    said = independent(TASK, ROWS)
    assert said.shift is None and said.root is None and said.df is None


def test_all_tasks_are_correlated_unless_pairs_are_named():
    values, (shift, root, df) = drawn(correlated, TASK, ROWS, False, count=2000)
    assert shift is None and df is None and "residual_df" not in values
    found = values["residual_correlation"]
    np.testing.assert_allclose(root @ jnp.swapaxes(root, 1, 2), found, atol=1e-12)
    # lkj(1) of three tasks: (1 + r) / 2 is beta(3/2, 3/2). Three tests: a false alarm in 1 of 3,000 seeds
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert stats.kstest(found[:, i, j], lambda r: stats.beta.cdf((1 + r) / 2, 1.5, 1.5)).pvalue > 1e-4


def test_pairs_are_the_only_tasks_that_are_correlated():
    five = Axis("task", ("a", "b", "c", "d", "e"))
    pairs = [["d", "b"], ["a", "e"], ["e", "c"], ["c", "a"]]
    values, (_, root, df) = drawn(correlated, five, ROWS, True, count=3, pairs=pairs)
    found = np.array(values["residual_correlation"])
    joined = np.eye(5, dtype=bool)
    for i, j in ((3, 1), (0, 4), (4, 2), (2, 0)):
        joined[i, j] = joined[j, i] = True
    assert ((np.abs(found) > 1e-9) == joined).all()
    np.testing.assert_allclose(np.diagonal(found, axis1=1, axis2=2), 1.0, rtol=1e-12)
    np.testing.assert_allclose(root, np.linalg.cholesky(found), atol=1e-12)
    assert set_of(five, pairs) == [0, 1, 0, 1, 0] and (df > 0).all()
    assert set_of(five, [["a", "b"]]) == [0, 0, 1, 2, 3]


def test_student_t_tasks_of_two_sets_are_independent():
    task, pairs = Axis("task", ("a", "b", "c")), [["a", "c"]]
    row, column, loc, scale, y = cells()
    correlation = np.array([[1.0, 0.0, 0.7], [0.0, 1.0, 0.0], [0.7, 0.0, 1.0]])
    arrays = layout(row, column, 3, set_of(task, pairs))
    root = jnp.array(np.linalg.cholesky(correlation))
    found = Joint(jnp.array(loc), jnp.array(scale), root, arrays, DF).log_prob(jnp.array(y))
    expected = stats.t.logpdf(y, DF, loc, scale)[column == 1].sum()
    for r in np.unique(row):
        at = np.flatnonzero((row == r) & (column != 1))
        expected += scipys(at, column, loc, scale, y, DF, correlation)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "pairs, said",
    [
        ([["written", "course"], ["course", "oral"]], "not to each other. Add ['written', 'oral']"),
        ([["written", "coarse"]], 'no task called "coarse". Did you mean "course"?'),
        ([["written", "written"]], "is not two tasks"),
        (["written"], "is not two tasks"),
    ],
)
def test_pairs_that_make_no_matrix_are_refused_with_a_remedy(pairs, said):
    task = Axis("task", ("written", "course", "oral"))
    with pytest.raises(ModelError) as refused, numpyro.handlers.seed(rng_seed=0):
        correlated(task, ROWS, pairs=pairs)
    assert said in str(refused.value) and all(f.remedy for f in refused.value.findings)


def test_a_factor_is_what_the_linear_predictors_of_a_row_share():
    unit = jnp.array([1.0, 3.0, 0.5])
    values, (shift, root, df) = drawn(factor, TASK, ROWS, False, unit, count=4000, factors=2, size=0.7)
    assert shift.shape == (4000, ROWS, TASKS) and root is None and df is None
    loading, f = values["residual_loading_standard"], values["residual_factor_standard"]
    scaled = 0.7 * loading * unit[:, None]
    np.testing.assert_allclose(
        values["residual_covariance"], scaled @ jnp.swapaxes(scaled, 1, 2), rtol=1e-12, atol=1e-12
    )
    # given its loadings, a row's shift times the unit has the covariance that is recorded: the difference
    # averages to 0 over draws of both. Nine means at 5 standard errors: a false alarm in 1 of 190,000 seeds
    one = shift[:, 0] * unit
    apart = np.array(one[:, :, None] * one[:, None, :] - values["residual_covariance"])
    assert (np.abs(apart.mean(0)) < 5 * apart.std(0) / np.sqrt(4000)).all()
    # of two factors it is, for every draw, what the loadings make of them
    np.testing.assert_allclose(shift, 0.7 * jnp.einsum("drf,dtf->drt", f, loading), atol=1e-12)


def test_a_factor_of_a_pair_leaves_the_other_tasks_alone():
    task = Axis("task", ("stay", "mood[sad]", "mood[glad]", "falls"))
    values, (shift, *_) = drawn(factor, task, ROWS, count=3, pairs=[["stay", "mood"]])
    assert values["residual_factor_standard"].shape == (3, ROWS, 1)
    assert (np.array(shift)[..., 3] == 0).all() and (np.array(shift)[..., :3] != 0).all()
    three = values["residual_covariance"]
    assert (np.array(three)[:, 3] == 0).all() and (np.array(three)[:, :3, :3] != 0).all()
