"""How a fit was made, as a paragraph for a paper."""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xarray as xr

from bayesmtl import parts
from bayesmtl.evidence.falsification import falsify
from bayesmtl.evidence.implied import implications
from bayesmtl.evidence.signed import signs
from bayesmtl.identification import identify
from bayesmtl.left_out.gain import transfer
from bayesmtl.page.asked import Answers
from bayesmtl.page.figures import PROB
from bayesmtl.page.numbers import count, joined
from bayesmtl.page.sources import model_of, works
from bayesmtl.reports.diagnostics import approximate
from bayesmtl.spec import Task
from bayesmtl.wording import said, summary
from bayesmtl.worlds.confounding import sensitivity
from bayesmtl.worlds.intervention import intervene

_SHARED = (("relation", "relations"), ("shrinkage", "shrinkage"), ("residual", "residuals"))


def questions(known: Answers) -> list[Callable[..., Any]]:
    """The questions, besides the reports, that a page answers; each names its sources."""
    rows = known.causal.rows if known.causal else {}
    graph = [question for question in (identify, implications, falsify, signs) if question.__name__ in rows]
    frames = ((transfer, known.transfer), (intervene, known.effects), (sensitivity, known.sensitivity))
    return [*graph, *(question for question, frame in frames if frame is not None and len(frame))]


_WORDS = {
    "transfer": "What each task gained by sharing is the difference of the expected log predictive density "
    "of its cells, left out one at a time, between this fit and one in which the tasks share nothing",
    "identify": "Causal assumptions were declared as a graph before the fit; which weights tell effects, and "
    "what to adjust for, follow from it by the adjustment criterion",
    "implications": "The independencies that the graph implies were tested by the generalised covariance "
    "measure",
    "falsify": "The graph was compared with graphs whose names are exchanged",
    "signs": "Expected signs were compared with quick adjusted regressions",
    "intervene": "Effects of interventions were computed by the g-formula over the fitted equations",
    "sensitivity": "Robustness to unmeasured causes was judged by partial R²",
}


def cited(known: Answers) -> list[tuple[str, str]]:
    """Every work that the questions come from, and which question."""
    return [(text, question.__name__) for question in questions(known) for text in works_of(question)]


def paragraph(post: xr.DataTree, known: Answers) -> str:
    """What was fitted, how, and how it was checked, with the authors of each method."""
    model, versions = model_of(post), json.loads(post.attrs.get("versions", "{}"))
    names = [str(name) for name in post.constant_data.task.values]
    cells = count(int(post.constant_data["cells"].sum()), "cell")
    software = f"bayesmtl {versions.get('bayesmtl', '')}".strip()
    text = [
        f"{count(len(names), 'outcome')} ({joined(names, most=8)}) were modelled jointly in a Bayesian "
        f"multi-task regression of {cells}, with {software}{_versions(versions)}."
    ]
    text += _likelihoods(model.listed_tasks(names))
    for noun, role in _SHARED:
        part = getattr(model, noun)
        if noun != "residual" or part["kind"] != "independent":
            text.append(_part(noun.capitalize(), role, part))
    changed = ", ".join(f"{name} ~ {prior}" for name, prior in model.priors.items())
    default = "Priors were the defaults, scaled to the responses and predictors, as listed with the model"
    text.append(f"{default}{f', except {changed}' if changed else ''}.")
    text += [_drawn(post, known), *_checks(known)]
    return " ".join(text)


def _versions(versions: dict[str, str]) -> str:
    named = [f"{name} {versions[name]}" for name in ("numpyro", "jax", "arviz") if name in versions]
    return f" ({', '.join(named)})" if named else ""


def _likelihoods(tasks: list[Task]) -> list[str]:
    """A sentence for the tasks of each likelihood and formula."""
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        groups.setdefault((said("likelihoods", task.likelihood), task.formula or "1"), []).append(task)
    return [
        f"{joined([task.name for task in own], most=8)}: {kind}{_cited('likelihoods', own[0].likelihood)}, "
        f"with the formula {formula}."
        for (kind, formula), own in groups.items()
    ]


def _part(noun: str, role: str, part: parts.Part) -> str:
    """What one part is, as its manual says it."""
    text = f"{noun}: {part['kind']}{_cited(role, part)}"
    words = summary(role, part).rstrip(".").replace("``", "")
    return f"{text}: {words[0].lower()}{words[1:]}." if words else f"{text}."


def _cited(role: str, part: parts.Part) -> str:
    return _authors(works(role, part["kind"]))


def _drawn(post: xr.DataTree, known: Answers) -> str:
    """The sampler, and how its draws were judged."""
    engine, sizes = str(post.attrs["engine"]).partition(",")[0], post.posterior.sizes
    text = f"The posterior was drawn by {engine}{_authors(works('engines', engine))}"
    seed, intervals = f"seed {post.attrs['seed']}", f"Intervals hold {100 * PROB:.0f}% of the posterior."
    if approximate(post):
        return (
            f"{text}, an approximation with a Pareto k of {post.attrs['pareto_k']:.2f} ({seed}). {intervals}"
        )
    text += f", in {sizes['chain']} chains of {sizes['draw']:,} draws after warm-up ({seed})"
    mixed = known.convergence
    if len(mixed):
        least = np.nanmin(mixed[["ess_bulk", "ess_tail"]].to_numpy())
        authors = _authors(works("reports", "diagnostics"), "Gelman, Simpson")
        text += f"; R-hat{authors} was at most {mixed['rhat'].max():.3f}"
        text += f", and no parameter had less than {least:,.0f} effective draws"
    if "sample_stats" in post and "diverging" in post["sample_stats"]:
        lost = int(post["sample_stats"]["diverging"].sum())
        text += f"; {count(lost, 'trajectory', 'trajectories')} diverged"
    return f"{text}. {intervals}"


def _checks(known: Answers) -> Iterator[str]:
    """How sharing was judged, and what a graph was used for."""
    for question in questions(known):
        yield f"{_WORDS[question.__name__]}{_authors(works_of(question))}."


def works_of(question: Callable[..., Any]) -> list[str]:
    """The works that a question comes from."""
    return parts.Manual(inspect.getdoc(question) or "", {}).references


def _authors(listed: list[str], only: str = "") -> str:
    """The authors and years of some works."""
    matches = (re.match(r"(.+?) \((\d{4})\)", text) for text in listed if only in text)
    named = [f"{found[1]}, {found[2]}" for found in matches if found]
    return f" ({'; '.join(named)})" if named else ""
