"""Group effects: their formulae, the arrays they make, and the coefficients against dense algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pandas as pd
import pytest
from numpyro.distributions.transforms import ComposeTransform
from numpyro.handlers import seed, substitute, trace
from numpyro.infer import MCMC, NUTS
from scipy import stats
from scipy.linalg import block_diag
from scipy.sparse import coo_array

from bayesmtl import grouped
from bayesmtl.axes import Axis
from bayesmtl.effects import contribution, effects
from bayesmtl.errors import ModelError
from bayesmtl.group_terms import GroupTerm, split
from bayesmtl.groups import Grouping
from bayesmtl.information import level_information
from bayesmtl.terms import columns, factors, mentioned, predictors

READ = [
    ("x", "x", []),
    ("(1 | g)", "1", [GroupTerm("1", ("g",))]),
    ("1 + (1|g)", "1", [GroupTerm("1", ("g",))]),
    ("0 + (1|g)", "0", [GroupTerm("1", ("g",))]),
    ("x + (1 + x | g) + z", "x + z", [GroupTerm("1 + x", ("g",))]),
    ("(1 | g) + x", "x", [GroupTerm("1", ("g",))]),
    ("(1 | g) - x", "1 - x", [GroupTerm("1", ("g",))]),
    ("(0 + x | g)", "1", [GroupTerm("0 + x", ("g",))]),
    ("x + (x || g)", "x", [GroupTerm("x", ("g",), correlated=False)]),
    ("x + (1 + x |p| g)", "x", [GroupTerm("1 + x", ("g",), id="p")]),
    ("(1 | g:h)", "1", [GroupTerm("1", ("g", "h"))]),
    ("(x |2| g/h)", "1", [GroupTerm("x", ("g",), id="2"), GroupTerm("x", ("g", "h"), id="2")]),
    (
        "(1 | a/b/c)",
        "1",
        [GroupTerm("1", ("a",)), GroupTerm("1", ("a", "b")), GroupTerm("1", ("a", "b", "c"))],
    ),
    ("(1 | g) + (1 | h)", "1", [GroupTerm("1", ("g",)), GroupTerm("1", ("h",))]),
    ("(1 | gr(g, cov = 'K, 2.csv'))", "1", [GroupTerm("1", ("g",), cov="K, 2.csv")]),
    (
        'x:z + (poly(x, 2) | gr(g:h, dist = "student", cov="K.csv"))',
        "x:z",
        [GroupTerm("poly(x, 2)", ("g", "h"), cov="K.csv", dist="student")],
    ),
    ("`a|b` + (`a b` | `a/b`:größe)", "`a|b`", [GroupTerm("`a b`", ("a/b", "größe"))]),
    ("(x + z)**2 + (1 | g)", "(x + z)**2", [GroupTerm("1", ("g",))]),
    ("I(x | z) + {x | z}", "I(x | z) + {x | z}", []),
]


@pytest.mark.parametrize(("formula", "fixed", "terms"), READ)
def test_group_terms_are_split_off(formula, fixed, terms):
    assert split(formula) == (fixed, tuple(terms))


REFUSED = [
    ("1 + x | g", 'can\'t read "1 + x | g": a "|" stands outside brackets. Write it as "(1 + x | g)".'),
    ("x * (1 | g)", 'has "(1 | g)" in a product or a difference. Add it with "+".'),
    ("x - (1 | g)", 'has "(1 | g)" in a product or a difference. Add it with "+".'),
    ("(1 | g):x", 'has "(1 | g)" in a product or a difference. Add it with "+".'),
    ("(x + (1 | g))", 'can\'t read "(x + (1 | g))": a group term stands inside other brackets.'),
    ("x + (1 | g", 'can\'t read "x + (1 | g": a bracket is never closed.'),
    ("( | g)", '"( | g)" has nothing before its bar. Write "(1 | g)".'),
    ("(1 | )", '"(1 | )" names no group.'),
    ("(x |p|| g)", '"(x |p|| g)" has too many bars.'),
    ("(x |a b| g)", '"(x |a b| g)" has "a b" between its bars. Write one word'),
    ("(1 | g + h)", '"(1 | g + h)" has the group "g + h". Write a term for each, or "g:h".'),
    ("(1 | a.b)", '"(1 | a.b)" has the group "a.b". Write it as "g", "g:h" or "g/h"; another name as `a.b`'),
    ("(1 | g/g)", '"(1 | g/g)" names a column of the group twice. Name it once.'),
    ("(1 | rg(g))", 'no function of a group called "rg". Known: gr.'),
    ("(1 | gr(g, covv='K.csv'))", 'no option of a group called "covv". Did you mean "cov"?'),
    ("(1 | gr(g, cov=K))", '"(1 | gr(g, cov=K))" has no text for cov. Write cov = "K.csv".'),
    ("(1 | gr(g, dist='studnt'))", 'no distribution of a group called "studnt". Did you mean "student"?'),
    ("(1 | gr(g/h, cov='K.csv'))", "\"(1 | gr(g/h, cov='K.csv'))\" has one covariance for several groups."),
    ("(1 | gr())", '"(1 | gr())" names no group. Write "gr(g)".'),
]


@pytest.mark.parametrize(("formula", "said"), REFUSED)
def test_what_is_no_group_term_is_refused(formula, said):
    with pytest.raises(ModelError) as error:
        split(formula, "tasks.y.formula")
    assert str(error.value).startswith(f"tasks.y.formula: {said}")


def test_every_group_term_that_is_wrong_is_named():
    with pytest.raises(ModelError) as error:
        split("x:(1 | g) + (1 | ) + (1 | mm(a, b))")
    assert len(error.value.findings) == 3


def test_columns_of_groups_and_of_predictors_are_told_apart():
    formula = "age + log(bmi) + (1 + `a b` |p| school/room) + (0 + z || gr(kin, cov = 'K.csv'))"
    assert mentioned(formula) == columns(formula) == ["a b", "age", "bmi", "kin", "room", "school", "z"]
    assert predictors(formula) == ["a b", "age", "bmi", "z"]
    assert factors(formula) == ["kin", "room", "school"]


ROWS = 13


def table():
    draw = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "x": draw.normal(3.0, 2.0, ROWS),
            "w": draw.choice(["low", "mid", "top"], ROWS),
            "g": [10, 9, 10, 2, 2, 9, 10, 2, 9, 2, 10, 9, 2],
            "h": list("babbaabbaabab"),
            "k": pd.Categorical(list("cabcabcabcabc"), ["c", "b", "a", "never"]),
        }
    )


def learned(*formulae, folder=None, rows=None, of=None):
    of = table() if of is None else of
    rows = np.ones((len(formulae), len(of)), bool) if rows is None else rows
    given = [(f"t{i}", f, rows[i], f"tasks.t{i}.formula") for i, f in enumerate(formulae)]
    return grouped.learn(given, of, folder)


def axis(grouping):
    return Axis("task", tuple(f"t{i}" for i in range(len(grouping.bundle))))


def test_levels_and_columns_are_those_written_by_hand():
    rows = np.array([[True] * 12 + [False], [True, False] * 6 + [False]])
    (grouping,) = learned("x + (1 + x + w | g)", "(1 | g)", rows=rows)
    whole = table()
    assert grouping.level == Axis("g", ("2", "9", "10"))  # numbers in their order, not that of their text
    assert grouping.term == Axis("g_term", ("1", "x", "w[T.mid]", "w[T.top]"))
    np.testing.assert_array_equal(grouping.uses, [[True] * 4, [True, False, False, False]])
    np.testing.assert_array_equal(grouping.index[:12], whole["g"].map({2: 0, 9: 1, 10: 2})[:12])
    by_hand = np.column_stack([np.ones(13), whole["x"], whole["w"] == "mid", whole["w"] == "top"])
    by_hand[12] = 0.0
    np.testing.assert_array_equal(grouping.z, by_hand)
    np.testing.assert_allclose(grouping.sd, [1.0, *by_hand[:12, 1:].std(0, ddof=1)])


def test_levels_of_combinations_and_only_those_that_a_cell_needs():
    rows = (table()["k"] != "b").to_numpy()[None]
    nested, inner, crossed = learned("(1 | k/h) + (1 | h)", rows=rows)
    assert [g.name for g in (nested, inner, crossed)] == ["k", "k:h", "h"]
    assert nested.level.labels == ("c", "a")  # in the order of the categories
    assert inner.level.labels == ("c:a", "c:b", "a:a", "a:b")
    whole = table()
    for i in np.flatnonzero(rows[0]):
        assert inner.level.labels[inner.index[i]] == f"{whole['k'][i]}:{whole['h'][i]}"
    np.testing.assert_array_equal(inner.z[~rows[0]], 0.0)


def test_terms_of_one_group_are_merged_into_blocks():
    found = learned(
        "(1 + x | g) + (1 | h)",
        "(1 | g) + (0 + x | g)",
        "(x || g) + (1 |p| h)",
        "(1 |p| h) + (0 + x |p| h) + (1 | gr(g, dist = 'student'))",
    )
    assert [g.name for g in found] == ["g", "h", "h_p", "g_2"]
    group, _, linked, far = found
    np.testing.assert_array_equal(group.bundle, [[0, 0], [0, 1], [0, 1], [-1, -1]])
    np.testing.assert_array_equal(linked.bundle, [[-1, -1], [-1, -1], [0, -1], [0, 0]])
    assert [g.together for g in found] == [False, False, True, False]
    assert [g.student for g in found] == [False, False, False, True]
    assert far.term.name == "g_2_term"


WRONG = [
    (("(1 | g) + (1 | g)",), 'tasks.t0.formula: has "1" of the group "g" twice. Drop one.'),
    (("(1 | school)",), 'table: no column called "school".'),
    (("x", "(1 | task)"), 'tasks.t1.formula: has the group "task". Rename the column'),
    (("(1 |p| g)", "(1 |p| gr(g, dist='student'))"), "tasks.t0.formula: has terms of the group"),
    (("(1 + x | empty)",), "table.empty: is empty where a task was measured: row 3."),
    (("(1 + y | g)",), 'tasks.t0.formula: "y" is no finite number: row 2. Mend that term'),
]


@pytest.mark.parametrize(("formulae", "said"), WRONG)
def test_what_can_not_be_grouped_is_said(formulae, said):
    whole = table().assign(empty=["a"] * 2 + [None] + ["b"] * 10, y=[1.0, np.nan] + [2.0] * 11, task="a")
    with pytest.raises(ModelError) as error:
        learned(*formulae, of=whole)
    assert str(error.value).startswith(said)


def test_text_gives_the_grouping_back_and_new_tables_get_new_levels():
    (grouping,) = learned("(bs(x, 4) + w | g:h)", "x")
    read = Grouping.read(str(grouping))
    again = grouped.apply(read, table())
    np.testing.assert_array_equal(again.index, grouping.index)
    np.testing.assert_allclose(again.z, grouping.z, atol=1e-12)
    np.testing.assert_array_equal(again.sd, grouping.sd)
    assert again.new == () and again.level == grouping.level
    few = table().iloc[:4].assign(g=[10, 77, 10, 77.0], h=["b", "a", "z", "a"])
    applied = grouped.apply(read, few)
    assert applied.new == ("77:a", "10:z") and applied.level == grouping.level
    n = len(grouping.level)
    assert applied.index.tolist() == [grouping.level.labels.index("10:b"), n, n + 1, n]
    np.testing.assert_allclose(applied.z, grouping.z[:4], atol=1e-12)
    with pytest.raises(ModelError, match=r"table.h: is empty where a task was measured: row 2"):
        grouped.apply(read, few.assign(h=["b", None, "a", "a"]))


KNOWN = np.array([[2.0, 0.5, 0.1, 0.3], [0.5, 1.0, 0.2, 0.0], [0.1, 0.2, 1.5, 0.4], [0.3, 0.0, 0.4, 1.0]])
NAMES = ["10", "new", "2", "9"]


def kin_file(folder, matrix=KNOWN, names=NAMES, rows=None):
    frame = pd.DataFrame(matrix, columns=names)
    if rows is not None:
        frame = frame.set_axis(rows)
    frame.to_csv(folder / "K.csv", index=rows is not None)


@pytest.mark.parametrize("turned", [False, True])
def test_a_known_covariance_is_read_in_the_order_of_the_levels(tmp_path, turned):
    down = [3, 1, 0, 2]
    if turned:
        kin_file(tmp_path, KNOWN[down], rows=[NAMES[i] for i in down])
    else:
        kin_file(tmp_path)
    (grouping,) = learned("(1 | gr(g, cov = 'K.csv'))", folder=tmp_path)
    assert grouping.level.labels == (
        "2",
        "9",
        "10",
        "new",
    )  # the last has no rows
    np.testing.assert_array_equal(grouping.covariance, KNOWN[np.ix_([2, 3, 0, 1], [2, 3, 0, 1])])
    read = Grouping.read(str(grouping))
    assert grouped.apply(read, table().assign(g="new")).index.tolist() == [3] * ROWS
    with pytest.raises(ModelError, match='no level with a known covariance called "11"'):
        grouped.apply(read, table().assign(g=11))


@pytest.mark.parametrize(
    ("matrix", "names", "rows", "said"),
    [
        (KNOWN[:3, :3], NAMES[:3], None, "K.csv lacks 9. Add them"),
        (KNOWN[:3], NAMES, None, "could"),
        (KNOWN + np.triu(np.ones((4, 4)), 1), NAMES, None, "K.csv is not symmetric"),
        (np.ones((4, 4)), NAMES, None, "K.csv is not positive definite"),
        (KNOWN, NAMES, ["10", "new", "2", "8"], "K.csv names other levels in its first column"),
        (np.where(KNOWN == 2.0, np.nan, KNOWN), NAMES, None, "K.csv holds what is no finite number"),
        (KNOWN[:2], NAMES, None, "K.csv has 2 rows for 4 levels"),
    ],
)
def test_what_is_no_covariance_is_refused(tmp_path, matrix, names, rows, said):
    kin_file(tmp_path, matrix, names, rows)
    if said == "could":  # three rows below four names: the first column would name the rows
        said = "K.csv names other levels"
    with pytest.raises(ModelError) as error:
        learned("(1 | gr(g, cov = 'K.csv'))", folder=tmp_path)
    assert str(error.value).startswith(f"tasks.t0.formula: {said}")


FORMS = {
    "mixed": ("(1 + x | g)", "x", "(1 + x || g)", "(0 + x | g) + (1 | g)", "(1 | g)"),
    "bundles": ("(1 + x | g) + (0 + w | g)",),
    "linked": ("(1 + x |p| g)", "x", "(1 |p| g)"),
    "known": ("(1 + x | gr(g, cov = 'K.csv'))", "(1 | gr(g, cov = 'K.csv'))"),
    "known and linked": ("(1 |p| gr(g, cov = 'K.csv'))", "(1 + x |p| gr(g, cov = 'K.csv'))"),
    "student": ("(1 + x | gr(g, dist = 'student'))",),
}
UNITS = np.array([3.0, 0.5, 1.7, 2.0, 5.0])


def run(grouping, given=(), pilot=None, key=3, **options):
    """The coefficients, and all sites, with some sites given."""
    with trace() as sites:
        u = seed(substitute(effects, data=dict(given)), key)(
            grouping, axis(grouping), UNITS[: len(grouping.bundle)], pilot, **options
        )
    return u, sites


def z_sites(sites):
    return {n: s["value"] for n, s in sites.items() if n.rpartition(".")[2].startswith("z_")}


def gathered(sites, name, *axes):
    """A parameter of several sites as one array; nan where no site has it."""
    whole = np.full([len(a) for a in axes], np.nan)
    for site, message in sites.items():
        if site.rpartition(".")[2] == name:
            places = [[a.labels.index(n) for n in own.labels] for a, own in zip(axes, message["axes"])]
            whole[np.ix_(*places)] = message["value"]
    return whole


def dense(grouping, sites):
    """The prior covariance of all coefficients given what is recorded; [(task, level, term)] twice."""
    task, term = axis(grouping), grouping.term
    sd = np.nan_to_num(gathered(sites, f"sd_{grouping.name}", task, term))
    name = f"correlation_{grouping.name}"
    if grouping.together:
        matrix = gathered(sites, name, task, term, task.other(), term.other())
        matrix = matrix.reshape(sd.size, sd.size)
    else:
        own = gathered(sites, name, task, term, term.other())
        own = np.where(np.isnan(own), np.eye(len(term)), own)
        matrix = block_diag(*own)
    over = np.nan_to_num(np.diag(sd.ravel()) @ np.nan_to_num(matrix) @ np.diag(sd.ravel()))
    levels = np.eye(len(grouping.level)) if grouping.covariance is None else grouping.covariance
    over = over.reshape(*sd.shape, *sd.shape)
    return np.einsum("akbl,ij->aikbjl", over, levels).reshape(sd.size * len(levels), -1)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "student"])
def test_prior_covariance_is_that_of_dense_algebra(tmp_path, form):
    kin_file(tmp_path)
    (grouping,) = learned(*FORMS[form], folder=tmp_path)
    with jax.enable_x64(True):
        u, sites = run(grouping)
        given = {n: s["value"] for n, s in sites.items() if s["type"] == "sample"}
        z = z_sites(sites)
        turn = jax.jit(jax.jacfwd(lambda z: run(grouping, given | z)[0]))(z)
        turn = np.concatenate([np.asarray(j).reshape(u.size, -1) for j in turn.values()], axis=1)
        want = dense(grouping, sites)
    np.testing.assert_allclose(turn @ turn.T, want, atol=1e-9)
    unused = ~np.broadcast_to(grouping.uses[:, None], u.shape)
    assert (np.asarray(u)[unused] == 0).all() and np.linalg.matrix_rank(want) == (~unused).sum()


@pytest.mark.parametrize("form", [form for form in FORMS if "known" not in form])
def test_the_map_leaves_the_density_of_the_coefficients_as_it_is(form):
    (grouping,) = learned(*FORMS[form])
    draw = np.random.default_rng(2)
    with jax.enable_x64(True):
        u, sites = run(grouping)
        # information from other responses at other rows: the density must not depend on it
        row = draw.integers(0, ROWS, 40)
        users = np.flatnonzero(grouping.uses.any(1))
        pilot = level_information(
            grouping, draw.gamma(2.0, size=40), draw.choice(users, 40), row, draw.normal(size=u.shape)
        )
        given = {n: s["value"] for n, s in sites.items() if s["type"] == "sample"}
        u, mapped = run(grouping, given, pilot)
        z = z_sites(mapped)
        used = np.broadcast_to(grouping.uses[:, None], u.shape)
        turn = jax.jit(jax.jacfwd(lambda z: run(grouping, given | z, pilot)[0][used]))(z)
        turn = np.concatenate([np.asarray(j).reshape(used.sum(), -1) for j in turn.values()], axis=1)
        density = sum(float(mapped[n]["fn"].log_prob(v).sum()) for n, v in z.items())
        density -= np.linalg.slogdet(turn)[1]
        want = dense(grouping, sites)
        if grouping.student:
            mixing = sites["mixing_g_standard"]
            turn = ComposeTransform(mixing["fn"].base_dist.transforms)
            spread = np.asarray(turn.inv(mixing["value"])[0]) ** -0.5
            spread = np.broadcast_to(spread[None, :, None], u.shape).ravel()
            want = want * np.outer(spread, spread)
    keep = used.ravel()
    normal = stats.multivariate_normal(cov=want[np.ix_(keep, keep)])
    assert density == pytest.approx(normal.logpdf(np.asarray(u).ravel()[keep]), abs=1e-9)


@pytest.mark.parametrize("form", ["mixed", "linked", "student"])
def test_under_a_normal_likelihood_the_map_makes_the_posterior_standard_normal(form):
    (grouping,) = learned(*FORMS[form])
    draw = np.random.default_rng(4)
    users = np.flatnonzero(grouping.uses.any(1))
    row, of = draw.integers(0, ROWS, 50), draw.choice(users, 50)
    y, noise = draw.normal(size=50), np.exp(draw.normal(size=50))
    with jax.enable_x64(True):
        u, sites = run(grouping)
        given = {n: s["value"] for n, s in sites.items() if s["type"] == "sample"}

        def loglik(u):
            eta = contribution(u, grouping.index, grouping.z, of, row)
            return -0.5 * (((y - eta) / noise) ** 2).sum()

        mode = jnp.where(np.broadcast_to(grouping.uses[:, None], u.shape), 0.3, 0.0)
        slope = np.asarray(jax.grad(loglik)(mode))
        pilot = level_information(grouping, noise**-2.0, of, row, np.asarray(mode), slope)
        heights = []
        for key in range(3):
            z = {n: draw.normal(size=v.shape) for n, v in z_sites(run(grouping, {}, pilot)[1]).items()}
            u, mapped = run(grouping, given | z, pilot, key)
            prior = sum(float(mapped[n]["fn"].log_prob(v).sum()) for n, v in z.items())
            heights.append(prior + float(loglik(u)) + 0.5 * sum((v**2).sum() for v in z.values()))
    np.testing.assert_allclose(heights, heights[0], atol=1e-9)


def test_draws_with_a_pilot_are_draws_from_the_prior():
    whole = pd.DataFrame({"g": range(20_000), "x": np.random.default_rng(1).normal(size=20_000)})
    (grouping,) = learned("(1 + x | g)", of=whole)
    shape = (1, len(whole), 2)
    pilot = {"precision": np.full((*shape, 2), 0.5) + np.eye(2), "pull": np.full(shape, 3.0)}
    u, sites = run(grouping, {}, pilot, sd=2.0)
    want = 4.0 * np.asarray(sites["correlation_g"]["value"][0])
    distance = np.einsum("lk,kj,lj->l", u[0], np.linalg.inv(want), u[0])
    assert stats.kstest(distance, stats.chi2(2).cdf).pvalue > 1e-4  # the false-alarm rate
    assert stats.kstest(np.asarray(u[0, :, 0]), stats.norm(0, 2.0).cdf).pvalue > 1e-4


def test_students_levels_lie_as_far_out_as_their_distribution_says():
    """A level's coefficients share how far out it lies: their squared distance has an F distribution."""
    whole = pd.DataFrame({"g": range(20_000), "x": np.random.default_rng(1).normal(size=20_000)})
    (grouping,) = learned("(1 + x | gr(g, dist = 'student'))", of=whole)
    few = grouped.apply(grouping, whole.assign(g=-whole["g"] - 1.0))  # all of them new
    for u, sites in (run(grouping, sd=2.0, df=5.0), run(few, sd=2.0, df=5.0)):
        want = 4.0 * np.asarray(sites["correlation_g"]["value"][0])
        own = np.asarray(u[0, -len(whole) :])
        distance = np.einsum("lk,kj,lj->l", own, np.linalg.inv(want), own) / 2
        assert stats.kstest(distance, stats.f(2, 5.0).cdf).pvalue > 1e-4  # the false-alarm rate
        assert stats.kstest(own[:, 0] / 2.0, stats.t(5.0).cdf).pvalue > 1e-4


