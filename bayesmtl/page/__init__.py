"""One page that answers: the verdict, the graph, the weights, and whether to trust them."""

import json
import warnings
from typing import Any

import jinja2
import pandas as pd
import xarray as xr

from bayesmtl.errors import ModelError
from bayesmtl.page import causal, figures, gallery, groups, prior, sources, tables
from bayesmtl.page.figures import PROB
from bayesmtl.page.numbers import joined
from bayesmtl.page.verdict import Answers, answers, verdicts
from bayesmtl.reports.diagnostics import approximate
from bayesmtl.reports.weights import tempered
from bayesmtl.spec import Model

SHOWN = 6  # parameters whose mixing is drawn
KEY = ("share", "scale", "task_correlation", "weight", "sigma")  # of each one, the worst is drawn


def report(post: xr.DataTree, known: Answers | None = None, *, table: Any = None) -> str:
    """Everything about a posterior as one HTML page that works without a network.

    Parameters
    ----------
    post
        A posterior.
    known
        Its answers, when they have been asked already.
    table
        What it was fitted to, in which the page then tests what the causal graph implies.

    Examples
    --------
    >>> Path("election.html").write_text(report(post))  # doctest: +SKIP
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of what a task does not have, which is nan
        known = known or answers(post)
        said = verdicts(post, known)
        shown = _worst(known.convergence)
        with figures.offscreen():
            drawn = gallery.pictures(post, known.diagnostics, list(shown.index))
        told = _tables(post, known.weights, known.diagnostics, shown)
    return _template().render(
        verdicts=said, pictures=drawn, tables=told, percent=round(100 * PROB), **_words(post, table)
    )


def _template() -> jinja2.Template:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("bayesmtl", "page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    ).get_template("page.html.j2")


def _worst(mixed: pd.DataFrame) -> pd.DataFrame:
    """The parameters whose mixing is shown: the worst two, and the worst of each key variable."""
    names = list(mixed.index)
    of_key = [next((n for n in names if n.partition("[")[0] == key), None) for key in KEY]
    picked = dict.fromkeys([*names[:2], *filter(None, of_key), *names])
    return mixed.loc[list(picked)[:SHOWN]]


def _tables(
    post: xr.DataTree, weighed: pd.DataFrame, failed: pd.DataFrame, shown: pd.DataFrame
) -> dict[str, Any]:
    return {
        "weights": tables.task_weights(weighed),
        "coefficients": tables.coefficients(post) if "weight" in post.posterior else None,
        "sharing": tables.sharing(post),
        "groups": groups.tables_of(post),
        "prior": prior.tables_of(post),
        "failures": tables.failures(failed),
        "mixing": tables.convergence(shown),
        "tasks": tables.tasks(post),
        "features": tables.features(post),
    }


def _words(post: xr.DataTree, table: Any) -> dict[str, Any]:
    """The text of a page."""
    model = sources.model_of(post)
    graph = causal.told(model, table)
    of_graph = [vars(finding) for finding in graph.findings] if graph else []
    found = [each for each in json.loads(post.attrs.get("findings", "[]")) if each not in of_graph]
    seconds = json.loads(post.attrs.get("seconds", "{}"))
    sizes = post.posterior.sizes
    chains = "" if approximate(post) else f"{sizes['chain']} chains of "
    return {
        "name": model.name,
        "doc": model.doc,
        "causal": graph,
        "findings": sorted(found, key=lambda each: each["level"], reverse=True),
        "links": _links(post, model),
        "one_unit": gallery.one_unit(post),
        "graded": "cut" in post.posterior,
        "tempered": joined([str(n) for n in post.constant_data.task.values[tempered(post)]]),
        "levels": groups.outline(post),
        "description": post.attrs.get("description", ""),
        "origin": {
            "created": post.attrs.get("created_at", ""),
            "seed": post.attrs.get("seed", ""),
            "draws": f"{chains}{sizes['draw']:,} draws, by {post.attrs['engine']}",
            "time": ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items()),
            "versions": json.loads(post.attrs.get("versions", "{}")),
        },
        "references": sources.references(post),
    }


def _links(post: xr.DataTree, model: Model) -> list[tuple[str, str]]:
    """What a weight adds to, for each task that says it."""
    words = {
        "identity": "the response, in its own units",
        "logit": "log odds",
        "probit": "a normal score",
        "log": "the logarithm of the rate",
    }
    tasks = [str(name) for name in post.constant_data.task.values]
    found: dict[str, list[str]] = {}
    for name in tasks:
        try:
            found.setdefault(sources.link(model, tasks, name), []).append(name)
        except ModelError:
            continue
    return [
        (words.get(link, link), "every task" if len(names) == len(tasks) else joined(names, most=8))
        for link, names in found.items()
        if link
    ]
