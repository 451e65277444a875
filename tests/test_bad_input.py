"""What the command says to bad input: one clear message, exit code 1, nothing left behind.

Commands run in a fork of one process that has loaded torch (tests/forked_command.py);
those that talk to a database share one server.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pyarrow.parquet as pq
import pytest
import torch

from circuitgraph.bundle import format as fmt
from circuitgraph.testing.bundles import write_synthetic_bundle

JARS = platformdirs.user_cache_path("circuitgraph") / "jars"
FACTORIES = """
import torch
from torch import nn

def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()
    )

def fails():
    raise RuntimeError("the first line\\nthe second line")

def leaves():
    raise SystemExit(0)

def three():
    return 3
"""


@dataclass
class Answer:
    code: int
    stdout: str
    stderr: str


@dataclass
class Commands:
    """Runs `circuitgraph ...` in a folder, each command in a process of its own."""

    process: subprocess.Popen[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(
        self,
        *arguments: str | Path,
        cwd: Path,
        environment: Mapping[str, str] | None = None,
        file_limit: int | None = None,
    ) -> Answer:
        stdout, stderr = self.log / "stdout", self.log / "stderr"
        wanted = {
            "argv": ["circuitgraph", *map(str, arguments)],
            "cwd": str(cwd),
            "env": {**self.environment, **(environment or {})},
            "stdout": str(stdout),
            "stderr": str(stderr),
            "file_limit": file_limit,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(wanted) + "\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        return Answer(code, stdout.read_text(encoding="utf-8"), stderr.read_text(encoding="utf-8"))


def environment_of(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CIRCUITGRAPH_")}
    return {
        **kept,
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CIRCUITGRAPH_CONFIG": str(folder / "config.toml"),
        "CIRCUITGRAPH_DATA_DIR": str(folder / "data"),
        "CIRCUITGRAPH_JARS_DIR": str(JARS),
        "CIRCUITGRAPH_HEAP": "512m",
        "CIRCUITGRAPH_PAGE_CACHE": "256m",
    }


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    folder = tmp_path_factory.mktemp("commands")
    environment = environment_of(folder)
    # -P, else tests/importers would be taken for importers
    process = subprocess.Popen(
        [sys.executable, "-P", str(Path(__file__).with_name("forked_command.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    with process:
        yield Commands(process, folder, environment)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mynet.py").write_text(FACTORIES, encoding="utf-8")
    return tmp_path


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if "__pycache__" not in path.parts)


def assert_refused(answer: Answer, *words: str, code: int = 1) -> None:
    """One message on stderr: the act, the place and the value (`words`), and on a line of its own a repair."""
    text = answer.stderr
    assert answer.code == code, text
    assert "Traceback" not in text
    assert "did not expect" not in text
    assert "Warning" not in text
    assert len(text) < 3000
    assert not re.search(r"[^\n\x20-\x7e\u00a0-\U0010ffff]", text), "a control character reaches the terminal"
    for word in words:
        assert re.search(word, text), f"{word!r} is not in: {text}"
    if code == 1:
        assert text.startswith("error: ")
        assert text.splitlines()[-1].startswith("  "), f"no repair is named: {text}"


def state() -> dict[str, torch.Tensor]:
    space: dict[str, Any] = {}
    exec(FACTORIES, space)
    module: torch.nn.Module = space["small"]()
    return dict(module.state_dict())


class RunsCode:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch RAN",))


def saved(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def zipped(save: Callable[..., None], **arrays: Any) -> bytes:
    stream = io.BytesIO()
    save(stream, **arrays)
    return stream.getvalue()


def with_value(name: str, place: tuple[int, ...], value: float) -> bytes:
    tensors = {key: tensor.clone() for key, tensor in state().items()}
    tensors[name][place] = value
    return saved(tensors)


def npy_header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def archive(name: str, content: bytes, *, times: int = 1) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file, file.open(name, "w") as entry:
        for _ in range(times):
            entry.write(content)
    return stream.getvalue()


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def arrays() -> dict[str, Any]:
    return {name: tensor.numpy() for name, tensor in state().items()}


def prefixed(count: int) -> dict[str, torch.Tensor]:
    return {("module." if place < count else "") + name: own for place, (name, own) in enumerate(state().items())}


def safetensors(header: bytes, size: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if size is None else size) + header


# name -> (file, content, what the message says)
WEIGHTS: dict[str, tuple[str, Callable[[], bytes], tuple[str, ...]]] = {
    "half a checkpoint": ("w.pth", lambda: half(saved(state())), ("w.pth", r"[\d,]+ bytes", "cut short")),
    "half an npz": ("w.npz", lambda: half(zipped(np.savez, **arrays())), ("w.npz", "cut short")),
    "an empty checkpoint": ("w.pth", lambda: b"", ("w.pth", "0 bytes")),
    "an empty npz": ("w.npz", lambda: zipped(np.savez), ("w.npz", "holds no tensors")),
    "a text called .pth": ("w.pth", lambda: b"hello, I am weights\n", ("w.pth", "not a .pth file")),
    "a text called .npz": ("w.npz", lambda: b"hello", ("w.npz", "not a .npz file")),
    "a web page called .pth": ("w.pth", lambda: b"<!DOCTYPE html>\n<html>sign in</html>", ("w.pth", "web page")),
    "a git LFS pointer": (
        "w.safetensors",
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 46830571\n",
        ("w.safetensors", "git LFS pointer", "46,830,571 bytes"),
    ),
    "an unknown ending": ("w.docx", lambda: b"hello", ("w.docx", "ends in .docx")),
    "code in a checkpoint": ("w.pth", lambda: saved({"a": RunsCode()}), ("w.pth", "posix.system", "nothing was run")),
    "code in a bare pickle": ("w.pth", lambda: pickle.dumps(RunsCode(), 4), ("posix.system", "nothing was run")),
    "code in an old pickle": ("w.pth", lambda: pickle.dumps(RunsCode(), 0), ("posix.system", "nothing was run")),
    "code in an npz": (
        "w.npz",
        lambda: zipped(np.savez, a=np.array([RunsCode()], dtype=object)),
        ("a in w.npz", "pickled objects; nothing was run"),
    ),
    "a whole pickled module": (
        "w.pth",
        lambda: saved(torch.nn.Sequential(torch.nn.ReLU())),
        ("torch.nn.modules.container.Sequential", r"state_dict\(\)"),
    ),
    "no table": ("w.pth", lambda: saved([1, 2, 3]), ("w.pth", "list")),
    "a table of settings": ("w.pth", lambda: saved({"epoch": 3, "lr": 0.1}), ("w.pth", "epoch, lr")),
    "another architecture": (
        "w.pth",
        lambda: saved({"1.weight": torch.zeros(3)}),
        ("w.pth into mynet:small", "8 tensors are missing", "1 do not belong", "1.weight"),
    ),
    "another shape": (
        "w.pth",
        lambda: saved({**state(), "0.weight": torch.zeros(4, 3, 5, 5)}),
        ("0.weight is 4x3x5x5 in the file, 4x3x3x3",),
    ),
    "module. on some names": ("w.pth", lambda: saved(prefixed(3)), ("3 of 8 tensors are missing", "module.0.bias")),
    "NaN": (
        "w.pth",
        lambda: with_value("2.weight", (1, 2, 0, 1), float("nan")),
        (r"2.weight has nan at \[1, 2, 0, 1\]", "1 of its 144"),
    ),
    "infinity": ("w.pth", lambda: with_value("0.bias", (3,), float("-inf")), (r"0.bias has -inf at \[3\]",)),
    "a negative variance": ("w.pth", lambda: with_value("3.running_var", (2,), -1.0), ("'3'", r"-1 at \[2\]")),
    "weights beyond float32": (
        "w.pth",
        lambda: saved({key: own * 1e38 if own.is_floating_point() else own for key, own in state().items()}),
        ("NaN or infinite",),
    ),
    "complex weights": (
        "w.pth",
        lambda: saved({key: own.to(torch.complex64) for key, own in state().items()}),
        ("0.weight in w.pth is torch.complex64",),
    ),
    "names with escapes": (
        "w.pth",
        lambda: saved({f"\x1b[31m[red]{key}": own for key, own in state().items()}),
        ("8 tensors are missing",),
    ),
    "a name of a megabyte": ("w.pth", lambda: saved({"k" * 2**20: torch.zeros(2)}), ("8 tensors are missing",)),
    "a bomb": (
        "w.npz",
        lambda: archive("a.npy", npy_header((2**26,)) + bytes(2**20), times=2**8 + 1),
        ("w.npz", "unpacks to", "100 times"),
    ),
    "a lying npz": (
        "w.npz",
        lambda: archive("a.npy", npy_header((2**40,))),
        ("a in w.npz claims", "4,398,046,511,104"),
    ),
    "a negative side": (
        "w.npz",
        lambda: archive("a.npy", npy_header((-1, 4)) + bytes(32)),
        (r"claims the shape \(-1, 4\)",),
    ),
    "a damaged npz": (
        "w.npz",
        lambda: zipped(np.savez, **arrays()).replace(arrays()["2.weight"].tobytes()[:8], bytes(8), 1),
        ("w.npz", "CRC"),
    ),
    "a lying safetensors": ("w.safetensors", lambda: safetensors(b"{}", 2**60), ("w.safetensors", "header too large")),
    "safetensors beyond its end": (
        "w.safetensors",
        lambda: safetensors(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,1099511627776]}}'),
        ("w.safetensors", "offset"),
    ),
    "JSON of another structure": ("w.json", lambda: b'{"a": {"b": "c"}}', ("a in w.json is not an array",)),
    "ragged JSON": ("w.json", lambda: b'{"a": [[1, 2], [3]]}', ("a in w.json",)),
    "a JSON list of numbers": ("w.json", lambda: b"[1, 2]", ("layer 0 of w.json has no name",)),
    "JSON without end": ("w.json", lambda: b'{"a": [', ("w.json", "column 8")),
    "JSON without bottom": ("w.json", lambda: b"[" * 100_000, ("w.json", "recursion")),
    "JSON units that are a number": ("w.json", lambda: b'[{"name": "x", "weights": 3}]', ("w.json",)),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_cannot_be_used_are_refused(commands: Commands, folder: Path, name: str) -> None:
    file, content, words = WEIGHTS[name]
    (folder / file).write_bytes(content())
    before = listing(folder)
    answer = commands.run("import", "torch", "mynet:small", "--weights", file, "--input", "3x8x8", "-q", cwd=folder)
    assert_refused(answer, *words)
    assert listing(folder) == before
    assert not (folder / "RAN").exists()


@pytest.mark.parametrize("content", ["half precision", "bfloat16", "module. on all names", "a wrapper"])
def test_unusual_weights_that_can_be_used_are_used(commands: Commands, folder: Path, content: str) -> None:
    tensors: Any = state()
    if content in ("half precision", "bfloat16"):
        kind = torch.float16 if content == "half precision" else torch.bfloat16
        tensors = {name: own.to(kind) if own.is_floating_point() else own for name, own in tensors.items()}
    tensors = prefixed(100) if content.startswith("module") else tensors
    torch.save({"state_dict": tensors, "epoch": 3} if content == "a wrapper" else tensors, folder / "w.pth")
    arguments = ("import", "torch", "mynet:small", "--weights", "w.pth", "--input", "3x8x8", "-q")
    answer = commands.run(*arguments, cwd=folder)
    assert answer.code == 0, answer.stderr


GOOD = ("--weights", "w.pth", "--input", "3x8x8")
# name -> (module, further arguments, exit code, what the message says)
ARGUMENTS: dict[str, tuple[str, tuple[str, ...], int, tuple[str, ...]]] = {
    "missing file": ("mynet:small", ("--weights", "none.pth"), 1, ("none.pth does not exist",)),
    "a folder as weights": ("mynet:small", ("--weights", "."), 1, ("is a folder",)),
    "no input": ("mynet:small", ("--weights", "w.pth"), 1, ("input", "--input 3x32x32")),
    "input in words": ("mynet:small", (*GOOD, "--input", "large"), 2, ("--input", "'large'")),
    "input of two sides": ("mynet:small", (*GOOD, "--input", "3x8"), 2, ("--input", "'3x8'")),
    "input of nothing": ("mynet:small", (*GOOD, "--input", "0x8x8"), 1, ("0x8x8", "smallest 0")),
    "input of other channels": ("mynet:small", (*GOOD, "--input", "1x8x8"), 1, ("1x8x8", "3 channels")),
    "no such units": ("mynet:small", (*GOOD, "--units", "layer9"), 1, ("'layer9'",)),
    "no units": ("mynet:small", (*GOOD, "--units", ","), 1, ("''",)),
    "a slip in the name": ("resnet188", GOOD, 1, ("resnet188", "Did you mean resnet18")),
    "no such module": ("nomodule:small", GOOD, 1, ("nomodule", "there is no such module")),
    "no name of a module": ("my-net:small", GOOD, 1, ("'my-net' is not the name of a Python module",)),
    "a path of no file": ("./nofile.py:small", GOOD, 1, ("there is no file nofile.py", "FILE.py:FACTORY")),
    "a factory that fails": ("mynet:fails", GOOD, 1, ("mynet:fails", "RuntimeError: the first line\n")),
    "a factory that leaves": ("mynet:leaves", GOOD, 1, ("mynet:leaves", "SystemExit")),
    "a zoo network without weights": ("resnet18", (), 1, ("resnet18", "without weights", "--weights FILE")),
    "weights of another network": ("resnet18", GOOD[:2], 1, ("w.pth into resnet18", "102 tensors are missing")),
    "kwargs that are no JSON": ("mynet:small", (*GOOD, "--kwargs", "{"), 2, ("--kwargs",)),
    "kwargs it does not take": ("mynet:small", (*GOOD, "--kwargs", '{"a": 1}'), 1, ("unexpected keyword",)),
    "a network id with a slash": ("mynet:small", (*GOOD, "--network", "a/b"), 1, ("'a/b'",)),
    "a network id with markup": ("mynet:small", (*GOOD, "--network", "[red]a"), 1, (r"'\[red\]a'",)),
    "a network id with an escape": ("mynet:small", (*GOOD, "--network", "a\x1b[31m"), 1, (r"'a\\x1b",)),
    "a network id without end": ("mynet:small", (*GOOD, "--network", "a" * 100_000), 1, (r"a\.\.\.'",)),
    "a small budget": ("mynet:small", (*GOOD, "--max-block", "10"), 1, ("432 bytes, the limit is 10",)),
    "no folder": ("mynet:small", (*GOOD, "-o", "no/x.circuit"), 1, ("no/x.circuit", "does not exist")),
    "below a file": ("mynet:small", (*GOOD, "-o", "w.pth/x.circuit"), 1, ("w.pth/x.circuit",)),
    "onto a file": ("mynet:small", (*GOOD, "-o", "w.pth"), 1, ("w.pth: it is already there",)),
    "replacing a file": (
        "mynet:small",
        (*GOOD, "-o", "w.pth", "--replace"),
        1,
        ("not a bundle, so it is not replaced",),
    ),
    "replacing this folder": ("mynet:small", (*GOOD, "-o", ".", "--replace"), 1, ("'.'", "no name of its own")),
    "a name that is too long": ("mynet:small", (*GOOD, "-o", "a" * 300), 1, ("too long",)),
    "no such option": ("mynet:small", (*GOOD, "--frobnicate"), 2, ("--frobnicate",)),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_that_cannot_be_used_are_refused(commands: Commands, folder: Path, name: str) -> None:
    module, further, code, words = ARGUMENTS[name]
    torch.save(state(), folder / "w.pth")
    before = listing(folder)
    assert_refused(commands.run("import", "torch", module, *further, "-q", cwd=folder), *words, code=code)
    assert listing(folder) == before


def test_a_second_import_to_the_same_place_changes_nothing(commands: Commands, folder: Path) -> None:
    torch.save(state(), folder / "w.pth")
    arguments = ("import", "torch", "mynet:small", *GOOD, "-o", "a.circuit", "-q")
    assert commands.run(*arguments, cwd=folder).code == 0
    before = {name: (folder / name).stat().st_mtime_ns for name in listing(folder)}
    assert_refused(commands.run(*arguments, cwd=folder), "a.circuit: it is already there", "--replace")
    assert {name: (folder / name).stat().st_mtime_ns for name in listing(folder)} == before


def test_two_imports_at_once_to_the_same_place_give_one_bundle(commands: Commands, folder: Path) -> None:
    from filelock import FileLock

    torch.save(state(), folder / "w.pth")
    with FileLock(folder / "a.circuit.lock"):
        answer = commands.run("import", "torch", "mynet:small", *GOOD, "-o", "a.circuit", "-q", cwd=folder)
        assert_refused(answer, "a.circuit", "another import is writing it now")
        assert "a.circuit" not in listing(folder)


@pytest.mark.parametrize("limit", [0, 4000, 6000])
def test_an_import_that_may_write_no_more_leaves_nothing(commands: Commands, folder: Path, limit: int) -> None:
    # RLIMIT_FSIZE: the write fails with EFBIG, as a full disk's does with ENOSPC
    torch.save(state(), folder / "w.pth")
    before = listing(folder)
    answer = commands.run("import", "torch", "mynet:small", *GOOD, "-q", cwd=folder, file_limit=limit)
    assert answer.code == 1
    if limit:
        assert_refused(answer, "small.circuit: no room left on the target", "File too large")
    assert listing(folder) == before


def test_an_import_to_a_full_disk_leaves_nothing(folder: Path) -> None:
    # a tmpfs of 24 KiB, mounted without root in a namespace of its own
    torch.save(state(), folder / "w.pth")
    (folder / "disk").mkdir()
    script = (
        "mount -t tmpfs -o size=24k none disk || exit 77; "
        "circuitgraph import torch mynet:small --weights w.pth --input 3x8x8 -q -o disk/a.circuit; code=$?; "
        "ls -A disk; exit $code"
    )
    environment = environment_of(folder) | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare here; install util-linux")
    run = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    if run.returncode == 77 or "unshare" in run.stderr:
        pytest.skip("this system mounts no tmpfs without root; allow user namespaces")
    assert_refused(
        Answer(run.returncode, "", run.stderr), "disk/a.circuit: no room left on the target", "No space left"
    )
    assert run.stdout == ""


def reseal(bundle: Path, change: Callable[[dict[str, Any]], None] = lambda manifest: None) -> None:
    """Do what an attacker does who edits a bundle: make the manifest fit what is there."""
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    for name in manifest["files"]:
        file = bundle / name
        if file.exists():
            manifest["files"][name] = {"sha256": fmt.file_sha256(file), "bytes": file.stat().st_size}
    change(manifest)
    manifest["sha256"] = fmt.manifest_sha256(manifest)
    (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def edit_manifest(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    manifest["info"]["title"] = "another"
    (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def change_kernel(bundle: Path) -> None:
    file = min((bundle / "kernels").glob("*.npy"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def cut_table(bundle: Path) -> None:
    file = bundle / "units.parquet"
    file.write_bytes(half(file.read_bytes()))
    reseal(bundle)


def drop_column(bundle: Path) -> None:
    table = pq.read_table(bundle / "units.parquet")
    pq.write_table(table.drop_columns(["in_norm"]), bundle / "units.parquet")
    reseal(bundle)


def pickle_kernels(bundle: Path) -> None:
    file = min((bundle / "kernels").glob("*.npy"))
    np.save(file, np.array([RunsCode()], dtype=object), allow_pickle=True)
    reseal(bundle)


def half_written(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()


def write(name: str, content: bytes) -> Callable[[Path], None]:
    def change(bundle: Path) -> None:
        (bundle / name).write_bytes(content)

    return change


def resealed(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    return lambda bundle: reseal(bundle, change)


def hostile(manifest: dict[str, Any]) -> None:
    manifest["info"]["network"] = "[red]\x1b[31m:boom:" * 10_000


def outside(manifest: dict[str, Any]) -> None:
    manifest["files"]["../../w.pth"] = {"sha256": "0" * 64, "bytes": 1}


VERIFY, INSPECT = ("bundle", "verify"), ("inspect",)
# name -> (what is done to the bundle, the command, what the message says)
BUNDLES: dict[str, tuple[Callable[[Path], None], tuple[str, ...], tuple[str, ...]]] = {
    "half-written": (half_written, INSPECT, ("a.circuit", "manifest.json")),
    "manifest cut short": (
        write("manifest.json", b'{"format_version": 1,'),
        INSPECT,
        ("manifest.json cannot be read",),
    ),
    "manifest of bytes": (write("manifest.json", b"\xff\xfe\x00"), INSPECT, ("manifest.json cannot be read",)),
    "manifest without bottom": (write("manifest.json", b"[" * 100_000), INSPECT, ("manifest.json cannot be read",)),
    "manifest edited": (edit_manifest, INSPECT, ("manifest.json is not what was written",)),
    "a later format": (resealed(lambda m: m.update(format_version=99)), INSPECT, ("format 99",)),
    "a file is missing": (lambda b: (b / "units.parquet").unlink(), INSPECT, ("units.parquet is missing",)),
    "a file outside": (resealed(outside), INSPECT, (r"'\.\./\.\./w.pth'", "inside the bundle")),
    "a kernel changed": (change_kernel, VERIFY, (r"kernels/\d+.npy", "sha256 differs")),
    "a stranger": (write("kernels/x.npy", b"x"), VERIFY, ("kernels/x.npy is not in the manifest",)),
    "a table cut short": (cut_table, INSPECT, ("units.parquet",)),
    "a table without a column": (drop_column, INSPECT, ("units.parquet", "in_norm")),
    "pickled kernels": (pickle_kernels, VERIFY, (r"kernels/\d+.npy",)),
    "a hostile network id": (resealed(hostile), INSPECT, ("manifest.json cannot be read",)),
    "no counts": (resealed(lambda m: m.update(counts={})), INSPECT, ("manifest.json cannot be read",)),
}


@pytest.mark.parametrize("name", BUNDLES)
def test_damaged_bundles_are_refused(commands: Commands, tmp_path: Path, name: str) -> None:
    change, command, words = BUNDLES[name]
    write_synthetic_bundle(tmp_path / "a.circuit")
    change(tmp_path / "a.circuit")
    before = listing(tmp_path)
    answer = commands.run(*command, "a.circuit", cwd=tmp_path)
    errors = answer.stderr[answer.stderr.find("error: ") :]
    assert_refused(Answer(answer.code, answer.stdout, errors), *words)
    assert listing(tmp_path) == before


def test_hostile_labels_reach_no_terminal(commands: Commands, tmp_path: Path) -> None:
    write_synthetic_bundle(tmp_path / "a.circuit")
    label = "[red]\x1b[31m:boom:\x07" * 50_000
    member = {"unit": "synthetic/layer1:0", "position": 0}
    family = {"uid": "synthetic/layer1!a", "name": label, "members": [member]}
    (tmp_path / "a.circuit" / "labels" / "families.json").write_text(json.dumps([family]), encoding="utf-8")
    reseal(tmp_path / "a.circuit", lambda m: m["info"].update(source=label, architecture=label))
    for further in ((), ("--layer", "layer1"), ("--unit", "layer1:0")):
        answer = commands.run("inspect", "a.circuit", *further, cwd=tmp_path)
        assert answer.code == 0, answer.stderr
        assert not re.search(r"[\x00-\x08\x0b-\x1f]", answer.stdout + answer.stderr)
        assert len(answer.stdout + answer.stderr) < 50_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none.circuit",), ("none.circuit", "no such bundle")),
        ((".",), ("manifest.json",)),
        (("a.circuit", "--unit", "layer1:99"), ("layer1:99", "16 units, 0 to 15")),
        (("a.circuit", "--unit", "layer1"), ("'layer1'", "network/layer:channel")),
        (("a.circuit", "--layer", "layr1"), ("layr1", "Did you mean layer1")),
        (("a.circuit", "--layer", "\x1b[31m"), ("does not exist",)),
        (("a.circuit", "--layer", "other/layer1"), ("this bundle holds synthetic",)),
    ],
)
def test_looking_for_what_is_not_in_a_bundle_says_what_is(
    commands: Commands, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    write_synthetic_bundle(tmp_path / "a.circuit")
    assert_refused(commands.run("inspect", *arguments, cwd=tmp_path), *words)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("BOLT_PORT", "x", ("bolt_port", "'x'", "CIRCUITGRAPH_BOLT_PORT")),
        ("HEAP", "lots", ("heap", "'lots'")),
        ("QUERY_TIMEOUT_S", "inf", ("query_timeout_s", "'inf'")),
        ("MAVEN_MIRROR", "ftp://x", ("maven_mirror", "ftp://x")),
        ("JAVA_HOME", "/nowhere", ("/nowhere/bin/java",)),
        ("DATA_DIR", "/dev/null", ("/dev/null", "CIRCUITGRAPH_DATA_DIR")),
        ("CONFIG", "/dev", ("settings file /dev",)),
    ],
)
def test_settings_that_cannot_be_used_are_refused(
    commands: Commands, tmp_path: Path, variable: str, value: str, words: tuple[str, ...]
) -> None:
    environment = {"CIRCUITGRAPH_DATA_DIR": str(tmp_path / "data"), f"CIRCUITGRAPH_{variable}": value}
    assert_refused(commands.run("server", "start", "-q", cwd=tmp_path, environment=environment), *words)


def test_a_taken_port_is_said(commands: Commands, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        environment = {"CIRCUITGRAPH_DATA_DIR": str(tmp_path / "data")}
        answer = commands.run("server", "start", "--port", str(port), "-q", cwd=tmp_path, environment=environment)
    assert_refused(answer, f"port {port} of 127.0.0.1 is taken", "CIRCUITGRAPH_BOLT_PORT")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("bolt://127.0.0.1:1", ("bolt://127.0.0.1:1", "does not answer")),
        ("http://127.0.0.1:1", ("'http://127.0.0.1:1' is not the address",)),
        ("neo4j://no.such.host.invalid", ("no.such.host.invalid", "does not answer")),
        ("::::", ("'::::' is not the address",)),
    ],
)
def test_a_database_that_is_not_there_is_said(
    commands: Commands, tmp_path: Path, address: str, words: tuple[str, ...]
) -> None:
    assert_refused(commands.run("query", "RETURN 1", "--store", address, cwd=tmp_path), *words)


def linked_jars(folder: Path) -> Path:
    """Copy the jars by link, but for the largest below 1 MiB, which is a file of its own with one byte flipped."""
    jars = folder / "jars"
    shutil.copytree(JARS, jars, copy_function=os.link)
    flipped = max((path for path in jars.rglob("*.jar") if path.stat().st_size < 2**20), key=lambda p: p.stat().st_size)
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.unlink()
    flipped.write_bytes(content)
    return flipped


def jars_environment(folder: Path, **further: str) -> dict[str, str]:
    return {
        "CIRCUITGRAPH_DATA_DIR": str(folder / "data"),
        "CIRCUITGRAPH_JARS_DIR": str(folder / "jars"),
        **{f"CIRCUITGRAPH_{name}": value for name, value in further.items()},
    }


@pytest.fixture(scope="module")
def served(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with bundles a, of which the database of `commands` has all, and b with other weights."""
    folder = tmp_path_factory.mktemp("served")
    write_synthetic_bundle(folder / "a.circuit")
    write_synthetic_bundle(folder / "b.circuit", seed=1)
    answer = commands.run("load", "a.circuit", "--way", "append", "-q", cwd=folder)
    assert answer.code == 0, answer.stderr
    yield folder
    commands.run("server", "stop", "-q", cwd=folder)


