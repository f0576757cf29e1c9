"""Models as text: what is fitted, and every prior in the user's units."""

from collections.abc import Sequence
from textwrap import wrap

from bayesmtl import group_wording, table_files
from bayesmtl.design import Design
from bayesmtl.encoded import encode
from bayesmtl.spec import Model, Task
from bayesmtl.wording import prior_rows, prior_text, said, summary, tempering

WIDTH = 100
MOST = 12  # tasks that get a line each; of more only the first few
FEW = 5
LONGEST = 32  # of a name

SHARED = (("relation", "relations"), ("shrinkage", "shrinkage"), ("residual", "residuals"))

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
        _missing_lines(design),
        _part_lines(model),
        [*_prior_lines(model, tasks, design), *more, *_shared_lines(model)],
        _group_lines(model, tasks, design),
        _own_lines(model),
        [*_weight_lines(tasks, design), *more] if design and len(design.feature) else [],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _design(model: Model) -> Design | None:
    """The model on its own table; None when there is none, or the two don't fit."""
    if "table" not in model.data:
        return None
    try:
        return encode(model, table_files.read(model.data["table"], model.folder))
    except (ValueError, LookupError, TypeError):  # check says what is wrong, a description doesn't
        return None


def _outline(model: Model, tasks: list[Task], design: Design | None) -> list[str]:
    """How the table holds the tasks; tasks as rows have one formula and one likelihood."""
    if not model.as_rows:
        return [f"Tasks: {len(tasks)}, a column each"]
    number = f"{len(tasks)}, " if design else ""
    formula = f"{tasks[0].column} ~ {tasks[0].formula or '1'}"
    kind = ", ".join(filter(None, [said("likelihoods", tasks[0].likelihood), tempering(tasks[0])]))
    text = f"Tasks: {number}one per {model.tasks['by']}, each {formula}, {kind}"
    return wrap(text, WIDTH, subsequent_indent=" " * 7)


def _task_lines(model: Model, tasks: list[Task], design: Design | None) -> list[str]:
    """A line for each task: its formula, its likelihood, its cells; long formulae stand below."""
    formulae = [f"~ {task.formula or '1'}" for task in tasks]
    rows = [[_name(t.name), said("likelihoods", t.likelihood), tempering(t)] for t in tasks]
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


def _missing_lines(design: Design | None) -> list[str]:
    """What is imputed of the predictors, and how."""
    if not design or design.gaps is None:
        return []
    imputation = design.gaps.imputation
    ways = (("drawn", imputation.drawn), ("summed out", imputation.levels))
    text = "; ".join(f"{', '.join(names)} {way}" for way, names in ways if names)
    given = f", given {', '.join(imputation.given)}" if imputation.given else ""
    return wrap(f"Missing predictors are imputed: {text}{given}.", WIDTH, subsequent_indent="  ")


def _part_lines(model: Model) -> list[str]:
    """The relation, the shrinkage, the residual and the engine: what the user set, what they mean."""
    lines = []
    for noun, role in (*SHARED, ("engine", "engines")):
        part = getattr(model, noun)
        if part["kind"] == "independent" and noun == "residual":
            continue
        text = f"{noun.capitalize() + ':':<10} {said(role, part)}. {summary(role, part)}"
        lines += wrap(text, WIDTH, subsequent_indent=" " * 11)
    return lines


def _prior_lines(model: Model, tasks: list[Task], design: Design | None) -> list[str]:
    """The priors of each task's own parameters, in the units of its response."""
    told = {}
    for task in tasks:
        scale = design.unit(task.name) if design else None
        told[task.name] = dict(prior_rows("likelihoods", task.likelihood, scale, model.priors, task.name))
    names = list(dict.fromkeys(name for own in told.values() for name in own))
    if not names:
        return []
    rows = [
        ["", *names],
        *([_name(n), *(own.get(p, "") for p in names)] for n, own in told.items()),
    ]
    note = "" if design else "; centre and unit are the mean and sd of the response"
    if {"offset", "cut"} & set(names):
        note += "; an offset or a cut is that of a row whose predictors are at their means"
    return [*wrap(f"Priors{note}", WIDTH), *_blocks(rows)]


def _shared_lines(model: Model) -> list[str]:
    """The priors of what the tasks share."""
    rows = []
    for noun, role in SHARED:
        rows += [[noun, *pair] for pair in prior_rows(role, getattr(model, noun), (0.0, 1.0), model.priors)]
    return ["Priors of what the tasks share", *_columns(rows)] if rows else []


def _group_lines(model: Model, tasks: list[Task], design: Design | None) -> list[str]:
    """The group effects and their priors."""
    if not design:
        grouped = any("|" in (task.formula or "") for task in tasks)
        rows = [[name, prior_text(value, over, None)] for name, value, over in group_wording.defaults()]
        return ["Priors of group effects", *_columns(rows)] if grouped else []
    lines = []
    for grouping in design.groups:
        lines += wrap(group_wording.outline(grouping, design.line.labels), WIDTH, subsequent_indent="  ")
        lines += _blocks(group_wording.sd_rows(grouping, design, model.priors, FEW))
        lines += _columns(group_wording.other_rows(grouping, model.priors))
    return lines


def _own_lines(model: Model) -> list[str]:
    """What the user set one by one; the words centre and unit are of the task concerned."""
    rows = [
        [key, value if isinstance(value, str) else f"fixed at {value:g}"]
        for key, value in model.priors.items()
    ]
    return ["Priors that the model file sets one by one", *_columns(rows)] if rows else []


def _weight_lines(tasks: list[Task], design: Design) -> list[str]:
    """What a scale of 1 means: the prior sd of each weight, in units of the response."""
    head = "Prior sd of a weight whose scale is 1: of the linear predictor per unit of the predictor"
    rows: list[Row] = [["", *map(_name, design.feature.labels)]]
    names = [design.task.labels[k] for k in design.owner]
    shown = {task.name for task in tasks}
    for label, name, uses in zip(design.line.labels, names, design.uses, strict=True):
        if name in shown:
            unit = design.unit(name)[1]
            sds = [f"{unit / sd:.4g}" if used else "" for sd, used in zip(design.sd, uses, strict=True)]
            rows.append([_name(label), *sds])
    return [head, *_blocks(rows)]


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
