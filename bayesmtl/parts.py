"""Parts: one function, in a file of its name, in the folder of its role.

Positional arguments come from the program; keyword-only arguments come from the user. Parts are
listed and their options read from the files' text, so that checking a model imports none of them.
"""

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bayesmtl.errors import Finding, ModelError, unknown
from bayesmtl.options import misfit

Part = Mapping[str, Any]  # {"kind": name, **options}

# What a signature calls an option that is a number of something, a probability, a column of the
# table (or one number for every cell), another likelihood, or a list of relations.
type Count = int
type Chance = float
type Column = Any
type Likelihood = Any
type Relations = Any

ROLES = {
    "relations": "how tasks share weights",
    "shrinkage": "how large the weights of a feature are",
    "likelihoods": "how the cells of a task scatter",
    "residuals": "what the cells of one row have in common beyond their predictors",
    "engines": "how the posterior is drawn",
    "reports": "questions to ask of a posterior",
}
SINGULAR = {
    "relations": "relation",
    "shrinkage": "shrinkage",
    "likelihoods": "likelihood",
    "residuals": "residual",
    "engines": "engine",
    "reports": "report",
}
# What an option of such a kind holds: parts of a role, and whether it is a list of them.
_NESTED = {"Likelihood": ("likelihoods", False), "Relations": ("relations", True)}


@dataclass(frozen=True)
class Option:
    """What a user may set in a part: its kind, as the signature names it, and its default."""

    name: str
    kind: str
    default: Any


@dataclass(frozen=True)
class Manual:
    """What a part's file says: its docstring and its options."""

    doc: str
    options: Mapping[str, Option]

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        return " ".join(self.doc.split("\n\n")[0].split())

    @property
    def references(self) -> list[str]:
        """The works the part comes from."""
        _, _, section = self.doc.partition("References\n----------\n")
        section = re.split(r"\n\n\w[\w ]*\n-{3,}\n", section)[0]
        return [" ".join(entry.split()) for entry in re.split(r"\n(?=\S)", section) if entry.strip()]


def names(role: str) -> list[str]:
    """The parts of a role, read from its folder."""
    return sorted(p.stem for p in (Path(__file__).parent / role).glob("*.py") if p.stem[0] != "_")


@cache
def manual(role: str, name: str, where: str = "") -> Manual:
    """What a part says of itself; ``"package.module:function"`` reaches one of the user's own."""
    where = where or SINGULAR[role]
    file, function = _home(role, name, where)
    try:
        nodes = ast.parse(file.read_text(encoding="utf-8")).body
    except (OSError, SyntaxError, ValueError) as error:
        problem = f"can't read {file.name}: {error}."
        raise ModelError(Finding(where, problem, "Give a file of Python.")) from None
    for node in nodes:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            options = {
                arg.arg: Option(
                    arg.arg,
                    ast.unparse(arg.annotation) if arg.annotation else "",
                    _constant(default),
                )
                for arg, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            }
            return Manual(ast.get_docstring(node) or "", options)
    functions = [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
    raise ModelError(unknown(where, "function", function, functions))


def find(role: str, name: str) -> Callable[..., Any]:
    """The function of a part."""
    if ":" in name:
        module, _, function = name.partition(":")
        return getattr(import_module(module), function)
    return getattr(import_module(f"bayesmtl.{role}.{name}"), name)


def bind(role: str, part: Part, columns: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """The function of a checked part, with its options filled in.

    Parts in it are bound too, and an option that names a column gets its values from ``columns``.
    """
    options = {}
    for name, option in manual(role, part["kind"]).options.items():
        value = part.get(name, option.default)
        if option.kind in _NESTED:
            inner, several = _NESTED[option.kind]
            bound = [bind(inner, table(v), columns) for v in (value if several else [value])]
            options[name] = bound if several else bound[0]
        elif option.kind == "Column" and isinstance(value, str):
            options[name] = (columns or {})[value]
        elif name in part:
            options[name] = value
    return partial(find(role, part["kind"]), **options)


def table(value: str | Part) -> Part:
    """A part as a table, when it may be a name."""
    return {"kind": value} if isinstance(value, str) else value


def columns(role: str, part: Part) -> list[str]:
    """The columns of the table that a part and the parts in it name."""
    found: list[str] = []
    for name, option in manual(role, part["kind"]).options.items():
        value = part.get(name, option.default)
        if option.kind == "Column" and isinstance(value, str):
            found.append(value)
        elif option.kind in _NESTED:
            inner, several = _NESTED[option.kind]
            for v in value if several else [value]:
                found += columns(inner, table(v))
    return list(dict.fromkeys(found))


def settings(role: str, part: Part) -> dict[str, Any]:
    """Every option of a part, as the user set it or by its default, and those of the parts in it."""
    found: dict[str, Any] = {}
    for name, option in manual(role, part["kind"]).options.items():
        value = found[name] = part.get(name, option.default)
        if option.kind == "Likelihood":
            found |= {k: v for k, v in settings("likelihoods", table(value)).items() if k not in found}
    return found


def faults(role: str, part: Part, where: str) -> list[Finding]:
    """Everything wrong with what the user wrote for one part."""
    try:
        known = manual(role, part["kind"], where).options
    except ModelError as error:
        return list(error.findings)
    found = []
    for key, value in part.items():
        if key == "kind":
            continue
        if key not in known:
            found.append(unknown(where, "option", key, known))
            continue
        judge = _misfit_parts if known[key].kind in _NESTED else misfit
        found += judge(value, known[key].kind, f"{where}.{key}")
    return found


def _home(role: str, name: str, where: str) -> tuple[Path, str]:
    if ":" not in name:
        if name not in names(role):
            raise ModelError(unknown(where, SINGULAR[role], name, names(role)))
        return Path(__file__).parent / role / f"{name}.py", name
    module, _, function = name.partition(":")
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise ModelError(
            Finding(where, f'no module called "{module}".', "Install it, or run where it stands.")
        )
    return Path(spec.origin), function


def _constant(default: ast.expr | None) -> Any:
    """An option's default, when it can be told from the text."""
    try:
        return ast.literal_eval(default) if default else None
    except ValueError:
        return None


def _misfit_parts(value: Any, kind: str, where: str) -> list[Finding]:
    """What is wrong with parts within a part."""
    role, several = _NESTED[kind]
    if several and not (isinstance(value, list | tuple) and value):
        return [Finding(where, f"is {value!r}.", "Give a list of parts.")]
    found = []
    for i, inner in enumerate(value if several else [value]):
        place = f"{where}[{i + 1}]" if several else where
        if not isinstance(inner, str) and not (
            isinstance(inner, Mapping) and isinstance(inner.get("kind"), str)
        ):
            found.append(Finding(place, f"is {inner!r}.", 'Give a name, or a table with "kind".'))
        else:
            found += faults(role, table(inner), place)
    return found
