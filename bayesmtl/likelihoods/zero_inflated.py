"""Counts with extra zeros."""

import jax.numpy as jnp
import numpyro.distributions as dist

from bayesmtl.outcomes import Cells, Outcome, average, no_scale
from bayesmtl.parts import Likelihood
from bayesmtl.priors import Fraction
from bayesmtl.sites import Array, sample


def zero_inflated(
    eta: Array,
    cells: Cells,
    *,
    of: Likelihood = "poisson",
    zero: Fraction = "beta(1, 1)",
) -> Outcome:
    """Counts, of which a part ``zero`` per task is 0 whatever the predictors say.

    ``of`` is the likelihood of the others: ``poisson``, ``negative_binomial`` or ``binomial``.

    References
    ----------
    Lambert (1992). Zero-inflated Poisson regression, with an application to defects in manufacturing.
        Technometrics 34, 1-14.
    """
    said = of(eta, cells)
    base, part = said.distribution, sample("zero", zero, cells.task, support="Fraction")[cells.of]
    distribution = dist.ZeroInflatedDistribution(base, gate=part)
    none = (1 - part) * jnp.exp(base.log_prob(jnp.zeros_like(said.mean)))
    # the score of counts is (y - mean) times this, so that of a 0 is known
    slope = jnp.sqrt(said.information / base.variance)
    score = none * (said.mean * slope) ** 2
    return Outcome(
        distribution=distribution,
        mean=(1 - part) * said.mean,
        information=(1 - part) * said.information - score * part / (part + none),
        **no_scale("log loss", cells) | {"noise": jnp.sqrt(average(cells, distribution.variance))},
    )
