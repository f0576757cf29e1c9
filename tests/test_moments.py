"""Tables summarised in chunks: against the whole table, longer arithmetic and orthogonal columns."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpyro.handlers import seed, trace
from test_collapsed import CASES, TASKS, table

import bayesmtl as bm
from bayesmtl import chunks
from bayesmtl.collapsed import collapse
from bayesmtl.encoded import encode
from bayesmtl.kinds import encode_kinds
from bayesmtl.moments import moments
from bayesmtl.program import build
from bayesmtl.summary import Summary, add, scatter


def words(rows: int = 60) -> pd.DataFrame:
    """The table of ``test_collapsed``, with predictors in words, groups of numbers, and empty predictors."""
    draw, found = np.random.default_rng(11), table(rows)
    found["sex"] = draw.choice(["f", "m"], rows)
    found["smokes"] = draw.choice([True, False], rows)
    found["year"] = draw.choice([2001, 2003, 2002], rows)
    found["dose"] = pd.Categorical(draw.choice(["mid", "low", "high"], rows), ["low", "mid", "high"])
    found["ward"] = draw.integers(1, 5, rows)
    found.loc[[2, 30, 31, 44], "a"] = np.nan
    found.loc[[7, 31], "sex"] = None
    return found


def worded(formula: str, tasks=TASKS) -> tuple[bm.Model, pd.DataFrame]:
    return bm.Model(tasks=tasks, formula=formula, relation={"kind": "partial"}), words()


OWN = {**TASKS, "u": {"kind": "gaussian", "formula": "b", "importance": 0.5}}
CHAIN = {"u": "gaussian", "v": {"kind": "gaussian", "formula": "u + b"}}
EVERY = {name: case for name, case in CASES.items() if name != "tempered"} | {
    "words": worded("a * sex + C(year) + smokes + dose"),
    "functions": worded("I(a ** 2) + a:b + log(abs(b)) + (0 + dose | ward)"),
    "own formulae": worded("a + sex + (1 + a | ward)", OWN),
    "a task predicts another": worded("a", CHAIN),
    "nested": worded("a + (1 + a | g / h) + (1 | ward)"),
    "tasks of numbers": worded("a + (1 | g)", {"by": "ward", "outcome": "w", "kind": "gaussian"}),
}


@pytest.fixture
def small(monkeypatch):
    """Chunks of a few rows."""
    monkeypatch.setattr(chunks, "CHUNK", 7)


def alike(one: Summary, other: Summary, bar: float = 1e-12) -> None:
    """Assert that two summaries are of the same rows; products are held to the columns' lengths."""
    assert one.column == other.column
    assert (
        one.kinds.astype(object)
        .where(one.kinds.notna(), None)
        .equals(other.kinds.astype(object).where(other.kinds.notna(), None))
    )
    np.testing.assert_array_equal(one.count, other.count)
    np.testing.assert_allclose(one.mean, other.mean, rtol=bar, atol=bar)
    length = np.sqrt(np.diagonal(one.cross, axis1=1, axis2=2)) + 1.0
    away = (one.cross - other.cross) / (length[:, :, None] * length[:, None, :])
    assert np.abs(away).max() < bar


