"""Making records of circuits: from chosen units, a unit's neighbourhood, rows of a query, or a graph in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.circuit_kernels import EdgeTable, KernelReader, kernel_sha256, kernel_sums, rounded
from circuitgraph.catalogue.circuit_walk import By, check_options, walk_around
from circuitgraph.catalogue.circuits import CircuitRecord, IncludedUnit, RecordedEdge
from circuitgraph.catalogue.claims import Author
from circuitgraph.errors import CatalogueError, UnknownNetworkError
from circuitgraph.graph import CircuitEdge, CircuitGraph
from circuitgraph.ids import UnitId

__all__ = ["By", "circuit_around", "circuit_from_graph", "circuit_from_rows", "make_circuit"]

Bundles = Bundle | Sequence[Bundle]


Superseded = Iterable[CircuitRecord | str]


@dataclass(frozen=True, slots=True)
class _Signature:
    """Who made a circuit and when, and what they say of it."""

    title: str
    author: Author | str
    date: str
    slug: str
    description: str
    reference: str
    supersedes: Superseded

    def fields(self) -> dict[str, Any]:
        """Return them as fields of a record."""
        names = ("title", "date", "slug", "description", "reference")
        return {
            **{name: getattr(self, name) for name in names},
            "author": {"name": self.author} if isinstance(self.author, str) else self.author,
            "supersedes": tuple(each if isinstance(each, str) else each.sha256 for each in self.supersedes),
        }

    @property
    def act(self) -> str:
        """How an error's message begins."""
        return f"making circuit {self.title[:80]!r}"


@dataclass(slots=True)
class _Workshop:
    """The bundles of a circuit, and how its units are called in them."""

    readers: dict[str, KernelReader]
    act: str
    roles: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(
        cls, bundles: Bundles, signed: _Signature, roles: Mapping[str, str] | None, labels: Mapping[str, str] | None
    ) -> _Workshop:
        given = [bundles] if isinstance(bundles, Bundle) else list(bundles)
        names = [bundle.network for bundle in given]
        if not given or len(set(names)) < len(names):
            raise CatalogueError(
                f"{signed.act}: bundles of {', '.join(names) or 'no network'} are given.",
                hint="Give one bundle for each network that the circuit has units of.",
            )
        shop = cls({bundle.network: KernelReader(bundle) for bundle in given}, signed.act)
        shop.roles = {str(shop.unit(name)): role for name, role in (roles or {}).items()}
        shop.labels = {str(shop.unit(name)): label for name, label in (labels or {}).items()}
        return shop

    def unit(self, name: str) -> UnitId:
        network = name.partition("/")[0] if "/" in name else ""
        if len(self.readers) == 1:
            return next(iter(self.readers.values())).bundle.neuron(name)
        if network not in self.readers:
            raise UnknownNetworkError(
                f"{self.act}: unit {name!r} is of none of the networks {', '.join(self.readers)}.",
                hint="With several bundles, write units out: network/layer:channel.",
            )
        return self.readers[network].bundle.neuron(name)

    def reader(self, unit: UnitId) -> KernelReader:
        return self.readers[unit.network]

    def record(
        self,
        units: Sequence[UnitId],
        pairs: Iterable[tuple[str, str]],
        thresholds: Mapping[str, Any],
        signed: _Signature,
        *,
        orders: Mapping[str, int] | None = None,
    ) -> CircuitRecord:
        unknown = sorted((self.roles.keys() | self.labels.keys()) - {str(unit) for unit in units})
        if unknown:
            raise CatalogueError(
                f"{self.act}: {unknown[0]} has a role or a label, but is not among the circuit's {len(units)} units.",
                hint=f"Add it: --unit {unknown[0]}.",
            )
        edges = [self.edge(up, down) for up, down in pairs]
        used = {unit.network for unit in units}
        networks = {name: self.readers[name].bundle.info.weights_sha256 for name in used}
        own = {str(unit.layer_id) for unit in units}
        layers = [layer.uid for name in sorted(used) for layer in self.readers[name].bundle.layers if layer.uid in own]
        count: dict[str, int] = {}
        included = []
        for unit in units:
            uid, layer = str(unit), str(unit.layer_id)
            order = count[layer] = count.get(layer, -1) + 1
            if orders is not None:
                order = orders[uid]
            included.append(
                IncludedUnit(uid=uid, role=self.roles.get(uid, ""), label=self.labels.get(uid, ""), order=order)
            )
        return CircuitRecord.make(
            act=self.act,
            **signed.fields(),
            networks=networks,
            layers=layers,
            units=included,
            edges=edges,
            thresholds=dict(thresholds),
        )

    def edge(self, up: str, down: str) -> RecordedEdge:
        u, d = self.unit(up), self.unit(down)
        if u.network != d.network:
            raise CatalogueError(f"{self.act}: edge {u} -> {d} joins two networks.", hint="Edges lie in one network.")
        return _recorded(self.reader(d).edge(str(u), str(d)))


