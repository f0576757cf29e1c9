"""Posteriors of brms 2.18 with the same priors; ``bayes_fits`` says which, and how long its chains were.

Every mean lies within 4 Monte Carlo errors of both fits together, and every standard deviation within 10 %.
Of some 900 means one in 17 seeds would stray by chance; the seeds are fixed, and the draws are the same on
any number of cores.
"""

import pytest
from agreement import disagreements, published, sound, table

import bayesmtl as bm

pytestmark = pytest.mark.slow


def effects(post, group, tasks, prefix=""):
    """Every level's coefficients under brms' names."""
    found = {}
    u = post.posterior[f"effect_{group}"]
    for task in tasks:
        own = f"__{task}" if len(tasks) > 1 else ""
        for level in u[group].values:
            for term in u[f"{group}_term"].values:
                name = "Intercept" if term == "1" else term
                found[f"r_{group}{own}[{level},{name}]"] = u.sel(
                    {"task": task, group: level, f"{group}_term": term}
                )
    return found


def test_two_outcomes_of_pupils_in_schools():
    """Written paper and coursework, correlated over schools and over a pupil's papers, with empty cells."""
    sigma = {"kind": "gaussian", "offset": "normal(50, 50)", "sigma": "half_student_t(3, 20)"}
    model = bm.Model(
        tasks={"written": sigma, "csework": sigma},
        formula="female + (1 |p| school)",
        residual={"kind": "correlated", "correlation": "lkj(1)"},
        priors={
            "weight": "normal(0, 20)",
            "sd_school": "half_student_t(3, 20)",
            "correlation_school": "lkj(1)",
        },
    )
    post = bm.fit(model, table("gcsemv"), seed=1)
    p = post.posterior
    draws = {}
    for task in ("written", "csework"):
        draws[f"b_{task}_Intercept"] = p.offset.sel(task=task)
        draws[f"b_{task}_female"] = p.weight.sel(task=task, feature="female")
        draws[f"sd_school__{task}_Intercept"] = p.sd_school.sel(task=task, school_term="1")
        draws[f"sigma_{task}"] = p.sigma.sel(task=task)
    draws["cor_school__written_Intercept__csework_Intercept"] = p.correlation_school.sel(
        task="written", task_="csework", school_term="1", school_term_="1"
    )
    draws["rescor__written__csework"] = p.residual_correlation.sel(task="written", task_="csework")
    draws |= effects(post, "school", ["written", "csework"])
    assert not disagreements(draws, published("bayes_fits/gcsemv")["summary"]) and sound(post)


def test_reaction_times_of_sleepless_people():
    model = bm.Model(
        tasks={
            "Reaction": {
                "kind": "gaussian",
                "offset": "normal(250, 100)",
                "sigma": "half_student_t(3, 50)",
            }
        },
        formula="Days + (1 + Days | Subject)",
        priors={
            "weight[Days]": "normal(0, 50)",
            "sd_Subject": "half_student_t(3, 50)",
            "correlation_Subject": "lkj(1)",
        },
    )
    post = bm.fit(model, table("sleepstudy"), seed=1)
    p = post.posterior.sel(task="Reaction")
    draws = {
        "b_Intercept": p.offset,
        "b_Days": p.weight.sel(feature="Days"),
        "sd_Subject__Intercept": p.sd_Subject.sel(Subject_term="1"),
        "sd_Subject__Days": p.sd_Subject.sel(Subject_term="Days"),
        "cor_Subject__Intercept__Days": p.correlation_Subject.sel(Subject_term="1", Subject_term_="Days"),
        "sigma": p.sigma,
        **effects(post, "Subject", ["Reaction"]),
    }
    assert not disagreements(draws, published("bayes_fits/sleepstudy")["summary"]) and sound(post)


