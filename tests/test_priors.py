"""Priors: reading, refusing and moving to standard units."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesmtl.errors import ModelError
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
    moved = read("lognormal(1, 2)", support="Positive").standard(0.0, unit)
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
