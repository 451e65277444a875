"""The shelf's questions about weights, against plain numpy on the same bundle."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.circuit_making import circuit_around
from circuitgraph.catalogue.claims import Author, Claim
from circuitgraph.catalogue.stored import StoreCatalogue
from circuitgraph.errors import IdError, QueryError, UnknownLayerError, UnknownUnitError
from circuitgraph.store import Store
from circuitgraph.store.append import remove_network
from circuitgraph.store.claims import drop_catalogue
from circuitgraph.testing.bundles import write_synthetic_bundle
from queries import get_query, list_queries, run
from tests.store.graph_truth import expected_edges

UNIT = "shelf/layer2:4"


@pytest.fixture(scope="module")
def bundle(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    made = write_synthetic_bundle(
        tmp_path_factory.mktemp("shelf") / "shelf.circuit",
        network="shelf",
        unit_counts=(3, 40, 30, 20),
        with_every_form=True,
        seed=5,
    )
    store.load(made, edges="all", way="append")
    yield made
    remove_network(store, "shelf")


@pytest.fixture(scope="module")
def edges(bundle: Bundle) -> list[dict[str, Any]]:
    return [edge for edge in expected_edges(bundle) if edge["l1"] > 0]


def test_neighbours_are_the_strongest_on_each_side(store: Store, edges: list[dict[str, Any]]) -> None:
    rows = run("neighbours", store, unit=UNIT, limit=6)
    for side, own, far in (("upstream", "to", "from"), ("downstream", "from", "to")):
        best = sorted((edge for edge in edges if edge[own] == UNIT), key=lambda edge: -edge["l2"])[:6]
        found = [row for row in rows if row["side"] == side]
        assert [row["unit"] for row in found] == [edge[far] for edge in best]
        for name in ("sum", "l1", "l2", "top", "bottom", "left", "right", "share_in"):
            assert [row[name] for row in found] == pytest.approx([edge[name] for edge in best], rel=1e-5, abs=1e-6)
    assert {family for row in rows for family in row["families"]} <= {"first four"}


def test_clients_are_ranked_by_the_share_that_a_unit_has_of_them(store: Store, edges: list[dict[str, Any]]) -> None:
    best = sorted((edge for edge in edges if edge["from"] == UNIT), key=lambda edge: -edge["share_in"])[:7]
    rows = run("strongest-clients", store, unit=UNIT, limit=7)
    assert rows.column("client") == [edge["to"] for edge in best]
    assert rows.column("share_in") == pytest.approx([edge["share_in"] for edge in best], rel=1e-5)


def test_what_excites_at_the_top_and_inhibits_at_the_bottom_has_both_halves(
    store: Store, edges: list[dict[str, Any]]
) -> None:
    own = [edge for edge in edges if edge["to"] == UNIT and edge["top"] > 0 > edge["bottom"]]
    best = sorted(own, key=lambda edge: -min(edge["top"], -edge["bottom"]))[:5]
    rows = run("excites-top-inhibits-bottom", store, unit=UNIT, limit=5)
    assert rows.column("unit") == [edge["from"] for edge in best]
    assert rows.column("weaker") == pytest.approx([min(e["top"], -e["bottom"]) for e in best], rel=1e-5)


def test_opposing_pairs_read_the_same_strong_sources_with_other_signs(
    store: Store, edges: list[dict[str, Any]]
) -> None:
    signs = np.zeros((30, 40))
    for edge in edges:
        if edge["pair"] == ("shelf/layer1", "shelf/layer2") and (edge["EXCITES"] or edge["INHIBITS"]):
            signs[int(edge["to"].split(":")[1]), int(edge["from"].split(":")[1])] = np.sign(edge["sum"])
    products = signs[:, None, :] * signs[None, :, :]
    opposed, alike = (products < 0).sum(axis=2), (products > 0).sum(axis=2)
    wanted = {
        (f"shelf/layer2:{a}", f"shelf/layer2:{b}"): (int(opposed[a, b]), int(alike[a, b]))
        for a in range(30)
        for b in range(a + 1, 30)
        if opposed[a, b] >= 1
    }
    rows = run("opposing-pairs", store, layer="layer2", shared=1, limit=1000)
    assert {(row["one"], row["other"]): (row["opposed"], row["alike"]) for row in rows} == wanted
    assert wanted
    assert rows.column("opposed") == sorted(rows.column("opposed"), reverse=True)
    for row in rows:
        assert row["opposed_share"] == row["opposed"] / (row["opposed"] + row["alike"])


def test_paths_are_all_there_are_by_the_product_of_their_shares(store: Store, edges: list[dict[str, Any]]) -> None:
    by_ends = {(edge["from"], edge["to"]): edge for edge in edges}
    up, down, least = "shelf/layer0:1", "shelf/layer3:12", 0.02
    found = []
    firsts = [edge["to"] for edge in edges if edge["from"] == up]
    for a in firsts:
        # through the second layer, and past it by the diagonal block
        for path in [[up, a, down], *([up, a, f"shelf/layer2:{b}", down] for b in range(30))]:
            steps = [by_ends.get(step) for step in pairwise(path)]
            if all(step is not None and step["share_in"] >= least for step in steps):
                found.append(
                    (path, np.prod([s["share_in"] for s in steps if s]), np.prod([s["sum"] for s in steps if s]))
                )
    found.sort(key=lambda each: -each[1])
    rows = run("paths", store, up="layer0:1", down="layer3:12", min_share=least, limit=1000)
    assert rows.column("path") == [path for path, _, _ in found]
    assert rows.column("product") == pytest.approx([product for _, product, _ in found], rel=1e-5)
    assert rows.column("effect") == pytest.approx([effect for _, _, effect in found], rel=1e-4)
    assert {len(path) for path in rows.column("path")} == {3, 4}
    short = run("paths", store, up=up, down=down, hops=2, min_share=least, limit=1000)
    assert short.column("path") == [path for path, _, _ in found if len(path) == 3]


def test_the_circuit_around_a_unit_is_that_which_the_bundle_gives(store: Store, bundle: Bundle) -> None:
    record = circuit_around(
        bundle, UNIT, hops_up=2, hops_down=2, top=3, title="a", author=Author(name="Ada"), date="2026-01-01"
    )
    rows = run("circuit-around", store, unit=UNIT, top=3)
    assert {(row["up"], row["down"]) for row in rows} == {(edge.up, edge.down) for edge in record.edges}
    assert len(rows) == len(record.edges)


def test_units_without_labels_are_those_that_no_current_claim_explains(store: Store, bundle: Bundle) -> None:
    ada = Author(name="Ada")
    mistaken = Claim(subject="shelf/layer2:1", predicate="detects", object="feature:car", author=ada, date="2026-01-01")
    claims = [
        mistaken,
        Claim(subject="shelf/layer2:1", predicate="unknown", author=ada, date="2026-01-02", supersedes=(mistaken.id,)),
        Claim(subject="shelf/layer2:2", predicate="responds_to", object="feature:dog", author=ada, date="2026-01-01"),
        Claim(
            subject="shelf/layer2:3",
            predicate="detects",
            object="feature:dog",
            negated=True,
            author=ada,
            date="2026-01-01",
        ),
    ]
    try:
        StoreCatalogue(store).add(claims)
        rows = run("units-without-labels", store, network="shelf", layer="layer2", limit=100)
    finally:
        drop_catalogue(store)
    norms = {row["uid"]: row["out_norm"] for row in bundle.units.to_pylist() if row["layer"] == "shelf/layer2"}
    norms.pop("shelf/layer2:2")
    assert rows.column("unit") == sorted(norms, key=lambda uid: -norms[uid])


def test_family_pairs_and_blocks_add_up_over_their_members(
    store: Store, bundle: Bundle, edges: list[dict[str, Any]]
) -> None:
    store.run(
        "MERGE (f:Family {uid: 'shelf/layer2!odd'}) SET f.network = 'shelf', f.layer = 'layer2', f.name = 'odd' "
        "WITH f UNWIND range(0, 2) AS n MATCH (u:Unit {uid: 'shelf/layer2:' + toString(2 * n + 1)}) "
        "CREATE (u)-[:MEMBER_OF {position: n}]->(f), (u)-[:MEMBER_OF {position: n, source: 'again'}]->(f)",
        write=True,
    )
    ups, downs = [f"shelf/layer1:{n}" for n in range(4)], [f"shelf/layer2:{2 * n + 1}" for n in range(3)]
    own = {(edge["from"], edge["to"]): edge for edge in edges if edge["from"] in ups and edge["to"] in downs}
    (pair,) = run("family-pairs", store, network="shelf")
    assert (pair["up"], pair["down"], pair["edges"]) == ("shelf/layer1!first", "shelf/layer2!odd", 12)
    assert pair["exciting"] == sum(bool(edge["EXCITES"]) for edge in own.values())
    assert pair["inhibiting"] == sum(bool(edge["INHIBITS"]) for edge in own.values())
    for name in ("sum", "l1", "excitation", "inhibition"):
        assert pair[name] == pytest.approx(sum(edge[name] for edge in own.values()), rel=1e-5)
    rows = run("family-block", store, up="layer1!first", down="layer2!odd")
    assert [(row["up"], row["down"]) for row in rows] == [(up, down) for down in downs for up in ups]
    assert [(row["up_position"], row["down_position"]) for row in rows] == [(i, j) for j in range(3) for i in range(4)]
    for row in rows:
        kernel = np.array(row["kernel"], dtype=np.float32).reshape(row["rows"], row["cols"])
        np.testing.assert_array_equal(kernel, bundle.kernel(row["up"], row["down"]))


@pytest.mark.parametrize("short", ["layer2:4", "r2:4", "shelf/r2:4"])
def test_a_unit_may_be_named_in_short(store: Store, bundle: Bundle, short: str) -> None:
    assert run("neighbours", store, unit=short).rows == run("neighbours", store, unit=UNIT).rows


def test_a_name_that_is_not_there_or_fits_several_is_said(store: Store, bundle: Bundle) -> None:
    with pytest.raises(UnknownUnitError, match="'shelf/layer2:99' is not in the graph: shelf/layer2 has 30") as caught:
        run("neighbours", store, unit="layer2:99")
    assert "parameter unit of query 'neighbours'" in caught.value.__notes__[0]
    with pytest.raises(UnknownLayerError, match="layr2"):
        run("neighbours", store, unit="layr2:0")
    with pytest.raises(UnknownLayerError, match="no network 'other'"):
        run("neighbours", store, unit="other/layer2:0")
    with pytest.raises(IdError, match="'layer2'"):
        run("neighbours", store, unit="layer2")
    with pytest.raises(UnknownUnitError, match="layer1!none"):
        run("family-block", store, up="layer1!none", down="layer1!first")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "lacks its parameter unit; it takes unit: unit, limit: int = 10"),
        ({"unit": UNIT, "limt": 3}, "has no parameter limt"),
        ({"unit": 3}, "parameter unit is 3, the uid of a unit is wanted"),
        ({"unit": ""}, "parameter unit is '', the uid of a unit is wanted"),
        ({"unit": UNIT, "limit": 0}, "parameter limit is 0, an integer of 1"),
        ({"unit": UNIT, "limit": True}, "parameter limit is True, an integer"),
        ({"unit": UNIT, "limit": 2.5}, "parameter limit is 2.5, an integer"),
        ({"unit": UNIT, "limit": "3"}, "parameter limit is '3', an integer"),
        ({"unit": UNIT, "limit": 2**63}, "parameter limit is 9223372036854775808, an integer"),
    ],
)
def test_parameters_are_checked_before_anything_runs(given: dict[str, Any], said: str) -> None:
    with pytest.raises(QueryError, match=said) as caught:
        # a store that would fail at any use
        run("neighbours", None, **given)  # type: ignore[arg-type]
    assert caught.value.hint


def test_every_query_of_the_shelf_has_a_bound_and_examples_of_their_type() -> None:
    for name in list_queries():
        query = get_query(name)
        assert query.parameters["limit"].default, name
        assert "LIMIT $limit" in query.cypher
        assert "// $" not in query.description
        for each in query.parameters.values():
            number: Any = {"int": int, "float": float}.get(each.type, str)
            assert each.check(number(each.example), name) == number(each.example)
            if each.default is not None:
                each.check(each.default, name)
