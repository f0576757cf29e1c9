"""Models of normal tasks with all coefficients integrated out.

Given the scales, correlations and noises, offsets, weights and group effects have a normal prior and a
normal likelihood. The program says the first: its latent arrays that are ``linear`` are normal, and the
coefficients are linear in them. The table's moments say the second. What is left to sample is of few
dimensions, and a gradient costs the same for any number of rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.handlers import block, seed, substitute, trace

from bayesmtl.arrow import Arrow, Prior, draw, inverse_root, log_integral
from bayesmtl.coefficients import by_line, coefficients
from bayesmtl.coordinates import Blocks, directions, free, places
from bayesmtl.design import Design
from bayesmtl.moments import Moments, moments
from bayesmtl.program import Program, build
from bayesmtl.sites import Array


@dataclass(frozen=True)
class Collapsed:
    """A model of normal tasks, its coefficients integrated out.

    Parameters
    ----------
    program
        Of what is left; the coefficients are a factor of its density.
    data
        What it takes.
    complete
        Draws what was integrated out, given the rest, the data and a key.
    """

    program: Callable[..., None]
    data: Mapping[str, Any]
    complete: Callable[..., dict[str, Array]]


def collapse(design: Design, program: Program, data: Mapping[str, Any]) -> Collapsed:
    """Integrate the coefficients out of a model of normal tasks.

    Parameters
    ----------
    design
        One that ``refusal`` has nothing against.
    program, data
        The design's, without a pilot.

    References
    ----------
    Lindley and Smith (1972). Bayes estimates for the linear model. Journal of the Royal Statistical Society
        B 34, 1-41.
    """
    apart, found = places(program, data, design)
    short = _with_one_level(design, apart)
    lean = build(short)  # all levels follow their coordinates alike
    joint = design.model.residual["kind"] == "correlated"
    summed = moments(design, apart.group, joint)
    mean = {name: jnp.asarray(place.mean) for name, place in found.items()}
    if apart.group:
        mean = {name: value[:, :1] if found[name].apart else value for name, value in mean.items()}
    ways = [directions(found, side, mean) for side in (False, True)]  # of the rest, and of the blocks

    @jax.jit  # traced once, for the density and for the draws
    def system(data: Mapping[str, Any], given: Mapping[str, Array]) -> tuple[Arrow, Prior, Array]:
        """The coefficients at what was drawn, and what the responses add to the density by themselves."""

        def at(linear: Mapping[str, Array]) -> tuple[tuple[Array, Array], dict[str, Any]]:
            with block(), trace() as seen:
                seed(substitute(lean, data={**given, **linear}), 0)(data)
            dense, near = coefficients(short, apart.group, seen)
            scatter = {name: {"value": site["value"]} for name, site in seen.items() if _scatters(name)}
            return (dense, dense if apart.tasks else near[:, 0]), scatter

        (known, _), along, scatter = jax.linearize(at, mean, has_aux=True)
        way, turned = (_along(along, out, ways[out], mean) for out in (0, 1))
        if apart.group or joint:
            known, way = known.reshape(1, -1), way.reshape(1, -1, way.shape[-1])
        m = Moments(**data["moments"])
        precision, volume = _precision(design, scatter, m)
        alone = jnp.einsum("poq,poq->", precision, m.yy) + (m.count * volume).sum()
        return _arrow(apart, joint, m, precision, turned), Prior(known, way), -0.5 * alone

    def collapsed(data: Mapping[str, Any]) -> None:
        with block(hide_fn=lambda site: site["name"] in mean or _response(site)), trace() as sites:
            substitute(lean, data=mean)(data)
        given = {name: site["value"] for name, site in sites.items() if free(site) and name not in mean}
        arrow, prior, alone = system(data, given)
        numpyro.factor("collapsed", log_integral(arrow, prior) + alone)

    def complete(rest: Mapping[str, Array], data: Mapping[str, Any], key: Array) -> dict[str, Array]:
        arrow, prior, _ = system(data, rest)
        inside, common = draw(arrow, prior, key)
        own = jnp.concatenate(jnp.swapaxes(inside, 1, 2))  # [block, own]
        return {name: place.read(own, common) for name, place in found.items()}

    whole = {**data, "moments": jax.device_put(summed.data)}
    return Collapsed(collapsed, whole, complete)


def _with_one_level(design: Design, apart: Blocks) -> Design:
    """A design with one level of the group whose levels stand apart."""
    if apart.group is None:
        return design
    one = replace(apart.group, level=apart.group.level.take([0]), index=np.zeros_like(apart.group.index))
    return replace(design, groups=tuple(one if group is apart.group else group for group in design.groups))


def _response(site: Mapping[str, Any]) -> bool:
    """Whether responses are observed there; a factor is the program's own, or that of a transform."""
    return site["type"] == "sample" and site["is_observed"] and not isinstance(site["fn"], dist.Unit)


