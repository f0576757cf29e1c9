"""Descriptions: a model in words, with every prior in the user's units."""

import re

import numpy as np
import pandas as pd
import pytest

from bayesmtl import parts
from bayesmtl.description import MOST, WIDTH
from bayesmtl.spec import Model, load

MODELS = ["election", "grunfeld", "statecrime"]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_file_is_described_in_lines_that_fit(name):
    text = str(load(f"models/{name}.toml"))
    assert text.startswith(name)
    assert all(len(line) <= WIDTH and line == line.rstrip() for line in text.splitlines())
    assert "centre" not in text and "unit)" not in text  # every prior has numbers


def test_priors_stand_in_the_units_of_the_table(ward_file, wards):
    text = str(load(ward_file))
    mean, sd = wards["stay"].mean(), wards["stay"].std()
    assert f"normal({mean:.4g}, {2.5 * sd:.4g})" in text
    assert f"half_student_t(3, {sd:.4g})" in text
    log_rate = np.log(wards["falls"].mean())
    assert f"normal({log_rate:.4g}, 2.5)" in text


def test_weights_are_told_per_unit_of_the_predictor(ward_file, wards):
    (line,) = [x for x in str(load(ward_file)).split("Prior sd")[1].splitlines() if "stay" in x]
    told = [float(word) for word in line.split()[1:]]
    served = wards[wards[["stay", "readmit", "falls"]].notna().any(axis=1)]
    assert told == pytest.approx([wards["stay"].std() / served[x].std() for x in ("age", "bmi")], rel=1e-3)
    (falls,) = [x for x in str(load(ward_file)).split("Prior sd")[1].splitlines() if "falls" in x]
    assert len(falls.split()) == 2  # a weight that a task does not have is blank


def test_cells_and_empty_cells_are_counted(ward_file):
    text = str(load(ward_file))
    for name, cells, empty in (("stay", 29, 2), ("readmit", 28, 3), ("falls", 26, 5)):
        assert re.search(rf"^  {name} .* {cells} cells  {empty} empty$", text, re.M)


def test_formula_likelihood_and_link_of_each_task_are_told(ward_file):
    text = str(load(ward_file))
    assert re.search(r"^  stay +~ age \+ bmi +gaussian \(identity\)", text, re.M)
    assert re.search(r"^  readmit +~ age \+ bmi +bernoulli \(logit\)", text, re.M)
    assert re.search(r"^  falls +~ age +poisson \(log\)", text, re.M)


@pytest.mark.parametrize("spoil", ["missing file", "missing column", "no table"])
def test_without_a_fitting_table_priors_are_symbols(ward_file, wards, spoil):
    table = ward_file.parent / "wards.csv"
    table.unlink()
    if spoil == "missing column":
        wards.drop(columns="age").to_csv(table, index=False)
    if spoil == "no table":
        text = str(Model(tasks={"stay": "gaussian"}, formula="age"))
    else:
        text = str(load(ward_file))
    assert "normal(centre, 2.5 * unit)" in text and "centre and unit are" in text
    assert "cells" not in text


def test_what_the_user_set_is_told_and_defaults_are_not():
    model = Model(
        tasks={"a": {"kind": "gaussian", "sigma": 2}, "b": {"kind": "ordinal", "levels": 5}},
        formula="x",
        relation={"kind": "partial", "share": "beta(2, 3)"},
        engine={
            "kind": "nuts",
            "chains": 7,
            "draws": parts.manual("engines", "nuts").options["draws"].default,
        },
    )
    text = str(model)
    assert "fixed at 2" in text and "levels = 5" in text and "beta(2, 3)" in text
    assert "chains = 7" in text and "draws" not in text.split("Engine")[1].split(".")[0]


