"""The toy data of Kendall, Gal and Cipolla (2018): two tasks on one predictor, one ten times as noisy."""

import arviz_stats
import numpy as np
import pandas as pd
import pytest
from agreement import MCSE, SD, sound
from scipy import stats

import bayesmtl as bm


@pytest.mark.slow
def test_noise_of_the_tasks():
    # the authors' notebook: NumPy's legacy stream with seed 0, X, then each task's noise
    draw = np.random.RandomState(0)
    x = draw.randn(100, 1)
    first = 2.0 * x + 8.0 + 1e1 * draw.randn(100, 1)
    second = 3.0 * x + 3.0 + 1e0 * draw.randn(100, 1)
    whole = pd.DataFrame({"x": x[:, 0], "first": first[:, 0], "second": second[:, 0]})
    square = np.array([np.polyfit(whole.x, whole[task], 1, full=True)[1][0] for task in ("first", "second")])
    # methods.md, L2: the maximum of the likelihood says that these are the data
    np.testing.assert_allclose(np.sqrt(square / 100), [10.282, 0.949], atol=5e-4)

    flat = {"kind": "gaussian", "offset": "normal(0, 1e4)", "sigma": "half_student_t(3, 1000)"}
    model = bm.Model(
        tasks={"first": flat, "second": flat}, formula="x", relation="independent", shrinkage="flat"
    )
    post = bm.fit(model, whole, seed=1)
    sigma = post.posterior.sigma
    mean, sd = sigma.mean(("chain", "draw")).values, sigma.std(("chain", "draw")).values
    # under a flat prior of sigma, square / sigma^2 is chi-squared with 100 cells - 2 coefficients - 1 degrees
    # of freedom; 4 Monte Carlo errors: a false alarm in 1 of 8,000 seeds
    exact = np.sqrt(square / stats.chi2(97).ppf(np.linspace(0, 1, 20_001)[1::2])[:, None])
    error = arviz_stats.mcse(sigma.transpose("task", "chain", "draw")).values
    np.testing.assert_array_less(np.abs(mean - exact.mean(0)), MCSE * error)
    np.testing.assert_allclose(sd, exact.std(0), rtol=SD)
    # methods.md, L2: 10.50 +- 0.77 and 0.97 +- 0.07, their last digits and what Monte Carlo leaves of both
    np.testing.assert_allclose(mean, [10.50, 0.97], atol=0.06)
    np.testing.assert_allclose(sd, [0.77, 0.07], rtol=SD)
    ratio = (1 / (2 * sigma**2)).mean(("chain", "draw"))
    np.testing.assert_allclose(bm.weights(post)["weight"], ratio)
    assert sound(post)
