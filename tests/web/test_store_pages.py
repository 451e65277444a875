"""Pages beside a database: their lines of Cypher give what the pages show, and saved motifs have pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue import Catalogue
from circuitgraph.catalogue.circuits import CircuitRecord
from circuitgraph.settings import Settings
from circuitgraph.store import Store
from circuitgraph.store.append import remove_network
from circuitgraph.store.circuits import save_circuits
from circuitgraph.store.load import load_bundles
from circuitgraph.store.server import ManagedServer
from importers.handwritten_truth import handwritten_truth
from queries.registry import get_motif
from tests.web.asking import Asking
from tests.web.looking import looking

pytestmark = pytest.mark.slow

HEAD = handwritten_truth().ladder.u
CURVES, EARLY = "handwritten/mixed3b!curves", "handwritten/mixed3a!early-curves"
UNIONS = {"up": "mixed3b", "middle": "mixed4a", "down": "mixed4b"}


@pytest.fixture(scope="module")
def stored(
    managed_server: ManagedServer,
    server_settings: Settings,
    handwritten: Path,
    catalogue: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Asking]:
    with Store.open(settings=server_settings) as store, Bundle.open(handwritten) as bundle:
        load_bundles(store, [bundle], edges="all")
        with Catalogue.open(catalogue) as own:
            save_circuits(store, [each.row() for each in own.documents(CircuitRecord)])
        with looking(handwritten, catalogue, tmp_path_factory.mktemp("stored"), store=store) as opened:
            yield opened
        remove_network(store, bundle.network)


def rows_of(stored: Asking, address: str) -> tuple[dict, list[dict]]:
    """The data of a page, and what its line of Cypher gives."""
    path, _, query = address.partition("?")
    page = stored.get(f"{path}.json?{query}").json()
    assert stored.explorer.store is not None
    return page["data"], list(stored.explorer.store.query(page["ways"]["cypher"]))


def test_cypher_gives_the_families_and_members_of_a_page(stored: Asking) -> None:
    data, rows = rows_of(stored, "/families/handwritten")
    assert {row["f.uid"]: row["members"] for row in rows} == {row["family"]: row["members"] for row in data["rows"]}
    data, rows = rows_of(stored, f"/family/{CURVES}")
    assert [tuple(row.values()) for row in rows] == [
        (row["unit"], row["position"], row["angle_deg"]) for row in data["members"]
    ]


def test_cypher_gives_the_kernels_between_families(stored: Asking) -> None:
    data, rows = rows_of(stored, f"/family/{CURVES}?with={EARLY}&limit=24")
    sums = {(row["up.uid"], row["down.uid"]): row["e.sum"] for row in rows}
    grid = data["grid"]
    for down, line in zip(grid["down_units"], grid["sums"], strict=True):
        for up, value in zip(grid["up_units"], line, strict=True):
            assert sums[up, down] == pytest.approx(value, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("address", [f"/around/{HEAD}?hops=2&top=4&min_share=0.1", "/draft?units=4b:45,4a:46,4a:83"])
def test_cypher_gives_the_edges_of_a_draft(stored: Asking, address: str) -> None:
    data, rows = rows_of(stored, address)
    assert [(row["up"], row["down"]) for row in rows] == [(row["up"], row["down"]) for row in data["edges"]]
    assert [row["e.sum"] for row in rows] == pytest.approx([row["sum"] for row in data["edges"]], rel=1e-4)


def test_cypher_gives_the_circuits_and_their_units(stored: Asking) -> None:
    data, rows = rows_of(stored, "/circuits")
    assert [row["c.uid"] for row in rows] == [row["circuit"] for row in data["rows"]]
    uid = rows[0]["c.uid"]
    data, rows = rows_of(stored, f"/circuit/{uid.removeprefix('circuit:')}")
    assert {(row["u.uid"], row["i.role"]) for row in rows} == {
        (row["unit"], row["role"]) for row in data["units"]["rows"]
    }


def test_saved_motifs_have_pages(stored: Asking, handwritten: Path) -> None:
    with Bundle.open(handwritten) as bundle:
        result = get_motif("unions").find(bundle, **UNIONS)
    assert stored.explorer.store is not None
    assert result.to_store(stored.explorer.store) == 1
    (match,) = result.found
    data, rows = rows_of(stored, "/motifs/handwritten?motif=unions&result=store")
    assert [row["m.uid"] for row in rows] == [row["id"] for row in data["result"]["matches"]] == [match.id]
    assert result.statement in data["result"]["statement"]
    assert data["stored"]["count"] == 1
    address = f"/motif/{match.id.removeprefix('motif:')}"
    data, rows = rows_of(stored, address)
    assert {row["b.role"]: row["u.uid"] for row in rows} == match.units
    assert {row["role"]: row["unit"] for row in data["units"]} == match.units
    assert (data["score"], data["from_store"], len(data["edges"])) == (match.score, True, 6)
    svg = stored.get(f"{address}.svg")
    assert svg.status == 200
    assert "permuted_sums" in svg.text
    assert stored.get("/motif/0000000000000000").status == 404
    _, rows = rows_of(stored, "/motifs/handwritten")
    assert json.loads(json.dumps(rows)) == [{"m.motif": "unions", "found": 1}]
