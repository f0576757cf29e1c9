"""The models that are shipped are sound, and they and the analyses use every part on data."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bayesmtl as bm
from bayesmtl import parts

MODELS = sorted(Path("models").glob("*.toml"))
ANALYSES = sorted(Path("analyses").glob("*/run.py"))
ROLES = ("relations", "shrinkage", "likelihoods", "residuals")
SAID = {  # what a model file can say beyond its parts, as it stands in one
    "a group": "(1 |",
    "slopes of a group": "(1 + year |",
    "correlated over tasks": "|p|",
    "a known covariance": "cov =",
    "Student-t effects": 'dist = "student"',
    "priors": "[priors]",
    "a pooled sigma": 'sigma = "pooled"',
    "a sigma with a formula": "sigma = { formula",
    "a sigma integrated out": 'sigma = "marginal"',
    "tables of tasks": "[data.table]",
    "tasks as rows": 'by = "firm"',
    "importance": "importance =",
    "weights": "weights =",
    "soft labels": "soft =",
}


def within(role: str, part: Any) -> Iterator[tuple[str, str]]:
    """A part and the parts in it, as role and name."""
    part = parts.table(part) if isinstance(part, (str, dict)) else {"kind": "sum_of", "relations": part}
    yield role, part["kind"]
    for name, option in parts.manual(role, part["kind"]).options.items():
        value = part.get(name)
        if value is not None and option.kind == "Likelihood":
            yield from within("likelihoods", value)
        if value is not None and option.kind == "Relations":
            for one in value:
                yield from within("relations", one)


def of_model(model: bm.Model) -> Iterator[tuple[str, str]]:
    """The parts of a model file."""
    yield from within("relations", model.relation)
    yield from within("shrinkage", model.shrinkage)
    yield from within("residuals", model.residual)
    for task in [model.tasks] if model.as_rows else model.tasks.values():
        yield from within("likelihoods", task)


def of_analysis(path: Path) -> Iterator[tuple[str, str]]:
    """The parts that an analysis compares: it lists them under the name of their role."""
    spec = importlib.util.spec_from_file_location(f"parts_of_{path.parent.name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for role in ROLES:
        for part in getattr(module, role.upper(), []):
            yield from within(role, part)


def test_every_part_is_used_on_data():
    used = {part for path in MODELS for part in of_model(bm.load(path))}
    used |= {part for path in ANALYSES for part in of_analysis(path)}
    every = {(role, name) for role in ROLES for name in parts.names(role)}
    assert every - used == set(), "use it in a file of models/, or list it in one of analyses/"


def test_all_that_a_file_can_say_is_said_in_one():
    text = "\n".join(path.read_text(encoding="utf-8") for path in MODELS)
    assert [what for what, words in SAID.items() if words not in text] == []


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_a_model_is_sound(path):
    model = bm.load(path)
    assert model.name == path.stem
    assert model.doc.endswith((".", "?")) and model.references and model.dag.nodes
    assert [str(finding) for finding in bm.check(model) if finding.level != "note"] == []


@pytest.mark.parametrize("path", sorted(Path("models/data").iterdir()), ids=lambda p: p.name)
def test_a_table_is_small_and_used(path):
    assert path.stat().st_size <= 150_000
    text = "\n".join(p.read_text(encoding="utf-8") for p in [*MODELS, *ANALYSES])
    assert path.name in text