def make_circuit(
    bundles: Bundles,
    units: Iterable[str] | Mapping[str, str],
    *,
    title: str,
    author: Author | str,
    date: str,
    edges: Literal["strongest", "all"] | Iterable[tuple[str, str]] = "strongest",
    top: int = 8,
    min_share: float = 0.0,
    by: By = "l2",
    roles: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    origin: str = "",
    slug: str = "",
    description: str = "",
    reference: str = "",
    supersedes: Superseded = (),
) -> CircuitRecord:
    """Make a circuit of chosen units.

    Parameters
    ----------
    bundles
        One for each network that the circuit has units of.
    units
        Names as `Bundle.unit` takes them, or a mapping of them to their roles; their order is the order in a picture.
    title, author, date, slug, description, reference, supersedes
        As the fields of `CircuitRecord`; the slug comes from the title where it is empty.
    edges
        "strongest": into each unit the `top` strongest of the edges from the circuit's other units; "all": every edge
        between them that is not zero; or (up, down) pairs of unit names.
    top, min_share
        For "strongest": how many into each unit, and the least share of the unit's total l1 that an edge must have.
    by
        What "strongest" is measured in.
    roles, labels
        Unit name to what it does, and to what it is called in a picture.
    origin
        What the units come from, a uid or words; kept with the thresholds.

    Raises
    ------
    UnknownUnitError, UnknownLayerError, UnknownPairError
        A unit, or the layers of an edge that was asked for, do not exist.
    CatalogueError
        The circuit contradicts itself, or an option cannot be used.
    """
    signed = _Signature(title, author, date, slug, description, reference, supersedes)
    if isinstance(units, Mapping):
        roles = {**units, **(roles or {})}
    shop = _Workshop.open(bundles, signed, roles, labels)
    own = list(dict.fromkeys(shop.unit(name) for name in units))
    came_from = {"origin": origin} if origin else {}
    if not isinstance(edges, str):
        pairs = [(str(shop.unit(up)), str(shop.unit(down))) for up, down in edges]
        return shop.record(own, pairs, {**came_from, "rule": "chosen", "kept": len(pairs)}, signed)
    if edges not in ("strongest", "all"):
        raise CatalogueError(
            f"{signed.act}: edges={edges!r} is not known.", hint='Give "strongest", "all", or (up, down) pairs.'
        )
    check_options(signed.act, by, top=top)
    found = _between(shop, own)
    pairs, kept = [], 0.0
    for table in found:
        chosen = table
        if edges == "strongest":
            # the share is float32, the limit is as typed
            chosen = chosen.cut(chosen.share_in >= np.float32(min_share)).strongest(top, by)
        pairs += chosen.pairs()
        kept += float(chosen.l1.sum(dtype=np.float64))
    whole = sum(float(table.l1.sum(dtype=np.float64)) for table in found)
    thresholds: dict[str, Any] = {**came_from, "rule": edges}
    if edges == "strongest":
        thresholds |= {"by": by, "top": top, "min_share": float(min_share)}
    thresholds |= {"kept": len(pairs), "of": sum(map(len, found))}
    thresholds["kept_l1_share"] = rounded(kept / whole) if whole else 1.0
    return shop.record(own, pairs, thresholds, signed)


def circuit_around(
    bundle: Bundle,
    unit: str,
    *,
    title: str,
    author: Author | str,
    date: str,
    hops_up: int = 1,
    hops_down: int = 1,
    top: int = 8,
    min_share: float = 0.0,
    by: By = "l2",
    labels: Mapping[str, str] | None = None,
    slug: str = "",
    description: str = "",
    reference: str = "",
    supersedes: Superseded = (),
) -> CircuitRecord:
    """Make a circuit of a unit and its strongest neighbours.

    Parameters
    ----------
    unit
        A name as `Bundle.unit` takes it; its role is "centre", those of others "upstream" and "downstream".
    title, author, date, slug, description, reference, supersedes
        As for `make_circuit`.
    hops_up, hops_down
        How often to go on from each unit that was reached.
    top, min_share
        How many edges to follow at each unit, and the least share of their target's total l1 that they must have.
    by
        What "strongest" is measured in. "share_in" favours targets that read little else.

    Raises
    ------
    UnknownUnitError, UnknownLayerError
        There is no such unit.
    CatalogueError
        An option cannot be used.
    """
    signed = _Signature(title, author, date, slug, description, reference, supersedes)
    check_options(signed.act, by, hops_up=hops_up + 1, hops_down=hops_down + 1, top=top)
    shop = _Workshop.open(bundle, signed, None, labels)
    centre = shop.unit(unit)
    walk = walk_around(
        shop.readers[bundle.network],
        centre,
        hops_up=hops_up,
        hops_down=hops_down,
        top=top,
        min_share=min_share,
        by=by,
    )
    shop.roles = walk.roles
    thresholds = {
        "rule": "around",
        "unit": str(centre),
        "hops_up": hops_up,
        "hops_down": hops_down,
        "by": by,
        "top": top,
        "min_share": float(min_share),
        "kept": len(walk.pairs),
        "of": walk.seen,
    }
    return shop.record([UnitId.parse(uid) for uid in walk.roles], walk.pairs, thresholds, signed)


