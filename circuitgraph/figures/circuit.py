"""The figure of a circuit: a record of the catalogue with its bundles' kernels, or a graph in memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.catalogue.circuit_check import CircuitCheck, draw_record
from circuitgraph.catalogue.circuits import CircuitRecord, get_circuit
from circuitgraph.draw import Picture, draw_circuit
from circuitgraph.errors import GraphError
from circuitgraph.export import read_circuit
from circuitgraph.figures.labels import names_of
from circuitgraph.graph import CircuitGraph, CircuitUnit

__all__ = ["circuit_figure", "read_circuit_file"]


def circuit_figure(
    circuit: CircuitRecord | CircuitGraph,
    *bundles: Bundle,
    catalogue: BaseCatalogue | None = None,
    anyway: bool = False,
    found: CircuitCheck | None = None,
    scale: float | None = None,
    max_edges: int = 60,
    title: str = "",
) -> Picture:
    """Draw a circuit in layers, with its kernels on its edges.

    Parameters
    ----------
    circuit
        A record, whose kernels are taken from `bundles`; or a graph, which holds its own
        (`circuitgraph.catalogue.subgraph.circuit_around` takes one from a bundle or a store).
    catalogue
        Where the names of units are taken from; those that a graph gives itself are kept.
    anyway
        Draw a record even where the bundles hold other weights; the picture says what differs.
    found
        What `check_circuit` says of the record and these bundles, where that is known already.
    scale, max_edges
        As for `circuitgraph.draw.draw_circuit`.

    Raises
    ------
    UnknownNetworkError
        A network of the record has no bundle among those given.
    CatalogueError
        The bundles do not hold the circuit as it was recorded, and it is not to be drawn anyway.
    GraphError
        It has no unit.
    """
    if isinstance(circuit, CircuitRecord):
        held = Counter(unit.role for unit in circuit.units)
        # a role that no other unit has says more than a family does
        own = {unit.uid for unit in circuit.units if unit.role and held[unit.role] == 1}
        names = names_of(catalogue, [unit.uid for unit in circuit.units if not unit.label], *bundles)
        labels = {uid: name for uid, name in names.items() if not (uid in own and name.startswith("family: "))}
        return draw_record(
            circuit, bundles, labels=labels, anyway=anyway, found=found, scale=scale, max_edges=max_edges
        )
    labels = names_of(catalogue, [unit.uid for unit in circuit.units if not unit.label], *bundles)
    units = [
        CircuitUnit(unit.uid, unit.label or labels.get(unit.uid, ""), unit.order, unit.attributes)
        for unit in circuit.units
    ]
    named = CircuitGraph(circuit.layers, units, circuit.edges, attributes=circuit.attributes)
    return draw_circuit(named, title=title or _title(circuit), scale=scale, max_edges=max_edges)


def read_circuit_file(catalogue: BaseCatalogue | None, name: str) -> CircuitRecord | CircuitGraph:
    """Return what a circuit's name or file stands for.

    Parameters
    ----------
    name
        A circuit of the catalogue (`circuitgraph.catalogue.circuits.get_circuit`); the JSON file of one; or a file that
        `circuitgraph.export.write_circuit` wrote.

    Raises
    ------
    UnknownCircuitError, MissingFileError
        There is no such circuit or file.
    ClaimError, GraphError
        The file holds no circuit, or one that was changed after it was made.
    """
    ending = Path(name).suffix
    if ending in (".graphml", ".gexf"):
        return read_circuit(name)
    if ending == ".json":
        try:
            return read_circuit(name)
        except GraphError as error:
            if "it is no circuitgraph/" not in error.message:
                raise
    return get_circuit(catalogue, name)


def _title(graph: CircuitGraph) -> str:
    around = graph.attributes.get("around")
    if isinstance(around, dict) and around.get("unit"):
        return f"Around {around['unit']}"
    said = graph.attributes.get("title")
    return said if isinstance(said, str) else ""
