"""What each draw of a posterior says of new rows: means, new responses, and probabilities of categories."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from numpyro.distributions import constraints

from bayesmtl.design import Design
from bayesmtl.errors import refuse
from bayesmtl.forecast.conditional import answer
from bayesmtl.forecast.newcomers import local, populations, standard
from bayesmtl.forecast.renewed import renew
from bayesmtl.forecast.seen import Seen, faults, look
from bayesmtl.imputation import ENTRIES
from bayesmtl.labelled import members
from bayesmtl.program import Program, Said, build
from bayesmtl.replay import anatomy, replay, simulate
from bayesmtl.responses import Family

BATCH = 50  # draws that a program takes at once
LARGEST = 8_000_000  # numbers of one kind that a table's draws may be, before it is cut into pieces


@dataclass(frozen=True)
class Drawn:
    """What every draw says of the cells of a table.

    Parameters
    ----------
    design
        The table, with a cell for each row that a task can have.
    mean, response
        Of each family: the expected responses, and new ones in the user's numbers; [sample, cell].
    chance
        Of each family with categories: their probabilities; [sample, cell, category].
    """

    design: Design
    mean: Mapping[str, np.ndarray]
    response: Mapping[str, np.ndarray]
    chance: Mapping[str, np.ndarray]


def drawn(
    post: xr.DataTree, tables: Iterable[pd.DataFrame], given: Collection[str] = (), chance: bool = False
) -> Iterator[Drawn]:
    """What the draws say of some tables, one after the other; call it where JAX is ``ready``.

    Tables of as many rows share what is compiled. New levels of a group have the same effects in all.

    Parameters
    ----------
    given
        Tasks whose responses are conditioned on, within each table.
    chance
        Whether the probabilities of categories are wanted.

    Raises
    ------
    ModelError
        When a column is missing, or a value can't be taken.
    """
    samples, seed = post.posterior.sizes["chain"] * post.posterior.sizes["draw"], int(post.attrs["seed"])
    keys = jax.random.split(jax.random.key(seed + 2), samples)
    run: Callable[..., Any] | None = None
    cells: list[int] = []
    for number, table in enumerate(tables):
        whole = renew(post, table, given, anonymous=True)
        if given:
            refuse(faults(whole, given))
        design, effects, seen = _known(post, whole, given, seed)
        data = jax.device_put(design.data)
        known, cells = cells, [len(family.y) for family in design.families]
        if run is None or design.gaps is not None or seen is not None or cells != known:
            program = build(design)
            sites = _sites(post, program, data)
            run = _run(program, design.families, seen, chance)
        told = run(data, {**sites, **effects}, keys, number, {} if seen is None else seen.draws)
        mean, response, shares = jax.tree.map(np.asarray, told)
        response = {f.name: f.in_numbers(response[f.name]) for f in design.families}
        yield Drawn(design, mean, response, shares)


def pieces(post: xr.DataTree, rows: int) -> list[slice]:
    """The rows of a table in pieces whose draws fit in memory."""
    sizes, tasks = post.posterior.sizes, json.loads(post.attrs["model"])["tasks"]
    cells = 1 if "by" in tasks and "outcome" in tasks else sizes["task"]  # of a row
    each = max(1, LARGEST // (sizes["chain"] * sizes["draw"] * cells))
    return [slice(start, start + each) for start in range(0, rows, each)]


def _known(
    post: xr.DataTree, design: Design, given: Collection[str], seed: int
) -> tuple[Design, dict[str, np.ndarray], Seen | None]:
    """A design whose levels are all known, their effects at each draw, and what responses say of them."""
    groups, effects, some, standards = [], {}, {}, {}
    for group in design.groups:
        own = populations(post, group, design.line) if group.new else []
        some[group.name], standards[group.name] = own, standard(own, group.name, group.new, seed)
        known, effect = local(post, group, design.line, standards[group.name], own)
        groups.append(known)
        effects[f"effect_{group.name}"] = effect
    seen = look(post, design, given, some, standards) if given else None
    return replace(design, groups=tuple(groups)), effects, seen


def _sites(post: xr.DataTree, program: Program, data: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The posterior's draws of a program's sites, but for the effects of groups; [sample, ...]."""
    found = {}
    for site, labels in anatomy(program, data).axes.items():
        name = site.rpartition(".")[2]
        if name in post.posterior and name not in ENTRIES and not name.startswith("effect_"):
            found[site] = members(post, labels, name)
    return found


def _run(
    program: Program, families: tuple[Family, ...], seen: Seen | None, chance: bool
) -> Callable[..., Any]:
    """A function of a table's arrays and of all draws, compiled once for tables of a size."""

    def one(data: Mapping[str, Any], number: Any, draw: tuple[Any, Any, Any]) -> Any:
        sites, key, more = draw
        key, new = jax.random.fold_in(key, number), jax.random.fold_in(key, 2 * number + 1)
        if seen is None:
            said = replay(program, data, sites, key, observed=False)[2]
            means, y = {n: each.outcome.mean for n, each in said.items()}, simulate(said, new)
        else:
            said, means, y = answer(seen, program, data, sites, (key, new), more)
        shares = {f.name: _chance(said[f.name], f) for f in families} if chance else {}
        return means, y, {name: value for name, value in shares.items() if value is not None}

    @jax.jit
    def run(data: Any, sites: Any, keys: Any, number: Any, more: Any) -> Any:
        return jax.lax.map(lambda draw: one(data, number, draw), (sites, keys, more), batch_size=BATCH)

    return run


def categories(family: Family, member: int) -> tuple[Any, ...]:
    """The categories of a task, for which there are probabilities: its grades, or 0 and 1."""
    return family.grades[member] or (0, 1)


def _chance(said: Said, family: Family) -> Any:
    """The probability of each category of each cell; [cell, category]. None of tasks without categories."""
    distribution = said.outcome.distribution
    if not family.values.size and distribution.support is not constraints.boolean:
        return None
    at = [jnp.full(distribution.batch_shape, k) for k in range(len(categories(family, 0)))]
    found = jnp.exp(jnp.stack([distribution.log_prob(value) for value in at], -1))
    return found if said.summed is None else said.summed.mean(family.name, found)
