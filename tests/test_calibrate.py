"""A model's own calibration: what is said of ranks, of models that make no table, and after a kill."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmtl as bm
from bayesmtl import calibrating, cli
from bayesmtl.calibrating import judged, ranks

SIMULATIONS = 24
MODEL = """
name = "stay"
formula = "age"
[tasks]
stay = { kind = "gaussian", offset = "normal(0, 1)", sigma = "gamma(6, 6)" }
[data]
table = "stay.csv"
"""


class Cut(BaseException):
    """Stands in for a kill."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, draw = tmp_path_factory.mktemp("calibrate"), np.random.default_rng(1)
    age = draw.normal(size=23)
    pd.DataFrame({"age": age, "stay": age + draw.normal(size=23)}).to_csv(folder / "stay.csv", index=False)
    (folder / "stay.toml").write_text(MODEL)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return bm.load(folder / "stay.toml")


@pytest.fixture(scope="module")
def whole(model):
    return ranks(model, simulations=SIMULATIONS, seed=1)


def made(**columns):
    """Ranks of 200 simulations."""
    return xr.DataArray(
        np.stack(list(columns.values()), axis=1),
        dims=["simulation", "parameter"],
        coords={"parameter": list(columns)},
        attrs={"divergences": 0},
    )


def test_ranks_that_are_not_uniform_are_told_by_what_is_wrong_with_the_draws():
    u, z = (np.arange(200) + 0.5) / 200, np.random.default_rng(2).normal(size=(5, 200))
    from scipy.stats import norm

    two = np.where(u < 0.5, 0.25 + 0.5 * u, 0.5 + 0.5 * (u - 0.5))  # of mean and variance nearly as uniform
    frame = judged(
        made(well=u, low=u**0.5, high=u**2, narrow=norm.cdf(1.6 * z[0]), wide=norm.cdf(0.6 * z[1]), two=two)
    )
    assert frame["verdict"].to_dict() == {
        "well": "calibrated",
        "low": "draws too low",
        "high": "draws too high",
        "narrow": "draws too narrow",
        "wide": "draws too wide",
        "two": "draws too wide",
    }
    assert frame.index[-1] == "well" and frame["p"].is_monotonic_increasing
    assert frame.loc["low", "rank"] == pytest.approx(2 / 3, abs=0.01)
    assert frame.loc["well", "spread"] == pytest.approx(1, abs=0.01)


def test_uniform_ranks_are_seldom_said_to_be_off():
    """1,000 models of 20 parameters: at most 1 in 100 may be off; more than 25 has a chance of 1e-5."""
    u = np.random.default_rng(3).uniform(size=(1000, 100, 20))
    names = [f"p{i}" for i in range(20)]
    off = sum(
        (judged(made(**dict(zip(names, each.T, strict=True))))["verdict"] != "calibrated").any() for each in u
    )
    assert off <= 25


def test_a_model_is_calibrated_and_every_scalar_of_its_posterior_is_ranked(whole, model):
    assert {*whole.parameter.values} >= {
        "weight[stay, age]",
        "offset[stay]",
        "sigma[stay]",
        "scale[age]",
        "density of gaussian",
    }
    assert whole.sizes["simulation"] == SIMULATIONS
    assert ((whole > 0) & (whole < 1)).all()
    assert (judged(whole)["verdict"] == "calibrated").all()  # fixed seed; else a chance of 1 in 100


def test_a_calibration_that_was_cut_off_goes_on_to_the_same_ranks(whole, model, tmp_path, monkeypatch):
    path, done = tmp_path / "stay.part", []
    true = calibrating.checkpoints.save

    def kill(*args):
        true(*args)
        done.append(SIMULATIONS - args[1][0].left)
        if done[-1] >= SIMULATIONS // 2:
            raise Cut

    monkeypatch.setattr(calibrating.checkpoints, "EVERY", 0.0)
    monkeypatch.setattr(calibrating.checkpoints, "save", kill)
    with pytest.raises(Cut):
        ranks(model, simulations=SIMULATIONS, seed=1, checkpoint=path)
    assert path.exists() and SIMULATIONS // 2 <= done[-1] < SIMULATIONS
    monkeypatch.setattr(calibrating.checkpoints, "save", true)
    with pytest.raises(bm.ModelError, match="another fit: not the same seed"):
        ranks(model, simulations=SIMULATIONS, seed=2, checkpoint=path)
    xr.testing.assert_identical(ranks(model, simulations=SIMULATIONS, seed=1, checkpoint=path), whole)
    assert not path.exists()


def test_the_verb_prints_rows_and_draws_the_worst(folder, whole, tmp_path, capsys):
    words = ["calibrate", str(folder / "stay.toml"), "--simulations", str(SIMULATIONS), "--seed", "1"]
    assert cli.main([*words, "--format", "csv", "--out", str(tmp_path / "ranks.png")]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == whole.sizes["parameter"] + 1
    assert f"all {whole.sizes['parameter']} parameters are calibrated; {SIMULATIONS} tables" in said.err
    assert (tmp_path / "ranks.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit):
        cli.main([*words, "--out", "ranks.txt"])


def test_a_model_that_makes_no_table_is_refused(model):
    table = pd.DataFrame({"age": [1.0, 2.0, 4.0, 7.0], "stay": [1.0, 3.0, 2.0, 5.0], "late": [0, 0, 1, 0]})
    censored = {"kind": "censored", "by": "late"}
    wrong = bm.Model(tasks={"stay": censored}, formula="age")
    with pytest.raises(bm.ModelError, match="nothing says where others would have been"):
        bm.calibrate(wrong, table)
    heavy = bm.Model(tasks={"stay": {"kind": "gaussian", "importance": 2.0}}, formula="age")
    with pytest.raises(bm.ModelError, match="weighted cells"):
        bm.calibrate(heavy, table)
