"""The neighbours of a unit are the same from the graph database as from its bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.describe import describe_unit
from circuitgraph.catalogue import Author, Claim
from circuitgraph.catalogue.local import Catalogue
from circuitgraph.catalogue.page import show_subject
from circuitgraph.errors import UnknownUnitError
from circuitgraph.store import Store
from circuitgraph.store.neighbours import describe_stored_unit

ADA = Author(name="Ada")


def test_the_strongest_kernels_are_those_of_the_bundle(store: Store, make_bundle: Callable[..., Bundle]) -> None:
    bundle = make_bundle("near")
    store.load(bundle)
    for unit in ("near/layer2:4", "near/layer1:0"):
        for asked, expected in zip(
            describe_stored_unit(store, unit, limit=7), describe_unit(bundle, unit, limit=7), strict=True
        ):
            assert (asked.name, asked.title, tuple(asked.columns)) == (
                expected.name,
                expected.title,
                tuple(expected.columns),
            )
            assert [row["unit"] for row in asked.rows] == [row["unit"] for row in expected.rows]
            said = [note if note.startswith(asked.title) else f"{asked.title}: {note}" for note in expected.notes]
            assert list(asked.notes[: len(said)]) == said
            for row, other in zip(asked.rows, expected.rows, strict=True):
                assert sorted(row["strong"]) == sorted(other["strong"])
                for name in asked.columns[1:-1]:
                    assert row[name] == pytest.approx(other[name], rel=1e-6, abs=1e-7)
    with pytest.raises(UnknownUnitError, match="near/layer2:99"):
        describe_stored_unit(store, "near/layer2:99")


def test_a_page_shows_the_labelled_neighbours_of_the_graph(
    store: Store, make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = make_bundle("labelled")
    store.load(bundle)
    claim = Claim(
        subject="labelled/layer1:3", predicate="detects", object="feature:wheel", author=ADA, date="2020-03-10"
    )
    with Catalogue.open(tmp_path / "cat", create=True) as catalogue:
        catalogue.add([claim])
        pages = [
            show_subject(catalogue, "labelled/layer2:4", store=store, limit=30),
            show_subject(catalogue, "labelled/layer2:4", bundle=bundle, limit=30),
        ]
    shown = [{table.name: table for table in page.tables()} for page in pages]
    for tables in shown:
        assert [row["unit"] for row in tables["upstream"].rows if row["detects"]] == ["labelled/layer1:3"]
    for name in ("upstream", "downstream"):
        asked, expected = ([row["unit"] for row in tables[name].rows] for tables in shown)
        assert asked == expected
    assert shown[0]["upstream"].title.startswith("upstream evidence from the graph database: ")
