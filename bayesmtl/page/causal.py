"""What a causal graph says: of the weights, and of the table, which may contradict it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from markupsafe import Markup

from bayesmtl import tables
from bayesmtl.checks import check
from bayesmtl.errors import Finding, ModelError
from bayesmtl.evidence.falsification import falsify
from bayesmtl.evidence.implied import Implication, implications, implied
from bayesmtl.evidence.signed import signs
from bayesmtl.identification import identify
from bayesmtl.page import graph
from bayesmtl.page.numbers import NONE, Estimate, count, estimate, plain
from bayesmtl.page.tables import Table, cut
from bayesmtl.spec import Model

LEVEL = 0.05  # of a p after Holm's correction, below which the table contradicts the graph
MOST = 200_000  # rows times tests, which take a second or two

_EFFECTS = {
    "task": "task",
    "exposure": "exposure",
    "weight": "its weight tells",
    "adjust": "to adjust for",
    "confounders": "confounders",
    "mediators": "mediators",
}


@dataclass(frozen=True)
class Causal:
    """A causal graph with its answers.

    Parameters
    ----------
    drawn, text
        The graph as a drawing, None where nothing can draw it, and as text.
    findings
        What to know before a weight is read as an effect, the gravest first.
    effects
        What each weight tells, and what to adjust for.
    verdict, implied
        What the table says of the independencies that the graph implies: in words, and of each.
    signs
        What the table says of the signs that the graph expects.
    rows
        The rows of ``identify``, ``implications``, ``signs`` and ``falsify``, where they were asked.
    """

    drawn: Markup | None
    text: str
    findings: list[Finding]
    effects: Table | None
    verdict: str
    implied: Table | None
    signs: Table | None
    rows: Mapping[str, pd.DataFrame]

    @property
    def contradicted(self) -> bool:
        """Whether the table contradicts the graph."""
        return self.implied is not None and any(row[-1] == "contradicted" for row in self.implied.rows)


def told(model: Model, table: Any = None) -> Causal | None:
    """What the graph of a model says, and what a table says of it; None without a graph."""
    if not model.dag:
        return None
    findings = [finding for finding in check(model) if finding.level != "error"]
    rows: dict[str, pd.DataFrame] = {}
    with suppress(ModelError):  # of a part of the author's own that is not at hand
        rows["identify"] = identify(model)
    verdict, listed = _held(model, table, rows)
    signed = _signed(model, table, rows)
    effects = _effects(rows["identify"]) if "identify" in rows else None
    return Causal(graph.drawn(model), str(model.dag), findings, effects, verdict, listed, signed, rows)


def _effects(found: pd.DataFrame) -> Table | None:
    """The rows of ``identify``, if there are any."""
    instead = ("no measured set: " + found["otherwise"]).str.removesuffix(": ")
    columns = found.assign(adjust=found["adjust"].mask(found["adjust"] == "none", instead))[[*_EFFECTS]]
    rows: list[list[str | Estimate]] = [
        [text or NONE for text in row] for row in columns.itertuples(index=False)
    ]
    return _first([*_EFFECTS.values()], rows, {*range(1, len(_EFFECTS))}) if rows else None


def _held(model: Model, table: Any, rows: dict[str, pd.DataFrame]) -> tuple[str, Table | None]:
    """What the graph implies, held against a table where there is one."""
    listed = implied(model.dag)
    said = f"The graph implies {count(len(listed), 'independence', 'independencies')}"
    if not listed:
        return "The graph implies no independence of measured nodes: no table can contradict it.", None
    if table is None:
        return f"{said}. The page was made without a table, and nothing has tested them.", _bare(listed)
    try:
        table = tables.frame(table)
        if len(table) * len(listed) > MOST:
            words = f"{said}, too many to test here with {len(table):,} rows; implications tests them."
            return words, _bare(listed)
        rows["implications"] = found = implications(model, table)
        rows["falsify"] = exchanged = falsify(model, table, seed=0)
    except ModelError as error:
        return f"{said}, which could not be tested. {error.findings[0]}", _bare(listed)
    against, worst = int((found["holm"] < LEVEL).sum()), found.iloc[0]
    tested = int(found["p"].notna().sum())
    if tested < len(listed):
        said += f", of which the rows can test {tested or 'none'}"
    if against:
        said += (
            f". The table contradicts {against} of them, most clearly that of {worst['a']} and {worst['b']}"
        )
    elif tested:
        said += ". The table contradicts none of them, and so not the graph"
    return f"{said}.{_exchanged(exchanged.iloc[0]) if tested else ''}", _tested(found)


def _exchanged(row: pd.Series) -> str:
    """How the graph compares with itself when the names of its nodes are exchanged."""
    share = f" Of {row['permutations']:,} graphs with exchanged names {100 * row['p']:.0f}% fit as well"
    if row["verdict"] == "contradicted":
        return f"{share}: it says no more of the table than they do."
    if row["verdict"] == "uninformative":
        return f"{share}: these independencies say little of which graph it is."
    return f"{share}: it says more of the table than names given by chance."


def _signed(model: Model, table: Any, rows: dict[str, pd.DataFrame]) -> Table | None:
    """The signs that arrows are expected to have, beside quick fits."""
    if table is None or not model.dag.signs:
        return None
    try:
        rows["signs"] = found = signs(model, table)
    except ModelError:  # the table is another's
        return None
    told: list[list[str | Estimate]] = []
    for row in found.itertuples():
        against = NONE if row.p != row.p else "contradicted" if row.holm < LEVEL else "not contradicted"
        number = estimate(row.estimate, row.low, row.high)
        told.append(
            [f"{row.cause} → {row.effect}", row.expected, number, _probability(row.holm), row.adjust, against]
        )
    head = ["arrow", "expected", "quick estimate", "p after Holm", "beside", "by the table"]
    return _first(head, told, {1, 4, 5})


def _tested(found: pd.DataFrame) -> Table:
    """The rows of ``implications``, the worst first."""
    rows: list[list[str | Estimate]] = []
    for row in found.itertuples():
        verdict = "contradicted" if row.holm < LEVEL else "not contradicted" if row.p == row.p else NONE
        pair = f"{row.a} and {row.b}"
        numbers = [_probability(row.p), _probability(row.holm), plain(row.effect, 2), f"{row.n:,}"]
        rows.append([pair, row.given or NONE, *numbers, verdict])
    head = ["independent", "given", "p", "p after Holm", "effect", "rows", "by the table"]
    return _first(head, rows, {1, 6})


def _bare(listed: list[Implication]) -> Table:
    rows: list[list[str | Estimate]] = [
        [f"{each.a} and {each.b}", ", ".join(each.given) or NONE] for each in listed
    ]
    return _first(["independent", "given"], rows, {1})


def _first(head: list[str], rows: list[list[str | Estimate]], words: set[int]) -> Table:
    table = cut(head, rows, words)
    return replace(table, note=table.note.replace("the posterior holds", "bayesmtl dag prints"))


def _probability(p: float) -> str:
    return NONE if p != p else "<0.001" if p < 0.001 else f"{p:.3f}"
