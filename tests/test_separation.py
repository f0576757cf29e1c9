"""Predictors that tell responses apart are found, and others are not."""

import numpy as np
import pytest

from bayesmtl.separation import separators


@pytest.mark.parametrize("seed", range(7))
@pytest.mark.parametrize("grades", [2, 3, 5])
def test_separation_is_told_from_overlap(seed, grades):
    random = np.random.default_rng(seed)
    x = random.normal(size=(53, 3))
    eta = x @ np.array([1.0, -2.0, 0.0])
    grade = np.searchsorted(np.quantile(eta, np.arange(1, grades) / grades), eta)
    assert {0, 1} <= set(separators(x, grade))
    # the same places with the grades turned round: nothing tells them apart
    both = np.concatenate([grade, grades - 1 - grade])
    assert separators(np.vstack([x, x]), both) == []


def test_quasi_separation_by_an_indicator_is_found_and_an_unrelated_one_is_not():
    random = np.random.default_rng(3)
    rare = (np.arange(47) < 5).astype(float)
    other = random.integers(0, 2, 47).astype(float)
    vote = np.where(rare == 1, 1, random.integers(0, 2, 47))
    assert separators(np.column_stack([other, rare]), vote) == [1]
