"""Directions of a bundle: what is exact, what stays as it was, what is refused, and what a kill leaves."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from circuitgraph.bundle import Bundle, BundleWriter, add_directions, remove_directions
from circuitgraph.bundle import format as fmt
from circuitgraph.bundle.describe import describe_layer, describe_network, describe_unit
from circuitgraph.bundle.describe_directions import describe_directions
from circuitgraph.bundle.verify import verify_bundle
from circuitgraph.errors import (
    BlockTooLargeError,
    BundleCorruptError,
    BundleError,
    IdError,
    NonFiniteError,
    ShapeError,
    UnknownLayerError,
    UnknownUnitError,
)
from circuitgraph.records import Layer, NetworkInfo, NewBlock
from circuitgraph.testing.bundles import write_synthetic_bundle


def _forms(path: Path) -> Bundle:
    """A network whose last layers are reached in every form, by blocks that lie on different windows."""
    rng = np.random.default_rng(4)

    def random(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    counts = (3, 6, 8, 6, 5, 7)
    layers = [
        Layer(
            uid=f"forms/l{index}",
            index=index,
            kind="activation" if index else "input",
            unit_count=count,
            size=(1, 1) if index == 5 else (4, 4),
            stride=(1, 1),
            receptive_field=(1, 1),
        )
        for index, count in enumerate(counts)
    ]
    info = NetworkInfo(
        network="forms", architecture="hand", weights_sha256="0" * 64, source="", input_shape=(3, 4, 4), importer="hand"
    )
    channels = np.array([2, -1, 0, 5, 5, 1], dtype=np.int32)
    with BundleWriter(path, info, layers) as writer:
        one, two, three, four, five = (layer.uid for layer in layers[1:])
        writer.add_target(
            one, random(6), [NewBlock(layers[0].uid, one, 0, "dense", random(6, 3, 3, 2), (-1, 0), (2, 1))]
        )
        ragged = [
            NewBlock(one, two, 0, "row block", random(2, 6, 1, 1), (0, 0), (1, 1)),
            NewBlock(one, two, 2, "row block", random(3, 6, 5, 3), (-2, -1), (1, 1)),
            NewBlock(one, two, 5, "row block", random(2, 6, 2, 2), (1, 1), (1, 1)),
        ]
        writer.add_target(two, random(8), ragged)
        diagonal = NewBlock(one, three, 0, "diagonal", random(6, 2, 2), (-1, -1), (1, 1), up_channels=channels)
        dense = NewBlock(two, three, 0, "dense", random(6, 8, 3, 3), (-1, -1), (1, 1), approximations=("max_pool=avg",))
        writer.add_target(three, random(6), [diagonal, dense])
        writer.add_target(four, random(5), [NewBlock(three, four, 0, "global", random(5, 6, 1, 1), (0, 0), (0, 0))])
        spatial = [
            NewBlock(two, five, 0, "spatial", random(7, 8, 4, 4), (0, 0), (0, 0)),
            NewBlock(four, five, 0, "dense", random(7, 5, 1, 1), (0, 0), (1, 1)),
        ]
        writer.add_target(five, random(7), spatial)
        return writer.finish()


def _dense(bundle: Bundle, up: str, down: str) -> np.ndarray:
    """All kernels of a pair, put together by plain loops over what is stored."""
    parts = [part for part in bundle.blocks if (part.up, part.down) == (up, down)]
    first = [min(part.offset[axis] for part in parts) for axis in (0, 1)]
    last = [max(part.offset[axis] + part.window[axis] for part in parts) for axis in (0, 1)]
    shape = (bundle.layer(down).unit_count, bundle.layer(up).unit_count, last[0] - first[0], last[1] - first[1])
    out = np.zeros(shape)
    for part in parts:
        stored = bundle.stored(part)
        for row in range(len(stored)):
            for u in range(part.window[0]):
                for v in range(part.window[1]):
                    at = (u + part.offset[0] - first[0], v + part.offset[1] - first[1])
                    if part.up_file is None:
                        out[part.row_start + row, :, at[0], at[1]] += stored[row, :, u, v]
                    elif bundle.up_channels(part)[row] >= 0:
                        out[part.row_start + row, bundle.up_channels(part)[row], at[0], at[1]] += stored[row, u, v]
    return out


def _digest(path: Path) -> dict[str, str]:
    return {name: fmt.file_sha256(path / name) for name in fmt.iter_files(path)}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _forms(tmp_path_factory.mktemp("plain") / "forms.circuit").path


@pytest.fixture
def bundle(plain: Path, tmp_path: Path) -> Bundle:
    return Bundle.open(shutil.copytree(plain, tmp_path / "forms.circuit"))


def _directed(bundle: Bundle) -> Bundle:
    rng = np.random.default_rng(5)
    for layer in bundle.layers:
        bundle = add_directions(bundle, layer.uid, rng.normal(size=(4, layer.unit_count)), layout="rows")
    return bundle


def test_every_kernel_of_a_direction_is_the_sum_over_all_blocks_of_the_pair(bundle: Bundle) -> None:
    bundle = _directed(bundle)
    seen = 0
    for up, down in bundle.pairs:
        dense = _dense(bundle, up, down)
        m = bundle.directions.coefficients(up).astype(np.float64)
        n = bundle.directions.coefficients(down).astype(np.float64)
        between = np.einsum("ao,oiuv,bi->abuv", n, dense, m)
        into, out = np.einsum("ao,oiuv->aiuv", n, dense), np.einsum("oiuv,bi->obuv", dense, m)
        for a in range(4):
            for b in range(4):
                found = bundle.kernel(f"{up}@d{b}", f"{down}@d{a}")
                np.testing.assert_allclose(found, between[a, b], rtol=1e-6, atol=1e-6)
                seen += 1
            for i in range(dense.shape[1]):
                found = bundle.kernel(f"{up}:{i}", f"{down}@d{a}")
                np.testing.assert_allclose(found, into[a, i], rtol=1e-6, atol=1e-6)
            for o in range(dense.shape[0]):
                found = bundle.kernel(f"{up}@d{a}", f"{down}:{o}")
                np.testing.assert_allclose(found, out[o, a], rtol=1e-6, atol=1e-6)
    assert seen == 16 * len(bundle.pairs)
    report = verify_bundle(bundle)
    assert report.differences == ()
    assert report.edges == bundle.manifest.counts["edges"] + bundle.manifest.counts["direction_edges"]


def test_a_direction_of_one_neuron_is_that_neuron_in_every_number(bundle: Bundle) -> None:
    for layer in bundle.layers:
        bundle = add_directions(bundle, layer.uid, np.eye(layer.unit_count), layout="rows")
    units = {row["uid"]: row for row in bundle.units.to_pylist()}
    for layer in bundle.layers:
        for channel in range(layer.unit_count):
            one, other = units[f"{layer.uid}:{channel}"], units[f"{layer.uid}@d{channel}"]
            assert one["is_dead"] == other["is_dead"]
            assert one["bias"] == other["bias"]
            for name in ("in_norm", "out_norm"):
                assert one[name] == pytest.approx(other[name], rel=1e-6)
    numbers = [
        name for name in fmt.EDGES_SCHEMA.names if name not in ("block", "up", "down", "cancellation", "share_in")
    ]
    compared = 0
    for layer in bundle.layers[1:]:
        neurons = {
            (part.up, row["up"], row["down"]): row
            for part in bundle.blocks
            for row in bundle.edges(layer.uid).to_pylist()
            if row["block"] == part.block
        }
        pairs = {part.block: part for part in bundle.directions.blocks}
        for row in bundle.directions.edges(layer.uid).to_pylist():
            up, down = row["up_uid"].replace("@d", ":"), row["down_uid"].replace("@d", ":")
            np.testing.assert_array_equal(bundle.kernel(row["up_uid"], row["down_uid"]), bundle.kernel(up, down))
            twin = neurons[pairs[row["block"]].up, row["up"], row["down"]]
            assert [row[name] for name in numbers if name not in ("excites", "inhibits", "mixes")] == pytest.approx(
                [twin[name] for name in numbers if name not in ("excites", "inhibits", "mixes")], rel=1e-6
            )
            assert [row[name] for name in ("excites", "inhibits", "mixes")] == [
                twin[name] for name in ("excites", "inhibits", "mixes")
            ]
            assert row["share_in"] == pytest.approx(twin["share_in"], rel=1e-5)
            compared += 1
    assert compared > 500


def test_turning_a_layer_keeps_the_squared_norm_of_all_its_weights(bundle: Bundle) -> None:
    turned, _ = np.linalg.qr(np.random.default_rng(6).normal(size=(8, 8)))
    bundle = add_directions(bundle, "l2", turned, layout="rows")
    units = bundle.units.to_pylist()
    for name in ("in_norm", "out_norm"):
        neurons = sum(row[name] ** 2 for row in units if row["layer"] == "forms/l2" and row["kind"] == "neuron")
        directions = sum(row[name] ** 2 for row in units if row["layer"] == "forms/l2" and row["kind"] == "direction")
        assert directions == pytest.approx(neurons, rel=1e-6)


def test_share_and_strength_are_what_the_page_says(bundle: Bundle) -> None:
    rng = np.random.default_rng(7)
    bundle = add_directions(bundle, "l2", rng.normal(size=(3, 8)), names=["a", "b", "c"])
    longer = add_directions(bundle, "l2", 10 * bundle.directions.coefficients("l2"), names=["la", "lb", "lc"])
    table = longer.directions.edges("l2").to_pylist()
    into = [row for row in table if row["down_uid"] == "forms/l2@a"]
    assert sum(row["share_in"] for row in into) == pytest.approx(1, rel=1e-5)
    long = {row["up_uid"]: row for row in table if row["down_uid"] == "forms/l2@la"}
    for row in into:
        twin = long[row["up_uid"]]
        assert twin["sum"] == pytest.approx(10 * row["sum"], rel=1e-5)
        assert (twin["share_in"], twin["excites"]) == (pytest.approx(row["share_in"], rel=1e-5), row["excites"])
    down = longer.directions.edges("l3").to_pylist()
    shares = {row["up_uid"]: row["share_in"] for row in down if row["down_uid"] == "forms/l3:1"}
    assert shares["forms/l2@la"] == pytest.approx(10 * shares["forms/l2@a"], rel=1e-5)


def test_the_bias_of_a_direction_is_that_of_its_neurons_combined(bundle: Bundle) -> None:
    n = np.random.default_rng(8).normal(size=(1, 8))
    bundle = add_directions(bundle, "l2", n, names=["n"])
    row = next(row for row in bundle.units.to_pylist() if row["uid"] == "forms/l2@n")
    assert (row["kind"], row["channel"]) == ("direction", None)
    assert row["bias"] == pytest.approx(float(n[0] @ bundle.bias("l2").astype(np.float64)), rel=1e-6)


def test_what_was_there_before_is_untouched(bundle: Bundle) -> None:
    before, sha = _digest(bundle.path), bundle.sha256
    biases = {layer.uid: bundle.bias(layer.uid).copy() for layer in bundle.layers}
    pages = [
        describe_layer(bundle, "l2")[1].rows,
        describe_unit(bundle, "l2:1")[0].rows,
        describe_network(bundle)[0].rows,
    ]
    directed = _directed(bundle)
    after = _digest(directed.path)
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed == {"units.parquet", fmt.MANIFEST}
    assert directed.sha256 == sha and directed.manifest.counts["edges"] == bundle.manifest.counts["edges"]
    assert directed.blocks == bundle.blocks and directed.pairs == bundle.pairs
    for uid, bias in biases.items():
        np.testing.assert_array_equal(directed.bias(uid), bias)
    assert pages == [
        describe_layer(directed, "l2")[1].rows,
        describe_unit(directed, "l2:1")[0].rows,
        describe_network(directed)[0].rows,
    ]


def test_removing_the_last_direction_gives_the_bundle_of_before(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: digest for name, digest in _digest(bundle.path).items() if name != fmt.MANIFEST}
    directed = _directed(bundle)
    for layer in directed.layers:
        directed = remove_directions(directed, layer.uid)
    after = _digest(directed.path)
    assert after.pop(fmt.MANIFEST)
    assert after == before
    assert (directed.directions.count, directed.directions_sha256) == (0, "")
    assert directed.manifest.directions is None and directed.manifest.format_version == fmt.FORMAT_VERSION
    assert directed.sha256 == bundle.sha256


def test_the_same_directions_give_the_same_bytes_in_whatever_order_they_came(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    rng = np.random.default_rng(9)
    two, three = rng.normal(size=(3, 8)), rng.normal(size=(12, 6))
    names = [f"f{place}" for place in range(12)]
    once = Bundle.open(shutil.copytree(plain, tmp_path / "once.circuit"))
    once = add_directions(add_directions(once, "l2", two), "l3", three, names=names)
    again = Bundle.open(shutil.copytree(plain, tmp_path / "again.circuit"))
    again = add_directions(again, "l3", three[7:], names=names[7:])
    again = add_directions(again, "l2", np.ones(8), names=["gone"])
    again = add_directions(again, "l3", three[:7], names=names[:7])
    again = remove_directions(add_directions(again, "l2", two), "l2", ["gone"])
    assert again.directions.names("l3") == tuple(names)
    assert _digest(once.path) == _digest(again.path)


def test_the_same_again_changes_nothing_and_others_need_leave(bundle: Bundle) -> None:
    n = np.random.default_rng(10).normal(size=(2, 8))
    bundle = add_directions(bundle, "l2", n, names=["a", "b"], source="first")
    before = {name: (bundle.path / name).stat().st_mtime_ns for name in fmt.iter_files(bundle.path)}
    bundle = add_directions(bundle, "l2", n[:1], names=["a"], source="second")
    assert {name: (bundle.path / name).stat().st_mtime_ns for name in fmt.iter_files(bundle.path)} == before
    with pytest.raises(BundleError, match=r"adding directions to forms/l2: b is there with other coefficients"):
        add_directions(bundle, "l2", -n, names=["c", "b"])
    assert Bundle.open(bundle.path).directions.names("l2") == ("a", "b")
    bundle = add_directions(bundle, "l2", -n, names=["c", "b"], replace=True)
    assert bundle.directions.names("l2") == ("a", "b", "c")
    np.testing.assert_array_equal(bundle.directions.coefficients("l2")[1], -n[1].astype(np.float32))
    assert verify_bundle(bundle).differences == ()


def test_a_transposed_matrix_is_recognised_and_a_square_one_is_not_guessed(bundle: Bundle) -> None:
    n = np.random.default_rng(11).normal(size=(3, 8))
    bundle = add_directions(bundle, "l2", n.T, names=["a", "b", "c"])
    np.testing.assert_array_equal(bundle.directions.coefficients("l2"), n.astype(np.float32))
    square = np.arange(1.0, 65).reshape(8, 8)
    with pytest.raises(ShapeError, match="8 x 8 coefficients can be read both ways, with 8 neurons"):
        add_directions(bundle, "l2", square)
    rows = add_directions(bundle, "l2", square, names=[f"r{i}" for i in range(8)], layout="rows")
    columns = add_directions(rows, "l2", square, names=[f"s{i}" for i in range(8)], layout="columns")
    found = columns.directions
    np.testing.assert_array_equal(found.coefficients("l2")[found.names("l2").index("r2")], square[2])
    np.testing.assert_array_equal(found.coefficients("l2")[found.names("l2").index("s2")], square[:, 2])


def test_normalised_directions_have_length_one(bundle: Bundle) -> None:
    n = np.random.default_rng(12).normal(size=(3, 8)) * [[1e-200], [1.0], [1e200]]
    bundle = add_directions(bundle, "l2", n, normalise=True)
    np.testing.assert_allclose(np.square(bundle.directions.coefficients("l2")).sum(axis=1), 1, rtol=1e-6)


ONES = np.ones((2, 8))
WRONG = {
    "nan": (
        ShapeError,
        NonFiniteError,
        np.where(np.arange(8) == 3, np.nan, ONES),
        {},
        "direction number 0 at channel 3",
    ),
    "infinite": (ValueError, NonFiniteError, ONES * 1e300, {}, "infinite as float32"),
    "zero": (
        ValueError,
        ShapeError,
        ONES * [[1], [0]],
        {"names": ["a", "b"]},
        "1 of 2 directions are zero, the first is b",
    ),
    "width": (ValueError, ShapeError, np.ones((2, 7)), {}, "have 7 coefficients, the layer has 8 neurons"),
    "axes": (ValueError, ShapeError, np.ones((2, 8, 1)), {}, "the shape is"),
    "words": (ValueError, ShapeError, [["a"] * 8], {}, "no matrix of numbers"),
    "none": (ValueError, ShapeError, np.ones((0, 8)), {}, "the shape is"),
    "twice": (ValueError, BundleError, ONES, {"names": ["a", "a"]}, "the name 'a' is given 2 times"),
    "names": (ValueError, ShapeError, ONES, {"names": ["a"]}, "1 names for 2 directions"),
    "bad name": (ValueError, IdError, ONES, {"names": ["a", "b:c"]}, "b:c"),
    "empty name": (ValueError, IdError, ONES, {"names": ["a", ""]}, "is not the uid of a unit"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_a_direction_is_refused_in_one_line_and_nothing_is_written(bundle: Bundle, case: str) -> None:
    _, kind, matrix, options, fact = WRONG[case]
    before = _digest(bundle.path)
    with pytest.raises(kind) as caught:
        add_directions(bundle, "l2", matrix, **options)  # type: ignore[arg-type]
    assert fact in str(caught.value).splitlines()[0]
    assert _digest(bundle.path) == before
    assert [path.name for path in bundle.path.parent.iterdir()] == [bundle.path.name]


def test_layers_and_directions_that_are_not_there_are_said(bundle: Bundle) -> None:
    with pytest.raises(UnknownLayerError, match="layer 'l9' does not exist"):
        add_directions(bundle, "l9", ONES)
    with pytest.raises(UnknownUnitError, match="it has none"):
        remove_directions(bundle, "l2")
    bundle = add_directions(bundle, "l2", ONES * [[1], [2]], names=["car", "window"])
    with pytest.raises(UnknownUnitError, match="unit 'forms/l2@cat' does not exist: l2 has 2 directions") as caught:
        remove_directions(bundle, "l2", ["car", "cat"])
    assert caught.value.hint == "Did you mean car?"
    assert Bundle.open(bundle.path).directions.count == 2
    with pytest.raises(UnknownUnitError, match="is a direction; a neuron is wanted here"):
        bundle.neuron("forms/l2@car")
    with pytest.raises(LookupError, match="no weights lead from forms/l2 to forms/l4"):
        bundle.kernel("l2@car", "l4:0")


def test_a_block_above_the_budget_is_refused_before_anything_is_written(bundle: Bundle) -> None:
    bundle = add_directions(bundle, "l3", np.eye(6)[:5], layout="rows")
    before = _digest(bundle.path)
    size = 4 * 6 * 900 * 20
    with pytest.raises(BlockTooLargeError) as caught:
        add_directions(bundle, "l2", np.random.default_rng(13).normal(size=(900, 8)), max_block_bytes=size - 1)
    assert "900 directions of forms/l2 x 6 neurons of forms/l1, kernels of 5x4, take 432,000 bytes" in str(caught.value)
    assert f"--max-block {size}" in caught.value.hint
    assert _digest(bundle.path) == before


def test_a_bundle_is_described_with_its_directions(bundle: Bundle) -> None:
    bundle = add_directions(bundle, "l2", [[0, 0, 3, 0, 0, 0, 0, -4.0]], names=["n"], source="by hand")
    bundle = add_directions(bundle, "l3", np.eye(6)[2], names=["m"])
    row = describe_directions(bundle).rows[0]
    assert (row["uid"], row["neurons"], row["length"], row["source"]) == ("forms/l2@n", 2, 5.0, "by hand")
    combines, into, out = describe_unit(bundle, "l2@n", limit=100)
    assert [(each["unit"], each["weight"]) for each in combines.rows] == [("forms/l2:7", -4), ("forms/l2:2", 3)]
    assert len(into.rows) == 6 and {row["unit"] for row in out.rows} >= {"forms/l3@m", "forms/l3:0", "forms/l5:6"}
    for row in (*into.rows, *out.rows):
        up, down = (row["unit"], "l2@n") if row in into.rows else ("l2@n", row["unit"])
        assert row["sum"] == pytest.approx(float(bundle.kernel(up, down).sum()), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("what", ["kernels", "edges", "units", "coefficients"])
def test_directions_that_do_not_follow_are_noticed_although_every_hash_fits(bundle: Bundle, what: str) -> None:
    bundle = _directed(bundle)
    folder = bundle.path / fmt.DIRECTIONS_FOLDER
    if what == "kernels":
        path = sorted((folder / "kernels").iterdir())[3]
        kernels = np.load(path)
        kernels[0, 0, 0, 0] += 0.01
        entry = fmt.write_npy(path, kernels)
    elif what == "edges":
        path = folder / "edges" / "0002.parquet"
        table = pq.read_table(path)
        changed = table["share_in"].to_numpy().copy()
        changed[0] *= 2
        entry = fmt.write_table(path, table.set_column(table.schema.names.index("share_in"), "share_in", [changed]))
    elif what == "units":
        path = bundle.path / "units.parquet"
        table = pq.read_table(path)
        entry = fmt.write_table(path, table.slice(0, table.num_rows - 1))
    else:
        path = bundle.path / fmt.DIRECTIONS_FILE
        arrays = dict(np.load(path))
        arrays["0002.coefficients"][0, 0] += 1
        np.savez(path, **arrays)
        entry = fmt.FileEntry(sha256=fmt.file_sha256(path), bytes=path.stat().st_size)
    _set_entry(bundle.path, path, entry)
    report = verify_bundle(Bundle.open(bundle.path))
    assert report.differences, what
    with pytest.raises(BundleCorruptError):
        report.raise_if_corrupt(bundle)


def _set_entry(bundle: Path, path: Path, entry: fmt.FileEntry) -> None:
    import json

    content = json.loads((bundle / fmt.MANIFEST).read_text(encoding="utf-8"))
    content["files"][path.relative_to(bundle).as_posix()] = entry.model_dump()
    content["sha256"] = fmt.manifest_sha256(content)
    (bundle / fmt.MANIFEST).write_text(json.dumps(content), encoding="utf-8")


# an add that ends itself, by the hardest signal, after some calls that write
KILLED_ADD = """
import os, signal, sys
import numpy as np
from circuitgraph.bundle import Bundle, add_directions
from circuitgraph.bundle import format as fmt

