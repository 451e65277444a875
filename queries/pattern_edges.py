"""The strong edges that patterns are looked for in: of a bundle, of arrays, or of any signed graph.

A bundle's are those of its table of edges (`circuitgraph.bundle.edges`): the strongest 2% of each layer pair by
absolute kernel sum excite or inhibit, the strongest 2% by l2 whose sum nearly cancels mix. Arrays are cut by the
same rule. In a graph every edge counts, with its sign.

Numbers are compared as float64 of what is stored, as the database compares them, so that ties are ties in both.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.edges import block_edges, target_edges
from circuitgraph.bundle.format import STRONG_SHARE
from circuitgraph.errors import MotifError, NonFiniteError, ShapeError
from queries.base import Unit
from queries.pattern_text import EDGE_SCALARS, SIDES, EdgeCondition, Kind
from queries.weights import Weights, read_weights

__all__ = ["COMPARE", "Pair", "PairEdges", "PatternGraph", "Test", "edges_of_kernels", "read_graph"]

Test = tuple[Kind, tuple[EdgeCondition, ...]]
Pair = tuple[int, int]
"""Numbers of the upstream and the downstream layer."""

COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, eq=False)
class PairEdges:
    """The strong edges between two layers, sorted by up, then down.

    Attributes
    ----------
    up, down
        (edge,) places in their layers.
    sign
        (edge,) int8: 1 excites, -1 inhibits, 0 neither.
    mixes
        (edge,) bool; an edge may do both.
    scalars
        Name to (edge,) float64.
    shape
        Units of the upstream and of the downstream layer.
    sum_cut, l2_cut
        What the absolute sum, or the l2, of an edge had to reach.
    """

    up: NDArray[np.int64]
    down: NDArray[np.int64]
    sign: NDArray[np.int8]
    mixes: NDArray[np.bool_]
    scalars: Mapping[str, NDArray[np.float64]]
    shape: tuple[int, int]
    sum_cut: float
    l2_cut: float

    def satisfying(self, test: Test) -> NDArray[np.bool_]:
        """Say of each edge whether it is of the kind and all conditions hold."""
        kind, conditions = test
        if kind == "mixes":
            own = self.mixes.copy()
        else:
            sign = 1 if kind == "excites" else -1
            own = self.sign == sign
            for side in {word for each in conditions for word in (each.scalar, each.value) if word in SIDES}:
                own |= self.mixes & (self.scalars[str(side)] * sign > 0)
        for each in conditions:
            value = self.scalars[each.value] if isinstance(each.value, str) else each.value
            own &= COMPARE[each.compare](self.scalars[each.scalar], value)
        return own

    @property
    def strength(self) -> NDArray[np.float64]:
        """How many times its cut each edge has: by absolute sum, by l2 where it only mixes; at least 1."""
        by_sum = np.abs(self.scalars["sum"]) / self.sum_cut if self.sum_cut > 0 else np.ones(len(self.up))
        by_l2 = self.scalars["l2"] / self.l2_cut if self.l2_cut > 0 else np.ones(len(self.up))
        return np.where(self.sign != 0, by_sum, by_l2)

    def find(self, up: int, down: int) -> int | None:
        """Return the number of an edge, None where the two are not joined by a strong one."""
        key = self.up * self.shape[1] + self.down
        at = int(np.searchsorted(key, up * self.shape[1] + down))
        return at if at < len(key) and key[at] == up * self.shape[1] + down else None


@dataclass(frozen=True, eq=False)
class PatternGraph:
    """Layers and the strong edges between them.

    A graph without layers is one layer whose units are joined among themselves, none with itself.
    """

    layers: tuple[str, ...]
    unit_counts: tuple[int, ...]
    pairs: Mapping[Pair, PairEdges]
    source: str
    is_layered: bool = True
    network: str = ""
    bundle: Bundle | None = None
    weights: Mapping[Pair, Weights] = field(default_factory=dict)
    nodes: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()

    def unit(self, layer: int, place: int) -> Unit:
        """Name a unit: its uid of a bundle, its place in an array, its node of a graph."""
        if self.bundle is not None:
            return f"{self.layers[layer]}:{place}"
        if self.nodes:
            node = self.nodes[place]
            return node if isinstance(node, (str, int)) else str(node)
        return place

    def short(self, layer: int) -> str:
        """The layer's name without the network, by which the database knows it."""
        return self.layers[layer].rpartition("/")[2]

    def pair_weights(self, pair: Pair) -> Weights | None:
        """Kernels between two layers, None for a graph."""
        if self.bundle is not None:
            return read_weights(self.bundle, self.layers[pair[0]], self.layers[pair[1]])
        return self.weights.get(pair)


