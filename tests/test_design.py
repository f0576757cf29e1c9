"""Encoding: what changes when a table or a model is written otherwise, and what must not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesmtl import parts, tables
from bayesmtl.encoded import encode
from bayesmtl.errors import ModelError
from bayesmtl.responses import response
from bayesmtl.spec import Model, Task

ROWS = 19
KEYS = {
    "tasks": {
        "score": "gaussian",
        "vote": {"kind": "bernoulli", "formula": "x + g"},
        "count": "poisson",
        "grade": {"kind": "ordinal", "formula": "poly(z, 2)"},
        "other": "gaussian",
    },
    "formula": "x + x:z",
}


def table():
    random = np.random.default_rng(13)
    whole = pd.DataFrame(
        {
            "x": random.normal(3, 2, ROWS),
            "z": random.normal(size=ROWS),
            "g": random.choice(["a", "b", "c"], ROWS),
            "score": random.normal(50, 10, ROWS),
            "vote": random.integers(0, 2, ROWS).astype(float),
            "count": random.poisson(3, ROWS),
            "grade": [1, 2, 3] * 6 + [2],
            "other": random.normal(size=ROWS),
        }
    )
    whole.loc[[2, 3, 5], "vote"] = np.nan
    whole.loc[[7, 11], "score"] = np.nan
    return whole


def cells(design):
    """Every cell as (task, unit, response, its row of standard predictors that the task uses)."""
    x = (design.x - design.mean) / design.sd
    found = {}
    for family in design.families:
        for of, row, y in zip(family.of, family.row, family.y, strict=True):
            task = family.task.labels[of]
            uses = design.uses[design.task.labels.index(task)]
            named = zip(np.array(design.feature.labels)[uses], x[row, uses], strict=True)
            found[task, design.units[row]] = (float(y), dict(named))
    return found


def same(one, other):
    assert one.keys() == other.keys()
    for key, (y, x) in one.items():
        assert y == other[key][0]
        assert x == pytest.approx(other[key][1], abs=1e-9)


@given(st.permutations(range(ROWS)))
@settings(deadline=None, derandomize=True, max_examples=11)
def test_the_order_of_rows_permutes_the_cells(order):
    whole = table().assign(unit=range(ROWS))
    model = Model(**KEYS, data={"units": "unit"})
    turned = encode(model, whole.iloc[list(order)])
    same(cells(encode(model, whole)), cells(turned))


@given(st.permutations(list(KEYS["tasks"])))
@settings(deadline=None, derandomize=True, max_examples=11)
def test_the_order_of_tasks_permutes_the_tasks(order):
    turned = Model(**KEYS | {"tasks": {name: KEYS["tasks"][name] for name in order}})
    one, other = encode(Model(**KEYS), table()), encode(turned, table())
    assert other.task.labels == tuple(order)
    assert {name: one.unit(name) for name in order} == {name: other.unit(name) for name in order}
    assert one.cells == other.cells
    same(cells(one), cells(other))


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
@settings(deadline=None, derandomize=True, max_examples=23)
def test_the_units_of_a_predictor_change_nothing_within(place, unit):
    model = Model(tasks={"score": "gaussian", "vote": "bernoulli"}, formula="x + z + g")
    one = encode(model, table())
    other = encode(model, table().assign(x=lambda t: place + unit * t.x))
    for part in ("mean", "sd"):
        assert getattr(one, part).shape == (4,)
    np.testing.assert_allclose((other.x - other.mean) / other.sd, (one.x - one.mean) / one.sd, atol=1e-7)
    np.testing.assert_allclose(other.sd[0], unit * one.sd[0])


def test_an_empty_outcome_is_no_cell_and_is_counted():
    design = encode(Model(**KEYS), table())
    assert design.empty.tolist() == [2, 3, 0, 0, 0]
    assert design.cells == {"score": 17, "vote": 16, "count": 19, "grade": 19, "other": 19}
    family = next(f for f in design.families if f.name == "bernoulli")
    assert not set(family.row) & {2, 3, 5}


def test_tasks_of_one_likelihood_are_one_family():
    design = encode(Model(**KEYS), table())
    assert {f.name: f.task.labels for f in design.families} == {
        "gaussian": ("score", "other"),
        "bernoulli": ("vote",),
        "poisson": ("count",),
        "ordinal": ("grade",),
    }
    gaussian = design.families[0]
    np.testing.assert_allclose(gaussian.centre, [table().score.mean(), table().other.mean()])
    np.testing.assert_allclose(gaussian.unit, [table().score.std(), table().other.std()])
    assert design.unit("vote") == (0.0, 1.0)
    assert design.unit("count") == (pytest.approx(np.log(table()["count"].mean())), 1.0)


def test_a_task_uses_the_columns_of_its_formula():
    design = encode(Model(**KEYS), table())
    uses = {
        name: [f for f, used in zip(design.feature.labels, row, strict=True) if used]
        for name, row in zip(design.task.labels, design.uses, strict=True)
    }
    assert uses["score"] == uses["count"] == uses["other"] == ["x", "x:z"]
    assert uses["vote"] == ["x", "g[T.b]", "g[T.c]"]
    assert uses["grade"] == ["poly(z, 2)[1]", "poly(z, 2)[2]"]


def test_a_predictor_may_be_empty_where_no_cell_needs_it():
    keys = {"tasks": {"score": {"kind": "gaussian", "formula": "z"}, "other": "gaussian"}}
    whole = table().assign(x=lambda t: t.x.mask(t.index < 5))
    whole["other"] = whole["other"].mask(whole.index < 5)
    design = encode(Model(**keys, formula="x"), whole)
    assert np.isfinite(design.x).all()
    x = design.feature.labels.index("x")
    np.testing.assert_allclose([design.mean[x], design.sd[x]], [whole.x.mean(), whole.x.std()])
    np.testing.assert_allclose(design.data["x"][:5, x], 0.0, atol=1e-12)


def test_rows_and_columns_encode_to_the_same_cells():
    wide = table()[["x", "z", "score", "other"]].assign(unit=[f"u{i}" for i in range(ROWS)])
    long = wide.melt(["unit", "x", "z"], var_name="task", value_name="y").sample(frac=1.0, random_state=3)
    units = {"units": "unit"}
    columns = Model(tasks={"score": "gaussian", "other": "gaussian"}, formula="x + z", data=units)
    rows = Model(tasks={"by": "task", "outcome": "y", "kind": "gaussian"}, formula="x + z", data=units)
    one, other = encode(columns, wide), encode(rows, long)
    assert set(one.task.labels) == set(other.task.labels)
    assert dict(zip(other.task.labels, other.empty, strict=True)) == {"score": 2, "other": 0}
    one_cells, other_cells = cells(one), cells(other)
    assert one_cells.keys() == other_cells.keys()
    assert {key: y for key, (y, _) in one_cells.items()} == pytest.approx(
        {key: y for key, (y, _) in other_cells.items()}
    )


@pytest.mark.parametrize(
    ("values", "levels", "codes", "grades"),
    [
        ([1, 3, 2, 3], 3, [0, 2, 1, 2], (1, 2, 3)),
        ([0, 2, 1, 2], 3, [0, 2, 1, 2], (0, 1, 2)),
        ([5, 9, 7, 9], 0, [0, 2, 1, 2], (5, 7, 9)),
        (["lo", "hi", "mid", "hi"], ["lo", "mid", "hi"], [0, 2, 1, 2], ("lo", "mid", "hi")),
        (pd.Categorical(list("bcab"), list("cab")), 0, [2, 0, 1, 2], ("c", "a", "b")),
        ([2, 5, 3, 5], 5, [1, 4, 2, 4], (1, 2, 3, 4, 5)),
    ],
)
def test_grades(values, levels, codes, grades):
    task = Task("grade", "grade", None, {"kind": "ordinal", "levels": levels})
    assert "levels" in parts.settings("likelihoods", task.likelihood)
    y, found = response(task, pd.Series(values))
    assert (y.tolist(), found) == (codes, grades)


def test_a_row_without_a_predictor_serves_the_tasks_that_do_not_use_it():
    whole = table().assign(x=lambda t: t.x.mask(t.index.isin([0, 3])), g=lambda t: t.g.mask(t.index == 1))
    design = encode(Model(**KEYS), whole)
    # vote is empty in rows 2, 3, 5, and needs x and g; grade needs neither
    assert design.cells == {"score": 15, "vote": 14, "count": 17, "grade": 19, "other": 17}
    assert design.unserved.tolist() == [2, 2, 2, 0, 2]
    assert design.empty.tolist() == [2, 3, 0, 0, 0]
    served = whole.drop([0, 3])
    x = design.feature.labels.index("x")
    assert np.isfinite(design.predictors.x).all()
    np.testing.assert_allclose(design.predictors.mean[x], served.x.mean())
    np.testing.assert_allclose(design.predictors.sd[x], served.x.std())


def test_tables_of_tasks_encode_to_the_cells_of_one_table():
    one = table()[["x", "z", "score"]].assign(unit=[f"u{i}" for i in range(ROWS)])
    other = table()[["x", "z", "other"]].assign(unit=[f"v{i}" for i in range(ROWS)]).head(11)
    model = Model(
        tasks={"score": "gaussian", "other": "gaussian"}, formula="x + poly(z, 2)", data={"units": "unit"}
    )
    apart = encode(model, tables.stack({"score": one, "other": other}))
    together = encode(model, pd.concat([one, other], ignore_index=True))
    same(cells(apart), cells(together))
    assert apart.empty.tolist() == [2, 0]
    assert together.empty.tolist() == [2 + 11, ROWS]
    rows = encode(Model(tasks=model.tasks, formula="x"), tables.stack({"score": one, "other": other})).units
    assert rows[[0, ROWS]].tolist() == ["1 of score", "1 of other"]


def test_a_task_needs_no_columns_that_only_another_tables_tasks_use():
    one, other = table()[["x", "score"]], table()[["z", "other"]]
    model = Model(
        tasks={"score": {"kind": "gaussian", "formula": "x"}, "other": {"kind": "gaussian", "formula": "z"}}
    )
    design = encode(model, tables.stack({"score": one, "other": other}))
    assert design.cells == {"score": 17, "other": ROWS}
    assert np.isfinite(design.predictors.x).all()
    found = dict(zip(design.feature.labels, design.predictors.sd, strict=True))
    assert found == {
        "x": pytest.approx(table().x[table().score.notna()].std()),
        "z": pytest.approx(table().z.std()),
    }


def test_a_missing_column_is_a_finding():
    with pytest.raises(ModelError, match='no column called "z"'):
        encode(Model(**KEYS), table().drop(columns="z"))
