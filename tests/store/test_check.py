"""Each kind of damage to a database is found by a check, and put right by a repair."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from circuitgraph.bundle import Bundle, add_directions
from circuitgraph.catalogue import Author, Catalogue, Claim
from circuitgraph.catalogue.attributions import AttributionInfo, AttributionTable, write_attributions
from circuitgraph.catalogue.store_check import StoreCheck, check_store
from circuitgraph.catalogue.store_repair import repair_store
from circuitgraph.catalogue.stored import StoreCatalogue
from circuitgraph.catalogue.sync import sync
from circuitgraph.cli.main import main
from circuitgraph.errors import LoadError, NetworkConflictError
from circuitgraph.store import Store
from circuitgraph.store.append import remove_network
from circuitgraph.store.attributions import drop_attributions
from circuitgraph.store.claims import drop_catalogue
from circuitgraph.testing.bundles import write_synthetic_bundle
from circuitgraph.testing.catalogue import made_circuit, made_claims, made_families, made_features
from tests.store.graph_truth import ask, graph_of, totals

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
    "MATCH (c:Claim {predicate: 'pure'}) SET c.date = '2000-01-01'": "date: 2020-04-05 expected, 2000-01-01 found",
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
def bundle(checked_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    made = write_synthetic_bundle(
        tmp_path_factory.mktemp("bundles") / "chk.circuit", network="chk", with_every_form=True
    )
    checked_store.load(made)
    yield made
    remove_network(checked_store, "chk")


@pytest.fixture(scope="module")
def named(checked_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A network that the claims are about."""
    return write_synthetic_bundle(tmp_path_factory.mktemp("named") / "con.circuit", network="con")


@pytest.fixture
def folder(checked_store: Store, bundle: Bundle, tmp_path: Path) -> Iterator[Catalogue]:
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
        sync(opened, checked_store)
        yield opened
    drop_catalogue(checked_store)
    drop_attributions(checked_store, table.uid)
    checked_store.run("CYPHER 5 MATCH (c:Circuit) DETACH DELETE c", write=True)


def damage(store: Store, text: str) -> None:
    with store.session(write=True) as session:
        counters = session.run(text).consume().counters
    assert counters.contains_updates, text


def said(check: StoreCheck) -> list[str]:
    return [str(each) for each in check.differences]


@pytest.mark.slow
@pytest.mark.parametrize("text", DAMAGES)
def test_damage_to_a_network_is_found_and_put_right(checked_store: Store, bundle: Bundle, text: str) -> None:
    edge_count = len(graph_of(checked_store, "chk")["edges"])
    damage(checked_store, text)
    found = check_store(checked_store, [bundle], most=1000)
    assert any(DAMAGES[text] in line for line in said(found)), said(found)
    repaired = repair_store(checked_store, [bundle])
    assert repaired.before.difference_count == found.difference_count
    assert said(repaired.after) == []
    assert ask(checked_store, "MATCH (n) WHERE size(labels(n)) = 0 RETURN count(n)") == [[0]]
    # what a repair finds in `Meta` it takes for what was asked: nothing else knows which edges were
    if "edges_rule" in text:
        assert [each.way for each in checked_store.load(bundle, replace=True).loaded] == ["append"]
    assert len(graph_of(checked_store, "chk")["edges"]) == edge_count


def test_several_damages_at_once_are_all_found_and_put_right(checked_store: Store, bundle: Bundle) -> None:
    assert said(check_store(checked_store)) == []
    whole = graph_of(checked_store, "chk")
    for words in (
        "sum of top over CONNECTS",
        "number of CONNECTS: 192 expected, 191",
        "number of INHIBITS",
        "labels: Neuron, Unit expected",
        "chk/layer2:5: bias",
        "none expected",
        "FEEDS.l1",
        "node Layer: one",
        "bundle_sha256",
    ):
        texts = [text for text, expected in DAMAGES.items() if words in expected]
        for text in texts[:1] or [text for text in DAMAGES if "layer2:99" in text]:
            damage(checked_store, text)
    found = check_store(checked_store, most=1000)
    for words in ("number of CONNECTS: 192", "over CONNECTS", "INHIBITS", "labels: Neuron", "layer2:5: bias", "FEEDS"):
        assert any(words in line for line in said(found)), (words, said(found))
    for words in ("chk/layer2: node Layer: one expected", "chk/layer2:99: node Unit: none", "meta:chk: bundle_sha256"):
        assert any(words in line for line in said(found)), (words, said(found))
    few = check_store(checked_store, most=3)
    assert (len(few.differences), few.difference_count, few.differing) == (3, found.difference_count, ("chk",))
    repaired = repair_store(checked_store)
    assert (said(repaired.after), repaired.reloaded) == ([], ("chk",))
    assert graph_of(checked_store, "chk") == whole


