"""The arithmetic of directions: kernels ``n1 W n2^T`` per position, and the edges that follow from them.

All blocks of a pair of layers that slide alike are one group, laid on their common
window. Sums are in float64 whatever their order, and stored as float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from circuitgraph.bundle import format as fmt
from circuitgraph.bundle.blocks import BlockInfo, DirectionBlockInfo, UnitKind, common_window, slides
from circuitgraph.kernels import summarise
from circuitgraph.records import Form, Layer

if TYPE_CHECKING:
    from circuitgraph.bundle.read import Bundle

__all__ = ["KINDS", "DirectionWeights", "Group", "Held", "Kinds", "block_info", "direction_edges", "groups_into"]

Kinds = tuple[UnitKind, UnitKind]
KINDS: tuple[Kinds, ...] = (
    ("neuron", "direction"),
    ("direction", "neuron"),
    ("direction", "direction"),
)
"""(up, down) of the blocks that a group can have, in the order of their numbers."""

_CHUNK_CELLS = 1 << 23
_HELD_CELLS = 1 << 24
_EDGE_ROWS = 1 << 17


@dataclass(frozen=True, slots=True)
class Held:
    """The directions of one layer, in order of their places: names, where they come from, (direction, channel)."""

    names: tuple[str, ...]
    sources: tuple[str, ...]
    coefficients: NDArray[np.float32]

    def take(self, places: Sequence[int]) -> Held:
        """Return some of them, in the order of `places`."""
        names, sources = (tuple(values[place] for place in places) for values in (self.names, self.sources))
        return Held(names, sources, self.coefficients[list(places)])


@dataclass(frozen=True, slots=True)
class Group:
    """The blocks between the neurons of two layers that slide alike.

    Attributes
    ----------
    number
        Its place among the groups into its downstream layer; it does not depend on which directions there are.
    """

    up: Layer
    down: Layer
    number: int
    parts: tuple[BlockInfo, ...]

    @property
    def window(self) -> tuple[int, int]:
        """(row, col) of the common window."""
        return common_window(self.parts)[1]

    @property
    def offset(self) -> tuple[int, int]:
        """(row, col) of the common window's first cell."""
        return common_window(self.parts)[0]

    @property
    def form(self) -> Form:
        """How the kernels of its directions are stored."""
        form = self.parts[0].form
        return form if form in ("global", "spatial") else "dense"

    def block_number(self, kinds: Kinds) -> int:
        """Return the number of its block between units of these kinds."""
        local = len(KINDS) * self.number + KINDS.index(kinds)
        return fmt.FIRST_DIRECTION_BLOCK + fmt.BLOCKS_A_LAYER * self.down.index + local


def groups_into(bundle: Bundle, down: Layer) -> list[Group]:
    """Return the groups of blocks into a layer, in the order in which their blocks are stored."""
    parts = [part for part in bundle.blocks if part.down == down.uid]
    keys = [(part.up, slides(part), part.stride) for part in parts]
    order = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    ranked = sorted(zip(keys, parts, strict=True), key=lambda each: (order[each[0]], each[1].block))
    return [
        Group(bundle.layer(key[0]), down, order[key], tuple(part for _, part in own))
        for key, own in groupby(ranked, key=lambda each: each[0])
    ]


def _dense_rows(bundle: Bundle, group: Group, start: int, stop: int) -> NDArray[np.float64]:
    """Return (down, up, row, col) kernels of neurons `start` to `stop` of the downstream layer, zeros and all."""
    (top, left), (height, width) = common_window(group.parts)
    out = np.zeros((stop - start, group.up.unit_count, height, width))
    for part in group.parts:
        first, last = max(start, part.row_start), min(stop, part.row_stop)
        if first >= last:
            continue
        row, col = part.offset[0] - top, part.offset[1] - left
        onto = out[first - start : last - start, :, row : row + part.window[0], col : col + part.window[1]]
        own = bundle.stored(part)[first - part.row_start : last - part.row_start]
        if part.up_file is None:
            onto += own
        else:
            sources = bundle.up_channels(part)[first - part.row_start : last - part.row_start]
            rows = np.flatnonzero(sources >= 0)
            onto[rows, sources[rows]] += own[rows]
    return out


def _add_into(
    bundle: Bundle, group: Group, onto: NDArray[np.float64], coefficients: NDArray[np.float64], start: int, stop: int
) -> None:
    """Add ``n W`` to (direction, up, row, col) over the downstream neurons `start` to `stop`."""
    kernels = _dense_rows(bundle, group, start, stop)
    own = coefficients[:, start:stop] @ kernels.reshape(stop - start, kernels[0].size)
    onto += own.reshape(onto.shape)


