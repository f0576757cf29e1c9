"""What draws say of cells: as it was recorded, or by running the program at them once more."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import batched, chain
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesmtl.design import Design
from bayesmtl.errors import Finding, ModelError
from bayesmtl.labelled import members
from bayesmtl.left_out.part import Part, parts
from bayesmtl.parts import settings
from bayesmtl.program import Said, build
from bayesmtl.replay import anatomy, densities, replay
from bayesmtl.runtime import ready
from bayesmtl.sites import Array
from bayesmtl.spec import Model

DRAWS = 1000  # that are asked of cells of which nothing was recorded

type Densities = dict[str, Array]
type Telling = Callable[[Any], tuple[Densities, Densities]]


def recorded(post: xr.DataTree, unit: str) -> np.ndarray | None:
    """The log density of every cell at every draw, [draw, cell]; None where a posterior does not have it."""
    model = Model.read(json.loads(post.attrs["model"]))
    joint = unit == "row" and model.residual["kind"] == "correlated"  # recorded is each given its row
    if "log_likelihood" not in post or joint:
        return None
    names = map(str, post.constant_data.task.values)
    every = [post["log_likelihood"][n].transpose("chain", "draw", ...).values for n in names]
    return np.concatenate([one.reshape(-1, one.shape[-1]) for one in every], axis=1)


def asked(
    post: xr.DataTree,
    design: Design | None,
    chosen: Sequence[np.ndarray],
    marginal: bool,
    over: Callable[[Telling, Mapping[str, Array], Any], Any],
    given: Callable[[Part], Any] = lambda part: (),
) -> Iterator[tuple[Part, Any]]:
    """What some of the draws say of cells, part by part, by one compiled program.

    Parameters
    ----------
    chosen
        The numbers of each part's cells, in the order of the tasks.
    marginal
        Whether a cell is left out with all others of its row: it is then not given them.
    over
        What is made of the draws, given what tells the densities at one, all draws, and what is ``given`` of
        a part.

    Raises
    ------
    ModelError
        When the posterior does not keep what the density of a cell depends on, or there is no table.
    """
    if design is None:
        problem = "is not given, and the posterior has no log density of what is left out."
        raise ModelError(Finding("table", problem, "Give the table that was fitted."))
    if reason := _unsaid(design):
        raise ModelError(Finding("posterior", f"does not keep {reason}.", "Fit fewer draws: then it does."))
    some, each = parts(design, chosen)
    first = next(each)
    total = post.posterior.sizes["chain"] * post.posterior.sizes["draw"]
    taken = np.linspace(0, total - 1, min(total, DRAWS)).astype(int)
    with ready():
        program = build(some)
        sites = {
            site: members(post, labels, site.rpartition(".")[2])[taken]
            for site, labels in anatomy(program, first.data).axes.items()
            if site.rpartition(".")[2] in post.posterior
        }

        def told(sites: Mapping[str, Array], data: Mapping[str, Any], own: Any) -> Any:
            def tell(draw: Any) -> tuple[Densities, Densities]:
                said = replay(program, data, draw, jax.random.key(0), observed=True)[2]
                return scored(said, data, marginal)

            return over(tell, sites, own)

        compiled = jax.jit(told).lower(sites, first.data, given(first)).compile()

    def one(part: Part) -> tuple[Part, Any]:
        with jax.enable_x64(True):  # which threads do not see
            return part, jax.tree.map(np.asarray, compiled(sites, part.data, given(part)))

    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:  # each part takes one core
        for some_parts in batched(chain([first], each), cores):
            yield from pool.map(one, some_parts)


def _unsaid(design: Design) -> str:
    """What a posterior does not keep of what the density of a cell depends on; empty if it keeps all."""
    if design.model.residual["kind"] == "factor":
        return "the latent factors of rows"
    if design.gaps is not None:
        return "what was imputed"
    marginal = ["marginal" in settings("likelihoods", f.likelihood).values() for f in design.families]
    return "noise that was integrated out" if any(marginal) else ""


def scored(said: Mapping[str, Said], data: Mapping[str, Any], marginal: bool) -> tuple[Densities, Densities]:
    """The log density of each cell, and what the likelihood loses by it; of families, [cell].

    Parameters
    ----------
    marginal
        Whether a cell is left out with all others of its row: it is then not given them.
    """
    given = densities(said, data)
    if not marginal or all(each.joint is None for each in said.values()):
        return given, given
    score, lost = dict(given), dict(given)
    together = {name: each for name, each in said.items() if each.joint is not None}
    whole = jnp.concatenate([each.y for each in together.values()])
    for name, each in together.items():
        joint = each.joint
        assert joint is not None
        at = joint.layout["row"]
        rows = joint.rows(whole)
        share = rows / jnp.zeros_like(rows).at[at].add(1.0)  # of the density of a row, to each of its cells
        score[name] = each.outcome.distribution.log_prob(each.y) * data["cells"][name]["power"]
        lost[name] = share[at][each.part]
    return score, lost
