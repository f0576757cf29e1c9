"""What a model is made of, and the works that its parts come from."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

import xarray as xr

from bayesmtl import parts
from bayesmtl.errors import ModelError
from bayesmtl.spec import Model
from bayesmtl.wording import inner_parts


def model_of(post: xr.DataTree) -> Model:
    """The model of a posterior, without the place of its table, which may be another by now."""
    model = Model.read(json.loads(post.attrs["model"]))
    return replace(model, data={k: v for k, v in model.data.items() if k != "table"})


def used(post: xr.DataTree) -> list[tuple[str, str]]:
    """The role and the name of every part behind a page, each once."""
    model = model_of(post)
    tasks = model.listed_tasks([str(name) for name in post.constant_data.task.values])
    found = [
        *_whole("relations", model.relation),
        *_whole("shrinkage", model.shrinkage),
        *(part for task in tasks for part in _whole("likelihoods", task.likelihood)),
        *([] if model.residual["kind"] == "independent" else _whole("residuals", model.residual)),
        ("engines", str(post.attrs["engine"]).partition(",")[0]),
        ("reports", "weights"),
        ("reports", "diagnostics"),
    ]
    return list(dict.fromkeys(found))


def _whole(role: str, part: parts.Part) -> Iterator[tuple[str, str]]:
    """A part and the parts inside it."""
    yield role, part["kind"]
    for inner in inner_parts(role, part):
        yield from _whole(*inner)


def works(role: str, name: str) -> list[str]:
    """The works that a part comes from; none of the author's own part that is not at hand."""
    try:
        return parts.manual(role, name).references
    except ModelError:
        return []


def references(post: xr.DataTree, more: Iterable[tuple[str, str]] = ()) -> list[tuple[str, str]]:
    """Every work once, with what refers to it: those of the model file, then of the parts, then more."""
    found: dict[str, list[str]] = {}
    for text, user in [*_cited(post), *more]:
        found.setdefault(text.replace("``", ""), []).append(user)
    return [(text, ", ".join(dict.fromkeys(users))) for text, users in found.items()]


def link(model: Model, tasks: list[str], name: str) -> str:
    """The link of a task's linear predictor; empty when its part doesn't say."""
    for task in model.listed_tasks(tasks):
        if task.name == name:
            try:
                known = parts.settings("likelihoods", task.likelihood)
            except ModelError:
                return ""
            return str(known.get("link", ""))
    return ""


def _cited(post: xr.DataTree) -> Iterator[tuple[str, str]]:
    for text in model_of(post).references:
        yield text, "the model file"
    for role, name in used(post):
        yield from ((text, f"{parts.SINGULAR[role]} {name}") for text in works(role, name))
