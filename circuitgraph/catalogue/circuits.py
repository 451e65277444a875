"""Circuits as records: units with roles and the edges between them, tied to the weights that they were seen in.

A record is small: it holds no kernels, but for each edge the hash of its kernel and its sums. With its bundle it is a
`CircuitGraph`, with the very kernels, and draws itself; `circuitgraph.catalogue.circuit_check` says whether the
bundle still holds them. It is made in `circuitgraph.catalogue.circuit_making`, and from a motif in `queries.circuits`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, ValidationError, field_validator, model_validator

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.catalogue.circuit_kernels import KernelReader
from circuitgraph.catalogue.claims import Evidence, Record, plain_text
from circuitgraph.catalogue.documents import Document, first_fault, read_document
from circuitgraph.errors import CatalogueError, ClaimError, MissingFileError, UnknownCircuitError, UnknownNetworkError
from circuitgraph.graph import CircuitGraph, CircuitUnit
from circuitgraph.ids import LayerId, UnitId, check_network_name, kind_of, slugify

__all__ = ["CircuitRecord", "IncludedUnit", "RecordedEdge", "get_circuit", "list_circuits"]

_MOST_UNITS = 10_000
_MOST_EDGES = 50_000
_SLUG_LENGTH = 60
_LISTED = 5
_SHOWN = 20


class IncludedUnit(Record):
    """A unit of a circuit.

    Attributes
    ----------
    uid
        ``network/layer:channel``.
    role
        What it does in the circuit, in a word ("left", "client").
    label
        What to call it in a picture.
    order
        Its place among the circuit's units of its layer.
    """

    uid: str
    role: str = ""
    label: str = ""
    order: int = Field(default=0, ge=0, le=10**9)

    @field_validator("uid")
    @classmethod
    def _is_a_unit(cls, uid: str) -> str:
        return str(UnitId.parse(uid))

    @field_validator("role", "label")
    @classmethod
    def _is_short(cls, text: str) -> str:
        return plain_text(text, limit=500, what="what a unit is called")

    @property
    def layer(self) -> str:
        """The uid of the unit's layer."""
        return str(UnitId.parse(self.uid).layer_id)


class RecordedEdge(Record):
    """An edge of a circuit, and its kernel as it stood.

    Attributes
    ----------
    up, down
        Uids of the two units.
    sha256
        Of the kernel's weights (`circuitgraph.catalogue.circuit_kernels.kernel_sha256`).
    shape
        (rows, cols) of the kernel.
    anchor
        (row, col) of it that sits on the downstream unit's own position; it may lie outside.
    sum, l1
        Of its weights and of their magnitudes, in output activation per input activation.
    share_in
        Share of the downstream unit's total l1, 0 to 1, where known.
    """

    up: str
    down: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    shape: tuple[int, int]
    anchor: tuple[float, float]
    sum: float
    l1: float = Field(ge=0)
    share_in: float | None = Field(default=None, ge=0, le=1)

    @field_validator("up", "down")
    @classmethod
    def _is_a_unit(cls, uid: str) -> str:
        return str(UnitId.parse(uid))

    @field_validator("shape")
    @classmethod
    def _has_cells(cls, shape: tuple[int, int]) -> tuple[int, int]:
        if min(shape) < 1:
            raise ValueError(f"a kernel of {shape[0]}x{shape[1]} has no weight")
        return shape


