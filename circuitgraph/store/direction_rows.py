"""What of a bundle's directions goes into the graph: their nodes, coefficients, blocks and edges."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.blocks import DirectionBlockInfo
from circuitgraph.store.edge_batches import EdgeBatch, EdgesRule, End, Relation, batch_of, feeds_row, share, strongest

__all__ = ["ALL_COMBINES_LIMIT", "DirectionRows"]

ALL_COMBINES_LIMIT = 1_000_000
"""Up to this many coefficients that are not 0 all of them are in the graph, else the largest of each direction."""
_TOP_COMBINES = 64


@dataclass(frozen=True, slots=True)
class _Kept:
    count: int
    l1_share: float
    squared_share: float


class DirectionRows:
    """The rows of a bundle's directions.

    Parameters
    ----------
    rule
        As of the edges between neurons; "auto" is of the edges of directions by themselves.
    """

    def __init__(self, bundle: Bundle, rule: str) -> None:
        self.bundle = bundle
        self.shelf = bundle.directions
        counts = bundle.manifest.counts
        self.edges_in_bundle = counts.get("direction_edges", 0)
        self.rule = EdgesRule.parse(rule, self.edges_in_bundle)
        self._kept: dict[int, _Kept] = {}
        self._in_kept: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
        if self.shelf.count:
            for layer in bundle.layers[1:]:
                self._count_kept(layer.uid)

    @property
    def count(self) -> int:
        """How many directions there are."""
        return self.shelf.count

    @property
    def edge_count(self) -> int:
        """How many `CONNECTS` to or from directions the graph will hold."""
        return sum(kept.count for kept in self._kept.values())

    @cached_property
    def combines_top(self) -> int | None:
        """How many `COMBINES` each direction has at most; None where all are in the graph."""
        count = sum(int(np.count_nonzero(self.shelf.coefficients(uid))) for uid in self.shelf.layers)
        return None if count <= ALL_COMBINES_LIMIT else _TOP_COMBINES

    @property
    def rules(self) -> str:
        """Which edges and which coefficients of directions are in the graph, in words."""
        combines = "all" if self.combines_top is None else f"top:{self.combines_top}"
        return f"edges {self.rule}, coefficients {combines}"

    @property
    def is_whole(self) -> bool:
        """Whether nothing of any direction is left out, so that what is there does not depend on the others."""
        return self.rule.top is None and self.combines_top is None

    def kept_of(self, part: DirectionBlockInfo) -> tuple[int, float]:
        """Return how many edges of a block the graph holds, and which share of its l1."""
        kept = self._kept[part.block]
        return kept.count, kept.l1_share

    def end(self, layer: str, kind: str) -> End:
        """Return how units of a layer are called."""
        return End(f"{layer}@", self.shelf.names(layer)) if kind == "direction" else End(f"{layer}:")

    def nodes(self) -> list[dict[str, Any]]:
        """Return the properties of all `Direction` nodes, those of a layer together and in order."""
        units = self.bundle.units
        rows = []
        for layer in self.shelf.layers:
            own = units.filter(pc.and_(pc.equal(units["layer"], layer), pc.equal(units["kind"], "direction")))
            coefficients, sources = self.shelf.coefficients(layer), self.shelf.sources(layer)
            count, kept_share = self._in_kept.get(layer, (np.zeros(len(sources), int), np.ones(len(sources))))
            for place, row in enumerate(own.to_pylist()):
                vector = coefficients[place]
                squared = np.square(vector.astype(np.float64))
                chosen = self._chosen(vector)
                rows.append(
                    {
                        "uid": row["uid"],
                        "network": self.bundle.network,
                        "layer": layer.split("/")[1],
                        "name": row["uid"].partition("@")[2],
                        "source": sources[place] or None,
                        **{name: row[name] for name in ("bias", "in_norm", "out_norm", "is_dead")},
                        "length": float(np.float32(np.sqrt(squared.sum()))),
                        "combines_count": int(np.count_nonzero(vector)),
                        "combines_kept_count": len(chosen),
                        "combines_kept_share": float(np.float32(share(squared[chosen].sum(), squared.sum()))),
                        "kept_count": int(count[place]),
                        "kept_share": float(np.float32(kept_share[place])),
                        "coefficients_sha256": hashlib.sha256(vector.astype("<f4").tobytes()).hexdigest(),
                    }
                )
        return rows

    def _chosen(self, vector: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the channels of the coefficients that are in the graph, in order."""
        channels = np.flatnonzero(vector)
        if self.combines_top is not None and len(channels) > self.combines_top:
            order = np.lexsort((channels, -np.abs(vector[channels])))
            channels = np.sort(channels[order[: self.combines_top]])
        return channels

    @property
    def combines_count(self) -> int:
        """How many `COMBINES` the graph will hold."""
        return sum(len(self._chosen(v)) for uid in self.shelf.layers for v in self.shelf.coefficients(uid))

    def membership(self, only: Collection[str] | None = None) -> list[Relation]:
        """Return `IN` and `COMBINES` of all directions, or of some."""
        inside, combines = Relation("IN"), Relation("COMBINES")
        for layer in self.shelf.layers:
            for uid, vector in zip(self.shelf.uids(layer), self.shelf.coefficients(layer), strict=True):
                if only is None or uid in only:
                    inside.add(uid, layer)
                    for channel in self._chosen(vector).tolist():
                        combines.add(uid, f"{layer}:{channel}", weight=float(vector[channel]))
        return [inside, combines]

    def feeds(self) -> Relation:
        """Return `FEEDS` of the blocks of directions."""
        relation = Relation("FEEDS")
        for part in self.shelf.blocks:
            kept = self._kept[part.block]
            row = feeds_row(part, kept.count, kept.l1_share, kept.squared_share, self.bundle.fidelity)
            relation.add(part.up, part.down, **row, up_kind=part.up_kind, down_kind=part.down_kind)
        return relation

    def iter_edges(self, rows: int, *, cells: int, only: Collection[str] | None = None) -> Iterator[EdgeBatch]:
        """Yield the edges of directions, in an order that never changes, cut in the same places every time.

        Parameters
        ----------
        only
            Uids of directions: the edges with one of them at an end or both.
        """
        for layer in self.bundle.layers[1:]:
            table = self._table(layer.uid) if self.shelf.count else None
            for part in self.shelf.blocks:
                if table is None or part.down != layer.uid:
                    continue
                up_end, down_end = self.end(part.up, part.up_kind), self.end(part.down, part.down_kind)
                own = table.filter(pc.equal(table["block"], part.block)).combine_chunks()
                if only is not None:
                    up, down = own["up"].to_numpy(), own["down"].to_numpy()
                    touched = up_end.are_in(only, up) | down_end.are_in(only, down)
                    own = own.filter(pa.array(touched))
                stored = self.bundle.stored(part)
                step = max(1, min(rows, cells // (part.window[0] * part.window[1])))
                for start in range(0, own.num_rows, step):
                    yield batch_of(part, stored, own.slice(start, step), up_end, down_end)

    def _table(self, layer: str) -> pa.Table:
        table = self.shelf.edges(layer)
        return table if self.rule.top is None else table.filter(pa.array(self._keep(table)))

    def _keep(self, table: pa.Table) -> NDArray[np.bool_]:
        return strongest(table, table["block"].to_numpy(), self.rule.top or 0)

    def _count_kept(self, layer: str) -> None:
        parts = [part for part in self.shelf.blocks if part.down == layer]
        into = [part.block for part in parts if (part.up_kind, part.down_kind) == ("neuron", "direction")]
        if not parts:
            return
        table = self.shelf.edges(layer)
        keep = np.ones(table.num_rows, dtype=bool) if self.rule.top is None else self._keep(table)
        block, down = table["block"].to_numpy(), table["down"].to_numpy()
        l1, l2 = (table[name].to_numpy().astype(np.float64) for name in ("l1", "l2"))
        for part in parts:
            of = block == part.block
            own = of & keep
            self._kept[part.block] = _Kept(
                int(own.sum()),
                share(l1[own].sum(), l1[of].sum()),
                share(np.square(l2[own]).sum(), np.square(l2[of]).sum()),
            )
        if into:
            count = len(self.shelf.names(layer))
            of = np.isin(block, into)
            total = np.bincount(down[of], weights=l1[of], minlength=count)
            kept = np.bincount(down[of & keep], weights=l1[of & keep], minlength=count)
            shares = np.divide(kept, total, out=np.ones(count), where=total > 0)
            self._in_kept[layer] = (np.bincount(down[of & keep], minlength=count), shares)
