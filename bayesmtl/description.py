"""Models as text: what is fitted, and every prior in the user's units."""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap

from bayesmtl import parts, priors, tables
from bayesmtl.design import Design, encode
from bayesmtl.errors import ModelError
from bayesmtl.parts import Option, Part
from bayesmtl.spec import Model, Task

WIDTH = 100
MOST = 12  # tasks that get a line each; of more only the first few
FEW = 5
LONGEST = 32  # of a name

Row = Sequence[str]


def describe(model: Model, design: Design | None = None) -> str:
    """Say what a model is: its tasks, its parts, and its priors.

    When the table that the model file names can be read, its cells are counted and the priors
    stand in the units of its columns; otherwise ``centre`` and ``unit`` are the mean and the
    standard deviation of a task's response.
    """
    design = design or _design(model)
    # without a table, one task stands for all the tasks that are rows
    every = model.listed_tasks(list(design.task.labels) if design else [f"each {model.tasks.get('by')}"])
    tasks = every if len(every) <= MOST else every[:FEW]
    more = [f"  and {len(every) - len(tasks)} more tasks"] if len(every) > len(tasks) else []
    sections = [
        [model.name, *wrap(model.doc, WIDTH)],
        [*_outline(model, every, design), *_task_lines(model, tasks, design), *more],
        _part_lines(model),
        [*_prior_lines(tasks, design), *more, *_shared_lines(model)],
        [*_weight_lines(tasks, design), *more] if design and len(design.feature) else [],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _design(model: Model) -> Design | None:
    """The model on its own table; None when there is none, or the two don't fit."""
    if "table" not in model.data:
        return None
    try:
        return encode(model, tables.read(model.folder / model.data["table"]))
    except (ValueError, LookupError, TypeError):  # check says what is wrong, a description doesn't
        return None


def _outline(model: Model, tasks: list[Task], design: Design | None) -> list[str]:
    """How the table holds the tasks; tasks as rows have one formula and one likelihood."""
    if not model.as_rows:
        return [f"Tasks: {len(tasks)}, a column each"]
    number = f"{len(tasks)}, " if design else ""
    said = f"{tasks[0].column} ~ {tasks[0].formula or '1'}"
    kind = _said("likelihoods", tasks[0].likelihood)
    text = f"Tasks: {number}one per {model.tasks['by']}, each {said}, {kind}"
    return wrap(text, WIDTH, subsequent_indent=" " * 7)


def _task_lines(model: Model, tasks: list[Task], design: Design | None) -> list[str]:
    """A line for each task: its formula, its likelihood, its cells; long formulae stand below."""
    formulae = [f"~ {task.formula or '1'}" for task in tasks]
    rows = [[_name(task.name), _said("likelihoods", task.likelihood)] for task in tasks]
    if model.as_rows:
        formulae, rows = [""] * len(tasks), [[row[0]] for row in rows]
    if design:
        counts = zip(design.cells.values(), design.empty, strict=True)
        for row, (cells, empty) in zip(rows, counts, strict=False):
            row += [f"{cells:,} cells", f"{empty:,} empty" if empty else ""]
    beside = _columns([[row[0], f, *row[1:]] for row, f in zip(rows, formulae, strict=True)])
    if max(map(len, beside)) <= WIDTH:
        return beside
    lines = []
    for line, formula in zip(_columns(rows), formulae, strict=True):
        lines += [line, *wrap(formula, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 8)]
    return lines


def _part_lines(model: Model) -> list[str]:
    """The relation, the shrinkage and the engine, with what the user set and what they mean."""
    lines = []
    for noun, role in (
        ("relation", "relations"),
        ("shrinkage", "shrinkage"),
        ("engine", "engines"),
    ):
        part = getattr(model, noun)
        text = f"{noun.capitalize() + ':':<10} {_said(role, part)}. {_summary(role, part)}"
        lines += wrap(text, WIDTH, subsequent_indent=" " * 11)
    return lines


def _prior_lines(tasks: list[Task], design: Design | None) -> list[str]:
    """The priors of each task's own parameters, in the units of its response."""
    said = {}
    for task in tasks:
        scale = design.unit(task.name) if design else None
        said[task.name] = dict(_priors("likelihoods", task.likelihood, scale))
    names = list(dict.fromkeys(name for own in said.values() for name in own))
    if not names:
        return []
    rows = [
        ["", *names],
        *([_name(n), *(own.get(p, "") for p in names)] for n, own in said.items()),
    ]
    note = "" if design else "; centre and unit are the mean and sd of the response"
    if {"offset", "cut"} & set(names):
        note += "; an offset or a cut is that of a row whose predictors are at their means"
    return [*wrap(f"Priors{note}", WIDTH), *_blocks(rows)]


def _shared_lines(model: Model) -> list[str]:
    """The priors of what the tasks share."""
    rows = []
    for noun, role in (("relation", "relations"), ("shrinkage", "shrinkage")):
        rows += [[noun, *pair] for pair in _priors(role, getattr(model, noun), (0.0, 1.0))]
    return ["Priors of what the tasks share", *_columns(rows)] if rows else []


def _weight_lines(tasks: list[Task], design: Design) -> list[str]:
    """What a scale of 1 means: the prior sd of each weight, in units of the response."""
    head = "Prior sd of a weight whose scale is 1: of the linear predictor per unit of the predictor"
    rows: list[Row] = [["", *map(_name, design.feature.labels)]]
    for task, uses in zip(tasks, design.uses, strict=False):
        unit = design.unit(task.name)[1]
        sds = [f"{unit / sd:.4g}" if used else "" for sd, used in zip(design.sd, uses, strict=True)]
        rows.append([_name(task.name), *sds])
    return [head, *_blocks(rows)]


def _said(role: str, part: Part) -> str:
    """A part with its link and what the user set; priors stand in a section of their own."""
    known = _options(role, part)
    said = [str(part.get("link", known["link"].default))] if "link" in known else []
    for name, value in part.items():
        if name in ("kind", "link") or (name in known and known[name].kind in priors.SUPPORTS):
            continue
        if name not in known or value != known[name].default:
            said.append(f"{name} = {value}")
    return f"{part['kind']} ({', '.join(said)})" if said else str(part["kind"])


def _options(role: str, part: Part) -> Mapping[str, Option]:
    """The options of a part; none when there is no such part, which is for check to say."""
    try:
        return parts.manual(role, part["kind"]).options
    except (ModelError, OSError, SyntaxError):
        return {}


def _summary(role: str, part: Part) -> str:
    try:
        return parts.manual(role, part["kind"]).summary
    except (ModelError, OSError, SyntaxError):
        return "There is no such part."


def _priors(role: str, part: Part, scale: tuple[float, float] | None) -> Iterator[tuple[str, str]]:
    """Each parameter of a part with its prior, with the numbers of centre and unit when known."""
    for name, option in _options(role, part).items():
        if option.kind not in priors.SUPPORTS:
            continue
        value = part.get(name, option.default)
        try:
            prior = priors.read(value, name, option.kind)
        except ModelError:
            yield name, str(value)
            continue
        if isinstance(prior, float):
            yield name, f"fixed at {prior:g}"
        else:
            yield name, prior.text(*scale) if scale else str(prior)


def _name(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 3] + "..."


def _columns(rows: Sequence[Row]) -> list[str]:
    """Rows as aligned lines; columns that hold numbers stand on the right."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = [all(not cell or cell[0].isdigit() for cell in column) for column in zip(*rows[1:])]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if k and right and right[k] else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
            if width
        ]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return lines


def _blocks(rows: Sequence[Row]) -> list[str]:
    """A table as R prints it: columns that don't fit beside the first ones stand below them."""
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    lines, start = [], 1
    while start < len(widths):
        stop = start + 1
        while stop < len(widths) and widths[0] + sum(widths[start : stop + 1]) <= WIDTH:
            stop += 1
        lines += _columns([[row[0], *row[start:stop]] for row in rows])
        start = stop
    return lines
