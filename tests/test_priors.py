"""Priors: reading, refusing and moving to standard units."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpyro.handlers import seed, trace

from bayesmtl import sites, structured, user_priors
from bayesmtl.axes import Axis
from bayesmtl.errors import ModelError
from bayesmtl.matching import faults, governed, unmatched
from bayesmtl.priors import FAMILIES, read

DENSITIES = {
    "normal": lambda m, s: scipy.stats.norm(m, s),
    "student_t": lambda df, m, s: scipy.stats.t(df, m, s),
    "cauchy": lambda m, s: scipy.stats.cauchy(m, s),
    "laplace": lambda m, s: scipy.stats.laplace(m, s),
    "half_normal": lambda s: scipy.stats.halfnorm(scale=s),
    "half_student_t": lambda df, s: _Folded(scipy.stats.t(df, 0, s)),
    "half_cauchy": lambda s: scipy.stats.halfcauchy(scale=s),
    "exponential": lambda r: scipy.stats.expon(scale=1 / r),
    "gamma": lambda a, r: scipy.stats.gamma(a, scale=1 / r),
    "inverse_gamma": lambda a, s: scipy.stats.invgamma(a, scale=s),
    "lognormal": lambda m, s: scipy.stats.lognorm(s, scale=math.exp(m)),
}
SIZES = st.floats(0.03, 30.0)


class _Folded:
    def __init__(self, density):
        self.density = density

    def logpdf(self, value):
        return math.log(2) + self.density.logpdf(value)


def test_every_family_over_an_axis_has_its_density_here():
    over_an_axis = {n for n, (over, _) in FAMILIES.items() if over in ("Real", "Positive")}
    assert set(DENSITIES) == over_an_axis


@pytest.mark.parametrize("family", DENSITIES)
@given(data=st.data(), centre=st.floats(-50, 50), unit=SIZES, value=st.floats(0.05, 5.0))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_the_standard_prior_has_the_density_of_the_original(family, data, centre, unit, value):
    over, roles = FAMILIES[family]
    arguments = [round(data.draw(SIZES), 3) for _ in roles]
    prior = read(f"{family}({', '.join(map(str, arguments))})", support=over)
    place = centre if over == "Real" else 0.0
    original = DENSITIES[family](*prior.numbers(centre, unit))
    standard = DENSITIES[family](*prior.standard(place, unit))
    moved = original.logpdf(place + unit * value) + math.log(unit)
    assert standard.logpdf(value) == pytest.approx(moved, rel=1e-6, abs=1e-6)


def test_words_stand_for_the_response():
    prior = read("normal(centre + unit, 2.5 * unit)")
    assert prior.numbers(7.0, 3.0) == [10.0, 7.5]
    assert prior.standard(7.0, 3.0) == [1.0, 2.5]
    assert prior.text(7.0, 3.0) == "normal(10, 7.5)"


def test_units_may_be_arrays():
    unit = np.array([2.0, 3.0, 5.0])
    moved = read("lognormal(1, 2)", support="Positive").standard(0.0, unit, np.log)
    np.testing.assert_allclose(moved[0], 1 - np.log(unit))
    assert moved[1] == 2.0


@pytest.mark.parametrize(
    ("text", "support", "value"),
    [(3, "Real", 3.0), ("-3", "Real", -3.0), (0.7, "Fraction", 0.7), ("2", "Positive", 2.0)],
)
def test_numbers_fix_a_parameter(text, support, value):
    assert read(text, support=support) == value


ANY = 'Write it as "family(numbers)", for instance "normal(0, 1)".'
REFUSED = [
    ("norml(0, 1)", "Real", 'no prior called "norml". Did you mean "normal"?'),
    ("normal(0)", "Real", '"normal(0)" has 1 arguments. Give 2.'),
    ("normal(0, 0)", "Real", '"normal(0, 0)" has a width of 0. Make it > 0.'),
    ("normal(0, -unit)", "Real", '"normal(0, -unit)" has a width of -unit. Make it > 0.'),
    ("gamma(-2, 1)", "Positive", '"gamma(-2, 1)" has -2 for a positive number. Make it > 0.'),
    ("lkj(0)", "Correlation", '"lkj(0)" has 0 for a positive number. Make it > 0.'),
    (
        "uniform(0.7, 0.3)",
        "Fraction",
        '"uniform(0.7, 0.3)" has wrong ends. Give 0 <= lower < upper <= 1.',
    ),
    (
        "normal(0, 1)",
        "Fraction",
        '"normal(0, 1)" is a prior over any number, and this is a number between 0 and 1. '
        "Use one of beta, uniform.",
    ),
    (
        "normal(mean, 1)",
        "Real",
        'can\'t read the prior "normal(mean, 1)". Use numbers, "centre" and "unit".',
    ),
    (
        "normal(0, 1 / 0)",
        "Real",
        'can\'t read the prior "normal(0, 1 / 0)". Use numbers, "centre" and "unit".',
    ),
    (
        "normal(0, 10**1000)",
        "Real",
        'can\'t read the prior "normal(0, 10 ** 1000)". Use numbers, "centre" and "unit".',
    ),
    ("normal(0, sd=1)", "Real", f'can\'t read the prior "normal(0, sd=1)". {ANY}'),
    ("normal(0, 1", "Real", f'can\'t read the prior "normal(0, 1". {ANY}'),
    ("-x", "Real", f'can\'t read the prior "-x". {ANY}'),
    ("'x'", "Real", f"can't read the prior \"'x'\". {ANY}"),
    ("", "Real", f'can\'t read the prior "". {ANY}'),
    ("\0", "Real", f'can\'t read the prior "\0". {ANY}'),
    (0, "Positive", "is fixed at 0. Give a positive number."),
    (float("nan"), "Positive", "is fixed at nan. Give a finite number."),
    (1.5, "Fraction", "is fixed at 1.5. Give one between 0 and 1."),
    (1, "Correlation", 'can\'t be fixed at a number. Write "lkj(2)".'),
]


@pytest.mark.parametrize(("text", "support", "said"), REFUSED)
def test_what_is_no_prior_is_refused(text, support, said):
    with pytest.raises(ModelError) as error:
        read(text, "tasks.score.sigma", support)
    assert str(error.value) == f"tasks.score.sigma: {said}"


@given(st.text(st.sampled_from("normal(,)0.5*unitce -+/'\"[]{}\\\n"), max_size=23))
@settings(deadline=None, derandomize=True, max_examples=300)
def test_any_text_is_a_prior_or_refused(text):
    try:
        read(text)
    except ModelError as error:
        assert str(error).startswith("prior: ")


# --- [priors] -------------------------------------------------------------------------------------

TASK, FEATURE = (
    Axis("task", ("written", "mood[sad]", "mood[glad]")),
    Axis("feature", ("age", "poly(x, 2)[1]")),
)


def where(given, name, *axes, support="Real"):
    """The entries of each prior, as a table of texts."""
    shown = np.full(tuple(map(len, axes)), "", object)
    for each in governed(given, name, axes, support):
        shown[each.where] = str(each.prior)
    return shown.tolist()


def test_the_key_with_the_most_labels_decides_and_of_equal_ones_the_last():
    given = {
        "weight[written, age]": 3,
        "weight": "normal(0, 1)",
        "weight[age]": "normal(0, 2)",
        "weight[written]": "normal(0, 4)",
    }
    assert where(given, "weight", TASK, FEATURE) == [
        ["3.0", "normal(0, 4)"],
        ["normal(0, 2)", "normal(0, 1)"],
        ["normal(0, 2)", "normal(0, 1)"],
    ]


@pytest.mark.parametrize(
    ("key", "rows"),
    [
        ("weight[mood, age]", [[0, 0], [1, 0], [1, 0]]),  # a task's name means all its predictors
        ("weight[mood[sad]]", [[0, 0], [1, 1], [0, 0]]),
        ("weight[poly(x, 2)[1]]", [[0, 1], [0, 1], [0, 1]]),
        ("weight[`poly(x, 2)[1]`]", [[0, 1], [0, 1], [0, 1]]),
        ("weight[written,age]", [[1, 0], [0, 0], [0, 0]]),
    ],
)
def test_labels_stand_in_the_order_of_the_axes(key, rows):
    given = {key: 1}
    assert where(given, "weight", TASK, FEATURE) == [["1.0" if x else "" for x in row] for row in rows]


def test_a_scalar_is_set_by_its_name_and_an_offset_by_that_of_the_posterior():
    assert where({"slab": 2}, "slab", support="Positive") == "2.0"
    assert where({"offset[written]": 2}, "level", TASK) == ["2.0", "", ""]
    assert where({"level[written]": 2}, "level", TASK) == ["2.0", "", ""]


def test_a_key_that_matches_nothing_is_a_finding():
    term = Axis("school_term", ("1", "Days"))
    known = {"gaussian.sigma": [(TASK.take([0]),)], "sd_school": [(TASK, term)], "level": [(TASK,)]}
    given = {
        "sd_schol[written]": 1,
        "sd_school[writen]": 1,
        "sd_school[Days, written]": 1,
        "sd_school[written, 1]": 1,
        "sigma[written]": 1,
        "sigma[mood]": 1,
        "offset[mood]": 1,
    }
    assert list(map(str, unmatched(given, known))) == [
        'priors.sd_schol[written]: no parameter with a prior called "sd_schol". Did you mean "sd_school"?',
        'priors.sd_school[writen]: no label of sd_school called "writen". Did you mean "written"?',
        "priors.sd_school[Days, written]: is no entry of sd_school. "
        "Its axes are task: written, mood[sad], mood[glad]; school_term: 1, Days.",
        'priors.sigma[mood]: no label of sigma called "mood". Known: written.',
    ]


def test_a_prior_of_another_support_names_the_key():
    with pytest.raises(ModelError, match=r"^priors\.sigma\[written\]: .* this is a positive number\."):
        governed({"sigma[written]": "normal(0, 1)"}, "sigma", (TASK,), "Positive")


def test_keys_and_texts_are_refused_whatever_the_parameters_are():
    given = {"a[b": 1, "c[]": 1, "d": True, "e": "norml(0, 1)", "f": "beta(1, 2)", "g": "lkj(2)", "h": [1]}
    assert [f.where for f in faults(given)] == [f"priors.{key}" for key in ("a[b", "c[]", "d", "e", "h")]


def sites_of(program, given):
    """What a program records and samples under ``[priors]``."""
    with user_priors.settings(given) as heard, trace() as seen, seed(rng_seed=0):
        program()
    return heard, seen


def test_entries_with_a_prior_of_their_own_have_its_density_and_the_others_the_default():
    unit, centre = np.array([2.0, 3.0, 5.0]), np.array([7.0, 11.0, 13.0])
    given = {"offset[written]": "student_t(4, centre + unit, 3)", "offset[mood[sad]]": 1.5}

    def program():
        value = sites.sample("level", "normal(centre, unit)", TASK, support="Real", centre=centre, unit=unit)
        assert value.shape == (3,)

    with jax.enable_x64(True):
        heard, seen = sites_of(program, given)
        value = np.asarray(seen["level"]["value"])
        drawn = {n: s for n, s in seen.items() if s["type"] == "sample"}
        total = sum(float(s["fn"].log_prob(s["value"])) for s in drawn.values())
    assert heard == {"offset": [(TASK,)]}
    assert value[1] == 1.5 and all(name.endswith(sites.STANDARD) for name in drawn)
    expected = scipy.stats.t(4, 7.0 + 2.0, 3).logpdf(value[0]) + scipy.stats.norm(13, 5).logpdf(value[2])
    assert total == pytest.approx(expected + math.log(2.0 * 5.0), rel=1e-9)


def test_priors_work_while_a_program_is_compiled():
    @jax.jit
    def draw(key):
        with user_priors.settings({"sigma[written]": "lognormal(0, 1)"}), seed(rng_seed=key):
            return sites.sample("sigma", "lognormal(1, 2)", TASK, support="Positive", unit=jnp.ones(3))

    assert (np.asarray(draw(jax.random.key(0))) > 0).all()


def test_settings_end_with_their_block_and_tell_the_outer_one():
    with user_priors.settings({"sigma": 5}) as outer, seed(rng_seed=0):
        with user_priors.settings({}):
            assert sites.sample("sigma", 2, TASK, support="Positive")[0] == 2.0
        assert outer == {"sigma": [(TASK,)]}
        assert sites.sample("sigma", 2, TASK, support="Positive")[0] == 5.0
    with seed(rng_seed=0):
        assert sites.sample("sigma", 2, TASK, support="Positive")[0] == 2.0


def test_cuts_of_one_task_have_a_prior_of_their_own_and_rise():
    cuts = Axis("threshold", ("1", "2"))

    def program():
        assert (jnp.diff(structured.ordered("cut_level", "normal(0, 2)", TASK, cuts)) > 0).all()

    with jax.enable_x64(True):
        _, seen = sites_of(program, {"cut[written]": "normal(1, 0.5)"})
        value = np.asarray(seen["cut_level"]["value"])
        drawn = [s for s in seen.values() if s["type"] == "sample"]
        total = sum(float(s["fn"].log_prob(s["value"])) for s in drawn)
    expected = (
        scipy.stats.norm(1, 0.5).logpdf(value[0]).sum() + scipy.stats.norm(0, 2).logpdf(value[1:]).sum()
    )
    assert total == pytest.approx(expected + 3 * math.log(2))  # two orders of each task's cuts
    with pytest.raises(ModelError, match=r"priors\.cut\[written, 1\]: names one threshold of several"):
        sites_of(program, {"cut[written, 1]": "normal(1, 0.5)"})


def test_correlations_have_the_prior_of_their_member():
    pair = Axis("term", ("1", "x"))

    def program():
        root = structured.correlation_root("correlation_school", "lkj(1)", pair, TASK)
        assert root.shape == (3, 2, 2)

    _, seen = sites_of(program, {"correlation_school[written]": "lkj(3)"})
    (site,) = [s for s in seen.values() if s["type"] == "sample"]
    np.testing.assert_allclose(site["fn"].base_dist.concentration, [3, 1, 1])
    slope = np.asarray(site["value"])[:, 0]
    # a correlation under lkj(n) of two is 2 beta(n, n) - 1; a slope s stands for s / sqrt(1 + s^2)
    r = slope / np.sqrt(1 + slope**2)
    each = zip([3, 1, 1], r, slope, strict=True)
    expected = sum(scipy.stats.beta(n, n, -1, 2).logpdf(x) - 1.5 * np.log1p(s**2) for n, x, s in each)
    assert float(site["fn"].log_prob(site["value"]).sum()) == pytest.approx(expected, rel=1e-4)