@pytest.mark.parametrize("form", ["mixed", "linked"])
def test_contributions_are_those_of_a_block_design(form):
    (grouping,) = learned(*FORMS[form])
    draw = np.random.default_rng(8)
    of, row = draw.integers(0, len(grouping.bundle), 60), draw.integers(0, ROWS, 60)
    with jax.enable_x64(True):
        u = np.asarray(run(grouping)[0])
        added = contribution(u, grouping.index, grouping.z, of, row)
    _, levels, terms = u.shape
    first = (of * levels + grouping.index[row]) * terms
    places = (np.repeat(np.arange(60), terms), (first[:, None] + np.arange(terms)).ravel())
    design = coo_array((grouping.z[row].ravel(), places), shape=(60, u.size))
    np.testing.assert_allclose(added, design @ u.ravel(), rtol=1e-12)


def test_priors_of_standard_deviations_are_in_units_of_response_and_column():
    (grouping,) = learned("(1 + x | g)", "(1 + x | g)")
    sd = np.array([[0.4, 0.1], [2.0, 3.0]])
    with jax.enable_x64(True):
        widths = UNITS[:2, None] / [1.0, table()["x"].std()]
        given = {f"g{k + 1}.sd_g_standard": (sd / widths)[:, [k]] for k in range(2)}
        sites = run(grouping, given)[1]
        got = sum(sites[n]["fn"].log_prob(v) for n, v in given.items()) - np.log(widths).sum()
    np.testing.assert_allclose(gathered(sites, "sd_g", axis(grouping), grouping.term), sd)
    assert got == pytest.approx(np.sum(np.log(2) + stats.t(3, scale=widths).logpdf(sd)))


