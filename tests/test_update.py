"""Posteriors updated by new rows: against the density of all rows, fits of all rows, and a closed form."""

from dataclasses import replace

import arviz_stats
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from test_moments import EVERY

import bayesmtl as bm
from bayesmtl.basis import added, basis_of
from bayesmtl.chains import Basis, Run
from bayesmtl.cli import main
from bayesmtl.collapsed import collapse
from bayesmtl.encoded import encode
from bayesmtl.labelled import constants, parameters
from bayesmtl.moments import moments
from bayesmtl.program import build
from bayesmtl.space import space
from bayesmtl.trees import stamp
from bayesmtl.updates import cumulative
from bayesmtl.updates.bare import bare
from bayesmtl.updates.observed import observe, observe_kinds

QUIET = {"watch": lambda progress: None}
TASKS = {"y": "gaussian", "z": "gaussian"}
MODEL = bm.Model(tasks=TASKS, formula="a + sex + (1 | g)", engine={"kind": "collapsed", "draws": 500})
CROSSED = bm.Model(tasks=TASKS, formula="a + sex + (1 | g) + (1 | h)", residual="correlated")


def table(rows: int = 700, late: int = 700) -> pd.DataFrame:
    """Two outcomes with empty cells, and two crossed groups of which a level comes late."""
    draw = np.random.default_rng(8)
    found = pd.DataFrame({"a": draw.normal(size=rows), "sex": draw.choice(["f", "m"], rows)})
    for group, levels in (("g", "abcdef"), ("h", "pqr")):
        found[group] = draw.choice(list(levels), rows)
        found.loc[late::3, group] = "z"
    effect = dict(zip("abcdefpqrz", draw.normal(size=10), strict=True))
    found["y"] = 1.0 + found.a + found.g.map(effect) + found.h.map(effect) + draw.normal(size=rows)
    found["z"] = found.y / 2 + draw.normal(size=rows)
    found.loc[draw.random(rows) < 0.3, "z"] = np.nan
    found.loc[::17, "y"] = np.nan
    return found


@pytest.fixture(scope="module")
def first() -> xr.DataTree:
    """A fit of the first 600 rows."""
    return bm.fit(MODEL, table()[:600], seed=1, **QUIET)


@pytest.fixture(scope="module")
def updated(first) -> xr.DataTree:
    """It, updated by the last 100."""
    return bm.update(first, table()[600:], seed=3, **QUIET)


@pytest.fixture(scope="module")
def batch() -> xr.DataTree:
    """A fit of all rows."""
    return bm.fit(MODEL, table(), seed=2, **QUIET)


def encoded(model: bm.Model, rows: pd.DataFrame) -> xr.DataTree:
    """What is read of a posterior but for its draws."""
    design = encode(model, rows)
    losses = {family.name: "" for family in design.families}
    tree = xr.DataTree.from_dict({"constant_data": constants(design, losses)})
    return stamp(tree, design, Run({}, {}, {}, {}, ""), 0, [])


def alike(one: xr.DataTree, other: xr.DataTree, bar: float = 5.0) -> None:
    """Assert that means are alike, in Monte Carlo errors, and standard deviations within 15 %.

    Weighted draws count as many as Kish's formula says. Of 60 parameters one is 5 errors away by chance in
    30,000 seeds; of 1,000 draws a standard deviation is off by 2 %.
    """
    first, second = parameters(one), parameters(other)
    assert set(first.parameter.values) == set(second.parameter.values)
    second = second.sel(parameter=first.parameter)
    spread = second.std(("chain", "draw"))
    effective = one.attrs.get("effective")
    error = arviz_stats.mcse(first) if effective is None else spread / np.sqrt(effective)
    error = np.hypot(error, arviz_stats.mcse(second))
    away = np.abs(first.mean(("chain", "draw")) - second.mean(("chain", "draw"))) / error
    assert float(away.max()) < bar, away.parameter.values[int(away.argmax())]
    assert float(np.abs(np.log(first.std(("chain", "draw")) / spread)).max()) < 0.15


