from __future__ import annotations

import numpy as np
import pytest

from circuitgraph import Bundle
from circuitgraph.bundle.describe import Description, describe_layer, describe_network, describe_unit
from circuitgraph.errors import UnknownLayerError, UnknownUnitError
from tests.bundle import planted


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return planted.write(tmp_path_factory.mktemp("bundle") / "planted.circuit")


def named(tables: list[Description]) -> dict[str, Description]:
    return {table.name: table for table in tables}


def test_every_row_has_every_column(bundle: Bundle) -> None:
    for tables in (describe_network(bundle), describe_layer(bundle, "mixed4c"), describe_unit(bundle, "input:0")):
        for table in tables:
            assert table.title
            for row in table.rows:
                assert list(row) == list(table.columns), table.name


def test_a_network_is_told_by_its_layers_and_pairs(bundle: Bundle) -> None:
    tables = named(describe_network(bundle))
    layers = {row["layer"]: row for row in tables["layers"].rows}
    assert list(layers) == list(planted.UNIT_COUNTS)
    assert layers["mixed4c"]["aliases"] == ["features.2", "features.2.relu#1"]
    assert (layers["mixed4c"]["units"], layers["mixed4c"]["dead_units"]) == (6, 1)
    ragged = next(row for row in tables["pairs"].rows if (row["up"], row["down"]) == ("stem.conv", "mixed4c"))
    assert (ragged["kernels"], ragged["window"], ragged["offset"]) == (20, [[1, 1], [3, 3]], [[0, 0], [-1, -1]])
    a = planted.arrays()
    both = np.concatenate([a["one"].reshape(-1), a["three"].reshape(-1)]).astype(float)
    assert ragged["l1"] == pytest.approx(np.abs(both).sum(), rel=1e-6)
    assert ragged["l2"] == pytest.approx(np.sqrt(np.square(both).sum()), rel=1e-6)
    assert "58 kernels" in tables["pairs"].notes[0]


def test_a_layer_is_told_by_its_pairs_and_units(bundle: Bundle) -> None:
    tables = named(describe_layer(bundle, "4c"))
    assert [(row["up"], row["down"]) for row in tables["pairs"].rows] == [
        ("stem.conv", "mixed4c"),
        ("mixed4c", "mixed4d"),
        ("mixed4c", "head"),
    ]
    assert [row["family"] for row in tables["units"].rows] == ["pair", None, None, None, "pair", None]


def test_a_unit_is_told_by_its_strongest_kernels_and_what_was_left_out(bundle: Bundle) -> None:
    tables = named(describe_unit(bundle, "mixed4c:3", limit=3))
    rows = tables["kernels_in"].rows
    norms = np.sqrt(np.square(planted.arrays()["three"][1].astype(float)).sum(axis=(1, 2)))
    strongest = np.argsort(-norms)[:3]
    assert [row["unit"] for row in rows] == [f"planted/stem.conv:{channel}" for channel in strongest]
    assert [row["l2"] for row in rows] == pytest.approx(norms[strongest].tolist(), rel=1e-6)
    assert tables["kernels_in"].notes == [
        "strongest kernels into planted/mixed4c:3: 3 of 4 shown; more with --limit",
        "stem.conv -> mixed4c: border; fidelity not measured",
    ]
    out = tables["kernels_out"]
    assert {row["unit"] for row in out.rows} <= {"planted/mixed4d:0", "planted/head:0", "planted/head:1"}


def test_a_unit_without_sources_has_an_empty_table(bundle: Bundle) -> None:
    assert named(describe_unit(bundle, "input:0"))["kernels_in"].rows == []


def test_what_is_not_there_is_not_described(bundle: Bundle) -> None:
    with pytest.raises(UnknownLayerError):
        describe_layer(bundle, "nix")
    with pytest.raises(UnknownUnitError):
        describe_unit(bundle, "head:2")
