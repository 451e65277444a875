"""What of a bundle goes into the graph: the same rows whether they travel in bulk or by Bolt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.blocks import BlockInfo, DirectionBlockInfo
from circuitgraph.records import Layer
from circuitgraph.store.direction_rows import DirectionRows
from circuitgraph.store.edge_batches import (
    ALL_EDGES_LIMIT,
    EdgeBatch,
    EdgesRule,
    End,
    Relation,
    batch_of,
    feeds_row,
    share,
    strongest,
)
from circuitgraph.store.schema import SCHEMA_VERSION

__all__ = ["ALL_EDGES_LIMIT", "EdgeBatch", "EdgesRule", "Projection", "Relation"]


@dataclass(frozen=True, slots=True)
class _Kept:
    count: NDArray[np.int64]
    l1_share: NDArray[np.float64]
    by_block: dict[int, tuple[int, float, float]]
    """block number -> (edges kept, share of l1, share of squared norm)"""


class Projection:
    """The rows of one bundle.

    Parameters
    ----------
    bundle
        What is loaded.
    rule
        "auto", "all" or "top:K", see `EdgesRule`.
    """

    def __init__(self, bundle: Bundle, rule: str = "auto") -> None:
        self.bundle = bundle
        self.rule = EdgesRule.parse(rule, bundle.manifest.counts["edges"])
        self.directions = DirectionRows(bundle, rule)
        self._kept: dict[str, _Kept] = {layer.uid: self._count_kept(layer) for layer in bundle.layers[1:]}

    @property
    def edge_count(self) -> int:
        """How many `CONNECTS` between neurons the graph will hold."""
        return sum(count for kept in self._kept.values() for count, _, _ in kept.by_block.values())

    @property
    def total_count(self) -> int:
        """How many `CONNECTS` the graph will hold, those of directions too."""
        return self.edge_count + self.directions.edge_count

    @property
    def kernel_bytes(self) -> int:
        """How many bytes the kernel of an edge has, on average over the bundle, rounded up."""
        parts = (*self.bundle.blocks, *self.bundle.directions.blocks)
        cells = sum(part.edge_count * part.window[0] * part.window[1] for part in parts)
        return -(-4 * cells // max(1, sum(part.edge_count for part in parts)))

    def kept_of(self, part: BlockInfo) -> tuple[int, float]:
        """Return how many edges of a block the graph holds, and which share of its l1."""
        if isinstance(part, DirectionBlockInfo):
            return self.directions.kept_of(part)
        count, l1_share, _ = self._kept[part.down].by_block[part.block]
        return count, l1_share

    def meta(self, *, loading: str) -> dict[str, Any]:
        """Return the properties of the network's `Meta` node while it is being loaded, and how."""
        manifest = self.bundle.manifest
        return {
            "uid": f"meta:{self.bundle.network}",
            "network": self.bundle.network,
            "schema_version": SCHEMA_VERSION,
            "bundle_sha256": self.bundle.sha256,
            "weights_sha256": self.bundle.info.weights_sha256,
            "bundle_path": str(self.bundle.path.resolve()),
            "edges_rule": str(self.rule),
            "edge_count": self.edge_count,
            "edges_in_bundle": manifest.counts["edges"],
            "strong_share": manifest.strong_share,
            "mixes_sum_share": manifest.mixes_sum_share,
            **self.direction_meta(),
            "is_complete": False,
            "loading": loading,
        }

    def direction_meta(self) -> dict[str, Any]:
        """Return what the `Meta` node says of directions."""
        return {
            "directions_sha256": self.bundle.directions_sha256,
            "directions_rule": self.directions.rules,
            "direction_count": self.directions.count,
            "direction_edge_count": self.directions.edge_count,
            "direction_edges_in_bundle": self.directions.edges_in_bundle,
        }

    def nodes(self) -> dict[str, list[dict[str, Any]]]:
        """Return the properties of all nodes but `Meta`, by label; what is empty is None, since an import drops it."""
        info, bundle = self.bundle.info, self.bundle
        network = {
            "uid": info.network,
            "name": info.title or info.network,
            "architecture": info.architecture,
            "weights_sha256": info.weights_sha256,
            "source": info.source,
            "importer": info.importer,
            "input_shape": list(info.input_shape),
            "approximations": list(info.approximations),
            "reference": info.reference or None,
        }
        families = [
            {
                "uid": family.uid,
                "network": info.network,
                "layer": family.uid.split("/")[1].partition("!")[0],
                "name": family.name,
                "description": family.description or None,
                "reference": family.reference or None,
                "is_claimed": None,
            }
            for family in bundle.families
        ]
        layers = [_layer_row(layer) for layer in bundle.layers]
        directions = self.directions.nodes()
        units = self._unit_rows()
        return {"Network": [network], "Layer": layers, "Unit": units, "Direction": directions, "Family": families}

    def relations(self) -> list[Relation]:
        """Return all relationships but those between units."""
        inside, feeds, members = Relation("IN"), Relation("FEEDS"), Relation("MEMBER_OF")
        for layer in self.bundle.layers:
            inside.add(layer.uid, self.bundle.network)
            for channel in range(layer.unit_count):
                inside.add(str(layer.unit(channel)), layer.uid)
        for part in self.bundle.blocks:
            row = feeds_row(part, *self._kept[part.down].by_block[part.block], self.bundle.fidelity)
            feeds.add(part.up, part.down, **row, up_kind="neuron", down_kind="neuron")
        for family in self.bundle.families:
            for member in family.members:
                members.add(member.unit, family.uid, position=member.position, angle_deg=member.angle_deg, source=None)
        more, combines = self.directions.membership()
        blocks = self.directions.feeds()
        for own, other in ((inside, more), (feeds, blocks)):
            own.start += other.start
            own.end += other.end
            own.properties += other.properties
        return [inside, feeds, members, combines]

    def iter_edges(self, rows: int = 1 << 16, *, cells: int = 1 << 22) -> Iterator[EdgeBatch]:
        """Yield the edges between units, in an order that never changes, cut in the same places every time.

        Those of directions come last.

        A batch has at most `rows` edges, and at most `cells` weights unless it is a single edge.
        """
        for layer in self.bundle.layers[1:]:
            table = self.bundle.edges(layer.uid)
            if self.rule.top is not None:
                table = table.filter(pa.array(self._keep(table)))
            for part in self.bundle.blocks:
                if part.down != layer.uid:
                    continue
                own = table.filter(pc.equal(table["block"], part.block)).combine_chunks()
                stored = self.bundle.stored(part)
                step = max(1, min(rows, cells // (part.window[0] * part.window[1])))
                for start in range(0, own.num_rows, step):
                    yield batch_of(part, stored, own.slice(start, step), End(f"{part.up}:"), End(f"{part.down}:"))
        yield from self.directions.iter_edges(rows, cells=cells)

    def _keep(self, table: pa.Table) -> NDArray[np.bool_]:
        """Say which rows of a target layer's table are kept."""
        ups = {part.block: part.up for part in self.bundle.blocks}
        sources = list(dict.fromkeys(ups.values()))
        numbers, inverse = np.unique(table["block"].to_numpy(), return_inverse=True)
        source = np.array([sources.index(ups[int(n)]) for n in numbers])[inverse] if len(numbers) else inverse
        return strongest(table, source, self.rule.top or 0)

    def _count_kept(self, layer: Layer) -> _Kept:
        own = [part for part in self.bundle.blocks if part.down == layer.uid]
        if self.rule.top is None:
            count = np.zeros(layer.unit_count, dtype=np.int64)
            for part in own:
                if part.up_file is None:
                    count[part.row_start : part.row_stop] += self.bundle.layer(part.up).unit_count
                else:
                    count[part.row_start : part.row_stop] += self.bundle.up_channels(part) >= 0
            whole = {part.block: (part.edge_count, 1.0, 1.0) for part in own}
            return _Kept(count, np.ones(layer.unit_count), whole)
        table = self.bundle.edges(layer.uid)
        keep = self._keep(table)
        down, l1 = table["down"].to_numpy(), table["l1"].to_numpy().astype(np.float64)
        squared, block = np.square(table["l2"].to_numpy().astype(np.float64)), table["block"].to_numpy()
        total = np.bincount(down, weights=l1, minlength=layer.unit_count)
        kept = np.bincount(down[keep], weights=l1[keep], minlength=layer.unit_count)
        by_block = {}
        for part in own:
            of = block == part.block
            by_block[part.block] = (
                int(keep[of].sum()),
                share(l1[of & keep].sum(), l1[of].sum()),
                share(squared[of & keep].sum(), squared[of].sum()),
            )
        shares = np.divide(kept, total, out=np.ones(layer.unit_count), where=total > 0)
        return _Kept(np.bincount(down[keep], minlength=layer.unit_count), shares, by_block)

    def _unit_rows(self) -> list[dict[str, Any]]:
        rows = []
        units = self.bundle.units
        for row in units.filter(pc.equal(units["kind"], "neuron")).to_pylist():
            kept = self._kept.get(row["layer"])
            rows.append(
                {
                    "uid": row["uid"],
                    "network": self.bundle.network,
                    "layer": row["layer"].split("/")[1],
                    **{name: row[name] for name in ("channel", "bias", "in_norm", "out_norm", "is_dead")},
                    "kept_count": int(kept.count[row["channel"]]) if kept else 0,
                    # a float of 32 bits, as the bulk import stores it
                    "kept_share": float(np.float32(kept.l1_share[row["channel"]])) if kept else 1.0,
                }
            )
        return rows


def _layer_row(layer: Layer) -> dict[str, Any]:
    return {
        "uid": layer.uid,
        "network": layer.id.network,
        "name": layer.name,
        "index": layer.index,
        "kind": layer.kind,
        "unit_count": layer.unit_count,
        "rows": layer.size[0],
        "cols": layer.size[1],
        "stride_row": layer.stride[0],
        "stride_col": layer.stride[1],
        "receptive_row": layer.receptive_field[0],
        "receptive_col": layer.receptive_field[1],
        "aliases": list(layer.aliases),
    }
