"""What tasks weigh and lend: held to dense algebra of normal tasks, and to counts over draws."""

import numpy as np
import pytest
import xarray as xr
from fakes import fake_posterior
from scipy.linalg import block_diag
from scipy.optimize import brentq

import bayesmtl as bm
from bayesmtl import lending
from bayesmtl.reports.outweighs import outweighs
from bayesmtl.reports.weights import NOTHING, shared, shares, weights

CELLS, SIGMA, SHARE, SCALE = np.array([40, 12, 20]), np.array([1.0, 0.5, 2.0]), 0.6, 0.8


def exact(cells, sigma, prior, feature=0):
    """Posterior covariance of the weights of one feature by the normal equations of all cells."""
    x = block_diag(*(np.ones((int(n), 1)) for n in cells))  # a predictor of variance 1 in each task
    noise = np.repeat(sigma, cells.astype(int))
    return np.linalg.inv(np.linalg.inv(prior) + x.T @ (x / noise[:, None] ** 2))


def alone(cells, sigma, variance):
    return 1 / (1 / variance + cells / sigma**2)


def exchanged(prior):
    each = (SIGMA**-2)[None]
    return lending.exchanged(prior[None, None], each, CELLS.astype(float), np.ones((3, 1), bool))


def test_borrowed_cells_are_those_that_a_task_alone_would_need():
    prior = SCALE**2 * (SHARE * np.ones((3, 3)) + (1 - SHARE) * np.eye(3))
    gain, lost, _ = exchanged(prior)
    variance = np.diag(exact(CELLS, SIGMA, prior))
    for t in range(3):
        needed = brentq(lambda n, t=t: alone(CELLS[t] + n, SIGMA[t], SCALE**2) - variance[t], 0, 1e6)
        np.testing.assert_allclose(gain[0, 0, t] * SIGMA[t] ** 2, needed, rtol=1e-8)
        for s in {0, 1, 2} - {t}:
            left = np.array([s, t] if s < t else [t, s])
            left = np.setdiff1d(np.arange(3), [s])  # without the data of s, its weight too
            fewer = exact(CELLS[left], SIGMA[left], prior[np.ix_(left, left)])
            at = list(left).index(t)
            precision = 1 / variance[t] - 1 / fewer[at, at]
            np.testing.assert_allclose(lost[0, 0, t, s], precision, rtol=1e-8)


def test_pooled_tasks_borrow_every_cell_and_independent_ones_none():
    gain, lost, _ = exchanged(4.0 * np.ones((3, 3)))
    for t in range(3):
        others = sum(CELLS[s] * SIGMA[t] ** 2 / SIGMA[s] ** 2 for s in range(3) if s != t)
        np.testing.assert_allclose(gain[0, 0, t] * SIGMA[t] ** 2, others, rtol=1e-9)
        s = (t + 1) % 3
        np.testing.assert_allclose(lost[0, 0, t, s], CELLS[s] / SIGMA[s] ** 2, rtol=1e-9)
    gain, lost, share = exchanged(4.0 * np.eye(3))
    np.testing.assert_allclose(gain, 0, atol=1e-9)
    assert not lost.any()
    np.testing.assert_allclose(share[0, 0], CELLS / SIGMA**2 / (CELLS / SIGMA**2 + 1 / 4))


def test_a_task_without_a_feature_borrows_nothing_of_it():
    uses, prior = np.array([[True], [True], [False]]), np.ones((1, 1, 3, 3))
    gain, lost, _ = lending.exchanged(prior, (SIGMA**-2)[None], CELLS.astype(float), uses)
    assert gain[0, 0, 2] == 0 and gain[0, 0, 0] > 0
    np.testing.assert_allclose(gain[0, 0, 0], CELLS[1] / SIGMA[1] ** 2)
    assert not lost[0, 0, 2].any() and not lost[0, 0, :, 2].any()


ROWS, DRAWS = 60, 4000


def conjugate(sigma, seed=4):
    """Two normal tasks with two orthogonal predictors and all else known: the posterior in closed form.

    Returns the mean and the covariance of the weights [task, feature], their place in it, and the log
    likelihood of draws.
    """
    draw = np.random.default_rng(seed)
    x = np.linalg.qr(draw.normal(size=(ROWS, 2)) - 0.0)[0] * np.sqrt(ROWS)
    truth = np.array([[1.0, -0.3], [0.2, 0.9]])
    y = x @ truth.T + draw.normal(size=(ROWS, 2)) * np.array([1.5, 1.0])
    prior = SCALE**2 * (SHARE * np.ones((2, 2)) + (1 - SHARE) * np.eye(2))
    precision = np.kron(np.linalg.inv(prior), np.eye(2)) + block_diag(*(x.T @ x / s**2 for s in sigma))
    covariance = np.linalg.inv(precision)
    score = np.concatenate([x.T @ y[:, t] / sigma[t] ** 2 for t in range(2)])
    return (covariance @ score).reshape(2, 2), covariance, x, y