def test_radon_in_the_houses_of_counties():
    model = bm.Model(
        tasks={
            "log_radon": {
                "kind": "gaussian",
                "offset": "normal(0, 5)",
                "sigma": "half_student_t(3, 2.5)",
            }
        },
        formula="floor + log_uranium + (1 + floor | county)",
        priors={
            "weight": "normal(0, 5)",
            "sd_county": "half_student_t(3, 2.5)",
            "correlation_county": "lkj(1)",
        },
    )
    post = bm.fit(model, table("radon"), seed=1)
    p = post.posterior.sel(task="log_radon")
    draws = {
        "b_Intercept": p.offset,
        "b_floor": p.weight.sel(feature="floor"),
        "b_log_uranium": p.weight.sel(feature="log_uranium"),
        "sd_county__Intercept": p.sd_county.sel(county_term="1"),
        "sd_county__floor": p.sd_county.sel(county_term="floor"),
        "cor_county__Intercept__floor": p.correlation_county.sel(county_term="1", county_term_="floor"),
        "sigma": p.sigma,
        **effects(post, "county", ["log_radon"]),
    }
    assert not disagreements(draws, published("bayes_fits/radon")["summary"]) and sound(post)


def test_contraception_of_women_in_districts():
    whole = table("contraception").assign(age10=lambda t: t.age / 10, age10sq=lambda t: (t.age / 10) ** 2)
    whole = whole.assign(urb=(whole.urban == "Y") * 1.0)
    whole = whole.assign(**{f"ch{n}": (whole.livch == v) * 1.0 for n, v in ((1, "1"), (2, "2"), (3, "3+"))})
    names = ["age10", "age10sq", "urb", "ch1", "ch2", "ch3"]
    model = bm.Model(
        tasks={"use": {"kind": "bernoulli", "offset": "normal(0, 5)"}},
        formula=" + ".join(names) + " + (1 | district)",
        priors={"weight": "normal(0, 5)", "sd_district": "half_student_t(3, 1)"},
    )
    post = bm.fit(model, whole, seed=1)
    p = post.posterior.sel(task="use")
    draws = {
        "b_Intercept": p.offset,
        **{f"b_{name}": p.weight.sel(feature=name) for name in names},
        "sd_district__Intercept": p.sd_district.sel(district_term="1"),
        **effects(post, "district", ["use"]),
    }
    assert not disagreements(draws, published("bayes_fits/contraception")["summary"]) and sound(post)


def test_seizures_of_patients():
    whole = table("epil").assign(trt1=lambda t: (t.trt == "progabide") * 1.0)
    whole["inter"] = whole.lbase * whole.trt1
    names = ["lbase", "trt1", "inter", "lage", "V4"]
    model = bm.Model(
        tasks={"y": {"kind": "poisson", "offset": "normal(0, 5)"}},
        formula=" + ".join(names) + " + (1 | subject)",
        priors={"weight": "normal(0, 5)", "sd_subject": "half_student_t(3, 1)"},
    )
    post = bm.fit(model, whole, seed=1)
    p = post.posterior.sel(task="y")
    draws = {
        "b_Intercept": p.offset,
        **{f"b_{name}": p.weight.sel(feature=name) for name in names},
        "sd_subject__Intercept": p.sd_subject.sel(subject_term="1"),
        **effects(post, "subject", ["y"]),
    }
    assert not disagreements(draws, published("bayes_fits/epil")["summary"]) and sound(post)


def test_bitterness_of_wine_to_judges():
    whole = table("wine").assign(
        warm=lambda t: (t.temp == "warm") * 1.0, con=lambda t: (t.contact == "yes") * 1.0
    )
    model = bm.Model(
        tasks={"rating": {"kind": "ordinal", "levels": 5, "cut": "normal(0, 10)"}},
        formula="warm + con + (1 | judge)",
        priors={"weight": "normal(0, 5)", "sd_judge": "half_student_t(3, 1)"},
    )
    post = bm.fit(model, whole, seed=1)
    p = post.posterior.sel(task="rating")
    draws = {
        **{f"b_Intercept[{k}]": p.cut.sel(threshold=str(k)) for k in (1, 2, 3, 4)},
        "b_warm": p.weight.sel(feature="warm"),
        "b_con": p.weight.sel(feature="con"),
        "sd_judge__Intercept": p.sd_judge.sel(judge_term="1"),
        **effects(post, "judge", ["rating"]),
    }
    assert not disagreements(draws, published("bayes_fits/wine")["summary"]) and sound(post)