def test_a_flipped_jar_is_refused_where_no_other_can_be_had(commands: Commands, served: Path, tmp_path: Path) -> None:
    flipped = linked_jars(tmp_path)
    environment = jars_environment(tmp_path, MAVEN_MIRROR="http://127.0.0.1:1")
    answer = commands.run("server", "start", "-q", cwd=tmp_path, environment=environment)
    assert_refused(answer, re.escape(flipped.name), "http://127.0.0.1:1", "CIRCUITGRAPH_MAVEN_MIRROR")
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.slow
def test_a_flipped_jar_is_fetched_again(commands: Commands, served: Path, tmp_path: Path) -> None:
    flipped = linked_jars(tmp_path)
    environment = jars_environment(tmp_path)
    try:
        answer = commands.run("server", "start", "-q", cwd=tmp_path, environment=environment)
        assert answer.code == 0, answer.stderr
        original = next(JARS.rglob(flipped.name))
        assert flipped.read_bytes() == original.read_bytes()
    finally:
        commands.run("server", "stop", "-q", cwd=tmp_path, environment=environment)


# name -> (arguments, exit code, what the message says)
LOADS: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "other weights under the id": (("b.circuit",), 1, ("loading synthetic: other weights", "--replace")),
    "two under one id": (("a.circuit", "b.circuit"), 1, ("same network id", "synthetic")),
    "no bundle": (("none.circuit",), 1, ("none.circuit", "no such bundle")),
    "other edges": (("a.circuit", "--edges", "top:2"), 1, ("top:2", "--replace")),
    "edges in words": (("a.circuit", "--edges", "some"), 1, ("'some'", "top:20")),
    "edges without end": (("a.circuit", "--edges", f"top:{'9' * 5000}"), 1, ("top:9",)),
    "an unknown way": (("a.circuit", "--way", "magic"), 2, ("--way", "magic")),
}


