"""What a circuit needs of a graph database: single kernels, their blocks, and the edges at given units."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from circuitgraph.catalogue.circuit_kernels import EdgeTable, block_facts, rounded
from circuitgraph.errors import StoreUnavailableError, UnknownUnitError
from circuitgraph.graph import CircuitEdge
from circuitgraph.ids import UnitId
from circuitgraph.kernels import anchor_of, lay_on_window, union_window

if TYPE_CHECKING:
    from circuitgraph.store import Store

__all__ = ["StoredKernels"]

_COLUMNS = "e.l1 AS l1, e.l2 AS l2, e.share_in AS share_in"
_INTO = (
    "CYPHER 5 MATCH (b:Unit {uid: $unit})<-[e:CONNECTS]-(a:Unit:Neuron) WHERE e.l1 > 0 "
    f"RETURN a.network + '/' + a.layer AS layer, a.channel AS up, b.channel AS down, {_COLUMNS}"
)
_OUT = (
    "CYPHER 5 MATCH (a:Unit {uid: $unit})-[e:CONNECTS]->(b:Unit:Neuron) WHERE e.l1 > 0 "
    f"RETURN b.network + '/' + b.layer AS layer, a.channel AS up, b.channel AS down, {_COLUMNS}"
)
_KERNELS = (
    "CYPHER 5 UNWIND $pairs AS pair MATCH (a:Unit {uid: pair[0]})-[e:CONNECTS]->(b:Unit {uid: pair[1]}) "
    "RETURN a.uid AS up, b.uid AS down, e.block AS block, e.share_in AS share_in, e.kernel AS kernel"
)
# a property by its name in brackets, since the server warns of names that nothing in the graph has
_BLOCKS = (
    "CYPHER 5 MATCH (a:Layer)-[f:FEEDS]->(b:Layer {uid: $layer}) "
    "WHERE coalesce(f['up_kind'], 'neuron') = 'neuron' AND coalesce(f['down_kind'], 'neuron') = 'neuron' "
    "RETURN a.uid AS up, f.block AS block, f.form AS form, f.kh AS kh, f.kw AS kw, f.offset_row AS offset_row, "
    "f.offset_col AS offset_col, f.stride_row AS stride_row, f.stride_col AS stride_col, "
    "f.approximations AS approximations, f['ignored_activations'] AS ignored_activations ORDER BY f.block"
)
_UNITS = (
    "CYPHER 5 MATCH (u:Unit:Neuron) WHERE u.uid IN $uids RETURN u.uid AS uid, u.channel AS channel, u.bias AS bias, "
    "u.in_norm AS in_norm, u.out_norm AS out_norm, u.is_dead AS is_dead"
)
_LAYERS = (
    "CYPHER 5 MATCH (l:Layer {network: $network}) RETURN l.uid AS uid, l.index AS index, l.kind AS kind, "
    "l.unit_count AS unit_count, [l.rows, l.cols] AS size, [l.stride_row, l.stride_col] AS stride, "
    "[l.receptive_row, l.receptive_col] AS receptive_field ORDER BY l.index"
)
_ABOUT = (
    "CYPHER 5 MATCH (m:Meta {network: $network}) WHERE m.bundle_sha256 IS NOT NULL "
    "MATCH (n:Network {uid: $network}) RETURN m AS meta, n.approximations AS approximations"
)
_KEPT = (
    "CYPHER 5 MATCH (u:Unit:Neuron) WHERE u.uid IN $uids AND u.kept_share < 1 "
    "RETURN count(u) AS units, min(u.kept_share) AS least"
)


class StoredKernels:
    """Reads kernels and edges of networks in a graph database; what it says of blocks and layers is asked once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._blocks = cache(self._read_blocks)

    def unit(self, name: str) -> UnitId:
        """Return the id of the neuron called `name`.

        Raises
        ------
        IdError, UnknownLayerError, UnknownUnitError
            There is no such unit, or it is a direction.
        """
        from circuitgraph.store.names import find_unit

        found = UnitId.parse(find_unit(self.store, name))
        if found.channel is None:
            raise UnknownUnitError(
                f"unit '{found}' is a direction; a neuron is wanted here.", hint="Name a neuron by its channel."
            )
        return found

    def into_unit(self, unit: UnitId) -> EdgeTable:
        """Return the edges into one unit."""
        layer = str(unit.layer_id)
        up_layers = tuple(dict.fromkeys(part["up"] for part in self._blocks(layer)))
        return _table(up_layers, layer, self.store.run(_INTO, unit=str(unit)))

    def out_of_unit(self, unit: UnitId) -> list[EdgeTable]:
        """Return the edges out of one unit, a table for each layer that reads its layer."""
        by_layer: dict[str, list[dict[str, Any]]] = {}
        for row in self.store.run(_OUT, unit=str(unit)):
            by_layer.setdefault(row["layer"], []).append({**row, "layer": str(unit.layer_id)})
        return [_table((str(unit.layer_id),), layer, rows) for layer, rows in by_layer.items()]

    def edges(self, pairs: Sequence[tuple[str, str]]) -> list[CircuitEdge]:
        """Return the kernels of edges, on the window of their whole layer pair, with what is known of their blocks."""
        rows = self.store.run(_KERNELS, pairs=[list(pair) for pair in pairs])
        return [self._edge(row) for row in rows]

    def _edge(self, row: dict[str, Any]) -> CircuitEdge:
        layers = [str(UnitId.parse(row[end]).layer_id) for end in ("up", "down")]
        parts = [part for part in self._blocks(layers[1]) if part["up"] == layers[0]]
        own = next((part for part in parts if part["block"] == row["block"]), None)
        if own is None:
            # replaced by another load while this one was read
            raise StoreUnavailableError(
                f"reading the kernel of {row['up']} -> {row['down']}: its block {row['block']} is not in the graph.",
                hint="Was the network being loaded? Ask again.",
            )
        kernel = np.array(row["kernel"], dtype=np.float32).reshape(own["window"])
        offset, window = union_window([part["offset"] for part in parts], [part["window"] for part in parts])
        facts = block_facts(parts)
        return CircuitEdge(
            row["up"],
            row["down"],
            lay_on_window(kernel, own["offset"], offset, window),
            anchor=anchor_of(facts["form"], offset, window),
            share_in=min(1.0, rounded(row["share_in"])),
            attributes=facts,
        )

    def _read_blocks(self, layer: str) -> list[dict[str, Any]]:
        return [
            {
                **{name: row[name] for name in ("up", "block", "form", "ignored_activations")},
                "approximations": list(row["approximations"] or ()),
                "window": (row["kh"], row["kw"]),
                "offset": (row["offset_row"], row["offset_col"]),
                "stride": (row["stride_row"], row["stride_col"]),
            }
            for row in self.store.run(_BLOCKS, layer=layer)
        ]

    def units(self, uids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return what is known of units, by uid."""
        rows = self.store.run(_UNITS, uids=list(uids))
        return {row["uid"]: {name: value for name, value in row.items() if name != "uid"} for row in rows}

    def layers(self, network: str) -> dict[str, dict[str, Any]]:
        """Return what is known of a network's layers, by uid, upstream first."""
        rows = self.store.run(_LAYERS, network=network)
        return {row["uid"]: {name: value for name, value in row.items() if name != "uid"} for row in rows}

    def about(self, network: str, uids: Sequence[str]) -> dict[str, Any]:
        """Return what is known of the network, and in words which of its edges the graph does not hold."""
        rows = self.store.run(_ABOUT, network=network)
        meta = dict(rows[0]["meta"]) if rows else {}
        left_out = []
        if meta.get("edge_count", 0) < meta.get("edges_in_bundle", 0):
            (kept,) = self.store.run(_KEPT, uids=list(uids))
            left_out.append(
                f"the graph holds {meta['edge_count']:,} of {meta['edges_in_bundle']:,} edges of {network} "
                f"({meta['edges_rule']}); {kept['units']:,} of the {len(uids):,} units of this circuit lack some"
                + (f", at worst it holds {kept['least']:.1%} of the l1 that one reads." if kept["units"] else ".")
            )
        if not meta.get("is_complete", False):
            left_out.append(f"{network} is not wholly loaded.")
        return {
            "weights_sha256": meta.get("weights_sha256"),
            "bundle_sha256": meta.get("bundle_sha256"),
            "approximations": list(rows[0]["approximations"] or ()) if rows else [],
            "left_out": left_out,
        }


def _table(up_layers: tuple[str, ...], layer: str, rows: Sequence[dict[str, Any]]) -> EdgeTable:
    places = {name: place for place, name in enumerate(up_layers)}
    return EdgeTable(
        up_layers,
        layer,
        np.array([places[row["layer"]] for row in rows], dtype=np.int64),
        np.array([row["up"] for row in rows], dtype=np.int32),
        np.array([row["down"] for row in rows], dtype=np.int32),
        np.array([row["l1"] for row in rows], dtype=np.float32),
        np.array([row["l2"] for row in rows], dtype=np.float32),
        np.array([row["share_in"] for row in rows], dtype=np.float32),
    )
