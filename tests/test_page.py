"""The page: whole, safe, and readable without a network."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fakes import FEATURES, TASKS, fake_posterior, with_categories, with_groups

import bayesmtl as bm
from bayesmtl.page import (
    Answers,
    answers,
    effects,
    figures,
    gain,
    groups,
    numbers,
    predictive,
    prior,
    report,
    tables,
    verdicts,
)
from bayesmtl.reports.weights import weights

HOSTILE = ("a<b> & \"c\" $x$ 'd'", "<script>&amp;<img src=x>", "~größe.[0]")
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Reader(HTMLParser):
    """What a page is made of, and whether its tags balance."""

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.headings: dict[str, str] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data):
        if self.open[-1:] not in (["script"], ["style"]):
            self.words.append(data)
        if self.open[-2:] == ["h2", "a"]:
            self.headings[self.tags[-1][1]["href"].removeprefix("#")] = data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def titles(self) -> list[str]:
        """The headings of the sections."""
        at = [i for i, (tag, attrs) in enumerate(self.tags) if tag == "section"]
        return [self.headings[self.tags[i][1]["id"]] for i in at]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def post() -> xr.DataTree:
    tree = fake_posterior()
    tree["sample_stats"]["diverging"][0, :2] = True  # so that the diagnostics have a row
    return tree


@pytest.fixture(scope="module")
def known(post) -> Answers:
    return answers(post)


@pytest.fixture(scope="module")
def page(post, known) -> str:
    return report(post, known)


@pytest.fixture(scope="module")
def reader(page) -> Reader:
    return Reader(page)


def test_every_section_is_there_and_in_the_contents(reader):
    sections = [attrs["id"] for attrs in reader.of("section")]
    assert sections == [
        *("graph", "checks", "weights", "coefficients", "effects", "sharing", "gain", "diagnostics"),
        *("predictions", "prior", "data", "model", "methods", "origin", "references"),
    ]
    links = {attrs.get("href") for attrs in reader.of("a")}
    assert links == {f"#{name}" for name in sections}


def test_the_page_is_html_for_every_screen(page, reader):
    assert page.lstrip().startswith("<!DOCTYPE html>")
    assert not reader.faults and not reader.open
    assert reader.of("html") == [{"lang": "en"}]
    assert any(attrs.get("name") == "viewport" for attrs in reader.of("meta"))
    ids = [attrs["id"] for _, attrs in reader.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert len(page.encode()) < 3e6


def test_the_page_loads_nothing(page, reader):
    assert not any("src" in attrs for attrs in reader.of("script"))
    assert not reader.of("link") and "@import" not in page
    loaded = [a[k] for _, a in reader.tags for k in ("src", "href", "xlink:href") if k in a]
    assert all(re.match(r"(data:image/(svg\+xml|png);base64,|#)", where) for where in loaded)


def test_every_picture_says_what_it_shows(reader):
    pictures = reader.of("img")
    assert len(pictures) > 12 and all(len(attrs["alt"]) > 12 for attrs in pictures)
    (graph,) = reader.of("svg")
    assert graph["role"] == "img" and "age causes größe" in graph["aria-label"]


def test_the_page_says_what_was_asked_found_and_feared(reader):
    text = reader.text
    for words in (*TASKS, *FEATURES, "one cell is empty.", "divergent trajectories", "Kendall"):
        assert words in text
    assert "not contradicted" in text and "squared error" in text and "log odds" in text
    assert text.index("The No-U-Turn") > text.index("Journal of Fakes")
    assert "2026-01-02" in text and "0.1.0" in text


def gains(whole: str = "can't tell", **verdict: str) -> pd.DataFrame:
    """Rows as ``transfer`` tells them; the first task gains most."""
    gain = np.array([30.0, -12.0, 1.0])[: len(verdict)]
    rows = {"cells": 31, "gain": gain, "se": 4.0, "p": [0.0001, 0.02, 1.0][: len(gain)], "high": 0}
    rows["verdict"] = verdict
    told = pd.DataFrame(rows, index=pd.Index(list(verdict), name="task"))
    told.loc["all tasks"] = [31 * len(gain), gain.sum(), 7.0, 0.01, 0, whole]
    return told


@pytest.mark.parametrize(
    "verdict, words",
    [
        ({"a": "helps", "b": "harms", "c": "can't tell"}, "helped a by 30.0 (23.4 to 36.6) in log"),
        (
            {"a": "helps", "b": "harms", "c": "can't tell"},
            "Sharing harmed b by \N{MINUS SIGN}12.0 (\N{MINUS SIGN}18.6 to",
        ),
        ({"a": "helps", "b": "harms", "c": "can't tell"}, "Of c it can't be told."),
        (
            {"a": "helps", "b": "can't tell", "whole": "helps"},
            "together, sharing helped by 18 (6 to 30) in log predictive density. Sharing helped a by",
        ),
        ({"a": "helps", "b": "helps"}, "and harmed none."),
        ({"a": "helps", "b": "can't tell"}, "and harmed none that can be told."),
        ({"a": "harms", "b": "can't tell"}, "and helped none that can be told."),
        ({"a": "can't tell", "b": "can't tell"}, "helped or harmed a and b can't be told from this table."),
        (
            {"a": "can't tell", "b": "can't tell", "whole": "helps"},
            "sharing helped by 18 (6 to 30) in log predictive density. Whether sharing helped or",
        ),
    ],
)
def test_the_verdict_says_who_gained_and_who_lost(verdict, words):
    assert words in gain.verdict(gains(**verdict))


def test_what_sharing_gave_and_what_interventions_do_stand_on_the_page(post, known):
    gained = gains(**dict(zip(TASKS, ["helps", "harms", "can't tell"], strict=True)))
    caused = pd.DataFrame([["age", "+12, one sd", TASKS[0], 1.5, 1.0, 2.0, 1.0]], columns=effects.COLUMNS)
    held = pd.DataFrame(
        [[TASKS[0], "age", 0.4, 0.3, 0.5, 0.2, 0.31, 0.25]],
        columns=[
            *("task", "feature", "weight", "low", "high"),
            *("partial_r2", "robustness", "robustness_interval"),
        ],
    )
    gained.loc[[TASKS[2], "all tasks"], "high"] = 1
    page = report(post, replace(known, transfer=gained, effects=caused, sensitivity=held, untold={}))
    reader = Reader(page)
    assert not reader.faults and "Sharing helped stay.days by 30.0" in reader.text
    for words in (
        "negative transfer",
        "Pareto k is above 0.7 for 1 cell, whose tasks are given no verdict.",
        "+12, one sd",
        "1.50 1.00 to 2.00",
        ">0.999",
        "31.0%",
        "Robins",
        "Cinelli",
    ):
        assert words in reader.text
    assert any(attrs["alt"].startswith("What each task gained") for attrs in reader.of("img"))
    assert "without a table" in Reader(report(post, known)).text


def test_who_points_at_an_interval_reads_it(reader):
    told = [attrs for attrs in reader.of("i") if (attrs["title"] or "").startswith("stay.days ")]
    place = re.fullmatch(r"top:([\d.]+)%;height:([\d.]+)%", told[0]["style"])
    assert 0 <= float(place[1]) < float(place[1]) + float(place[2]) < 100


def test_programs_read_the_same_answers(post, known, page):
    whole = json.loads(
        re.search(r'<script type="application/json" id="answers">(.*?)</script>', page, re.S)[1]
    )
    rows = whole["answers"]["weights"]
    assert rows["columns"][0] == "task" and [row[0] for row in rows["data"]] == list(TASKS)
    at = rows["columns"].index("share")
    np.testing.assert_allclose([row[at] for row in rows["data"]], weights(post)["share"], rtol=1e-5)
    assert whole["verdict"] == verdicts(post, known) and "table" not in whole["model"].get("data", {})
    assert rows["rows"] == 3 and "transfer" in whole["untold"]
    hostile = report(fake_posterior(tasks=HOSTILE))
    found = re.search(r'id="answers">(.*?)</script>', hostile, re.S)[1]
    assert json.loads(found)["answers"]["weights"]["data"][1][0] == HOSTILE[1]


def test_markdown_has_the_same_words(post, known, reader):
    text = report(post, replace(known, transfer=gains(**dict.fromkeys(TASKS, "helps"))), form="markdown")
    titles = re.findall(r"^## (.*)$", text, re.M)
    assert titles == [
        t for t in Reader(report(post, known)).titles if t not in ("Predictive checks", "Groups")
    ]
    for line in text.split("## Task weights")[1].split("##")[0].splitlines():
        assert line == "" or line.startswith("|") or not line.startswith(" ")
    tables_ = re.findall(r"((?:^\|.*\|\n)+)", text, re.M)
    assert len(tables_) > 8
    for one in tables_:  # a bar in a name is no column
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in one.splitlines()}) == 1
    assert "Sharing helped stay.days by 30.0" in text and "R-hat (Vehtari, Gelman" in text
    hostile = report(fake_posterior(tasks=HOSTILE), form="markdown")
    assert "<script>" not in hostile and "<img" not in hostile
    with pytest.raises(bm.ModelError, match=r"form: is 'pdf'\. Take one of html, markdown\."):
        report(post, known, form="pdf")


def test_one_chain_has_traces_and_no_ranks():
    tree = fake_posterior()
    alone = tree.map_over_datasets(lambda data: data.isel(chain=[0]) if "chain" in data.dims else data)
    alone.attrs = tree.attrs
    words = {attrs["alt"].partition(" of ")[0] for attrs in Reader(report(alone)).of("img")}
    assert "Trace" in words and "Rank plot" not in words


def test_the_prior_stands_beside_the_data_and_the_posterior(post, reader):
    text = reader.text
    assert "What the prior expected" in text and "sigma[stay.days]" in text
    (name, responses), (_, parameters) = prior.tables_of(post)
    assert name == "Responses" and [row[0] for row in responses.rows] == [
        "stay.days",
        "mood (tempered)",
        "readmit",
    ]
    drawn = post["prior_predictive"]["stay.days"].values.reshape(-1)
    low, middle, high = np.quantile(drawn, [0.05, 0.5, 0.95])
    assert responses.rows[0][1] == numbers.estimate(middle, low, high)
    assert parameters.rows[0][0].startswith("offset[") and len(parameters.rows) > 12


def test_a_prior_far_wider_than_the_data_is_cut_and_one_without_an_end_is_no_fault():
    observed, drawn = np.linspace(0, 1, 30), np.full((7, 30), np.inf)
    drawn[1:] = np.random.default_rng(1).standard_cauchy((6, 30)) * 1e9
    with figures.offscreen():
        assert predictive.before(observed, drawn, "y", []).alt.startswith("Cumulative")
        assert predictive.before(np.arange(30.0), np.exp(50 * drawn[1:] / 1e9), "n", []).alt


def test_tempered_tasks_are_marked_wherever_they_are_weighed(post, known, reader):
    text = reader.text
    assert "Tempered: the likelihood of mood" in text
    assert "likelihood of mood is tempered" in " ".join(verdicts(post, known))
    assert text.count("mood (tempered)") == 3  # its weights, its check and its prior
    calm = fake_posterior()
    calm["constant_data"] = calm.constant_data.to_dataset().drop_vars(["tempered", "unserved"])
    for name in ("prior", "prior_predictive"):  # as in files of before
        del calm[name]
    text = Reader(report(calm)).text
    assert "empered" not in text and "holds no draws from the prior" in text


@pytest.mark.parametrize("change", [with_categories, with_groups])
def test_weights_of_categories_and_group_effects_are_no_reason_to_fail(change):
    tree = change(fake_posterior())
    reader = Reader(report(tree))
    sections = [attrs["id"] for attrs in reader.of("section")]
    assert not reader.faults and ("groups" in sections) == (change is with_groups)
    assert weights(tree)["share"].sum() == pytest.approx(1.0)
    rows = [row[0] for row in tables.coefficients(tree).rows]
    wanted = ["stay.days", "readmit", "mood[sad]", "mood[glad]"] if change is with_categories else list(TASKS)
    assert rows == wanted


def test_groups_show_sds_and_correlations_and_not_each_effect():
    tree = with_groups(fake_posterior(), levels=13)
    (title, ward_sd), (_, ward), _, (_, clinic) = groups.tables_of(tree)
    assert title.startswith("ward") and ward_sd.head == ["task", "1", "age"]
    assert [row[0] for row in ward_sd.rows] == list(TASKS)
    assert [row[2] == numbers.NONE for row in ward_sd.rows] == [True, False, False]
    assert [row[0] for row in ward.rows] == [f"{name}: 1 and age" for name in TASKS]
    assert len(clinic.rows) == 15 and clinic.rows[0][0] == "stay.days, 1 and stay.days, age"
    drawn = tree.posterior["correlation_clinic"].values[:, :, 0, 0, 0, 1]
    assert clinic.rows[0][1] == numbers.estimate(drawn.mean(), *np.quantile(drawn, [0.05, 0.95]))
    assert "ward has 13 levels" in groups.outline(tree)
    assert not any("ward 12" in str(row) for _, table in groups.tables_of(tree) for row in table.rows)


def test_references_are_numbered_and_unique(page):
    listed = re.search(r'<ol class="references">(.*?)</ol>', page, re.DOTALL).group(1)
    works = re.findall(r"<li>(.*?) <span", listed)
    assert len(works) == len(set(works)) > 5


def test_the_verdicts_are_sentences(post, known):
    said = verdicts(post, known)
    assert said[0].startswith("3 tasks (stay.days, mood and readmit) were fitted jointly to 92 cells")
    assert any("with care" in sentence and "divergent" in sentence for sentence in said)
    assert all(sentence.endswith(".") for sentence in said)


def test_a_quiet_fit_of_tasks_as_rows_says_so():
    calm = fake_posterior()
    for name in ("log_likelihood", "posterior_predictive"):  # as when they would be too large
        del calm[name]
    rows = {"tasks": {"by": "ward", "outcome": "y", "kind": "gaussian"}, "formula": "age"}
    calm.attrs |= {"findings": "[]", "grades": "{}", "model": json.dumps(rows)}
    calm["posterior"] = calm["posterior"].to_dataset().drop_vars(["share", "scale"])
    nothing = pd.DataFrame(columns=["where", "problem", "value", "threshold", "remedy"])
    text = Reader(report(calm, replace(answers(calm), diagnostics=nothing))).text
    assert "Nothing found." in text and "Nothing to report." in text
    assert "they would have been too many" in text
    assert "nothing to learn" in text and "declares no graph" in text


def test_names_are_safe():
    page = report(fake_posterior(tasks=HOSTILE))
    reader = Reader(page)
    assert not reader.faults and not reader.open and len(reader.of("script")) == 2
    assert not any(attrs.get("src") == "x" for attrs in reader.of("img"))
    for name in HOSTILE:
        assert " ".join(name.split()) in reader.text.replace(numbers.APOSTROPHE, "'")


def test_a_report_leaves_the_settings_as_they_were_and_is_the_same_again(post, page):
    plt.figure(num=7)
    before = (dict(matplotlib.rcParams), plt.get_fignums(), matplotlib.get_backend())
    again = report(post)
    after = (dict(matplotlib.rcParams), plt.get_fignums(), matplotlib.get_backend())
    plt.close(7)
    assert before == after and again == page


def test_correlations_are_pairs():
    tree = fake_posterior()
    drawn = np.tile(np.eye(3), (3, 53, 1, 1)) + 0.1 * np.random.default_rng(1).normal(size=(3, 53, 3, 3))
    other = xr.DataArray(drawn, dims=["chain", "draw", "task", "task_"])
    tree["posterior"] = tree["posterior"].to_dataset().assign(task_correlation=other)
    pairs = tables.correlations(tree)
    assert sorted(pairs.pair.values) == [
        "mood and readmit",
        "stay.days and mood",
        "stay.days and readmit",
    ]
    assert tables.sharing(tree)[-1].head == ["tasks", "correlation of their weights"]


@pytest.mark.parametrize(
    "observed, drawn, grades, words",
    [
        (np.array([0, 1, 2]), np.array([[0.0, 1, 2]] * 5), ["a", "b", "c"], "Frequencies"),
        (np.array(["a", "c", "b"]), np.array([[0.0, 1, 2]] * 5), ["a", "b", "c"], "Frequencies"),
        (np.array([1, 2, 3]), np.array([[1.0, 3, 2]] * 5), [1, 2, 3], "Frequencies"),
        (np.array([1, 2, 3]), np.array([[0.0, 1, 2]] * 5), [1, 2, 3], "Frequencies"),
        (np.array([0.0, 1.0, 1.0]), np.array([[0.0, 1, 1]] * 5), [], "Frequencies"),
        (np.arange(30.0), np.arange(150.0).reshape(5, 30), [], "Rootogram"),
        (np.linspace(0, 1, 30), np.linspace(0, 2, 150).reshape(5, 30), [], "Cumulative"),
        (np.linspace(0, 1, 130), np.random.default_rng(1).random((5, 130)), [], "Densities"),
    ],
)
def test_each_kind_of_response_has_its_check(observed, drawn, grades, words):
    with figures.offscreen():
        picture = predictive.check(observed, drawn, "y", grades)
    assert picture.alt.startswith(words)


def test_numbers_keep_the_digits_that_their_interval_supports():
    assert str(numbers.estimate(12345.6, 11000.0, 13500.0)) == "12,300 (11,000 to 13,500)"
    assert (
        str(numbers.estimate(-0.001, -0.02, 0.02)).replace("\N{MINUS SIGN}", "-")
        == "-0.001 (-0.020 to 0.020)"
    )
    assert str(numbers.estimate(3.123e-7, 2.9e-7, 3.3e-7)).endswith("10⁻⁷)")
    assert str(numbers.estimate(float("nan"), 0.0, 1.0)) == numbers.NONE
    assert numbers.estimate(float("inf"), 1.0, float("inf")).mean == "∞"
