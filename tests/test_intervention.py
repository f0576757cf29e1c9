"""Interventions: against closed forms of the draws, sums over what lies between, and a simulation."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import expit

import bayesmtl as bm
from bayesmtl.chains import Run
from bayesmtl.encoded import encode
from bayesmtl.labelled import constants
from bayesmtl.page import effects
from bayesmtl.trees import stamp

ROWS, DRAWS = 41, 60
QUIET = {"watch": lambda progress: None}
LINEAR = bm.Model(
    tasks={"m": {"kind": "gaussian", "formula": "x + c"}, "y": {"kind": "gaussian", "formula": "x + m + c"}},
    dag="c -> x -> m -> y <- x\nc -> m, y",
)
BINARY = bm.Model(
    tasks={
        "m": {"kind": "bernoulli", "formula": "x + c"},
        "y": {"kind": "bernoulli", "formula": "x * m + c"},
    },
    dag="c -> x -> m -> y <- x\nc -> m, y",
)


def table(**changes):
    draw = np.random.default_rng(1)
    c = draw.normal(size=ROWS)
    x = c + draw.normal(size=ROWS)
    m = x + c + draw.normal(size=ROWS)
    found = {
        "x": x,
        "c": c,
        "m": m,
        "y": x + m + c + draw.normal(size=ROWS),
        "s": draw.choice(["f", "g"], ROWS),
    }
    return pd.DataFrame(found).assign(**changes)


def binary():
    return table(m=lambda t: (t.m > 0) * 1.0, y=lambda t: (t.y > 0) * 1.0)


def posterior(model, rows, spread=0.3, seed=2, **given):
    """A posterior that nobody had to sample: weights, levels and scales that are drawn here, or given."""
    draw, design = np.random.default_rng(seed), encode(model, rows)
    line, feature = list(design.line.labels), list(design.feature.labels)
    shape = (1, DRAWS)
    weight = 0.7 + spread * draw.normal(size=(*shape, len(line), len(feature)))
    made = {
        "weight": (("task", "feature"), np.where(design.uses, weight, np.nan)),
        "level": (("task",), spread * draw.normal(size=(*shape, len(line)))),
        "sigma": (("task",), np.exp(spread * draw.normal(size=(*shape, len(line))))),
        **given,
    }
    coords = {"chain": [0], "draw": range(DRAWS), "task": line, "feature": feature}
    posterior = xr.Dataset({n: (("chain", "draw", *d), v) for n, (d, v) in made.items()}, coords)
    tree = xr.DataTree.from_dict(
        {"posterior": posterior, "constant_data": constants(design, {f.name: "" for f in design.families})}
    )
    return stamp(tree, design, Run({}, {}, {}, {}, "none"), 0, [])


def of(post, task, feature):
    return post.posterior["weight"].sel(task=task, feature=feature).values.ravel()


def contrast(found, task="y"):
    return found[(found.task == task) & (found.under == "contrast")].iloc[0]


def agree(row, draws):
    low, high = np.quantile(draws, [0.05, 0.95])
    np.testing.assert_allclose([row["mean"], row.low, row.high], [draws.mean(), low, high], rtol=1e-9)
    assert row.above == (draws > 0).mean()


@pytest.fixture(scope="module")
def linear():
    return posterior(LINEAR, table())


def test_linear_effects_are_the_products_along_the_paths(linear):
    found = bm.intervene(linear, table(), {"x": (0, 2)})
    agree(contrast(found, "m"), 2 * of(linear, "m", "x"))
    agree(contrast(found), 2 * (of(linear, "y", "x") + of(linear, "m", "x") * of(linear, "y", "m")))
    assert found.columns.tolist() == ["task", "under", "label", "mean", "low", "high", "above", "rows"]
    assert found.under.tolist() == ["x = 0", "x = 2", "contrast"] * 2
    assert set(found.label) == {"interventional"} and set(found.rows) == {ROWS}
    # what is set stays set, whatever acts on it, and acts on nothing that came before
    both = bm.intervene(linear, table(), {"x": (0, 1), "m": 3})
    agree(contrast(both), of(linear, "y", "x"))
    assert set(both.task) == {"y"} and both.under[0] == "x = 0, m = 3"
    step = bm.intervene(linear, table(), {"m": (0, 1)})
    agree(contrast(step), of(linear, "y", "m"))


def test_an_average_is_that_of_the_rows(linear):
    rows, known = table(), linear.posterior
    mean = linear.constant_data["mean"].to_series()
    found = bm.intervene(linear, rows, {"x": 1}, tasks=["m"]).iloc[0]
    level = known["level"].sel(task="m").values.ravel()
    draws = (
        level + of(linear, "m", "x") * (1 - mean["x"]) + of(linear, "m", "c") * (rows.c - mean["c"]).mean()
    )
    low, high = np.quantile(draws, [0.05, 0.95])
    np.testing.assert_allclose([found["mean"], found.low, found.high], [draws.mean(), low, high], rtol=1e-9)
    assert np.isnan(found.above)


def test_rows_that_are_raised_by_a_standard_deviation(linear):
    found = bm.intervene(linear, table(), {"x": "sd"}, tasks=["y"])
    sd = table().x.std()
    agree(contrast(found), sd * (of(linear, "y", "x") + of(linear, "m", "x") * of(linear, "y", "m")))
    assert found.under.tolist()[:2] == ["x as it is", f"x + {sd:.3g}"]


def test_a_task_without_effect_has_a_contrast_of_0():
    model = bm.Model(tasks={"m": "gaussian", "y": "gaussian"}, formula="x", dag="x -> m <-> y\nx <-> y")
    found = bm.intervene(posterior(model, table()), table(), {"x": (0, 1)})
    assert contrast(found)[["mean", "low", "high", "above"]].tolist() == [0, 0, 0, 0]
    assert contrast(found, "m")["mean"] > 0.3


def binary_truth(post, rows, x):
    """The exact average of y in each draw: m is 0 or 1, with its probability in each row."""
    weight, mean = post.posterior["weight"].isel(chain=0), post.constant_data["mean"].to_series()
    level = post.posterior["level"].isel(chain=0)

    def chance(task, columns):
        eta = level.sel(task=task).values[:, None]
        for name, values in columns.items():
            eta = eta + weight.sel(task=task, feature=name).values[:, None] * (values - mean[name])
        return expit(eta)

    c = rows.c.to_numpy()
    one = chance("m", {"x": x, "c": c})
    y = [chance("y", {"x": x, "m": m, "x:m": x * m, "c": c}) for m in (0, 1)]
    return one * y[1] + (1 - one) * y[0]


def test_what_goes_through_a_logit_is_summed_over_and_not_put_at_its_mean():
    # 1,025 draws of m in each of 60: an average of probabilities has an error below 0.5 / 248 = 0.002:
    # at 5 errors it fails once in 1.7 million seeds. With m at its mean the averages would be off by 0.1
    rows, draw = binary(), np.random.default_rng(3)
    weight = np.array([[0.3, 0, 0.2, 0], [0.5, 5.0, 0.2, 0.5]]) + 0.1 * draw.normal(size=(1, DRAWS, 2, 4))
    features = list(encode(BINARY, rows).feature.labels)
    order = [["x", "m", "c", "x:m"].index(name) for name in features]
    post = posterior(BINARY, rows, weight=(("task", "feature"), weight[..., order]))
    found = bm.intervene(post, rows, {"x": (-1.0, 2.0)}, tasks=["y"]).set_index("under")["mean"]
    low, high = (binary_truth(post, rows, x).mean() for x in (-1.0, 2.0))
    assert found["x = -1.0"] == pytest.approx(low, abs=0.01)
    assert found["x = 2.0"] == pytest.approx(high, abs=0.01)
    assert found["contrast"] == pytest.approx(high - low, abs=0.01)


def test_draws_taken_in_pieces_are_the_same(monkeypatch):
    rows = binary()
    post = posterior(BINARY, rows)
    whole = bm.intervene(post, rows, {"x": (0, 1)})
    monkeypatch.setattr("bayesmtl.worlds.worlds.CELLS", 17 * 25 * ROWS)  # 17 draws of 60 at once
    pd.testing.assert_frame_equal(bm.intervene(post, rows, {"x": (0, 1)}), whole)


def test_the_front_door_keeps_the_exposure_in_the_equation_of_the_outcome():
    # the weight of x for y is that of a hidden cause; in the product it has no part
    model = bm.Model(
        tasks={"m": {"kind": "gaussian", "formula": "x"}, "y": {"kind": "gaussian", "formula": "m + x"}},
        dag="x -> m -> y <-> x",
    )
    post = posterior(model, table())
    found = bm.intervene(post, table(), {"x": (0, 1)}, tasks=["y"])
    agree(contrast(found), of(post, "m", "x") * of(post, "y", "m"))


def test_exposures_one_after_the_other_with_what_lies_between():
    # z confounds the second exposure, and carries a part of the first: no one regression tells both
    model = bm.Model(
        tasks={"m": {"kind": "gaussian", "formula": "x"}, "y": {"kind": "gaussian", "formula": "x + m + c"}},
        dag="x -> m -> c -> y <- x\nm <-> y",
    )
    post = posterior(model, table())
    found = bm.intervene(post, table(), {"x": (0, 1), "c": (0, 1)}, tasks=["y"])
    agree(contrast(found), of(post, "y", "x") + of(post, "y", "c") + of(post, "m", "x") * of(post, "y", "m"))


WORDS = ("low", "high", "top")
GRADED = bm.Model(
    tasks={
        "m": {"kind": "ordinal", "levels": list(WORDS), "formula": "x"},
        "y": {"kind": "gaussian", "formula": "m + x * s"},
        "n": {"kind": "poisson", "formula": "m"},
    },
    dag="x -> m -> y, n\nx, s -> y",
)


@pytest.fixture(scope="module")
def graded():
    m = np.array(WORDS)[np.arange(ROWS) % 3]
    rows = table(m=pd.Categorical(m, WORDS, ordered=True), n=np.arange(ROWS) % 4)
    cut = np.sort(np.random.default_rng(4).normal(size=(1, DRAWS, 3, 2)), axis=-1)
    post = posterior(GRADED, rows, cut_level=(("task", "threshold"), cut))
    post["posterior"] = post.posterior.to_dataset().assign_coords(threshold=["1", "2"])
    return rows, post


def test_grades_in_words_and_counts_by_the_sum_over_grades(graded):
    # 1,025 draws of the grade in each of 60; the averages of all draws are known to 0.01 at 5 errors
    rows, post = graded
    weight, mean = post.posterior["weight"].isel(chain=0), post.constant_data["mean"].to_series()
    level = post.posterior["level"].sel(task="n").values.ravel()

    def exact(x):
        eta = of(post, "m", "x") * (x - mean["x"])
        below = expit(post.posterior["cut_level"].sel(task="m").values[0] - eta[:, None])
        chance = np.diff(np.pad(below, ((0, 0), (1, 1)), constant_values=((0, 0), (0, 1))))
        shift = [np.zeros(DRAWS), *(of(post, "n", f"m[T.{w}]") for w in WORDS[1:])]
        centre = sum(of(post, "n", f"m[T.{w}]") * mean[f"m[T.{w}]"] for w in WORDS[1:])
        return chance, sum(chance[:, k] * np.exp(level - centre + shift[k]) for k in range(3))

    assert {"m[T.high]", "m[T.top]"} <= set(weight.feature.values)
    found = bm.intervene(post, rows, {"x": (-1, 1)})
    (low, n_low), (high, n_high) = exact(-1), exact(1)
    assert contrast(found, "m")["mean"] == pytest.approx(((high - low) @ [0, 1, 2]).mean(), abs=1e-9)
    assert contrast(found, "n")["mean"] == pytest.approx((n_high - n_low).mean(), rel=0.05)
    step = bm.intervene(post, rows, {"m": ("low", "top")}, tasks=["y"])
    agree(contrast(step), of(post, "y", "m[T.top]"))


def test_conditional_effects_are_those_of_the_rows_of_a_level(graded):
    rows, post = graded
    found = bm.intervene(post, rows, {"m": "low", "x": (0, 1)}, by="s", tasks=["y"])
    assert found.level.tolist() == ["f"] * 3 + ["g"] * 3
    count = rows.s.value_counts()
    assert found.rows.tolist() == [count["f"]] * 3 + [count["g"]] * 3
    for level, more in (("f", 0.0), ("g", of(post, "y", "x:s[T.g]"))):
        agree(contrast(found[found.level == level]), of(post, "y", "x") + more)
    unknown = bm.intervene(
        post, rows.assign(s=rows.s.where(rows.index > 4)), {"m": "low"}, by="s", tasks=["y"]
    )
    assert unknown.rows.sum() == ROWS - 5
    quarters = bm.intervene(post, rows, {"m": ("low", "top")}, by="x", tasks=["y"])
    assert quarters.level.nunique() == 4 and set(quarters.rows) == {10, 11}
    ends = [float(end) for level in quarters.level.unique() for end in level.split(" to ")]
    assert ends == sorted(ends)


def test_groups_rows_without_predictors_and_tables_of_their_own():
    rows = table(g=np.random.default_rng(3).choice(list("abc"), ROWS))
    rows.loc[:4, "c"], rows.loc[7, "m"] = np.nan, np.nan
    tasks = {
        "m": {"kind": "gaussian", "formula": "x + (1 + x | g)"},
        "y": {"kind": "gaussian", "formula": "x + m + c + (1 | g)"},
    }
    model = bm.Model(tasks=tasks, dag="x -> m -> y <- x\nc, g -> y\ng -> m")
    effect = np.random.default_rng(4).normal(size=(1, DRAWS, 2, 3, 2))
    effect[:, :, 1, :, 1] = np.nan
    post = posterior(model, rows, effect_g=(("task", "g", "g_term"), effect))
    post["posterior"] = post.posterior.to_dataset().assign_coords(g=list("abc"), g_term=["1", "x"])
    found = bm.intervene(post, rows, {"x": (0, 1)})
    full = rows[rows.c.notna()]
    assert contrast(found)["rows"] == ROWS - 5  # m is drawn, and need not be known

    def slope(own):
        return effect[0, :, 0, ["abc".index(g) for g in own.g], 1].mean(0)

    agree(contrast(found, "m"), of(post, "m", "x") + slope(rows))
    through = (of(post, "m", "x") + slope(full)) * of(post, "y", "m")
    agree(contrast(found), of(post, "y", "x") + through)
    apart = {"m": rows.drop(columns=["y", "c"]), "y": rows.iloc[20:]}  # a step of each row, whosever it is
    found = bm.intervene(post, apart, {"x": (0, 1)})
    agree(contrast(found), of(post, "y", "x") + (of(post, "m", "x") + slope(rows[20:])) * of(post, "y", "m"))


def test_tasks_as_rows_have_their_own_rows():
    rows = pd.concat([table().assign(school=name) for name in ("p", "q")], ignore_index=True)
    rows["x"] += rows.school == "q"
    model = bm.Model(
        tasks={"by": "school", "outcome": "y", "kind": "gaussian"},
        formula="x * c",
        dag="x, c -> y\nschool -> x",
    )
    post = posterior(model, rows)
    found = bm.intervene(post, rows, {"x": (0, 1)})
    for task in "pq":
        draws = of(post, task, "x") + of(post, task, "x:c") * table().c.mean()
        agree(contrast(found, task), draws)
        assert contrast(found, task)["rows"] == ROWS


def test_columns_that_likelihoods_name_stay_with_their_rows():
    # without noise what lies between is known, here in each row another exposure of two counts
    rows = table(m=lambda t: np.exp(t.m), n=np.arange(ROWS) % 4, k=np.arange(ROWS) % 3)
    kind = {"kind": "poisson", "exposure": "m", "formula": "x"}
    model = bm.Model(
        tasks={"m": {"kind": "lognormal", "formula": "x + c"}, "n": kind, "k": kind},
        dag="x -> m -> n, k\nx -> n, k\nc -> m",
    )
    post = posterior(model, rows, sigma=(("task",), np.full((1, DRAWS, 3), 1e-12)))
    found = bm.intervene(post, rows, {"x": 0.5}).set_index("task")["mean"]
    mean = post.constant_data["mean"].to_series()

    def eta(task, x, c=0.0):
        level = post.posterior["level"].sel(task=task).values.reshape(-1, 1)
        steps = {"x": x - mean["x"]} | ({"c": c - mean["c"]} if task == "m" else {})
        return level + sum(of(post, task, name)[:, None] * step for name, step in steps.items())

    m = np.exp(eta("m", 0.5, rows.c.to_numpy()))
    for task in "nk":
        assert found[task] == pytest.approx((m * np.exp(eta(task, 0.5))).mean(), rel=1e-9)


NODES = {
    'do: no node called "inc". Known': {"inc": 1},
    "do.u: is latent": {"u": 1},
    "do.y: is a task that acts on no other. Set a cause of a task.": {"y": 1},
    "do.w: acts on no task in the graph.": {"w": 1},
    "do.k: is the same in all rows": {"k": 2},
    "do: sets no node.": {},
}
VALUES = {
    "do.x: has 3 values. Give one, or two": {"x": (0, 1, 2)},
    "do.x: is 'much', and its column holds numbers.": {"x": "much"},
    "do.x: is nan, inf, and its": {"x": (np.nan, np.inf)},
    "do.x: is True, and its": {"x": True},
    'do.s: no category called "F". Did you mean "f"?': {"s": "F"},
    "do.b: is 2, and its column holds 0 and 1.": {"b": (0, 2)},
    "do.m: is -1, 0.5. The likelihood poisson takes whole numbers from 0.": {"m": (-1, 0.5)},
    "do.o: is 9. Its grades are 1, 2, 3.": {"o": 9},
}
WRONG = bm.Model(
    tasks={
        "m": {"kind": "poisson", "formula": "x + s + b + k"},
        "o": {"kind": "ordinal", "formula": "x"},
        "y": {"kind": "gaussian", "formula": "m + o + x + s + b + k"},
    },
    dag="x, s, b, k -> m, y\nx -> o\nm, o -> y\ny -> w\nu -> x\nlatent: u",
)


@pytest.fixture(scope="module")
def wrong():
    at = np.arange(ROWS)
    rows = table(k=1.0, w=0.5 * at, b=at % 2, m=at % 5, o=1 + at % 3)
    return rows, posterior(WRONG, rows)


@pytest.mark.parametrize("given", [NODES, VALUES], ids=["nodes", "values"])
def test_what_can_not_be_set_is_said_all_at_once(wrong, given):
    rows, post = wrong
    with pytest.raises(bm.ModelError) as error:
        bm.intervene(post, rows, {name: v for one in given.values() for name, v in one.items()})
    for said, do in given.items():
        if len([one for one in given.values() if one.keys() == do.keys()]) == 1 and do:
            assert said in str(error.value)
        with pytest.raises(bm.ModelError) as alone:
            bm.intervene(post, rows, do)
        assert said in str(alone.value)
    assert len(error.value.findings) >= 4


def test_numbers_that_stand_for_levels_are_not_raised():
    """Those of a group, and those within C(), which ``effects`` takes from one to the other."""
    dag = "g, h -> y"
    model = bm.Model(tasks={"y": "gaussian"}, formula="C(h) + (1 | g)", dag=dag)
    rows = table(g=np.arange(ROWS) % 7, h=np.arange(ROWS) % 3).drop(columns=["m"])
    post = posterior(model, rows, effect_g=(("g", "task", "term"), np.zeros((1, DRAWS, 7, 1, 1))))
    for name, levels in {"g": "0, 1, 2", "h": "0, 1, 2"}.items():
        with pytest.raises(bm.ModelError, match=f'no category called "sd". Known: {levels}'):
            bm.intervene(post, rows, {name: "sd"})
    assert {*effects._changes(rows.h, categories=True)} == {(0, 1), (0, 2)}
    assert not [*effects._changes(rows.g, categories=True)] and [*effects._changes(rows.x, False)] == ["sd"]


def test_a_page_says_once_why_it_does_not_tell_the_same_of_many_tasks():
    tasks = dict.fromkeys("abcde", "gaussian")
    model = bm.Model(tasks=tasks, formula="x + m", dag="x -> m -> a, b, c, d, e\nx -> a, b, c, d, e")
    rows = table(**dict(zip(tasks, np.random.default_rng(3).normal(size=(5, ROWS)))))
    found, reasons = effects.effects(posterior(model, rows), rows)
    assert {*found.exposure} == {"m"} and {*found.task} == {*tasks}
    why = 'predicts "a" by "m", which responds to "x" and has no equation.'
    assert reasons == [f"x: all 5 tasks, such as a: {why}"]


def test_other_questions_that_have_no_answer(linear):
    with pytest.raises(bm.ModelError) as error:
        bm.intervene(linear, table(), {"x": 1}, by="z", tasks=["w", "x"])
    assert [finding.where for finding in error.value.findings] == ["by", "tasks", "tasks"]
    with pytest.raises(bm.ModelError, match='by: "m" responds to what is set'):
        bm.intervene(linear, table(), {"x": 1}, by="m", tasks=["y"])
    with pytest.raises(bm.ModelError, match='table: no column called "c"'):
        bm.intervene(linear, table().drop(columns="c"), {"x": 1})
    apart = bm.Model(tasks={"m": "gaussian", "y": "gaussian"}, formula="x", dag="x -> m")
    with pytest.raises(bm.ModelError, match=r"^tasks.y: is not in the graph. Draw what acts on it.$"):
        bm.intervene(posterior(apart, table()), table(), {"x": 1})
    with pytest.raises(bm.ModelError, match="dag: is missing"):
        bm.intervene(posterior(bm.Model(tasks={"y": "gaussian"}, formula="x"), table()), table(), {"x": 1})


def test_what_the_graph_and_the_formulae_do_not_tell_is_refused_for_every_task():
    tasks = {
        "m": {"kind": "gaussian", "formula": "x"},
        "y": {"kind": "gaussian", "formula": "x + s"},
    }
    model = bm.Model(tasks=tasks, dag="c -> x -> m\nc -> m\nx -> s -> y\nx <-> y\nx -> y")
    with pytest.raises(bm.ModelError) as error:
        bm.intervene(posterior(model, table()), table(), {"x": (0, 1)})
    assert [str(finding) for finding in error.value.findings] == [
        'tasks.m: can\'t tell the effect of "x" on "m": x <- c -> m is open. Adjust for "c" in its formula.',
        'tasks.y: predicts "y" by "s", which responds to "x" and has no equation. '
        'Make "s" a task, set it too, or leave it out.',
    ]


def test_residuals_that_an_arrow_crosses_are_refused():
    model = bm.Model(tasks=LINEAR.tasks, dag=LINEAR.dag, residual="correlated")
    with pytest.raises(
        bm.ModelError, match='residual: ties the residuals of "m" and of "y", on which it acts'
    ):
        bm.intervene(posterior(model, table()), table(), {"x": 1})


@pytest.mark.slow
def test_a_fit_of_simulated_tables_finds_the_effect_that_was_simulated(tmp_path):
    # of 800 rows the error of the contrast is 0.06, by that of the weights: a false alarm, at 5 errors, comes
    # in one of 1.7 million tables. The direct effect is 1, and all of it 1 + 1.5 * 2
    draw = np.random.default_rng(9)
    c = draw.normal(size=800)
    x = c + draw.normal(size=800)
    m = 1.5 * x - c + draw.normal(size=800)
    rows = pd.DataFrame({"x": x, "c": c, "m": m, "y": x + 2 * m + c + draw.normal(size=800)})
    engine = {"kind": "collapsed", "chains": 2, "draws": 500}
    model = bm.Model(tasks=LINEAR.tasks, dag=LINEAR.dag, engine=engine, relation="independent")
    post = bm.read(bm.save(bm.fit(model, rows, seed=1, **QUIET), tmp_path / "post.zarr.zip"))
    found = contrast(bm.intervene(post, rows, {"x": (0, 1)}))
    product = of(post, "y", "x") + of(post, "m", "x") * of(post, "y", "m")
    agree(found, product)
    assert abs(found["mean"] - 4.0) < 5 * product.std() and product.std() < 0.1
    assert found.low < 4.0 < found.high
