"""Directions in the graph: both ways of loading, later additions and removals, kills, pruning."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from circuitgraph.bundle import Bundle, add_directions, remove_directions
from circuitgraph.catalogue import Author, Claim
from circuitgraph.catalogue.stored import StoreCatalogue
from circuitgraph.settings import Settings
from circuitgraph.store import Store, direction_rows
from circuitgraph.store.claims import drop_catalogue
from circuitgraph.store.projection import Projection
from queries.pattern import write_cypher
from queries.union_edges import unions_cypher
from tests.store.graph_truth import ask, graph_of

MakeBundle = Callable[..., Bundle]

# a load that ends itself, by the hardest signal, in the middle of the edges
KILLED_LOAD = """
import os, signal, sys
from circuitgraph.bundle import Bundle
from circuitgraph.store import Store, append

write, calls = append._write_once, []

def write_and_die(*args, **kwargs):
    write(*args, **kwargs)
    calls.append(kwargs["mark"])
    if sum("|10000" in mark for mark in calls) > 1:
        os.kill(os.getpid(), signal.SIGKILL)

append._write_once = write_and_die
with Store.open() as store:
    store.load(Bundle.open(sys.argv[1]))
"""


def _directed(bundle: Bundle) -> Bundle:
    rng = np.random.default_rng(1)
    bundle = add_directions(bundle, "layer1", rng.normal(size=(3, 16)), names=["a", "b", "c"], source="noise")
    sparse = np.zeros((4, 8))
    sparse[0, 2] = 1.0
    sparse[1:, 4:] = rng.normal(size=(3, 4))
    return add_directions(bundle, "layer3", sparse, names=["one", "x", "y", "z"])


def _expected(bundle: Bundle) -> dict[tuple[str, str], np.ndarray]:
    """Kernels of all edges with a direction at an end, from dense arrays; by the uids at both ends."""
    units: dict[str, dict[str, np.ndarray]] = {}
    for layer in bundle.layers:
        units[layer.uid] = {f"{layer.uid}:{c}": row for c, row in enumerate(np.eye(layer.unit_count))}
        for name, vector in zip(
            bundle.directions.names(layer.uid), bundle.directions.coefficients(layer.uid), strict=True
        ):
            units[layer.uid][f"{layer.uid}@{name}"] = vector.astype(np.float64)
    found = {}
    for up, down in bundle.pairs:
        dense = bundle.block(up, down).kernels.astype(np.float64)
        for a, m in units[up].items():
            for b, n in units[down].items():
                kernel = np.einsum("o,oiuv,i->uv", n, dense, m)
                if ("@" in a or "@" in b) and np.abs(kernel).sum() > 0:
                    found[a, b] = kernel
    return found


def _check_graph(store: Store, bundle: Bundle) -> None:
    network = bundle.network
    rows = ask(
        store,
        "MATCH (a:Unit {network: $network})-[e:CONNECTS]->(b) WHERE a:Direction OR b:Direction "
        "RETURN a.uid, b.uid, e.kernel, e.sum, e.l1, e.share_in",
        network=network,
    )
    expected = _expected(bundle)
    assert len(rows) == len(expected) == bundle.manifest.counts["direction_edges"]
    into: dict[str, float] = {}
    for (a, b), kernel in expected.items():
        if "@" in b and ":" in a:
            into[b] = into.get(b, 0.0) + float(np.abs(kernel).sum())
    for a, b, kernel, total, l1, share in rows:
        wanted = expected[a, b]
        np.testing.assert_allclose(np.reshape(kernel, wanted.shape), wanted, rtol=1e-5, atol=1e-6)
        assert (total, l1) == pytest.approx((wanted.sum(), np.abs(wanted).sum()), rel=1e-5, abs=1e-5)
        if "@" in b:
            assert share == pytest.approx(np.abs(wanted).sum() / into[b], rel=1e-5)
    combined = ask(
        store,
        "MATCH (d:Direction {network: $network})-[c:COMBINES]->(n:Neuron) RETURN d.uid, n.channel, c.weight",
        network=network,
    )
    for layer in bundle.directions.layers:
        for uid, vector in zip(
            bundle.directions.uids(layer), bundle.directions.coefficients(layer).tolist(), strict=True
        ):
            own = {channel: weight for name, channel, weight in combined if name == uid}
            assert own == pytest.approx({c: w for c, w in enumerate(vector) if w}, rel=1e-7)


@pytest.mark.slow
def test_bulk_and_append_give_the_same_directions_and_they_are_those_of_plain_sums(
    store: Store, own_store: Store, make_bundle: MakeBundle
) -> None:
    bundle = _directed(make_bundle("dirboth"))
    assert own_store.load(bundle, way="bulk").loaded[0].direction_count == 7
    report = store.load(bundle, way="append").loaded[0]
    assert report.direction_edge_count == report.direction_edges_in_bundle == bundle.manifest.counts["direction_edges"]
    assert graph_of(store, "dirboth") == graph_of(own_store, "dirboth")
    _check_graph(store, bundle)
    labels = ask(store, "MATCH (d:Direction {network: 'dirboth'}) RETURN DISTINCT labels(d)")
    assert [sorted(each[0]) for each in labels] == [["Direction", "Unit"]]
    # a one-hot direction is its neuron
    twins = ask(
        store,
        "MATCH (a:Neuron)-[e:CONNECTS]->(:Unit {uid: 'dirboth/layer3:2'}) "
        "MATCH (a)-[f:CONNECTS]->(:Unit {uid: 'dirboth/layer3@one'}) RETURN e.sum, f.sum, e.share_in, f.share_in",
    )
    assert len(twins) > 10
    for one, other, share, twin_share in twins:
        assert (one, share) == pytest.approx((other, twin_share), rel=1e-6)


def test_directions_added_later_are_all_that_is_appended(store: Store, make_bundle: MakeBundle) -> None:
    bundle = make_bundle("dirlater")
    store.load(bundle, way="append")
    before = ask(store, "MATCH (:Unit {network: 'dirlater'})-[e:CONNECTS]->() RETURN collect(elementId(e))")[0][0]
    bundle = _directed(bundle)
    assert store.load(bundle).loaded[0].way == "directions"
    _check_graph(store, bundle)
    after = ask(store, "MATCH (:Neuron {network: 'dirlater'})-[e:CONNECTS]->(:Neuron) RETURN collect(elementId(e))")[0][
        0
    ]
    assert sorted(after) == sorted(before)
    whole = graph_of(store, "dirlater")
    assert store.load(bundle).loaded[0].way == "already there"
    assert graph_of(store, "dirlater") == whole
    # one more, one gone, one with other coefficients: the others keep their nodes and edges
    kept = ask(store, "MATCH (d:Direction {name: 'a', network: 'dirlater'})-[e]-(:Neuron) RETURN collect(elementId(e))")
    bundle = add_directions(bundle, "layer1", np.eye(16)[5], names=["five"])
    bundle = remove_directions(bundle, "layer1", ["c"])
    bundle = add_directions(bundle, "layer3", np.arange(8.0), names=["z"], replace=True)
    assert store.load(bundle).loaded[0].way == "directions"
    _check_graph(store, bundle)
    again = ask(
        store, "MATCH (d:Direction {name: 'a', network: 'dirlater'})-[e]-(:Neuron) RETURN collect(elementId(e))"
    )
    assert sorted(kept[0][0]) == sorted(again[0][0])
    names = ask(store, "MATCH (d:Direction {network: 'dirlater'})-[:IN]->(l) RETURN d.name ORDER BY d.name")
    assert [name for (name,) in names] == ["a", "b", "five", "one", "x", "y", "z"]
    # and none at all
    bundle = remove_directions(remove_directions(bundle, "layer1"), "layer3")
    store.load(bundle)
    assert ask(store, "MATCH (d:Direction {network: 'dirlater'}) RETURN count(d)") == [[0]]
    assert ask(store, "MATCH (:Layer {network: 'dirlater'})-[f:FEEDS]->() RETURN count(f)") == [[len(bundle.blocks)]]
    assert ask(store, "MATCH (b:LoadBatch) WHERE b.uid STARTS WITH 'dirlater|' RETURN count(b)") == [[0]]


@pytest.mark.slow
def test_a_graph_that_grew_is_the_graph_that_was_loaded_whole(
    store: Store, own_store: Store, make_bundle: MakeBundle
) -> None:
    bundle = make_bundle("dirgrown")
    store.load(bundle, way="append")
    bundle = _directed(bundle)
    store.load(bundle)
    own_store.load(bundle, way="append")
    assert graph_of(store, "dirgrown") == graph_of(own_store, "dirgrown")


@pytest.mark.slow
def test_a_change_that_is_killed_is_gone_on_with(
    store: Store, own_store: Store, make_bundle: MakeBundle, server_settings: Settings
) -> None:
    bundle = make_bundle("dirkilled", unit_counts=(3, 64, 64, 8))
    store.load(bundle, way="append")
    rng = np.random.default_rng(2)
    bundle = add_directions(bundle, "layer1", rng.normal(size=(100, 64)))
    environment = {**os.environ, "CIRCUITGRAPH_DATA_DIR": str(server_settings.data_dir)}
    command = [sys.executable, "-c", KILLED_LOAD, str(bundle.path)]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    begun = ask(store, "MATCH (d:Direction {network: 'dirkilled'})-[e:CONNECTS]->() RETURN count(e)")[0][0]
    assert 0 < begun < bundle.manifest.counts["direction_edges"]
    assert not next(meta for meta in store.networks() if meta["network"] == "dirkilled")["is_complete"]
    store.load(bundle)
    _check_graph(store, bundle)


def test_many_coefficients_and_edges_are_cut_and_it_is_told(
    store: Store, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = _directed(make_bundle("dircut"))
    monkeypatch.setattr(direction_rows, "ALL_COMBINES_LIMIT", 20)
    monkeypatch.setattr(direction_rows, "_TOP_COMBINES", 5)
    projection = Projection(bundle, "top:2")
    report = store.load(bundle, edges="top:2", way="append").loaded[0]
    assert report.directions_rule == "edges top:2, coefficients top:5" == projection.directions.rules
    assert report.direction_edge_count < report.direction_edges_in_bundle
    rows = ask(
        store,
        "MATCH (d:Direction {network: 'dircut'}) RETURN d.uid, d.combines_count, d.combines_kept_count, "
        "d.combines_kept_share, d.kept_share, COUNT { (d)-[:COMBINES]->() }, COUNT { (d)<-[:CONNECTS]-(:Neuron) }, "
        "d.kept_count",
    )
    for uid, count, kept, share, kept_share, combines, edges, kept_count in rows:
        layer, _, name = uid.partition("@")
        vector = bundle.directions.coefficients(layer)[bundle.directions.names(layer).index(name)].astype(np.float64)
        largest = np.sort(np.square(vector))[::-1]
        assert (count, kept, combines) == (np.count_nonzero(vector), min(5, count), min(5, count))
        assert share == pytest.approx(largest[:5].sum() / largest.sum(), rel=1e-6)
        assert edges == kept_count and 0 < kept_share <= 1
    # another direction may push edges out, so all of them are written again
    store.load(add_directions(bundle, "layer1", np.ones(16), names=["all"]), edges="top:2")
    assert ask(store, "MATCH (d:Direction {network: 'dircut'}) RETURN count(d)") == [[8]]


def test_a_claim_about_a_direction_is_bound_to_it(store: Store, make_bundle: MakeBundle) -> None:
    bundle = _directed(make_bundle("dirclaim"))
    shared = StoreCatalogue(store)
    shared.add(
        [Claim(subject="dirclaim/layer1@a", predicate="unknown", author=Author(name="A. Author"), date="2026-01-01")]
    )
    store.load(bundle, way="append")
    found = ask(store, "MATCH (:Claim)-[:ABOUT]->(d:Direction {uid: 'dirclaim/layer1@a'}) RETURN d.source")
    drop_catalogue(store)
    assert found == [["noise"]]


def test_motifs_are_the_same_in_a_graph_where_each_neuron_has_a_direction_as_its_twin(
    store: Store, make_bundle: MakeBundle
) -> None:
    bundle = make_bundle("dirmotif", with_every_form=False, unit_counts=(8, 40, 40, 30))
    store.load(bundle, way="append")
    questions = [write_cypher(bundle, text) for text in ("a -> b, b -| c", "a -> u, b -| u")] + [unions_cypher(bundle)]

    def answers() -> list[list[str]]:
        found = [store.query(text, values, limit=100_000).rows for text, values in questions]
        return [sorted(str(row) for row in rows) for rows in found]

    before = answers()
    assert [len(rows) for rows in before[:2]] == [5, 15]
    for layer in bundle.layers:
        bundle = add_directions(bundle, layer.uid, np.eye(layer.unit_count), layout="rows")
    store.load(bundle)
    assert answers() == before
    twins = "MATCH (:Direction {network: 'dirmotif'})-[e:EXCITES]->(:Neuron) RETURN count(e)"
    assert ask(store, twins)[0][0] > 0
    assert [write_cypher(bundle, "a -> b, b -| c")] == questions[:1]
