"""A circuit in memory: units in layers, and the kernels between them.

It is small and self-contained: what a picture, an export or a motif match shows,
with no bundle or database behind it. Whole networks stay in their bundle.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuitgraph.errors import (
    GraphError,
    MissingExtraError,
    NonFiniteError,
    ShapeError,
    UnknownLayerError,
    UnknownUnitError,
)
from circuitgraph.ids import LayerId, UnitId

if TYPE_CHECKING:
    import networkx

__all__ = ["CircuitEdge", "CircuitGraph", "CircuitUnit", "as_kernel"]

_ATTRIBUTE = re.compile("[A-Za-z_][A-Za-z0-9_]{0,99}")
_DEEPEST = 20
# what units, edges and graphs say by themselves, here and in the formats that they are written in
_OWN_UNIT = frozenset({"id", "uid", "layer", "order", "label"})
_OWN_EDGE = frozenset(
    {"id", "source", "target", "up", "down", "key", "label", "kernel", "anchor", "share_in", "sum", "l1", "weight"}
)
_OWN_GRAPH = frozenset({"layers", "name", "node_default", "edge_default", "mode"})


def as_kernel(values: ArrayLike, place: str) -> NDArray[np.float32]:
    """Return a read-only float32 copy of a kernel, checked.

    Parameters
    ----------
    values
        (row, col) real numbers.
    place
        What an error's message begins with.

    Raises
    ------
    ShapeError
        It is no two-dimensional array of real numbers.
    NonFiniteError
        A weight is NaN, infinite or too large for float32; the message says which.
    """
    try:
        given = np.asarray(values)
    except ValueError as error:
        raise ShapeError(f"{place}: the rows of the kernel are not of one length.") from error
    if given.dtype.kind not in "fiub":
        raise ShapeError(f"{place}: the kernel holds {given.dtype} values, real numbers are wanted.")
    if given.ndim != 2 or 0 in given.shape:
        raise ShapeError(f"{place}: the kernel's shape is {given.shape}, (row, col) with 1 or more of each is wanted.")
    with np.errstate(over="ignore"):
        kernel = np.array(given, dtype=np.float32)
    bad = np.argwhere(~np.isfinite(kernel))
    if len(bad):
        row, col = (int(i) for i in bad[0])
        raise NonFiniteError(
            f"{place}: {len(bad)} of {kernel.size} weights are no finite number, "
            f"the first ({given[row, col]}) at row {row}, col {col}."
        )
    kernel.setflags(write=False)
    return kernel


def _checked(attributes: Mapping[str, Any] | None, own: frozenset[str], place: str) -> dict[str, Any]:
    """Return a copy of attributes that every format can hold: JSON values under plain names."""
    out = {}
    for name, value in (attributes or {}).items():
        if not isinstance(name, str) or not _ATTRIBUTE.fullmatch(name) or name in own:
            raise GraphError(
                f"{place}: {str(name)[:80]!r} cannot be the name of an attribute.",
                hint=f"Use letters, digits and _, and none of {', '.join(sorted(own))}.",
            )
        if not _is_json(value):
            raise GraphError(
                f"{place}: attribute {name} is {repr(value)[:80]}, which JSON has no word for.",
                hint="Give texts, whole and finite numbers, truth values, None, lists of them, or dicts by text.",
            )
        out[name] = _copied(value)
    return out


def _is_json(value: Any, depth: int = 0) -> bool:
    if depth > _DEEPEST:
        return False
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _is_json(each, depth + 1) for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return all(_is_json(each, depth + 1) for each in value)
    return value is None or type(value) in (bool, int, str)


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copied(each) for name, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, (list, tuple)) else value


def _known(data: Mapping[str, Any], own: frozenset[str]) -> dict[str, Any]:
    """Return what of a networkx graph's attributes can be kept."""
    return {
        name: value
        for name, value in data.items()
        if isinstance(name, str) and _ATTRIBUTE.fullmatch(name) and name not in own and _is_json(value)
    }


@dataclass(frozen=True, slots=True)
class CircuitUnit:
    """A unit of a circuit.

    Parameters
    ----------
    uid
        ``network/layer:channel`` or ``network/layer@name``.
    label
        What to call it in a picture, any text; the uid's last part where empty.
    order
        Its place among the circuit's units of its layer, smallest first.
    attributes
        What else is known of it (a bias, norms): JSON values by name.

    Raises
    ------
    GraphError
        An attribute has a name that is the unit's own, or no JSON value.
    """

    uid: str
    label: str = ""
    order: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", _checked(self.attributes, _OWN_UNIT, f"unit {self.uid}"))

    @property
    def layer(self) -> str:
        """The uid of the unit's layer."""
        return str(UnitId.parse(self.uid).layer_id)