@pytest.mark.slow
@pytest.mark.parametrize("text", OF_CATALOGUE)
def test_damage_to_a_catalogue_is_found_and_put_right(checked_store: Store, folder: Catalogue, text: str) -> None:
    assert said(check_store(checked_store, catalogue=folder)) == []
    ids = folder.ids()
    damage(checked_store, text)
    found = check_store(checked_store, catalogue=folder, most=1000)
    assert any(OF_CATALOGUE[text] in line for line in said(found)), said(found)
    repaired = repair_store(checked_store, catalogue=folder)
    assert said(repaired.after) == []
    assert folder.ids() == ids


def test_damages_to_a_catalogue_are_all_found_and_put_right(checked_store: Store, folder: Catalogue) -> None:
    assert said(check_store(checked_store, catalogue=folder)) == []
    ids = folder.ids()
    only = Claim(subject="chk/layer1:1", predicate="pure", author=Author(name="Ann"), date="2020-01-01")
    StoreCatalogue(checked_store).add([only])
    done = [text for text in OF_CATALOGUE if "DETACH" not in text and "REMOVE" not in text]
    for text in done:
        damage(checked_store, text)
    damage(checked_store, "MATCH (c:Claim {predicate: 'multifaceted'}) DETACH DELETE c")
    found = check_store(checked_store, catalogue=folder, most=1000)
    for words in [OF_CATALOGUE[text] for text in done if "SET r.influence" not in text]:
        assert any(words in line for line in said(found)), (words, said(found))
    assert any(line.startswith(f"{only.id}: claim: none in the folder") for line in said(found))
    assert [line for line in said(found) if "claim: one expected, none found" in line]
    repaired = repair_store(checked_store, catalogue=folder)
    assert said(repaired.after) == []
    assert folder.ids() == sorted([*ids, only.id])
    assert "nodes of a catalogue, though none is given" in str(said(check_store(checked_store)))


def test_what_sums_cannot_see_is_said_and_seen_by_a_deep_check(checked_store: Store, bundle: Bundle) -> None:
    ends = "MATCH (:Unit {uid: 'chk/layer1:%d'})-[%s:CONNECTS]->(:Unit {uid: 'chk/layer2:%d'})"
    four = [ends % (up, name, down) for name, up, down in (("a", 1, 1), ("b", 1, 2), ("c", 2, 1), ("d", 2, 2))]
    # the same is added to two edges and taken from two, so that rows, columns and all keep their sums
    for name, value in (("top", "0.25"), ("bottom", "0.5")):
        change = f"SET a.{name} = a.{name} + {value}, d.{name} = d.{name} + {value}, "
        change += f"b.{name} = b.{name} - {value}, c.{name} = c.{name} - {value}"
        damage(checked_store, f"{' '.join(four)} {change}")
    damage(checked_store, f"{EDGE} SET e.kernel = [x IN e.kernel | x + 1]")
    damage(checked_store, "MATCH (:Unit {network: 'chk'})-[e:EXCITES]->() WITH e LIMIT 1 SET e.note = 'mine'")
    blind = check_store(checked_store)
    assert said(blind) == []
    assert any("only --deep sees" in note for note in blind.notes)
    deep = check_store(checked_store, deep=True, most=100)
    assert deep.difference_count >= 9, said(deep)
    assert any("chk/layer1:2 -> chk/layer2:5" in line and "CONNECTS.kernel" in line for line in said(deep))
    assert not any("only --deep" in note for note in deep.notes)
    assert said(repair_store(checked_store, deep=True).after) == []


@pytest.mark.parametrize("way", ["append", pytest.param("bulk", marks=pytest.mark.slow)])
def test_choices_of_edges_directions_and_every_way_of_loading_are_equal_to_their_bundles(
    checked_store: Store, bundle: Bundle, tmp_path: Path, way: str
) -> None:
    other = write_synthetic_bundle(tmp_path / "few.circuit", network="few", unit_counts=(3, 20, 30), seed=3)
    rng = np.random.default_rng(5)
    other = add_directions(other, "layer1", rng.normal(size=(3, 20)), names=["d0", "d1", "d2"])
    checked_store.load(other, edges="top:2", way=way)
    try:
        for deep in (False, True):
            found = check_store(checked_store, [bundle], deep=deep)
            assert said(found) == []
            assert found.networks == ("chk", "few")
        held = ask(checked_store, "MATCH (:Unit {network: 'few'})-[e:CONNECTS]->() RETURN count(e)")[0][0]
        assert held < other.manifest.counts["edges"]
        for text, words in (
            ("MATCH (d:Direction)-[r:COMBINES]->() WITH r LIMIT 1 SET r.weight = 7.5", "COMBINES.weight"),
            ("MATCH (:Direction)-[e:CONNECTS]->() WITH e LIMIT 1 DELETE e", "(direction ->"),
            ("MATCH (d:Direction {name: 'd1'}) SET d.length = d.length * 2", "few/layer1@d1: length"),
        ):
            damage(checked_store, text)
            assert any(words in line for line in said(check_store(checked_store, most=100))), words
        assert said(repair_store(checked_store).after) == []
        assert ask(checked_store, "MATCH (m:Meta {network: 'few'}) RETURN m.edges_rule") == [["top:2"]]
    finally:
        remove_network(checked_store, "few")


