from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from circuitgraph import Bundle
from circuitgraph.bundle import BundleWriter
from circuitgraph.bundle.verify import verify_bundle
from circuitgraph.errors import BundleError, BundleExistsError, DiskFullError
from tests.bundle import planted

TARGETS = len(planted.blocks())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_until_killed(path: Path, after: int) -> None:
    done = subprocess.run([sys.executable, planted.__file__, str(path), str(after)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


class Notes:
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize("after", range(TARGETS + 1))
def test_a_killed_import_leaves_no_bundle_and_the_same_command_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    path = tmp_path / "x.circuit"
    write_until_killed(path, after)
    assert not path.exists()
    kept = tmp_path / "x.circuit.partial" / "kernels"
    first = {file.name: file.stat().st_mtime_ns for file in kept.iterdir()}
    assert bool(first) == (after > 0)
    resumed = planted.write(path)
    for name, moment in first.items():
        assert (path / "kernels" / name).stat().st_mtime_ns == moment, "a finished block was made again"
    whole = planted.write(tmp_path / "whole.circuit")
    assert contents(resumed.path) == contents(whole.path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["whole.circuit", "x.circuit"]
    assert verify_bundle(resumed).differences == ()


def test_what_is_gone_on_with_is_said(tmp_path: Path) -> None:
    write_until_killed(tmp_path / "x.circuit", 2)
    notes = Notes()
    with BundleWriter(tmp_path / "x.circuit", planted.info(), planted.layers(), progress=notes) as writer:  # type: ignore[arg-type]
        assert [writer.is_done(layer.uid) for layer in planted.layers()] == [False, True, True, False, False]
    assert notes.said == ["going on with an interrupted import: 2 of 4 layers done"]


def test_an_import_with_other_weights_does_not_go_on_with_a_strangers_blocks(tmp_path: Path) -> None:
    write_until_killed(tmp_path / "x.circuit", 2)
    other = planted.info(weights_sha256="cd" * 32)
    with BundleWriter(tmp_path / "x.circuit", other, planted.layers()) as writer:
        assert not any(writer.is_done(layer.uid) for layer in planted.layers())


def test_files_that_a_killed_run_left_are_not_in_the_bundle(tmp_path: Path) -> None:
    path = tmp_path / "x.circuit"
    write_until_killed(path, 2)
    (tmp_path / "x.circuit.partial" / "kernels" / "00030007.npy").write_bytes(b"begun")
    assert verify_bundle(planted.write(path)).differences == ()


def test_a_half_written_bundle_is_not_opened(tmp_path: Path) -> None:
    write_until_killed(tmp_path / "x.circuit", 2)
    with pytest.raises(BundleError, match=r"no manifest\.json, so it is not a complete bundle") as caught:
        Bundle.open(tmp_path / "x.circuit.partial")
    assert "Run the import again" in caught.value.hint


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_keeps_what_is_finished(tmp_path: Path, error: type[BaseException]) -> None:
    with (
        pytest.raises(error),
        BundleWriter(tmp_path / "x.circuit", planted.info(), planted.layers()) as writer,
    ):
        begin_and_raise(writer, error())
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.circuit.partial"]
    with BundleWriter(tmp_path / "x.circuit", planted.info(), planted.layers()) as writer:
        assert writer.is_done("planted/stem.conv")


def begin_and_raise(writer: BundleWriter, error: BaseException) -> None:
    down, blocks = next(iter(planted.blocks().items()))
    writer.add_target(down, planted.arrays()["bias"][1], blocks)
    raise error


@pytest.mark.parametrize("error", [BundleError, DiskFullError])
def test_a_refusal_leaves_nothing(tmp_path: Path, error: type[Exception]) -> None:
    with (
        pytest.raises(error),
        BundleWriter(tmp_path / "x.circuit", planted.info(), planted.layers()) as writer,
    ):
        begin_and_raise(writer, error("no"))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_replacement_leaves_the_old_bundle(tmp_path: Path) -> None:
    old = planted.write(tmp_path / "x.circuit")
    before = contents(old.path)
    with (
        pytest.raises(BundleError),
        BundleWriter(old.path, planted.info(title="new"), planted.layers(), replace=True) as writer,
    ):
        begin_and_raise(writer, BundleError("no"))
    assert contents(old.path) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.circuit"]


def test_a_replacement_killed_between_its_two_renames_gives_the_old_bundle_back(tmp_path: Path) -> None:
    bundle = planted.write(tmp_path / "x.circuit")
    before = contents(bundle.path)
    bundle.path.rename(tmp_path / "x.circuit.old")
    with pytest.raises(BundleExistsError):
        planted.write(bundle.path)
    assert contents(bundle.path) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.circuit"]


def test_two_writers_at_once_do_not_touch_each_other(tmp_path: Path) -> None:
    path = tmp_path / "x.circuit"
    with BundleWriter(path, planted.info(), planted.layers()) as writer:
        down, blocks = next(iter(planted.blocks().items()))
        writer.add_target(down, planted.arrays()["bias"][1], blocks)
        done = subprocess.run(
            [sys.executable, planted.__file__, str(path), "9"], capture_output=True, text=True, check=False
        )
        assert "another import is writing it now" in done.stderr
        assert writer.is_done(down)
    assert planted.write(path).path == path


def test_a_writer_that_waited_does_not_overwrite_what_was_finished_meanwhile(tmp_path: Path) -> None:
    late = BundleWriter(tmp_path / "x.circuit", planted.info(), planted.layers())
    planted.write(tmp_path / "x.circuit")
    with pytest.raises(BundleExistsError):
        late.__enter__()
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.circuit"]


def test_a_full_disk_is_said_and_nothing_stays(tmp_path: Path) -> None:
    mount = (
        'mount -t tmpfs -o size=64k tmpfs "$1" && '
        '{ "$2" "$3" "$1/x.circuit" 9; code=$?; ls -A "$1"; echo left; exit $code; }'
    )
    command = ["unshare", "-Urm", "sh", "-c", mount, "sh", str(tmp_path), sys.executable, planted.__file__]
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("a small full tmpfs needs `unshare -Urm`; the test with RLIMIT_FSIZE stands in")
    environment = {**os.environ, "PYTHONPATH": str(Path(planted.__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "DiskFullError" in done.stderr
    assert "no room left on the target" in done.stderr
    assert done.stdout == "left\n", "something was left on the disk"


def test_a_file_limit_is_said_and_nothing_stays(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, planted.__file__, str(tmp_path / "x.circuit"), "9"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)),
    )
    assert done.returncode == 1
    assert "DiskFullError" in done.stderr
    assert list(tmp_path.iterdir()) == []