def _add_from(kernels: NDArray[np.float64], coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``K m^T``: (down, up, row, col) to (down, direction, row, col)."""
    down, up, height, width = kernels.shape
    cells = np.ascontiguousarray(kernels.reshape(down, up, height * width).transpose(0, 2, 1))
    out = cells.reshape(-1, up) @ coefficients.T
    return out.reshape(down, height, width, len(coefficients)).transpose(0, 3, 1, 2)


def _row_steps(count: int, cells_a_row: int) -> Iterator[tuple[int, int]]:
    """Cut `count` rows so that no piece is larger than what is worked on at once."""
    step = max(1, _CHUNK_CELLS // max(1, cells_a_row))
    for start in range(0, count, step):
        yield start, min(start + step, count)


@dataclass(frozen=True, slots=True)
class _EdgeEnds:
    """What of the units at the ends of a block goes into its edges.

    Attributes
    ----------
    up_uids, down_uids
        In order of channel or place.
    up_norms, down_norms
        l2 norms of the directions; 1 for neurons.
    totals
        For each target the l1 of all that leads to it from neurons.
    """

    up_uids: Sequence[str]
    down_uids: Sequence[str]
    up_norms: NDArray[np.float64]
    down_norms: NDArray[np.float64]
    totals: NDArray[np.float64]


class DirectionWeights:
    """What the kernels of directions are, for a bundle and some directions of its layers.

    Parameters
    ----------
    held
        Uid of a layer to its directions.
    """

    def __init__(self, bundle: Bundle, held: Mapping[str, Held]) -> None:
        self.bundle, self.held = bundle, held

    def count(self, layer: Layer, kind: UnitKind) -> int:
        """Return how many units of a kind a layer has."""
        return (
            layer.unit_count if kind == "neuron" else len(self.held[layer.uid].names) if layer.uid in self.held else 0
        )

    def coefficients(self, layer: Layer) -> NDArray[np.float64]:
        """Return the (direction, channel) coefficients of a layer."""
        return self.held[layer.uid].coefficients.astype(np.float64)

    def kinds_of(self, group: Group) -> list[Kinds]:
        """Return which blocks a group has, by what is at their ends."""
        return [(up, down) for up, down in KINDS if self.count(group.up, up) and self.count(group.down, down)]

    def cells(self, group: Group, kinds: Kinds) -> int:
        """Return how many weights a block has."""
        return self.count(group.up, kinds[0]) * self.count(group.down, kinds[1]) * group.window[0] * group.window[1]

    def iter_rows(self, group: Group, wanted: Sequence[Kinds]) -> Iterator[tuple[Kinds, NDArray[np.float64]]]:
        """Yield the kernels (down, up, row, col) of some blocks of a group piece by piece, rows in order."""
        if ("direction", "neuron") in wanted:
            above = self.coefficients(group.up)
            widest = max(group.up.unit_count, len(above)) * group.window[0] * group.window[1]
            for start, stop in _row_steps(group.down.unit_count, widest):
                yield ("direction", "neuron"), _add_from(_dense_rows(self.bundle, group, start, stop), above)
        if any(down == "direction" for _, down in wanted):
            yield from self._iter_into(group, wanted)

    def _iter_into(self, group: Group, wanted: Sequence[Kinds]) -> Iterator[tuple[Kinds, NDArray[np.float64]]]:
        below, cells = self.coefficients(group.down), group.window[0] * group.window[1]
        step = max(1, _HELD_CELLS // (group.up.unit_count * cells))
        for first in range(0, len(below), step):
            made = np.zeros((len(below[first : first + step]), group.up.unit_count, *group.window))
            for start, stop in _row_steps(group.down.unit_count, group.up.unit_count * cells):
                _add_into(self.bundle, group, made, below[first : first + step], start, stop)
            if ("neuron", "direction") in wanted:
                yield ("neuron", "direction"), made
            if ("direction", "direction") in wanted:
                above = self.coefficients(group.up)
                for start, stop in _row_steps(len(made), len(above) * cells):
                    yield ("direction", "direction"), _add_from(made[start:stop], above)

    def totals(self, layer: Layer, into: Sequence[NDArray[np.float32]]) -> dict[UnitKind, NDArray[np.float64]]:
        """Return the l1 of all that leads from neurons to each unit of a layer, by its kind.

        Parameters
        ----------
        into
            Every block from neurons to directions of the layer.
        """
        table = self.bundle.edges(layer.uid)
        l1 = table["l1"].to_numpy().astype(np.float64)
        neurons = np.zeros(layer.unit_count)
        np.add.at(neurons, table["down"].to_numpy(), l1)
        directions = np.zeros(self.count(layer, "direction"))
        for kernels in into:
            for start, stop in _row_steps(len(kernels), kernels[0].size):
                directions[start:stop] += np.abs(kernels[start:stop]).sum(axis=(1, 2, 3), dtype=np.float64)
        return {"neuron": neurons, "direction": directions}

    def ends(self, group: Group, kinds: Kinds, totals: NDArray[np.float64]) -> _EdgeEnds:
        """Return what the units at the ends of a block have to do with its edges."""
        (up_uids, up_norms), (down_uids, down_norms) = self._end(group.up, kinds[0]), self._end(group.down, kinds[1])
        return _EdgeEnds(up_uids, down_uids, up_norms, down_norms, totals)

    def _end(self, layer: Layer, kind: UnitKind) -> tuple[list[str], NDArray[np.float64]]:
        if kind == "neuron":
            return [str(layer.unit(channel)) for channel in range(layer.unit_count)], np.ones(layer.unit_count)
        norms = np.sqrt(np.square(self.coefficients(layer)).sum(axis=1))
        return [f"{layer.uid}@{name}" for name in self.held[layer.uid].names], norms


def block_info(group: Group, kinds: Kinds, row_count: int, file: str) -> DirectionBlockInfo:
    """Return what is known of a block before its edges are made."""
    first = group.parts[0]
    return DirectionBlockInfo(
        block=group.block_number(kinds),
        up=group.up.uid,
        down=group.down.uid,
        row_start=0,
        row_stop=row_count,
        form=group.form,
        window=group.window,
        offset=group.offset,
        stride=first.stride,
        approximations=tuple(dict.fromkeys(word for part in group.parts for word in part.approximations)),
        edge_count=0,
        zero_count=0,
        l1=0.0,
        squared=0.0,
        cancellation_median=None,
        cancellation_p90=None,
        strong_sum_cut=first.strong_sum_cut,
        strong_l2_cut=first.strong_l2_cut,
        file=file,
        up_file=None,
        factor_files=(),
        up_kind=kinds[0],
        down_kind=kinds[1],
    )


def direction_edges(part: DirectionBlockInfo, kernels: NDArray[np.float32], ends: _EdgeEnds) -> Iterator[pa.Table]:
    """Yield the edges of a block, sorted by up, then down, without kernels of zeros."""
    down_count, up_count = kernels.shape[:2]
    step = max(1, _EDGE_ROWS // max(1, down_count))
    for start in range(0, up_count, step):
        own = np.ascontiguousarray(kernels[:, start : start + step].transpose(1, 0, 2, 3))
        every = summarise(own.reshape(-1, *own.shape[2:]), part.anchor)
        kept = np.flatnonzero(every["l1"] > 0)
        up, down = (kept // down_count + start).astype(np.int32), (kept % down_count).astype(np.int32)
        scalars = {name: values[kept] for name, values in every.items()}
        norms, totals = ends.up_norms[up] * ends.down_norms[down], ends.totals[down]
        sums, l1, l2 = (scalars[name] for name in ("sum", "l1", "l2"))
        by_sum = (np.abs(sums) >= part.strong_sum_cut * norms) & (sums != 0)
        by_l2 = l2 >= part.strong_l2_cut * norms
        columns: dict[str, Any] = {
            "block": np.full(len(up), part.block, dtype=np.int32),
            "up": up,
            "down": down,
            **scalars,
            "cancellation": np.zeros(len(up), dtype=np.float32),
            "share_in": np.divide(l1, totals, out=np.zeros(len(up)), where=totals > 0).astype(np.float32),
            "excites": by_sum & (sums > 0),
            "inhibits": by_sum & (sums < 0),
            "mixes": by_l2 & (np.abs(sums) < fmt.MIXES_SUM_SHARE * l1),
            "up_uid": _named(ends.up_uids, up),
            "down_uid": _named(ends.down_uids, down),
        }
        yield pa.table(columns, schema=fmt.DIRECTION_EDGES_SCHEMA)


def _named(uids: Sequence[str], places: NDArray[np.integer[Any]]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), pa.array(uids, pa.string()))