@pytest.mark.parametrize("name", LOADS)
def test_loads_that_cannot_be_done_are_refused(commands: Commands, served: Path, name: str) -> None:
    arguments, code, words = LOADS[name]
    assert_refused(commands.run("load", *arguments, "-q", cwd=served), *words, code=code)


# name -> (Cypher, further arguments, exit code, what the message says)
QUERIES: dict[str, tuple[str, tuple[str, ...], int, tuple[str, ...]]] = {
    "empty": ("", (), 1, ("Unexpected end of input|empty",)),
    "two statements": ("RETURN 1; RETURN 2", (), 1, ("Expected exactly one statement",)),
    "half a statement": ("MATCH (n RETURN n", (), 1, ("Invalid input 'RETURN'",)),
    "a write": ("CREATE (n) RETURN n", (), 1, ("was not run", "Create")),
    "a write behind PROFILE": ("PROFILE CREATE (n)", (), 1, ("planning the query",)),
    "a file": ("LOAD CSV FROM 'file:///etc/passwd' AS l RETURN l", (), 1, ("was not run", "LoadCSV")),
    "an account": ("SHOW USERS", (), 1, ("was not run",)),
    "a procedure": ("CALL dbms.components()", (), 1, ("dbms.components is not on the list",)),
    "a missing parameter": ("RETURN $x", (), 1, (r"parameter\(s\): x",)),
    "a parameter without =": ("RETURN $x", ("-p", "x"), 2, ("'x' is not name=value",)),
    "a parameter without name": ("RETURN $x", ("-p", "=3"), 2, ("'=3' is not name=value",)),
    "a parameter too large": ("RETURN $x", ("-p", f"x={10**30}"), 1, ("cannot be sent",)),
    "too long": (
        "UNWIND range(1, 1000000000000) AS x WITH x WHERE x < 0 RETURN x",
        ("--timeout", "1"),
        1,
        ("--timeout",),
    ),
    "too large": ("UNWIND range(1, 100000000) AS x RETURN collect(x)", (), 1, ("more memory|took longer",)),
    "no such query on the shelf": ("", ("--name", "../../etc/passwd"), 1, ("'../../etc/passwd'", "strongest-clients")),
}