class CircuitEdge:
    """The kernel from one unit to a unit further downstream.

    Parameters
    ----------
    up, down
        Uids of the two units.
    kernel
        (row, col), row 0 at the top, in output activation per input activation. Kept as float32.
    anchor
        (row, col) of the kernel that sits on the downstream unit's own position, ``-offset`` of its block
        (`circuitgraph.kernels.anchor_of`); the middle of the kernel if None. It may lie outside.
    share_in
        The edge's share, 0 to 1, of the downstream unit's total l1; None where it is not known.
    attributes
        What else is known of it (the offset and stride of its block, what was linearised): JSON values by name.

    Raises
    ------
    ShapeError
        The kernel is no two-dimensional array of real numbers.
    NonFiniteError
        A weight is NaN or infinite; the message says which.
    GraphError
        `share_in` lies outside 0 to 1, the anchor is not a pair of finite numbers, or an attribute cannot be kept.
    """

    __slots__ = ("anchor", "attributes", "down", "kernel", "share_in", "up")

    def __init__(
        self,
        up: str,
        down: str,
        kernel: ArrayLike,
        *,
        anchor: tuple[float, float] | None = None,
        share_in: float | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        place = f"edge {up} -> {down}"
        self.up = up
        self.down = down
        self.kernel = as_kernel(kernel, place)
        if anchor is None:
            anchor = ((self.kernel.shape[0] - 1) / 2, (self.kernel.shape[1] - 1) / 2)
        if len(anchor) != 2 or not np.isfinite(anchor).all():
            raise GraphError(f"{place}: the anchor is {anchor}, a finite (row, col) is wanted.")
        self.anchor = (float(anchor[0]), float(anchor[1]))
        if share_in is not None and not 0 <= share_in <= 1:
            raise GraphError(f"{place}: share_in is {share_in}, a share lies between 0 and 1.")
        self.share_in = None if share_in is None else float(share_in)
        self.attributes: Mapping[str, Any] = _checked(attributes, _OWN_EDGE, place)

    @property
    def sum(self) -> float:
        """The sum of the kernel's weights."""
        return float(self.kernel.sum(dtype=np.float64))

    @property
    def l1(self) -> float:
        """The sum of the magnitudes of the kernel's weights."""
        return float(np.abs(self.kernel).sum(dtype=np.float64))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CircuitEdge):
            return NotImplemented
        names = ("up", "down", "anchor", "share_in", "attributes")
        same = all(getattr(self, name) == getattr(other, name) for name in names)
        return same and np.array_equal(self.kernel, other.kernel)

    def __hash__(self) -> int:
        return hash((self.up, self.down))

    def __repr__(self) -> str:
        rows, cols = self.kernel.shape
        return f"CircuitEdge({self.up!r} -> {self.down!r}, {rows}x{cols}, sum={self.sum:+.3g})"


