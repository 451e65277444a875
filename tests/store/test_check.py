"""Each kind of damage to a database is found by a check, and put right by a repair."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue import Catalogue
from circuitgraph.catalogue.attributions import AttributionInfo, AttributionTable, write_attributions
from circuitgraph.catalogue.store_check import StoreCheck, check_store
from circuitgraph.catalogue.store_repair import repair_store
from circuitgraph.catalogue.sync import sync
from circuitgraph.store import Store
from circuitgraph.store.append import remove_network
from circuitgraph.store.attributions import drop_attributions
from circuitgraph.store.claims import drop_catalogue
from circuitgraph.testing.bundles import write_synthetic_bundle
from circuitgraph.testing.catalogue import made_circuit, made_claims, made_families, made_features
from tests.store.graph_truth import ask

EDGE = "MATCH (:Unit {uid: 'chk/layer1:2'})-[e:CONNECTS]->(:Unit {uid: 'chk/layer2:5'})"
# what is done to the database -> what the check must say of it
DAMAGES = {
    f"{EDGE} SET e.top = e.top + 1e-5": "chk/layer1 -> chk/layer2 (block 20000): sum of top over CONNECTS",
    f"{EDGE} SET e.sum = -e.sum": "chk/layer1 -> chk/layer2 (block 20000): sum of sum over CONNECTS",
    f"{EDGE} SET e.l1 = 'much'": "chk/layer1: edges CONNECTS that can be summed",
    f"{EDGE} DELETE e": "chk/layer1 -> chk/layer2 (block 20000): number of CONNECTS: 192 expected, 191 found",
    "MATCH (a:Unit {uid: 'chk/layer1:2'}), (b:Unit {uid: 'chk/layer2:5'}) CREATE (a)-[:CONNECTS {block: 20000}]->(b)": (
        "number of CONNECTS: 192 expected, 193 found"
    ),
    f"{EDGE} MATCH (b:Unit {{uid: 'chk/layer2:6'}}), (a:Unit {{uid: 'chk/layer1:2'}}) "
    "CREATE (a)-[f:CONNECTS]->(b) SET f = properties(e) DELETE e": "l1 times downstream channel over CONNECTS",
    "MATCH (:Unit {network: 'chk'})-[e:EXCITES]->() WITH e LIMIT 1 SET e.share_in = 1": "share_in over EXCITES",
    "MATCH (:Unit {network: 'chk'})-[e:INHIBITS]->() WITH e LIMIT 1 DELETE e": "number of INHIBITS",
    "MATCH (a:Unit {uid: 'chk/layer1:2'}), (b:Unit {uid: 'chk/layer2:5'}) CREATE (a)-[:MIXES {sum: 0.0}]->(b)": (
        "number of MIXES"
    ),
    "MATCH (u:Unit {uid: 'chk/layer2:5'}) REMOVE u:Unit": "chk/layer2:5: node Unit: one expected, none found",
    "MATCH (u:Unit {uid: 'chk/layer2:5'}) REMOVE u:Neuron": "chk/layer2:5: labels: Neuron, Unit expected, Unit found",
    "MATCH (u:Unit {uid: 'chk/layer2:5'}) SET u.bias = u.bias + 0.001": "chk/layer2:5: bias",
    "MATCH (u:Unit {uid: 'chk/layer2:5'}) SET u.note = 'mine'": "chk/layer2:5: note: nothing expected, mine found",
    "MATCH (u:Unit {uid: 'chk/layer2:5'}) SET u.network = 'other'": "chk/layer2:5: node Unit",
    "MATCH (u:Unit {uid: 'chk/layer2:5'}) DETACH DELETE u": "chk/layer2:5: node Unit: one expected, none found",
    "CREATE (:Unit:Neuron {uid: 'chk/layer2:99', network: 'chk', layer: 'layer2'})": "chk/layer2:99: node Unit: none",
    "MATCH (:Unit {uid: 'chk/layer2:5'})-[r:IN]->() DELETE r": "chk/layer2:5 -> chk/layer2: IN: one expected, none",
    "MATCH (:Layer {uid: 'chk/layer1'})-[r:FEEDS]->() SET r.l1 = r.l1 + 1": "chk/layer1 -> chk/layer2: FEEDS.l1",
    "MATCH (l:Layer {uid: 'chk/layer2'}) REMOVE l:Layer": "chk/layer2: node Layer: one expected, none found",
    "MATCH ()-[r:MEMBER_OF {position: 2}]->(:Family {uid: 'chk/layer1!first'}) SET r.angle_deg = 7": "angle_deg",
    "MATCH (m:Meta {network: 'chk'}) SET m.bundle_sha256 = 'abc'": "meta:chk: bundle_sha256",
    "MATCH (m:Meta {network: 'chk'}) SET m.edges_rule = 'top:2'": "number of CONNECTS",
    "MATCH (n:Network {uid: 'chk'}) SET n.source = 'elsewhere'": "chk: source: random numbers expected, elsewhere",
    "CREATE (:LoadBatch {uid: 'chk|CONNECTS|9'})": ":LoadBatch: nodes in the database: 0 expected, 1 found",
}
OF_CATALOGUE = {
    "MATCH (c:Claim {predicate: 'pure'}) DETACH DELETE c": "claim: one expected, none found",
    "MATCH (c:Claim {predicate: 'pure'}) SET c.date = '2000-01-01'": "date: 2020-04-06 expected, 2000-01-01 found",
    "MATCH (c:Claim {predicate: 'pure'}) REMOVE c:Claim": "claim: one expected, none found",
    "MATCH (:Claim)-[r:SUPPORTED_BY]->() WITH r LIMIT 1 DELETE r": "SUPPORTED_BY",
    "MATCH (c:Claim)-[r:ABOUT]->(:Feature) DELETE r": "ABOUT",
    "MATCH (e:Evidence {code: 'dataset_examples'}) SET e.reference = 'doi:10.0/2'": "reference",
    "MATCH (f:Feature {uid: 'feature:dog'}) SET f.name = 'cat'": "feature:dog: name: dog expected, cat found",
    "MATCH (:Feature)-[r:BROADER]->() DELETE r": "BROADER",
    "MATCH (r:Record {kind: 'family'}) WITH r LIMIT 1 DETACH DELETE r": "node Record: one expected, none found",
    "MATCH (c:Circuit) SET c.name = 'two cats'": "name: two dogs expected, two cats found",
    "MATCH ()-[r:ATTRIBUTED]->() WITH r LIMIT 1 SET r.influence = 9.0": "sum of influence",
    "MATCH ()-[r:ATTRIBUTED]->() WITH r LIMIT 1 DELETE r": "attributions: 2 expected, 1 found",
    "MATCH ()-[r:MEMBER_OF]->() WHERE r.source STARTS WITH 'record' WITH r LIMIT 1 DELETE r": "MEMBER_OF of the",
}


@pytest.fixture(scope="module")
def bundle(own_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    made = write_synthetic_bundle(
        tmp_path_factory.mktemp("bundles") / "chk.circuit", network="chk", with_every_form=True
    )
    own_store.load(made, way="append")
    yield made
    remove_network(own_store, "chk")


@pytest.fixture(scope="module")
def named(own_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A network that the claims are about."""
    return write_synthetic_bundle(tmp_path_factory.mktemp("named") / "con.circuit", network="con")