@pytest.mark.parametrize("name", QUERIES)
def test_queries_that_cannot_be_answered_are_refused(commands: Commands, served: Path, name: str) -> None:
    cypher, further, code, words = QUERIES[name]
    text = () if "--name" in further else (cypher,)
    assert_refused(commands.run("query", *text, *further, cwd=served), *words, code=code)


def test_a_parameter_without_bottom_is_text(commands: Commands, served: Path) -> None:
    answer = commands.run("query", "RETURN size($x) AS n", "-p", f"x={'[' * 100_000}", "--format", "csv", cwd=served)
    assert (answer.code, answer.stdout) == (0, "n\n100000\n")


def test_a_query_with_a_long_text_is_answered(commands: Commands, served: Path) -> None:
    answer = commands.run("query", f"RETURN size('{'x' * 100_000}') AS n", "--format", "csv", cwd=served)
    assert (answer.code, answer.stdout) == (0, "n\n100000\n")


def test_answers_with_escapes_reach_no_terminal(commands: Commands, served: Path) -> None:
    answer = commands.run("query", "RETURN '[red]\x1b[31m:boom:' AS `[blue]\x1b[32m`", cwd=served)
    assert answer.code == 0
    assert "\x1b" not in answer.stdout
    assert "[red]" in answer.stdout and ":boom:" in answer.stdout


