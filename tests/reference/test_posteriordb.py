"""Reference posteriors of posteriordb: 10,000 draws by Stan, checked there by its own diagnostics."""

import pytest
from agreement import disagreements, published, sound, table

import bayesmtl as bm

pytestmark = pytest.mark.slow


def test_eight_schools():
    """Known standard errors and no other noise: a meta-analysis."""
    model = bm.Model(
        tasks={"y": {"kind": "gaussian", "se": "sigma", "sigma": 0, "offset": "normal(0, 5)"}},
        formula="(1 | school)",
        priors={"sd_school": "half_cauchy(5)"},
    )
    post = bm.fit(model, table("eight_schools"), seed=1)
    p = post.posterior.sel(task="y")
    effect = p.effect_school.sel(school_term="1")
    draws = {f"theta[{k}]": p.offset + effect.sel(school=str(k)) for k in range(1, 9)}
    draws |= {"mu": p.offset, "tau": p.sd_school.sel(school_term="1")}
    for name in ("eight_schools-eight_schools_noncentered", "eight_schools-eight_schools_centered"):
        assert not disagreements(draws, published(f"posteriordb/{name}")["summary"])
    assert sound(post)


FORMULAE = {
    "momhs": ["mom_hs"],
    "momiq": ["mom_iq"],
    "momhsiq": ["mom_hs", "mom_iq"],
    "interaction": ["mom_hs", "mom_iq", "mom_hs:mom_iq"],
}


@pytest.mark.parametrize("name", FORMULAE)
def test_scores_of_children(name):
    """Flat priors on the coefficients, and a half-Cauchy on the noise."""
    terms = FORMULAE[name]
    sigma = {"kind": "gaussian", "offset": "normal(0, 1e5)", "sigma": "half_cauchy(2.5)"}
    model = bm.Model(tasks={"kid_score": sigma}, formula=" + ".join(terms), shrinkage="flat")
    post = bm.fit(model, table("kidiq"), seed=1)
    p = post.posterior.sel(task="kid_score")
    draws = {"beta[1]": p.offset, "sigma": p.sigma}
    draws |= {f"beta[{k}]": p.weight.sel(feature=term) for k, term in enumerate(terms, 2)}
    assert not disagreements(draws, published(f"posteriordb/kidiq-kidscore_{name}")["summary"]) and sound(
        post
    )