@pytest.mark.parametrize("name", EVERY)
def test_cross_products_of_two_parts_add_up_to_those_of_all_rows(name):
    model, rows = EVERY[name]
    post, whole = encoded(model, rows), encode(model, rows)
    some = np.random.default_rng(0).random(len(rows)) < 0.5
    halves = [rows[some], rows[~some]]
    seen = {
        "rows": [observe(post, half) for half in halves],
        "kinds": [observe_kinds(post, bm.summarise(model, half)) for half in halves],
    }
    for at in (None, *range(len(whole.groups))):
        for joint in (False,) if model.as_rows else (False, True):
            want = by_part(moments(whole, None if at is None else whole.groups[at], joint), joint)
            for designs in seen.values():
                two = [moments(d, None if at is None else d.groups[at], joint) for d in designs]
                got = by_part(added(*two, joint), joint)
                assert set(got) == set(want)
                for key, parts in want.items():
                    for part, value in parts.items():
                        scale = np.abs(value).max(initial=1.0)
                        np.testing.assert_allclose(
                            got[key][part], value, rtol=0, atol=1e-10 * scale, err_msg=part
                        )
    for designs in seen.values():
        cells = np.sum([list(d.cells.values()) for d in designs], axis=0)
        assert cells.tolist() == list(whole.cells.values())
        assert (sum(d.empty for d in designs) == whole.empty).all()
        assert (sum(d.unserved for d in designs) == whole.unserved).all()


def by_part(m, joint):
    """Cross-products of each part of a table, whatever their order."""
    keys = zip(m.line.tolist(), m.mask.tolist(), strict=True)
    names = set(m.data) - {"line", "mask"}
    return {str(key if joint else key[0]): {n: m.data[n][p] for n in names} for p, key in enumerate(keys)}


def test_density_and_coefficients_are_those_of_all_rows_on_the_first_scales(double):
    rows = table(late=600)
    post, new = encoded(CROSSED, rows[:600]), rows[600:]
    before, seen = bare(post), observe(post, new)
    assert [group.new for group in seen.groups] == [("z",), ("z",)]
    design, local = cumulative.grown(before, seen)
    old = encode(CROSSED, rows[:600])
    known = Basis(np.zeros(0), np.zeros(0), moments(old, old.groups[0], True).data, np.zeros(2))
    sums = cumulative.sums(known, before, seen, design, local)
    programs = cumulative.programs_of(cumulative.Shape("all", (600.0, 600.0), design))
    data = programs.rest | {"moments": jax.tree.map(jnp.asarray, sums.data)}
    # all rows at once, on the scales of the first, by the way of a fit
    whole = encode(CROSSED, rows)
    whole = replace(
        whole,
        predictors=replace(whole.predictors, mean=old.mean, sd=old.sd),
        families=tuple(
            replace(f, centre=o.centre, unit=o.unit) for f, o in zip(whole.families, old.families)
        ),
    )
    one = collapse(whole, build(whole), jax.tree.map(jnp.asarray, whole.data))
    left = space(one.program, one.data)
    points = jax.random.normal(jax.random.key(2), (3, left.size))
    want = jax.vmap(lambda point: left.density(point, one.data))(points)
    np.testing.assert_allclose(programs.heights(points, data), want, rtol=1e-8)
    keys = jax.random.split(jax.random.key(5), 3)
    found = programs.complete((points, keys), data)
    wanted = jax.jit(jax.vmap(lambda p, key: one.complete(left.read(p), one.data, key)))(points, keys)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-8, atol=1e-8, err_msg=name)


def test_an_update_is_the_fit_of_all_rows(updated, batch):
    assert updated.attrs["pareto_k"] <= 0.7 and updated.attrs["updates"] == 1
    assert updated.attrs["engine"].startswith("collapsed, weighted towards new rows, Pareto k ")
    for name in ("cells", "empty", "unserved"):
        np.testing.assert_array_equal(updated.constant_data[name], batch.constant_data[name])
    alike(updated, batch)


def test_small_updates_are_one_large_update_and_compile_nothing(first, updated, monkeypatch):
    # weights are those since the last chains: with one seed even the draws are the same
    compiled, post = cumulative.programs_of.cache_info().misses, first
    for start in range(600, 700, 25):
        post = bm.update(post, table()[start : start + 25], seed=3, **QUIET)
    assert cumulative.programs_of.cache_info().misses == compiled
    assert post.attrs["updates"] == 4 and post.attrs["effective"] == pytest.approx(updated.attrs["effective"])
    for name, values in updated.posterior.items():
        np.testing.assert_allclose(post.posterior[name], values, rtol=1e-6, atol=1e-8, err_msg=name)


