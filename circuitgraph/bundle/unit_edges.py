"""The edges at one unit, read without the rest of its layers' blocks.

What leads into a neuron is one row of each block, which memory maps give; what leads out of it is a stretch of the
table of edges, which is sorted by block and upstream unit. Edges whose kernel is zero are none. The numbers are those
of the table of edges, in float32, so that equal ones are equal everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from circuitgraph.bundle.blocks import BlockInfo, common_window
from circuitgraph.errors import BundleError
from circuitgraph.graph import CircuitEdge
from circuitgraph.ids import UnitId
from circuitgraph.kernels import anchor_of, summarise_grid

if TYPE_CHECKING:
    from circuitgraph.bundle.read import Bundle

__all__ = ["STRENGTHS", "UnitEdges", "edges_into", "edges_out_of", "read_edge"]

STRENGTHS = ("l1", "l2", "share_in")
"""What edges can be ranked by."""


@dataclass(frozen=True, slots=True)
class UnitEdges:
    """Some edges that share one unit, (edge,) each: the unit at the other end, and how strong they are."""

    far: NDArray[np.object_]
    rank: NDArray[np.int64]
    l1: NDArray[np.float32]
    l2: NDArray[np.float32]
    share_in: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.far)

    def strongest(self, top: int, by: str) -> list[tuple[str, float]]:
        """Return the units at the ends of the `top` strongest with the edges' shares, equal ones by `rank`."""
        strength: NDArray[np.float32] = getattr(self, by)
        order = np.lexsort((self.rank, -strength.astype(np.float64)))[:top]
        return [(str(self.far[place]), float(self.share_in[place])) for place in order]


def edges_into(bundle: Bundle, unit: UnitId) -> UnitEdges:
    """Return the edges into a unit: those of a neuron from neurons, those of a direction from both."""
    if unit.channel is None:
        return _of_direction(bundle, unit, "down")
    layer, found, first = str(unit.layer_id), [], 0
    for part in bundle.blocks:
        if part.down != layer or not part.row_start <= unit.channel < part.row_stop:
            continue
        row = bundle.stored(part)[unit.channel - part.row_start]
        ups = np.arange(len(row))
        if part.up_file is not None:
            ups = bundle.up_channels(part)[unit.channel - part.row_start : unit.channel - part.row_start + 1]
            row, ups = row[np.newaxis][ups >= 0], ups[ups >= 0]
        sizes = summarise_grid(row[np.newaxis], part.anchor, ("l1", "l2"))
        first = bundle.layer(part.up).index
        found.append((part.up, first, ups.astype(np.int64), sizes["l1"], sizes["l2"]))
    total = sum(float(l1.astype(np.float64).sum()) for *_, l1, _ in found)
    return _joined(
        (up, index, channels, l1, l2, (l1 / total if total > 0 else np.zeros(len(l1))).astype(np.float32))
        for up, index, channels, l1, l2 in found
    )


def edges_out_of(bundle: Bundle, unit: UnitId) -> UnitEdges:
    """Return the edges out of a unit: those of a neuron to neurons, those of a direction to both."""
    if unit.channel is None:
        return _of_direction(bundle, unit, "up")
    own = str(unit.layer_id)

    def tables() -> Iterator[tuple[str, int, NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]]:
        for layer in dict.fromkeys(down for up, down in bundle.pairs if up == own):
            blocks = [part.block for part in bundle.blocks if (part.up, part.down) == (own, layer)]
            at = bundle.layer(layer)
            with bundle._reading(f"edges/{at.index:04d}.parquet") as path, pq.ParquetFile(path) as file:
                table = _stretch(file, blocks, unit.channel or 0)
            yield layer, at.index, *(table[name].to_numpy() for name in ("down", "l1", "l2", "share_in"))

    return _joined(tables())


