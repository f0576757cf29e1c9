"""The engine that suits the model."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bayesmtl.chains import Progress, Run, Watch
from bayesmtl.collapsed import burden, refusal
from bayesmtl.design import Design
from bayesmtl.parts import Chance, Count, find
from bayesmtl.program import Program


def auto(
    design: Design,
    program: Program,
    data: Mapping[str, Any],
    seed: int,
    watch: Watch,
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
    reason = refusal(design, program, data) or burden(design, program, data)
    chosen = "nuts" if reason else "collapsed"
    name = f"nuts, as {reason}" if reason else chosen

    def saying(progress: Progress) -> None:
        progress.engine = name
        watch(progress)

    size = {"chains": chains, "draws": draws} | ({"warmup": warmup} if warmup else {})
    engine = find("engines", chosen)
    return replace(
        engine(design, program, data, seed, saying, target_accept=target_accept, **size), engine=name
    )