def test_a_recorded_posterior_is_honoured_and_new_levels_follow_its_correlations():
    """New levels come from the recorded scales and correlations, known ones from the recorded effects."""
    (grouping,) = learned("(1 + x |p| g)", "(1 |p| g)")
    many = pd.DataFrame({"g": np.arange(20_000) + 100, "x": 1.0})
    other = grouped.apply(Grouping.read(str(grouping)), many)
    matrix = np.array([[1.0, -0.9, 0.6], [-0.9, 1.0, -0.5], [0.6, -0.5, 1.0]])
    full = np.zeros((2, 2, 2, 2))
    of, term = np.array([0, 0, 1]), np.array([0, 1, 0])
    full[of[:, None], term[:, None], of, term] = matrix
    given = {"correlation_g": full, "effect_g": np.arange(12.0).reshape(2, 3, 2)}
    given |= {"g1.sd_g": np.array([[2.0], [0.5]]), "g2.sd_g": np.array([[0.1]])}
    with jax.enable_x64(True):
        u = np.asarray(run(other, given)[0])
    np.testing.assert_array_equal(u[:, :3], given["effect_g"])
    new = np.stack([u[0, 3:, 0] / 2.0, u[0, 3:, 1] / 0.1, u[1, 3:, 0] / 0.5])
    # the standard error of a correlation is below 0.0071; 5 of them: a false alarm in 10^6
    np.testing.assert_allclose(np.corrcoef(new), matrix, atol=0.035)
    np.testing.assert_allclose(new.std(1), 1.0, atol=0.025)
    assert (u[1, :, 1][3:] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("mapped", [False, True])
def test_sampled_effects_are_the_best_linear_predictions(mapped):
    """With scales given the posterior is normal: means by Henderson's equations, within 4 MCSE."""
    draw = np.random.default_rng(6)
    whole = pd.DataFrame({"g": draw.integers(0, 6, 60), "x": draw.normal(size=60)})
    (grouping,) = learned("(1 + x || g)", of=whole)
    y = draw.normal(size=60) + draw.normal(size=6)[whole["g"]] * (2.0 + whole["x"].to_numpy())
    of, row = np.zeros(60, int), np.arange(60)
    with jax.enable_x64(True):
        none = np.zeros((1, 6, 2))
        slope = np.zeros((1, 6, 2))
        np.add.at(slope, (0, grouping.index), grouping.z * y[:, None])
        pilot = level_information(grouping, np.ones(60), of, row, none, slope) if mapped else None

        def model():
            u = effects(grouping, axis(grouping), jnp.ones(1), pilot, sd=2.0)
            eta = contribution(u, grouping.index, grouping.z, of, row)
            numpyro.sample("y", numpyro.distributions.Normal(eta, 1.0), obs=y)

        chain = MCMC(NUTS(model), num_warmup=500, num_samples=4000, progress_bar=False)
        chain.run(jax.random.key(1))
        drawn = np.asarray(chain.get_samples()["effect_g"])[:, 0]
    design = np.zeros((60, 12))
    for k in range(2):
        design[np.arange(60), 2 * grouping.index + k] = grouping.z[:, k]
    inverse = np.linalg.inv(design.T @ design + np.eye(12) / 4.0)
    flat = drawn.reshape(4000, 12)
    few = numpyro.diagnostics.effective_sample_size(flat[None])
    error = flat.std(0) / np.sqrt(few)
    # twelve means beyond 4 standard errors: a false alarm in 1300 seeds
    assert (np.abs(flat.mean(0) - inverse @ design.T @ y) < 4 * error).all()
    np.testing.assert_allclose(flat.std(0), np.sqrt(np.diag(inverse)), rtol=0.12)
