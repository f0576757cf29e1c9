"""Some cells of a table as a program's arrays, filled up so that one compiled program takes any of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.design import Design
from bayesmtl.left_out.held_out import by_family


@dataclass(frozen=True)
class Part:
    """Some cells, with all that a program takes to tell their densities.

    Parameters
    ----------
    cell
        Which they are, in the order of the tasks; [cell], family by family.
    data
        The program's arrays. Beside these cells they have others: what they are filled up with and, where
        residuals are correlated, the other cells of a row.
    place
        Where the cells stand among those of the arrays, by families.
    """

    cell: np.ndarray
    data: Mapping[str, Any]
    place: Mapping[str, np.ndarray]

    def read(self, values: Mapping[str, Any]) -> np.ndarray:
        """Of what families have for each cell of the arrays, that of the part's cells; [..., cell]."""
        return np.concatenate([np.asarray(values[name])[..., at] for name, at in self.place.items()], axis=-1)

    def laid(self, values: np.ndarray, other: int) -> dict[str, np.ndarray]:
        """What the part's cells have, for each cell of the arrays; ``other`` for the others."""
        found, start = {}, 0
        for name, at in self.place.items():
            found[name] = np.full(len(self.data["cells"][name]["y"]), other, values.dtype)
            found[name][at] = values[start : start + len(at)]
            start += len(at)
        return found


class _Picked(NamedTuple):
    """What a part takes of a design.

    ``own`` are the cells of each family, ``asked`` says which of these were asked for, and ``joined`` are the
    rows of the design's layout, of cells whose residuals are correlated.
    """

    rows: np.ndarray
    own: dict[str, np.ndarray]
    asked: dict[str, np.ndarray]
    joined: np.ndarray


def parts(design: Design, chosen: Sequence[np.ndarray]) -> tuple[Design, Iterator[Part]]:
    """Cells in parts whose arrays have the same shapes, and a design whose program takes these.

    Parameters
    ----------
    chosen
        The numbers of each part's cells, in the order of the tasks.
    """
    number = by_family(design, np.arange(sum(len(f.y) for f in design.families)))
    layout = design.joint
    every = [_picked(design, layout, number, cells) for cells in chosen]
    rows, joined = (max(len(each) for each in sizes) for sizes in zip(*((p.rows, p.joined) for p in every)))
    # no program takes a family without cells: it has one at least, that nobody asks for
    size = {f.name: max(1, *(len(picked.own[f.name]) for picked in every)) for f in design.families}

    def some(picked: _Picked) -> Design:
        own = {name: _filled(at, size[name]) for name, at in picked.own.items()}
        return _some(design, picked.rows, _filled(picked.rows, rows), own)

    def made() -> Iterator[Part]:
        for picked in every:
            # a design that is filled up can't say which cells share a row
            alone = replace(some(picked), model=replace(design.model, residual={"kind": "independent"}))
            data = {**alone.data, "residual": _laid(design, layout, picked, size, joined)}
            place = {name: np.flatnonzero(asked) for name, asked in picked.asked.items()}
            cell = np.concatenate([number[name][picked.own[name][at]] for name, at in place.items()])
            yield Part(cell, data, place)

    return some(every[0]), made()


def _picked(
    design: Design, layout: Mapping[str, np.ndarray], number: Mapping[str, np.ndarray], cells: np.ndarray
) -> _Picked:
    """What the cells of these numbers need."""
    chosen = np.zeros(sum(map(len, number.values())), bool)
    chosen[cells] = True
    asked = {name: chosen[each] for name, each in number.items()}
    rows = np.unique(np.concatenate([f.row[asked[f.name]] for f in design.families]))
    within, partners = np.zeros(len(design.units), bool), {f.name for f in design.partners}
    within[rows] = True
    needed = {f.name: within[f.row] if f.name in partners else asked[f.name] for f in design.families}
    own = {name: np.flatnonzero(each) for name, each in needed.items()}
    beside = np.concatenate([np.zeros(0, bool), *(needed[f.name] for f in design.partners)])
    joined = np.unique(layout["row"][beside]) if layout else np.zeros(0, int)
    return _Picked(rows, own, {name: asked[name][at] for name, at in own.items()}, joined)


def _filled(index: np.ndarray, size: int) -> np.ndarray:
    """Places, and the first of all as often as it takes to have so many."""
    return np.pad(index, (0, size - len(index)))


def _some(design: Design, rows: np.ndarray, filled: np.ndarray, own: Mapping[str, np.ndarray]) -> Design:
    """A design with some of its rows, filled up, and some cells of each family."""
    place = np.zeros(len(design.units), int)
    place[rows] = np.arange(len(rows))
    families = [
        replace(
            f,
            of=f.of[at],
            row=place[f.row[at]],
            y=f.y[at],
            power=f.power[at],
            columns={name: values[at] for name, values in f.columns.items()},
        )
        for f, at in ((f, own[f.name]) for f in design.families)
    ]
    return replace(
        design,
        predictors=replace(design.predictors, x=design.predictors.x[filled]),
        spread=replace(design.spread, x=design.spread.x[filled]),
        families=tuple(families),
        groups=tuple(replace(g, index=g.index[filled], z=g.z[filled]) for g in design.groups),
        units=design.units[filled],
    )


def _laid(
    design: Design, layout: Mapping[str, np.ndarray], picked: _Picked, size: Mapping[str, int], joined: int
) -> dict[str, np.ndarray]:
    """Which cells share a row, as ``layout`` says of all; those that fill up have a row of their own."""
    if not layout:
        return {}
    place = np.full(layout["row"].max() + 1, joined)
    place[picked.joined] = np.arange(len(picked.joined))
    row, task, start = [], [], 0
    for family in design.partners:
        at = picked.own[family.name]
        alone = np.full(size[family.name] - len(at), joined)
        row.append(np.concatenate([place[layout["row"][start + at]], alone]))
        task.append(layout["task"][start + _filled(at, size[family.name])])
        start += len(family.y)
    pattern = _filled(layout["pattern"][picked.joined], joined + 1)
    return {
        "row": np.concatenate(row),
        "task": np.concatenate(task),
        "mask": layout["mask"],
        "pattern": pattern,
    }
