"""Everything that a page says of a posterior, asked once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import xarray as xr

from bayesmtl.chains import Watch
from bayesmtl.errors import ModelError
from bayesmtl.left_out.gain import separate, transfer
from bayesmtl.page import effects
from bayesmtl.page.causal import Causal, told
from bayesmtl.page.figures import PROB
from bayesmtl.page.sources import model_of
from bayesmtl.progress import busy
from bayesmtl.reports.diagnostics import convergence, diagnostics
from bayesmtl.reports.in_common import in_common
from bayesmtl.reports.relatedness import relatedness
from bayesmtl.reports.weights import weights
from bayesmtl.spec import Model
from bayesmtl.worlds.confounding import sensitivity

FOLDS = 4  # the most refits of each model, for cells that weights can't leave out: a page waits for them
MOST = 10_000  # cells, of more of which a page waits for no refits


@dataclass(frozen=True)
class Answers:
    """What the questions say of a posterior.

    Parameters
    ----------
    weights, diagnostics, convergence, relatedness, in_common
        The rows of these.
    transfer, effects, sensitivity
        The rows of these, none where they can't be told.
    causal
        What the graph says, and what the table says of it; None without a graph.
    untold
        Why a question has no answer, by its name.
    """

    weights: pd.DataFrame
    diagnostics: pd.DataFrame
    convergence: pd.DataFrame
    relatedness: pd.DataFrame
    in_common: pd.DataFrame
    transfer: pd.DataFrame | None = None
    effects: pd.DataFrame | None = None
    sensitivity: pd.DataFrame | None = None
    causal: Causal | None = None
    untold: Mapping[str, str] = field(default_factory=dict)


def answers(post: xr.DataTree, table: Any = None, *, watch: Watch | None = None) -> Answers:
    """Ask a posterior everything that its page says.

    Parameters
    ----------
    post
        A posterior.
    table
        What it was fitted to. With it the page says what each task gained by sharing, for which the tasks are
        fitted without each other, what interventions do, and whether the table contradicts the graph.
    watch
        Called with the progress of that fit; by default it is shown on stderr.
    """
    untold: dict[str, str] = {}
    gained = _gained(post, table, untold, watch)
    with busy("asking the posterior"):
        caused = told(model_of(post), table)
        return Answers(
            weights(post, prob=PROB),
            diagnostics(post),
            convergence(post),
            relatedness(post, prob=PROB),
            in_common(post, prob=PROB),
            gained,
            _effects(post, table, untold) if caused else None,
            _sensitivity(post),
            caused,
            untold,
        )


def _gained(
    post: xr.DataTree, table: Any, untold: dict[str, str], watch: Watch | None
) -> pd.DataFrame | None:
    """What each task gained by the others."""
    model = Model.read(json.loads(post.attrs["model"]))
    if len(post.constant_data.task) < 2:
        untold["transfer"] = "There is one task, which shares with none."
    elif table is None:
        untold["transfer"] = "The page was made without a table, to which the tasks could be fitted alone."
    elif separate(model, table) == model:
        untold["transfer"] = "These tasks share nothing: each is fitted by itself."
    else:
        try:
            few = int(post.constant_data["cells"].sum()) <= MOST
            return transfer(post, table=table, folds=FOLDS if few else 0, watch=watch)
        except ModelError as error:
            untold["transfer"] = f"It can\N{RIGHT SINGLE QUOTATION MARK}t be told: {error.findings[0]}"
    return None


def _effects(post: xr.DataTree, table: Any, untold: dict[str, str]) -> pd.DataFrame | None:
    """What changes of the causes do."""
    if table is None:
        untold["effects"] = "The page was made without a table, over whose rows effects could be averaged."
        return None
    found, reasons = effects.effects(post, table)
    if reasons:
        untold["effects"] = " ".join(reasons)
    return found


def _sensitivity(post: xr.DataTree) -> pd.DataFrame | None:
    try:
        return sensitivity(post, prob=PROB)
    except ModelError:  # no task is normal, so that its weights are partial correlations
        return None