class CircuitRecord(Document):
    """One circuit.

    Attributes
    ----------
    title, description
        In words.
    slug
        The title as a name; part of the uid.
    networks
        Network id to the hash of the weights that the circuit was seen in.
    layers
        Uids of the layers of its units, upstream first.
    units, edges
        In the order of the layers; in whichever order they are given, they are kept in this one.
    thresholds
        How the edges were chosen, with what was left out (``{"rule": "strongest", "top": 8, "kept": 7, "of": 12}``).
    """

    folder: ClassVar[str] = "circuits"

    title: str = Field(min_length=1)
    slug: str
    networks: Mapping[str, str] = Field(min_length=1)
    layers: tuple[str, ...] = Field(min_length=1)
    units: tuple[IncludedUnit, ...] = Field(min_length=1, max_length=_MOST_UNITS)
    edges: tuple[RecordedEdge, ...] = Field(default=(), max_length=_MOST_EDGES)
    thresholds: Mapping[str, float | int | str] = {}
    description: str = ""

    @property
    def uid(self) -> str:
        """``circuit:slug@hash8``, the hash that of everything it says."""
        return f"circuit:{self.slug}@{self.sha256[:8]}"

    @property
    def stem(self) -> str:
        """The slug."""
        return self.slug

    @field_validator("title")
    @classmethod
    def _is_a_title(cls, text: str) -> str:
        title = plain_text(text, limit=500, what="the title of a circuit").strip()
        if not title or "\n" in title:
            raise ValueError("the title of a circuit is empty or has several lines")
        return title

    @field_validator("slug")
    @classmethod
    def _is_a_name(cls, slug: str) -> str:
        kind_of(f"circuit:{slug}@00000000")
        if len(slug) > _SLUG_LENGTH or slug != slugify(slug):
            raise ValueError(f"the slug {slug[:80]!r} is no name of at most {_SLUG_LENGTH} letters, digits and _ . -")
        return slug

    @field_validator("networks")
    @classmethod
    def _are_networks(cls, networks: Mapping[str, str]) -> dict[str, str]:
        for name, digest in networks.items():
            check_network_name(name)
            if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
                raise ValueError(f"the weights of {name}: {digest[:80]!r} is not a sha256 in 64 hex digits")
        return {name: networks[name] for name in sorted(networks)}

    @field_validator("thresholds")
    @classmethod
    def _are_plain(cls, thresholds: Mapping[str, float | int | str]) -> dict[str, float | int | str]:
        return Evidence._are_plain(thresholds)

    @field_validator("description")
    @classmethod
    def _is_plain(cls, text: str) -> str:
        return plain_text(text, limit=20_000, what="a description")

    @model_validator(mode="after")
    def _hangs_together(self) -> CircuitRecord:
        place = {layer: number for number, layer in enumerate(self.layers)}
        if len(place) < len(self.layers):
            raise ValueError(f"{len(self.layers)} layers are given, {len(place)} are different")
        for layer in self.layers:
            if LayerId.parse(layer).network not in self.networks:
                raise ValueError(f"layer {layer} is of none of the circuit's networks ({', '.join(self.networks)})")
        for unit in self.units:
            if unit.layer not in place:
                raise ValueError(f"{unit.uid} is of none of the circuit's {len(place)} layers")
        rank = {unit.uid: (place[unit.layer], unit.order, UnitId.parse(unit.uid)) for unit in self.units}
        if len(rank) < len(self.units):
            raise ValueError(f"{len(self.units)} units are given, {len(rank)} are different")
        if empty := [layer for layer in self.layers if layer not in {unit.layer for unit in self.units}]:
            raise ValueError(f"layer {empty[0]} has no unit in the circuit")
        if unused := sorted(set(self.networks) - {LayerId.parse(layer).network for layer in self.layers}):
            raise ValueError(f"network {unused[0]} has no unit in the circuit")
        self._check_edges(place, set(rank))
        # one way to write a circuit, so that it has one hash; a frozen model is set while it is made
        edges = sorted(self.edges, key=lambda edge: (rank[edge.up], rank[edge.down]))
        self.__dict__["units"] = tuple(sorted(self.units, key=lambda unit: rank[unit.uid]))
        self.__dict__["edges"] = tuple(edges)
        return self

    def _check_edges(self, place: Mapping[str, int], uids: set[str]) -> None:
        for edge in self.edges:
            for end in (edge.up, edge.down):
                if end not in uids:
                    raise ValueError(f"edge {edge.up} -> {edge.down} names {end}, which is not in the circuit")
            up, down = UnitId.parse(edge.up).layer_id, UnitId.parse(edge.down).layer_id
            if up.network != down.network or place[str(up)] >= place[str(down)]:
                raise ValueError(f"edge {edge.up} -> {edge.down} does not lead downstream")
        pairs = {(edge.up, edge.down) for edge in self.edges}
        if len(pairs) < len(self.edges):
            raise ValueError(f"{len(self.edges)} edges join {len(pairs)} pairs of units")

    def graph(self, *bundles: Bundle, labels: Mapping[str, str] | None = None, whole: bool = True) -> CircuitGraph:
        """Return the circuit with its kernels, as they are in these bundles.

        Parameters
        ----------
        labels
            Uid to what to call a unit. Others are called by their label, a role that no other unit has, or their uid.
        whole
            Whether an edge that is not in the bundles is an error; else it is left out.

        Raises
        ------
        UnknownNetworkError
            A network of the circuit has no bundle among them.
        UnknownUnitError, UnknownLayerError, UnknownPairError
            An edge is not in them.
        """
        readers = {name: KernelReader(_bundle_of(name, bundles, self.title)) for name in self.networks}
        edges = []
        for edge in self.edges:
            try:
                edges.append(readers[UnitId.parse(edge.up).network].edge(edge.up, edge.down))
            except LookupError:
                if whole:
                    raise
        held = Counter(unit.role for unit in self.units)
        called = {unit.uid: unit.label or (unit.role if held[unit.role] == 1 else "") for unit in self.units}
        called |= labels or {}
        units = [CircuitUnit(unit.uid, called[unit.uid], unit.order) for unit in self.units]
        return CircuitGraph(self.layers, units, edges)

    def _repr_html_(self) -> str:
        """Show the edges in a notebook: a record holds no kernels; what `graph` makes of it draws itself."""
        from circuitgraph.draw.table import html_table

        names = ("up", "down", "sum", "l1", "share_in")
        rows = [{name: getattr(edge, name) for name in names} for edge in self.edges[:_SHOWN]]
        title = f"{self.title} ({self.uid}): {len(self.units):,} units, {len(self.edges):,} edges"
        note = "graph(bundle) of it draws the circuit with its kernels."
        return html_table(names, rows, title=title, notes=[note], limit=_SHOWN, count=len(self.edges))

    def row(self) -> dict[str, Any]:
        """Return what the `Circuit` node of a store says, for `circuitgraph.store.circuits.save_circuits`."""
        return {
            "uid": self.uid,
            "name": self.title,
            "description": self.description or None,
            "reference": self.reference or None,
            "author": self.author.name,
            "orcid": self.author.orcid or None,
            "date": self.date,
            "sha256": self.sha256,
            "supersedes": list(self.supersedes) or None,
            "networks": list(self.networks),
            "weights": list(self.networks.values()),
            "units": [unit.uid for unit in self.units],
            "roles": [unit.role for unit in self.units],
            "orders": [unit.order for unit in self.units],
            "ups": [edge.up for edge in self.edges] or None,
            "downs": [edge.down for edge in self.edges] or None,
            "thresholds": json.dumps(dict(self.thresholds), ensure_ascii=False, sort_keys=True),
            "record": self.text(),
        }

    @classmethod
    def make(cls, *, act: str = "", **fields: Any) -> CircuitRecord:
        """Return a record of these fields; the slug comes from the title where none is given.

        Raises
        ------
        ClaimError
            They say nothing, or contradict each other.
        """
        slug = fields.pop("slug", "") or slugify(str(fields.get("title", ""))).lower()[:_SLUG_LENGTH].strip("-.")
        try:
            return cls(slug=slug, **fields)
        except ValidationError as error:
            raise ClaimError(f"{act or 'making a circuit'}: {first_fault(error)}.") from error


