"""Missing predictors: densities against dense algebra and enumeration, and fits that need them."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from numpyro.handlers import seed, substitute, trace
from numpyro.infer import MCMC, NUTS
from scipy import stats

import bayesmtl as bm
from bayesmtl.checks import check
from bayesmtl.encoded import encode, impute
from bayesmtl.predictor_model import Imputation
from bayesmtl.program import build
from bayesmtl.replay import densities, replay, simulate
from bayesmtl.sites import STANDARD
from bayesmtl.spec import Model

ROWS = 23
NOISE = {"a": 0.7, "b": 1.3}

pytestmark = pytest.mark.usefixtures("double")


def table(rows=ROWS):
    draw = np.random.default_rng(5)
    made = pd.DataFrame({"w": draw.normal(2, 3, rows), "x": draw.normal(50, 9, rows)})
    made["z"] = 0.1 * made["x"] + draw.normal(size=rows)
    made["smokes"] = draw.integers(0, 2, rows).astype(float)
    made["town"] = draw.choice(["ham", "os", "ry"], rows)
    made["a"] = 3 + made["x"] + draw.normal(size=rows)
    made["b"] = draw.normal(size=rows)
    made["alive"] = draw.integers(0, 2, rows).astype(float)
    return made


def gappy(**lost):
    made = table().astype({"town": object})
    for column, rows in lost.items():
        made.loc[list(rows), column] = np.nan
    return made


def gaussian(noise):
    return {"kind": "gaussian", "sigma": noise}


def parts(program, data, sites=None, key=0):
    """Everything that a program has at one draw, by name."""
    with trace() as seen:
        seed(substitute(program, data=sites or {}), key)(data)
    return seen


def log_density(program, data, sites):
    """Of what was observed of predictors and responses, with the prior of the drawn entries."""
    seen = parts(program, data, sites)
    keep = [n for n in seen if n == "imputed_standard" or n.endswith(".y") or n in ("joint.y", "predictors")]
    return sum(jnp.sum(seen[n]["fn"].log_prob(seen[n]["value"])) for n in keep)


def integrated(program, data, sites, gaps):
    """The log of the integral over the drawn entries of a density that is normal in them."""

    def of(z):
        return log_density(program, data, sites | {"imputed_standard": z})

    zero = jnp.zeros(gaps)
    value, slope, curve = jax.jit(lambda z: (of(z), jax.grad(of)(z), -jax.hessian(of)(z)))(zero)
    volume = np.linalg.slogdet(np.asarray(curve) / (2 * np.pi))[1]
    return float(value + 0.5 * slope @ jnp.linalg.solve(curve, slope) - 0.5 * volume)


@pytest.mark.parametrize("residual", ["independent", "correlated"])
def test_drawn_predictors_integrate_to_the_multivariate_normal(residual):
    made = gappy(x=[0, 3, 4, 5], z=[3, 4, 9], a=[4], b=[5, 7])
    tasks = {name: gaussian(noise) for name, noise in NOISE.items()}
    model = Model(tasks=tasks, formula="w + x + z + w:x", residual=residual, missing="impute")
    design = encode(model, made)
    assert design.gaps.gap.labels[:3] == ("x[row 1]", "x[row 4]", "z[row 4]")
    program, data = build(design), design.data
    seen = parts(program, data)
    sites = {n: s["value"] for n, s in seen.items() if s["type"] == "sample" and not s["is_observed"]}
    found = integrated(program, data, sites, len(design.gaps.gap))
    value = {n: np.asarray(s["value"]) for n, s in seen.items()}
    imputation, expected = design.gaps.imputation, 0.0
    sd = value["imputation_sd"]
    inner = sd[:, None] * value["imputation_correlation"] * sd
    features = list(design.feature.labels)
    noise = np.diag(list(NOISE.values()))
    offset = np.concatenate([value[f"{f.name}.offset"] for f in design.families])
    correlation = value["residual_correlation"] if residual == "correlated" else np.eye(2)
    noise = noise @ correlation @ noise
    for _, row in made.iterrows():
        standard = (row.w - imputation.given_mean[0]) / imputation.given_sd[0]
        mean = value["imputation_offset"] + value["imputation_weight"][:, 0] * standard
        weight = {f: value["weight"][:, k] for k, f in enumerate(features)}
        slope = np.column_stack([weight["x"] + row.w * weight["w:x"], weight["z"]])
        whole_mean = np.concatenate([mean, offset + weight["w"] * row.w + slope @ mean])
        whole = np.block([[inner, inner @ slope.T], [slope @ inner, slope @ inner @ slope.T + noise]])
        measured = row[["x", "z", "a", "b"]].to_numpy(float)
        own = np.isfinite(measured)
        expected += stats.multivariate_normal(whole_mean[own], whole[np.ix_(own, own)]).logpdf(measured[own])
    # the program has the predictors in standard units
    expected += sum(made[n].notna().sum() * np.log(s) for n, s in zip(imputation.drawn, imputation.sd))
    assert features == ["w", "x", "z", "w:x"] and given(imputation) == ("w",)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def given(imputation: Imputation) -> tuple[str, ...]:
    return imputation.axis.labels


def summed_model(**keys):
    tasks = {"a": gaussian(4.0), "alive": {"kind": "bernoulli", "formula": "smokes + w"}}
    return Model(tasks=tasks, formula="w + smokes + town:x + town", missing="impute", **keys)


LOST = {"smokes": [0, 3, 4, 8], "town": [3, 4, 10], "x": [4, 10, 11], "a": [8], "alive": [3]}


def enumerated(design, made, value):
    """For each row, every configuration with the log density of its predictors, and of its cells."""
    imputation = design.gaps.imputation
    sizes = {n: len(v) for n, v in imputation.levels.items()}
    slot = {label: i for i, label in enumerate(design.gaps.gap.labels)}
    weight = pd.DataFrame(value["weight"], list(design.line.labels), list(design.feature.labels))
    offset = {f.task.labels[0]: value[f"{f.name}.offset"][0] for f in design.families}
    found = []
    for i, row in made.iterrows():
        each = []
        options = [[row[n]] if pd.notna(row[n]) else imputation.levels[n] for n in imputation.levels]
        for smokes, town in product(*options):
            levels = {"smokes": smokes, "town": town}
            v = [(row.w - imputation.given_mean[0]) / imputation.given_sd[0]]
            log = 0.0
            for n, level in levels.items():
                slope = np.vstack([np.zeros(len(v)), value[f"imputation_slope_{n}"]])
                odds = np.log(value[f"imputation_frequency_{n}"]) + slope @ v
                code = imputation.levels[n].index(level)
                log += odds[code] - np.log(np.exp(odds).sum())
                v += [(code == k) - imputation.share[n][k] for k in range(1, sizes[n])]
            mean, sd = value["imputation_offset"][0], value["imputation_sd"][0]
            mean += value["imputation_weight"][0] @ np.array(v)
            if pd.notna(row.x):
                x = row.x
                log += stats.norm.logpdf(x, mean, sd) + np.log(imputation.sd[0])
            else:
                x = mean + sd * value["imputed_standard"][slot[f"x[row {i + 1}]"]]
            columns = {"w": row.w, "smokes": smokes}
            columns |= {"town[T.os]": town == "os", "town[T.ry]": town == "ry"}
            columns |= {f"town[{k}]:x": x * (town == k) for k in imputation.levels["town"]}
            columns |= {f"town[T.{k}]:x": x * (town == k) for k in imputation.levels["town"]} | {"x": x}
            eta = {t: offset[t] + sum(weight.loc[t, n] * columns[n] for n in weight.columns) for t in offset}
            cells = {}
            if pd.notna(row.a):
                cells["a"] = stats.norm.logpdf(row.a, eta["a"], 4.0)
            if pd.notna(row.alive):
                cells["alive"] = stats.bernoulli.logpmf(int(row.alive), 1 / (1 + np.exp(-eta["alive"])))
            each.append((log, cells, levels, x))
        found.append(each)
    return found


def test_summing_out_is_enumeration():
    made = gappy(**LOST)
    design = encode(summed_model(), made)
    program, data = build(design), design.data
    seen = parts(program, data)
    sites = {n: s["value"] for n, s in seen.items() if s["type"] == "sample" and n != "cells"}
    sites = {n: v for n, v in sites.items() if not seen[n]["is_observed"]}
    value = {n: np.asarray(s["value"]) for n, s in seen.items()}
    rows = enumerated(design, made, value)
    totals = [[log + sum(cells.values()) for log, cells, *_ in each] for each in rows]
    assert max(map(len, totals)) == 6 and sum(len(each) > 1 for each in totals) == 5
    expected = [np.logaddexp.reduce(each) for each in totals]
    np.testing.assert_allclose(seen["cells"]["fn"].log_prob(jnp.zeros(0)), sum(expected), rtol=1e-11)
    # the probability of each category, given all that was measured of the row
    labels = list(design.gaps.choice.labels)
    for i, each in enumerate(rows):
        for n in ("smokes", "town"):
            if pd.notna(made.loc[i, n]):
                continue
            for level in design.gaps.imputation.levels[n]:
                own = [t for t, (*_, levels, _) in zip(totals[i], each, strict=True) if levels[n] == level]
                word = f"{level:g}" if n == "smokes" else level
                found = value["probability"][labels.index(f"{n}[row {i + 1}] = {word}")]
                np.testing.assert_allclose(found, np.exp(np.logaddexp.reduce(own) - expected[i]), rtol=1e-9)
    # each cell given the others of its row
    said = replay(program, data, sites, jax.random.key(3), observed=True)[2]
    density = densities(said, data)
    for family in design.families:
        task = family.task.labels[0]
        others = [
            np.logaddexp.reduce([t - cells[task] for t, (_, cells, *_) in zip(totals[i], rows[i])])
            for i in family.row
        ]
        np.testing.assert_allclose(density[family.name], np.array(expected)[family.row] - others, rtol=1e-8)


def test_draws_follow_the_configuration_that_was_drawn():
    made = gappy(**LOST)
    model = summed_model(priors={"weight[a, smokes]": 1e4, "weight[alive, smokes]": 0.0})
    design = encode(model, made)
    program, data = build(design), design.data
    seen = parts(program, data)
    sites = {n: s["value"] for n, s in seen.items() if s["type"] == "sample" and not s["is_observed"]}

    # categories are then as frequent in every row
    sites |= {n: 0.0 * v for n, v in sites.items() if n.startswith(("imputation_slope", "imputation_weight"))}

    def one(key):
        recorded, _, said = replay(program, data, sites, key, observed=False)
        return said["gaussian"].y, simulate(said, key)["gaussian"], recorded["imputed"]

    given_y, again, imputed = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(1), 200))
    family = next(f for f in design.families if f.name == "gaussian")
    lost = np.isin(family.row, [0, 3, 4])
    # a smoker's response is 10 000 higher: both draws of a row are of smokers, or both are not
    assert np.all((given_y > given_y.min(0) + 5e3) == (again > given_y.min(0) + 5e3))
    assert (np.ptp(given_y, axis=0)[lost] > 5e3).all() and (np.ptp(given_y, axis=0)[~lost] < 5e3).all()
    assert imputed.shape == (200, 3)


def test_complete_tables_and_dropping_leave_the_program_as_it_was():
    model = summed_model()
    whole = encode(model, table())
    assert whole.gaps is None and "gaps" not in whole.data
    dropped = encode(Model(**(vars(model) | {"missing": "drop"})), gappy(**LOST))
    imputed = encode(model, gappy(**LOST))
    assert dropped.gaps is None and dropped.unserved.tolist() == [5, 3]
    assert imputed.unserved.tolist() == [0, 0] and imputed.cells == {"a": 22, "alive": 22}
    names = set(parts(build(dropped), dropped.data))
    assert names == set(parts(build(whole), whole.data))
    assert np.isfinite(imputed.x).all()


def test_an_imputation_can_be_written_down():
    imputation = encode(summed_model(), gappy(**LOST)).gaps.imputation
    assert Imputation.read(str(imputation)) == imputation
    assert imputation.axis.labels == ("w", "smokes[1]", "town[os]", "town[ry]")


FORMULAE = {
    "drawn": ("w + x", {}, "is empty in 1 row (row 3): imputed, drawn beside the parameters.", "note"),
    "dropped": (
        "w + x",
        {"missing": "drop"},
        'is empty in 1 row (row 3): 1 cell of a is left out. Write missing = "impute", or fill it in.',
        "warning",
    ),
    "a function": (
        "w + poly(x, 2)",
        {},
        "is empty in 1 row (row 3): 1 cell of a is left out. It can't be imputed: it stands in a function.",
        "warning",
    ),
    "a group term": (
        "w + x + (1 + x | town)",
        {},
        "is empty in 1 row (row 3): 1 cell of a is left out. It can't be imputed: it stands in a group term.",
        "warning",
    ),
    "another column with gaps": (
        "w + x:z",
        {},
        "is empty in 1 row (row 3): 1 cell of a is left out. "
        "It can't be imputed: it is multiplied by z, with missing entries too.",
        "warning",
    ),
}


@pytest.mark.parametrize(("formula", "keys", "problem", "level"), FORMULAE.values(), ids=FORMULAE)
def test_findings_say_what_becomes_of_missing_predictors(formula, keys, problem, level):
    model = Model(**({"tasks": {"a": "gaussian"}, "formula": formula, "missing": "impute"} | keys))
    found = {f.where: f for f in check(model, gappy(x=[2], z=[5]))}
    finding = found["table.x"]
    assert (f"{finding.problem} {finding.remedy}".strip(), finding.level) == (problem, level)


def test_categories_are_summed_out_or_told_why_not():
    made = gappy(town=[2, 4])
    model = {"tasks": {"a": "gaussian", "b": "gaussian"}, "formula": "w + town", "missing": "impute"}
    (finding,) = check(Model(**model), made)
    assert str(finding) == "table.town: is empty in 2 rows (row 3, 5): imputed, summed out."
    reasons = {
        "residual": ("correlated", "it would have to be summed out, which needs independent residuals."),
        "tasks": (
            {"a": "gaussian", "b": {"kind": "gaussian", "sigma": "marginal"}},
            "it would have to be summed out, and so would the noise of b.",
        ),
    }
    for key, (value, reason) in reasons.items():
        (finding,) = [f for f in check(Model(**(model | {key: value})), made) if f.where == "table.town"]
        assert finding.remedy == f"It can't be imputed: {reason}" and finding.level == "warning"
        assert encode(Model(**(model | {key: value})), made).unserved.tolist() == [2, 2]


def test_rows_of_one_unit_are_not_imputed_apart():
    made = pd.concat([gappy(x=[2]).assign(test=test, who=range(ROWS)) for test in ("read", "write")])
    keys = {"tasks": {"by": "test", "outcome": "a", "kind": "gaussian"}, "formula": "w + x"}
    model = Model(**keys, data={"units": "who"}, missing="impute")
    (finding,) = [f for f in check(model, made.reset_index(drop=True)) if f.where == "table.x"]
    assert "the rows of one who would each get a value of their own" in finding.remedy


@pytest.mark.slow
def test_a_fit_recovers_weights_that_complete_rows_miss():
    """x is missing where y is high, so that complete rows are a biased sample.

    A weight of the imputed fit lies beyond 3.5 standard deviations in 1 of 2 000 tables, one of two in 1 of
    1 000.
    """
    draw, rows = np.random.default_rng(8), 400
    w = draw.normal(size=rows)
    x = 0.6 * w + 0.8 * draw.normal(size=rows)
    y = 1 + 2 * x - 1.5 * w + 2 * draw.normal(size=rows)
    made = pd.DataFrame({"w": w, "x": np.where(draw.uniform(size=rows) < 0.95 * (y > 2), np.nan, x), "y": y})
    assert 0.25 < made["x"].isna().mean() < 0.35
    engine = {"kind": "nuts", "chains": 2, "warmup": 300, "draws": 500}
    posts = {
        missing: bm.fit(
            Model(tasks={"y": "gaussian"}, formula="w + x", missing=missing, engine=engine), made, seed=1
        )
        for missing in ("drop", "impute")
    }
    away, sd = {}, {}
    for missing, post in posts.items():
        weight = post.posterior["weight"].sel(task="y")
        sd[missing] = weight.std(("chain", "draw")).values
        away[missing] = (weight.mean(("chain", "draw")).values - [-1.5, 2.0]) / sd[missing]
    assert np.abs(away["drop"]).max() > 3.5 > np.abs(away["impute"]).max()
    post = posts["impute"].posterior
    assert post["imputed"].gap.values[0] == f"x[row {np.flatnonzero(made['x'].isna())[0] + 1}]"
    right = x[made["x"].isna()]
    drawn = post["imputed"]
    missed = (drawn.mean(("chain", "draw")) - right) / drawn.std(("chain", "draw"))
    assert stats.chi2.sf(float((missed**2).sum()), len(right)) > 1e-3
    # a new row without x: y is what w alone says of it
    found = bm.predict(posts["impute"], pd.DataFrame({"w": [1.3], "x": [np.nan]})).loc[0]
    (mean, spread), known = (made["w"].mean(), made["w"].std()), post
    inner = known["imputation_offset"] + known["imputation_weight"].sel(given="w") * (1.3 - mean) / spread
    weight = known["weight"].sel(task="y")
    centre = known["offset"].sel(task="y") + weight.sel(feature="w") * 1.3
    centre = centre + weight.sel(feature="x") * inner.squeeze()
    width = np.hypot(
        weight.sel(feature="x") * known["imputation_sd"].squeeze(), known["sigma"].sel(task="y")
    ).values
    error = float(np.mean(width)) / np.sqrt(width.size)
    assert abs(found["mean"] - float(centre.mean())) < 3.3 * error
    np.testing.assert_allclose(found["high"] - found["low"], 2 * 1.645 * np.mean(width), rtol=0.15)


SIMULATIONS, WARMUP, DRAWS, THIN = 60, 300, 400, 4
ALARM = 1e-3  # the chance that a calibrated model fails, over all of its quantities
OWN = {"kind": "gaussian", "offset": "normal(0, 1)", "sigma": "gamma(6, 6)"}
CALIBRATED = {"drawn": ("w + x + z", ("x", "z")), "summed": ("w + x + smokes", ("x", "smokes"))}


@pytest.mark.slow
@pytest.mark.parametrize("case", CALIBRATED)
def test_imputed_models_are_calibrated(case):
    """Ranks of what drew a table of predictors and responses, among draws given that table with gaps."""
    formula, lost = CALIBRATED[case]
    draw, rows = np.random.default_rng(2), 31
    made = pd.DataFrame(draw.normal(size=(rows, 5)), columns=["w", "x", "z", "a", "b"])
    made["smokes"], made["alive"] = np.arange(rows) % 2.0, np.arange(rows) // 2 % 2.0
    whole, empty = made.copy(), made.copy()
    for i, name in enumerate(lost):
        made.loc[(np.arange(rows) + i) % (3 + i) == 0, name] = np.nan
        empty[name] = np.nan
    model = Model(
        tasks={"a": OWN, "b": OWN, "alive": {"kind": "bernoulli", "offset": "normal(0, 0.7)"}},
        formula=formula,
        shrinkage={"kind": "normal", "scale": "half_normal(0.7)"},
        missing="impute",
    )
    design = encode(model, made)
    imputation, features = design.gaps.imputation, list(design.feature.labels)
    blank = impute(encode(model, whole), empty, np.ones((3, rows), bool), imputation)
    program, data = build(design), jax.tree.map(jnp.asarray, design.data)
    simulated = build(_like(design, blank))
    nothing = jax.tree.map(jnp.asarray, _like(design, blank).data)

    def world(key):
        """The parameters, all predictors, and responses."""
        with trace() as sites:
            said = seed(simulated, key)({**nothing, "key": jax.random.fold_in(key, 1)}, observed=False)
        value = {n: s["value"] for n, s in sites.items() if not n.endswith(STANDARD)}
        some = next(iter(said.values())).summed
        code = nothing["gaps"]["level"][some.chosen] if some else jnp.zeros((rows, 0), int)
        drawn = jnp.zeros((rows, len(imputation.drawn)))
        gaps = nothing["gaps"]
        drawn = drawn.at[gaps["gap_row"], gaps["gap_column"]].set(value["imputed"])
        return value, drawn, code, {n: s.y for n, s in said.items()}

    def measured(drawn, code, y):
        """The table with gaps of a world, as the program takes it."""
        gaps, row = dict(data["gaps"]), data["gaps"]["row"]
        seen = ~np.isnan(made[list(imputation.drawn)].to_numpy(float))
        mean, sd = np.array(imputation.mean), np.array(imputation.sd)
        gaps["value"] = jnp.where(seen, (drawn - mean) / sd, 0.0)
        for k, name in enumerate(imputation.drawn):
            f = features.index(name)
            own = jnp.where(seen[row, k], drawn[row, k] - design.mean[f], gaps["x"][:, f])
            gaps["x"] = gaps["x"].at[:, f].set(own)
        for j, name in enumerate(imputation.levels):
            known = made[name].notna().to_numpy()[row]
            level = jnp.where(known, code[row, j], gaps["level"][:, j])
            f, g = features.index(name), len(imputation.given) + j
            gaps["level"] = gaps["level"].at[:, j].set(level)
            gaps["x"] = gaps["x"].at[:, f].set(level - design.mean[f])
            gaps["given"] = gaps["given"].at[:, g].set(level - imputation.share[name][1])
        cells = {n: c | {"y": y[n].astype(c["y"].dtype)} for n, c in data["cells"].items()}
        return data | {"gaps": gaps, "cells": cells}

    def rank(key):
        first, second = jax.random.split(key)
        truth, drawn, code, y = world(first)
        run = MCMC(
            NUTS(program, target_accept_prob=0.9),
            num_warmup=WARMUP,
            num_samples=DRAWS,
            progress_bar=False,
        )
        run.run(second, measured(drawn, code, y))
        samples = run.get_samples()
        names = [n for n in truth if n in samples and n not in ("imputed", "probability")]
        found = {n: (samples[n][::THIN] < truth[n] - 1e-9).sum(0).ravel() for n in names}
        if not imputation.levels:
            right = drawn[data["gaps"]["gap_row"], data["gaps"]["gap_column"]]
            found["imputed"] = (samples["imputed"][::THIN] < right).sum(0)
        return found

    keys = list(jax.random.split(jax.random.key(3), SIMULATIONS))
    one = jax.jit(rank).lower(keys[0]).compile()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(one, keys))
    ranks = {name: np.stack([np.asarray(f[name]) for f in found]) for name in found[0]}
    names = [f"{n}[{i}]" for n, r in ranks.items() for i in range(r.shape[1])]
    flat = np.concatenate(list(ranks.values()), axis=1)
    varies = flat.std(0) > 0
    jitter = np.random.default_rng(4).uniform(size=flat.shape)
    p = stats.kstest((flat + jitter) / (DRAWS / THIN + 1), "uniform", axis=0).pvalue
    each = zip(names, p, varies, strict=True)
    wrong = {n: float(v) for n, v, free in each if free and v < ALARM / varies.sum()}
    assert varies.sum() > 20 and not wrong


def _like(design, blank):
    """The one design with the gaps of the other."""
    return replace(design, gaps=blank.gaps)
