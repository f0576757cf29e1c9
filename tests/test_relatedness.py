"""How alike tasks are, held to the relations themselves and to dense algebra."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fakes import fake_posterior, with_groups
from numpyro.handlers import seed, substitute, trace
from numpyro.infer import init_to_uniform

import bayesmtl as bm
from bayesmtl import alike, parts
from bayesmtl.axes import Axis
from bayesmtl.page import figures
from bayesmtl.page.relatedness import heat_map, picture
from bayesmtl.reports.in_common import effective_rank, in_common
from bayesmtl.reports.relatedness import relatedness
from bayesmtl.runtime import ready
from bayesmtl.sharing import Loading, Mixture
from bayesmtl.sites import STANDARD

TASK, FEATURE, DRAWS = Axis("task", ("a", "b", "c")), Axis("feature", tuple("pqrst")), 7
NEEDED = {
    "graph": {"edges": [["a", "b"]]},
    "described": {"by": {"a": [0.0, 1.0], "b": [2.0, 2.0], "c": [3.0, -1.0]}},
    "sum_of": {"relations": ["partial", "outlying", "low_rank"]},  # two have a share
}


def recorded(relation):
    """What a relation records at some draws of its prior, and the covariance that its loading has there."""
    part, axes = parts.bind("relations", relation), {}

    def one(key, belongs):
        uniform = init_to_uniform(radius=1.5)  # what a site can be; its prior is of no account
        with trace() as sites, substitute(substitute_fn=uniform), seed(rng_seed=key):
            found = part(TASK, FEATURE)
            if isinstance(found, Mixture):
                belongs = belongs[:, : found.chance.shape[1]]
                belongs = belongs / belongs.sum(1, keepdims=True)
                found.tell(belongs)
                # both in a component, times what that shares
                dense = jnp.einsum("sc,tc,ck->kst", belongs, belongs, 1 - found.width**2)
                dense = jnp.where(jnp.eye(3, dtype=bool), 1.0, dense)
            else:
                matrix = found.matrix if isinstance(found, Loading) else found
                dense = jnp.broadcast_to(matrix @ matrix.mT, (5, 3, 3))
        for name, site in sites.items():
            own = site.get("axes", site.get("infer", {}).get("axes"))
            if not name.endswith(STANDARD) and own is not None:
                axes[name] = own
        return {name: sites[name]["value"] for name in axes}, dense

    belongs = np.random.default_rng(2).uniform(0.1, 1.0, (DRAWS, 3, 3))
    with ready():
        values, dense = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(3), DRAWS), belongs)
    return {name: (own, np.asarray(values[name])) for name, own in axes.items()}, np.asarray(dense)


def tree(relation, variables):
    """A posterior of nothing but these draws, which are its prior's too."""
    axes = {axis.name: list(axis.labels) for found, _ in variables.values() for axis in found}
    coords = {"task": list(TASK.labels), "feature": list(FEATURE.labels)} | axes
    drawn = xr.Dataset(
        {
            name: (("chain", "draw", *(axis.name for axis in found)), values[None])
            for name, (found, values) in variables.items()
        },
        coords=coords | {"chain": [0], "draw": range(DRAWS)},
    )
    constant = xr.Dataset(coords={"task": list(TASK.labels), "feature": list(FEATURE.labels)})
    post = xr.DataTree.from_dict({"posterior": drawn, "prior": drawn, "constant_data": constant})
    model = bm.Model(tasks=dict.fromkeys("abc", "gaussian"), formula="p + q + r + s + t", relation=relation)
    post.attrs["model"] = model.to_json()
    return post


@pytest.fixture(scope="module")
def every():
    relations = {name: {"kind": name} | NEEDED.get(name, {}) for name in parts.names("relations")}
    return {name: (tree(r, (found := recorded(r))[0]), found[1]) for name, r in relations.items()}


@pytest.mark.parametrize("name", parts.names("relations"))
def test_the_covariance_of_tasks_is_that_of_the_relation(every, name):
    post, dense = every[name]
    found = alike.covariance(post, np.arange(DRAWS))
    # of clusters all components share the same, so the first one's share is every one's
    np.testing.assert_allclose(found, dense, atol=1e-6)


def test_pairs_are_the_means_over_features_and_draws(every):
    post, _ = every["partial"]
    share = post.posterior["share"].values[0]  # [draw, feature]
    frame = relatedness(post, prob=0.8)
    assert list(frame.index) == [("weights", *pair) for pair in (("a", "b"), ("a", "c"), ("b", "c"))]
    row = frame.loc[("weights", "a", "c")]
    np.testing.assert_allclose(row["mean"], share.mean())
    np.testing.assert_allclose(row[["low", "high"]], np.quantile(share.mean(1), [0.1, 0.9]))
    np.testing.assert_allclose(row[["prior", "prior_low", "prior_high"]], row[["mean", "low", "high"]])
    assert row["positive"] == 1 and np.isnan(row["together"])
    own = relatedness(every["correlated"][0]).loc["weights"]["positive"]
    signs = (every["correlated"][1][:, 0, [0, 0, 1], [1, 2, 2]] > 0).mean(0)
    np.testing.assert_allclose(own, signs)


