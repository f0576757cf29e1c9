"""What is wrong with a model; without a table that takes no JAX and no pandas."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bayesmtl import conflicts, mechanisms, parts
from bayesmtl.causal import bad_controls, direct
from bayesmtl.causal.regressions import Regression
from bayesmtl.errors import Finding, unknown
from bayesmtl.matching import faults
from bayesmtl.spec import Model, Task
from bayesmtl.terms import factors, mentioned, predictors

_LEVELS = ("error", "warning", "note")


def check(model: Model, table: Any = None) -> list[Finding]:
    """Everything wrong with a model, and with a table if given: errors, then warnings, then notes.

    The table is a data frame, of pandas or polars, or a mapping with one for each task.

    Examples
    --------
    >>> from bayesmtl import Model
    >>> model = Model(tasks={"vote": "bernouli"}, formula="age", dag="age -> vote -> age")
    >>> for finding in check(model):
    ...     print(finding)
    tasks.vote: no likelihood called "bernouli". Did you mean "bernoulli"?
    dag: has a cycle: age -> vote -> age. Remove one arrow.
    """
    found = [*_parts(model), *faults(model.priors), *conflicts.faults(model, outcomes(model)), *_graph(model)]
    if not model.as_rows:
        found += [*conflicts.names(model, model.tasks), *_tables(model)]
    if model.dag and not any(finding.level == "error" for finding in found):
        seen = regressions(model)
        found += bad_controls.faults(seen)
        found += direct.faults(seen)
        found += mechanisms.faults(model, seen)
    if table is not None:
        from bayesmtl import columns  # pandas and JAX start here

        found += columns.faults(model, table)
        if model.priors and not any(finding.level == "error" for finding in found):
            from bayesmtl import replay, tables

            found += replay.astray(model, tables.frame(table))
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
    yield from parts.faults("residuals", model.residual, "residual")
    yield from parts.faults("engines", model.engine, "engine")
    for task in outcomes(model):
        where = "tasks" if model.as_rows else f"tasks.{task.name}"
        yield from parts.faults("likelihoods", task.likelihood, where)


def _tables(model: Model) -> Iterator[Finding]:
    """Tasks without a table of their own where others have one, and tables of no task."""
    yield from owned(model, model.tables, "data.table") if model.tables else ()


def owned(model: Model, tables: Iterable[str], where: str) -> Iterator[Finding]:
    """Tasks without one of the tables of single tasks, and tables without a task."""
    tables = list(tables)
    for name in tables:
        if name not in model.tasks:
            yield unknown(where, "task", name, model.tasks)
    for name in model.tasks:
        if name not in tables:
            yield Finding(f"tasks.{name}", "has no table.", f"Give it one of its own in {where}.")


def _graph(model: Model) -> Iterator[Finding]:
    yield from mechanisms.contradictions(model, outcomes(model))
    for task in outcomes(model):
        yield from _task(model, task)
        if task.formula is not None:
            yield from _predictors(model, task)


def regressions(model: Model) -> list[Regression]:
    """The tasks that are in the graph, as it sees them."""
    found, nodes = [], model.dag.nodes
    for task in outcomes(model):
        if task.column in nodes:
            terms = [name for name in predictors(task.formula or "") if name in nodes]
            by = [model.tasks["by"]] if model.as_rows else []
            groups = frozenset([*factors(task.formula or ""), *by]) & nodes - {task.column, *terms}
            where = place(model, task)
            groups -= model.dag.latent | model.dag.selected
            found.append(Regression(where, task.name, task.column, tuple(terms), model.dag, groups))
    return found


def _task(model: Model, task: Task) -> Iterator[Finding]:
    """What a task lacks, in the model and in its graph."""
    where = "tasks" if model.as_rows else f"tasks.{task.name}"
    if task.column in model.dag.latent:
        remedy = f'Take "{task.column}" out of latent, or out of the tasks.'
        yield Finding(where, f'"{task.column}" is latent, and so not measured.', remedy)
    if task.column in model.dag.selected:
        yield _selects(where, task.column)
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
    for name in predictors(task.formula or ""):
        drop = f'Drop "{name}" from the formula'
        if name == task.column:
            yield Finding(where, f'task "{name}" predicts itself.', drop + " of that task.")
        elif name in dag.latent:
            problem = f'"{name}" is latent, and so not measured.'
            yield Finding(where, problem, drop + ", or from latent.")
        elif name in dag.selected:
            yield _selects(where, name)
        elif name in effects and task.column not in dag.descendants([name]):  # that is a cycle
            problem = f'"{name}" is an effect of task "{task.column}".'
            yield Finding(where, problem, drop + " of that task, or turn an arrow.")
        elif dag and name not in dag.nodes:
            remedy = "Draw its arrows: nothing can be checked of it."
            yield Finding(where, f'"{name}" is not in the graph.', remedy, "warning")


def _selects(where: str, name: str) -> Finding:
    """A column that is said to be the same in every row."""
    problem = f'"{name}" selects the rows, and so is the same in all of them.'
    remedy = f'If they are taken by its values, draw it: "{name} -> taken" and "selected: taken".'
    return Finding(where, problem, remedy)


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