def test_every_prior_of_every_part_is_told():
    for relation in parts.names("relations"):
        for shrinkage in parts.names("shrinkage"):
            text = str(Model(tasks={"y": "gaussian"}, relation=relation, shrinkage=shrinkage))
            for role, name in (("relations", relation), ("shrinkage", shrinkage)):
                for option in parts.manual(role, name).options.values():
                    if option.kind in ("Real", "Positive", "Fraction", "Correlation"):
                        assert re.search(rf"{option.name} +\S*{re.escape(option.default)}", text)


def test_many_tasks_as_rows_are_summed_up(tmp_path):
    tasks, rows = 4 * MOST + 1, 5
    draw = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "ward": np.repeat([f"ward {i}" for i in range(tasks)], rows),
            "stay": draw.normal(5, 2, tasks * rows),
            **{f"measurement_number_{k}": draw.normal(size=tasks * rows) for k in range(11)},
        }
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    model = Model(
        tasks={"by": "ward", "outcome": "stay", "kind": "student_t"},
        formula=" + ".join(table.columns[2:]),
        data={"table": "t.csv"},
        folder=tmp_path,
    )
    text = str(model)
    assert f"Tasks: {tasks}, one per ward, each stay ~ measurement_number_0" in text
    assert text.count("student_t (identity)") == 1
    assert "and 44 more tasks" in text and "ward 4" in text and "ward 5" not in text
    assert len(text.splitlines()) < 60
    assert all(len(line) <= WIDTH for line in text.splitlines())
    told = text.split("Prior sd")[1].split()
    assert all(told.count(column) == 1 for column in table.columns[2:])


def test_a_part_that_does_not_exist_is_no_reason_to_fail():
    text = str(Model(tasks={"a": "gausian", "b": "poisson"}, relation="lowrank", formula="x"))
    assert "gausian" in text and "There is no such part." in text


def test_a_prior_of_the_users_takes_the_place_of_the_default_and_is_listed(ward_file, wards):
    text = ward_file.read_text() + '[priors]\n"sigma[stay]" = "half_normal(unit)"\n"weight[age]" = 0\n'
    ward_file.write_text(text + 'scale = "half_normal(7)"\n')
    text = str(load(ward_file))
    assert f"half_normal({wards['stay'].std():.4g})" in text and "half_student_t" not in text
    assert re.search(r"^  weight\[age\] +fixed at 0$", text, re.M)
    assert re.search(r"^  shrinkage +scale +half_normal\(7\)$", text, re.M)


def test_group_effects_have_their_priors_in_units(ward_file, wards):
    ward_file.write_text(ward_file.read_text().replace('"age + bmi"', '"age + bmi + (1 + age | clinic)"'))
    wards.assign(clinic=[f"c{i % 7}" for i in range(len(wards))]).to_csv(
        ward_file.parent / "wards.csv", index=False
    )
    text = str(load(ward_file))
    assert "Group clinic: 7 levels, each its own 1 + age of" in text and "lkj(2)" in text
    (line,) = [
        x for x in text.split("Group clinic")[1].split("\n\n")[0].splitlines() if x.startswith("  stay")
    ]
    sd, slope = re.findall(r"half_student_t\(3, ([\d.]+)\)", line)
    assert float(sd) == pytest.approx(wards["stay"].std(), rel=1e-3)
    assert 0.5 < float(slope) / float(sd) * wards["age"].std() < 2
    ward_file.with_name("wards.csv").unlink()
    assert "half_student_t(3, unit)" in str(load(ward_file)).split("Priors of group effects")[1]


def test_tempering_and_residuals_are_told():
    tasks = {"a": {"kind": "gaussian", "importance": 2, "weights": "w"}, "b": "gaussian"}
    text = str(Model(tasks=tasks, formula="x", residual={"kind": "correlated", "correlation": "lkj(3)"}))
    assert "tempered: importance 2, weights w" in text
    assert re.search(r"^Residual: +correlated\.", text, re.M)
    assert re.search(r"^  residual +correlation +lkj\(3\)$", text, re.M)
    assert "Residual" not in str(Model(tasks=tasks, formula="x"))
