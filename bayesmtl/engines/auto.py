"""The engine that suits the model."""

from dataclasses import replace

from bayesmtl.chains import Problem, Progress, Run
from bayesmtl.collapsible import burden, refusal
from bayesmtl.parts import Chance, Count, find


def auto(
    problem: Problem,
    *,
    chains: Count = 4,
    warmup: Count | None = None,
    draws: Count = 1000,
    target_accept: Chance = 0.9,
) -> Run:
    """``collapsed`` where all tasks are normal and their coefficients can be integrated out, else ``nuts``.

    Which of them it is, and why, is said while it draws. ``warmup`` is that engine's own if it is left out.

    References
    ----------
    Lindley and Smith (1972). Bayes estimates for the linear model. Journal of the Royal Statistical Society
        B 34, 1-41.
    Hoffman and Gelman (2014). The No-U-Turn Sampler: adaptively setting path lengths in Hamiltonian
        Monte Carlo. Journal of Machine Learning Research 15, 1593-1623.
    """
    model = problem.design, problem.program, problem.data
    reason = refusal(*model) or burden(*model)
    chosen = "nuts" if reason else "collapsed"
    name = f"nuts, as {reason}" if reason else chosen

    def saying(progress: Progress) -> None:
        progress.engine = name
        problem.watch(progress)

    size = {"chains": chains, "draws": draws} | ({"warmup": warmup} if warmup else {})
    engine = find("engines", chosen)
    run = engine(replace(problem, watch=saying), target_accept=target_accept, **size)
    return replace(run, engine=name)
