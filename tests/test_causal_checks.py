"""The worked cases: what check says of each is quoted beside it, and is so of its table."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import bayesmtl as bm

HOME = Path("analyses/causal_checks")
SPEC = importlib.util.spec_from_file_location("causal_checks", HOME / "run.py")
RUN = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(RUN)
CASES = pytest.mark.parametrize(("formulas", "case"), RUN.CASES.items(), ids=lambda case: case[0])


MODELS = pytest.mark.parametrize("path", sorted(Path("models").glob("*.toml")), ids=lambda path: path.stem)


def model(text, dag):
    task, formula = text.split(" ~ ")
    return bm.Model({task: "gaussian"}, formula, dag)


@CASES
def test_the_findings_are_quoted_as_they_are(formulas, case):
    answer = " ".join((HOME / "README.md").read_text(encoding="utf-8").split())
    wrong, right = (bm.check(model(text, case[0])) for text in formulas)
    assert wrong and all(f"`{finding}`" in answer for finding in wrong)
    assert [finding for finding in right if finding.level != "note"] == []


@CASES
def test_the_flagged_formula_misses_the_truth_and_the_advised_one_has_it(formulas, case):
    errors = []
    for text in formulas:
        task, formula = text.split(" ~ ")
        x = np.column_stack([np.ones(RUN.N), *(RUN.TABLE[name] for name in formula.split(" + "))])
        weights, (square,) = np.linalg.lstsq(x, RUN.TABLE[task])[:2]
        error = np.sqrt(square / (RUN.N - x.shape[1]) * np.linalg.inv(x.T @ x)[1, 1])
        errors.append(abs(weights[1] - case[1]) / error)
    wrong, right = errors
    assert wrong > 5 and right < 2.5  # of one table, as its seed has it


@CASES
def test_what_is_advised_is_what_the_graph_says_to_adjust_for(formulas, case):
    right = model(formulas[1], case[0])
    exposure, *given = right.formula.split(" + ")
    row = bm.identify(right).set_index("exposure").loc[exposure]
    assert row.weight == "total effect" and (", ".join(sorted(given)) or "nothing") in (row.adjust, row.sets)


@MODELS
def test_what_is_said_of_the_shipped_models_is_so(path):
    found, tested = bm.check(bm.load(path)), bm.implications(bm.load(path)).dropna(subset="p")
    assert all(finding.level == "note" and "direct effect" in finding.problem for finding in found)
    noted, least = "direct effects" if found else "nothing", f"{tested.holm.min():.2f}" if len(tested) else ""
    row = f"| {path.stem} | {noted} | {len(tested)} | {least} |"
    assert row in (HOME / "README.md").read_text(encoding="utf-8").splitlines()
