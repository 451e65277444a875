from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from circuitgraph import Bundle
from circuitgraph.bundle import format as fmt
from circuitgraph.bundle.verify import verify_bundle
from circuitgraph.errors import BundleCorruptError, BundleError, CircuitGraphError, MissingFileError
from tests.bundle import planted


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted.write(tmp_path_factory.mktemp("whole") / "planted.circuit").path


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "planted.circuit"))


def all_files(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]


def prove(path: Path) -> None:
    with Bundle.open(path) as bundle:
        verify_bundle(bundle).raise_if_corrupt(bundle)


def test_a_bundle_as_written_is_proved_whole(whole: Path) -> None:
    with Bundle.open(whole) as bundle:
        report = verify_bundle(bundle)
    assert report.differences == ()
    assert report.files == len(all_files(whole)) - 1
    assert report.edges == 58
    assert report.bytes == sum((whole / name).stat().st_size for name in all_files(whole) if name != fmt.MANIFEST)


def test_one_byte_flipped_in_any_file_is_noticed_and_the_file_named(copy: Path) -> None:
    rng = np.random.default_rng(1)
    for name in all_files(copy):
        original = (copy / name).read_bytes()
        for place in (0, len(original) - 1, int(rng.integers(len(original)))):
            flipped = bytearray(original)
            flipped[place] ^= 0x01
            (copy / name).write_bytes(flipped)
            with pytest.raises(BundleCorruptError, match=name.replace(".", r"\.")) as caught:
                prove(copy)
            assert isinstance(caught.value, OSError)
            assert caught.value.hint
        (copy / name).write_bytes(original)
    prove(copy)


def test_a_damaged_file_that_is_read_without_verifying_is_refused_as_ours(copy: Path) -> None:
    for name in all_files(copy):
        original = (copy / name).read_bytes()
        (copy / name).write_bytes(b"\x00" * len(original))
        with pytest.raises(BundleCorruptError):
            read_everything(copy)
        (copy / name).write_bytes(original)
    read_everything(copy)


def read_everything(path: Path) -> None:
    with Bundle.open(path) as bundle:
        assert bundle.layers
        assert bundle.families
        assert bundle.units.num_rows
        assert sum(batch.num_rows for _, batch in bundle.iter_edges())
        for pair in bundle.pairs:
            assert bundle.block(*pair).kernels.size
        assert [array.shape for part in bundle.blocks for array in bundle.factors(part)]


def test_a_missing_file_is_named_when_the_bundle_is_opened(copy: Path) -> None:
    for name in all_files(copy):
        if name == fmt.MANIFEST:
            continue
        (copy / name).rename(copy.parent / "aside")
        with pytest.raises(BundleCorruptError, match=f"{name} is missing"):
            Bundle.open(copy)
        (copy.parent / "aside").rename(copy / name)


def test_a_shorter_file_is_named_with_both_sizes(copy: Path) -> None:
    file = copy / "units.parquet"
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(BundleCorruptError, match=rf"units\.parquet has 100 bytes, not {size}"):
        Bundle.open(copy)


def test_a_stranger_is_named(copy: Path) -> None:
    (copy / "kernels" / "virus.npy").write_bytes(b"")
    with pytest.raises(BundleCorruptError, match=r"kernels/virus\.npy is not in the manifest"):
        prove(copy)
    (copy / "kernels" / "virus.npy").unlink()
    (copy / "way-out").symlink_to(copy.parent)
    with pytest.raises(BundleCorruptError, match="way-out is not in the manifest"):
        prove(copy)


def rewrite(folder: Path, *, is_signed: bool = True, **changed: Any) -> None:
    content = json.loads((folder / fmt.MANIFEST).read_text(encoding="utf-8")) | changed
    if is_signed:
        content["sha256"] = fmt.manifest_sha256(content)
    (folder / fmt.MANIFEST).write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize("size", [0, 1, 200, -2])
def test_a_truncated_manifest_is_refused(copy: Path, size: int) -> None:
    file = copy / fmt.MANIFEST
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(BundleCorruptError, match=r"manifest\.json cannot be read"):
        Bundle.open(copy)


