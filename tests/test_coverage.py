"""What is advised covers the true effect as often as it says, and what is flagged does not.

Least squares with normal noise has exact intervals, so that an effect is in 95 % of those of a weight that
tells it, whatever the number of rows; of one that does not, in the fewer the more rows there are.
"""

import re

import numpy as np
from scipy import stats
from test_adjustment import CONTROLS, canonical, effects, graphs

import bayesmtl as bm

ROWS, TABLES = 500, 50


def strong(dag, seed):
    """The nodes of a linear model without small effects, its coefficients and covariance; [node, node]."""
    draw, parents = np.random.default_rng(seed), canonical(dag)
    nodes = sorted(parents)
    sizes = draw.uniform(0.5, 1.5, (len(nodes), len(nodes))) * draw.choice([-1, 1], (len(nodes), len(nodes)))
    weights = sizes * np.array([[a in parents[b] for a in nodes] for b in nodes])
    spread = np.linalg.inv(np.eye(len(nodes)) - weights)
    return nodes, weights, spread @ spread.T


def covered(cov, names, outcome, on, truth, seed):
    """The share of tables in which the 95 % interval of the first weight has the truth."""
    root = np.linalg.cholesky(cov)
    tables = np.random.default_rng(seed).normal(size=(TABLES, ROWS, len(names))) @ root.T
    x, y = tables[:, :, [names.index(name) for name in on]], tables[:, :, names.index(outcome)]
    x = x - x.mean(axis=1, keepdims=True)
    inverse = np.linalg.inv(np.swapaxes(x, 1, 2) @ x)
    beta = (inverse @ (np.swapaxes(x, 1, 2) @ y[:, :, None]))[:, :, 0]
    left = y - y.mean(axis=1, keepdims=True) - (x @ beta[:, :, None])[:, :, 0]
    free = ROWS - len(on) - 1
    error = np.sqrt((left**2).sum(axis=1) / free * inverse[:, 0, 0])
    return float((np.abs(beta[:, 0] - truth) < stats.t.ppf(0.975, free) * error).mean())


def flagged(model, exposure):
    """Whether a warning is about a weight."""
    said = [
        re.search(r"(?:weights? of|joint effect of) (.*?) (?:for|on) ", f.problem)
        for f in bm.check(model)
        if f.level == "warning"
    ]
    return any(f'"{exposure}"' in words[1] for words in said if words)


def advised(dag, exposure, outcome):
    """What to adjust for, as a list, or None."""
    model = bm.Model(tasks={outcome: "gaussian"}, formula=exposure, dag=dag)
    (adjust,) = bm.identify(model).query("exposure == @exposure").adjust
    return None if adjust == "none" else [name for name in adjust.split(", ") if name != "nothing"]


def test_over_random_graphs():
    good, bad = [], []
    for seed, (draw, dag, nodes) in enumerate(graphs(120)):
        outcome = nodes[-1]
        acting = sorted(dag.ancestors([outcome]) & {*nodes})
        if not acting:
            continue
        exposure = draw.choice(acting)
        names, weights, cov = strong(dag, seed)
        (truth,) = effects(names, weights, [exposure], outcome)
        adjust = advised(dag, exposure, outcome)
        if adjust is not None:
            good.append(covered(cov, names, outcome, [exposure, *adjust], truth, seed))
        others = [n for n in nodes if n not in dag.descendants([outcome]) | {outcome, exposure}]
        others = [name for name in others if draw.random() < 0.5]
        formula = " + ".join([exposure, *others])
        if flagged(bm.Model(tasks={outcome: "gaussian"}, formula=formula, dag=dag), exposure):
            bad.append(covered(cov, names, outcome, [exposure, *others], truth, seed))
    assert len(good) > 60 and len(bad) > 20
    # 4.5 standard errors of the share of so many tables: one false alarm in 150,000
    assert abs(np.mean(good) - 0.95) < 4.5 * np.sqrt(0.95 * 0.05 / (len(good) * TABLES))
    assert np.mean(bad) < 0.3 and np.median(bad) < 0.05  # a bias may be small


def test_over_the_models_of_cinelli_forney_and_pearl():
    told, wrong = [], []
    for number, (text, without, given_z) in CONTROLS.items():
        dag = bm.Dag.read(text.replace("; ", "\n") + "\nlatent: u, v")
        names, weights, cov = strong(dag, number)
        (truth,) = effects(names, weights, ["x"], "y")
        adjust = advised(dag, "x", "y")
        if adjust is not None:
            told.append(covered(cov, names, "y", ["x", *adjust], truth, number))
        for formula, right in (("x", without), ("x + z", given_z)):
            model = bm.Model(tasks={"y": "gaussian"}, formula=formula, dag=dag)
            if any(f.level == "error" for f in bm.check(model)) or flagged(model, "x"):
                assert not right
                wrong.append(covered(cov, names, "y", formula.split(" + "), truth, number))
    assert len(told) == 17 and len(wrong) > 12  # model 10 has no set
    # 4.5 standard errors here too
    assert abs(np.mean(told) - 0.95) < 4.5 * np.sqrt(0.95 * 0.05 / (17 * TABLES))
    assert max(wrong) < 0.3
