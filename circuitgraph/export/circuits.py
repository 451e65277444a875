"""A circuit as GraphML, GEXF or JSON, and back without loss: kernels to the bit, and every attribute.

JSON is the node-link form that networkx and D3 read. In GraphML and GEXF an attribute that is a text, a number or a
truth value is one of the format's own; anything else (kernels row by row, lists, null, a text with characters that XML
cannot hold) is JSON in a text whose name ends in ``.json``. ``sum`` and ``l1`` of each kernel are written for other
programs, and are not read back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from circuitgraph.errors import CircuitGraphError, GraphError, MissingFileError
from circuitgraph.export import markup
from circuitgraph.graph import CircuitEdge, CircuitGraph, CircuitUnit

__all__ = ["FORMATS", "CircuitFormat", "dump_circuit", "parse_circuit", "read_circuit", "write_circuit"]

CircuitFormat = Literal["graphml", "gexf", "json"]
"""What a circuit can be written as."""

FORMATS: tuple[CircuitFormat, ...] = get_args(CircuitFormat)
_SCHEMA = "circuitgraph/circuit-graph"
_VERSION = 1
_LARGEST_BYTES = 1 << 28
_DERIVED = ("sum", "l1", "weight")


@dataclass(frozen=True, slots=True)
class _Records:
    """A circuit as plain attributes: of the graph, of (uid) and of (up, down)."""

    graph: dict[str, Any]
    nodes: list[tuple[str, dict[str, Any]]]
    edges: list[tuple[str, str, dict[str, Any]]]


def write_circuit(graph: CircuitGraph, path: str | Path, *, form: CircuitFormat | None = None) -> None:
    """Write a circuit to a file, whole or not at all.

    Parameters
    ----------
    form
        "graphml", "gexf" or "json"; what the file's name ends in if None.

    Raises
    ------
    GraphError
        The format is not known, or the file cannot be written.
    """
    path = Path(path)
    text = dump_circuit(graph, _form_of(path, form))
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(path)
    except OSError as error:
        raise GraphError(f"writing a circuit to {path}: {error.strerror}.") from error
    finally:
        partial.unlink(missing_ok=True)


def read_circuit(path: str | Path, *, form: CircuitFormat | None = None) -> CircuitGraph:
    """Read what `write_circuit` wrote.

    Raises
    ------
    MissingFileError
        There is no such file.
    GraphError
        It is too large, of no known format, or holds no circuit.
    """
    path = Path(path)
    form = _form_of(path, form)
    try:
        size = path.stat().st_size
        if size > _LARGEST_BYTES:
            raise GraphError(
                f"reading a circuit from {path}: it has {size:,} bytes, at most {_LARGEST_BYTES:,} are read."
            )
        raw = path.read_bytes()
    except OSError as error:
        raise MissingFileError(f"reading a circuit from {path}: {error.strerror}.") from error
    try:
        return parse_circuit(raw.decode("utf-8"), form)
    except UnicodeDecodeError as error:
        raise GraphError(f"reading a circuit from {path}: byte {error.start:,} is no UTF-8.") from error
    except CircuitGraphError as error:
        error.add_note(f"It is in {path}.")
        raise


def dump_circuit(graph: CircuitGraph, form: CircuitFormat) -> str:
    """Return a circuit as text; the same circuit gives the same text.

    Raises
    ------
    GraphError
        The format is not known.
    """
    _check_form(form)
    records = _records(graph)
    if form == "json":
        whole = {
            "schema": _SCHEMA,
            "version": _VERSION,
            "directed": True,
            "multigraph": False,
            "graph": records.graph,
            "nodes": [{"id": uid, **data} for uid, data in records.nodes],
            "edges": [{"source": up, "target": down, **data} for up, down, data in records.edges],
        }
        return json.dumps(whole, allow_nan=False, indent=1) + "\n"
    dump = markup.dump_graphml if form == "graphml" else markup.dump_gexf
    return dump(records.graph, records.nodes, records.edges)


def parse_circuit(text: str, form: CircuitFormat) -> CircuitGraph:
    """Return the circuit that `dump_circuit` wrote; a graph of another origin needs layers and kernels as it has them.

    Raises
    ------
    GraphError
        The text is not of that format, or holds no circuit.
    IdError, UnknownLayerError, UnknownUnitError, ShapeError, NonFiniteError
        The circuit contradicts itself.
    """
    _check_form(form)
    if form == "json":
        records = _parse_json(text)
    else:
        records = _Records(*(markup.parse_graphml if form == "graphml" else markup.parse_gexf)(text))
    try:
        return _graph(records)
    except CircuitGraphError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        said = f"it has no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise GraphError(
            f"reading a circuit from {form}: {said}.", hint="Write one with `circuitgraph circuit around UNIT -o FILE`."
        ) from error


def _check_form(form: str) -> None:
    if form not in FORMATS:
        raise GraphError(f"format {form!r} of a circuit is not known.", hint=f"Give one of {', '.join(FORMATS)}.")


def _form_of(path: Path, form: CircuitFormat | None) -> CircuitFormat:
    given = form or path.suffix.lower().removeprefix(".")
    for known in FORMATS:
        if given == known:
            return known
    raise GraphError(
        f"{path}: {given!r} is no format of a circuit.",
        hint=f"End the name in .{', .'.join(FORMATS)}, or give the format.",
    )


def _records(graph: CircuitGraph) -> _Records:
    return _Records(
        {"layers": list(graph.layers), **_sorted(graph.attributes)},
        [
            (unit.uid, {"layer": unit.layer, "order": unit.order, "label": unit.label, **_sorted(unit.attributes)})
            for unit in graph.units
        ],
        [
            (
                edge.up,
                edge.down,
                {
                    # float32 is exact in float64, whose shortest text is exact in turn
                    "kernel": edge.kernel.astype(float).tolist(),
                    "anchor": list(edge.anchor),
                    "share_in": edge.share_in,
                    "sum": edge.sum,
                    "l1": edge.l1,
                    **_sorted(edge.attributes),
                },
            )
            for edge in graph.edges
        ],
    )


def _sorted(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: attributes[name] for name in sorted(attributes)}


def _graph(records: _Records) -> CircuitGraph:
    own = dict(records.graph)
    layers = own.pop("layers")
    if not isinstance(layers, list) or not all(isinstance(layer, str) for layer in layers):
        raise TypeError("its layers are no list of uids")
    units = []
    for uid, given in records.nodes:
        data = dict(given)
        data.pop("layer", None)
        label, order = data.pop("label", ""), data.pop("order", 0)
        if not isinstance(label, str) or type(order) is not int:
            raise TypeError(f"unit {uid} has the label {label!r} and the order {order!r}")
        units.append(CircuitUnit(uid, label, order, data))
    edges = []
    for up, down, given in records.edges:
        data = {name: value for name, value in given.items() if name not in _DERIVED}
        kernel, anchor, share_in = data.pop("kernel"), data.pop("anchor", None), data.pop("share_in", None)
        edges.append(CircuitEdge(up, down, kernel, anchor=anchor, share_in=share_in, attributes=data))
    return CircuitGraph(layers, units, edges, attributes=own)


def _parse_json(text: str) -> _Records:
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GraphError(f"reading a circuit from json: {str(error).splitlines()[0]}.") from error
    if not isinstance(whole, dict) or whole.get("schema") != _SCHEMA:
        raise GraphError(
            f"reading a circuit from json: it is no {_SCHEMA}.",
            hint="Is it a circuit of the catalogue? `circuit show`.",
        )
    if whole.get("version") != _VERSION:
        raise GraphError(
            f"reading a circuit from json: version {whole.get('version')!r}, this software reads {_VERSION}."
        )
    parts = [whole.get("graph"), whole.get("nodes"), whole.get("edges")]
    rows = [row for part in parts[1:] if isinstance(part, list) for row in part]
    if not isinstance(parts[0], dict) or not all(isinstance(part, list) for part in parts[1:]):
        raise GraphError("reading a circuit from json: graph, nodes or edges are missing.")
    if not all(isinstance(row, dict) for row in rows):
        raise GraphError("reading a circuit from json: a node or an edge is no object.")
    nodes = [(str(row.get("id")), {name: row[name] for name in row if name != "id"}) for row in whole["nodes"]]
    ends = ("source", "target")
    edges = [
        (*(str(row.get(end)) for end in ends), {name: row[name] for name in row if name not in ends})
        for row in whole["edges"]
    ]
    return _Records(whole["graph"], nodes, edges)  # type: ignore[arg-type]
