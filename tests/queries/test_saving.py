"""Saved motifs: once, bound to their units, wholly or not at all."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.errors import MotifError, UnknownUnitError
from circuitgraph.figures import motif_figure
from circuitgraph.figures.motif import saved_matches
from circuitgraph.settings import Settings
from circuitgraph.store import Store
from circuitgraph.store.append import remove_network
from circuitgraph.store.meanings import EXAMPLES
from circuitgraph.store.server import ManagedServer
from circuitgraph.testing.bundles import write_synthetic_bundle
from queries.base import Match, MotifResult, NullModel
from queries.null_scores import Chance, NullScores

NULL = NullModel("permuted_entries", "all values", "where they stand")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_synthetic_bundle(tmp_path_factory.mktemp("saved") / "saved.circuit", network="saved")


@pytest.fixture(scope="module")
def loaded(managed_server: ManagedServer, server_settings: Settings, bundle: Bundle) -> Iterator[Store]:
    with Store.open(settings=server_settings) as opened:
        opened.load(bundle, way="append")
        yield opened
        remove_network(opened, "saved")


@pytest.fixture
def store(loaded: Store) -> Iterator[Store]:
    yield loaded
    loaded.run("MATCH (m:Motif {network: 'saved'}) DETACH DELETE m", write=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RingMatch(Match):
    members: tuple[str, ...] = ()

    def bindings(self) -> list[tuple[str, int, Any]]:
        return [("member", place, unit) for place, unit in enumerate(self.members)]

    def _identity(self) -> dict[str, Any]:
        return {"motif": self.motif, "members": list(self.members)}


def make(*matches: Match, **changes: Any) -> MotifResult[Match]:
    values: dict[str, Any] = {
        "motif": "unions",
        "matches": matches,
        "tested_count": 66,
        "tested": "pairs of middle units",
        "nulls": (NULL,),
        "draws": 40,
        "seed": 3,
        "level": 0.05,
        "source": "saved/layer1 -> saved/layer2",
        "network": "saved",
    }
    return MotifResult(**{**values, **changes})


def union(one: int, other: int, **changes: Any) -> Match:
    units = {"bL": f"saved/layer2:{one}", "bR": f"saved/layer2:{other}", "u": "saved/layer3:0"}
    values: dict[str, Any] = {"score": 2.5, "effect": 1.0, "p": 0.001, "q": 0.01, "null": NULL.name}
    return Match(motif="unions", units=units, **{**values, **changes})


def test_a_saved_match_is_drawn_with_a_sample_of_its_null(store: Store, bundle: Bundle) -> None:
    drawn = np.random.default_rng(0).normal(size=999)
    chance = Chance.counted(NullScores.of(drawn, null=NULL.name), 2.5, drawn)
    make(union(1, 2, p=chance.p, chance=chance), weights_sha256=bundle.info.weights_sha256).to_store(store)
    (match,) = saved_matches(store, "saved")["matches"]
    assert len(match["chance"]["scores"]["values"]) == 64
    svg = motif_figure(match, bundle).svg
    assert f"{int((drawn >= 2.5).sum())} of 999 null scores reach it" in svg
    assert "40 draws" in svg
    assert "Drawn: 64 of 999 null scores" in svg
    with pytest.raises(MotifError, match="the store has none"):
        saved_matches(store, "another")


def saved(store: Store) -> list[dict[str, Any]]:
    text = (
        "MATCH (m:Motif {network: 'saved'})-[b:BINDS]->(u:Unit) "
        "RETURN m.uid AS uid, b.role AS role, b.position AS position, u.uid AS unit ORDER BY uid, role, position"
    )
    return store.run(text)


def test_a_match_becomes_a_node_with_its_numbers_and_its_units_in_their_roles(store: Store, bundle: Bundle) -> None:
    match = union(1, 2, notes=("few units",), shares={"dc": 0.25})
    result = make(match)
    assert result.to_store(store) == 1
    node = dict(store.run("MATCH (m:Motif {network: 'saved'}) RETURN m")[0]["m"])
    assert json.loads(node.pop("details"))["shares"] == {"dc": 0.25}
    assert node == {
        "uid": match.id,
        "network": "saved",
        "motif": "unions",
        "score": 2.5,
        "effect": 1.0,
        "p": 0.001,
        "q": 0.01,
        "null": "permuted_entries",
        "verdict": "found",
        "draws": 40,
        "seed": 3,
        "level": 0.05,
        "tested_count": 66,
        "statement": result.statement,
        "notes": ["few units"],
        "roles": ["bL", "bR", "u"],
        "positions": [0, 0, 0],
        "units": ["saved/layer2:1", "saved/layer2:2", "saved/layer3:0"],
        "weights_sha256": bundle.info.weights_sha256,
        "bundle_sha256": bundle.sha256,
    }
    assert [(row["role"], row["position"], row["unit"]) for row in saved(store)] == [
        ("bL", 0, "saved/layer2:1"),
        ("bR", 0, "saved/layer2:2"),
        ("u", 0, "saved/layer3:0"),
    ]


def test_saving_twice_changes_nothing_and_another_seed_brings_the_numbers_up_to_date(store: Store) -> None:
    make(union(1, 2)).to_store(store)
    once = saved(store)
    make(union(1, 2)).to_store(store)
    assert saved(store) == once
    make(union(1, 2, q=0.02), seed=4).to_store(store)
    assert saved(store) == once
    assert store.run("MATCH (m:Motif {network: 'saved'}) RETURN m.q AS q, m.seed AS seed") == [{"q": 0.02, "seed": 4}]


def test_places_in_a_role_are_kept_in_order(store: Store) -> None:
    members = ("saved/layer2:5", "saved/layer2:1", "saved/layer2:9")
    match = RingMatch(motif="families", units={}, score=1.0, members=members)
    make(match, motif="families").to_store(store)
    assert [(row["position"], row["unit"]) for row in saved(store)] == list(enumerate(members))


def test_only_what_was_found_is_saved(store: Store) -> None:
    result = make(union(1, 2), union(3, 4, verdict="not significant"), union(5, 6, verdict="ranking"))
    assert result.to_store(store) == 1
    assert {row["uid"] for row in saved(store)} == {result.matches[0].id}


def test_one_unit_that_is_not_there_and_nothing_is_written(store: Store) -> None:
    with pytest.raises(UnknownUnitError, match=r"1 of 5 units .* saved/layer2:99; nothing was written") as caught:
        make(union(1, 2), union(3, 99)).to_store(store)
    assert "circuitgraph load" in caught.value.hint
    assert saved(store) == []
    assert store.run("MATCH (m:Motif {network: 'saved'}) RETURN m") == []


def test_a_network_that_is_not_loaded_is_said(store: Store) -> None:
    units = {"bL": "absent/layer2:1", "bR": "absent/layer2:2"}
    with pytest.raises(UnknownUnitError, match="nor is absent"):
        make(Match(motif="unions", units=units, score=1.0), network="absent").to_store(store)


def test_a_search_of_an_array_is_refused(store: Store) -> None:
    match = Match(motif="unions", units={"bL": 1, "bR": 2}, score=1.0)
    with pytest.raises(MotifError, match="1 is a place in one"):
        make(match, network="").to_store(store)


def test_a_search_of_other_weights_than_those_that_are_loaded_is_refused(store: Store) -> None:
    with pytest.raises(MotifError, match="weights 000000000000 were searched"):
        make(union(1, 2), weights_sha256="0" * 64).to_store(store)
    assert saved(store) == []


def test_a_network_that_is_not_wholly_loaded_takes_no_motifs(store: Store) -> None:
    flag = "MATCH (m:Meta {network: 'saved'}) SET m.is_complete = $value"
    store.run(flag, write=True, value=False)
    try:
        with pytest.raises(MotifError, match="not wholly loaded"):
            make(union(1, 2)).to_store(store)
    finally:
        store.run(flag, write=True, value=True)


def test_motifs_stay_when_the_same_bundle_is_loaded_with_other_edges_and_go_with_other_weights(
    store: Store, bundle: Bundle, tmp_path: Path
) -> None:
    make(union(1, 2), union(3, 4)).to_store(store)
    before = saved(store)
    report = store.load(bundle, edges="top:1", way="append", replace=True)
    assert (report.loaded[0].motifs_kept, report.loaded[0].motifs_dropped) == (2, 0)
    assert saved(store) == before
    other = write_synthetic_bundle(tmp_path / "other.circuit", network="saved", seed=1)
    report = store.load(other, way="append", replace=True)
    assert (report.loaded[0].motifs_kept, report.loaded[0].motifs_dropped) == (0, 2)
    assert store.run("MATCH (m:Motif {network: 'saved'}) RETURN m") == []
    store.load(bundle, way="append", replace=True)


@pytest.mark.parametrize("kind", ["Motif", "BINDS"])
def test_the_example_of_the_schema_gives_what_was_saved(store: Store, kind: str) -> None:
    make(union(1, 2)).to_store(store)
    assert len(store.query(EXAMPLES[kind])) >= 1


def test_without_finds_nothing_is_written_and_no_server_is_asked(tmp_path: Path) -> None:
    with Store(Settings(data_dir=tmp_path)) as closed:
        assert make().to_store(closed) == 0