def test_what_was_drawn_has_its_density_however_many_cells_have_come_since(double):
    """The coordinates of pooled noise depend on how many cells a fit had."""
    tasks = {name: {"kind": "gaussian", "sigma": "pooled"} for name in TASKS}
    few = {"kind": "collapsed", "draws": 20, "chains": 2}
    first = bm.fit(replace(MODEL, tasks=tasks, formula="a", engine=few), table()[:600], seed=1, **QUIET)
    design, _ = cumulative.grown(bare(first), observe(first, table()[600:]))
    known = basis_of(first)
    assert design.data["count"].tolist() != known.count.tolist()
    programs = cumulative.programs_of(cumulative.Shape("pooled", tuple(known.count), design))
    data = programs.rest | {"moments": jax.tree.map(jnp.asarray, dict(known.moments))}
    height = programs.heights(jnp.asarray(known.points.reshape(40, -1)), data)
    np.testing.assert_allclose(height, known.density.ravel(), rtol=1e-9)


def test_what_was_saved_or_summarised_is_updated_alike(first, updated, tmp_path, capsys):
    place, out, rows = (tmp_path / name for name in ("first.zarr.zip", "all.zarr.zip", "new.csv"))
    saved = bm.read(bm.save(first, place))
    np.testing.assert_array_equal(basis_of(saved).points, basis_of(first).points)
    table()[600:].to_csv(rows, index=False)
    assert main(["update", str(place), str(rows), "--seed", "3", "--out", str(out)]) == 0
    assert "weighted towards new rows" in capsys.readouterr().err
    by_kinds = bm.update(saved, bm.summarise(MODEL, table()[600:]), seed=3, **QUIET)
    for post in (bm.read(out), by_kinds):
        for name, values in updated.posterior.items():
            np.testing.assert_allclose(post.posterior[name], values, rtol=1e-6, atol=1e-8, err_msg=name)


def test_an_update_answers_as_a_fit_does_and_says_that_it_is_weighted(first):
    post = bm.update(first, table(late=600)[600:650], seed=3, **QUIET)
    assert post.posterior.g.values.tolist()[-1] == "z" and len(post.posterior.g) == 7
    assert np.isfinite(post.posterior.effect_g.values).all()
    assert len(bm.weights(post)) == 2 and bm.weights(post)["share"].sum() == pytest.approx(1.0)
    assert len(bm.predict(post, table(late=600)[600:603])) == 6
    page = bm.report(post)
    assert "weighted towards" in page and "no Markov chain was run" not in page


@pytest.mark.slow
def test_few_draws_or_a_high_k_are_drawn_anew(first, batch, monkeypatch):
    strange = table()[600:].assign(y=lambda t: 9.0 * t.y)
    post = bm.update(first, strange, seed=3, **QUIET)
    assert post.attrs["engine"].startswith("collapsed, as weights of the last draws have Pareto k ")
    assert "approximate" not in post.attrs and set(post.sample_stats) > {"diverging"}
    monkeypatch.setattr(cumulative, "ENOUGH", 1.1)
    post = bm.update(first, table()[600:], seed=3, **QUIET)
    assert post.attrs["engine"].startswith("collapsed, as the last draws, weighted, are worth ")
    alike(post, batch)


@pytest.mark.slow
def test_a_hundred_small_updates_end_where_the_batch_does():
    # from 100 rows to 700: chains are run a few times on the way. The batch is chains given all rows at once,
    # on the scales of the first
    start = bm.fit(MODEL, table()[:100], seed=1, **QUIET)
    batch = bm.update(start, table()[100:], seed=2, **QUIET)
    post, chains = start, 0
    for row in range(100, 700, 6):
        post = bm.update(post, table()[row : row + 6], seed=row, **QUIET)
        chains += "approximate" not in post.attrs
    assert "approximate" not in batch.attrs
    assert post.attrs["updates"] == 100 and 1 <= chains <= 8
    alike(post, batch)


def counts(rows: int) -> pd.DataFrame:
    draw = np.random.default_rng(6)
    return pd.DataFrame({"n": draw.poisson(3.0, rows), "g": draw.choice(list("abc"), rows)})


COUNTS = {"n": {"kind": "poisson", "offset": "normal(0, 100)"}}


@pytest.fixture(scope="module")
def rate() -> xr.DataTree:
    model = bm.Model(tasks=COUNTS, formula="1", engine={"kind": "nuts", "chains": 2, "draws": 1000})
    return bm.fit(model, counts(60)[:40], seed=1, **QUIET)


