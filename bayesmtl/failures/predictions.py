"""Tasks whose predictions are off, or decided by single cells."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.stats import binomtest, f, kstest

from bayesmtl.failures import Failure
from bayesmtl.failures.scores import Scores
from bayesmtl.multiplicity import adjusted

COVERED, REACH = 0.9, 1.6448536269514722  # of the interval whose coverage is tested, and its normal score
FEW = 30  # cells from which the levels of a task are compared
OFF = "Look at the task's predictive check; change its likelihood or its formula."
NARROW = "Take a likelihood with heavier tails, such as student_t or negative_binomial."
WIDE = "Look for a sigma that its prior holds up, or for responses that are rounded or copied."
BEND = "Let the predictors bend, poly(x, 2) or bs(x, 4), or change the link."
SPREAD = {"gaussian": 'Give the task sigma = { formula = "..." }, or lognormal if it is positive.'}
MORE = "Change the likelihood for one whose spread grows with its mean otherwise."


def heavy(cells: Scores, pareto_k: float) -> Iterator[Failure]:
    """Cells that decide their own prediction."""
    k = cells.pareto_k
    if high := int((k > pareto_k).sum()):
        problem = (
            f"{high} of {k.size} cells decide their own prediction, most {cells.cell[k.argmax()]}: Pareto k"
        )
        look = "Look at these cells: leave-one-out is not to be trusted there"
        more = "; try student_t, whose tails are heavier." if cells.likelihood == "gaussian" else "."
        # as ArviZ has it: of few draws less
        theirs = min(1 - 1 / np.log10(cells.log_weights.shape[1]), 0.7)
        yield Failure(cells.task, problem, float(k.max()), pareto_k, look + more, "predictions", theirs)


def off(cells: Scores, calibration: float) -> Iterator[Failure]:
    """What is wrong with the predictions of a task, each made without its own cell.

    Four tests: whether the ranks of responses among their predictions are uniform; whether the 90 %
    intervals hold 90 %; whether normal scores bend with what is expected (Ramsey), and whether their
    spread changes with it (Glejser). By Holm's adjustment one of them is a false alarm in at most
    ``calibration`` of tasks.

    References
    ----------
    Gabry, Simpson, Vehtari, Betancourt and Gelman (2019). Visualization in Bayesian workflow. Journal of
        the Royal Statistical Society A 182, 389-402.
    Ramsey (1969). Tests for specification errors in classical linear least-squares regression analysis.
        Journal of the Royal Statistical Society B 31, 350-371.
    Glejser (1969). A new test for heteroskedasticity. Journal of the American Statistical Association 64,
        316-323.
    """
    score = cells.score[np.isfinite(cells.score)]
    rank = cells.rank[np.isfinite(cells.rank)]
    inside = int((np.abs(score) < REACH).sum())
    share = inside / max(len(score), 1)
    held = NARROW if share < COVERED else WIDE
    bend, spread = by_level(cells)
    tests = [
        ("predictions are not calibrated: p of uniform ranks", kstest(rank, "uniform").pvalue, OFF),
        (f"90% intervals hold {100 * share:.0f}%: p", binomtest(inside, len(score), COVERED).pvalue, held),
        ("predictions are off by their level: p of no bend", bend, BEND),
        ("the spread is off by the level: p of one spread", spread, SPREAD.get(cells.likelihood, MORE)),
    ]
    p = adjusted(np.array([float(test[1]) for test in tests]), "holm")
    for i in np.argsort(p, kind="stable"):
        if p[i] < calibration:
            yield Failure(cells.task, tests[i][0], float(p[i]), calibration, tests[i][2], "predictions")


def by_level(cells: Scores) -> tuple[float, float]:
    """The p-values of no bend and of one spread by the level that is expected; NaN of too few cells.

    What is linear in the level is no sign: a fit that shrinks leaves it in its residuals.
    """
    known = np.isfinite(cells.score)
    level, score = cells.level[known], cells.score[known]
    sd = level.std()
    if len(score) < FEW or not sd > 4 * cells.blurred or cells.likelihood == "categorical":
        return np.nan, np.nan
    s = np.clip((level - level.mean()) / sd, -3, 3)
    powers = [s**k for k in range(4)]
    if len(np.unique(np.round(s, 6))) < 6:  # a line and what bends take them all
        return np.nan, _more(powers[:1], powers[1:2], np.abs(score))
    return _more(powers[:2], powers[2:], score), _more(powers[:1], powers[1:3], np.abs(score))


def _more(fewer: Sequence[np.ndarray], added: Sequence[np.ndarray], y: np.ndarray) -> float:
    """The p-value of columns that say nothing beside others, by the F test."""
    small, large = np.column_stack(fewer), np.column_stack([*fewer, *added])
    left = [((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2).sum() for x in (small, large)]
    free = len(y) - large.shape[1]
    ratio = (left[0] - left[1]) / len(added) / (left[1] / free)
    return float(f.sf(ratio, len(added), free))