@pytest.mark.parametrize(("rows", "kinds"), [(1, 1), (1000, 1), (700, 3), (400, 120)])
@pytest.mark.parametrize("weighted", [False, True])
def test_means_and_products_are_those_of_each_kind_by_itself(rows, kinds, weighted):
    draw = np.random.default_rng(0)
    values, kind = draw.normal(5.0, 2.0, (rows, 4)), draw.permutation(np.arange(rows) % kinds)
    weight = draw.uniform(0.5, 2.0, rows) if weighted else None
    count, mean, cross = scatter(values, weight, kind, kinds)
    for k in range(kinds):
        own, heavy = values[kind == k], np.ones(rows)[kind == k] if weight is None else weight[kind == k]
        assert count[k] == pytest.approx(heavy.sum(), rel=1e-14)
        np.testing.assert_allclose(mean[k], np.average(own, 0, heavy), rtol=1e-13)
        about = own - np.average(own, 0, heavy)
        np.testing.assert_allclose(cross[k], (about.T * heavy) @ about, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("name", ["words", "slopes, crossed", "many tasks", "nested"])
def test_chunks_add_up_to_the_whole(small, monkeypatch, name):
    model, rows = EVERY[name]
    parts = bm.summarise(model, rows)
    monkeypatch.setattr(chunks, "CHUNK", 10_000)
    whole = bm.summarise(model, rows)
    alike(parts, whole)
    assert len(whole) == len(rows)


def test_summaries_add_up_in_any_order(small):
    model, rows = CASES["correlated, empty cells"]
    a, b, c = (bm.summarise(model, rows[i : i + 16]) for i in (0, 16, 32))
    alike((a + b) + c, bm.summarise(model, rows))
    alike(a + (b + c), add([a, b, c]))


@pytest.mark.parametrize("name", EVERY)
def test_the_moments_are_those_of_the_whole_table(small, name):
    model, rows = EVERY[name]
    whole, kinds = encode(model, rows), encode_kinds(model, bm.summarise(model, rows))
    assert (whole.task, whole.feature, whole.cells) == (kinds.task, kinds.feature, kinds.cells)
    assert [(g.level, g.term) for g in whole.groups] == [(g.level, g.term) for g in kinds.groups]
    for said in ("empty", "unserved", "mean", "sd", "unit_of"):
        np.testing.assert_allclose(getattr(kinds, said), getattr(whole, said), rtol=1e-12)
    assert len(kinds.units) < len(whole.units) or name in ("words", "nested")
    for at in (None, *range(len(whole.groups))):
        for joint in (False,) if model.as_rows else (False, True):
            one, other = (moments(d, None if at is None else d.groups[at], joint) for d in (whole, kinds))
            for part, value in one.data.items():
                scale = np.abs(value).max(initial=1.0)
                np.testing.assert_allclose(other.data[part], value, rtol=0, atol=1e-10 * scale, err_msg=part)


def test_the_density_is_that_of_the_whole_table(double):
    model, rows = CASES["correlated, empty cells"]
    found = []
    for design in (encode(model, rows), encode_kinds(model, bm.summarise(model, rows))):
        one = collapse(design, build(design), jax.tree.map(jnp.asarray, design.data))

        def density(key, one=one):
            with trace() as sites:
                seed(one.program, key)(one.data)
            return sites["collapsed"]["fn"].log_factor

        found.append([float(v) for v in jax.jit(jax.vmap(density))(jax.random.split(jax.random.key(1), 5))])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-10)


def ill(rows: int = 30_000) -> pd.DataFrame:
    """Columns far from 0, two of which are nearly the same."""
    draw = np.random.default_rng(1)
    a, noise, other = draw.normal(size=(3, rows))
    found = pd.DataFrame({"a": 1e8 + a, "b": 1e8 + a + 1e-3 * noise, "c": -1e7 + other})
    return found.assign(y=1e6 + 300.0 * (found.b - found.a) + other + draw.normal(size=rows))


def test_ill_conditioned_columns_are_summed_as_in_longer_arithmetic(monkeypatch):
    rows = ill()
    monkeypatch.setattr(chunks, "CHUNK", 1000)
    found = bm.summarise(bm.Model(tasks={"y": "gaussian"}, formula="a + b + c"), rows)
    long = rows.to_numpy(np.longdouble)
    about = long - long.mean(0)
    want = about.T @ about
    length = np.sqrt(np.diag(want))

    def away(cross):
        return float(np.abs((cross - want) / np.outer(length, length)).max())

    plain, mean = rows.to_numpy(), rows.to_numpy().mean(0)
    naive = plain.T @ plain - len(plain) * np.outer(mean, mean)
    # the means of 30 chunks are kept to 1.5e-8, and stand 0.03 apart
    assert away(found.cross[0]) < 1e-10
    assert away(naive) > 1e-3  # what cancels there is what is asked


def test_nearly_collinear_columns_are_told_apart_as_by_orthogonal_columns():
    rows = ill()
    model = bm.Model(tasks={"y": "gaussian"}, formula="a + b + c")
    for design in (encode(model, rows), encode_kinds(model, bm.summarise(model, rows))):
        m = moments(design, None, False)
        weight = np.linalg.solve(m.dd[0], m.dy[0, :, 0])[1:] * design.unit_of[0] / design.sd
        x = rows[["a", "b", "c"]].to_numpy()
        q, r = np.linalg.qr(np.column_stack([np.ones(len(x)), x - x.mean(0)]))
        want = np.linalg.solve(r, q.T @ (rows.y - rows.y.mean()).to_numpy())[1:]
        # the condition number of the products is about 4e6: ten digits of sixteen are left
        np.testing.assert_allclose(weight, want, rtol=1e-7)


