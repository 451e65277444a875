"""The lines of Cypher on the explorer's pages, run on the store: they give what the page shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue import Catalogue, add_starter
from circuitgraph.store import Store
from circuitgraph.web import Explorer
from circuitgraph.web.page import Asked, Page
from circuitgraph.web.views.layers import view_layer
from circuitgraph.web.views.networks import view_network
from circuitgraph.web.views.search import view_search
from circuitgraph.web.views.start import view_start
from circuitgraph.web.views.units import view_edge, view_unit

NETWORK = "pagelines"


@pytest.fixture
def explorer(store: Store, make_bundle: Callable[..., Bundle], tmp_path: Path) -> Iterator[Explorer]:
    bundle = make_bundle(NETWORK)
    store.load(bundle)
    with Catalogue.open(tmp_path / "catalogue", create=True) as catalogue:
        add_starter(catalogue)
    with Explorer([bundle], catalogue=tmp_path / "catalogue", store=store) as opened:
        yield opened


def rows_of(store: Store, page: Page) -> list[dict[str, object]]:
    return [dict(row) for row in store.query(page.ways.cypher).rows]


def test_the_line_of_each_page_gives_what_it_shows(explorer: Explorer, store: Store) -> None:
    for uid in (f"{NETWORK}/layer3:5", f"{NETWORK}/layer2:3"):
        for by in ("l2", "top", "-sum", "share_in"):
            page = view_unit(explorer, Asked({"uid": uid}, {"by": by, "limit": "9"}))
            found, shown = rows_of(store, page), page.data["upstream"]["rows"]
            assert [row["unit"] for row in found] == [row["unit"] for row in shown]
            for name in ("sum", "l1", "l2", "top", "bottom", "left", "right", "share_in"):
                wanted = pytest.approx([row[name] for row in shown], rel=1e-6, abs=1e-7)
                assert [row[name] for row in found] == wanted, name

    edge = view_edge(explorer, Asked({"uid": f"{NETWORK}/layer1:2 -> {NETWORK}/layer2:3"}))
    (row,) = rows_of(store, edge)
    assert row["e.kernel"] == pytest.approx([weight for line in edge.data["kernel"] for weight in line])
    assert row["e.sum"] == pytest.approx(edge.data["scalars"]["sum"])
    assert row["e.share_in"] == pytest.approx(edge.data["share_in"])

    network = view_network(explorer, Asked({"uid": NETWORK}))
    shown = [(row["layer"], row["kind"], row["units"]) for row in network.data["layers"]]
    assert [(row["layer"], row["kind"], row["units"]) for row in rows_of(store, network)] == shown

    for sort in ("channel", "-bias"):
        layer = view_layer(explorer, Asked({"uid": f"{NETWORK}/layer2"}, {"sort": sort, "first": "2", "limit": "5"}))
        units = layer.data["units"]["rows"]
        assert [(row["unit"], row["channel"]) for row in rows_of(store, layer)] == [
            (row["unit"], row["channel"]) for row in units
        ]

    assert NETWORK in [row["uid"] for row in rows_of(store, view_start(explorer, Asked({})))]


@pytest.mark.parametrize("text", ["car", 'a" OR b:*', "it's \\ NEAR("])
def test_the_line_of_a_search_runs(explorer: Explorer, store: Store, text: str) -> None:
    page = view_search(explorer, Asked({}, {"q": text}))
    assert isinstance(rows_of(store, page), list)
