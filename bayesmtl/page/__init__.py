"""One page that answers: the verdict, the graph, the weights, and whether to trust them."""

import json
import warnings
from typing import Any, Literal

import jinja2
import pandas as pd
import xarray as xr

from bayesmtl.errors import Finding, ModelError
from bayesmtl.page import effects, figures, gain, gallery, groups, methods, prior, sources, tables
from bayesmtl.page.asked import Answers, answers
from bayesmtl.page.figures import PROB
from bayesmtl.page.numbers import joined
from bayesmtl.page.record import record
from bayesmtl.page.verdict import verdicts
from bayesmtl.reports.diagnostics import approximate
from bayesmtl.reports.weights import tempered
from bayesmtl.spec import Model

SHOWN = 6  # parameters whose mixing is drawn
KEY = ("share", "scale", "task_correlation", "weight", "sigma")  # of each one, the worst is drawn


def report(
    post: xr.DataTree,
    known: Answers | None = None,
    *,
    table: Any = None,
    form: Literal["html", "markdown"] = "html",
) -> str:
    """Everything about a posterior as one page.

    Parameters
    ----------
    post
        A posterior.
    known
        Its answers, when they have been asked already.
    table
        What it was fitted to. With it the page says what each task gained by sharing, for which the tasks are
        fitted without each other; what interventions do; and whether the table contradicts the graph.
    form
        "html" is a page that works without a network, with pictures, tables that can be sorted, and all
        answers as JSON in its element ``answers``. "markdown" has the same words and tables.

    Returns
    -------
    str
        The text of the page.

    Examples
    --------
    >>> Path("election.html").write_text(report(post, table=table))  # doctest: +SKIP
    """
    known = known or answers(post, table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of what a task does not have, which is nan
        said = verdicts(post, known)
        shown = _worst(known.convergence)
        told = _tables(post, known, shown)
        pictures: dict[str, Any] = {}
        if form == "html":
            with figures.offscreen():
                pictures = gallery.pictures(post, known, list(shown.index))
    return _template(form).render(
        verdicts=said,
        pictures=pictures,
        tables=told,
        percent=round(100 * PROB),
        record=record(post, known, said) if form == "html" else "",
        **_words(post, known),
    )


def _template(form: str) -> jinja2.Template:
    name = {"html": "page.html.j2", "markdown": "page.md.j2"}
    if form not in name:
        raise ModelError(Finding("form", f"is {form!r}.", f"Take one of {', '.join(name)}."))
    return jinja2.Environment(
        loader=jinja2.PackageLoader("bayesmtl", "page"),
        autoescape=form == "html",
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    ).get_template(name[form])


def _worst(mixed: pd.DataFrame) -> pd.DataFrame:
    """The parameters whose mixing is shown: the worst two, and the worst of each key variable."""
    names = list(mixed.index)
    of_key = [next((n for n in names if n.partition("[")[0] == key), None) for key in KEY]
    picked = dict.fromkeys([*names[:2], *filter(None, of_key), *names])
    return mixed.loc[list(picked)[:SHOWN]]


def _tables(post: xr.DataTree, known: Answers, shown: pd.DataFrame) -> dict[str, Any]:
    return {
        "weights": tables.task_weights(known.weights),
        "coefficients": tables.coefficients(post) if "weight" in post.posterior else None,
        "effects": None if known.effects is None else effects.table_of(known.effects),
        "sensitivity": tables.sensitivity(known.sensitivity),
        "gain": None if known.transfer is None else gain.table_of(known.transfer),
        "sharing": tables.sharing(post),
        "in_common": tables.in_common(known.in_common),
        "groups": groups.tables_of(post),
        "prior": prior.tables_of(post),
        "failures": tables.failures(known.diagnostics),
        "mixing": tables.convergence(shown),
        "tasks": tables.tasks(post),
        "features": tables.features(post),
    }


def _words(post: xr.DataTree, known: Answers) -> dict[str, Any]:
    """The text of a page."""
    model, graph = sources.model_of(post), known.causal
    of_graph = [vars(finding) for finding in graph.findings] if graph else []
    found = [each for each in json.loads(post.attrs.get("findings", "[]")) if each not in of_graph]
    seconds = json.loads(post.attrs.get("seconds", "{}"))
    sizes = post.posterior.sizes
    chains = "" if approximate(post) else f"{sizes['chain']} chains of "
    return {
        "name": model.name,
        "doc": model.doc,
        "causal": graph,
        "untold": known.untold,
        "findings": sorted(found, key=lambda each: each["level"], reverse=True),
        "links": _links(post, model),
        "one_unit": gallery.one_unit(post),
        "graded": "cut" in post.posterior,
        "tempered": joined([str(n) for n in post.constant_data.task.values[tempered(post)]]),
        "levels": groups.outline(post),
        "description": post.attrs.get("description", ""),
        "methods": methods.paragraph(post, known),
        "origin": {
            "created": post.attrs.get("created_at", ""),
            "seed": post.attrs.get("seed", ""),
            "draws": f"{chains}{sizes['draw']:,} draws, by {post.attrs['engine']}",
            "time": ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items()),
            "versions": json.loads(post.attrs.get("versions", "{}")),
        },
        "references": sources.references(post, methods.cited(known)),
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
