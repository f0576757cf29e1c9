"""What is wrong with a model; without a table that takes no JAX and no pandas."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bayesmtl import parts
from bayesmtl.errors import Finding, unknown
from bayesmtl.spec import Model, Task
from bayesmtl.terms import mentioned

if TYPE_CHECKING:
    import pandas as pd

_LEVELS = ("error", "warning", "note")


def check(model: Model, table: "pd.DataFrame | None" = None) -> list[Finding]:
    """Everything wrong with a model, and with a table if given: errors, then warnings, then notes.

    Examples
    --------
    >>> from bayesmtl import Model
    >>> model = Model(tasks={"vote": "bernouli"}, formula="age", dag="age -> vote -> age")
    >>> for finding in check(model):
    ...     print(finding)
    tasks.vote: no likelihood called "bernouli". Did you mean "bernoulli"?
    dag: has a cycle: age -> vote -> age. Remove one arrow.
    """
    found = [*_parts(model), *_graph(model)]
    if table is not None:
        from bayesmtl import columns  # pandas and JAX start here

        found += columns.faults(model, table)
    return sorted(dict.fromkeys(found), key=lambda finding: _LEVELS.index(finding.level))


def place(model: Model, task: Task) -> str:
    """Where the predictors of a task stand in the model file."""
    own = model.tasks if model.as_rows else model.tasks[task.name]
    if not isinstance(own, str) and "formula" in own:
        return "tasks.formula" if model.as_rows else f"tasks.{task.name}.formula"
    return "dag" if model.formula is None else "formula"


def outcomes(model: Model) -> list[Task]:
    """The tasks as far as the file tells them: tasks as rows are one outcome."""
    return model.listed_tasks([model.tasks["outcome"]] if model.as_rows else None)


def _parts(model: Model) -> Iterator[Finding]:
    yield from parts.faults("relations", model.relation, "relation")
    yield from parts.faults("shrinkage", model.shrinkage, "shrinkage")
    yield from parts.faults("engines", model.engine, "engine")
    for task in outcomes(model):
        where = "tasks" if model.as_rows else f"tasks.{task.name}"
        yield from parts.faults("likelihoods", task.likelihood, where)


def _graph(model: Model) -> Iterator[Finding]:
    if cycle := model.dag.cycle() if model.dag else None:
        yield Finding("dag", f"has a cycle: {' -> '.join(cycle)}.", "Remove one arrow.")
    for task in outcomes(model):
        yield from _task(model, task)
        if task.formula is not None:
            yield from _predictors(model, task)


def _task(model: Model, task: Task) -> Iterator[Finding]:
    """What a task lacks, in the model and in its graph."""
    where = "tasks" if model.as_rows else f"tasks.{task.name}"
    if task.column in model.dag.latent:
        remedy = f'Take "{task.column}" out of latent, or out of the tasks.'
        yield Finding(where, f'"{task.column}" is latent, and so not measured.', remedy)
    if task.formula is None:
        remedy = f'Write a formula, or draw its causes: "cause -> {task.column}".'
        yield Finding(where, "has no predictors: no formula, and no measured cause in dag.", remedy)
    elif model.dag and task.column not in model.dag.nodes:
        remedy = f'Draw its causes: "cause -> {task.column}".'
        yield Finding(where, f'"{task.column}" is not in the graph.', remedy, "warning")


def _predictors(model: Model, task: Task) -> Iterator[Finding]:
    """What a task's predictors are in the graph, and must not be."""
    where, dag = place(model, task), model.dag
    effects = dag.descendants([task.column]) if dag else frozenset()
    for name in mentioned(task.formula or ""):
        drop = f'Drop "{name}" from the formula'
        if name == task.column:
            yield Finding(where, f'task "{name}" predicts itself.', drop + " of that task.")
        elif name in dag.latent:
            problem = f'"{name}" is latent, and so not measured.'
            yield Finding(where, problem, drop + ", or from latent.")
        elif name in effects and task.column not in dag.descendants([name]):  # that is a cycle
            problem = f'"{name}" is an effect of task "{task.column}".'
            yield Finding(where, problem, drop + " of that task, or turn an arrow.")
        elif dag and name not in dag.nodes:
            remedy = "Draw its arrows: nothing can be checked of it."
            yield Finding(where, f'"{name}" is not in the graph.', remedy, "warning")


def lacking(model: Model, known: list[str]) -> Iterator[Finding]:
    """The columns that the model names and a table does not have."""
    wanted: dict[str, Finding] = {}
    if model.as_rows:
        keys = ("by", "outcome")
        named = [(f"tasks.{key}", model.tasks[key]) for key in keys]
    else:
        named = [(f"tasks.{task.name}", task.name) for task in outcomes(model)]
    if "units" in model.data:
        named.append(("data.units", model.data["units"]))
    for task in outcomes(model):
        if task.formula is not None:
            names = mentioned(task.formula)
            named += [(place(model, task), name) for name in names if name not in model.dag.latent]
    for where, name in [*named, *(("dag", n) for n in sorted(model.dag.nodes - model.dag.latent))]:
        if name in known or name in wanted:
            continue
        finding = unknown(where, "column", name, known)
        if where == "dag":
            remedy = f'{finding.remedy} If no table has it, write "latent: {name}".'
            finding = Finding(where, finding.problem, remedy)
        wanted[name] = finding
    yield from wanted.values()