@pytest.fixture
def folder(own_store: Store, bundle: Bundle, tmp_path: Path) -> Iterator[Catalogue]:
    """A catalogue that is in the database too."""
    with Catalogue.open(tmp_path / "catalogue", create=True) as opened:
        opened.add(made_claims())
        opened.add_features(made_features())
        opened.add_documents([*made_families(), made_circuit()])
        member = made_families()[1].model_copy(update={"family": "chk/layer1!dogs", "supersedes": ()})
        members = tuple(each.model_copy(update={"unit": f"chk/layer1:{each.position}"}) for each in member.members)
        opened.add_documents([member.model_copy(update={"members": members})])
        info = AttributionInfo(name="mine", author=member.author, date="2020-01-01")
        rows = [(f"chk/layer1:{place}", "chk/layer2:1", 0.5 + place, "cat", "mine") for place in range(2)]
        table = AttributionTable.of(info, [*rows, ("gone/a:1", "chk/layer2:1", 1.0, "cat", "mine")])
        write_attributions(opened, table)
        sync(opened, own_store)
        yield opened
    drop_catalogue(own_store)
    drop_attributions(own_store, table.uid)
    own_store.run("CYPHER 5 MATCH (c:Circuit) DETACH DELETE c", write=True)


def damage(store: Store, text: str) -> None:
    with store.session(write=True) as session:
        counters = session.run(text).consume().counters
    assert counters.contains_updates, text


def said(check: StoreCheck) -> list[str]:
    return [str(each) for each in check.differences]


@pytest.mark.parametrize("text", DAMAGES)
def test_damage_to_a_network_is_found_and_put_right(own_store: Store, bundle: Bundle, text: str) -> None:
    damage(own_store, text)
    found = check_store(own_store, [bundle], most=1000)
    assert not found.is_equal
    assert any(DAMAGES[text] in line for line in said(found)), said(found)
    repaired = repair_store(own_store, [bundle])
    assert repaired.before.difference_count == found.difference_count
    if "LoadBatch" in text:
        own_store.run("CYPHER 5 MATCH (b:LoadBatch) DELETE b", write=True)
        assert check_store(own_store).is_equal
        return
    assert said(repaired.after) == []
    assert repaired.after.is_equal
    assert ask(own_store, "MATCH (n) WHERE size(labels(n)) = 0 RETURN count(n)") == [[0]]


@pytest.mark.parametrize("text", OF_CATALOGUE)
def test_damage_to_a_catalogue_is_found_and_put_right(own_store: Store, folder: Catalogue, text: str) -> None:
    assert said(check_store(own_store, catalogue=folder)) == []
    ids = folder.ids()
    damage(own_store, text)
    found = check_store(own_store, catalogue=folder, most=1000)
    assert any(OF_CATALOGUE[text] in line for line in said(found)), said(found)
    repaired = repair_store(own_store, catalogue=folder)
    assert said(repaired.after) == []
    assert folder.ids() == ids
