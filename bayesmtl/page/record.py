"""The answers of a page for programs."""

import json
import math
from typing import Any

import pandas as pd
import xarray as xr

from bayesmtl.page.asked import Answers
from bayesmtl.page.figures import PROB
from bayesmtl.page.plots import quantiles
from bayesmtl.page.sources import model_of

MOST = 3000  # rows of one answer: a page stays small
_FRAMES = (
    *("weights", "relatedness", "in_common", "transfer", "effects", "sensitivity"),
    *("diagnostics", "convergence"),
)


def record(post: xr.DataTree, known: Answers, said: list[str]) -> str:
    """The answers as JSON: the model's name, the verdict, where it comes from, and the rows of each question.

    Rows stand below ``columns``, the index first; numbers have six digits, and what is not finite is null. Of
    an answer with very many rows there are the first, and ``rows`` says how many it has.
    """
    caused = dict(known.causal.rows) if known.causal else {}
    frames = {name: getattr(known, name) for name in _FRAMES} | {"coefficients": _coefficients(post)} | caused
    whole = {
        "name": model_of(post).name,
        "verdict": said,
        "prob": PROB,
        "created": post.attrs.get("created_at", ""),
        "seed": post.attrs.get("seed"),
        "engine": post.attrs["engine"],
        "versions": json.loads(post.attrs.get("versions", "{}")),
        "findings": json.loads(post.attrs.get("findings", "[]")),
        "model": json.loads(post.attrs["model"]),
        "untold": dict(known.untold),
        "answers": {name: _rows(frame) for name, frame in frames.items() if frame is not None},
    }
    whole["model"].get("data", {}).pop("table", None)  # a place on somebody's disk
    # the text of a script ends at "</", and a comment begins with "<!--", wherever they stand
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _rows(frame: pd.DataFrame) -> dict[str, Any]:
    named = frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()
    rows = [[_plain(value) for value in row] for row in named.head(MOST).itertuples(index=False)]
    return {"columns": list(map(str, named.columns)), "rows": len(named), "data": rows}


def _plain(value: Any) -> Any:
    """A value as JSON knows it."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int) else str(value)


def _coefficients(post: xr.DataTree) -> pd.DataFrame | None:
    """Every weight that is in a formula."""
    if "weight" not in post.posterior:
        return None
    ends = dict(zip(("mean", "low", "high"), quantiles(post.posterior["weight"]), strict=True))
    return xr.Dataset(ends).drop_vars("quantile", errors="ignore").to_dataframe().dropna()[[*ends]]
