"""A circuit that is being made: from where it begins, neighbours are added, units removed, and weak edges left out.

What comes out is a `CircuitGraph`; `circuitgraph.catalogue.circuit_making.circuit_from_graph` makes it a record.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.circuit_walk import By, check_options
from circuitgraph.catalogue.circuits import CircuitRecord
from circuitgraph.catalogue.subgraph import BundleSource, circuit_around
from circuitgraph.errors import CatalogueError
from circuitgraph.graph import CircuitEdge, CircuitGraph, CircuitUnit
from circuitgraph.ids import UnitId

__all__ = ["MOST_EDGES", "MOST_UNITS", "Drafted", "circuit_between", "circuit_of_record", "refine_circuit"]

MOST_UNITS = 40
"""Units that a draft shows at most, if not told otherwise."""
MOST_EDGES = 60
"""Edges that a draft shows at most, if not told otherwise."""


@dataclass(frozen=True, slots=True)
class Drafted:
    """A circuit as it is shown, and what it was cut from.

    Attributes
    ----------
    graph
        Units and edges that are shown.
    unit_count, edge_count
        How many there are at these thresholds, shown or not.
    weak_count
        Edges below the thresholds.
    lonely_count
        Units that have no edge left because of that, or because of what was removed.
    largest_share, largest_sum
        Of all edges before the thresholds: the share of their target's l1, and the magnitude of their sum.
    """

    graph: CircuitGraph
    unit_count: int
    edge_count: int
    weak_count: int
    lonely_count: int
    largest_share: float
    largest_sum: float

    @property
    def notes(self) -> list[str]:
        """What was left out, a sentence each."""
        said = []
        shown = (len(self.graph.units), len(self.graph.edges))
        if shown != (self.unit_count, self.edge_count):
            said.append(
                f"Showing {shown[0]:,} of {self.unit_count:,} units and {shown[1]:,} of {self.edge_count:,} edges, "
                "the strongest by l1."
            )
        if self.weak_count:
            lonely = f", and {self.lonely_count:,} units that have none left" if self.lonely_count else ""
            said.append(f"Left out below the thresholds: {self.weak_count:,} edges{lonely}.")
        elif self.lonely_count:
            said.append(f"{self.lonely_count:,} units have no edge left and are not shown.")
        return said


def circuit_between(
    source: Bundle | BundleSource, units: Iterable[str], *, top: int = 8, min_share: float = 0.0, by: By = "l2"
) -> CircuitGraph:
    """Return chosen units of one network with the edges between them.

    Parameters
    ----------
    units
        Names as `Bundle.unit` takes them; their order is the order in a picture.
    top, min_share, by
        Into each unit the `top` strongest of the edges from the others, as `make_circuit` chooses them.

    Raises
    ------
    UnknownUnitError, UnknownLayerError
        There is no such unit.
    CatalogueError
        An option cannot be used.
    """
    act = "taking the circuit between units"
    check_options(act, by, top=top)
    reader = source if isinstance(source, BundleSource) else BundleSource(source)
    own = list(dict.fromkeys(reader.unit(name) for name in units))
    if not own:
        raise CatalogueError(f"{act}: 0 units are named.", hint="Name units as layer:3,layer:5.")
    pairs: list[tuple[str, str]] = []
    seen = 0
    for unit in own:
        table = reader.between(own, [unit])
        seen += len(table)
        # the share is float32, the limit is as typed
        pairs += table.cut(table.share_in >= np.float32(min_share)).strongest(top, by).pairs()
    uids = [str(unit) for unit in own]
    between = {"rule": "strongest", "by": by, "top": top, "min_share": float(min_share), "of": seen}
    return _graph(reader, dict.fromkeys(uids, ""), pairs, {"between": between})


def circuit_of_record(record: CircuitRecord, *bundles: Bundle, most_edges: int = 300) -> CircuitGraph:
    """Return a record with its kernels, the units' roles among their attributes.

    Parameters
    ----------
    most_edges
        Of more, only the strongest by l1 are read, with their units.

    Raises
    ------
    UnknownNetworkError
        A network of the circuit has no bundle among those given.
    """
    trimmed = record
    if len(record.edges) > most_edges:
        edges = sorted(record.edges, key=lambda edge: -edge.l1)[:most_edges]
        ends = {uid for edge in edges for uid in (edge.up, edge.down)}
        units = tuple(unit for unit in record.units if unit.uid in ends)
        own = {unit.layer for unit in units}
        layers = tuple(layer for layer in record.layers if layer in own)
        trimmed = record.model_copy(update={"edges": tuple(edges), "units": units, "layers": layers})
    graph = trimmed.graph(*bundles, whole=False)
    roles = {unit.uid: unit.role for unit in record.units}
    units_with_roles = [
        CircuitUnit(unit.uid, unit.label, unit.order, {"role": roles[unit.uid]} if roles[unit.uid] else {})
        for unit in graph.units
    ]
    return CircuitGraph(graph.layers, units_with_roles, graph.edges, attributes={"title": record.title})


def refine_circuit(
    graph: CircuitGraph,
    sources: Mapping[str, BundleSource],
    *,
    add: Sequence[str] = (),
    remove: Sequence[str] = (),
    top: int = 4,
    min_share: float = 0.0,
    min_sum: float = 0.0,
    by: By = "l2",
    most_units: int = MOST_UNITS,
    most_edges: int = MOST_EDGES,
) -> Drafted:
    """Change a circuit.

    Parameters
    ----------
    sources
        By network, where neighbours are taken from.
    add
        Units whose strongest neighbours come in, up and down.
    remove
        Units that go, with their edges.
    top, by
        How many neighbours of a unit are added each way, and what is strongest.
    min_share, min_sum
        The least share of its target's total l1, and the least magnitude of its sum, that an edge must have; an edge
        of unknown share stays. Units that so lose their last edge go, but for the first one (the centre, if it has
        that role).
    most_units, most_edges
        What is kept of more: the first unit, and those of the strongest edges by l1.

    Raises
    ------
    UnknownUnitError, UnknownLayerError, UnknownNetworkError
        A unit whose neighbours are wanted does not exist.
    CatalogueError
        An option cannot be used, or every unit was removed.
    """
    check_options("changing a circuit", by, top=top, most_units=most_units)
    for name, value in (("min_share", min_share), ("min_sum", min_sum)):
        if not (math.isfinite(value) and value >= 0):
            raise CatalogueError(f"changing a circuit: {name} is {value}, 0 or more is wanted.")
    for uid in add:
        network = uid.partition("/")[0]
        if network in sources:
            near = circuit_around(sources[network], uid, hops=1, top=top, min_share=min_share, by=by)
            graph = _joined(graph, near, sources)
    gone = set(remove)
    units = [unit for unit in graph.units if unit.uid not in gone]
    if not units:
        raise CatalogueError(
            f"changing a circuit: all of its {len(graph.units)} units were removed.", hint="Go back, and keep one."
        )
    all_edges = [edge for edge in graph.edges if not {edge.up, edge.down} & gone]
    strong = [edge for edge in all_edges if _is_strong(edge, min_share, min_sum)]
    first = next((unit.uid for unit in units if unit.attributes.get("role") == "centre"), units[0].uid)
    had = {uid for edge in graph.edges for uid in (edge.up, edge.down)}
    have = {uid for edge in strong for uid in (edge.up, edge.down)}
    staying = [unit for unit in units if unit.uid in have or unit.uid not in had or unit.uid == first]
    shown_units, shown_edges = _cut(staying, strong, first, most_units, most_edges)
    own = {unit.layer for unit in shown_units}
    return Drafted(
        CircuitGraph(
            [layer for layer in graph.layers if layer in own], shown_units, shown_edges, attributes=graph.attributes
        ),
        unit_count=len(staying),
        edge_count=len(strong),
        weak_count=len(all_edges) - len(strong),
        lonely_count=len(units) - len(staying),
        largest_share=max((edge.share_in or 0.0 for edge in all_edges), default=0.0),
        largest_sum=max((abs(edge.sum) for edge in all_edges), default=0.0),
    )


def _is_strong(edge: CircuitEdge, min_share: float, min_sum: float) -> bool:
    has_share = edge.share_in is None or edge.share_in >= min_share
    return has_share and abs(edge.sum) >= min_sum


def _cut(
    units: Sequence[CircuitUnit], edges: Sequence[CircuitEdge], first: str, most_units: int, most_edges: int
) -> tuple[list[CircuitUnit], list[CircuitEdge]]:
    """Return as many units and edges as may be shown, the strongest edges first; what has no edge comes last."""
    chosen = {first: None}
    kept: list[CircuitEdge] = []
    for edge in sorted(edges, key=lambda edge: (-edge.l1, edge.up, edge.down)):
        new = [uid for uid in (edge.up, edge.down) if uid not in chosen]
        if len(kept) < most_edges and len(chosen) + len(new) <= most_units:
            chosen |= dict.fromkeys(new)
            kept.append(edge)
    linked = {uid for edge in edges for uid in (edge.up, edge.down)}
    for unit in units:
        if unit.uid not in linked and len(chosen) < most_units:
            chosen[unit.uid] = None
    return [unit for unit in units if unit.uid in chosen], kept


def _joined(graph: CircuitGraph, near: CircuitGraph, sources: Mapping[str, BundleSource]) -> CircuitGraph:
    """Return both circuits in one; what is in both is as it is in the first."""
    there = {unit.uid for unit in graph.units}
    last: dict[str, int] = {}
    for unit in graph.units:
        last[unit.layer] = max(last.get(unit.layer, -1), unit.order)
    more = []
    for unit in near.units:
        if unit.uid not in there:
            last[unit.layer] = last.get(unit.layer, -1) + 1
            role = unit.attributes.get("role")
            attributes = {**unit.attributes, "role": "added" if role == "centre" else role}
            more.append(CircuitUnit(unit.uid, unit.label, last[unit.layer], attributes))
    pairs = {(edge.up, edge.down) for edge in graph.edges}
    edges = [*graph.edges, *(edge for edge in near.edges if (edge.up, edge.down) not in pairs)]
    own = {*graph.layers, *near.layers}
    networks = dict.fromkeys(layer.partition("/")[0] for layer in (*graph.layers, *near.layers))
    layers = [
        layer
        for network in networks
        for layer in (sources[network].layers(network) if network in sources else graph.layers)
        if layer in own
    ]
    return CircuitGraph(dict.fromkeys(layers), [*graph.units, *more], edges, attributes=graph.attributes)


def _graph(
    reader: BundleSource, roles: Mapping[str, str], pairs: Sequence[tuple[str, str]], attributes: Mapping[str, Any]
) -> CircuitGraph:
    network = reader.bundle.network
    facts = reader.units(list(roles))
    layers = reader.layers(network)
    own = {str(UnitId.parse(uid).layer_id) for uid in roles}
    count: dict[str, int] = {}
    units = []
    for uid, role in roles.items():
        layer = str(UnitId.parse(uid).layer_id)
        count[layer] = count.get(layer, -1) + 1
        units.append(CircuitUnit(uid, "", count[layer], {**({"role": role} if role else {}), **facts[uid]}))
    return CircuitGraph(
        [layer for layer in layers if layer in own],
        units,
        reader.edges(pairs),
        attributes={"network": network, **attributes, **reader.about(network, list(roles))},
    )