def read_edge(bundle: Bundle, up: str, down: str, *, share_in: float | None = None) -> CircuitEdge:
    """Return one edge with its kernel, on the window of the whole pair of layers where one array holds that."""
    u, d = bundle.unit(up), bundle.unit(down)
    pair = (str(u.layer_id), str(d.layer_id))
    parts = [part for part in bundle.blocks if (part.up, part.down) == pair]
    attributes = {
        "stride": list(parts[0].stride),
        "approximations": list(dict.fromkeys(word for part in parts for word in part.approximations)),
    }
    try:
        offset, window = common_window(parts)
        kernel = bundle.kernel(str(u), str(d))
        anchor = anchor_of(parts[0].form if len(parts) == 1 else "row block", offset, window)
    except BundleError:
        # the pair is stored in blocks that slide differently
        part = next(part for part in parts if part.row_start <= (d.channel or 0) < part.row_stop)
        kernel, anchor = _alone(bundle, part, u.channel or 0, d.channel or 0), part.anchor
    share = None if share_in is None or share_in > 1 else share_in
    return CircuitEdge(str(u), str(d), kernel, anchor=anchor, share_in=share, attributes=attributes)


def _alone(bundle: Bundle, part: BlockInfo, up: int, down: int) -> NDArray[np.float32]:
    row = bundle.stored(part)[down - part.row_start]
    return np.array(row if part.up_file is not None else row[up])


def _stretch(file: pq.ParquetFile, blocks: list[int], channel: int) -> pa.Table:
    """Return the rows of one upstream unit, reading no row group that holds none of them."""
    names = file.schema_arrow.names
    place = names.index("up")
    groups = []
    for number in range(file.metadata.num_row_groups):
        known = file.metadata.row_group(number).column(place).statistics
        if known is None or not known.has_min_max or known.min <= channel <= known.max:
            groups.append(number)
    table = file.read_row_groups(groups, columns=["block", "up", "down", "l1", "l2", "share_in"], use_threads=False)
    wanted = (table["up"].to_numpy() == channel) & np.isin(table["block"].to_numpy(), blocks)
    return table.take(np.flatnonzero(wanted))


def _of_direction(bundle: Bundle, unit: UnitId, near: str) -> UnitEdges:
    """Return the edges at a direction, `near` the end that it is at."""
    own, place = str(unit.layer_id), bundle.directions.place(unit)
    far = "up" if near == "down" else "down"
    layers = [own] if near == "down" else list(dict.fromkeys(down for up, down in bundle.pairs if up == own))

    def tables() -> Iterator[tuple[Any, ...]]:
        for layer in layers:
            blocks = [
                part.block
                for part in bundle.directions.blocks
                if part.down == layer and getattr(part, near) == own and getattr(part, f"{near}_kind") == "direction"
            ]
            table = bundle.directions.edges(layer)
            wanted = (table[near].to_numpy() == place) & np.isin(table["block"].to_numpy(), blocks)
            rows = table.take(np.flatnonzero(wanted))
            uids = np.array(rows[f"{far}_uid"].to_pylist(), dtype=object)
            index = bundle.layer(layer).index
            yield (uids, index, rows[far].to_numpy(), *(rows[n].to_numpy() for n in ("l1", "l2", "share_in")))

    return _joined(tables())


def _joined(tables: Any) -> UnitEdges:
    """Put tables together: what is at the other end (a layer, or uids), the layer's index, channels, l1, l2, share."""
    far, rank, columns = [np.zeros(0, dtype=object)], [np.zeros(0, np.int64)], []
    for at, index, channels, l1, l2, share in tables:
        kept = l1 > 0
        uids = [f"{at}:{channel}" for channel in channels[kept].tolist()] if isinstance(at, str) else at[kept]
        far.append(np.array(uids, dtype=object))
        rank.append((np.int64(index) << 40) + channels[kept])
        columns.append((l1[kept], l2[kept], share[kept]))
    empty = np.zeros(0, dtype=np.float32)
    l1, l2, share = (np.concatenate([empty, *(each[place] for each in columns)]) for place in range(3))
    return UnitEdges(np.concatenate(far), np.concatenate(rank), l1, l2, share)
