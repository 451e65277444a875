"""Circuits as records: what they hold is what the kernels say, and a changed kernel is found."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.circuit_check import check_circuit, draw_record
from circuitgraph.catalogue.circuit_kernels import kernel_sha256, kernel_sums
from circuitgraph.catalogue.circuit_making import circuit_around, circuit_from_graph, circuit_from_rows, make_circuit
from circuitgraph.catalogue.circuit_page import describe_checks, describe_circuit, describe_circuits
from circuitgraph.catalogue.circuits import CircuitRecord, get_circuit, list_circuits
from circuitgraph.catalogue.claims import Author, Claim
from circuitgraph.catalogue.local import Catalogue
from circuitgraph.errors import (
    CatalogueError,
    ClaimError,
    GraphError,
    UnknownCircuitError,
    UnknownNetworkError,
    UnknownPairError,
    UnknownUnitError,
)
from circuitgraph.ids import kind_of
from circuitgraph.testing.bundles import write_synthetic_bundle

WHO: dict[str, Any] = {"author": "Ann", "date": "2026-11-21"}
UNITS = {"layer1:2": "left", "layer1:0": "right", "layer2:5": "middle", "layer2:4": "", "layer3:1": "client"}
FIXED: dict[str, Any] = {
    "title": "Two units",
    "slug": "two-units",
    "networks": {"net": "ab" * 32},
    "layers": ["net/a", "net/b"],
    "units": [{"uid": "net/a:3", "role": "window"}, {"uid": "net/b:7", "label": "car", "order": 2}],
    "edges": [
        {
            "up": "net/a:3",
            "down": "net/b:7",
            "sha256": "cd" * 32,
            "shape": [3, 5],
            "anchor": [1, 2.5],
            "sum": -0.125,
            "l1": 2,
            "share_in": 0.0625,
        }
    ],
    "thresholds": {"rule": "chosen", "kept": 1},
    "author": {"name": "Ann", "orcid": "0000-0002-1825-0097"},
    "date": "2020-03-10",
}
FIXED_HASH = "f2f3bb73fb5d1c8fc38e803e4e4a9fc8d0466f1646b1536e6cf4a8a5eaf515b4"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("circuits") / "net.circuit"
    return write_synthetic_bundle(path, network="net", with_every_form=True)


@pytest.fixture
def edited(bundle: Bundle, tmp_path: Path) -> Callable[[Callable[[np.ndarray], None]], Bundle]:
    """Copy the bundle and change the kernels from layer1 to layer2 in the copy."""

    def edit(change: Callable[[np.ndarray], None]) -> Bundle:
        folder = tmp_path / "edited.circuit"
        shutil.copytree(bundle.path, folder)
        part = next(each for each in bundle.blocks if (each.up, each.down) == ("net/layer1", "net/layer2"))
        kernels = np.load(folder / part.file)
        change(kernels)
        np.save(folder / part.file, kernels)
        return Bundle.open(folder)

    return edit


def kernels_of(bundle: Bundle) -> dict[tuple[str, str], np.ndarray]:
    """Every edge that is not zero, by whole blocks."""
    found = {}
    for up, down in bundle.pairs:
        block = bundle.block(up, down)
        for d in range(block.kernels.shape[0]):
            for u in range(block.kernels.shape[1]):
                if np.abs(block.kernels[d, u]).sum() > 0:
                    found[f"{up}:{u}", f"{down}:{d}"] = block.kernels[d, u]
    return found


def test_the_content_hash_is_that_of_sorted_json_on_every_machine() -> None:
    record = CircuitRecord(**FIXED)
    said = json.loads(json.dumps(FIXED))
    # the defaults are left out, numbers of a kernel are floats
    said["edges"][0] |= {"anchor": [1.0, 2.5], "l1": 2.0}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    assert record.sha256 == hashlib.sha256(text.encode()).hexdigest() == FIXED_HASH
    assert record.uid == f"circuit:two-units@{FIXED_HASH[:8]}"
    assert record.file_name == f"two-units@{FIXED_HASH[:8]}.json"
    assert kind_of(record.uid) == "circuit"


def test_the_order_in_which_fields_units_and_edges_are_given_does_not_matter(bundle: Bundle) -> None:
    record = make_circuit(bundle, UNITS, title="a", edges="all", **WHO)
    said = json.loads(record.text())
    said.pop("sha256")
    turned = {name: said[name] for name in reversed(said)}
    turned["units"], turned["edges"] = said["units"][::-1], said["edges"][::-1]
    turned["networks"] = dict(reversed(said["networks"].items()))
    assert CircuitRecord(**turned) == record
    assert CircuitRecord(**turned).sha256 == record.sha256
    assert CircuitRecord.read(record.text(), where="its text") == record


def test_every_edge_carries_the_hash_and_the_sums_of_its_kernel(bundle: Bundle) -> None:
    record = make_circuit(bundle, UNITS, title="a", edges="all", **WHO)
    truth = kernels_of(bundle)
    uids = {unit.uid for unit in record.units}
    assert {(edge.up, edge.down) for edge in record.edges} == {pair for pair in truth if set(pair) <= uids}
    assert len(record.edges) > 5
    for edge in record.edges:
        kernel = truth[edge.up, edge.down]
        weights = [float(weight) for row in kernel for weight in row]
        assert edge.sha256 == hashlib.sha256(np.array(weights, dtype="<f4").tobytes()).hexdigest()
        assert edge.shape == kernel.shape
        assert edge.sum == pytest.approx(sum(weights), rel=1e-6, abs=1e-6)
        assert edge.l1 == pytest.approx(sum(map(abs, weights)), rel=1e-6)
        into = sum(np.abs(each).sum(dtype=float) for (_, down), each in truth.items() if down == edge.down)
        assert edge.share_in == pytest.approx(edge.l1 / into, rel=1e-5)


def test_the_strongest_edges_into_each_unit_are_kept_and_the_rest_is_counted(bundle: Bundle) -> None:
    units = [f"layer1:{channel}" for channel in range(16)] + ["layer2:0", "layer2:7", "layer3:1"]
    record = make_circuit(bundle, units, title="a", top=3, **WHO)
    truth = {p: k for p, k in kernels_of(bundle).items() if set(p) <= {f"net/{unit}" for unit in units}}
    expected = set()
    for target in ("net/layer2:0", "net/layer2:7", "net/layer3:1"):
        into = sorted((-float(np.square(k, dtype=float).sum()), pair) for pair, k in truth.items() if pair[1] == target)
        expected |= {pair for _, pair in into[:3]}
    assert {(edge.up, edge.down) for edge in record.edges} == expected
    assert (record.thresholds["kept"], record.thresholds["of"]) == (len(expected), len(truth))
    kept = sum(np.abs(truth[pair]).sum(dtype=float) for pair in expected)
    whole = sum(np.abs(kernel).sum(dtype=float) for kernel in truth.values())
    assert record.thresholds["kept_l1_share"] == pytest.approx(kept / whole, rel=1e-5)
    above = make_circuit(bundle, units, title="a", top=99, min_share=0.06, **WHO)
    assert 0 < len(above.edges) < len(truth)
    assert all(edge.share_in is not None and edge.share_in >= 0.06 for edge in above.edges)


def test_the_neighbourhood_of_a_unit_is_its_strongest_edges_hop_by_hop(bundle: Bundle) -> None:
    record = circuit_around(bundle, "layer2:5", title="a", hops_up=2, hops_down=1, top=2, **WHO)
    strength = {pair: float(np.square(k, dtype=float).sum()) for pair, k in kernels_of(bundle).items()}

    def best(unit: str, end: int) -> set[tuple[str, str]]:
        return set(sorted((pair for pair in strength if pair[end] == unit), key=lambda pair: -strength[pair])[:2])

    first = best("net/layer2:5", 1)
    second = set().union(*(best(up, 1) for up, _ in first))
    below = best("net/layer2:5", 0)
    assert {(edge.up, edge.down) for edge in record.edges} == first | second | below
    roles = {unit.uid: unit.role for unit in record.units}
    assert roles["net/layer2:5"] == "centre"
    assert {uid for uid, role in roles.items() if role == "downstream"} == {down for _, down in below}
    assert {uid for uid, role in roles.items() if role == "upstream"} == {up for up, _ in first | second}
    assert record.thresholds["kept"] == len(record.edges)
    alone = circuit_around(bundle, "layer2:5", title="a", hops_up=0, hops_down=0, **WHO)
    assert (len(alone.units), len(alone.edges)) == (1, 0)
    # more steps than there are layers end where nothing new is reached
    far, whole = (circuit_around(bundle, "layer2:5", title="a", hops_up=n, hops_down=n, **WHO) for n in (10**15, 20))
    assert [(edge.up, edge.down) for edge in far.edges] == [(edge.up, edge.down) for edge in whole.edges]


def test_a_circuit_comes_from_rows_of_a_query_and_from_a_graph(bundle: Bundle) -> None:
    pairs = [("net/layer1:2", "net/layer2:5"), ("net/layer2:5", "net/layer3:1")]
    by_pairs = circuit_from_rows(bundle, [*pairs, pairs[0]], title="a", **WHO)
    by_names = circuit_from_rows(
        bundle, [{"x": {"uid": a}, "y": b} for a, b in pairs], up="x", down="y", title="a", **WHO
    )
    chosen = make_circuit(bundle, ["layer1:2", "layer2:5", "layer3:1"], edges=pairs, title="a", **WHO)
    assert by_pairs == by_names
    assert by_pairs.edges == chosen.edges
    graph = chosen.graph(bundle, labels={"net/layer2:5": "middle"})
    again = circuit_from_graph(graph, bundle, title="a", **WHO)
    assert again.edges == chosen.edges
    assert again.graph(bundle) == graph
    with pytest.raises(CatalogueError, match=r"row 2 names no two units in 'up' and 'down'; it has a, b"):
        circuit_from_rows(bundle, [pairs[0], {"a": 1, "b": 2}], title="a", **WHO)
    with pytest.raises(CatalogueError, match="there are 0 rows"):
        circuit_from_rows(bundle, [], title="a", **WHO)


def test_its_graph_holds_the_very_kernels_of_the_bundle(bundle: Bundle) -> None:
    record = make_circuit(bundle, UNITS, title="a", edges="all", **WHO)
    graph = record.graph(bundle)
    truth = kernels_of(bundle)
    assert len(graph.edges) == len(record.edges)
    for edge, kept in zip(graph.edges, record.edges, strict=True):
        assert (edge.up, edge.down, edge.anchor, edge.share_in) == (kept.up, kept.down, kept.anchor, kept.share_in)
        assert edge.kernel.tobytes() == np.ascontiguousarray(truth[edge.up, edge.down]).tobytes()
    assert {unit.uid: unit.label for unit in graph.units}["net/layer1:2"] == "left"
    assert [unit.uid for unit in graph.units] == [unit.uid for unit in record.units]


def test_a_graph_with_other_kernels_than_the_bundle_is_refused(
    bundle: Bundle, edited: Callable[[Callable[[np.ndarray], None]], Bundle]
) -> None:
    def change(kernels: np.ndarray) -> None:
        kernels[5, 2, 0, 0] += 1

    graph = make_circuit(bundle, UNITS, title="a", edges="all", **WHO).graph(edited(change))
    with pytest.raises(CatalogueError, match=r"kernel of net/layer1:2 -> net/layer2:5 sums to"):
        circuit_from_graph(graph, bundle, title="a", **WHO)


def test_a_changed_weight_is_found_and_named(
    bundle: Bundle, edited: Callable[[Callable[[np.ndarray], None]], Bundle]
) -> None:
    record = make_circuit(bundle, UNITS, title="a", edges="all", **WHO)
    assert check_circuit(record, bundle).is_unchanged

    def change(kernels: np.ndarray) -> None:
        # one weight by the smallest step, one kernel turned over, one taken away
        kernels[5, 2, 0, 0] = np.nextafter(kernels[5, 2, 0, 0], np.float32(9))
        kernels[4, 0] = kernels[4, 0, ::-1].copy()
        kernels[4, 2] = 0

    found = check_circuit(record, edited(change))
    assert not found.is_unchanged
    states = {(each.edge.up, each.edge.down): each.state for each in found.edges if each.state != "unchanged"}
    assert states == {
        ("net/layer1:2", "net/layer2:5"): "changed",
        ("net/layer1:0", "net/layer2:4"): "changed",
        ("net/layer1:2", "net/layer2:4"): "gone",
    }
    assert (found.count("changed"), found.count("gone")) == (2, 1)
    assert found.count("unchanged") == len(record.edges) - 3
    assert "the imported weights are the same, so the bundle was made in another way" in found.statement
    turned = next(line for line in found.differences if "layer1:0" in line)
    assert "are the same, the weights are not" in turned
    tables = describe_checks([found])
    assert len(tables[1].rows) == 3
    assert tables[0].rows[0]["verdict"] == "not as recorded"


def test_other_weights_a_missing_bundle_and_missing_units_are_told_apart(bundle: Bundle, tmp_path: Path) -> None:
    record = make_circuit(bundle, UNITS, title="a", edges="all", **WHO)
    other = write_synthetic_bundle(tmp_path / "other.circuit", network="net", with_every_form=True, seed=1)
    found = check_circuit(record, other)
    assert (found.count("changed"), found.networks[0].state) == (len(record.edges), "other")
    assert found.differences[0].startswith("net: the weights were ")
    small = write_synthetic_bundle(tmp_path / "small.circuit", network="net", unit_counts=(3, 2, 5, 1))
    found = check_circuit(record, small)
    assert len(found.missing) == 3
    assert "'net/layer1:2' does not exist: layer1 has 2 units" in found.missing[0]
    assert {each.state for each in found.edges if "layer1:2" in each.edge.up} == {"gone"}
    elsewhere = write_synthetic_bundle(tmp_path / "elsewhere.circuit", network="elsewhere")
    found = check_circuit(record, [elsewhere])
    assert (found.count("not checked"), found.networks[0].state) == (len(record.edges), "no bundle")
    assert "no bundle of net" in found.statement
    with pytest.raises(UnknownNetworkError, match="bundles are given of elsewhere"):
        record.graph(elsewhere)


def test_weights_changed_elsewhere_leave_the_circuit_unchanged_and_are_said(bundle: Bundle, tmp_path: Path) -> None:
    record = make_circuit(bundle, UNITS, title="a", edges="all", **WHO)
    moved = CircuitRecord(**{**record.content(), "networks": {"net": "0" * 64}})
    found = check_circuit(moved, bundle)
    assert found.are_edges_unchanged
    assert not found.is_unchanged
    assert f"{len(record.edges)} of {len(record.edges)} edges unchanged, other weights in net" in found.statement
    assert "other weights in the network; these edges are as recorded" in draw_record(moved, bundle).svg


def test_a_circuit_of_two_networks_is_checked_in_both(bundle: Bundle, tmp_path: Path) -> None:
    other = write_synthetic_bundle(tmp_path / "other.circuit", network="another", seed=1)
    units = ["net/layer1:1", "net/layer2:1", "another/layer1:1", "another/layer2:1"]
    record = make_circuit([bundle, other], units, title="analogous", edges="all", **WHO)
    assert list(record.networks) == ["another", "net"]
    assert record.layers == ("another/layer1", "another/layer2", "net/layer1", "net/layer2")
    assert len(record.edges) == 2
    assert record == make_circuit([other, bundle], units, title="analogous", edges="all", **WHO)
    assert check_circuit(record, [bundle, other]).is_unchanged
    assert check_circuit(record, bundle).count("not checked") == 1
    with pytest.raises(CatalogueError, match="joins two networks"):
        make_circuit([bundle, other], units, title="a", edges=[("another/layer1:1", "net/layer2:1")], **WHO)
    with pytest.raises(UnknownNetworkError, match="write units out"):
        make_circuit([bundle, other], ["layer1:1"], title="a", **WHO)


def test_the_same_circuit_made_twice_is_one_file(bundle: Bundle, tmp_path: Path) -> None:
    with Catalogue.open(tmp_path / "catalogue", create=True) as catalogue:
        one = make_circuit(bundle, UNITS, title="The Car", **WHO)
        assert catalogue.add_documents([one]) == 1
        assert catalogue.add_documents([make_circuit(bundle, UNITS, title="The Car", **WHO)]) == 0
        (path,) = (tmp_path / "catalogue" / "circuits").iterdir()
        assert path.name == f"the-car@{one.sha256[:8]}.json"
        assert catalogue.documents(CircuitRecord) == [one]
        said = json.loads(path.read_text(encoding="utf-8"))
        assert said.pop("sha256") == one.sha256
        assert CircuitRecord(**said) == one


def test_a_file_that_was_changed_is_refused_and_named(bundle: Bundle, tmp_path: Path) -> None:
    with Catalogue.open(tmp_path / "catalogue", create=True) as catalogue:
        record = make_circuit(bundle, UNITS, title="a", **WHO)
        catalogue.add_documents([record])
        path = tmp_path / "catalogue" / "circuits" / record.file_name
        path.write_text(path.read_text(encoding="utf-8").replace('"left"', '"last"'), encoding="utf-8")
        with pytest.raises(ClaimError, match=rf"{record.file_name}: the hash says"):
            catalogue.documents(CircuitRecord)
        with pytest.raises(ClaimError, match=record.file_name):
            catalogue.add_documents([record])
        other = make_circuit(bundle, ["layer1:1"], title="a", **WHO)
        path.write_text(other.text(), encoding="utf-8")
        with pytest.raises(CatalogueError, match="there is another file of this name"):
            catalogue.add_documents([record])


def test_a_circuit_is_found_by_slug_uid_or_file_and_superseded_ones_by_uid(bundle: Bundle, tmp_path: Path) -> None:
    with Catalogue.open(tmp_path / "catalogue", create=True) as catalogue:
        old = make_circuit(bundle, ["layer1:1"], title="Car", **WHO)
        new = make_circuit(bundle, ["layer1:1", "layer2:1"], title="Car", supersedes=[old], **WHO)
        dog = make_circuit(bundle, ["layer1:1"], title="Dog", **WHO)
        catalogue.add_documents([old, new, dog])
        assert list_circuits(catalogue) == [new, dog]
        assert len(list_circuits(catalogue, with_superseded=True)) == 3
        for name in ("car", new.uid, new.uid.removeprefix("circuit:"), "circuit:car", new.uid[:-3]):
            assert get_circuit(catalogue, name) == new
        assert get_circuit(catalogue, old.uid) == old
        path = tmp_path / "catalogue" / "circuits" / dog.file_name
        assert get_circuit(None, str(path)) == dog
        rows = describe_circuits([old, new], every=[old, new]).rows
        assert [row["superseded_by"] for row in rows] == [new.uid, None]
        with pytest.raises(UnknownCircuitError, match="circuit 'cat' is not in the catalogue, which has 2"):
            get_circuit(catalogue, "cat")
        shutil.copy(path, path.with_name("a copy.json"))
        assert get_circuit(catalogue, "dog") == dog
        catalogue.add_documents([make_circuit(bundle, ["layer1:2"], title="Dog", **WHO)])
        with pytest.raises(UnknownCircuitError, match="2 circuits are called 'dog'"):
            get_circuit(catalogue, "dog")


def test_its_page_says_what_claims_say_of_its_units(bundle: Bundle, tmp_path: Path) -> None:
    who = Author(name="Ann")
    with Catalogue.open(tmp_path / "catalogue", create=True) as catalogue:
        unit = "net/layer1:2"
        catalogue.add([Claim(subject=unit, predicate="detects", object="feature:wheel", author=who, date="2026-01-01")])
        record = make_circuit(bundle, UNITS, title="a", edges="all", **WHO)
        fields, units, edges = describe_circuit(catalogue, record)
    said = {row["unit"]: row["detects"] for row in units.rows}
    assert (said["net/layer1:2"], said["net/layer1:0"]) == ("wheel", None)
    assert {row["role"] for row in units.rows} == {"left", "right", "middle", "client", None}
    assert [row["share_in"] for row in edges.rows] == [edge.share_in for edge in record.edges]
    assert record.sha256 in {row["value"] for row in fields.rows}


HOSTILE = "</title><script>alert(1)</script>&amp;\"'<b onload=x>\u202e desrever"


def test_a_hostile_title_or_label_is_text_in_the_picture(bundle: Bundle) -> None:
    record = make_circuit(bundle, UNITS, title=HOSTILE, labels={"layer2:5": HOSTILE}, **WHO)
    assert kind_of(record.uid) == "circuit"
    assert record.file_name == f"{record.slug}@{record.sha256[:8]}.json"
    assert "/" not in record.file_name
    svg = draw_record(record, bundle).svg
    root = ElementTree.fromstring(svg)
    assert not [element for element in root.iter() if element.tag.rpartition("}")[2] in ("script", "b")]
    assert "\u202e" not in svg
    assert any("<script>alert(1)</script>" in (element.text or "") for element in root.iter())


def test_a_picture_of_changed_weights_is_refused_or_says_so(
    bundle: Bundle, edited: Callable[[Callable[[np.ndarray], None]], Bundle]
) -> None:
    record = make_circuit(bundle, UNITS, title="four", edges="all", **WHO)
    assert draw_record(record, bundle) == draw_record(record, bundle)

    def change(kernels: np.ndarray) -> None:
        kernels[5, 2, 0, 0] += 1

    other = edited(change)
    with pytest.raises(CatalogueError, match=rf"drawing {record.uid}: .* 1 changed.*net/layer1:2 -> net/layer2:5"):
        draw_record(record, other)
    svg = draw_record(record, other, anyway=True).svg
    assert f"NOT AS RECORDED: of {len(record.edges)} edges 1 changed | four" in svg


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"title": " "}, "title"),
        ({"title": "two\nlines"}, "several lines"),
        ({"title": "x" * 501}, "501 characters"),
        ({"title": "bell \x07"}, "control character"),
        ({"slug": "../up"}, "slug"),
        ({"slug": "x" * 61}, "at most 60"),
        ({"networks": {"net": "short"}}, "64 hex digits"),
        ({"networks": {"net": "ab" * 32, "other": "ab" * 32}}, "network other has no unit"),
        ({"layers": ["net/b"]}, "is of none of the circuit's 1 layers"),
        ({"layers": ["net/a", "net/b", "net/c"]}, "layer net/c has no unit"),
        ({"layers": ["net/b", "net/a"]}, "does not lead downstream"),
        ({"units": FIXED["units"] + FIXED["units"][:1]}, "3 units are given, 2 are different"),
        ({"units": FIXED["units"][:1]}, "net/b has no unit"),
        ({"edges": FIXED["edges"] * 2}, "2 edges join 1 pairs"),
        ({"edges": [{**FIXED["edges"][0], "up": "net/a:4"}]}, "net/a:4, which is not in the circuit"),
        ({"edges": [{**FIXED["edges"][0], "l1": float("nan")}]}, "l1"),
        ({"edges": [{**FIXED["edges"][0], "shape": [0, 3]}]}, "has no weight"),
        ({"supersedes": ["zz"]}, "sha256"),
        ({"date": "10.3.2020"}, "ISO 8601"),
        ({"secret": 1}, "secret"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ClaimError, match="making it: ") as caught:
        CircuitRecord.make(act="making it", **{**FIXED, **change})
    assert said in str(caught.value)
    text = json.dumps({**FIXED, **change})
    with pytest.raises(ClaimError, match=r"a\.json: "):
        CircuitRecord.read(text, where="a.json")


def test_what_cannot_be_made_says_why(bundle: Bundle) -> None:
    with pytest.raises(UnknownUnitError, match="layer1 has 16 units"):
        make_circuit(bundle, ["layer1:16"], title="a", **WHO)
    with pytest.raises(UnknownPairError):
        make_circuit(bundle, ["layer0:0", "layer2:1"], edges=[("layer0:0", "layer2:1")], title="a", **WHO)
    with pytest.raises(CatalogueError, match="net/layer2:1 has a role or a label"):
        make_circuit(bundle, ["layer1:1"], labels={"layer2:1": "x"}, title="a", **WHO)
    with pytest.raises(CatalogueError, match=r"edges='some' is not known"):
        make_circuit(bundle, ["layer1:1"], edges="some", title="a", **WHO)  # type: ignore[arg-type]
    with pytest.raises(CatalogueError, match="top is 0, 1 or more"):
        make_circuit(bundle, ["layer1:1"], top=0, title="a", **WHO)
    with pytest.raises(CatalogueError, match="hops_up is -1, 0 or more"):
        circuit_around(bundle, "layer1:1", hops_up=-1, title="a", **WHO)
    with pytest.raises(CatalogueError, match="by='name'"):
        circuit_around(bundle, "layer1:1", by="name", title="a", **WHO)  # type: ignore[arg-type]
    with pytest.raises(ClaimError, match="at least 1 item"):
        make_circuit(bundle, [], title="a", **WHO)
    with pytest.raises(CatalogueError, match="bundles of no network"):
        make_circuit([], ["layer1:1"], title="a", **WHO)
    with pytest.raises((GraphError, ClaimError), match="author"):
        make_circuit(bundle, ["layer1:1"], title="a", author="", date="2026-11-21")


def test_sums_are_rounded_once_and_the_sign_of_zero_is_no_weight() -> None:
    kernel = np.array([[1e8, 1.0, -1e8]], dtype=np.float32)
    assert kernel_sums(kernel) == (1.0, 2e8)
    assert kernel_sha256(np.zeros((1, 2), np.float32)) == kernel_sha256(-np.zeros((1, 2), np.float32))
    assert str(kernel_sums(-np.zeros((1, 2), np.float32))[0]) == "0.0"
