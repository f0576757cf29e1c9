"""Every analysis runs, on few draws and on one of the parts that it compares."""

import importlib.util
import re
from pathlib import Path

import pytest

RUNS = sorted(Path("analyses").glob("*/run.py"))
SAID = {  # what each answer has in it
    "causal_checks": ['"married" is an effect of task "happiness"', "in truth"],
    "diagnostics": ["wrong", "residuals are correlated", "predictions are off"],
    "election": ["education", "share"],
    "negative_transfer": ["pooled", "contrary", "harms"],
    "noise": ["zero_inflated negative_binomial", "gamma", "visits"],
    "relations": ["sum_of", "degrees"],
    "shrinkage": ["blocks", "prices"],
    "speed": ["bayesmtl", "tasks_2k"],
    "task_weights": ["loud", "network 0.00669"],
}
DRAWN = {"diagnostics", "negative_transfer", "task_weights"}


def test_every_analysis_has_its_answer_here():
    assert [path.parent.name for path in RUNS] == sorted(SAID)


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.parent.name)
def test_it_is_forty_lines_with_an_answer_beside_it(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 40
    answer = (path.parent / "README.md").read_text(encoding="utf-8")
    assert f"analyses/{path.parent.name}/run.py" in answer and "**Answer.**" in answer
    shown = re.findall(r"!\[.+\]\((.+)\)", answer)
    assert bool(shown) == (path.parent.name in DRAWN)
    assert all((path.parent / name).stat().st_size < 300_000 for name in shown)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto distribution")
@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.parent.name)
def test_it_answers_its_question(path, capsys):
    spec = importlib.util.spec_from_file_location(f"analysis_{path.parent.name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.answer(quick=True)
    said = capsys.readouterr().out
    assert [word for word in SAID[path.parent.name] if word not in said] == []
