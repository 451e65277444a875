"""Pairs of units that inhibit each other by way of their sources: what excites one inhibits the other."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from circuitgraph.draw.marks import edge_kind
from circuitgraph.graph import CircuitEdge, CircuitGraph

__all__ = ["MutualPair", "find_mutual"]


@dataclass(frozen=True, slots=True)
class MutualPair:
    """Two units of one layer, and two of an earlier one of which each excites one and inhibits the other.

    Attributes
    ----------
    left, right
        Uids of the pair.
    left_source, right_source
        What excites `left` and inhibits `right`, and the reverse.
    strength
        The least magnitude among the sums of the four kernels.
    """

    left: str
    right: str
    left_source: str
    right_source: str
    strength: float


def find_mutual(graph: CircuitGraph) -> list[MutualPair]:
    """Return the pairs of a circuit that inhibit each other, strongest first, each with its strongest sources.

    As the two sides of the dog-head circuit do ("Zoom In", 2020): the left pathway excites the left unit and inhibits
    the right one, the right pathway the reverse. An edge that mixes counts as neither.
    """
    into: dict[str, dict[str, CircuitEdge]] = {unit.uid: {} for unit in graph.units}
    for edge in graph.edges:
        into[edge.down][edge.up] = edge
    found = []
    for layer in graph.layers:
        for left, right in combinations((unit.uid for unit in graph.units_of(layer)), 2):
            pair = _best_of(graph, left, right, into[left], into[right])
            if pair is not None:
                found.append(pair)
    return sorted(found, key=lambda pair: -pair.strength)


def _best_of(
    graph: CircuitGraph, left: str, right: str, to_left: dict[str, CircuitEdge], to_right: dict[str, CircuitEdge]
) -> MutualPair | None:
    sides: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for source, edge in to_left.items():
        other = to_right.get(source)
        if other is None:
            continue
        kinds = (edge_kind(edge), edge_kind(other))
        if set(kinds) == {"excites", "inhibits"}:
            weakest = min(abs(edge.sum), abs(other.sum))
            sides.setdefault((graph.unit(source).layer, kinds[0]), []).append((weakest, source))
    best: MutualPair | None = None
    for layer in graph.layers:
        own, others = sides.get((layer, "excites")), sides.get((layer, "inhibits"))
        if own and others:
            (own_strength, own_source), (other_strength, other_source) = max(own), max(others)
            strength = min(own_strength, other_strength)
            if best is None or strength > best.strength:
                best = MutualPair(left, right, own_source, other_source, strength)
    return best
