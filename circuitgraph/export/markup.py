"""GraphML and GEXF: graphs with attributes as XML text, and back.

Written by hand so that nothing is lost and the same graph gives the same bytes; what strangers wrote into labels is
escaped, and a document that declares entities is not read.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from circuitgraph.errors import GraphError

__all__ = ["dump_gexf", "dump_graphml", "parse_gexf", "parse_graphml"]

Nodes = Sequence[tuple[str, Mapping[str, Any]]]
Edges = Sequence[tuple[str, str, Mapping[str, Any]]]
Parsed = tuple[dict[str, Any], list[tuple[str, dict[str, Any]]], list[tuple[str, str, dict[str, Any]]]]

_JSON = ".json"
_GRAPHML = "http://graphml.graphdrawing.org/xmlns"
_GEXF = "http://www.gexf.net/1.2draft"
# what XML 1.0 keeps as it is, without the white space that a reader may change
_PLAIN = re.compile("[\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
_NOT_XML = re.compile("[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TYPES = {
    "boolean": {"true": True, "1": True, "false": False, "0": False}.__getitem__,
    "int": int,
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "string": str,
}
_LARGEST = 2**63


def _cell(name: str, value: Any) -> tuple[str, str, str]:
    """Return (name, type, text) of an attribute."""
    if isinstance(value, bool):
        return name, "boolean", "true" if value else "false"
    if isinstance(value, int) and -_LARGEST <= value < _LARGEST:
        return name, "long", str(value)
    if isinstance(value, float) and math.isfinite(value):
        return name, "double", repr(value)
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value == value.strip():
        return name, "string", value
    # escapes stand for all but plain ASCII, so that no text breaks the document
    return name + _JSON, "string", json.dumps(value, allow_nan=False)


def _value(name: str, kind: str, text: str) -> tuple[str, Any]:
    if name.endswith(_JSON):
        try:
            return name.removesuffix(_JSON), json.loads(text)
        except (ValueError, RecursionError) as error:
            raise GraphError(
                f"reading a circuit: attribute {name} is not JSON: {str(error).splitlines()[0]}."
            ) from error
    try:
        return name, _TYPES[kind](text)  # type: ignore[operator]
    except (KeyError, ValueError) as error:
        raise GraphError(f"reading a circuit: attribute {name} is {text[:80]!r}, which is no {kind}.") from error


class _Keys:
    """The attributes that a document declares, in the order in which they come up."""

    def __init__(self, groups: Iterable[tuple[str, Iterable[Mapping[str, Any]]]]) -> None:
        self.ids: dict[tuple[str, str, str], str] = {}
        for domain, rows in groups:
            for row in rows:
                for name, value in row.items():
                    cell = _cell(name, value)
                    self.ids.setdefault((domain, cell[0], cell[1]), f"d{len(self.ids)}")

    def cells(self, domain: str, row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield (id, text) of the attributes of one thing."""
        for name, value in row.items():
            own, kind, text = _cell(name, value)
            yield self.ids[domain, own, kind], text


def dump_graphml(graph: Mapping[str, Any], nodes: Nodes, edges: Edges) -> str:
    """Return a directed graph with attributes as GraphML."""
    keys = _Keys([("graph", [graph]), ("node", [row for _, row in nodes]), ("edge", [row for *_, row in edges])])

    def data(domain: str, row: Mapping[str, Any], indent: str) -> Iterator[str]:
        for key, text in keys.cells(domain, row):
            yield f'{indent}<data key="{key}">{escape(text)}</data>'

    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<graphml xmlns="{_GRAPHML}">']
    for (domain, name, kind), key in keys.ids.items():
        lines.append(f' <key id="{key}" for="{domain}" attr.name={quoteattr(name)} attr.type="{kind}"/>')
    lines += [' <graph edgedefault="directed">', *data("graph", graph, "  ")]
    for uid, row in nodes:
        lines += [f"  <node id={quoteattr(uid)}>", *data("node", row, "   "), "  </node>"]
    for up, down, row in edges:
        lines += [f"  <edge source={quoteattr(up)} target={quoteattr(down)}>", *data("edge", row, "   "), "  </edge>"]
    return "\n".join([*lines, " </graph>", "</graphml>", ""])