@pytest.mark.parametrize(
    "content", [b"[]", b"null", b'"text"', b"{}", b"\xff\xfe", b"[" * 100_000, b'{"format_version": 1}']
)
def test_a_manifest_that_is_something_else_is_refused(copy: Path, content: bytes) -> None:
    (copy / fmt.MANIFEST).write_bytes(content)
    with pytest.raises(BundleCorruptError, match=r"manifest\.json cannot be read"):
        Bundle.open(copy)


def test_a_manifest_that_was_edited_is_refused(copy: Path) -> None:
    rewrite(copy, is_signed=False, software="circuitgraph 9")
    with pytest.raises(BundleCorruptError, match=r"manifest\.json is not what was written"):
        Bundle.open(copy)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "kernels/../../outside", "..\\outside"])
def test_a_manifest_that_names_a_file_outside_is_refused(copy: Path, name: str) -> None:
    (copy.parent / "outside").write_bytes(b"secret")
    content = json.loads((copy / fmt.MANIFEST).read_text(encoding="utf-8"))
    rewrite(copy, files={**content["files"], name: {"sha256": "0" * 64, "bytes": 6}})
    with pytest.raises(BundleCorruptError, match="does not lie inside the bundle"):
        Bundle.open(copy)


def test_a_block_that_names_a_file_outside_the_manifest_is_refused(copy: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    np.save(copy.parent / "outside.npy", np.zeros((4, 3, 3, 3), dtype=np.float32))
    table = pq.read_table(copy / "blocks.parquet")
    files = ["../outside.npy", *table["file"].to_pylist()[1:]]
    entry = fmt.write_table(
        copy / "blocks.parquet", table.set_column(table.column_names.index("file"), "file", pa.array(files))
    )
    content = json.loads((copy / fmt.MANIFEST).read_text(encoding="utf-8"))
    rewrite(copy, files={**content["files"], "blocks.parquet": entry.model_dump()})
    with pytest.raises(BundleCorruptError, match=r"'\.\./outside\.npy' is not in the manifest"):
        Bundle.open(copy).block("input", "stem.conv")


def test_edges_that_do_not_follow_from_the_kernels_are_noticed_although_every_hash_fits(copy: Path) -> None:
    kernels = planted.arrays()["stem"]
    kernels[2, 1, 0, 0] += 1
    name = "kernels/00010000.npy"
    entry = fmt.write_npy(copy / name, kernels)
    content = json.loads((copy / fmt.MANIFEST).read_text(encoding="utf-8"))
    rewrite(copy, files={**content["files"], name: entry.model_dump()})
    with pytest.raises(BundleCorruptError, match=r"edges into planted/stem\.conv: column sum does not follow"):
        prove(copy)


def test_a_bundle_of_a_later_format_asks_for_an_update(copy: Path) -> None:
    rewrite(copy, format_version=fmt.FORMAT_VERSION + 1, something_new=True)
    with pytest.raises(BundleError, match=f"format 3, this software reads up to {fmt.FORMAT_VERSION}") as caught:
        Bundle.open(copy)
    assert not isinstance(caught.value, BundleCorruptError)
    assert "Update" in caught.value.hint


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda path: None, MissingFileError, "there is no such bundle"),
        (lambda path: path.mkdir(), BundleError, r"no manifest\.json"),
        (lambda path: path.write_bytes(b"PK\x03\x04"), BundleError, "it is a file; a bundle is a folder"),
    ],
)
def test_what_is_not_a_bundle_is_said_to_be_none(tmp_path: Path, make: Any, error: type[Exception], said: str) -> None:
    make(tmp_path / "x.circuit")
    with pytest.raises(error, match=said) as caught:
        Bundle.open(tmp_path / "x.circuit")
    assert isinstance(caught.value, CircuitGraphError)
    assert str(tmp_path / "x.circuit") in str(caught.value)
    assert caught.value.hint


def test_many_differences_are_counted(copy: Path) -> None:
    for number in range(5):
        (copy / f"stranger{number}").touch()
    with pytest.raises(BundleCorruptError, match="and 2 more"):
        prove(copy)
