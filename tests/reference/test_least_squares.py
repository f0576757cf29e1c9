"""Multivariate least squares and REML by R (lm, nlme): with flat priors, means within 0.1 posterior sd."""

import numpy as np
import pytest
from agreement import published, sound, table
from scipy import stats

import bayesmtl as bm

pytestmark = pytest.mark.slow
FLAT = {"kind": "gaussian", "offset": "normal(0, 1e5)"}


def regressed(whole, tasks, terms):
    model = bm.Model(
        tasks=dict.fromkeys(tasks, FLAT),
        formula=" + ".join(terms),
        relation="independent",
        shrinkage="flat",
        residual="correlated",
        engine={"kind": "nuts", "draws": 2000},
    )
    return bm.fit(model, whole, seed=1)


def far(post, fit, tasks, terms):
    """Coefficients more than 0.1 posterior sd off."""
    rows = {row["_row"]: row for row in fit["coef"]}
    found = {}
    for task in tasks:
        p = post.posterior.sel(task=task)
        for name in ("(Intercept)", *terms):
            drawn = p.offset if name == "(Intercept)" else p.weight.sel(feature=name)
            away = (float(drawn.mean()) - rows[name][task]) / float(drawn.std())
            if abs(away) > 0.1:
                found[task, name] = away
    return found


@pytest.mark.parametrize("ses", ["Lo", "Hi"])
def test_abilities_of_children(ses):
    """Rohwer's data, in Timm (1975)."""
    tasks, terms = ["SAT", "PPVT", "Raven"], ["n", "s", "ns", "na", "ss"]
    whole = table("rohwer")
    post = regressed(whole[whole["SES"] == ses], tasks, terms)
    assert not far(post, published("ml_fits/rohwer")[f"SES_{ses}"], tasks, terms) and sound(post)


def test_exercise_of_men():
    """Linnerud's data, in Tenenhaus (1998)."""
    tasks, terms = ["weight", "waist", "pulse"], ["chins", "situps", "jumps"]
    post = regressed(table("linnerud"), tasks, terms)
    fit = published("ml_fits/linnerud")["fit"]
    assert not far(post, fit, tasks, terms) and sound(post)
    drawn = post.posterior.residual_correlation
    mean, sd = drawn.mean(("chain", "draw")).values, drawn.std(("chain", "draw")).values
    expected = expected_correlation(fit, table("linnerud")[tasks].std().to_numpy())
    upper = np.triu_indices(3, 1)
    np.testing.assert_array_less(np.abs(mean - expected)[upper], 0.1 * sd[upper])


def expected_correlation(fit, unit):
    """The posterior mean of the residuals' correlation, from the residuals of R's fit alone.

    Under flat coefficients their products are all there is to know of it. Inverse-Wishart draws are
    weighted by lkj(1) and half_student_t(3, unit), whose density of correlations and sds they lack.
    """
    left, size = fit["n"] - len(fit["coef"]), len(unit)
    products = fit["n"] * np.array(fit["resid_cov_ML"])
    covariance = stats.invwishart(left - 1, products).rvs(100_000, random_state=0)
    drawn = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    correlation = covariance / (drawn[:, :, None] * drawn[:, None])
    # what is wanted over what was drawn: |C|^(-left / 2) over |C|^(-(left + size) / 2) sd^size
    log_weight = 0.5 * size * np.linalg.slogdet(covariance)[1] - size * np.log(drawn).sum(1)
    log_weight += stats.t(3).logpdf(drawn / unit).sum(1)
    weight = np.exp(log_weight - log_weight.max())
    return np.average(correlation, axis=0, weights=weight)


def test_growth_of_children():
    """Potthoff and Roy's data, in Pinheiro and Bates (2000): a line for each child."""
    model = bm.Model(
        tasks={"distance": FLAT},
        formula="age + (1 + age | Subject)",
        shrinkage="flat",
        engine={"kind": "nuts", "draws": 2000},
    )
    post = bm.fit(model, table("orthodont"), seed=1)
    p = post.posterior.sel(task="distance")
    fixed = published("ml_fits/orthodont")["random_slope"]["fixed"]
    for name, drawn in (("(Intercept)", p.offset), ("age", p.weight.sel(feature="age"))):
        assert abs(float(drawn.mean()) - fixed[name]["est"]) < 0.1 * float(drawn.std())
    assert sound(post)
