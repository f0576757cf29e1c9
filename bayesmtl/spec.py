"""Model files: what a user writes, as frozen data."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from bayesmtl import keys
from bayesmtl.causal.dag import Dag
from bayesmtl.errors import Finding, ModelError, listed, unknown
from bayesmtl.formulas import quoted
from bayesmtl.parts import Part

_OWN = ("formula", "dag", "importance", "weights", "soft")  # a task's keys that are not its likelihood's


@dataclass(frozen=True)
class Task:
    """One outcome: its column, what predicts it, how its cells scatter, and what they count.

    ``importance`` and the column ``weights`` temper its likelihood; ``soft`` are the columns of the
    probabilities of its categories, in place of a category; ``dag`` is what its table says of the graph.
    """

    name: str
    column: str
    formula: str | None
    likelihood: Part
    importance: float = 1.0
    weights: str | None = None
    soft: tuple[str, ...] = ()
    dag: Dag = field(default_factory=Dag)


@dataclass(frozen=True)
class Model:
    """A multi-task model; the keys are those of a model file.

    Parameters
    ----------
    tasks
        A likelihood for each outcome: a name, or a table with ``kind``, its options, and a
        ``formula`` and a ``dag`` of the task's own. ``importance``, a number, and ``weights``, a column,
        temper the likelihood. For tasks as rows: ``by``, ``outcome`` and ``kind``.
    formula
        What predicts every task that has no formula. Without it, a task's predictors are its
        measured causes in the graph.
    dag
        The causal graph, as text or as a Dag; it becomes one with those of the tasks.
    relation, shrinkage, residual, engine
        Parts: a name, or a table with ``kind`` and options. A list of relations is their sum.
    priors
        Priors by the names that parameters have in the posterior, ``"weight[height, age]"``, in the user's
        units; a number fixes the parameter.
    missing
        What to do with rows whose predictors are missing: ``"drop"`` them for the tasks that use these
        predictors, or ``"impute"``: a model of the predictors draws continuous ones beside the parameters
        and sums out binary and categorical ones, supposing that they are missing at random.
    data
        ``table``, the file of the table, or one for each task; and ``units``, the column that names its
        rows.
    name, doc, references
        What the model is called, what it is for, and where it comes from.

    Raises
    ------
    ModelError
        When a key has a wrong type; it names all of them.

    Examples
    --------
    >>> model = Model(tasks={"party": "gaussian", "vote": "bernoulli"}, formula="age + income")
    >>> model.relation
    {'kind': 'partial'}
    """

    tasks: Mapping[str, Any]
    formula: str | None = None
    dag: Dag = field(default_factory=Dag)
    relation: Part = field(default_factory=lambda: {"kind": "partial"})
    shrinkage: Part = field(default_factory=lambda: {"kind": "normal"})
    residual: Part = field(default_factory=lambda: {"kind": "independent"})
    priors: Mapping[str, str | float] = field(default_factory=dict)
    missing: str = "drop"
    engine: Part = field(default_factory=lambda: {"kind": "auto"})
    data: Mapping[str, Any] = field(default_factory=dict)
    name: str = "model"
    doc: str = ""
    references: tuple[str, ...] = ()
    folder: Path = field(default=Path(), compare=False)

    def __post_init__(self) -> None:
        wrong = [
            Finding(key, f"is {value!r}.", f"Give {words}.")
            for key, (kind, words) in keys.TYPES.items()
            if not isinstance(value := getattr(self, key), kind)
            and not (key == "formula" and value is None)
            and not (key == "dag" and isinstance(value, Dag))
        ]
        if isinstance(self.dag, str):
            try:
                object.__setattr__(self, "dag", Dag.read(self.dag))
            except ModelError as error:
                wrong += error.findings
        if isinstance(self.relation, list | tuple):
            object.__setattr__(self, "relation", {"kind": "sum_of", "relations": list(self.relation)})
        if self.missing not in ("drop", "impute") and isinstance(self.missing, str):
            wrong.append(unknown("missing", "choice", self.missing, ["drop", "impute"]))
        for key in ("relation", "shrinkage", "residual", "engine"):
            if isinstance(getattr(self, key), str | Mapping):
                part, found = keys.part(getattr(self, key), key)
                object.__setattr__(self, key, part)
                wrong += found
        if isinstance(self.tasks, Mapping):
            wrong += keys.task_faults(self.tasks)
        if isinstance(self.data, Mapping):
            wrong += keys.data_faults(self.data)
        if wrong:
            raise ModelError(*wrong)
        own = self.listed_tasks([""] if self.as_rows else None)
        object.__setattr__(self, "dag", _joined(self.dag, *(task.dag for task in own)))
        object.__setattr__(self, "references", tuple(map(str, self.references)))

    @classmethod
    def read(cls, table: Mapping[str, Any], folder: Path = Path()) -> "Model":
        """A model from the table that a model file holds."""
        known = [f.name for f in fields(cls) if f.name != "folder"]
        wrong = [unknown("model", "key", key, known) for key in table if key not in known]
        if "tasks" not in table:
            wrong.append(Finding("tasks", "is missing.", 'Add "[tasks]", one line for each outcome.'))
        settings = {key: value for key, value in table.items() if key in known}
        try:
            model = cls(**{"tasks": {"": "gaussian"}, **settings}, folder=folder)
        except ModelError as error:
            wrong += [f for f in error.findings if f.where != "tasks" or "tasks" in table]
        if wrong:
            raise ModelError(*wrong)
        return model

    @property
    def as_rows(self) -> bool:
        """Whether a column of the table names each row's task."""
        return {"by", "outcome"} <= set(self.tasks)

    @property
    def tables(self) -> Mapping[str, str]:
        """The file of each task's own table, if the tasks have tables of their own."""
        table = self.data.get("table")
        return table if isinstance(table, Mapping) else {}

    def listed_tasks(self, levels: list[str] | None = None) -> list[Task]:
        """The tasks in the order of the file; for tasks as rows, one for each level of ``by``."""
        if self.as_rows:
            outcome = self.tasks["outcome"]
            part = {k: v for k, v in self.tasks.items() if k not in ("by", "outcome")}
            return [self._task(n, outcome, part) for n in levels or []]
        return [
            self._task(name, name, {"kind": value} if isinstance(value, str) else value)
            for name, value in self.tasks.items()
        ]

    def _task(self, name: str, column: str, settings: Mapping[str, Any]) -> Task:
        formula = self._predictors(column, settings.get("formula", self.formula))
        own = {key: settings[key] for key in ("importance", "weights") if key in settings}
        likelihood = {key: value for key, value in settings.items() if key not in _OWN}
        soft, dag = tuple(settings.get("soft", ())), Dag.read(settings.get("dag", ""))
        return Task(name, column, formula, likelihood, soft=soft, dag=dag, **own)

    def _predictors(self, node: str, formula: str | None) -> str | None:
        """A formula as given, or that of the node's measured causes in the graph."""
        if formula is not None:
            return formula
        task_column = {self.tasks["by"]} if self.as_rows else set()
        causes = sorted((self.dag.causes(node) & self.dag.measured) - task_column)
        return " + ".join(map(quoted, causes)) if causes else None

    def __repr__(self) -> str:
        kinds = {name: own if isinstance(own, str) else own["kind"] for name, own in self.tasks.items()}
        tasks = f"{len(kinds)} task{'s' * (len(kinds) != 1)} ({listed(map(' '.join, kinds.items()), 5)})"
        if self.as_rows:
            tasks = f"a task for each {self.tasks['by']} ({self.tasks['outcome']} {self.tasks['kind']})"
        return f'Model("{self.name}": {tasks}, relation {self.relation["kind"]})'

    def __str__(self) -> str:
        from bayesmtl.description import describe

        return describe(self)

    def to_json(self) -> str:
        """The model as JSON text that ``Model.read`` takes."""
        table = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "folder"}
        table["dag"] = str(self.dag)
        return json.dumps({k: v for k, v in table.items() if v}, ensure_ascii=False)


def _joined(*dags: Dag) -> Dag:
    """Graphs as one; of two signs of an arrow the first stays."""
    return Dag(
        arrows=frozenset().union(*(dag.arrows for dag in dags)),
        arcs=frozenset().union(*(dag.arcs for dag in dags)),
        latent=frozenset().union(*(dag.latent for dag in dags)),
        selected=frozenset().union(*(dag.selected for dag in dags)),
        signs={arrow: sign for dag in reversed(dags) for arrow, sign in dag.signs.items()},
    )


def load(path: str | Path) -> Model:
    """Read a model file.

    Raises
    ------
    ModelError
        When the file can't be read, is not TOML, or has unknown keys or wrong types.

    Examples
    --------
    >>> load("models/election.toml").name
    'election'
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        remedy = "Give the path of a model file." if path.is_dir() else "Look at the path."
        raise ModelError(Finding("file", f"can't be read: {error.strerror}.", remedy)) from None
    except UnicodeDecodeError:
        raise ModelError(Finding("file", "is not text.", "Save it as UTF-8.")) from None
    except tomllib.TOMLDecodeError as error:
        raise ModelError(Finding("file", f"is not TOML: {error}.", "Mend that line.")) from None
    return Model.read(table, folder=path.parent)