def status(commands: Commands, folder: Path) -> dict[str, Any]:
    row = json.loads(commands.run("server", "status", "--json", cwd=folder).stdout)["rows"][0]
    assert isinstance(row, dict)
    return row


def test_a_wrong_password_is_said_without_saying_it(commands: Commands, served: Path) -> None:
    uri = str(status(commands, served)["uri"])
    environment = {"CIRCUITGRAPH_PASSWORD": "hunter2"}
    answer = commands.run("query", "RETURN 1", "--store", uri, cwd=served, environment=environment)
    assert_refused(answer, uri, "'neo4j'", "refuses the user or password", "CIRCUITGRAPH_PASSWORD")
    assert "hunter2" not in answer.stdout + answer.stderr


def test_a_killed_server_is_said_and_started_again(commands: Commands, served: Path) -> None:
    now = status(commands, served)
    os.kill(int(now["pid"]), signal.SIGKILL)
    assert_refused(commands.run("query", "RETURN 1", "--store", str(now["uri"]), cwd=served), "does not answer")
    answer = commands.run("query", "MATCH ()-[e:CONNECTS]->() RETURN count(e) AS n", "--format", "csv", cwd=served)
    assert (answer.code, answer.stdout) == (0, f"n\n{3 * 16 + 16 * 12 + 12 * 8}\n"), answer.stderr