def frames(tmp_path) -> dict:
    """The same rows from every source."""
    rows = words()
    rows.to_parquet(tmp_path / "whole.parquet", row_group_size=23)
    (tmp_path / "parts").mkdir()
    rows[:40].to_parquet(tmp_path / "parts" / "1.parquet")
    rows[40:].to_parquet(tmp_path / "parts" / "2.parquet")
    polars = pl.DataFrame({n: rows[n].astype(object).where(rows[n].notna(), None).tolist() for n in rows})
    polars = polars.with_columns(pl.col("dose").cast(pl.Enum(["low", "mid", "high"])))
    return {
        "pandas": rows,
        "polars": polars,
        "polars, lazy": polars.lazy(),
        "Parquet": str(tmp_path / "whole.parquet"),
        "a folder": tmp_path / "parts",
    }


def test_every_source_gives_the_same(small, tmp_path):
    model = worded("a * sex + C(year) + smokes + dose + (1 | ward)")[0]
    found = {name: bm.summarise(model, source) for name, source in frames(tmp_path).items()}
    for summary in found.values():
        alike(summary, found["pandas"])
        assert encode_kinds(model, summary).feature == encode_kinds(model, found["pandas"]).feature


def test_partitions_of_dask_are_added_where_they_are(small, monkeypatch):
    dask = pytest.importorskip("dask.dataframe")
    monkeypatch.setattr(chunks, "FAN", 2)  # so that there is a tree
    model, rows = worded("a * sex + C(year) + smokes + dose + (1 | ward)")
    alike(bm.summarise(model, dask.from_pandas(rows, npartitions=5)), bm.summarise(model, rows))


