"""The No-U-Turn sampler."""

from collections.abc import Mapping
from typing import Any

from numpyro.infer import NUTS

from bayesmtl.chains import Run, Watch, run
from bayesmtl.parts import Chance, Count
from bayesmtl.program import Program


def nuts(
    program: Program,
    data: Mapping[str, Any],
    seed: int,
    watch: Watch,
    *,
    chains: Count = 4,
    warmup: Count = 1000,
    draws: Count = 1000,
    target_accept: Chance = 0.9,
) -> Run:
    """Draw from the posterior by Hamiltonian Monte Carlo with trajectories that stop by themselves.

    ``warmup`` iterations per chain adapt the step size and the mass matrix and are thrown away.

    References
    ----------
    Hoffman and Gelman (2014). The No-U-Turn Sampler: adaptively setting path lengths in Hamiltonian
        Monte Carlo. Journal of Machine Learning Research 15, 1593-1623.
    Phan, Pradhan and Jankowiak (2019). Composable effects for flexible and accelerated probabilistic
        programming in NumPyro. arXiv 1912.11554.
    """
    kernel = NUTS(program, target_accept_prob=target_accept)
    return run(kernel, data, seed, watch, chains=chains, warmup=warmup, draws=draws)