def _scatters(name: str) -> bool:
    """Whether a site says how residuals scatter."""
    return name == "residual_correlation" or name.endswith(".sigma")


def _arrow(apart: Blocks, joint: bool, m: Moments, precision: Array, own: Array) -> Arrow:
    """What the cells say of the coefficients; each task is a part where tasks meet by their prior alone.

    Parameters
    ----------
    precision
        Of the residuals; [part of the table, out, out].
    own
        How the coefficients of a block follow its coordinates; [line, term, coordinate], or of tasks
        [line, dense, coordinate].
    """
    lines, dense = m.line.shape[1] if joint else len(m.line), m.dd.shape[-1]
    if joint:
        block = jnp.einsum("pts,tkn,pbkj,sjl->nlb", precision, own, m.zz, own, optimize=True)
        border = jnp.einsum("pts,tkn,pbkd->sdnb", precision, own, m.zd, optimize=True)
        pull = jnp.einsum("pts,tkn,pbks->nb", precision, own, m.zy, optimize=True)
        rest = jnp.einsum("pts,pde->tdse", precision, m.dd)
        rest_pull = jnp.einsum("pts,pds->td", precision, m.dy)
    else:
        width = precision[:, 0, 0]
        weighted = width[:, None, None] * own
        rest, rest_pull = width[:, None, None] * m.dd, width[:, None] * m.dy[..., 0]
        if apart.group is None:
            own = own if apart.tasks else jnp.zeros((lines, dense, 0))
            seen = rest @ own
            block, pull = own.mT @ seen, jnp.einsum("tdn,td->tn", own, rest_pull)
            return Arrow(block[..., None], seen[..., None], rest, pull[..., None], rest_pull)
        block = jnp.einsum("tkn,tbkj,tjl->nlb", weighted, m.zz, own, optimize=True)
        border = jnp.einsum("tkn,tbkd->tdnb", weighted, m.zd)
        pull = jnp.einsum("tkn,tbk->nb", weighted, m.zy[..., 0])
        rest = jnp.einsum("ts,tde->tdse", jnp.eye(lines), rest)
    every = lines * dense
    border = border.reshape(1, every, *pull.shape)
    return Arrow(block[None], border, rest.reshape(1, every, every), pull[None], rest_pull.reshape(1, every))


def _along(linear: Any, out: int, ways: Mapping[str, Array], like: Mapping[str, Array]) -> Array:
    """How one of the values of a linear function changes along some directions; [..., direction]."""
    zero = jax.tree.map(jnp.zeros_like, dict(like))
    if not ways:
        return jnp.zeros((*jax.eval_shape(linear, zero)[out].shape, 0))
    return jax.vmap(lambda way: linear({**zero, **way})[out], out_axes=-1)(dict(ways))


def _precision(design: Design, sites: Mapping[str, Any], m: Moments) -> tuple[Array, Array]:
    """The residual precision of each part, and the log determinant of 2 pi times its inverse."""
    sigma, lines, eye = by_line(design, sites, "sigma"), m.line, jnp.eye(m.line.shape[1])
    whole = jnp.eye(len(sigma))
    if "residual_correlation" in sites:
        some = np.array([design.line.labels.index(name) for name in design.partner.labels])
        whole = whole.at[np.ix_(some, some)].set(sites["residual_correlation"]["value"])
    whole = sigma[:, None] * whole * sigma
    both = m.mask[:, :, None] & m.mask[:, None, :]
    each = jnp.where(both, whole[lines[:, :, None], lines[:, None, :]], eye)
    inverse = inverse_root(each[..., None])[..., 0]
    volume = -2 * jnp.log(jnp.diagonal(inverse, axis1=-2, axis2=-1)).sum(-1)
    scale = 2 * jnp.log(jnp.asarray(design.unit_of))[lines] + jnp.log(2 * jnp.pi)
    volume += jnp.where(m.mask, scale, 0.0).sum(-1)
    return jnp.where(both, inverse.mT @ inverse, 0.0), volume
