"""The table of edges of one target layer, from its blocks of kernels.

It is made in slices, in the order in which it is stored (block, up, down), so that of a table which can be
many times the size of the kernels no more than a slice is in memory. One function makes it for the writer and
again for `Bundle.verify`, so that the table can be checked against the kernels at any time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from circuitgraph.bundle.format import EDGES_SCHEMA, MIXES_SUM_SHARE, ROW_GROUP, STRONG_SHARE
from circuitgraph.kernels import MAGNITUDES, SCALARS, anchor_of, strong_cut, summarise_grid

__all__ = ["BlockEdges", "TargetEdges", "block_edges", "target_edges"]

_PLACES = tuple(name for name in SCALARS if name not in MAGNITUDES)


class BlockEdges:
    """The edges of one block, sorted by up, then down.

    What depends on no other edge and says how much a kernel weighs is at hand, (edge,) each, in `magnitudes`;
    the rest is read from the kernels when `slice` is asked for it.

    Parameters
    ----------
    kernels
        (down, up, row, col), or (down, row, col) for a diagonal block.
    number, source
        The block's number in its bundle, and the uid of its upstream layer.
    gross
        Sum of ``|W2| |W1|`` an edge, shaped like `kernels` without (row, col); None where nothing
        was multiplied out: then nothing can have cancelled and the cancellation is 0.
    """

    def __init__(
        self,
        kernels: NDArray[np.float32],
        *,
        form: str,
        row_start: int,
        offset: tuple[int, int],
        up_channels: NDArray[np.int32] | None,
        gross: NDArray[np.floating[Any]] | None,
        number: int = 0,
        source: str = "",
    ) -> None:
        self.number = number
        self.source = source
        self._anchor = anchor_of(form, offset, (kernels.shape[-2], kernels.shape[-1]))
        self._ups: NDArray[np.int32] | None = None
        self._downs = np.arange(row_start, row_start + kernels.shape[0], dtype=np.int32)
        if up_channels is not None:
            # one edge a row: laid out as if all of them led to one unit
            rows = np.flatnonzero(up_channels >= 0)
            rows = rows[np.lexsort((rows, up_channels[rows]))]
            self._ups, self._downs = up_channels[rows].astype(np.int32), (rows + row_start).astype(np.int32)
            kernels = kernels[rows][np.newaxis]
            gross = None if gross is None else gross[rows][np.newaxis]
        self._kernels = kernels
        self.magnitudes: Mapping[str, NDArray[np.float32]] = summarise_grid(kernels, self._anchor, MAGNITUDES)
        self.cancellation = None if gross is None else self._cancelled(gross)

    def _cancelled(self, gross: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        possible = np.ascontiguousarray(gross.T, dtype=np.float32).reshape(-1)
        share = np.divide(self.magnitudes["l1"], possible, out=np.ones_like(possible), where=possible > 0)
        np.subtract(1, share, out=share)
        return np.clip(share, 0, 1, out=share)

    @property
    def count(self) -> int:
        """How many edges there are."""
        return int(self._kernels.shape[0]) * int(self._kernels.shape[1])

    @property
    def up(self) -> NDArray[np.int32]:
        """The upstream channel of each edge."""
        return self.channels(0, self.count)["up"]

    @property
    def down(self) -> NDArray[np.int32]:
        """The downstream channel of each edge."""
        return self.channels(0, self.count)["down"]

    @property
    def scalars(self) -> Mapping[str, NDArray[Any]]:
        """All scalars of all edges."""
        found = self.slice(0, self.count)
        return {name: found[name] for name in SCALARS}

    def starts(self) -> list[int]:
        """Return where `slice` may begin and end: edges of the same upstream unit are not torn apart."""
        each = self._kernels.shape[0]
        step = max(1, ROW_GROUP // max(each, 1))
        return [each * up for up in (*range(0, self._kernels.shape[1], step), self._kernels.shape[1])]

    def slice(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Return up, down, all scalars and the cancellation of some edges; `start` and `stop` are of `starts`."""
        each = self._kernels.shape[0]
        first, last = start // each, stop // each
        found: dict[str, NDArray[Any]] = dict(self.channels(start, stop))
        found |= {name: values[start:stop] for name, values in self.magnitudes.items()}
        found |= summarise_grid(self._kernels[:, first:last], self._anchor, _PLACES)
        nothing = np.zeros(stop - start, dtype=np.float32)
        found["cancellation"] = nothing if self.cancellation is None else self.cancellation[start:stop]
        return found

    def channels(self, start: int, stop: int) -> dict[str, NDArray[np.int32]]:
        """Return up and down of some edges."""
        if self._ups is not None:
            return {"up": self._ups[start:stop], "down": self._downs[start:stop]}
        first, last = start // len(self._downs), stop // len(self._downs)
        return {
            "up": np.repeat(np.arange(first, last, dtype=np.int32), len(self._downs)),
            "down": np.tile(self._downs, last - first),
        }

    def add_up(self, name: str, axis: str, onto: NDArray[np.float64], *, squared: bool = False) -> None:
        """Add a magnitude of all edges onto the units at one end of them, `axis` "up" or "down"."""
        if self._ups is not None:
            ends = self._ups if axis == "up" else self._downs
            values = self.magnitudes[name].astype(np.float64)
            np.add.at(onto, ends, np.square(values) if squared else values)
            return
        each = len(self._downs)
        for start, stop in itertools.pairwise(self.starts()):
            part = self.magnitudes[name][start:stop].astype(np.float64).reshape(-1, each)
            if squared:
                np.square(part, out=part)
            if axis == "up":
                onto[start // each : stop // each] += part.sum(axis=1)
            else:
                onto[self._downs[0] : self._downs[-1] + 1] += part.sum(axis=0)


class TargetEdges:
    """All edges into one layer.

    Parameters
    ----------
    blocks
        In order of their numbers.
    unit_count
        How many units the layer has.
    strong_share
        The share of each upstream layer's edges that is strong; bundles have their own.

    Attributes
    ----------
    cuts
        For each upstream layer (cut of |sum|, cut of l2), which its strong edges reach.
    """

    def __init__(self, blocks: Sequence[BlockEdges], unit_count: int, *, strong_share: float = STRONG_SHARE) -> None:
        self.blocks = blocks
        self._total = np.zeros(unit_count)
        for block in blocks:
            block.add_up("l1", "down", self._total)
        self.cuts: dict[str, tuple[float, float]] = {}
        for up in dict.fromkeys(block.source for block in blocks):
            own = [block.magnitudes for block in blocks if block.source == up]
            self.cuts[up] = (
                strong_cut(np.abs(_joined([each["sum"] for each in own])), strong_share),
                strong_cut(_joined([each["l2"] for each in own]), strong_share),
            )

    def iter_slices(self) -> Iterator[pa.Table]:
        """Yield the table piece by piece, one row an edge, columns as `EDGES_SCHEMA`.

        `share_in` is of the target's l1 over all its sources; the strong flags are cut for each upstream layer by
        itself.
        """
        for block in self.blocks:
            starts = block.starts()
            for start, stop in itertools.pairwise(starts):
                if stop > start:
                    yield self._slice(block, start, stop)

    def _slice(self, block: BlockEdges, start: int, stop: int) -> pa.Table:
        found = block.slice(start, stop)
        sums, l1, l2 = (found[name] for name in ("sum", "l1", "l2"))
        sum_cut, l2_cut = self.cuts[block.source]
        magnitude = np.abs(sums)
        by_sum = (magnitude >= sum_cut) & (sums != 0)
        by_l2 = (l2 >= l2_cut) & (l2 > 0)
        of = self._total[found["down"]]
        found["block"] = np.full(stop - start, block.number, dtype=np.int32)
        found["share_in"] = np.divide(l1, of, out=np.zeros(stop - start), where=of > 0).astype(np.float32)
        found["excites"] = by_sum & (sums > 0)
        found["inhibits"] = by_sum & (sums < 0)
        found["mixes"] = by_l2 & (magnitude < MIXES_SUM_SHARE * l1)
        return pa.table({name: found[name] for name in EDGES_SCHEMA.names}, schema=EDGES_SCHEMA)


def block_edges(
    kernels: NDArray[np.float32],
    *,
    form: str,
    row_start: int,
    offset: tuple[int, int],
    up_channels: NDArray[np.int32] | None = None,
    gross: NDArray[np.floating[Any]] | None = None,
) -> BlockEdges:
    """Summarise one block that stands in no bundle; see `BlockEdges`."""
    return BlockEdges(kernels, form=form, row_start=row_start, offset=offset, up_channels=up_channels, gross=gross)


def target_edges(
    blocks: Sequence[BlockEdges], unit_count: int, *, strong_share: float = STRONG_SHARE
) -> tuple[pa.Table, dict[str, tuple[float, float]]]:
    """Put the blocks of one target layer together, as one table; returns `TargetEdges.cuts` too."""
    target = TargetEdges(blocks, unit_count, strong_share=strong_share)
    tables = list(target.iter_slices())
    return pa.concat_tables(tables) if tables else EDGES_SCHEMA.empty_table(), target.cuts


def _joined(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