def test_a_repair_that_was_killed_after_the_removal_is_finished_by_the_same_call(
    checked_store: Store, bundle: Bundle
) -> None:
    checked_store.run("MATCH (m:Meta {network: 'chk'}) SET m.is_complete = false, m.loading = 'removal'", write=True)
    remove_network(checked_store, "chk", keep_meta=True)
    assert not check_store(checked_store).is_equal
    repaired = repair_store(checked_store)
    assert (said(repaired.after), repaired.reloaded) == ([], ("chk",))
    assert totals(checked_store, "chk")


def test_a_repair_does_not_replace_other_weights_nor_lose_attributions(
    checked_store: Store, bundle: Bundle, tmp_path: Path
) -> None:
    other = write_synthetic_bundle(tmp_path / "other.circuit", network="chk", seed=9)
    with pytest.raises(NetworkConflictError, match="other weights") as refused:
        repair_store(checked_store, [other])
    assert "--replace" in refused.value.hint
    damage(
        checked_store,
        "MATCH (a:Unit {uid: 'chk/layer1:0'}), (b:Unit {uid: 'chk/layer2:0'}) CREATE (a)-[:ATTRIBUTED]->(b)",
    )
    damage(checked_store, f"{EDGE} DELETE e")
    with pytest.raises(LoadError, match="1 attributions at its units would go"):
        repair_store(checked_store)
    damage(checked_store, "MATCH ()-[r:ATTRIBUTED]->() DELETE r")
    assert said(repair_store(checked_store).after) == []


def test_a_network_whose_bundle_is_gone_cannot_be_checked_without_it(checked_store: Store, tmp_path: Path) -> None:
    made = write_synthetic_bundle(tmp_path / "gone.circuit", network="gone", unit_counts=(2, 3))
    checked_store.load(made, way="append")
    try:
        moved = made.path.rename(tmp_path / "moved.circuit")
        with pytest.raises(LoadError, match=r"gone is in the database, but its bundle cannot be read") as refused:
            check_store(checked_store)
        assert "circuitgraph networks remove gone" in refused.value.hint
        assert said(check_store(checked_store, [moved])) == []
    finally:
        remove_network(checked_store, "gone")


def test_the_commands_check_repair_list_and_remove(
    checked_store: Store,
    bundle: Bundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("data_dir", "jars_dir", "heap", "page_cache"):
        monkeypatch.setenv(f"CIRCUITGRAPH_{name.upper()}", str(getattr(checked_store.settings, name)))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["circuitgraph", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    code, out, err = call("check")
    assert (code, out) == (0, "")
    assert "1 networks with" in err
    damage(checked_store, f"{EDGE} DELETE e")
    code, out, err = call("check", "--format", "csv")
    assert code == 1
    assert "chk,chk/layer1 -> chk/layer2 (block 20000),number of CONNECTS,192,191" in out
    assert "circuitgraph check --repair" in err
    code, out, _ = call("check", "--json", "--quiet")
    assert (code, json.loads(out)["differing"]) == (1, ["chk"])
    code, out, err = call("check", str(bundle.path), "--repair")
    assert (code, out) == (0, "")
    assert "loaded again: chk" in err
    code, out, _ = call("networks", "list", "--format", "csv")
    assert out.splitlines()[1].startswith(f"chk,{bundle.manifest.counts['edges']},")
    assert call("networks", "remove", "nosuch", "--yes")[0] == 1
    assert call("networks", "remove", "chk", "--yes")[:2] == (0, "chk: removed.\n")
    assert call("networks", "list", "--format", "csv")[1].count("\n") == 1
    assert ask(checked_store, "MATCH (n) WHERE n.uid STARTS WITH 'chk' RETURN count(n)") == [[0]]
    assert call("check", str(bundle.path))[0] == 1
    assert call("check", str(bundle.path), "--repair")[0] == 0
