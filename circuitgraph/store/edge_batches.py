"""Edges and relationships on their way into the graph, whether between neurons or directions."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from circuitgraph.bundle.blocks import BlockInfo
from circuitgraph.errors import SettingsError
from circuitgraph.kernels import SCALARS
from circuitgraph.records import Fidelity
from circuitgraph.store.fidelity import fidelity_row

__all__ = [
    "ALL_EDGES_LIMIT",
    "EdgeBatch",
    "EdgesRule",
    "End",
    "Relation",
    "batch_of",
    "feeds_row",
    "share",
    "strongest",
]

ALL_EDGES_LIMIT = 5_000_000
"""Up to this many edges of a bundle the rule "auto" puts all of them into the graph."""
_AUTO_TOP = 20


@dataclass(frozen=True, slots=True)
class EdgesRule:
    """Which edges of a bundle are in the graph.

    "all", or the strongest `top` by l2 for each target and source layer, and the strong edges besides.
    """

    top: int | None = None

    @classmethod
    def parse(cls, text: str, edge_count: int) -> EdgesRule:
        """Read "all", "top:K" or "auto" (all up to 5 million edges, else top:20).

        Raises
        ------
        SettingsError
            It is none of these.
        """
        if text == "all" or (text == "auto" and edge_count <= ALL_EDGES_LIMIT):
            return cls()
        if text == "auto":
            return cls(_AUTO_TOP)
        head, _, number = text.partition(":")
        if head == "top" and re.fullmatch("[1-9][0-9]{0,8}", number):
            return cls(int(number))
        raise SettingsError(f"rule of edges {text!r} is not known.", hint="Use auto, all, or top:K, as in top:20.")

    def __str__(self) -> str:
        return "all" if self.top is None else f"top:{self.top}"


@dataclass(slots=True)
class Relation:
    """Relationships of one type: the uids at their ends and their properties, column by column."""

    type: str
    start: list[str] = field(default_factory=list)
    end: list[str] = field(default_factory=list)
    properties: list[dict[str, Any]] = field(default_factory=list)

    def add(self, start: str, end: str, **properties: Any) -> None:
        """Append one relationship."""
        self.start.append(start)
        self.end.append(end)
        self.properties.append(properties)


@dataclass(frozen=True, slots=True)
class End:
    """The units at one end of a block: what their uids begin with, and how they end; by channel if `names` is None."""

    prefix: str
    names: tuple[str, ...] | None = None

    @property
    def first(self) -> str:
        """The uid of the first unit."""
        return self.prefix + ("0" if self.names is None else self.names[0])

    def endings(self, places: NDArray[np.int32]) -> list[str]:
        """Return how the uids of some units end."""
        if self.names is None:
            return [str(place) for place in places.tolist()]
        return [self.names[place] for place in places.tolist()]

    def are_in(self, uids: Collection[str], places: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Say of some units whether their uid is one of these uids of directions."""
        if self.names is None:
            return np.zeros(len(places), dtype=bool)
        return np.array([self.prefix + name in uids for name in self.names])[places]


@dataclass(frozen=True, slots=True)
class EdgeBatch:
    """Edges of one block: channels or places at both ends, and a table of what they carry."""

    block: BlockInfo
    up: NDArray[np.int32]
    down: NDArray[np.int32]
    table: pa.Table
    """The scalars of `CONNECTS`, the flags `excites`, `inhibits`, `mixes`, and `kernel` (list of float32)."""
    up_end: End
    down_end: End


def share(part: float, whole: float) -> float:
    """Return a share, 1 of nothing."""
    return float(part / whole) if whole > 0 else 1.0


_CARRIED = (*SCALARS, "cancellation", "share_in", "excites", "inhibits", "mixes")


def batch_of(part: BlockInfo, stored: NDArray[np.float32], rows: pa.Table, up_end: End, down_end: End) -> EdgeBatch:
    """Put the kernels of some edges of a block to their scalars."""
    up, down = rows["up"].to_numpy(), rows["down"].to_numpy()
    place = down - part.row_start
    kernels = stored[place] if part.up_file is not None else stored[place, up]
    flat = pa.array(np.ascontiguousarray(kernels).reshape(-1))
    cells = part.window[0] * part.window[1]
    offsets = pa.array(np.arange(0, len(up) * cells + 1, cells, dtype=np.int32))
    table = rows.select(_CARRIED).append_column("kernel", pa.ListArray.from_arrays(offsets, flat))
    return EdgeBatch(part, up, down, table, up_end, down_end)


def strongest(table: pa.Table, source: NDArray[np.integer[Any]], top: int) -> NDArray[np.bool_]:
    """Say which edges are among the `top` by l2 of their target and source, or strong."""
    down, l2 = table["down"].to_numpy(), table["l2"].to_numpy()
    # the strongest first within each target and source; equal strengths in order of the upstream channel
    order = np.lexsort((table["up"].to_numpy(), -l2, source, down))
    new_group = np.ones(len(order), dtype=bool)
    new_group[1:] = (np.diff(down[order]) != 0) | (np.diff(source[order]) != 0)
    starts = np.flatnonzero(new_group)
    rank = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
    keep = np.zeros(len(order), dtype=bool)
    keep[order] = rank < top
    for flag in ("excites", "inhibits", "mixes"):
        keep |= table[flag].to_numpy()
    return keep


def feeds_row(
    part: BlockInfo, count: int, l1_share: float, squared_share: float, fidelity: Fidelity | None
) -> dict[str, Any]:
    """Return what `FEEDS` says of a block, of which the graph holds so many edges and such shares."""
    return {
        "block": part.block,
        "form": part.form,
        "row_start": part.row_start,
        "row_stop": part.row_stop,
        "kh": part.window[0],
        "kw": part.window[1],
        "offset_row": part.offset[0],
        "offset_col": part.offset[1],
        "stride_row": part.stride[0],
        "stride_col": part.stride[1],
        "approximations": list(part.approximations),
        "ignored_activations": part.ignored_activations,
        **fidelity_row(fidelity, part.down),
        "edge_count": part.edge_count,
        "kept_count": count,
        "l1": part.l1,
        "kept_l1_share": l1_share,
        "kept_squared_share": squared_share,
        "cancellation_median": part.cancellation_median,
        "cancellation_p90": part.cancellation_p90,
        "strong_sum_cut": part.strong_sum_cut,
        "strong_l2_cut": part.strong_l2_cut,
    }
