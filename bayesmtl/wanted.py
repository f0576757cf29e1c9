"""What a model file asks of a table: its outcomes, and the columns that it names."""

from collections.abc import Iterable, Iterator, Mapping

from bayesmtl import conflicts, parts
from bayesmtl.errors import Finding, unknown
from bayesmtl.spec import Model, Task
from bayesmtl.terms import mentioned


def place(model: Model, task: Task) -> str:
    """Where the predictors of a task stand in the model file."""
    own = model.tasks if model.as_rows else model.tasks[task.name]
    if not isinstance(own, str) and "formula" in own:
        return "tasks.formula" if model.as_rows else f"tasks.{task.name}.formula"
    return "dag" if model.formula is None else "formula"


def outcomes(model: Model) -> list[Task]:
    """The tasks as far as the file tells them: tasks as rows are one outcome."""
    return model.listed_tasks([model.tasks["outcome"]] if model.as_rows else None)


def owned(model: Model, tables: Iterable[str], where: str) -> Iterator[Finding]:
    """Tasks without one of the tables of single tasks, and tables without a task."""
    tables = list(tables)
    for name in tables:
        if name not in model.tasks:
            yield unknown(where, "task", name, model.tasks)
    for name in model.tasks:
        if name not in tables:
            yield Finding(f"tasks.{name}", "has no table.", f"Give it one of its own in {where}.")


def lacking(model: Model, known: Mapping[str, list[str]]) -> Iterator[Finding]:
    """The columns that the model names and a table does not have.

    ``known`` are the columns of each task's own table, or under ``""`` those of the whole one.
    """
    wanted: dict[tuple[str, str], Finding] = {}
    every = list(dict.fromkeys(name for columns in known.values() for name in columns))
    for task, where, name in _wanted(model):
        own = known.get(task, every)
        if name in own:
            continue
        if where == "dag":
            if any(name == missing for missing, _ in wanted):
                continue
            finding = unknown(where, "column", name, own)
            remedy = f'{finding.remedy} If no table has it, write "latent: {name}".'
            finding = Finding(where, finding.problem, remedy)
        else:
            noun = f"column in the table of {task}" if task and task in known else "column"
            finding = unknown(where, noun, name, own)
        wanted.setdefault((name, task if task in known else ""), finding)
    yield from wanted.values()


def _wanted(model: Model) -> Iterator[tuple[str, str, str]]:
    """Every column that the model names: whose it is, where, and the column."""
    tasks = outcomes(model)
    if model.as_rows:
        yield from (("", f"tasks.{key}", model.tasks[key]) for key in ("by", "outcome"))
    else:
        for task in tasks:
            names = task.soft or [task.column]
            yield from ((task.name, f"tasks.{task.name}", name) for name in names)
    for task in tasks if "units" in model.data else ():
        yield task.name, "data.units", model.data["units"]
    for task in tasks:
        for where, name in _mentioned(model, task):
            yield task.name, where, name
    yield from (("", "dag", name) for name in sorted(model.dag.measured))


def _mentioned(model: Model, task: Task) -> Iterator[tuple[str, str]]:
    """The columns that a task's formula, its likelihood's options and its weights name."""
    own = "tasks" if model.as_rows else f"tasks.{task.name}"
    for name in mentioned(task.formula or ""):
        if name not in model.dag.latent | model.dag.selected:
            yield place(model, task), name
    if not parts.faults("likelihoods", task.likelihood, ""):
        for where, part in conflicts.nested("likelihoods", task.likelihood, own):
            for name, option in parts.manual("likelihoods", part["kind"]).options.items():
                value = part.get(name, option.default)
                if option.kind == "Column" and isinstance(value, str):
                    yield f"{where}.{name}", value
                elif option.kind.startswith("Scale") and isinstance(value, Mapping):
                    yield from ((f"{where}.{name}.formula", n) for n in mentioned(value["formula"]))
    if task.weights:
        yield f"{own}.weights", task.weights