def read_graph(source: Any, *, strong_share: float | None = None, act: str = "finding a pattern") -> PatternGraph:
    """Read what patterns are looked for in.

    Parameters
    ----------
    source
        A `Bundle`; an array (down, up, row, col) or (down, up), or a list of them for consecutive layers, which are
        called 0, 1, ...; a scipy sparse matrix (unit, unit) with an edge from the column to the row, its sign
        that of the value; or a networkx `DiGraph`, whose edges may have `sign` or `weight` (else they excite).
    strong_share
        For arrays: the share of each layer pair that is strong; 0.02 where None.

    Raises
    ------
    MotifError
        The source is none of these, or `strong_share` is given for one that has its own strong edges.
    ShapeError, NonFiniteError
        An array does not fit the one before it, or holds NaN or infinity.
    """
    if isinstance(source, PatternGraph):
        return source
    arrays = isinstance(source, (list, tuple, np.ndarray, Weights))
    if strong_share is not None and not (arrays and 0 < strong_share <= 1):
        what = "it is above 0 and at most 1" if arrays else f"a {type(source).__name__} has its own edges"
        raise MotifError(f"{act}: strong_share is {strong_share}; {what}.", hint="Leave it out.")
    if isinstance(source, Bundle):
        return _of_bundle(source)
    if sp.issparse(source):
        return _of_sparse(source, act)
    if isinstance(source, nx.Graph):
        return _of_networkx(source, act)
    if arrays:
        return _of_arrays(source, STRONG_SHARE if strong_share is None else strong_share, act)
    raise MotifError(
        f"{act}: {type(source).__name__} is neither a Bundle, arrays, a sparse matrix nor a networkx DiGraph.",
        hint="Give a Bundle (`Bundle.open(path)`), or a list of arrays (down, up, row, col).",
    )


def _of_bundle(bundle: Bundle) -> PatternGraph:
    pairs: dict[Pair, PairEdges] = {}
    index = {layer.uid: layer.index for layer in bundle.layers}
    counts = tuple(layer.unit_count for layer in bundle.layers)
    for down in dict.fromkeys(block.down for block in bundle.blocks):
        parts = [block for block in bundle.blocks if block.down == down]
        table = bundle.edges(down)
        numbers = {name: table[name].to_numpy() for name in ("block", "up", "down", "excites", "inhibits", "mixes")}
        strong = numbers["excites"] | numbers["inhibits"] | numbers["mixes"]
        for up in dict.fromkeys(part.up for part in parts):
            own = [part for part in parts if part.up == up]
            chosen = strong & np.isin(numbers["block"], [part.block for part in own])
            pair = (index[up], index[down])
            pairs[pair] = _pair_edges(
                {name: values[chosen] for name, values in numbers.items()},
                {name: table[name].to_numpy()[chosen] for name in EDGE_SCALARS},
                (counts[pair[0]], counts[pair[1]]),
                (own[0].strong_sum_cut, own[0].strong_l2_cut),
            )
    return PatternGraph(
        layers=tuple(layer.uid for layer in bundle.layers),
        unit_counts=counts,
        pairs=pairs,
        source=bundle.network,
        network=bundle.network,
        bundle=bundle,
    )


def _pair_edges(
    columns: Mapping[str, NDArray[Any]],
    scalars: Mapping[str, NDArray[Any]],
    shape: tuple[int, int],
    cuts: tuple[float, float],
) -> PairEdges:
    up, down = columns["up"].astype(np.int64), columns["down"].astype(np.int64)
    order = np.argsort(up * shape[1] + down, kind="stable")
    sign = columns["excites"].astype(np.int8) - columns["inhibits"].astype(np.int8)
    return PairEdges(
        up=up[order],
        down=down[order],
        sign=sign[order],
        mixes=np.asarray(columns["mixes"][order], dtype=np.bool_),
        scalars={name: values[order].astype(np.float64) for name, values in scalars.items()},
        shape=shape,
        sum_cut=cuts[0],
        l2_cut=cuts[1],
    )


def edges_of_kernels(kernels: NDArray[np.float32], anchor: tuple[float, float], share: float) -> PairEdges:
    """Cut kernels (down, up, row, col) to their strong edges, by the rule of bundles."""
    down_count, up_count = kernels.shape[:2]
    # an offset is minus the anchor; that of an even window falls between two lines, as for a spatial kernel
    whole = all(value == int(value) for value in anchor)
    edges = block_edges(
        kernels,
        form="dense" if whole else "spatial",
        row_start=0,
        offset=(-int(anchor[0]), -int(anchor[1])),
        up_channels=None,
        gross=None,
    )
    table, cuts = target_edges([edges], down_count, strong_share=share)
    columns = {name: table[name].to_numpy() for name in ("up", "down", "excites", "inhibits", "mixes")}
    strong = columns["excites"] | columns["inhibits"] | columns["mixes"]
    return _pair_edges(
        {name: values[strong] for name, values in columns.items()},
        {name: table[name].to_numpy()[strong] for name in EDGE_SCALARS},
        (up_count, down_count),
        cuts[""],
    )


