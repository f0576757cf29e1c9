"""What a posterior says, in plain sentences."""

import json

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.page import gain
from bayesmtl.page.asked import Answers
from bayesmtl.page.figures import PROB
from bayesmtl.page.numbers import APOSTROPHE, called, count, estimate, joined, percent, plain
from bayesmtl.page.plots import quantiles
from bayesmtl.parts import manual
from bayesmtl.reports.diagnostics import approximate
from bayesmtl.reports.weights import shares, tempered
from bayesmtl.spec import Model

SURE = 0.95  # the probability from which a task is said to weigh most


def verdicts(post: xr.DataTree, known: Answers) -> list[str]:
    r"""What was asked, what can be trusted, and what each task gained or lost; a sentence or two each.

    Examples
    --------
    >>> print(*verdicts(post, answers(post)), sep="\n")  # doctest: +SKIP
    """
    said = [_asked(post, known.weights), _approximate(post), _trust(known.diagnostics, known.convergence)]
    said += [_tempered(post), _checked(post)]
    said += [gain.verdict(known.transfer) if known.transfer is not None else ""]
    said += [_weighs(post, known.weights), _found(post), _shared(post)]
    said += [known.causal.verdict if known.causal and known.causal.contradicted else ""]
    return [sentence.replace("'", APOSTROPHE) for sentence in said if sentence]


def _asked(post: xr.DataTree, weighed: pd.DataFrame) -> str:
    model = Model.read(json.loads(post.attrs["model"]))
    features = [str(name) for name in post.constant_data.feature.values]
    cells, empty = int(weighed["cells"].sum()), int(weighed["empty"].sum())
    kind = model.relation["kind"]
    text = (
        f"{count(len(weighed), 'task')} ({joined(list(weighed.index))}) were fitted jointly to "
        f"{count(cells, 'cell')}, with "
        + (f"{joined(features)} as predictors" if features else "no predictors")
        + f" and the relation “{kind}”"
    )
    try:
        meaning = manual("relations", kind).summary.rstrip(".")
        text += f" ({meaning[0].lower()}{meaning[1:]})"
    except ValueError:  # the author's own part isn't at hand
        pass
    return f"{text}." + (f" {count(empty, 'empty cell')} took no part." if empty else "")


def _approximate(post: xr.DataTree) -> str:
    if not approximate(post):
        return ""
    k, effective = post.attrs["pareto_k"], post.attrs["effective"]
    how = "draws were weighted towards new rows" if "updates" in post.attrs else "no Markov chain was run"
    return (
        f"These answers are approximate: {how}. The Pareto k of the approximation is "
        f"{k:.2f} (up to 0.7 it can be trusted), and its draws are worth {effective:,.0f} independent ones."
    )


def _trust(failures: pd.DataFrame, mixed: pd.DataFrame) -> str:
    if len(failures):
        worst = failures.iloc[0]
        number = "one failure" if len(failures) == 1 else f"{len(failures)} failures, the first"
        return (
            f"Read the answers with care: the diagnostics report {number} of {worst['where']}: "
            f"{worst['problem'].rpartition(': ')[0] or worst['problem']}."  # the number's name is left out
        )
    said = "The diagnostics have nothing to report"
    if len(mixed):
        said += (
            f": the chains agree (R-hat at most {mixed['rhat'].max():.3f}), and every parameter "
            f"has at least {mixed[['ess_bulk', 'ess_tail']].min().min():,.0f} effective draws"
        )
    return f"{said}."


def _tempered(post: xr.DataTree) -> str:
    names = [str(name) for name in post.constant_data.task.values[tempered(post)]]
    if not names:
        return ""
    return (
        f"The likelihood of {joined(names)} is tempered by importance or row weights: its intervals are as "
        "wide as these make them."
    )


def _checked(post: xr.DataTree) -> str:
    levels = [finding["level"] for finding in json.loads(post.attrs.get("findings", "[]"))]
    grave = len(levels) - levels.count("note")
    if not grave:
        return "The checks before the fit found nothing that contradicts the model."
    return f"The checks before the fit left {count(grave, 'warning')}."


def _weighs(post: xr.DataTree, weighed: pd.DataFrame) -> str:
    if len(weighed) < 2:
        return ""
    drawn = shares(post).transpose("chain", "draw", "task").values.reshape(-1, len(weighed))
    first = np.nan_to_num(drawn).argmax(1)
    top = int(np.bincount(first, minlength=len(weighed)).argmax())
    sure, row = (first == top).mean(), weighed.iloc[top]
    share = percent(row["share"], row["share_low"], row["share_high"])
    name, interval = called(weighed.index[top]), f"{100 * PROB:.0f}% interval {share.interval}"
    if sure >= SURE:
        return (
            f"Of all tasks {name} weighs most: it holds {share.mean} of the information "
            f"({interval}), and so it shapes the most of what the tasks share."
        )
    return (
        f"No task clearly weighs most; {name} probably does, with {share.mean} of the information "
        f"({interval}; probability of the largest share {plain(float(sure), 2)})."
    )


def _found(post: xr.DataTree) -> str:
    if "weight" not in post.posterior or not post.posterior["weight"].size:
        return ""
    _, low, high = quantiles(post.posterior["weight"])
    known = np.isfinite(low.values)
    clear = ((low > 0) | (high < 0)).values & known
    return (
        f"Of {count(int(known.sum()), 'weight')}, {int(clear.sum()):,} have a {100 * PROB:.0f}% "
        "interval that leaves out zero."
    )


def _shared(post: xr.DataTree) -> str:
    if "share" not in post.posterior or post.posterior["share"].dims[2:] != ("feature",):
        return ""
    if not post.posterior.sizes["feature"] or post.constant_data.sizes["task"] < 2:
        return ""
    share = post.posterior["share"]
    mean, low, high = quantiles(share)
    if float((high - low).min()) > 0.75:
        return (
            "The data say little of how much the tasks have in common: the interval of every "
            "share covers most of what is possible."
        )
    most = int(mean.values.argmax())
    text = estimate(float(mean[most]), float(low[most]), float(high[most]))
    name = share.feature.values[most]
    return f"The tasks have most in common in {name}: a share of {text} of its weights' variance."