@pytest.fixture(scope="module")
def known():
    """A posterior of exact draws, as ``fit`` would leave it."""
    sigma = np.array([1.5, 1.0])
    mean, covariance, x, y = conjugate(sigma)
    draw = np.random.default_rng(9)
    weight = mean + (draw.normal(size=(DRAWS, 4)) @ np.linalg.cholesky(covariance).T).reshape(-1, 2, 2)
    coords = {"chain": [0, 1], "draw": range(DRAWS // 2), "task": ["a", "b"], "feature": ["p", "q"]}

    def spread(values):
        return np.broadcast_to(values, (2, DRAWS // 2, *np.shape(values))).copy()

    posterior = xr.Dataset(
        {
            "weight": (("chain", "draw", "task", "feature"), weight.reshape(2, -1, 2, 2)),
            "share": (("chain", "draw", "feature"), spread([SHARE, SHARE])),
            "scale": (("chain", "draw", "feature"), spread([SCALE, SCALE])),
            "noise": (("chain", "draw", "task"), spread(sigma)),
            "loss_weight": (("chain", "draw", "task"), spread(0.5 / sigma**2)),
            "information": (("chain", "draw", "task"), spread(sigma**-2)),
        },
        coords=coords,
    )
    likely = {}
    for t, name in enumerate("ab"):
        away = (y[:, t] - weight[:, t] @ x.T) / sigma[t]
        values = (-0.5 * away**2 - np.log(sigma[t])).reshape(2, -1, ROWS)
        likely[name] = (("chain", "draw", f"{name}.row"), values)
    constant = xr.Dataset(
        {
            "unit": ("task", [1.0, 1.0]),
            "sd": ("feature", [1.0, 1.0]),
            "cells": ("task", [ROWS, ROWS]),
            "empty": ("task", [0, 0]),
            "uses": (("task", "feature"), np.ones((2, 2), bool)),
            "likelihood": ("task", ["gaussian", "gaussian"]),
            "loss": ("task", ["squared error", "squared error"]),
        },
        coords={"task": ["a", "b"], "feature": ["p", "q"]},
    )
    groups = {"posterior": posterior, "log_likelihood": xr.Dataset(likely), "constant_data": constant}
    post = xr.DataTree.from_dict(groups)
    model = bm.Model(tasks={"a": "gaussian", "b": "gaussian"}, formula="p + q", relation="partial")
    post.attrs["model"] = model.to_json()
    return post


def test_what_moves_if_the_noise_doubles_is_the_posterior_with_twice_the_noise(known):
    sigma = np.array([1.5, 1.0])
    mean, covariance, *_ = conjugate(sigma)
    sd = np.sqrt(np.diag(covariance)).reshape(2, 2)
    frame = outweighs(known)["moved"]
    own = weights(known)["moved"]
    for t, name in enumerate("ab"):
        doubled = conjugate(np.where(np.arange(2) == t, 2 * sigma, sigma))[0]
        moved = np.sqrt((((doubled - mean) / sd) ** 2).mean(1))
        # a covariance with the log likelihood of 4,000 draws, times at most 2.6: 4 standard errors
        np.testing.assert_allclose(own[name], moved[t], atol=4 * 2.6 * 1.5 / np.sqrt(DRAWS))
        np.testing.assert_allclose(frame[name, "ba"[t]], moved[1 - t], atol=4 * 2.6 * 1.5 / np.sqrt(DRAWS))
        assert moved[t] > 0.15  # so that the test can fail


def test_borrowed_and_lent_of_a_posterior_are_those_of_the_algebra(known):
    frame = weights(known)
    sigma = np.array([1.5, 1.0])
    covariance = conjugate(sigma)[1]
    for t, name in enumerate("ab"):
        variance = covariance[2 * t, 2 * t]
        needed = (1 / variance - 1 / SCALE**2) * sigma[t] ** 2 - ROWS
        np.testing.assert_allclose(frame.loc[name, "borrowed"], needed, rtol=1e-6)
        # of two tasks one borrows what the other lends
        np.testing.assert_allclose(frame.loc["ba"[t], "lent"], needed, rtol=1e-6)
        np.testing.assert_allclose(outweighs(known).loc[("ba"[t], name), "lent"], needed, rtol=1e-6)


def test_both_conventions_of_kendall_and_the_information_of_a_cell():
    post = fake_posterior(tasks=("stay", "mood", "readmit"))
    frame = weights(post)
    for end in ("", "_low", "_high"):
        np.testing.assert_allclose(
            frame.loc["stay", f"precision{end}"], 2 * frame.loc["stay", f"weight{end}"]
        )
    precision = (post.posterior["sigma"].sel(task="stay") ** -2).mean()
    np.testing.assert_allclose(frame.loc["stay", "precision"], precision)
    assert frame.loc[["mood", "readmit"], "precision"].isna().all()
    unit = float(post.constant_data["unit"].sel(task="stay"))
    each = post.posterior["information"].sel(task="stay").mean() * unit**2
    np.testing.assert_allclose(frame.loc["stay", "information"], each)
    assert (frame["borrowed"] > 0).all() and (frame["lent"] > 0).all() and (frame["moved"] >= 0).all()


def test_a_task_outweighs_another_as_often_as_its_share_is_larger():
    post = fake_posterior(tasks=("stay", "mood", "readmit"))
    frame = outweighs(post)
    assert len(frame) == 6
    share = shares(post)
    expected = (share.sel(task="mood") > share.sel(task="readmit")).mean()
    np.testing.assert_allclose(frame.loc[("mood", "readmit"), "outweighs"], expected)
    back = frame["outweighs"].unstack()
    np.testing.assert_allclose(back + back.T, np.where(np.eye(3), np.nan, 1.0))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, "weights, sizes of weights"),
        ({"relation": "independent"}, "sizes of weights"),
        ({"relation": "independent", "shrinkage": "flat"}, NOTHING),
        ({"relation": ["partial", "independent"], "shrinkage": "flat"}, "weights"),
    ],
)
def test_what_a_task_has_in_common_is_named(keys, expected):
    post = fake_posterior(tasks=("stay", "mood", "readmit"))
    tasks = {"stay": "gaussian", "mood": {"kind": "ordinal", "levels": 5}, "readmit": "bernoulli"}
    post.attrs["model"] = bm.Model(tasks=tasks, formula="age", **keys).to_json()
    assert shared(post) == [expected] * 3
