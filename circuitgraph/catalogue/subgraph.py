"""The circuit around a unit as a graph in memory, with its kernels: from a bundle or from the graph database.

Both give the same graph where the database holds all edges; where it holds a choice of them, the graph says so under
its attribute ``left_out``. `circuitgraph.export` writes one to GraphML, GEXF and JSON and reads it back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.ranked_edges import edges_at
from circuitgraph.catalogue.circuit_kernels import BLOCK_FACTS, EdgeTable, KernelReader, block_facts, with_attributes
from circuitgraph.catalogue.circuit_walk import By, EdgeReader, check_options, walk_around
from circuitgraph.graph import CircuitEdge, CircuitGraph, CircuitUnit
from circuitgraph.ids import UnitId

if TYPE_CHECKING:
    from circuitgraph.store import Store

__all__ = ["BundleSource", "CircuitSource", "circuit_around"]

_KEPT = 500
"""Units whose incoming edges a `BundleSource` keeps."""
_UNIT = ("channel", "bias", "in_norm", "out_norm", "is_dead")


class CircuitSource(EdgeReader, Protocol):
    """What a circuit's graph can be taken from."""

    def unit(self, name: str) -> UnitId:
        """Return the neuron called `name`."""
        ...

    def edges(self, pairs: Sequence[tuple[str, str]]) -> list[CircuitEdge]:
        """Return the kernels of edges, with what is known of their blocks."""
        ...

    def units(self, uids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return what is known of units, by uid."""
        ...

    def layers(self, network: str) -> dict[str, dict[str, Any]]:
        """Return what is known of a network's layers, by uid, upstream first."""
        ...

    def about(self, network: str, uids: Sequence[str]) -> dict[str, Any]:
        """Return what is known of the network: weights_sha256, bundle_sha256, approximations, left_out."""
        ...


def circuit_around(
    source: Bundle | Store | BundleSource,
    unit: str,
    *,
    hops: int = 2,
    top: int = 8,
    min_share: float = 0.0,
    by: By = "l2",
    hops_up: int | None = None,
    hops_down: int | None = None,
) -> CircuitGraph:
    """Return a unit, its strongest neighbours and theirs, and the kernels that lead from one to the other.

    Parameters
    ----------
    source
        A bundle, a store that holds the unit's network, or a `BundleSource`, which keeps what it has read.
    unit
        Its uid, or a short form as ``4c:447`` where the network is clear.
    hops
        How often to go on from each unit that was reached, upstream and downstream.
    top, min_share
        How many edges to follow at each unit, and the least share of their target's total l1 that they must have.
    by
        What "strongest" is measured in.
    hops_up, hops_down
        As `hops`, for one side.

    Returns
    -------
    Units have the attributes role, channel, bias, in_norm, out_norm and is_dead; edges offset and stride (cells of the
    upstream layer), form, approximations and ignored_activations of their block; the graph network, weights_sha256,
    bundle_sha256, approximations, layer_facts, around (how it was chosen) and left_out.

    Raises
    ------
    IdError, UnknownLayerError, UnknownUnitError
        There is no such neuron.
    CatalogueError
        An option cannot be used.
    """
    up, down = (hops if each is None else each for each in (hops_up, hops_down))
    check_options(f"taking the circuit around {unit[:80]!r}", by, hops_up=up + 1, hops_down=down + 1, top=top)
    reader = _source_of(source)
    centre = reader.unit(unit)
    walk = walk_around(reader, centre, hops_up=up, hops_down=down, top=top, min_share=min_share, by=by)
    uids = list(walk.roles)
    facts = reader.units(uids)
    layers = reader.layers(centre.network)
    own = {str(UnitId.parse(uid).layer_id) for uid in uids}
    count: dict[str, int] = {}
    units = []
    for uid, role in walk.roles.items():
        layer = str(UnitId.parse(uid).layer_id)
        count[layer] = count.get(layer, -1) + 1
        units.append(CircuitUnit(uid, "", count[layer], {"role": role, **facts[uid]}))
    around = {
        "unit": str(centre),
        "hops_up": up,
        "hops_down": down,
        "by": by,
        "top": top,
        "min_share": float(min_share),
        "kept": len(walk.pairs),
        "of": walk.seen,
    }
    return CircuitGraph(
        [layer for layer in layers if layer in own],
        units,
        reader.edges(walk.pairs),
        attributes={
            "network": centre.network,
            "layer_facts": {layer: layers[layer] for layer in layers if layer in own},
            "around": around,
            **reader.about(centre.network, uids),
        },
    )


def _source_of(source: Bundle | Store | BundleSource) -> CircuitSource:
    if isinstance(source, BundleSource):
        return source
    if isinstance(source, Bundle):
        return BundleSource(source)
    from circuitgraph.catalogue.stored_kernels import StoredKernels

    return StoredKernels(source)


class BundleSource(KernelReader):
    """A bundle as the source of circuits; no more is read of it than the edges at the units that are asked for."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self._near: OrderedDict[UnitId, EdgeTable] = OrderedDict()

    def into_unit(self, unit: UnitId) -> EdgeTable:
        """Return the edges into one unit."""
        known = self._near.get(unit)
        if known is None:
            layer, channel = str(unit.layer_id), unit.channel or 0
            up_layers = tuple(dict.fromkeys(part.up for part in self.bundle.blocks if part.down == layer))
            found = edges_at(self.bundle, str(unit), "upstream")
            known = EdgeTable(
                up_layers,
                layer,
                _joined([np.full(len(each.l1), up_layers.index(each.layer)) for each in found], np.int64),
                _joined([each.channels for each in found], np.int32),
                _joined([np.full(len(each.l1), channel) for each in found], np.int32),
                *(_joined([getattr(each, name) for each in found], np.float32) for name in ("l1", "l2", "share_in")),
            )
            self._near[unit] = known
            while len(self._near) > _KEPT:
                self._near.popitem(last=False)
        return known

    def out_of_unit(self, unit: UnitId) -> list[EdgeTable]:
        """Return the edges out of one unit, a table for each layer that reads its layer."""
        own, channel = str(unit.layer_id), unit.channel or 0
        return [
            EdgeTable(
                (own,),
                each.layer,
                np.zeros(len(each.l1), dtype=np.int64),
                np.full(len(each.l1), channel, dtype=np.int32),
                each.channels.astype(np.int32),
                each.l1,
                each.l2,
                each.share_in,
            )
            for each in edges_at(self.bundle, str(unit), "downstream")
        ]

    def between(self, ups: Iterable[UnitId], downs: Iterable[UnitId]) -> EdgeTable:
        """Return the edges from some units to one unit."""
        (target,) = downs
        table = self.into_unit(target)
        wanted = np.zeros(len(table), dtype=bool)
        for up in ups:
            if str(up.layer_id) in table.up_layers:
                wanted |= (table.up_layer == table.up_layers.index(str(up.layer_id))) & (table.up == up.channel)
        return table.cut(wanted)

    def _share(self, up: UnitId, down: UnitId) -> float:
        found = self.between([up], [down]).share_in
        return float(found[0]) if len(found) else 0.0

    def unit(self, name: str) -> UnitId:
        """Return the neuron called `name`."""
        return self.bundle.neuron(name)

    def edges(self, pairs: Sequence[tuple[str, str]]) -> list[CircuitEdge]:
        """Return the kernels of edges, with what is known of their blocks."""
        found = []
        for up, down in pairs:
            edge = self.edge(up, down)
            of_pair = (up.rpartition(":")[0], down.rpartition(":")[0])
            parts = [part for part in self.bundle.blocks if (part.up, part.down) == of_pair]
            more = block_facts([{name: getattr(part, name) for name in BLOCK_FACTS} for part in parts])
            found.append(with_attributes(edge, more))
        return found

    def units(self, uids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return what is known of units, by uid."""
        table = self.bundle.units
        names = table["uid"].to_pylist()
        wanted = set(uids)
        places = [place for place, uid in enumerate(names) if uid in wanted]
        rows = table.take(places).select(["uid", *_UNIT]).to_pylist()
        return {row["uid"]: {name: row[name] for name in _UNIT} for row in rows}

    def layers(self, network: str) -> dict[str, dict[str, Any]]:  # noqa: ARG002
        """Return what is known of the layers, by uid, upstream first."""
        return {
            layer.uid: {
                "index": layer.index,
                "kind": layer.kind,
                "unit_count": layer.unit_count,
                "size": list(layer.size),
                "stride": list(layer.stride),
                "receptive_field": list(layer.receptive_field),
            }
            for layer in self.bundle.layers
        }

    def about(self, network: str, uids: Sequence[str]) -> dict[str, Any]:  # noqa: ARG002
        """Return what is known of the network."""
        info = self.bundle.info
        return {
            "weights_sha256": info.weights_sha256,
            "bundle_sha256": self.bundle.sha256,
            "approximations": list(info.approximations),
            "left_out": [],
        }


def _joined(parts: Sequence[ArrayLike], kind: type[np.generic]) -> NDArray[Any]:
    return np.concatenate([np.zeros(0), *parts]).astype(kind)
