"""What is wrong with a model; without a table that takes no JAX and no pandas."""

from collections.abc import Iterator
from typing import Any

from bayesmtl import conflicts, mechanisms, parts
from bayesmtl.causal import bad_controls, direct
from bayesmtl.causal.regressions import Regression
from bayesmtl.errors import Finding
from bayesmtl.matching import faults
from bayesmtl.spec import Model, Task
from bayesmtl.terms import factors, predictors
from bayesmtl.wanted import outcomes, owned, place

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
