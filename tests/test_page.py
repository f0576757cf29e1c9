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

from bayesmtl.page import answers, figures, groups, numbers, predictive, prior, report, tables, verdicts
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
        self.words.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def post() -> xr.DataTree:
    tree = fake_posterior()
    tree["sample_stats"]["diverging"][0, :2] = True  # so that the diagnostics have a row
    return tree


@pytest.fixture(scope="module")
def page(post) -> str:
    return report(post)


@pytest.fixture(scope="module")
def reader(page) -> Reader:
    return Reader(page)


def test_every_section_is_there_and_in_the_contents(reader):
    sections = [attrs["id"] for attrs in reader.of("section")]
    assert sections == [
        *("graph", "checks", "weights", "coefficients", "sharing", "diagnostics"),
        *("predictions", "prior", "data", "model", "origin", "references"),
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
    assert not reader.of("script") and not reader.of("link") and "@import" not in page
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


def test_tempered_tasks_are_marked_wherever_they_are_weighed(post, reader):
    text = reader.text
    assert "Tempered: the likelihood of mood" in text
    assert "likelihood of mood is tempered" in " ".join(verdicts(post))
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


def test_the_verdicts_are_sentences(post):
    said = verdicts(post)
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
    assert not reader.faults and not reader.open and not reader.of("script")
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
