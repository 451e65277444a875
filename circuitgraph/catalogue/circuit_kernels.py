"""What a circuit needs of a bundle: single kernels, their shares, and the edges at given units."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.ranked_edges import shares_into
from circuitgraph.errors import UnknownPairError
from circuitgraph.graph import CircuitEdge
from circuitgraph.ids import UnitId
from circuitgraph.kernels import anchor_of, union_window

__all__ = [
    "BLOCK_FACTS",
    "EdgeTable",
    "KernelReader",
    "block_facts",
    "kernel_sha256",
    "kernel_sums",
    "rounded",
    "with_attributes",
]

BLOCK_FACTS = ("offset", "window", "stride", "form", "approximations", "ignored_activations")
"""What of a stored block `block_facts` reads."""


_DIGITS = 7


@dataclass(frozen=True, slots=True)
class EdgeTable:
    """Some edges into one layer, (edge,) each; `up_layer` holds places in `up_layers`."""

    up_layers: tuple[str, ...]
    down_layer: str
    up_layer: NDArray[np.int64]
    up: NDArray[np.int32]
    down: NDArray[np.int32]
    l1: NDArray[np.float32]
    l2: NDArray[np.float32]
    share_in: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.up)

    def cut(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> EdgeTable:
        """Return some of the edges."""
        return EdgeTable(
            self.up_layers,
            self.down_layer,
            self.up_layer[which],
            self.up[which],
            self.down[which],
            self.l1[which],
            self.l2[which],
            self.share_in[which],
        )

    def strength(self, by: Literal["l1", "l2", "share_in"]) -> NDArray[np.float32]:
        """Return the column that edges are ranked by."""
        return {"l1": self.l1, "l2": self.l2, "share_in": self.share_in}[by]

    def strongest(self, top: int, by: Literal["l1", "l2", "share_in"]) -> EdgeTable:
        """Return the `top` strongest, equal ones by their units."""
        order = np.lexsort((self.down, self.up, self.up_layer, -self.strength(by).astype(np.float64)))
        return self.cut(order[:top])

    def pairs(self) -> list[tuple[str, str]]:
        """Return (up, down) uids."""
        return [
            (f"{self.up_layers[layer]}:{up}", f"{self.down_layer}:{down}")
            for layer, up, down in zip(self.up_layer.tolist(), self.up.tolist(), self.down.tolist(), strict=True)
        ]


@dataclass(frozen=True, slots=True)
class _Places:
    """Where each edge stands in a table, by a number in order: many are found fast in a large layer."""

    keys: NDArray[np.int64]
    order: NDArray[np.intp]
    widths: tuple[int, int]

    @classmethod
    def of(cls, table: EdgeTable) -> _Places:
        ups, downs = (int(channels.max(initial=0)) + 1 for channels in (table.up, table.down))
        keys = ((table.up_layer * ups + table.up) * downs + table.down).astype(np.int64)
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], order, (ups, downs))

    def find(self, up_layer: int, up: int, down: int) -> int | None:
        if up >= self.widths[0] or down >= self.widths[1]:
            return None
        key = (up_layer * self.widths[0] + up) * self.widths[1] + down
        at = int(np.searchsorted(self.keys, key))
        return int(self.order[at]) if at < len(self.keys) and self.keys[at] == key else None


class KernelReader:
    """Reads kernels and edges of one bundle; tables that were read are kept."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._tables: dict[str, EdgeTable] = {}
        self._pairs: dict[tuple[str, str], tuple[tuple[float, float], NDArray[np.float32] | None]] = {}
        self._places: dict[str, _Places] = {}
        self._shares: dict[UnitId, dict[str, NDArray[np.float32]]] = {}

    def edge(self, up: str, down: str) -> CircuitEdge:
        """Return the kernel from unit `up` to unit `down`, with its anchor and its share of the target's l1.

        Raises
        ------
        UnknownUnitError, UnknownLayerError, UnknownPairError
            The unit, its layer or the pair of layers does not exist.
        """
        u, d = self.bundle.neuron(up), self.bundle.neuron(down)
        pair = (str(u.layer_id), str(d.layer_id))
        if pair not in self._pairs:
            self._pairs[pair] = self._pair(*pair)
        anchor, whole = self._pairs[pair]
        kernel = self.bundle.kernel(up, down) if whole is None else np.array(whole[d.channel, u.channel])
        return CircuitEdge(str(u), str(d), kernel, anchor=anchor, share_in=min(1.0, rounded(self._share(u, d))))

    def _pair(self, up: str, down: str) -> tuple[tuple[float, float], NDArray[np.float32] | None]:
        """Return the anchor of a pair's kernels and, where one dense block holds them all, that block, memory-mapped.

        Opening a block for each of its kernels would take longer than all else.
        """
        parts = [part for part in self.bundle.blocks if (part.up, part.down) == (up, down)]
        if not parts:
            raise self.bundle._no_pair(self.bundle.layer(up), self.bundle.layer(down))
        offset, window = union_window([part.offset for part in parts], [part.window for part in parts])
        anchor = anchor_of(parts[0].form if len(parts) == 1 else "row block", offset, window)
        covers = (parts[0].row_start, parts[0].row_stop) == (0, self.bundle.layer(down).unit_count)
        is_whole = len(parts) == 1 and parts[0].form == "dense" and covers
        return anchor, self.bundle.stored(parts[0]) if is_whole else None

    def _share(self, up: UnitId, down: UnitId) -> float:
        """Return the share of an edge, 0 for one of zeros."""
        layer = str(down.layer_id)
        if layer not in self._tables:
            # a large layer's table takes longer than the kernels into a few of its units
            if down not in self._shares:
                self._shares[down] = shares_into(self.bundle, str(down))
            shares = self._shares[down].get(str(up.layer_id))
            return 0.0 if shares is None else float(shares[up.channel or 0])
        table = self.into(layer)
        if layer not in self._places:
            self._places[layer] = _Places.of(table)
        at = self._places[layer].find(table.up_layers.index(str(up.layer_id)), up.channel or 0, down.channel or 0)
        return 0.0 if at is None else float(table.share_in[at])

    def into(self, layer: str) -> EdgeTable:
        """Return all edges into a layer whose kernel is not zero."""
        if layer not in self._tables:
            table = self.bundle.edges(layer)
            of_block = {part.block: part.up for part in self.bundle.blocks if part.down == layer}
            up_layers = tuple(dict.fromkeys(of_block.values()))
            place = np.zeros(max(of_block, default=0) + 1, dtype=np.int64)
            for block, up in of_block.items():
                place[block] = up_layers.index(up)
            columns = {name: table[name].to_numpy() for name in ("block", "up", "down", "l1", "l2", "share_in")}
            whole = EdgeTable(
                up_layers,
                layer,
                place[columns["block"]],
                *(columns[name] for name in ("up", "down", "l1", "l2", "share_in")),
            )
            self._tables[layer] = whole.cut(whole.l1 > 0)
        return self._tables[layer]

    def into_unit(self, unit: UnitId) -> EdgeTable:
        """Return the edges into one unit."""
        table = self.into(str(unit.layer_id))
        return table.cut(table.down == unit.channel)

    def out_of_unit(self, unit: UnitId) -> list[EdgeTable]:
        """Return the edges out of one unit, a table for each layer that reads its layer."""
        own = str(unit.layer_id)
        found = []
        for layer in dict.fromkeys(down for up, down in self.bundle.pairs if up == own):
            table = self.into(layer)
            found.append(table.cut((table.up_layer == table.up_layers.index(own)) & (table.up == unit.channel)))
        return found

    def between(self, ups: Iterable[UnitId], downs: Iterable[UnitId]) -> EdgeTable:
        """Return the edges from some units to some units of one layer.

        Raises
        ------
        UnknownPairError
            The downstream units are none, or of several layers.
        """
        targets = list(downs)
        layers = {str(unit.layer_id) for unit in targets}
        if len(layers) != 1:
            raise UnknownPairError(f"edges between units: they lead to {len(layers)} layers, one is wanted.")
        table = self.into(layers.pop())
        sources: dict[str, list[int]] = {}
        for unit in ups:
            sources.setdefault(str(unit.layer_id), []).append(unit.channel or 0)
        wanted = np.zeros(len(table), dtype=bool)
        for place, layer in enumerate(table.up_layers):
            if layer in sources:
                wanted |= (table.up_layer == place) & np.isin(table.up, sources[layer])
        return table.cut(wanted & np.isin(table.down, [unit.channel or 0 for unit in targets]))


