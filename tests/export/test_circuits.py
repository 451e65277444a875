"""A circuit survives GraphML, GEXF, JSON and networkx to the bit, whatever its labels hold; damage is said plainly."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuitgraph.catalogue.subgraph import circuit_around
from circuitgraph.errors import CircuitGraphError, GraphError, MissingFileError
from circuitgraph.export import FORMATS, dump_circuit, parse_circuit, read_circuit, write_circuit
from circuitgraph.graph import CircuitEdge, CircuitGraph, CircuitUnit
from circuitgraph.testing.bundles import write_synthetic_bundle

HOSTILE = [
    "</node><script>alert(1)</script>",
    "<!DOCTYPE x [<!ENTITY a 'b'>]>&a;",
    "]]> & \"quoted\" 'too'",
    "\x00\x1b[2Jnull and escape",
    "line\r\nbreak\ttab",
    "  spaces around  ",
    "\ud800 a lone surrogate",
    "\u202eright to left\ufffe",
    "😀 ä 日本",
    "",
    "true",
    "3",
    "[1]",
    "null",
]


def graph_with(labels: list[str], attributes: dict[str, Any] | None = None) -> CircuitGraph:
    rng = np.random.default_rng(3)
    units = [CircuitUnit(f"net/a:{n}", label, n, attributes or {}) for n, label in enumerate(labels)]
    weights = rng.normal(size=(len(labels), 3, 2)).astype(np.float32)
    # what a detour over text or another type would lose
    weights[0] = [[-0.0, 1e-45], [3.4028235e38, 0.1], [1 / 3, 16777217]]
    edges = [
        CircuitEdge(
            unit.uid,
            "net/b:0",
            kernel,
            anchor=(1 / 3, -2.0),
            share_in=None if n % 2 else 0.1,
            attributes={"offset": [-1, 0], "form": "dense", "approximations": ["max_pool=avg"], **(attributes or {})},
        )
        for n, (unit, kernel) in enumerate(zip(units, weights, strict=True))
    ]
    whole = [*units, CircuitUnit("net/b:0", "car")]
    return CircuitGraph(["net/a", "net/b", "net/c"], whole, edges, attributes={"left_out": [], **(attributes or {})})


def bits(graph: CircuitGraph) -> list[bytes]:
    return [edge.kernel.tobytes() for edge in graph.edges]


@pytest.mark.parametrize("form", FORMATS)
def test_a_circuit_comes_back_as_it_was_with_hostile_labels(form: Any, tmp_path: Path) -> None:
    more = {"note": HOSTILE[0], "n": 3, "x": 3.0, "yes": True, "nothing": None, "deep": {"a": [1, {"b": "\x00"}]}}
    graph = graph_with(HOSTILE, {**more, "large": 2**63, "small": -(2**63), "tiny": 5e-324, "empty": ""})
    path = tmp_path / f"car.{form}"
    write_circuit(graph, path)
    back = read_circuit(path)
    assert back == graph
    assert bits(back) == bits(graph)
    assert [unit.label for unit in back.units] == [*HOSTILE, "car"]
    types = {name: type(value) for name, value in back.units[0].attributes.items()}
    assert (types["n"], types["x"], types["yes"], types["nothing"]) == (int, float, bool, type(None))
    assert dump_circuit(back, form) == path.read_text(encoding="utf-8")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(label=st.text(max_size=20), value=JSON, weight=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_any_label_value_and_weight_comes_back(label: str, value: Any, weight: float) -> None:
    unit = CircuitUnit("net/a:0", label, attributes={"value": value})
    edge = CircuitEdge("net/a:0", "net/b:0", [[weight]], attributes={"value": value})
    graph = CircuitGraph(["net/a", "net/b"], [unit, CircuitUnit("net/b:0")], [edge], attributes={"value": value})
    for form in FORMATS:
        back = parse_circuit(dump_circuit(graph, form), form)
        assert back == graph
        assert bits(back) == bits(graph)
    assert CircuitGraph.from_networkx(graph.to_networkx()) == graph


def test_networkx_reads_what_is_written() -> None:
    graph = graph_with([each for each in HOSTILE if each.isprintable()])
    texts = {form: dump_circuit(graph, form) for form in FORMATS}
    read = {
        "graphml": networkx.read_graphml(io.BytesIO(texts["graphml"].encode())),
        "gexf": networkx.read_gexf(io.BytesIO(texts["gexf"].encode()), version="1.2draft"),
        "json": networkx.node_link_graph(json.loads(texts["json"]), edges="edges"),
    }
    for form, theirs in read.items():
        assert theirs.is_directed(), form
        assert set(theirs) == {unit.uid for unit in graph.units}
        for edge in graph.edges:
            data = theirs.edges[edge.up, edge.down]
            assert data["sum"] == edge.sum
            kernel = data["kernel"] if form == "json" else json.loads(data["kernel.json"])
            np.testing.assert_array_equal(np.array(kernel, dtype=np.float32), edge.kernel)
    # and what networkx writes in turn is read again
    buffer = io.BytesIO()
    networkx.write_graphml(read["graphml"], buffer)
    assert parse_circuit(buffer.getvalue().decode(), "graphml") == graph


def test_a_circuit_of_a_bundle_keeps_its_kernels_offsets_and_attributes(tmp_path: Path) -> None:
    bundle = write_synthetic_bundle(tmp_path / "net.circuit", network="net", with_every_form=True)
    graph = circuit_around(bundle, "layer2:5", hops=2, top=3)
    for form in FORMATS:
        write_circuit(graph, tmp_path / f"a.{form}")
        back = read_circuit(tmp_path / f"a.{form}")
        assert back == graph
        for edge in back.edges:
            block = bundle.block(edge.up.rpartition(":")[0], edge.down.rpartition(":")[0])
            assert edge.kernel.tobytes() == bundle.kernel(edge.up, edge.down).tobytes()
            assert (edge.attributes["offset"], edge.attributes["stride"]) == (list(block.offset), list(block.stride))
            assert (edge.anchor, edge.attributes["form"]) == (block.anchor, block.form)


@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_file_is_refused_plainly_wherever_it_is_cut(form: Any) -> None:
    text = dump_circuit(graph_with(["a", "b"]), form)
    for stop in range(0, len(text) - 12, max(1, len(text) // 60)):
        with pytest.raises(CircuitGraphError):
            parse_circuit(text[:stop], form)


@pytest.mark.parametrize(
    ("form", "text", "said"),
    [
        ("graphml", "<!DOCTYPE x [<!ENTITY a 'b'>]><graphml>&a;</graphml>", "DOCTYPE"),
        ("graphml", "<gexf/>", "<gexf>, not <graphml>"),
        ("graphml", "<graphml><graph edgedefault='undirected'/></graphml>", "a directed one"),
        ("graphml", "<graphml><graph edgedefault='directed'/></graphml>", "it has no 'layers'"),
        ("graphml", "<graphml><graph edgedefault='directed'><data key='k'>1</data></graph></graphml>", "'k'"),
        ("gexf", "<gexf><graph/></gexf>", "a directed one"),
        ("gexf", "<gexf><graph defaultedgetype='directed'/></gexf>", "not JSON"),
        ("json", "[]", "no circuitgraph/circuit-graph"),
        ("json", '{"schema": "circuitgraph/circuit-graph", "version": 9}', "version 9"),
        ("json", '{"schema": "circuitgraph/circuit-graph", "version": 1}', "missing"),
        ("json", "[" * 100_000, "reading a circuit from json"),
        ("xml", "", "'xml' of a circuit is not known"),
    ],
)
def test_what_is_no_circuit_is_refused(form: Any, text: str, said: str) -> None:
    with pytest.raises(GraphError, match=said):
        parse_circuit(text, form)


@pytest.mark.parametrize(
    "change",
    [
        {"layers": "net/a"},
        {"layers": [1]},
        {"nodes": [{"id": "net/a:0", "order": "first"}]},
        {"nodes": [{"id": "net/a:0", "label": 3}]},
        {"nodes": [{"id": "net/a:0", "bad name": 3}]},
        {"nodes": [{"id": 7}]},
        {"edges": [{"source": "net/a:0", "target": "net/b:0"}]},
        {"edges": [{"source": "net/a:0", "target": "net/b:0", "kernel": "1"}]},
        {"edges": [{"source": "net/a:0", "target": "net/b:0", "kernel": [[1]], "anchor": 3}]},
        {"edges": [{"source": "net/a:0", "target": "net/b:0", "kernel": [[1]], "share_in": "much"}]},
        {"edges": [{"source": "net/a:0", "target": "net/b:0", "kernel": [[float("nan")]]}]},
        {"edges": [3]},
    ],
)
def test_json_with_a_wrong_value_raises_our_own_error(change: dict[str, Any]) -> None:
    whole = json.loads(dump_circuit(graph_with(["a"]), "json"))
    if "layers" in change:
        whole["graph"] |= change
    else:
        whole |= change
    with pytest.raises(CircuitGraphError):
        parse_circuit(json.dumps(whole), "json")


def test_files_that_are_not_there_or_not_named_are_said(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"none\.json"):
        read_circuit(tmp_path / "none.json")
    with pytest.raises(GraphError, match="'svg' is no format"):
        write_circuit(graph_with(["a"]), tmp_path / "a.svg")
    with pytest.raises(GraphError, match="writing a circuit to"):
        write_circuit(graph_with(["a"]), tmp_path / "none" / "a.gexf")
    (tmp_path / "a.gexf").write_bytes(b"\xff\xfe")
    with pytest.raises(GraphError, match="no UTF-8"):
        read_circuit(tmp_path / "a.gexf")


@pytest.mark.parametrize(
    "attributes", [{"label": "x"}, {"a b": 1}, {"x": float("inf")}, {"x": object()}, {"x": {1: 2}}]
)
def test_attributes_that_no_format_could_hold_are_refused(attributes: dict[str, Any]) -> None:
    with pytest.raises(GraphError, match="unit net/a:0"):
        CircuitUnit("net/a:0", attributes=attributes)
