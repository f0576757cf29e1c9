"""Tasks of which half are turned round: correlations learn from them, and a common part can't.

Zhang and Yeung (2010). A convex formulation for learning task relationships in multi-task learning.
Uncertainty in Artificial Intelligence, 733-742.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer import MCMC, NUTS

from bayesmtl import parts
from bayesmtl.axes import axis
from bayesmtl.sharing import weights

T, D, N, REPEATS = 8, 15, 12, 3
TASK, FEATURE = axis("task", T), axis("feature", D)
SIGN = np.where(np.arange(T) < T // 2, 1.0, -1.0)
NEAR = 0.15  # how far a task's weights are from the common ones, or from these turned round

pytestmark = pytest.mark.usefixtures("double")


def errors(relation, **options):
    """Squared error of each task's posterior mean weights, over a few data sets with noise 1."""
    share = parts.bind("relations", {"kind": relation, **options})

    def one(key):
        x_key, common_key, own_key, noise_key, fit_key = jax.random.split(key, 5)
        x = jax.random.normal(x_key, (T, N, D))
        common = jax.random.normal(common_key, (D,))
        truth = SIGN[:, None] * (common + NEAR * jax.random.normal(own_key, (T, D)))
        y = jnp.einsum("tnd,td->tn", x, truth) + jax.random.normal(noise_key, (T, N))

        def model():
            w = weights(share(TASK, FEATURE), jnp.ones(D), None)
            numpyro.sample("y", dist.Normal(jnp.einsum("tnd,td->tn", x, w), 1).to_event(2), obs=y)
            numpyro.deterministic("w", w)

        run = MCMC(NUTS(model, max_tree_depth=6), num_warmup=200, num_samples=200, progress_bar=False)
        run.run(fit_key)
        return ((run.get_samples()["w"].mean(0) - truth) ** 2).sum() / T

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(8), REPEATS)))


@pytest.mark.slow
def test_correlated_tasks_learn_from_tasks_turned_round_and_partly_pooled_ones_do_not():
    alone = errors("independent").mean()
    assert errors("correlated", correlation="lkj(1)").mean() < alone / 2
    assert errors("partial").mean() > alone / 2
