"""What makes a fit the fit it is: with all of it the same, so are its draws."""

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import jax
import numpy as np

from bayesmtl.design import Design

PACKAGES = ("bayesmtl", "jax", "jaxlib", "numpyro")


def fingerprint(
    design: Design, data: Mapping[str, Any], seed: int, engine: str, program: str
) -> dict[str, str]:
    """What the draws of a fit depend on, by the words in which a user knows it.

    Parameters
    ----------
    design, data
        The model with its table, and the arrays of it.
    seed
        The seed of the draws.
    engine
        What draws, and how much.
    program
        The text of the sampler's program: that of a part of the user's own, too, which no version tells.
    """
    kinds = {} if design.kinds is None else vars(design.kinds)  # all that the rows of a summary stand for
    return {
        "model": _digest(design.model.to_json().encode()),
        "table": _digest(*_bytes({**data, "kinds": kinds})),
        "seed": str(seed),
        "engine": engine,
        "versions": ", ".join(f"{package} {version(package)}" for package in PACKAGES),
        "program": _digest(program.encode()),
    }


def _bytes(data: Mapping[str, Any]) -> list[bytes]:
    """Arrays with their places and shapes."""
    leaves = [(jax.tree_util.keystr(path), np.asarray(x)) for path, x in jax.tree.leaves_with_path(data)]
    return [b for path, x in leaves for b in (f"{path} {x.dtype} {x.shape} ".encode(), x.tobytes())]


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part)
    return whole.hexdigest()