def _of_arrays(source: Any, share: float, act: str) -> PatternGraph:
    steps: Sequence[Any] = source if isinstance(source, (list, tuple)) else [source]
    if not steps:
        raise MotifError(f"{act}: the list of arrays is empty.", hint="Give one array for each pair of layers.")
    weights = [read_weights(step, act=act) for step in steps]
    for number, (first, second) in enumerate(pairwise(weights)):
        if len(first.down_units) != len(second.up_units):
            raise ShapeError(
                f"{act}: array {number} leads to {len(first.down_units)} units, array {number + 1} comes from "
                f"{len(second.up_units)}.",
                hint="Each is (down, up, row, col), the network's input side first.",
            )
    counts = (len(weights[0].up_units), *(len(each.down_units) for each in weights))
    return PatternGraph(
        layers=tuple(str(number) for number in range(len(counts))),
        unit_counts=counts,
        pairs={
            (number, number + 1): edges_of_kernels(each.kernels, each.anchor, share)
            for number, each in enumerate(weights)
        },
        source=weights[0].name
        if len(weights) == 1
        else f"{len(weights)} arrays of {' - '.join(map(str, counts))} units",
        network=weights[0].network,
        weights={(number, number + 1): each for number, each in enumerate(weights)},
    )


def _of_sparse(source: Any, act: str) -> PatternGraph:
    if source.ndim != 2 or source.shape[0] != source.shape[1] or source.shape[0] == 0:
        raise ShapeError(
            f"{act}: the shape is {source.shape}, a square one (unit, unit) is wanted.",
            hint="A value at (v, u) is an edge from u to v. For two layers give an array (down, up) instead.",
        )
    matrix = sp.coo_array(source)
    matrix.sum_duplicates()
    down, up = (np.asarray(axis, dtype=np.int64) for axis in matrix.coords)
    return _of_signed(up, down, np.asarray(matrix.data, dtype=np.float64), source.shape[0], (), act)


def _of_networkx(source: Any, act: str) -> PatternGraph:
    if not source.is_directed() or source.is_multigraph():
        raise MotifError(
            f"{act}: a {type(source).__name__} has no one direction between two nodes.", hint="Give a networkx DiGraph."
        )
    nodes = tuple(source.nodes)
    place = {node: number for number, node in enumerate(nodes)}
    rows = [
        (place[u], place[v], float(data.get("sign", data.get("weight", 1.0)))) for u, v, data in source.edges(data=True)
    ]
    up, down, value = (np.array(column) for column in zip(*rows, strict=True)) if rows else np.zeros((3, 0))
    return _of_signed(up.astype(np.int64), down.astype(np.int64), value, len(nodes), nodes, act)


def _of_signed(
    up: NDArray[np.int64],
    down: NDArray[np.int64],
    value: NDArray[np.float64],
    count: int,
    nodes: tuple[Any, ...],
    act: str,
) -> PatternGraph:
    if not np.isfinite(value).all():
        bad = int(np.flatnonzero(~np.isfinite(value))[0])
        raise NonFiniteError(
            f"{act}: the edge from {up[bad]} to {down[bad]} is {value[bad]}.", hint="Give each edge a finite value."
        )
    keep = (value != 0) & (up != down)
    loops = int(np.count_nonzero((value != 0) & (up == down)))
    up, down, value = up[keep], down[keep], value[keep]
    order = np.argsort(up * count + down, kind="stable")
    up, down, value = up[order], down[order], value[order]
    size = np.abs(value)
    total = np.bincount(down, weights=size, minlength=count)[down]
    zero = np.zeros(len(value))
    scalars = dict.fromkeys(EDGE_SCALARS, zero) | {
        "sum": value,
        "l1": size,
        "l2": size,
        "centre": value,
        "excitation": np.maximum(value, 0),
        "inhibition": np.minimum(value, 0),
        "share_in": size / np.where(total > 0, total, 1),
    }
    edges = PairEdges(
        up=up,
        down=down,
        sign=np.sign(value).astype(np.int8),
        mixes=np.zeros(len(value), dtype=np.bool_),
        scalars=scalars,
        shape=(count, count),
        sum_cut=float(size.min(initial=np.inf)) if len(size) else 0.0,
        l2_cut=0.0,
    )
    return PatternGraph(
        layers=("graph",),
        unit_counts=(count,),
        pairs={(0, 0): edges},
        source=f"a graph of {count:,} units and {len(value):,} edges",
        is_layered=False,
        nodes=nodes,
        notes=(f"{loops} edges that join a unit with itself are left out",) if loops else (),
    )