def dump_gexf(graph: Mapping[str, Any], nodes: Nodes, edges: Edges) -> str:
    """Return a directed graph with attributes as GEXF 1.2; those of the graph, for which it has no place, as JSON."""
    keys = _Keys([("node", [row for _, row in nodes]), ("edge", [row for *_, row in edges])])

    def values(domain: str, row: Mapping[str, Any]) -> Iterator[str]:
        yield "    <attvalues>"
        for key, text in keys.cells(domain, row):
            yield f'     <attvalue for="{key}" value={quoteattr(text)}/>'
        yield "    </attvalues>"

    about = escape(json.dumps(dict(graph), allow_nan=False))
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<gexf xmlns="{_GEXF}" version="1.2">']
    lines += [" <meta>", "  <creator>circuitgraph</creator>", f"  <description>{about}</description>", " </meta>"]
    lines += [' <graph defaultedgetype="directed" mode="static">']
    for domain in ("node", "edge"):
        lines.append(f'  <attributes class="{domain}" mode="static">')
        for (of, name, kind), key in keys.ids.items():
            if of == domain:
                lines.append(f'   <attribute id="{key}" title={quoteattr(name)} type="{kind}"/>')
        lines.append("  </attributes>")
    lines.append("  <nodes>")
    for uid, row in nodes:
        label = quoteattr(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", str(row.get("label") or uid)))
        lines += [f"   <node id={quoteattr(uid)} label={label}>", *values("node", row), "   </node>"]
    lines += ["  </nodes>", "  <edges>"]
    for number, (up, down, row) in enumerate(edges):
        ends = f"source={quoteattr(up)} target={quoteattr(down)}"
        # a layout wants weights that are not negative
        lines += [f'   <edge id="{number}" {ends} weight="{row["l1"]!r}">', *values("edge", row), "   </edge>"]
    return "\n".join([*lines, "  </edges>", " </graph>", "</gexf>", ""])


def _root(text: str, name: str) -> ElementTree.Element:
    # entities are declared in a DOCTYPE alone, and labels hold no bare "<"
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise GraphError(f"reading a circuit from {name}: it declares a DOCTYPE, which is not read.")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314
    except (ElementTree.ParseError, ValueError) as error:
        raise GraphError(f"reading a circuit from {name}: it is no XML: {error}.") from error
    if _local(root) != name:
        raise GraphError(f"reading a circuit from {name}: it holds <{_local(root)[:80]}>, not <{name}>.")
    return root


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _all(root: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (each for each in root.iter() if _local(each) == name)


def _ends(edge: ElementTree.Element) -> tuple[str, str]:
    return edge.get("source", ""), edge.get("target", "")


def parse_graphml(text: str) -> Parsed:
    """Return the attributes of the graph, of its nodes and of its edges.

    Raises
    ------
    GraphError
        It is no GraphML, is not directed, or an attribute is not of its type.
    """
    root = _root(text, "graphml")
    keys = {
        each.get("id", ""): (each.get("attr.name", ""), each.get("attr.type", "string")) for each in _all(root, "key")
    }
    graphs = list(_all(root, "graph"))
    if len(graphs) != 1 or graphs[0].get("edgedefault") != "directed":
        raise GraphError(f"reading a circuit from graphml: it holds {len(graphs)} graphs, a directed one is wanted.")

    def data(element: ElementTree.Element) -> dict[str, Any]:
        own = [each for each in element if _local(each) == "data"]
        return dict(_value(*_declared(keys, each.get("key", "")), each.text or "") for each in own)

    graph = graphs[0]
    nodes = [(each.get("id", ""), data(each)) for each in graph if _local(each) == "node"]
    edges = [(*_ends(each), data(each)) for each in graph if _local(each) == "edge"]
    return data(graph), nodes, edges


def parse_gexf(text: str) -> Parsed:
    """Return the attributes of the graph, of its nodes and of its edges.

    Raises
    ------
    GraphError
        It is no GEXF, is not directed, or an attribute is not of its type.
    """
    root = _root(text, "gexf")
    graphs = list(_all(root, "graph"))
    if len(graphs) != 1 or graphs[0].get("defaultedgetype") != "directed":
        raise GraphError(f"reading a circuit from gexf: it holds {len(graphs)} graphs, a directed one is wanted.")
    keys: dict[str, dict[str, tuple[str, str]]] = {}
    for group in _all(graphs[0], "attributes"):
        own = keys.setdefault(group.get("class", ""), {})
        for each in _all(group, "attribute"):
            own[each.get("id", "")] = (each.get("title", ""), each.get("type", "string"))

    def values(element: ElementTree.Element, domain: str) -> dict[str, Any]:
        own = keys.get(domain, {})
        found = _all(element, "attvalue")
        return dict(_value(*_declared(own, each.get("for", "")), each.get("value", "")) for each in found)

    described = next((each.text or "" for each in _all(root, "description")), "")
    _, about = _value(f"description{_JSON}", "string", described)
    if not isinstance(about, dict):
        raise GraphError("reading a circuit from gexf: its description holds no attributes of the graph.")
    nodes = [(each.get("id", ""), values(each, "node")) for each in _all(graphs[0], "node")]
    edges = [(*_ends(each), values(each, "edge")) for each in _all(graphs[0], "edge")]
    return about, nodes, edges


def _declared(keys: Mapping[str, tuple[str, str]], key: str) -> tuple[str, str]:
    if key not in keys:
        raise GraphError(f"reading a circuit: an attribute is of key {key[:80]!r}, which is not declared.")
    return keys[key]
