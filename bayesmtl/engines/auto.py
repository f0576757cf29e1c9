"""The engine that suits the model."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bayesmtl.chains import Run, Watch
from bayesmtl.collapsed import refusal
from bayesmtl.design import Design
from bayesmtl.parts import Count, find
from bayesmtl.program import Program


def auto(
    design: Design,
    program: Program,
    data: Mapping[str, Any],
    seed: int,
    watch: Watch,
    *,
    chains: Count = 4,
    warmup: Count = 1000,
    draws: Count = 1000,
) -> Run:
    """``collapsed`` where all tasks are normal and their coefficients can be integrated out, else ``nuts``.

    Which of them it was, and why, is said when the fit is done.

    References
    ----------
    Those of ``collapsed`` and of ``nuts``.
    """
    reason = refusal(design, program, data)
    engine = find("engines", "nuts" if reason else "collapsed")
    run = engine(design, program, data, seed, watch, chains=chains, warmup=warmup, draws=draws)
    return replace(run, engine=f"nuts ({reason})") if reason else run
