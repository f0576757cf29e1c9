"""Bayesian multi-task learning: from a model file to a posterior, its answers and one report."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayesmtl.calibrating import calibrate as calibrate
    from bayesmtl.causal.dag import Dag as Dag
    from bayesmtl.checks import check as check
    from bayesmtl.errors import ModelError as ModelError
    from bayesmtl.estimator import MultiTaskRegressor as MultiTaskRegressor
    from bayesmtl.evidence.falsification import falsify as falsify
    from bayesmtl.evidence.implied import implications as implications
    from bayesmtl.evidence.signed import signs as signs
    from bayesmtl.forecast.prediction import predict as predict
    from bayesmtl.forecast.prediction import predictions as predictions
    from bayesmtl.forecast.streamed import stream as stream
    from bayesmtl.identification import identify as identify
    from bayesmtl.left_out.comparison import compare as compare
    from bayesmtl.left_out.gain import transfer as transfer
    from bayesmtl.left_out.metrics import delta_m as delta_m
    from bayesmtl.left_out.selection import companions as companions
    from bayesmtl.page import report as report
    from bayesmtl.picture import draw as draw
    from bayesmtl.posterior import fit as fit
    from bayesmtl.reports.diagnostics import diagnostics as diagnostics
    from bayesmtl.reports.in_common import in_common as in_common
    from bayesmtl.reports.outweighs import outweighs as outweighs
    from bayesmtl.reports.relatedness import relatedness as relatedness
    from bayesmtl.reports.weights import weights as weights
    from bayesmtl.spec import Model as Model
    from bayesmtl.spec import load as load
    from bayesmtl.store import read as read
    from bayesmtl.store import save as save
    from bayesmtl.summarised import summarise as summarise
    from bayesmtl.updates.updating import update as update
    from bayesmtl.worlds.abduction import counterfactual as counterfactual
    from bayesmtl.worlds.confounding import sensitivity as sensitivity
    from bayesmtl.worlds.intervention import intervene as intervene

_HOME = {
    "Dag": "causal.dag",
    "Model": "spec",
    "ModelError": "errors",
    "MultiTaskRegressor": "estimator",
    "calibrate": "calibrating",
    "check": "checks",
    "companions": "left_out.selection",
    "compare": "left_out.comparison",
    "counterfactual": "worlds.abduction",
    "delta_m": "left_out.metrics",
    "diagnostics": "reports.diagnostics",
    "draw": "picture",
    "falsify": "evidence.falsification",
    "fit": "posterior",
    "identify": "identification",
    "implications": "evidence.implied",
    "in_common": "reports.in_common",
    "intervene": "worlds.intervention",
    "load": "spec",
    "outweighs": "reports.outweighs",
    "predict": "forecast.prediction",
    "predictions": "forecast.prediction",
    "prior": "posterior",
    "read": "store",
    "relatedness": "reports.relatedness",
    "report": "page",
    "save": "store",
    "sensitivity": "worlds.confounding",
    "signs": "evidence.signed",
    "stream": "forecast.streamed",
    "summarise": "summarised",
    "transfer": "left_out.gain",
    "update": "updates.updating",
    "weights": "reports.weights",
}
_LIGHT = {"causal.dag", "checks", "errors", "identification", "picture", "spec"}
__all__ = [*_HOME]


def __getattr__(name: str) -> Any:  # lazy, so that reading a model never imports JAX
    if name == "__version__":
        return import_module("importlib.metadata").version("bayesmtl")
    if name not in _HOME:
        raise AttributeError(f"bayesmtl has no {name!r}; it has {', '.join(_HOME)}")
    if _HOME[name] not in _LIGHT and not _HOME[name].startswith("evidence."):
        # arviz leaves these to be loaded when touched, and a submodule that is imported first comes twice
        _ = [import_module(whole).__file__ for whole in ("jax", "numpyro")]
    return getattr(import_module(f"bayesmtl.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