def circuit_from_rows(
    bundles: Bundles,
    rows: Iterable[Mapping[str, Any] | Sequence[Any]],
    *,
    title: str,
    author: Author | str,
    date: str,
    up: str = "up",
    down: str = "down",
    roles: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    slug: str = "",
    description: str = "",
    reference: str = "",
    supersedes: Superseded = (),
) -> CircuitRecord:
    """Make a circuit of edges, as a query on a store gives them.

    Parameters
    ----------
    rows
        (up, down) pairs of unit names, or mappings (the rows of a `Result`) with two such columns; a unit may also be
        the node itself. Pairs that come twice count once.
    up, down
        Names of the columns.
    title, author, date, slug, description, reference, supersedes
        As for `make_circuit`.

    Raises
    ------
    CatalogueError
        A row names no two units; or there is none.
    """
    signed = _Signature(title, author, date, slug, description, reference, supersedes)
    shop = _Workshop.open(bundles, signed, roles, labels)
    pairs: dict[tuple[str, str], None] = {}
    for number, row in enumerate(rows, start=1):
        ends = [row.get(up), row.get(down)] if isinstance(row, Mapping) else list(row)
        given = [end.get("uid") if isinstance(end, Mapping) else end for end in ends]
        names = [end for end in given if isinstance(end, str)]
        if len(names) != 2 or len(given) != 2:
            columns = ", ".join(map(str, row)) if isinstance(row, Mapping) else f"{len(given)} values"
            raise CatalogueError(
                f"{signed.act}: row {number} names no two units in {up!r} and {down!r}; it has {columns[:200]}.",
                hint=f"Return them by name: RETURN a.uid AS {up}, b.uid AS {down}.",
            )
        pairs[str(shop.unit(names[0])), str(shop.unit(names[1]))] = None
    if not pairs:
        raise CatalogueError(f"{signed.act}: there are 0 rows.", hint="Ask for edges that there are.")
    units = list(dict.fromkeys(UnitId.parse(uid) for pair in pairs for uid in pair))
    return shop.record(units, list(pairs), {"rule": "query", "kept": len(pairs)}, signed)


def circuit_from_graph(
    graph: CircuitGraph,
    bundles: Bundles,
    *,
    title: str,
    author: Author | str,
    date: str,
    roles: Mapping[str, str] | None = None,
    thresholds: Mapping[str, float | int | str] | None = None,
    slug: str = "",
    description: str = "",
    reference: str = "",
    supersedes: Superseded = (),
) -> CircuitRecord:
    """Make a circuit of a graph in memory; labels and order are the graph's, the rest is as for `make_circuit`.

    Parameters
    ----------
    thresholds
        How its edges were chosen; that they were, and how many there are, if None.

    Raises
    ------
    CatalogueError
        A kernel of the graph is not that of the bundle.
    """
    signed = _Signature(title, author, date, slug, description, reference, supersedes)
    labels = {unit.uid: unit.label for unit in graph.units if unit.label}
    shop = _Workshop.open(bundles, signed, roles, labels)
    for edge in graph.edges:
        own = shop.reader(UnitId.parse(edge.down)).edge(edge.up, edge.down)
        if own.kernel.shape != edge.kernel.shape or not np.array_equal(own.kernel, edge.kernel):
            raise CatalogueError(
                f"{signed.act}: the kernel of {edge.up} -> {edge.down} sums to {edge.sum:.6g} in the graph and to "
                f"{own.sum:.6g} in the bundle, or its weights are others.",
                hint="A record is of a bundle's own weights; take the graph from the bundle it is checked against.",
            )
    units = [UnitId.parse(unit.uid) for unit in graph.units]
    orders = {unit.uid: unit.order for unit in graph.units}
    pairs = [(edge.up, edge.down) for edge in graph.edges]
    chosen = {"rule": "chosen", "kept": len(pairs)} if thresholds is None else thresholds
    return shop.record(units, pairs, chosen, signed, orders=orders)


def _recorded(edge: CircuitEdge) -> RecordedEdge:
    total, l1 = kernel_sums(edge.kernel)
    return RecordedEdge(
        up=edge.up,
        down=edge.down,
        sha256=kernel_sha256(edge.kernel),
        shape=(edge.kernel.shape[0], edge.kernel.shape[1]),
        anchor=edge.anchor,
        sum=total,
        l1=l1,
        share_in=edge.share_in,
    )


def _between(shop: _Workshop, units: Sequence[UnitId]) -> list[EdgeTable]:
    """Return the edges between the units, a table for each of them that reads others."""
    found = []
    for unit in units:
        found.append(shop.reader(unit).between([each for each in units if each.network == unit.network], [unit]))
    return [table for table in found if len(table)]
