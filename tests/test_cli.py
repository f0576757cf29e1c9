"""The command line: data to stdout, words to stderr, and an exit code that says how it went."""

import errno
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import test_intervention
from rich.console import Console

from bayesmtl import cli, parts, printed, progress, store
from bayesmtl.chains import Progress
from bayesmtl.errors import Finding, ModelError
from bayesmtl.grid import grid
from bayesmtl.left_out.held_out import UNITS
from bayesmtl.reports.weights import weights
from bayesmtl.verbs.arguments import ARGUMENTS
from bayesmtl.worlds.confounding import sensitivity
from bayesmtl.worlds.intervention import intervene

VERBS = [
    "check",
    "dag",
    "draw",
    "prior",
    "calibrate",
    "fit",
    "report",
    *parts.names("reports"),
    "transfer",
    "compare",
    "intervene",
    "sensitivity",
    "update",
    "predict",
    "parts",
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder of the test's own."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def fitted(fake, monkeypatch):
    """Every fit gives the fake posterior; the calls are kept."""
    calls = []

    def fit(model, table=None, *, seed, watch=None, checkpoint=None):
        calls.append((model, table, seed))
        watch(Progress("nuts", chains=2, warmup=10, draws=20, done=[30, 30], divergences=1))
        return fake

    monkeypatch.setattr("bayesmtl.posterior.fit", fit)
    return calls


@pytest.fixture
def paged(monkeypatch):
    """A page of one word and two verdicts."""
    monkeypatch.setattr("bayesmtl.page.report", lambda post, known, form: f"<p>pägé</p>{form}")
    monkeypatch.setattr("bayesmtl.page.answers", lambda post, table: None)
    monkeypatch.setattr("bayesmtl.page.verdicts", lambda post, known: ["Sharing helps.", "All is well."])


def frames(monkeypatch, frame: pd.DataFrame) -> None:
    """Let every table of weights be this one."""
    monkeypatch.setattr("bayesmtl.reports.weights.weights", lambda post, prob: frame)


# --- every verb -----------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([verb, "--help"])
    out, err = capsys.readouterr()
    assert stop.value.code == 0 and not err
    assert out.startswith(f"usage: bayesmtl {verb}")


def test_help_keeps_the_capitals_of_a_name(capsys):
    with pytest.raises(SystemExit):
        cli.main(["draw", "--help"])
    assert "Draw a model's graph, as DOT or by the name of --out." in capsys.readouterr().out


def test_the_verbs_are_those_that_are_tested(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    out = capsys.readouterr().out
    assert re.findall(r"^    (\w+)  +\w", out, re.M) == VERBS
    for name in parts.names("reports"):
        assert parts.manual("reports", name).summary[1:30] in " ".join(out.split())


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["fly"],
        ["check"],
        ["fit"],
        ["fit", "m.toml", "--seed", "x"],
        ["fit", "m.toml", "--seed", "-1"],
        ["weights", "p.zarr.zip", "--prob", "90"],
        ["weights", "p.zarr.zip", "--prob", "most"],
        ["weights", "p.zarr.zip", "--format", "xml"],
        ["weights", "p.zarr.zip", "table.csv"],
        ["diagnostics", "p.zarr.zip", "--prob", "0.5"],
        ["transfer", "p.zarr.zip"],
        ["transfer", "p.zarr.zip", "table.csv", "--unit", "column"],
        ["compare", "p.zarr.zip"],
        ["compare", "p.zarr.zip", "p.zarr.zip"],
        ["intervene", "p.zarr.zip", "table.csv"],
        ["intervene", "p.zarr.zip", "--do", "age=1"],
        ["intervene", "p.zarr.zip", "table.csv", "--do", "age"],
        ["intervene", "p.zarr.zip", "table.csv", "--do", "age=1", "--do", "age=2"],
        ["draw", "m.toml", "--out", "m.bmp"],
        ["predict", "p.zarr.zip"],
        ["prior", "m.toml", "--draws", "0"],
        ["parts", "relation"],
        ["parts", "relations", "partail"],
        ["parts", "relations", "no.such:part"],
        ["parts", "relations", "a:b:c"],
    ],
    ids=" ".join,
)
def test_misuse_is_2_with_usage_on_stderr(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    out, err = capsys.readouterr()
    assert stop.value.code == 2 and not out and err.startswith("usage: bayesmtl")


def test_module_and_version():
    run = [sys.executable, "-m", "bayesmtl"]
    out = subprocess.run([*run, "--version"], capture_output=True, text=True, timeout=5)
    assert re.fullmatch(r"bayesmtl \d+\.\d+\.\d+\n", out.stdout) and not out.returncode
    out = subprocess.run([*run, "check", "no.toml"], capture_output=True, text=True)
    assert out.returncode == 1 and out.stderr.startswith("no.toml: file: can't be read")


# --- check ----------------------------------------------------------------------------------------


def test_a_sound_model_is_well(ward_file, capsys):
    assert cli.main(["check", str(ward_file)]) == 0
    assert capsys.readouterr().out == f"{ward_file}: well\n"


def test_findings_are_lines_of_file_key_problem_and_remedy(tmp_path, capsys):
    bad, good = tmp_path / "bad.toml", tmp_path / "good.toml"
    bad.write_text('formula = "x"\nrelation = "lowrank"\n[tasks]\na = "gausian"\n')
    good.write_text('formula = "x"\n[tasks]\na = "gaussian"\n')
    assert cli.main(["check", str(bad), str(good), str(tmp_path / "no.toml")]) == 1
    out, err = capsys.readouterr()
    assert out == f"{good}: well\n"
    lines = err.splitlines()
    assert f'{bad}: tasks.a: no likelihood called "gausian". Did you mean "gaussian"?' in lines
    assert any(line.startswith(f'{bad}: relation: no relation called "lowrank".') for line in lines)
    assert any(line.startswith(f"{tmp_path / 'no.toml'}: file: can't be read") for line in lines)
    assert len(lines) == 3


def test_warnings_and_notes_say_so_and_are_no_fault(ward_file, monkeypatch, capsys):
    found = [Finding("dag", "is odd.", "Look.", "warning"), Finding("data", "is big.", "", "note")]
    monkeypatch.setattr("bayesmtl.checks.check", lambda model, table=None: found)
    assert cli.main(["check", str(ward_file)]) == 0
    err = capsys.readouterr().err
    assert err == f"{ward_file}: dag: warning: is odd. Look.\n{ward_file}: data: note: is big.\n"
    assert cli.main(["check", "--strict", str(ward_file)]) == 1
    assert capsys.readouterr() == ("", err)
    found.pop(0)
    assert cli.main(["check", "--strict", str(ward_file)]) == 0


def test_a_table_is_the_given_one_or_the_models_own_or_none(ward_file, wards, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr("bayesmtl.checks.check", lambda model, table=None: seen.append(table) or [])
    other = ward_file.parent / "other.csv"
    wards.head(7).to_csv(other, index=False)
    cli.main(["check", str(ward_file)])
    cli.main(["check", str(ward_file), "--table", str(other)])
    cli.main(["check", str(ward_file), "--graph"])
    assert [None if table is None else len(table) for table in seen] == [31, 7, None]


def test_a_given_table_that_can_not_be_read_is_the_one_finding(ward_file, capsys):
    assert cli.main(["check", str(ward_file), "--table", "no.csv"]) == 1
    out, err = capsys.readouterr()
    assert not out and err.startswith("no.csv: table no.csv: can't be read")


def test_a_missing_table_is_a_finding_beside_those_of_the_model(ward_file, capsys):
    (ward_file.parent / "wards.csv").unlink()
    ward_file.write_text(ward_file.read_text().replace('"poisson"', '"poison"'))
    assert cli.main(["check", str(ward_file)]) == 1
    err = capsys.readouterr().err
    assert "tasks.falls: no likelihood" in err and "table wards.csv: can't be read" in err
    assert cli.main(["check", "--graph", str(ward_file)]) == 1
    assert "wards.csv" not in capsys.readouterr().err


# --- draw -----------------------------------------------------------------------------------------


def test_a_graph_is_printed_as_dot(ward_file, capsys):
    assert cli.main(["draw", str(ward_file)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("digraph wards {") and not err


@pytest.mark.parametrize("name, begins", [("g.svg", b"<?xml"), ("g.PNG", b"\x89PNG"), ("g.dot", b"di")])
def test_a_graph_is_drawn_by_the_name_of_the_file(ward_file, here, name, begins, capsys):
    assert cli.main(["draw", str(ward_file), "--out", name]) == 0
    assert (here / name).read_bytes().startswith(begins)
    assert capsys.readouterr() == ("", "")


# --- fit ------------------------------------------------------------------------------------------


def test_a_fit_is_saved_here_under_the_models_name(ward_file, here, fitted, capsys):
    assert cli.main(["fit", str(ward_file), "--seed", "5"]) == 0
    out, err = capsys.readouterr()
    (model, table, seed) = fitted[0]
    assert (model.name, table, seed) == ("wards", None, 5)
    assert not out and err.splitlines()[-1] == "posterior: wards.zarr.zip"
    assert err.startswith("wards: nuts, done, 40 draws, 1 divergence")
    assert store.read(here / "wards.zarr.zip").posterior.sizes["task"] == 3
    assert os.listdir(here) == ["wards.zarr.zip"]


def test_a_fit_takes_a_table_from_a_file_or_from_stdin(ward_file, wards, here, fitted, monkeypatch):
    text = wards.head(11).to_csv(index=False)
    (here / "t.csv").write_text(text)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    for table in ("t.csv", "-"):
        assert cli.main(["fit", str(ward_file), table]) == 0
    assert fitted[0][1].equals(fitted[1][1]) and len(fitted[0][1]) == 11
    assert fitted[0][2] == 0  # the seed


def test_warnings_of_a_fit_are_said(ward_file, here, fitted, fake, capsys):
    fake.attrs["findings"] = json.dumps([vars(Finding("dag", "is odd.", "Look.", "warning"))])
    assert cli.main(["fit", str(ward_file)]) == 0
    assert f"{ward_file}: dag: warning: is odd. Look.\n" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["nowhere/p.zarr.zip", "."])
def test_an_impossible_output_is_told_before_the_fit(ward_file, here, fitted, out, capsys):
    assert cli.main(["fit", str(ward_file), "--out", out]) == 1
    assert not fitted
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{ward_file}: --out {out}: ")


def test_errors_of_a_fit_are_findings(ward_file, here, monkeypatch, capsys):
    def fit(*_, **__):
        raise ModelError(Finding("tasks.stay", "is bad.", "Mend it."), Finding("dag", "is bad."))

    monkeypatch.setattr("bayesmtl.posterior.fit", fit)
    assert cli.main(["fit", str(ward_file)]) == 1
    err = capsys.readouterr().err
    assert err == f"{ward_file}: tasks.stay: is bad. Mend it.\n{ward_file}: dag: is bad.\n"
    assert not os.listdir(here)


def test_an_interrupt_is_130_and_quiet(ward_file, here, monkeypatch, capsys):
    def fit(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("bayesmtl.posterior.fit", fit)
    assert cli.main(["fit", str(ward_file)]) == 130
    assert capsys.readouterr() == ("", "") and not os.listdir(here)


# --- report ---------------------------------------------------------------------------------------


def test_a_report_is_a_page_here_a_table_on_stdout_and_verdicts(ward_file, here, fitted, paged, capsys):
    assert cli.main(["report", str(ward_file), "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    assert pd.read_csv(io.StringIO(out))["task"].tolist() == ["stay", "mood", "readmit"]
    assert err.splitlines()[-3:] == ["Sharing helps.", "All is well.", "page: wards.html"]
    assert (here / "wards.html").read_text(encoding="utf-8") == "<p>pägé</p>html"
    assert os.listdir(here) == ["wards.html"]


def test_a_report_of_a_saved_posterior_is_named_after_its_file(here, fake, paged, capsys):
    store.save(fake, here / "second.zarr.zip")
    assert cli.main(["report", "second.zarr.zip"]) == 0
    assert (here / "second.html").exists()
    assert cli.main(["report", "second.zarr.zip", "--out", "other.html"]) == 0
    assert capsys.readouterr().err.endswith("page: other.html\n")
    assert cli.main(["report", "second.zarr.zip", "--out", "other.md"]) == 0
    assert (here / "other.md").read_text(encoding="utf-8").endswith("markdown")


@pytest.mark.parametrize("fails", ["write_bytes", "replace"])
def test_a_failing_write_leaves_what_was_there(here, fake, paged, fails, monkeypatch, capsys):
    store.save(fake, here / "p.zarr.zip")
    (here / "p.html").write_text("old")

    def full(path, *_):
        if fails == "write_bytes":  # half of it arrives
            with path.open("wb") as file:
                file.write(b"<p>")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, fails, full)
    assert cli.main(["report", "p.zarr.zip"]) == 1
    out, err = capsys.readouterr()
    assert not out and "No space left on device" in err and "Traceback" not in err
    assert (here / "p.html").read_text() == "old"
    assert sorted(os.listdir(here)) == ["p.html", "p.zarr.zip"]


def test_a_failing_save_is_a_finding(ward_file, here, fitted, monkeypatch, capsys):
    def full(post, path):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr("bayesmtl.store.save", full)
    assert cli.main(["fit", str(ward_file)]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"{ward_file}: ") and "Read-only file system" in last


# --- questions ------------------------------------------------------------------------------------


def test_weights_of_a_posterior_or_of_a_model(ward_file, here, fake, fitted, capsys):
    store.save(fake, here / "p.zarr.zip")
    assert cli.main(["weights", "p.zarr.zip", "--format", "csv"]) == 0
    saved = capsys.readouterr().out
    assert not fitted
    assert cli.main(["weights", str(ward_file), "--format", "csv"]) == 0
    assert capsys.readouterr().out == saved and len(fitted) == 1
    assert cli.main(["weights", "p.zarr.zip", "--format", "csv", "--prob", "0.5"]) == 0
    wide, narrow = (pd.read_csv(io.StringIO(text)) for text in (saved, capsys.readouterr().out))
    spans = [(frame["share_high"] - frame["share_low"]).sum() for frame in (wide, narrow)]
    assert spans[0] > spans[1]


def test_formats_hold_the_same_rows(here, fake, monkeypatch, capsys):
    frame = pd.DataFrame(
        {"kind": ["[red]é", "b"], "n": [2009, 3], "noise": [1.23456789, np.nan]},
        index=pd.Index(["a", "b"], name="task"),
    ).assign(noise_low=[1.1, np.nan], noise_high=[12345.6, np.nan])
    frames(monkeypatch, frame)
    store.save(fake, here / "p.zarr.zip")
    texts = {}
    for format in ("table", "csv", "json"):
        assert cli.main(["weights", "p.zarr.zip", "--format", format]) == 0
        texts[format] = capsys.readouterr().out
    read = pd.read_csv(io.StringIO(texts["csv"]), index_col="task")
    pd.testing.assert_frame_equal(read, frame)
    assert json.loads(texts["json"])[0] == {
        "task": "a",
        "kind": "[red]é",
        "n": 2009,
        "noise": 1.23456789,
        "noise_low": 1.1,
        "noise_high": 12345.6,
    }
    assert json.loads(texts["json"])[1]["noise"] is None and "é" in texts["json"]
    lines = [line.split() for line in texts["table"].splitlines()]
    assert lines[0] == ["task", "kind", "n", "noise"]
    assert lines[2:] == [["a", "[red]é", "2009", "1.23", "[1.1,", "12346]"], ["b", "b", "3"]]


def test_a_wide_table_is_not_cut_in_a_pipe(here, fake, monkeypatch, capsys):
    frames(monkeypatch, pd.DataFrame({f"column {i}": ["word " * 9] for i in range(23)}))
    store.save(fake, here / "p.zarr.zip")
    assert cli.main(["weights", "p.zarr.zip"]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 3 and out.count("word " * 8 + "word") == 23


def test_an_unnamed_index_is_no_column(here, fake, monkeypatch, capsys):
    frames(monkeypatch, pd.DataFrame({"task": ["a"]}))
    store.save(fake, here / "p.zarr.zip")
    cli.main(["weights", "p.zarr.zip", "--format", "csv"])
    assert capsys.readouterr().out == "task\na\n"


def test_diagnostics_say_when_there_is_nothing(here, fake, monkeypatch, capsys):
    columns = ["where", "problem", "value", "threshold", "remedy"]
    frame = pd.DataFrame([["fit", "divergences", 3, 0, "Raise it."]], columns=columns)
    found = [frame, frame.iloc[:0], frame.iloc[:0]]
    monkeypatch.setattr("bayesmtl.reports.diagnostics.diagnostics", lambda post: found.pop(0))
    store.save(fake, here / "p.zarr.zip")
    assert cli.main(["diagnostics", "p.zarr.zip"]) == 0
    assert "Raise it." in capsys.readouterr().out
    assert cli.main(["diagnostics", "p.zarr.zip"]) == 0
    assert capsys.readouterr() == ("", "nothing to report\n")
    assert cli.main(["diagnostics", "p.zarr.zip", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []  # for programs, no rows are rows too


def test_what_the_prior_expects_is_printed_beside_what_was_observed(
    ward_file, here, fake, wards, monkeypatch, capsys
):
    calls = []

    def prior(model, table=None, *, seed, draws=1000):
        calls.append((model.name, table, seed, draws))
        return fake

    monkeypatch.setattr("bayesmtl.posterior.prior", prior, raising=False)
    wards.head(11).to_csv("t.csv", index=False)
    assert cli.main(["prior", str(ward_file), "--format", "csv"]) == 0
    frame = pd.read_csv(io.StringIO(capsys.readouterr().out), index_col="name")
    assert cli.main(["prior", str(ward_file), "--table", "t.csv", "--seed", "3", "--draws", "7"]) == 0
    assert "response" in capsys.readouterr().out
    assert calls[0] == ("wards", None, 0, 1000) and len(calls[1][1]) == 11 and calls[1][2:] == (3, 7)
    stay = frame.loc["stay"].set_index("what")
    drawn, seen = fake["prior_predictive"]["stay"].values[0], fake["observed_data"]["stay"].values
    told = stay.loc["response", ["prior_low", "prior", "prior_high"]].tolist()
    assert told == pytest.approx(np.quantile(drawn, [0.05, 0.5, 0.95]))
    told = stay.loc["response", ["observed_low", "observed", "observed_high"]].tolist()
    assert told == pytest.approx(np.quantile(seen, [0.05, 0.5, 0.95]))
    assert stay.loc["mean", "observed"] == pytest.approx(seen.mean())
    assert stay.loc["mean", "prior"] == pytest.approx(np.median(drawn.mean(1)))
    own = frame[frame["what"] == "parameter"]
    assert "sigma[stay]" in own.index and not own.index.str.startswith("level").any()


def test_predictions_are_rows(here, fake, wards, monkeypatch, capsys):
    def predict(post, table, *, prob):
        return pd.DataFrame({"task": "stay", "row": table["patient"], "mean": prob})

    monkeypatch.setattr("bayesmtl.forecast.prediction.predict", predict)
    store.save(fake, here / "p.zarr.zip")
    wards.head(3).to_csv("new.csv", index=False)
    assert cli.main(["predict", "p.zarr.zip", "new.csv", "--prob", "0.5"]) == 0
    out, err = capsys.readouterr()
    assert out == "task,row,mean\nstay,p1,0.5\nstay,p2,0.5\nstay,p3,0.5\n" and not err
    assert cli.main(["predict", "p.zarr.zip", "new.csv", "--prob", "0.5", "--out", "rows.csv"]) == 0
    assert (here / "rows.csv").read_text() == out and not capsys.readouterr().out


@pytest.mark.parametrize("verb", ["report", *parts.names("reports"), "sensitivity", "predict"])
def test_a_damaged_posterior_is_a_finding(here, wards, verb, capsys):
    (here / "p.zarr.zip").write_text("no zip")
    wards.to_csv("t.csv", index=False)
    assert cli.main([verb, "p.zarr.zip", *(["t.csv"] if verb == "predict" else [])]) == 1
    out, err = capsys.readouterr()
    assert not out and err.startswith("p.zarr.zip: ") and len(err.splitlines()) == 1


@pytest.mark.parametrize("name", parts.names("reports"))
def test_every_report_is_a_verb_that_prints_its_rows(here, fake, name, capsys):
    store.save(fake, here / "p.zarr.zip")
    assert cli.main([name, "p.zarr.zip", "--format", "csv"]) == 0
    told = parts.find("reports", name)(fake)
    assert len(told) and capsys.readouterr().out == printed.rows(told, "csv")
    if "prob" in parts.manual("reports", name).options:
        assert cli.main([name, "p.zarr.zip", "--format", "csv", "--prob", "0.5"]) == 0
        assert capsys.readouterr().out == printed.rows(parts.find("reports", name)(fake, prob=0.5), "csv")


def test_sensitivity_of_a_posterior(here, fake, capsys):
    store.save(fake, here / "p.zarr.zip")
    assert cli.main(["sensitivity", "p.zarr.zip", "--prob", "0.5", "--format", "csv"]) == 0
    assert capsys.readouterr().out == printed.rows(sensitivity(fake, prob=0.5), "csv")


@pytest.fixture
def asked(fake, monkeypatch):
    """What is asked of posteriors, which all are the fake; the answer is a word."""
    calls = []

    def answer(*given, **options):
        calls.append((*given, options))
        return pd.DataFrame({"verdict": ["helps"]})

    for home in ("left_out.gain.transfer", "left_out.comparison.compare", "worlds.intervention.intervene"):
        monkeypatch.setattr(f"bayesmtl.{home}", answer)
    for check in ("cells", "design_of"):
        monkeypatch.setattr(f"bayesmtl.left_out.held_out.{check}", lambda *given: given)
    monkeypatch.setattr("bayesmtl.store.read", lambda path: fake)
    return calls


def test_transfer_takes_a_posterior_with_its_table_or_a_model(ward_file, wards, here, fitted, asked, capsys):
    wards.head(11).to_csv("t.csv", index=False)
    assert cli.main(["transfer", "p.zarr.zip", "t.csv", "--unit", "row", "--format", "csv"]) == 0
    assert not fitted and capsys.readouterr().out == "verdict\nhelps\n"
    assert cli.main(["transfer", str(ward_file), "--group", "patient", "--seed", "3"]) == 0
    assert cli.main(["transfer", str(ward_file), "t.csv"]) == 0
    assert [seed for *_, seed in fitted] == [3, 0]
    options = [options for *_, options in asked]
    assert [len(each.pop("table")) for each in options] == [11, 31, 11]
    assert options == [
        {"unit": "row", "group": None, "seed": None},
        {"unit": "cell", "group": "patient", "seed": 3},
        {"unit": "cell", "group": None, "seed": None},
    ]


def test_a_table_that_was_not_fitted_is_refused_before_the_tasks_are_fitted_alone(
    here, fake, wards, monkeypatch, capsys
):
    monkeypatch.setattr("bayesmtl.left_out.gain.fit", lambda *_, **__: pytest.fail("was fitted"))
    store.save(fake, here / "p.zarr.zip")
    wards.to_csv("t.csv", index=False)
    assert cli.main(["transfer", "p.zarr.zip", "t.csv"]) == 1
    assert 'no column called "mood"' in capsys.readouterr().err


def test_the_units_are_those_that_can_be_left_out():
    assert tuple(ARGUMENTS["--unit"]["choices"]) == UNITS


def test_posteriors_are_compared_by_the_names_of_their_files(asked):
    assert cli.main(["compare", "one.zarr.zip", "other.zarr.zip", "--unit", "row", "--seed", "3"]) == 0
    assert cli.main(["compare", "one.zarr.zip", "b/one.zarr.zip"]) == 0
    assert [list(posts) for posts, _, _ in asked] == [["one", "other"], ["one.zarr.zip", "b/one.zarr.zip"]]
    assert asked[0][1:] == (None, {"unit": "row", "group": None, "seed": 3})


def test_what_compare_tells(here, fake, wards, capsys):
    for name in ("one", "other"):
        store.save(fake, here / f"{name}.zarr.zip")
    assert cli.main(["compare", "one.zarr.zip", "other.zarr.zip", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["model"], row["behind"]) for row in rows] == [("one", 0.0), ("other", 0.0)]
    wards.to_csv("t.csv", index=False)
    assert cli.main(["compare", "one.zarr.zip", "other.zarr.zip", "--table", "t.csv"]) == 1
    assert 'no column called "mood"' in capsys.readouterr().err


def test_nodes_are_set_to_what_their_columns_hold(here, wards, asked):
    wards["smokes"] = [True, False] * 15 + [True]
    wards["ward"] = ["1, left", "1", "02"] * 10 + ["1"]
    wards.to_csv("t.csv", index=False)
    settings = {
        "age=60": 60,
        "age= 60.5, 7e1 ": [60.5, 70.0],
        "age=sd": "sd",
        "age=sixty": "sixty",
        "smokes=True,False": [True, False],
        "ward=1": "1",
        "ward=1, left": "1, left",
        "ward=02,1": ["02", "1"],
        "ward=x=y": "x=y",
        "nobody=1": 1,
    }
    for setting in settings:
        assert cli.main(["intervene", "p.zarr.zip", "t.csv", "--do", setting, "--by", "bmi"]) == 0
    assert [do[setting.split("=")[0]] for (_, _, do, _), setting in zip(asked, settings, strict=True)] == [
        *settings.values()
    ]
    assert (
        cli.main(["intervene", "p.zarr.zip", "t.csv", "--do", "age=1", "--do", "bmi=2", "--prob", "0.5"]) == 0
    )
    assert asked[-1][2:] == ({"age": 1, "bmi": 2}, {"by": None, "prob": 0.5})
    assert asked[0][3] == {"by": "bmi", "prob": 0.9}


def test_an_intervention_is_that_of_the_saved_posterior_and_its_table(here, capsys):
    rows = test_intervention.table()
    post = test_intervention.posterior(test_intervention.LINEAR, rows)
    store.save(post, here / "p.zarr.zip")
    rows.to_csv("t.csv", index=False)
    asked = ["intervene", "p.zarr.zip", "t.csv", "--format", "csv", "--do"]
    assert cli.main([*asked, "x=0,2", "--prob", "0.5"]) == 0
    told = pd.read_csv(io.StringIO(capsys.readouterr().out))
    pd.testing.assert_frame_equal(told, intervene(post, rows, {"x": (0, 2)}, prob=0.5), rtol=1e-9)
    for do, problem in (
        ("z=1", 'do: no node called "z".'),
        ("x=high", "do.x: is 'high', and its column holds"),
    ):
        assert cli.main([*asked, do]) == 1
        out, err = capsys.readouterr()
        assert not out and err.startswith(f"p.zarr.zip: {problem}") and len(err.splitlines()) == 1


def test_misspelt_nodes_are_told_before_a_fit(ward_file, fitted, capsys):
    assert cli.main(["intervene", str(ward_file), "--do", "aeg=1", "--do", "bmi=2", "--by", "bmo"]) == 1
    assert not fitted and capsys.readouterr().err.splitlines() == [
        f'{ward_file}: do: no node called "aeg". Did you mean "age"?',
        f'{ward_file}: by: no measured node called "bmo". Did you mean "bmi"?',
    ]


def test_a_table_with_two_columns_of_a_name_is_a_finding(here, fake, monkeypatch, capsys):
    monkeypatch.setattr("bayesmtl.store.read", lambda path: fake)
    Path("t.csv").write_text("age,age\n1,2\n2,3\n")
    assert cli.main(["intervene", "p.zarr.zip", "t.csv", "--do", "age=1"]) == 1
    assert 'table: has 2 columns called "age"' in capsys.readouterr().err


# --- dag ------------------------------------------------------------------------------------------


def test_a_table_that_contradicts_the_graph_is_said_so(here, capsys):
    draw = np.random.default_rng(3)
    a, b, c, d = draw.normal(size=(4, 200))
    table = pd.DataFrame({"a": a, "b": a + b, "c": a + b + c, "d": a + b + c + 3 * a + d})
    table.to_csv("t.csv", index=False)
    model = 'dag = "a -> b -> c -> d {}"\n[data]\ntable = "t.csv"\n[tasks]\nd = "gaussian"\n'
    Path("m.toml").write_text(model.format(""))
    assert cli.main(["dag", "m.toml"]) == 0
    out, err = capsys.readouterr()
    said = re.fullmatch(
        r"The table contradicts the graph in 2 of 3 implications: above all, "
        r"a and d are not independent given b \(p = (\S+) after Holm\)\.\n",
        err,
    )
    assert said and float(said[1]) < 1e-6 and "Independent, by the graph" in out
    Path("m.toml").write_text(model.format("<- a -> d <- b"))
    assert cli.main(["dag", "m.toml"]) == 0
    assert not capsys.readouterr().err
    assert cli.main(["dag", "m.toml", "--graph"]) == 0
    assert not capsys.readouterr().err


# --- tables in a terminal -------------------------------------------------------------------------


def test_a_wide_table_stands_in_parts_that_fit_and_break_no_number():
    draw = np.random.default_rng(1)
    numbers = {f"{'n' * k}{k}": draw.integers(0, 10**k, 2) for k in range(1, 10)}
    ends = {"p": draw.random(2) / 1e3, "p_low": draw.random(2) / 1e6, "p_high": draw.random(2) / 1e5}
    frame = pd.DataFrame({"task": ["a", "b"], **numbers, **ends, "long": 2 * ["word " * 9]})
    whole = [row.split() for row in grid(frame, 1).splitlines()[2:]]
    for width in range(38, 100):
        rows = grid(frame, 1, width).splitlines()
        assert max(map(len, rows)) <= width
        for one in whole:
            told = [word for row in rows if row.startswith(f" {one[0]}") for word in row.split()[1:]]
            assert [word for word in told if word != "word"] == [word for word in one[1:] if word != "word"]


def test_a_terminal_is_as_wide_as_it_says(fake, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, printed.rows(weights(fake), "table").splitlines())) <= 60


def test_long_texts_wrap_at_words_and_rows_that_say_nothing_are_not_repeated():
    frame = pd.DataFrame(
        {
            "where": ["a", "b"],
            "problem": ["word " * 20] * 2,
            "value": [0.123, 2.0],
            "remedy": ["", "do " * 20],
        }
    )
    lines = grid(frame, 0, 50).splitlines()
    assert max(map(len, lines)) <= 50 and "wor" not in {word for line in lines for word in line.split()}
    assert [line.split()[0] for line in lines if line.startswith((" a", " b"))] == ["a", "b", "b"]


def test_an_interval_stands_beside_its_middle_whatever_it_is_called():
    frame = pd.DataFrame({"task": ["a"], "mean": [1.0], "low": [0.5], "high": [1.5], "n": [3]})
    lines = [line.split() for line in grid(frame, 0).splitlines()]
    assert lines[0] == ["task", "mean", "n"] and lines[2] == ["a", "1", "[0.5,", "1.5]", "3"]
    frame = pd.DataFrame({"task": ["a"], "mean": [1.0], "mean_low": [0.9], "mean_high": [1.1], "low": [0.0]})
    lines = [line.split() for line in grid(frame.assign(high=2.0), 0).splitlines()]  # as of predict
    assert lines[0] == ["task", "mean", "low", "high"] and lines[2] == ["a", "1", "[0.9,", "1.1]", "0", "2"]


# --- parts ----------------------------------------------------------------------------------------


def test_every_part_is_listed_under_its_role(capsys):
    assert cli.main(["parts"]) == 0
    text = capsys.readouterr().out
    for role in parts.ROLES:
        assert f"{role}: {parts.ROLES[role]}\n" in text
        assert cli.main(["parts", role]) == 0
        own = capsys.readouterr().out
        assert own in text
        assert re.findall(r"^  (\w+) ", own, re.M) == parts.names(role)


def test_a_manual_has_the_docstring_and_every_option(capsys):
    for role in parts.ROLES:
        for name in parts.names(role):
            assert cli.main(["parts", role, name]) == 0
            text = capsys.readouterr().out
            manual = parts.manual(role, name)
            assert text.startswith(name) and manual.doc in text
            for option in manual.options.values():
                assert f"\n{option.name} = {json.dumps(option.default)}: " in text


# --- the ends of a pipe ---------------------------------------------------------------------------


def test_a_reader_that_has_read_enough_is_no_error():
    run = f"{sys.executable} -m bayesmtl parts | head -1"
    out = subprocess.run(run, shell=True, capture_output=True, text=True)
    assert len(out.stdout.splitlines()) == 1 and not out.stderr


def test_names_survive_a_terminal_that_knows_ascii_only(tmp_path):
    model = tmp_path / "längd.toml"
    model.write_text('formula = "x"\n[tasks]\n"längd" = "gausian"\n', encoding="utf-8")
    run = [sys.executable, "-m", "bayesmtl", "check", "--graph", str(model)]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    out = subprocess.run(run, capture_output=True, text=True, env=env)
    assert out.returncode == 1 and "tasks.l\\xe4ngd" in out.stderr and "Traceback" not in out.stderr


# --- progress -------------------------------------------------------------------------------------


def run_of(done: int, stopped: bool = False) -> Progress:
    """A run of two chains, 10 and 20 iterations each, that has come so far."""
    return Progress("nuts", 2, 10, 20, [done, done], divergences=0, stopped=stopped)


@pytest.mark.parametrize(
    "done, stopped, words",
    [
        (5, False, "nuts, warm-up, 0 of 40 draws, 0 divergences"),
        (15, False, "nuts, sampling, 10 of 40 draws, 0 divergences"),
        (30, False, "nuts, done, 40 draws, 0 divergences"),
        (15, True, "nuts, stopped, 10 of 40 draws, 0 divergences"),
    ],
)
def test_progress_says_where_a_run_stands(done, stopped, words):
    assert progress.words(run_of(done, stopped)) == words


def test_a_terminal_sees_a_bar_and_a_file_only_the_end():
    texts = {}
    for terminal in (True, False):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=100, highlight=False)
        with progress.shown("wards", console) as watch:
            watch(run_of(15))
            watch(run_of(30))
        texts[terminal] = console.file.getvalue()
    assert "━" in texts[True] and "done, 40 draws" in texts[True]
    assert texts[False] == "wards: nuts, done, 40 draws, 0 divergences, 0 s\n"


def test_a_bar_goes_when_a_fit_fails():
    console = Console(file=io.StringIO(), force_terminal=False)
    with pytest.raises(ModelError), progress.shown("wards", console):
        raise ModelError(Finding("dag", "is bad."))
    assert not console.file.getvalue()


@pytest.mark.parametrize(
    "kind, words",
    [
        ("Positive", "a prior of a positive number"),
        ("Scale", 'a prior of a positive number, "pooled", or { formula = "..." }'),
        ("Scale | Literal['marginal']", 'a prior of a positive number, "pooled", "marginal", or { formula ='),
        ("Column", "a column of the table"),
        ("Literal['a', 'b']", "one of 'a', 'b'"),
    ],
)
def test_an_options_kind_is_said_in_words(kind, words):
    assert f"sigma = null: {words}" in printed._option(parts.Option("sigma", kind, None))


def test_a_yes_stands_as_its_columns_name_and_a_column_without_any_is_left_out():
    frame = pd.DataFrame({"task": ["a", "b"], "tempered": [True, False]})
    assert [line.split() for line in printed.rows(frame, "table").splitlines()][2:] == [
        ["a", "tempered"],
        ["b"],
    ]
    assert "tempered" not in printed.rows(frame.assign(tempered=False), "table")
    assert pd.read_csv(io.StringIO(printed.rows(frame, "csv")))["tempered"].tolist() == [True, False]