def test_counts_have_the_closed_form_of_all_rows(rate):
    # with a flat prior on its logarithm a Poisson rate is gamma(total, cells). With 800 effective draws at
    # least the mean is 5 of its errors away once in 1.7 million seeds, and the sd 10 % once in 16,000
    post = bm.update(rate, counts(60)[40:], seed=2, **QUIET)
    total, drawn = counts(60).n.sum(), np.exp(post.posterior.offset.values.ravel())
    mean, sd = total / 60, np.sqrt(total) / 60
    assert post.attrs["effective"] > 800 and post.attrs["pareto_k"] <= 0.7
    assert abs(drawn.mean() - mean) < 5 * sd / np.sqrt(800)
    assert drawn.std() == pytest.approx(sd, rel=0.1)
    assert post.observed_data["n"].values.tolist() == counts(60).n.tolist()
    assert post.observed_data["n.row"].values.tolist() == list(range(1, 61))
    for group in ("log_likelihood", "posterior_predictive"):
        assert post[group]["n"].shape == (2, 1000, 60)
    assert post.constant_data.cells.item() == 60 and "60 cells" in post.attrs["description"]
    lp = post.log_likelihood["n"].values[0, 0, -1]
    y, eta = counts(60).n.iloc[-1], post.posterior.offset.values[0, 0].item()
    assert lp == pytest.approx(y * eta - np.exp(eta) - np.log(float(np.prod(range(1, y + 1)))), rel=1e-4)


def test_past_the_limit_other_posteriors_refuse(rate):
    with pytest.raises(bm.ModelError, match=r"Pareto k \S+, above 0\.7\. Fit all rows"):
        bm.update(rate, counts(60)[40:].assign(n=30), seed=2, **QUIET)
    with pytest.raises(bm.ModelError, match=r"summary: .*see one by one"):
        bm.update(
            rate, bm.summarise(bm.Model(tasks={"n": "gaussian"}, formula="1"), counts(9)), seed=1, **QUIET
        )


@pytest.mark.slow
def test_new_levels_of_counts_are_drawn_from_the_population():
    # by 40 rows of a level that the fit never saw, against a fit of all rows
    rows = counts(400).assign(n=lambda t: np.random.default_rng(1).poisson(np.exp(1 + 0.5 * (t.g == "b"))))
    rows.loc[388:, "g"] = "z"
    model = bm.Model(tasks=COUNTS, formula="1 + (1 | g)", engine={"kind": "nuts", "draws": 2000})
    post = bm.update(bm.fit(model, rows[:388], seed=1, **QUIET), rows[388:], seed=2, **QUIET)
    assert post.posterior.g.values.tolist() == ["a", "b", "c", "z"]
    alike(post, bm.fit(model, rows, seed=3, **QUIET))
    assert len(bm.predict(post, rows[388:391])) == 3 and "weighted towards" in bm.report(post)


FAULTS = {
    'table: no column called "a"': lambda t: t.drop(columns="a"),
    'table: no column called "z"': lambda t: t.drop(columns="z"),
    "table.sex: has categories that the fit never saw: x": lambda t: t.assign(sex="x"),
    "table: adds no cell": lambda t: t.assign(y=np.nan, z=np.nan),
    "tasks.y: has 'high'": lambda t: t.assign(y="high"),
}


@pytest.mark.parametrize("said", FAULTS)
def test_what_is_wrong_with_new_rows_is_a_finding(said):
    with pytest.raises(bm.ModelError) as error:
        observe(encoded(MODEL, table()), FAULTS[said](table()[:9]))
    assert str(error.value).startswith(said)


def test_a_task_that_the_fit_never_saw_is_a_finding():
    model, rows = EVERY["many tasks"]
    post, new = encoded(model, rows), rows.assign(school="other")
    for observed, source in ((observe, new), (observe_kinds, bm.summarise(model, new))):
        with pytest.raises(bm.ModelError, match=r'table\.school: no task called "other"'):
            observed(post, source)


def test_a_summary_of_other_columns_is_a_finding():
    with pytest.raises(bm.ModelError, match=r"table.sex: has categories that the fit never saw: x"):
        observe_kinds(encoded(MODEL, table()), bm.summarise(MODEL, table().replace({"sex": {"f": "x"}})))
