"""Missing predictors: a model of the predictors beside that of the responses.

The columns that are summed out come first, each a multinomial logit given the complete columns and those
before it; the continuous ones are jointly normal given all of these. So a row's predictors have one density,
whatever is missing of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax.scipy.linalg import solve_triangular

from bayesmtl.axes import Axis
from bayesmtl.configurations import Gaps
from bayesmtl.predictor_model import word
from bayesmtl.sites import STANDARD, Array, latent, record, sample
from bayesmtl.structured import correlation_root

ENTRIES = ("imputed", "probability")  # what is recorded of one table's entries; another table has others


@dataclass(frozen=True)
class Filled:
    """A table without gaps, for each configuration of what is summed out.

    Parameters
    ----------
    gaps
        What is missing.
    data
        What the program reads, with a row for each configuration and its cells.
    weight
        Log density of the measured predictors of its row and of its categories; [configuration].
    value
        The continuous columns in standard units; [configuration, drawn].
    """

    gaps: Gaps
    data: Mapping[str, Any]
    weight: Array
    value: Array

    @property
    def summed(self) -> bool:
        """Whether anything is summed out."""
        return bool(self.gaps.imputation.levels)


def impute(gaps: Gaps, data: Mapping[str, Any], observed: bool) -> Filled:
    """A table's missing predictors, under the model of the predictors.

    Continuous columns have the means ``offset + given @ weight`` with standardised complete columns, residual
    standard deviations under half-normal priors as wide as the columns', and LKJ(2) correlations between
    residuals. Missing entries are drawn from their conditional density given those measured in their row.
    The categories of a column that is summed out have the probabilities ``imputation_frequency``, uniform on
    the simplex, in an average row, and log odds that are linear in the standardised complete columns.

    References
    ----------
    Little and Schluchter (1985). Maximum likelihood estimation for mixed continuous and categorical data with
        missing values. Biometrika 72, 497-512.
    Ibrahim, Lipsitz and Chen (1999). Missing covariates in generalized linear models when the missing data
        mechanism is non-ignorable. Journal of the Royal Statistical Society B 61, 173-190.
    """
    data = {
        **data,
        **{key: jax.tree.map(jnp.asarray, dict(data[key])) for key in ("gaps", "cells", "groups")},
    }
    given = data["gaps"]
    weight = _categories(gaps, given)
    value = jnp.zeros((len(given["row"]), len(gaps.imputation.drawn)))
    if gaps.imputation.drawn:
        density, value = _continuous(gaps, given)
        weight += density
    weight = jnp.where(given["used"][given["row"]], weight, 0.0)
    x = given["x"].at[given["at"], given["feature"]].add(given["slope"] * value.ravel()[given["of"]])
    filled = Filled(gaps, _wide(data, x), weight, value)
    if not filled.summed:
        if observed:
            numpyro.factor("predictors", weight.sum())
        record_drawn(filled, given["start"])
    return filled


def _categories(gaps: Gaps, given: Mapping[str, Any]) -> Array:
    """Log density of the categories; [configuration]."""
    total, imputation = jnp.zeros(len(given["row"])), gaps.imputation
    for j, (name, levels) in enumerate(imputation.levels.items()):
        axis, before = Axis(f"{name}_level", tuple(map(word, levels))), imputation.before(name)
        called = f"imputation_frequency_{name}"
        share = latent(called, dist.Dirichlet(jnp.ones(len(levels))), axis, of=called)
        odds = jnp.log(share)
        if before:
            others, by = axis.take(range(1, len(levels))), imputation.axis.take(range(before))
            slope = sample(f"imputation_slope_{name}", "normal(0, 1)", others, by, support="Real")
            moved = given["given"][:, :before] @ slope.T
            odds += jnp.concatenate([jnp.zeros((len(moved), 1)), moved], axis=1)
        log = jax.nn.log_softmax(jnp.broadcast_to(odds, (len(given["row"]), len(levels))))
        total += jnp.take_along_axis(log, given["level"][:, j, None], axis=1)[:, 0]
    return total


def _continuous(gaps: Gaps, given: Mapping[str, Any]) -> tuple[Array, Array]:
    """Log density of the measured continuous columns, and all of these columns; [configuration, drawn]."""
    location, root = _regression(gaps, given)
    order, pattern = given["order"], given["pattern"][given["row"]]
    eye = jnp.eye(order.shape[1])
    covariance = root @ root.T
    factor = jnp.linalg.cholesky(covariance[order[:, :, None], order[:, None, :]])
    seen = given["seen"]
    own = jnp.where(seen[:, :, None] & seen[:, None, :], factor, eye)
    inverse = solve_triangular(own, jnp.broadcast_to(eye, own.shape), lower=True)
    volume = jnp.where(seen, jnp.log(jnp.diagonal(own, axis1=-2, axis2=-1)), 0.0).sum(-1)
    z = jnp.zeros(1)
    if len(gaps.gap):
        z = jnp.append(latent(f"imputed{STANDARD}", dist.Normal(0.0, 1.0), gaps.gap), 0.0)
    z = z[given["place"]]

    def ordered(value: Array) -> Array:
        return jnp.take_along_axis(value, order[pattern], axis=1)

    measured = seen[pattern]
    away = jnp.where(measured, ordered(given["value"][given["row"]] - location), 0.0)
    white = jnp.einsum("eij,ej->ei", inverse[pattern], away)
    each = jnp.where(measured, dist.Normal(0.0, 1.0).log_prob(white), 0.0)
    whole = jnp.where(measured, white, ordered(z[given["row"]]))
    moved = jnp.einsum("eij,ej->ei", factor[pattern], whole)
    value = location + jnp.take_along_axis(moved, given["rank"][pattern], axis=1)
    return each.sum(-1) - volume[pattern], value


def _regression(gaps: Gaps, given: Mapping[str, Any]) -> tuple[Array, Array]:
    """The mean of each continuous column, and the Cholesky factor of their covariance, in standard units."""
    imputation = gaps.imputation
    axis, by = Axis("drawn", imputation.drawn), imputation.axis
    mean, unit = jnp.array(imputation.mean), jnp.array(imputation.sd)
    prior = "normal(centre, unit)"
    offset = sample("imputation_offset", prior, axis, support="Real", centre=mean, unit=unit)
    location = jnp.broadcast_to((offset - mean) / unit, (len(given["row"]), len(axis)))
    if len(by):
        weight = sample("imputation_weight", "normal(0, unit)", axis, by, support="Real", unit=unit)
        location += given["given"] @ (weight / unit[:, None]).T
    sd = sample("imputation_sd", "half_normal(unit)", axis, support="Positive", unit=unit) / unit
    if len(axis) == 1:
        return location, sd[:, None]
    root = correlation_root("imputation_correlation", "lkj(2)", axis)
    one = jnp.eye(len(axis), dtype=bool)
    matrix = jnp.where(one, 1.0, root @ root.T)
    # a posterior's draws replace what is recorded, so that the factor must come from it
    matrix = record("imputation_correlation", matrix, axis, axis.other())
    return location, sd[:, None] * jnp.linalg.cholesky(matrix)


def _wide(data: Mapping[str, Any], x: Array) -> dict[str, Any]:
    """What the program reads, with a row for each configuration and its cells."""
    gaps = data["gaps"]
    cells = {}
    for name, own in data["cells"].items():
        cell, at = gaps["cells"][name]["cell"], gaps["cells"][name]["at"]
        cells[name] = jax.tree.map(lambda value, cell=cell: value[cell], dict(own)) | {"row": at}
    groups = jax.tree.map(lambda value: value[gaps["row"]], dict(data["groups"]))
    return {**data, "x": x, "cells": cells, "groups": groups}


def record_drawn(filled: Filled, chosen: Array) -> None:
    """The entries that are drawn, in the user's units, each in its row's configuration."""
    gaps, imputation = filled.data["gaps"], filled.gaps.imputation
    if len(filled.gaps.gap):
        mean, sd = jnp.array(imputation.mean), jnp.array(imputation.sd)
        value = (mean + sd * filled.value)[chosen[gaps["gap_row"]], gaps["gap_column"]]
        record("imputed", value, filled.gaps.gap)
