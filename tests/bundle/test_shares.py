"""Shares of edges, from the kernels into one unit alone, are those of the table of edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from circuitgraph.bundle.ranked_edges import shares_into
from circuitgraph.catalogue.circuit_kernels import KernelReader
from circuitgraph.errors import UnknownUnitError
from circuitgraph.testing.bundles import write_synthetic_bundle


def test_they_are_those_of_the_table_in_every_form_of_block(tmp_path: Path) -> None:
    bundle = write_synthetic_bundle(tmp_path / "net.circuit", network="net", with_every_form=True, seed=3)
    forms, count = set(), 0
    for layer in bundle.layers[1:]:
        parts = {part.block: part for part in bundle.blocks if part.down == layer.uid}
        forms |= {part.form for part in parts.values()}
        expected: dict[tuple[int, str, int], float] = {}
        for row in bundle.edges(layer.uid).to_pylist():
            expected[row["down"], parts[row["block"]].up, row["up"]] = row["share_in"]
        for channel in range(layer.unit_count):
            shares = shares_into(bundle, f"{layer.uid}:{channel}")
            found = {(channel, up, at): share for up, own in shares.items() for at, share in enumerate(own.tolist())}
            own = {key: share for key, share in expected.items() if key[0] == channel}
            assert {key: share for key, share in found.items() if share > 0} == {k: v for k, v in own.items() if v > 0}
            assert sum(found.values()) == pytest.approx(1, abs=1e-5)
            count += len(own)
    assert forms == {"dense", "diagonal", "row block"}
    assert count > 300


def test_an_edge_is_the_same_whether_or_not_the_table_was_read(tmp_path: Path) -> None:
    bundle = write_synthetic_bundle(tmp_path / "net.circuit", network="net", with_every_form=True, seed=4)
    one, other = KernelReader(bundle), KernelReader(bundle)
    for layer in bundle.layers[1:]:
        other.into(layer.uid)
    for up, down in bundle.pairs:
        for channel in range(bundle.layer(down).unit_count):
            a, b = (reader.edge(f"{up}:1", f"{down}:{channel}") for reader in (one, other))
            assert (a.share_in, a.anchor) == (b.share_in, b.anchor)
            assert np.array_equal(a.kernel, b.kernel)


def test_a_unit_that_is_not_there_is_refused(tmp_path: Path) -> None:
    bundle = write_synthetic_bundle(tmp_path / "net.circuit", network="net")
    with pytest.raises(UnknownUnitError, match="net/layer3:8"):
        shares_into(bundle, "net/layer3:8")