def test_a_mixture_says_which_tasks_are_together(every):
    for name in ("clustered", "exchangeable_or_not"):
        post = every[name][0]
        frame = relatedness(post).loc["weights"]
        drawn = post.posterior
        if name == "clustered":
            expected = drawn["together"].mean(("chain", "draw")).sel(task="a", task_="c")
        else:
            expected = (drawn["borrows"].sel(task="a") * drawn["borrows"].sel(task="c")).mean()
        np.testing.assert_allclose(frame.loc[("a", "c"), "together"], expected)
        assert frame.loc[("a", "c"), "prior_together"] == frame.loc[("a", "c"), "together"]


def test_the_effective_rank_counts_tasks():
    """Two blocks of copies of sizes 2 and 4: eigenvalues 2/6 and 4/6, whose entropy is known."""
    np.testing.assert_allclose(effective_rank(np.eye(5)), 5)
    np.testing.assert_allclose(effective_rank(np.ones((5, 5))), 1)
    blocks = np.zeros((6, 6))
    blocks[:2, :2] = blocks[2:, 2:] = 1
    expected = np.exp(-(np.log(1 / 3) / 3 + 2 * np.log(2 / 3) / 3))
    np.testing.assert_allclose(effective_rank(blocks), expected)


def test_what_tasks_have_in_common_is_the_relations_own(every):
    post, dense = every["partial"]
    frame = in_common(post)
    assert list(frame.loc["share"].index) == list(FEATURE.labels)
    np.testing.assert_allclose(frame.loc["share"]["mean"], post.posterior["share"].values[0].mean(0))
    expected = np.mean([effective_rank(matrix) for matrix in dense.reshape(-1, 3, 3)])
    np.testing.assert_allclose(frame.loc[("effective rank", ""), "mean"], expected)
    assert frame.loc[("effective rank", ""), "prior"] == frame.loc[("effective rank", ""), "mean"]
    assert in_common(every["independent"][0]).loc[("effective rank", ""), "mean"] == pytest.approx(3)
    assert in_common(every["pooled"][0]).loc[("effective rank", ""), "mean"] == pytest.approx(1)
    assert list(in_common(every["sum_of"][0]).loc["shares"].index) == ["partial", "outlying", "low_rank"]
    assert {"communality", "decay"} <= set(in_common(every["low_rank"][0]).index.get_level_values("what"))


def test_residuals_and_linked_groups_stand_beside_the_weights():
    post = with_groups(fake_posterior(tasks=("stay", "mood", "readmit")))
    drawn = post.posterior.to_dataset()
    matrix = np.tanh(np.random.default_rng(1).normal(size=(*drawn["share"].shape[:2], 3, 3)))
    drawn["residual_correlation"] = (("chain", "draw", "task", "task_"), matrix)
    post["posterior"] = xr.DataTree(drawn)
    frame = relatedness(post)
    assert list(dict.fromkeys(frame.index.get_level_values("of"))) == [
        *("weights", "residuals", "clinic: 1", "clinic: age")
    ]
    np.testing.assert_allclose(frame.loc[("residuals", "stay", "mood"), "mean"], matrix[..., 0, 1].mean())
    clinic = drawn["correlation_clinic"].sel(clinic_term="age", clinic_term_="age")
    expected = clinic.sel(task="stay", task_="readmit").mean()
    np.testing.assert_allclose(frame.loc[("clinic: age", "stay", "readmit"), "mean"], expected)
    assert frame.loc["residuals"]["prior"].isna().all()  # the prior of this fake has none


def test_a_part_that_is_not_at_hand_leaves_the_rest(every):
    post = every["partial"][0].copy()
    model = json.loads(post.attrs["model"])
    post.attrs = {"model": json.dumps(model | {"relation": {"kind": "nowhere.at_all:relation"}})}
    assert relatedness(post).empty and in_common(post).empty


def pairs_of(matrix, tasks):
    rows = [
        (tasks[i], tasks[j], matrix[i, j], matrix[i, j] - 0.1, matrix[i, j] + 0.1, float(matrix[i, j] > 0))
        for i in range(len(tasks))
        for j in range(i + 1, len(tasks))
    ]
    columns = ["task", "task_", "mean", "low", "high", "positive"]
    return pd.DataFrame(rows, columns=columns).set_index(["task", "task_"])


def test_the_heat_map_puts_related_tasks_side_by_side(every):
    tasks = ["u", "v", "w", "x", "y"]
    matrix = np.full((5, 5), -0.2)
    matrix[np.ix_([0, 2, 4], [0, 2, 4])] = 0.8
    matrix[np.ix_([1, 3], [1, 3])] = 0.7
    with figures.offscreen():
        figure = heat_map(pairs_of(matrix, tasks))
        image = figure.axes[1].images[0].get_array()
        order = [label.get_text() for label in figure.axes[1].get_yticklabels()]
        assert set(order[:3]) == {"u", "w", "y"} or set(order[2:]) == {"u", "w", "y"}
        place = [tasks.index(name) for name in order]
        expected = matrix[np.ix_(place, place)]
        np.fill_diagonal(expected, 1.0)
        np.testing.assert_allclose(image, expected)
        shown = picture(every["correlated"][0])
        assert shown is not None and "3 tasks" in shown.alt and shown.src.startswith("data:image/")
        assert picture(every["independent"][0]) is None
