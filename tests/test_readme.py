"""Every block of the README runs, and it says what is so."""

import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
from test_models import of_analysis, of_model

from bayesmtl import cli, load, parts

README = Path("README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def test_it_is_about_a_hundred_lines_beside_the_parts():
    lines = README.splitlines()
    assert 80 <= sum(not line.startswith("|") for line in lines) <= 130


def test_the_model_is_the_one_that_is_shipped():
    assert blocks("toml") == [Path("models/election.toml").read_text(encoding="utf-8")]
    tomllib.loads(blocks("toml")[0])


def test_every_python_block_runs(capsys):
    scope: dict = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), scope)
    said = capsys.readouterr().out
    assert "share" in said and "violent" in said


def test_the_parts_are_listed_each_with_its_summary():
    for role in parts.ROLES:
        for name in parts.names(role):
            assert f"| {role} | `{name}` | {parts.manual(role, name).summary} |" in README


def test_the_parts_are_used_where_it_says():
    for role, name, place in re.findall(r"^\| (\w+) \| `(\w+)` \|.*\| ([\w.]+) \|$", README, re.M):
        path = Path("models", place) if place.endswith(".toml") else Path("analyses", place, "run.py")
        model = load(path) if path.suffix == ".toml" else None
        if role in ("relations", "shrinkage", "likelihoods", "residuals"):
            used = of_model(model) if model else of_analysis(path)
            assert (role, name) in used, f"{role} {name} isn't in {path}"


def test_every_verb_is_shown_and_understood():
    lines = [line.partition("#")[0] for line in blocks("sh")[1].splitlines()]
    verbs = set()
    for line in lines:
        name, *arguments = shlex.split(line)
        assert name == "bayesmtl"
        verbs.add(cli.parser().parse_args(arguments).run)
    every = {verb for verb, _, _ in cli._VERBS.values()}
    assert verbs == every


@pytest.mark.slow
def test_the_command_lines_run(tmp_path, monkeypatch):
    """In the order that they stand, in a folder of the reader's own."""
    home = Path.cwd()
    (tmp_path / "models").symlink_to(home / "models")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new.csv").write_text("age,education,income\n40,4,12\n")
    (tmp_path / "more.csv").write_text("age,education,income,party,ideology,vote\n40,4,12,2,4,0\n")
    for line in blocks("sh")[1].splitlines():
        arguments = shlex.split(line.partition("#")[0])[1:]
        if arguments[0] == "compare":  # with one of the reader's own
            shutil.copy("election.zarr.zip", "pooled.zarr.zip")
        if "*" in " ".join(arguments):
            arguments = ["check", *map(str, sorted(Path("models").glob("*.toml")))]
        assert cli.main(arguments) == 0, line
    names = {p.name for p in tmp_path.iterdir()}
    written = {"election.svg", "election.zarr.zip", "election.updated.zarr.zip", "election.html"}
    assert names == {"models", "new.csv", "more.csv", "pooled.zarr.zip", *written}
