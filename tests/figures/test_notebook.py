"""What a notebook shows of things: bounded, and no label becomes markup."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.circuit_making import make_circuit
from circuitgraph.draw.table import html_table
from circuitgraph.records import Family, Member
from circuitgraph.testing.bundles import write_synthetic_bundle
from queries.base import Match, Table
from queries.null_scores import MOST_SCORES, Chance, NullScores, sample_of

BAD = "<script>alert('x')</script>&\x00"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("notebook") / "net.circuit"
    return write_synthetic_bundle(path, network="net", unit_counts=(3, 300, 200))


def test_a_table_escapes_cuts_and_counts() -> None:
    rows = [{"a": BAD, "b": "x" * 10_000, "c": None, "d": 0.123456}] * 50
    text = html_table(("a", "b", "c", "d"), rows, title=BAD, notes=[BAD], limit=3)
    assert "<script" not in text
    assert "\x00" not in text
    assert text.count("<tr>") == 4
    assert "... and 47 more" in text
    assert "<td>-</td><td>0.1235</td>" in text
    assert len(text) < 3_000
    wide = html_table([f"c{place}" for place in range(500)], [{}])
    assert "showing 40 of 500 columns" in wide
    assert "<script" not in Table([{BAD: BAD}], title=BAD)._repr_html_()


def test_a_large_block_shows_its_first_kernels(bundle: Bundle) -> None:
    svg = bundle.block("layer1", "layer2")._repr_svg_()
    assert svg is not None
    assert "16 of 300" in svg
    assert "16 of 200" in svg
    assert len(svg) < 500_000
    assert svg == bundle.block("layer1", "layer2")._repr_svg_()


def test_a_block_over_whole_maps_is_no_grid(tmp_path: Path) -> None:
    large = write_synthetic_bundle(tmp_path / "l.circuit", unit_counts=(1, 1), window=(129, 129))
    assert large.block("layer0", "layer1")._repr_svg_() is None


def test_what_strangers_say_stays_text(bundle: Bundle) -> None:
    family = Family(uid="net/layer1!f", name=BAD.strip("\x00"), members=(Member(unit="net/layer1:3", position=0),))
    record = make_circuit(bundle, ["layer1:1", "layer2:1"], title="<script>t</script>", author="-", date="2026-11-21")
    match = Match(motif=BAD, units={BAD: BAD}, score=1.0, notes=(BAD,), verdict="ranking")
    shown = [
        family._repr_svg_(),
        record._repr_html_(),
        match._repr_html_(),
        match._repr_svg_(),
        bundle.view("layer1:3").picture(labels={"net/layer1:3": BAD}, title=BAD).svg,
    ]
    for text in shown:
        assert text
        assert "<script" not in text
        assert "\x00" not in text


def test_a_match_of_hundreds_of_units_shows_some_and_counts_the_rest() -> None:
    match = Match(motif="m", units={f"r{place}": f"net/a:{place}" for place in range(500)}, score=1.0)
    assert "... and 480 more" in match._repr_html_()
    assert len(match._repr_html_()) < 10_000


def test_a_sample_of_null_scores_keeps_its_ends_and_its_count() -> None:
    drawn = np.random.default_rng(5).normal(size=20_000)
    kept = NullScores.of(drawn, null="n")
    assert (len(kept.values), kept.count) == (MOST_SCORES, 20_000)
    assert (kept.values[0], kept.values[-1]) == (drawn.min(), drawn.max())
    assert np.quantile(kept.values, 0.9) == pytest.approx(np.quantile(drawn, 0.9), abs=0.01)
    chance = Chance.counted(kept, 1.5, drawn)
    assert chance.p == (1 + int((drawn >= 1.5).sum())) / 20_001
    assert NullScores.read(kept.to_dict()) == kept
    assert Chance.read(chance.to_whole_dict(), {}) == chance
    assert Chance.read(chance.to_dict(), {"null_scores": {kept.id: kept.to_dict()}}) == chance
    for nothing in (None, 3, {}, {"scores": "unknown"}, {"scores": {"values": "x"}}):
        assert Chance.read(nothing, {}) is None  # type: ignore[arg-type]
    whole = chance.to_whole_dict()
    for name, wrong in (("observed", float("nan")), ("reached", float("inf")), ("scores", [1])):
        assert Chance.read({**whole, name: wrong}, {}) is None
    assert Chance.read({**whole, "scores": {**whole["scores"], "values": [10**400]}}, {}) is None
    assert len(sample_of(drawn)) == 64
