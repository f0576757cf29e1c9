"""Parts and priors in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from bayesmtl import parts, priors
from bayesmtl.axes import Axis
from bayesmtl.errors import ModelError
from bayesmtl.matching import governed
from bayesmtl.parts import Option, Part
from bayesmtl.spec import Task

Scale = tuple[float, float] | None  # centre and unit of a response, when they are known
_INNER = {"Likelihood": "likelihoods", "Relations": "relations"}  # options that are parts


def said(role: str, part: Part) -> str:
    """A part with its link and what the user set; priors stand in a section of their own."""
    known = options(role, part)
    words = [str(part.get("link", known["link"].default))] if "link" in known else []
    for name, value in part.items():
        kind = known[name].kind if name in known else ""
        if name in ("kind", "link") or (support(kind) and not isinstance(value, Mapping)):
            continue
        if kind in _INNER:
            continue
        if name not in known or value != known[name].default:
            words.append(f"{name} = {_value(value)}")
    inside = [said(*inner) for inner in inner_parts(role, part)]
    head = str(part["kind"]) + (f" of {' and '.join(inside)}" if inside else "")
    return f"{head} ({', '.join(words)})" if words else head


def tempering(task: Task) -> str:
    """What tempers a task's likelihood; empty when nothing does."""
    words = [f"importance {task.importance:g}"] if task.importance != 1 else []
    words += [f"weights {task.weights}"] if task.weights else []
    return f"tempered: {', '.join(words)}" if words else ""


def options(role: str, part: Part) -> Mapping[str, Option]:
    """The options of a part; none when there is no such part, which is for check to say."""
    try:
        return parts.manual(role, part["kind"]).options
    except (ModelError, OSError, SyntaxError):
        return {}


def summary(role: str, part: Part) -> str:
    """The first sentence of a part's manual."""
    try:
        return parts.manual(role, part["kind"]).summary
    except (ModelError, OSError, SyntaxError):
        return "There is no such part."


def prior_rows(
    role: str, part: Part, scale: Scale, given: Mapping[str, Any], task: str = ""
) -> Iterator[tuple[str, str]]:
    """Each parameter of a part with its prior, with the numbers of centre and unit when known.

    What ``[priors]`` says of the whole parameter, or of a task's, takes the place of the part's own.
    """
    axes = (Axis("task", (task,)),) if task else ()
    for name, option in options(role, part).items():
        if over := support(option.kind):
            try:
                own = governed(given, name, axes, over)
            except ModelError:
                own = []
            value = own[0].prior if own and own[0].where.all() else part.get(name, option.default)
            yield name, prior_text(value, over, scale)
    for where, inner in inner_parts(role, part):
        yield from prior_rows(where, inner, scale, given, task)


def prior_text(value: Any, over: str, scale: Scale) -> str:
    """A prior in the user's units, the number at which a parameter is fixed, or a word for a scale."""
    if isinstance(value, Mapping):
        return f"log scale ~ {value.get('formula', '')}"
    if value == "pooled":
        return "pooled over tasks"
    if value == "marginal":
        return "integrated out"
    if value is None:
        return ""
    try:
        prior = value if isinstance(value, priors.Prior) else priors.read(value, "prior", over)
    except ModelError:
        return str(value)
    if isinstance(prior, float):
        return f"fixed at {prior:g}"
    return prior.text(*scale) if scale else str(prior)


def support(kind: str) -> str:
    """What an option's prior is over; empty when it is no prior."""
    first = kind.partition(" | ")[0]
    return "Positive" if first == "Scale" else first if first in priors.SUPPORTS else ""


def inner_parts(role: str, part: Part) -> Iterator[tuple[str, Part]]:
    """The role and the table of each part inside a part."""
    for name, option in options(role, part).items():
        if option.kind in _INNER:
            value = part.get(name, option.default)
            for inner in value if isinstance(value, list | tuple) else [value]:
                table = parts.table(inner) if inner else {}
                if isinstance(table, Mapping) and "kind" in table:
                    yield _INNER[option.kind], table


def _value(value: Any) -> str:
    """A setting as it stands in a file."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {inner}" for key, inner in value.items())
    return str(value)