def kernel_sha256(kernel: NDArray[np.float32]) -> str:
    """Return the hash of a kernel's weights, little-endian float32 row by row; -0 counts as 0."""
    return hashlib.sha256(np.ascontiguousarray(kernel + np.float32(0), dtype="<f4").tobytes()).hexdigest()


def kernel_sums(kernel: NDArray[np.float32]) -> tuple[float, float]:
    """Return sum and l1 in seven digits, the same on every machine."""
    # fsum rounds once, whatever the order
    weights = [float(weight) for weight in kernel.ravel()]
    return rounded(math.fsum(weights)), rounded(math.fsum(map(abs, weights)))


def rounded(value: float) -> float:
    """Return a number in seven digits, without the sign of zero."""
    return float(f"{value:.{_DIGITS}g}") + 0.0


def block_facts(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what an edge says of the stored blocks of its two layers: `BLOCK_FACTS` of each are given.

    The offset is that of the smallest window that holds them all, on which the kernel lies.
    """
    offset, _ = union_window([part["offset"] for part in parts], [part["window"] for part in parts])
    ignored = [part["ignored_activations"] for part in parts if part["ignored_activations"] is not None]
    return {
        "offset": list(offset),
        "stride": list(parts[0]["stride"]),
        "form": parts[0]["form"] if len(parts) == 1 else "row block",
        "approximations": list(dict.fromkeys(token for part in parts for token in part["approximations"])),
        "ignored_activations": max(ignored, default=None),
    }


def with_attributes(edge: CircuitEdge, attributes: Mapping[str, Any]) -> CircuitEdge:
    """Return the same edge with attributes."""
    return CircuitEdge(
        edge.up, edge.down, edge.kernel, anchor=edge.anchor, share_in=edge.share_in, attributes=attributes
    )