left = [int(sys.argv[2])]

def counted(function):
    def call(*args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call

fmt.NpyRows.write, fmt.write_table, os.link = map(counted, (fmt.NpyRows.write, fmt.write_table, os.link))
os.rename, os.replace = counted(os.rename), counted(os.replace)
add_directions(Bundle.open(sys.argv[1]), "l2", np.arange(1.0, 17).reshape(2, 8))
"""


@pytest.mark.parametrize(
    "writes", [pytest.param(0, marks=pytest.mark.slow), 9, pytest.param(22, marks=pytest.mark.slow), 26]
)
def test_a_killed_add_leaves_the_bundle_as_it_was(bundle: Bundle, writes: int) -> None:
    bundle = add_directions(bundle, "l3", np.eye(6)[:2], layout="rows")
    before = _digest(bundle.path)
    code = subprocess.run([sys.executable, "-c", KILLED_ADD, str(bundle.path), str(writes)], check=False).returncode
    assert code == -signal.SIGKILL
    assert _digest(bundle.path) == before
    assert verify_bundle(Bundle.open(bundle.path)).differences == ()
    again = add_directions(Bundle.open(bundle.path), "l2", np.arange(1.0, 17).reshape(2, 8))
    assert again.directions.count == 4 and verify_bundle(again).differences == ()
    assert [path.name for path in bundle.path.parent.iterdir()] == [bundle.path.name]


def test_a_bundle_that_was_moved_aside_when_its_change_was_killed_is_put_back(bundle: Bundle) -> None:
    before = _digest(bundle.path)
    bundle.path.rename(bundle.path.with_name(bundle.path.name + ".old"))
    assert Bundle.open(bundle.path).sha256 == bundle.sha256
    assert _digest(bundle.path) == before
    assert [path.name for path in bundle.path.parent.iterdir()] == [bundle.path.name]


def test_an_open_bundle_reads_on_what_it_was_opened_on(tmp_path: Path) -> None:
    bundle = write_synthetic_bundle(tmp_path / "open.circuit", seed=3)
    kernels = bundle.block("layer0", "layer1").kernels
    before = kernels.copy()
    add_directions(bundle, "layer1", np.eye(16)[:3])
    np.testing.assert_array_equal(kernels, before)
    assert bundle.directions.count == 0 and Bundle.open(bundle.path).directions.count == 3
