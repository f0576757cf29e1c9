"""Counterfactuals of single rows: against the structural equations, solved by hand for each draw."""

import numpy as np
import pandas as pd
import pytest
from test_intervention import DRAWS, LINEAR, ROWS, binary, of, posterior, table

import bayesmtl as bm

CURVED = bm.Model(
    tasks={"m": {"kind": "gaussian", "formula": "x + c"}, "y": {"kind": "gaussian", "formula": "x * m + c"}},
    dag="c -> x -> m -> y <- x\nc -> m, y",
)


def agree(found, draws, observed):
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    want = np.array([observed, draws.mean(0), low, high, draws.mean(0) - observed])
    np.testing.assert_allclose(
        found[["observed", "mean", "low", "high", "change"]].T, want, rtol=1e-8, atol=1e-9
    )


def test_a_row_keeps_its_noise_and_so_do_the_tasks_between():
    rows, post = table(), posterior(CURVED, table())
    found = bm.counterfactual(post, rows, {"x": 1.5})
    assert found.columns.tolist() == ["task", "row", "label", "observed", "mean", "low", "high", "change"]
    assert set(found.label) == {"counterfactual"} and found.row.tolist() == [*range(1, ROWS + 1)] * 2
    x, m, y = (rows[name].to_numpy() for name in "xmy")
    m_new = m + of(post, "m", "x")[:, None] * (1.5 - x)
    agree(found[found.task == "m"], m_new, m)
    weight = {name: of(post, "y", name)[:, None] for name in ("x", "m", "x:m")}
    change = weight["x"] * (1.5 - x) + weight["m"] * (m_new - m) + weight["x:m"] * (1.5 * m_new - x * m)
    agree(found[found.task == "y"], y + change, y)


def test_what_is_set_to_what_it_was_is_what_was_seen():
    rows = table().assign(x=lambda t: (t.x > 0) * 1.0)
    found = bm.counterfactual(posterior(LINEAR, rows), rows, {"x": 1}, tasks=["y"])
    same = (rows.x == 1).to_numpy()
    np.testing.assert_allclose(found.change[same], 0, atol=1e-9)
    assert (found.change[~same].abs() > 0.1).all() and (found.low < found.high)[~same].all()


def test_noise_that_a_predictor_scales_is_scaled():
    kind = {"kind": "gaussian", "sigma": {"formula": "x"}, "formula": "x"}
    model, rows = bm.Model(tasks={"y": kind}, dag="x -> y"), table()
    draw = np.random.default_rng(1).normal(size=(1, DRAWS, 1, 1))
    post = posterior(model, rows, sigma_weight=(("task", "feature"), draw))
    found = bm.counterfactual(post, rows, {"x": 0.5})
    x, y, mean = rows.x.to_numpy(), rows.y.to_numpy(), post.constant_data["mean"].item()
    level, weight = post.posterior["level"].values.reshape(-1, 1), of(post, "y", "x")[:, None]
    ratio = np.exp(draw.reshape(-1, 1) * (0.5 - x) / post.constant_data["spread_sd"].item())
    noise = y - level - weight * (x - mean)
    agree(found, level + weight * (0.5 - mean) + noise * ratio, y)


def test_rows_with_an_empty_cell_have_no_counterfactual():
    rows = table()
    rows.loc[3, "y"], rows.loc[5, "m"], rows.loc[7, "c"] = np.nan, np.nan, np.nan
    found = bm.counterfactual(posterior(LINEAR, rows), rows.assign(p=[f"p{i}" for i in rows.index]), {"x": 0})
    assert found.row[found.task == "y"].tolist() == [i + 1 for i in range(ROWS) if i not in (3, 5, 7)]
    assert found.row[found.task == "m"].tolist() == [i + 1 for i in range(ROWS) if i not in (5, 7)]
    assert np.isfinite(found[["mean", "low", "high"]]).all(axis=None)


def test_tasks_as_rows():
    rows = pd.concat([table().assign(school=name) for name in ("p", "q")], ignore_index=True)
    tasks = {"by": "school", "outcome": "y", "kind": "gaussian"}
    post = posterior(bm.Model(tasks=tasks, formula="x", dag="x -> y"), rows)
    found = bm.counterfactual(post, rows, {"x": 1}, tasks=["q"])
    assert found.row.tolist() == [*range(ROWS + 1, 2 * ROWS + 1)]
    y = table().y.to_numpy()
    agree(found, y + of(post, "q", "x")[:, None] * (1 - table().x.to_numpy()), y)


def test_what_has_no_noise_to_keep_is_refused():
    model = bm.Model(
        tasks={"m": {"kind": "bernoulli", "formula": "x"}, "y": {"kind": "gaussian", "formula": "x + m"}},
        dag="x -> m -> y <- x",
    )
    rows = binary()
    with pytest.raises(bm.ModelError) as error:
        bm.counterfactual(posterior(model, rows), rows, {"x": (0, 1)}, tasks=["y"])
    assert [str(finding) for finding in error.value.findings] == [
        "do: contrasts two settings. Give one value of each node, or contrast averages by intervene.",
        "tasks.m: is bernoulli, and only normal tasks have noise that is kept. "
        "Ask of others, or of averages by intervene.",
    ]
    with pytest.raises(bm.ModelError, match='do: no node called "X"'):
        bm.counterfactual(posterior(model, rows), rows, {"X": 0})