LARGE = """
import sys
from pathlib import Path
import bayesmtl as bm
from bayesmtl import chunks
chunks.CHUNK = 8192
model = bm.Model(tasks={"y": "gaussian"}, formula="a + b + c + d")
peak = lambda: int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
bm.summarise(model, sys.argv[1])
before = peak()
print(len(bm.summarise(model, sys.argv[2])), peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells a process its peak")
def test_memory_does_not_grow_with_the_file(tmp_path):
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    draw, paths = np.random.default_rng(0), []
    for groups in (
        1,
        60,
    ):  # of 2 MB each
        paths.append(tmp_path / f"{groups}.parquet")
        some = pa.table({name: draw.normal(size=50_000) for name in "abcdy"})
        with ParquetWriter(paths[-1], some.schema) as file:
            for _ in range(groups):
                file.write_table(some)
    said = subprocess.run(
        [sys.executable, "-c", LARGE, *map(str, paths)], capture_output=True, text=True, check=True
    )
    rows, grown = map(float, said.stdout.split())
    assert rows == 3_000_000 and grown < 70  # with what pyarrow reads ahead it is 156


def change(**given) -> bm.Model:
    return bm.Model(**{"tasks": {"u": "gaussian"}, "formula": "a + b"} | given)


ENGINE = {"kind": "auto", "chains": 2, "warmup": 4, "draws": 6}
FITTED = change(tasks={"u": "gaussian", "v": "gaussian"}, formula="a + sex", engine=ENGINE)


def fit(source):
    return bm.fit(FITTED, source, seed=2, watch=lambda progress: None)


@pytest.fixture(scope="module")
def fitted():
    """A model fitted to a summary."""
    return fit(bm.summarise(FITTED, words()))


@pytest.mark.slow
def test_the_draws_are_those_of_the_table(fitted):
    # a few: rounding grows by orders of magnitude along the path of a chain
    table = fit(words())
    of_cells = {"log_likelihood", "posterior_predictive", "prior_predictive", "observed_data"}
    assert set(table.children) - set(fitted.children) == of_cells
    assert set(table.posterior) == set(fitted.posterior)
    for name, values in table.posterior.items():
        np.testing.assert_allclose(fitted.posterior[name], values, rtol=1e-6, atol=1e-6, err_msg=name)
    new = words().iloc[3:6]
    pd.testing.assert_frame_equal(bm.predict(fitted, new), bm.predict(table, new), rtol=1e-5)


def test_nothing_is_said_of_cells_and_all_else_is(fitted):
    assert fitted.attrs["engine"] == "collapsed"
    kept = {"unconstrained_posterior", "moments"}
    said = {"posterior", "sample_stats", "log_prior", "prior", "constant_data"}
    assert set(fitted.children) == said | kept
    whole = encode(FITTED, words())
    of_table = {
        "cells": list(whole.cells.values()),
        "empty": whole.empty,
        "unserved": whole.unserved,
        "centre": [whole.unit(name)[0] for name in whole.task.labels],
        "unit": whole.unit_of,
        "mean": whole.mean,
        "sd": whole.sd,
    }
    for name, value in of_table.items():
        np.testing.assert_allclose(fitted.constant_data[name], value, rtol=1e-12, err_msg=name)
    found = bm.weights(fitted)
    assert found["share"].sum() == pytest.approx(1.0) and (found["cells"] == of_table["cells"]).all()
    assert len(bm.predict(fitted, words().iloc[3:6])) == 6
    assert "weights" in bm.report(fitted)
    assert not set(bm.diagnostics(fitted)["where"]) & {"u", "v"}


REFUSED = {
    "formula: scale(b) is computed from all rows at once": change(formula="a + scale(b)"),
    "formula: poly(b, 2) is computed from all rows at once": change(formula="poly(b, 2)"),
    r"formula: C(b > 1) has levels that only all rows at once tell": change(formula="C(b > 1)"),
    'formula: no column called "c"': change(formula="a + c"),
    'formula: "log(b)" is no finite number in some rows': change(formula="log(b)"),
    "tasks.u: is poisson, and sums say all only of normal tasks": change(tasks={"u": "poisson"}),
    "tasks.u: has noise that differs": change(tasks={"u": {"kind": "gaussian", "se": "weight"}}),
    "tasks.u: has weights of its cells": change(tasks={"u": {"kind": "gaussian", "weights": "weight"}}),
    "missing: imputes predictors row by row": change(missing="impute"),
    "table.words: ": change(tasks={"words": "gaussian"}),
}


@pytest.mark.parametrize(("said", "model"), REFUSED.items(), ids=REFUSED)
def test_what_needs_rows_or_is_wrong_with_them_is_a_finding(said, model):
    with pytest.raises(bm.ModelError) as error:
        bm.summarise(model, table().assign(words="x"))
    assert str(error.value).startswith(said)


TOO_LITTLE = {
    "engine: is nuts, and takes the rows of a table": change(engine="nuts"),
    "summary: says too little: the prior of weight is not normal": change(shrinkage="spike_slab"),
    'table: no column called "h"': change(formula="a + b + (1 | h)"),
    'table: no number called "I(a ** 2)"': change(formula="I(a ** 2)"),
    'priors.weight[u, z]: no label of weight called "z"': change(priors={"weight[u, z]": "normal(0, 1)"}),
    "tasks.v: has no measured cell": change(tasks={"u": "gaussian", "v": "gaussian"}),
}


@pytest.mark.parametrize(("said", "model"), TOO_LITTLE.items(), ids=TOO_LITTLE)
def test_a_fit_that_needs_more_than_a_summary_is_a_finding(said, model):
    summary = bm.summarise(change(tasks={"u": "gaussian", "v": "gaussian"}), table().assign(v=np.nan))
    with pytest.raises(bm.ModelError) as error:
        bm.fit(model, summary, seed=1, watch=lambda progress: None)
    assert str(error.value).startswith(said)


def test_what_is_no_table_is_a_finding(tmp_path):
    (tmp_path / "text.parquet").write_text("a,b\n1,2\n")
    for source, said in (
        (3, "table: is a int"),
        (table()[:0], "table: has no rows"),
        (tmp_path / "none.parquet", "table none.parquet: can't be read: No such file"),
        (tmp_path / "text.parquet", "table text.parquet: can't be read: "),
    ):
        with pytest.raises(bm.ModelError) as error:
            bm.summarise(change(), source)
        assert str(error.value).startswith(said)


def test_only_summaries_of_the_same_columns_and_levels_add_up():
    rows = words()
    one = bm.summarise(change(formula="a + sex"), rows)
    for model, other in ((change(), rows), (change(formula="a + sex"), rows[rows.sex == "f"])):
        with pytest.raises(bm.ModelError, match="can't be added to one of other columns"):
            _ = one + bm.summarise(model, other)
