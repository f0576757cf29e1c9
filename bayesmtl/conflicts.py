"""Parts that don't go together, and names in their options that no task has."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bayesmtl import parts
from bayesmtl.errors import Finding, listed, unknown
from bayesmtl.parts import Part
from bayesmtl.spec import Model, Task

_MIXTURES = ("clustered", "exchangeable_or_not")  # each task's weights as a whole are a mixture
_NAMING = ("edges", "order", "at", "by", "pairs")  # options that name tasks
_JOINT = ("gaussian", "student_t")  # noise that has a multivariate form


def nested(role: str, part: Part, where: str) -> Iterator[tuple[str, Part]]:
    """A part and the parts in it, with their places."""
    yield where, part
    for name, option in parts.manual(role, part["kind"]).options.items():
        value = part.get(name, option.default)
        if option.kind == "Relations":
            for i, inner in enumerate(value or [], 1):
                yield from nested(role, parts.table(inner), f"{where}.{name}[{i}]")
        elif option.kind == "Likelihood":
            yield from nested(role, parts.table(value), f"{where}.{name}")


def faults(model: Model, tasks: list[Task]) -> Iterator[Finding]:
    """Sound parts that can't stand in one model."""
    tasks = [task for task in tasks if not parts.faults("likelihoods", task.likelihood, "")]
    if not parts.faults("relations", model.relation, ""):
        yield from _mixtures(model)
    if not parts.faults("residuals", model.residual, ""):
        yield from _residual(model, tasks)
    for task in tasks:
        where = "tasks" if model.as_rows else f"tasks.{task.name}"
        yield from _soft(task, where)
        yield from _temperature(model, task, where)
        yield from _marginal(model, task, where)


def names(model: Model, tasks: Iterable[str]) -> Iterator[Finding]:
    """Tasks that the relation or the residual names, and the model does not have."""
    known = list(tasks)
    for where, role, whole in (
        ("relation", "relations", model.relation),
        ("residual", "residuals", model.residual),
    ):
        if parts.faults(role, whole, ""):
            continue
        for place, part in nested(role, whole, where):
            for option in _NAMING:
                # a categorical task has a linear predictor for each category, "mood[sad]"
                for name in dict.fromkeys(_named(part.get(option), pairs=option in ("edges", "pairs"))):
                    if name not in known and name.partition("[")[0] not in known:
                        yield unknown(f"{place}.{option}", "task", name, known)


def _named(value: Any, *, pairs: bool) -> list[str]:
    """The names in an option: a table's keys, a list's words, or the words of a list of pairs."""
    if isinstance(value, Mapping):
        return list(map(str, value))
    if not isinstance(value, list | tuple):
        return []
    if pairs:
        return [
            name for pair in value if isinstance(pair, list | tuple) for name in _named(pair, pairs=False)
        ]
    return [name for name in value if isinstance(name, str)]


def _mixtures(model: Model) -> Iterator[Finding]:
    """Mixtures over whole tasks stand alone, and over weights that are no mixture themselves."""
    for where, part in nested("relations", model.relation, "relation"):
        kind = part["kind"]
        if kind not in _MIXTURES:
            continue
        if where != "relation":
            problem = f"{kind} is a mixture over the weights of a task, and can't be one of a sum."
            yield Finding(where, problem, "Take it alone, or another relation.")
        elif model.shrinkage.get("kind") == "spike_slab":
            problem = f"spike_slab is a mixture over single weights, and {kind} over those of a task."
            yield Finding("shrinkage", problem, "Take the horseshoe, or another relation.")


def _residual(model: Model, tasks: list[Task]) -> Iterator[Finding]:
    """Residuals that are related, where there is nothing to relate or no way to."""
    part = model.residual
    if part["kind"] == "independent":
        return
    if model.as_rows or model.tables:
        yield from apart(model, "tasks as rows" if model.as_rows else "tables of their own")
        return
    if part["kind"] != "correlated":
        return
    pairs = part.get("pairs")
    related = set(_named(pairs, pairs=True)) if pairs else {task.name for task in tasks}
    for task in tasks:
        if task.name in related and (task.importance != 1 or task.weights):
            problem = "is tempered, and correlated residuals have one density for all cells of a row."
            yield Finding(f"tasks.{task.name}", problem, 'Take residual = "factor", or importance = 1.')
    kinds = {task.name: task.likelihood["kind"] for task in tasks if task.name in related}
    other = {kind for kind in kinds.values() if kind not in _JOINT}
    if other or len(set(kinds.values())) > 1:
        odd = [f"{name} ({kind})" for name, kind in kinds.items() if kind in (other or kinds.values())]
        problem = f"is correlated, which all-gaussian or all-student_t tasks can be: {listed(odd)}."
        yield Finding("residual", problem, 'Take residual = "factor", which any tasks can share, or pairs.')


def apart(model: Model, how: str) -> Iterator[Finding]:
    """Residuals that are related, of tasks that share no row."""
    problem = f"is {model.residual['kind']}, and with {how} no two tasks have a cell in one row."
    yield Finding("residual", problem, "Make the tasks columns of one table.")


def _soft(task: Task, where: str) -> Iterator[Finding]:
    """Probabilities of categories, of a likelihood that has none."""
    if task.soft and "categories" not in parts.settings("likelihoods", task.likelihood):
        problem = f"gives probabilities of categories, and {task.likelihood['kind']} has none."
        yield Finding(f"{where}.soft", problem, 'Take kind = "categorical".')


def _temperature(model: Model, task: Task, where: str) -> Iterator[Finding]:
    """A temperature that is learned, of weights whose scale is learned too."""
    for place, part in nested("likelihoods", task.likelihood, where):
        known = parts.manual("likelihoods", part["kind"]).options
        if "temperature" not in known:
            continue
        free = isinstance(part.get("temperature", known["temperature"].default), str)
        if free and not _pinned(model):
            yield Finding(
                f"{place}.temperature",
                "is learned, and so is the scale of the weights: the table only tells their ratio.",
                'Fix one: shrinkage = { kind = "normal", scale = 1 }, or temperature = 1.',
            )


def _pinned(model: Model) -> bool:
    """Whether numbers fix the scale of the weights."""
    part = model.shrinkage
    if parts.faults("shrinkage", part, ""):
        return True  # which is said already
    options = parts.manual("shrinkage", part["kind"]).options.values()
    scales = [model.priors.get(o.name, part.get(o.name, o.default)) for o in options if o.kind == "Positive"]
    return bool(scales) and all(isinstance(scale, int | float) for scale in scales)


def _marginal(model: Model, task: Task, where: str) -> Iterator[Finding]:
    """A standard deviation that is integrated out, where the integral is not known."""
    for place, part in nested("likelihoods", task.likelihood, where):
        sigma = part.get("sigma")
        formula = isinstance(sigma, Mapping) and sigma.get("sigma") == "marginal"
        if sigma != "marginal" and not formula:
            continue
        reason = ""
        if formula:
            reason = "has a formula"
        elif place != where:
            reason = f"stands in {task.likelihood['kind']}"
        elif model.residual.get("kind") == "correlated":
            reason = "is of residuals that are correlated"
        elif task.importance != 1 or task.weights:
            reason = "is of cells that are weighted"
        if reason:
            problem = f'is "marginal", and {reason}: then it can\'t be integrated out.'
            yield Finding(f"{place}.sigma", problem, "Give it a prior.")
