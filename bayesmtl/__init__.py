"""Bayesian multi-task learning: from a model file to a posterior, its answers and one report."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayesmtl.causal.dag import Dag as Dag
    from bayesmtl.checks import check as check
    from bayesmtl.errors import ModelError as ModelError
    from bayesmtl.identification import identify as identify
    from bayesmtl.implied import implications as implications
    from bayesmtl.page import report as report
    from bayesmtl.picture import draw as draw
    from bayesmtl.posterior import fit as fit
    from bayesmtl.prediction import predict as predict
    from bayesmtl.prediction import predictions as predictions
    from bayesmtl.reports.diagnostics import diagnostics as diagnostics
    from bayesmtl.reports.weights import weights as weights
    from bayesmtl.spec import Model as Model
    from bayesmtl.spec import load as load
    from bayesmtl.store import read as read
    from bayesmtl.store import save as save
    from bayesmtl.summarised import summarise as summarise
    from bayesmtl.updating import update as update

_HOME = {
    "Dag": "causal.dag",
    "Model": "spec",
    "ModelError": "errors",
    "check": "checks",
    "diagnostics": "reports.diagnostics",
    "draw": "picture",
    "fit": "posterior",
    "identify": "identification",
    "implications": "implied",
    "load": "spec",
    "predict": "prediction",
    "predictions": "prediction",
    "prior": "posterior",
    "read": "store",
    "report": "page",
    "save": "store",
    "summarise": "summarised",
    "update": "updating",
    "weights": "reports.weights",
}
__all__ = [*_HOME]


def __getattr__(name: str) -> Any:  # lazy, so that reading a model never imports JAX
    if name == "__version__":
        return import_module("importlib.metadata").version("bayesmtl")
    if name not in _HOME:
        raise AttributeError(f"bayesmtl has no {name!r}; it has {', '.join(_HOME)}")
    if _HOME[name] in ("posterior", "prediction", "updating"):
        # arviz leaves these to be loaded when touched, and a submodule that is imported first comes twice
        _ = [import_module(whole).__file__ for whole in ("jax", "numpyro")]
    return getattr(import_module(f"bayesmtl.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