def _bundle_of(network: str, bundles: Iterable[Bundle], title: str) -> Bundle:
    """Return the bundle that holds a network.

    Raises
    ------
    UnknownNetworkError
        None of them does.
    """
    given = list(bundles)
    for bundle in given:
        if bundle.network == network:
            return bundle
    have = ", ".join(bundle.network for bundle in given) or "none"
    raise UnknownNetworkError(
        f"reading the kernels of {title!r}: it has units of {network}, bundles are given of {have}.",
        hint=f"Give the bundle of {network} with --bundle.",
    )


def list_circuits(catalogue: BaseCatalogue, *, with_superseded: bool = False) -> list[CircuitRecord]:
    """Return the circuits of a catalogue by slug and date, those that are superseded only when asked."""
    # a file may lie there twice, under another name
    records = {record.sha256: record for record in catalogue.documents(CircuitRecord)}.values()
    old = set() if with_superseded else {digest for record in records for digest in record.supersedes}
    return sorted(
        (record for record in records if record.sha256 not in old),
        key=lambda record: (record.slug, record.date, record.sha256),
    )


def get_circuit(catalogue: BaseCatalogue | None, name: str) -> CircuitRecord:
    """Return one circuit: by uid, ``slug@hash8``, the beginning of either, or the path of its file.

    A superseded one is found by its whole uid.

    Raises
    ------
    UnknownCircuitError
        There is none, or several are called so.
    MissingFileError
        There is no such file.
    """
    if name.endswith(".json"):
        path = Path(name)
        try:
            return read_document(CircuitRecord, path.read_bytes(), where=path.name)
        except OSError as error:
            raise MissingFileError(f"reading circuit {name}: {error.strerror}.") from error
    if catalogue is None:
        raise CatalogueError(
            f"looking for circuit {name[:80]!r}: no catalogue is open.",
            hint="Name its folder with --catalogue, or give the circuit's JSON file.",
        )
    wanted = name if name.startswith("circuit:") else f"circuit:{name}"
    every = list_circuits(catalogue, with_superseded=True)
    old = {digest for record in every for digest in record.supersedes}
    for record in every:
        if record.uid == wanted:
            return record
    current = [record for record in every if record.sha256 not in old]
    found = [r for r in current if f"circuit:{r.slug}" == wanted] or [r for r in current if r.uid.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownCircuitError(
            f"{len(found)} circuits are called {name[:80]!r}: {', '.join(r.uid for r in found[:_LISTED])}.",
            hint=f"Write one out, as in {found[0].uid}.",
        )
    raise UnknownCircuitError(
        f"circuit {name[:80]!r} is not in the catalogue, which has {len(current):,}.",
        hint="`circuitgraph circuit list` lists them.",
    )
