"""What lies under the edges is in the graph, and beside the rows of a query about them, once a pair of layers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from torch import nn

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.approximations import approximation_notes
from circuitgraph.bundle.describe import describe_unit
from circuitgraph.bundle.fidelity import write_fidelity
from circuitgraph.store import Store
from circuitgraph.store.append import remove_network
from circuitgraph.store.neighbours import describe_stored_unit
from importers import import_torch, measure_fidelity
from tests.importers.autograd import randomise

INTO = "MATCH (a:Unit)-[e:CONNECTS]->(b:Unit {uid: 'lossy/6:0'}) RETURN a.uid, e.sum ORDER BY a.uid"
FEEDS = (
    "MATCH (:Layer)-[f:FEEDS]->(b:Layer {uid: $uid}) RETURN f.fidelity AS fidelity, "
    "f.fidelity_explained AS explained, f.fidelity_on AS measured, f.ignored_activations AS ignored"
)


def network() -> nn.Module:
    layers = (nn.Conv2d(2, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 2, 1), nn.ReLU(), nn.Conv2d(2, 5, 3))
    return randomise(nn.Sequential(*layers, nn.ReLU()), 2)


@pytest.fixture(scope="module")
def lossy(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    out = tmp_path_factory.mktemp("lossy") / "lossy.circuit"
    bundle = import_torch(network(), out=out, network="lossy", input_shape=(2, 20, 20), units=["1", "6"])
    store.load(bundle)
    yield bundle
    remove_network(store, "lossy")


def test_feeds_says_how_well_its_target_is_predicted_and_on_what(store: Store, lossy: Bundle) -> None:
    assert lossy.fidelity is not None
    for uid, ignored in (("lossy/1", 0), ("lossy/6", 1)):
        own = lossy.fidelity.layers[uid].best_known
        (row,) = store.query(FEEDS, uid=uid).rows
        assert row == {
            "fidelity": own.correlation,
            "explained": own.explained,
            "measured": "4 images of smooth noise of deviation 1, interior positions",
            "ignored": ignored,
        }


def test_rows_about_edges_come_with_what_these_lie_under_once(store: Store, lossy: Bundle) -> None:
    (wanted,) = approximation_notes(lossy, [("lossy/1", "lossy/6")])
    assert "max pools are taken as the mean" in wanted and "1 activation ignored" in wanted
    asked = store.query(INTO)
    assert len(asked.rows) == 6
    assert list(asked.notes).count(wanted) == 1
    # an exact pair needs no word, and no more does a query that is not about edges
    exact = store.query("MATCH (a:Unit)-[e:CONNECTS]->(b:Unit {uid: 'lossy/1:0'}) RETURN a.uid, e.sum")
    assert len(exact.rows) == 2
    assert not any("->" in note for note in exact.notes)
    assert wanted not in store.query("MATCH (u:Unit {uid: 'lossy/6:0'}) RETURN u.uid").notes


def test_a_units_kernels_say_it_from_the_graph_as_from_the_bundle(store: Store, lossy: Bundle) -> None:
    (wanted,) = approximation_notes(lossy, [("lossy/1", "lossy/6")])
    into, out = describe_unit(lossy, "6:0")
    assert list(into.notes) == [wanted] and not out.notes
    stored_into, stored_out = describe_stored_unit(store, "lossy/6:0")
    assert [note for note in stored_into.notes if note.endswith(wanted)] == [f"{into.title}: {wanted}"]
    assert not any(wanted in note for note in stored_out.notes)


def test_a_new_measurement_reaches_the_graph_without_loading_again(store: Store, lossy: Bundle) -> None:
    before = store.query(FEEDS, uid="lossy/6").rows
    write_fidelity(lossy, measure_fidelity(lossy, network(), count=1, seed=9))
    (loaded,) = store.load(Bundle.open(lossy.path)).loaded
    assert loaded.way == "already there"
    (row,) = store.query(FEEDS, uid="lossy/6").rows
    assert row["measured"] == "1 image of smooth noise of deviation 1, interior positions"
    assert row != before[0]