class CircuitGraph:
    """Units in layers and the edges between them, checked and in a fixed order.

    Parameters
    ----------
    layers
        Uids of the layers, upstream first. One without units is allowed.
    units
        In any order; kept sorted by layer, `order`, uid.
    edges
        In any order, at most one from one unit to another; kept sorted as their units are.
    attributes
        What else is known of the circuit (its network, how it was chosen, what was left out): JSON values by name.

    Raises
    ------
    IdError
        A uid does not follow the grammar.
    UnknownLayerError
        A unit's layer is not among `layers`.
    UnknownUnitError
        An edge names a unit that is not in the circuit.
    GraphError
        A layer, unit or edge is there twice, or an edge does not lead downstream.

    Examples
    --------
    >>> graph = CircuitGraph(
    ...     ["net/a", "net/b"],
    ...     [CircuitUnit("net/a:3", "window"), CircuitUnit("net/b:7", "car")],
    ...     [CircuitEdge("net/a:3", "net/b:7", [[1.0], [-1.0]])],
    ... )
    >>> graph.edges
    (CircuitEdge('net/a:3' -> 'net/b:7', 2x1, sum=+0),)
    """

    def __init__(
        self,
        layers: Iterable[str],
        units: Iterable[CircuitUnit],
        edges: Iterable[CircuitEdge] = (),
        *,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self.attributes: Mapping[str, Any] = _checked(attributes, _OWN_GRAPH, "making a circuit")
        self.layers = tuple(str(LayerId.parse(layer)) for layer in layers)
        place = {layer: index for index, layer in enumerate(self.layers)}
        if len(place) < len(self.layers):
            raise GraphError(f"making a circuit: {len(self.layers)} layers are given, {len(place)} are different.")
        given = tuple(units)
        for unit in given:
            if unit.layer not in place:
                raise UnknownLayerError(
                    f"making a circuit: unit {unit.uid!r} is of layer {unit.layer!r}, "
                    f"which is not among its {len(self.layers)} layers.",
                    hint="Name the layer in `layers`, upstream first.",
                )
        self.units = tuple(sorted(given, key=lambda unit: (place[unit.layer], unit.order, UnitId.parse(unit.uid))))
        rank = {unit.uid: index for index, unit in enumerate(self.units)}
        if len(rank) < len(self.units):
            raise GraphError(f"making a circuit: {len(self.units)} units are given, {len(rank)} are different.")
        depth = {unit.uid: place[unit.layer] for unit in self.units}
        given_edges = tuple(edges)
        for edge in given_edges:
            for end in (edge.up, edge.down):
                if end not in rank:
                    raise UnknownUnitError(
                        f"making a circuit: edge {edge.up} -> {edge.down} names {end!r}, "
                        f"which is not among its {len(rank)} units."
                    )
            if depth[edge.up] >= depth[edge.down]:
                raise GraphError(
                    f"making a circuit: edge {edge.up} -> {edge.down} leads from layer {depth[edge.up]} "
                    f"to layer {depth[edge.down]}, not downstream.",
                    hint="Give `layers` upstream first.",
                )
        self.edges = tuple(sorted(given_edges, key=lambda edge: (rank[edge.up], rank[edge.down])))
        pairs = {(edge.up, edge.down) for edge in self.edges}
        if len(pairs) < len(self.edges):
            raise GraphError(f"making a circuit: {len(self.edges)} edges join {len(pairs)} pairs of units.")

    @cached_property
    def _by_uid(self) -> Mapping[str, CircuitUnit]:
        return {unit.uid: unit for unit in self.units}

    def unit(self, uid: str) -> CircuitUnit:
        """Return a unit of the circuit.

        Raises
        ------
        UnknownUnitError
            It is not in the circuit.
        """
        try:
            return self._by_uid[uid]
        except KeyError:
            raise UnknownUnitError(f"unit {uid!r} is not in the circuit, which has {len(self.units)} units.") from None

    def units_of(self, layer: str) -> tuple[CircuitUnit, ...]:
        """Return the circuit's units of a layer, in order."""
        return tuple(unit for unit in self.units if unit.layer == layer)

    def to_networkx(self) -> networkx.DiGraph:
        """Copy into a networkx graph: nodes by uid, kernels as arrays on the edges, and all attributes."""
        import networkx

        out = networkx.DiGraph()
        # by update, since an attribute may be called as a parameter of networkx is
        out.graph.update(layers=list(self.layers))
        out.graph.update(_copied(self.attributes))
        for unit in self.units:
            out.add_node(unit.uid, layer=unit.layer, order=unit.order, label=unit.label)
            out.nodes[unit.uid].update(_copied(unit.attributes))
        for edge in self.edges:
            out.add_edge(edge.up, edge.down, kernel=edge.kernel, anchor=edge.anchor, share_in=edge.share_in)
            out.edges[edge.up, edge.down].update(_copied(edge.attributes))
        return out

    @classmethod
    def from_networkx(cls, graph: networkx.DiGraph) -> CircuitGraph:
        """Read what `to_networkx` gives; attributes that are no JSON values under plain names are ignored.

        Raises
        ------
        GraphError
            The graph's attribute ``layers``, or the ``kernel`` of an edge, is missing, or edges have no direction.
        """
        if not graph.is_directed() or graph.is_multigraph():
            raise GraphError("reading a circuit from networkx: a DiGraph is wanted.")
        if "layers" not in graph.graph:
            raise GraphError(
                "reading a circuit from networkx: the graph has no attribute 'layers'.",
                hint="Set graph.graph['layers'] to the layers' uids, upstream first.",
            )
        edges = []
        for up, down, data in graph.edges(data=True):
            if "kernel" not in data:
                raise GraphError(f"reading a circuit from networkx: edge {up} -> {down} has no attribute 'kernel'.")
            anchor, share_in = data.get("anchor"), data.get("share_in")
            more = _known(data, _OWN_EDGE)
            edges.append(
                CircuitEdge(str(up), str(down), data["kernel"], anchor=anchor, share_in=share_in, attributes=more)
            )
        units = [
            CircuitUnit(str(uid), str(data.get("label", "")), int(data.get("order", 0)), _known(data, _OWN_UNIT))
            for uid, data in graph.nodes(data=True)
        ]
        return cls(graph.graph["layers"], units, edges, attributes=_known(graph.graph, _OWN_GRAPH))

    def _repr_svg_(self) -> str | None:
        """Draw the circuit for a notebook, its 60 strongest edges; None where the extra ``draw`` is not installed."""
        from circuitgraph.draw.circuit import draw_circuit

        try:
            return draw_circuit(self).svg if self.units else None
        except MissingExtraError:
            return None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CircuitGraph):
            return NotImplemented
        names = ("layers", "units", "edges", "attributes")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def __hash__(self) -> int:
        return hash((self.layers, self.units, self.edges))

    def __repr__(self) -> str:
        return f"CircuitGraph({len(self.layers)} layers, {len(self.units)} units, {len(self.edges)} edges)"
