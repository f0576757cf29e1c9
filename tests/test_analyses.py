"""Every analysis runs, on few draws."""

import importlib.util
from pathlib import Path

import pytest

RUNS = sorted(Path("analyses").glob("*/run.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.parent.name)
def test_it_answers_its_question_in_forty_lines(path, capsys):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 40
    spec = importlib.util.spec_from_file_location(f"analysis_{path.parent.name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.answer(quick=True)
    said = capsys.readouterr().out
    assert "education" in said and "share" in said
    assert (path.parent / "README.md").exists()
