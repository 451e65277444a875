"""Imports that are refused, left out, killed, interrupted or made twice: what stands on the disk afterwards."""

from __future__ import annotations

import itertools
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from circuitgraph import Bundle
from circuitgraph.bundle.describe import describe_network
from circuitgraph.bundle.verify import verify_bundle
from circuitgraph.errors import BlockTooLargeError, UnsupportedOperationError
from importers import import_torch, plan_import
from tests.cli.running import COMMAND, environment

CHANNELS = (3, 8, 9, 10, 11, 12)
SHAPE = "3x12x12"

MODULE = """
import torch

CHANNELS = {channels}

def build(bias=True):
    torch.manual_seed(0)
    layers = []
    for up, down in zip(CHANNELS, CHANNELS[1:]):
        layers += [torch.nn.Conv2d(up, down, 3, padding=1, bias=bias), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers)
"""

# the process kills itself when all files of the fourth layer are written, before it is said to be finished
KILLED = """
import os, signal, sys
from circuitgraph.bundle.partial import PartialBundle
from circuitgraph.cli.main import main

real = PartialBundle.write_state

def write_state(self, index, state):
    if index == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, index, state)

PartialBundle.write_state = write_state
main()
"""

FILLED = """
from pathlib import Path
from shutil import disk_usage
from circuitgraph import Bundle
from circuitgraph.bundle.verify import verify_bundle
from circuitgraph.errors import DiskFullError
from importers import import_torch

def write(**options):
    import_torch(build(), network="x", out="disk/x.circuit", input_shape=(3, 12, 12), fidelity=0, **options)

write()
before = Path("disk/x.circuit/manifest.json").read_bytes()
Path("disk/other").write_bytes(bytes(disk_usage("disk").free - 60_000))
try:
    write(units="activations", replace=True)
except DiskFullError as error:
    print(error)
print(
    sorted(path.name for path in Path("disk").iterdir()),
    Path("disk/x.circuit/manifest.json").read_bytes() == before,
    list(verify_bundle(Bundle.open("disk/x.circuit")).differences),
)
"""


class Notes:
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)

    def task(self, *arguments: Any, **named: Any) -> Any:
        from circuitgraph.progress import SILENT

        return SILENT.task(*arguments, **named)


class Bounded(nn.Module):
    """The middle one of three layers cannot be expanded."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.third = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3), nn.Conv2d(5, 6, 3)
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu2(torch.tanh(self.second(self.relu1(self.first(x)))))
        out: torch.Tensor = self.relu3(self.third(x))
        return out


def network() -> nn.Module:
    names: dict[str, Any] = {}
    exec(MODULE.format(channels=CHANNELS), names)
    module: nn.Module = names["build"]()
    return module


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def arguments(*more: str) -> list[str]:
    return ["import", "torch", "mynet:build", "--input", SHAPE, "--network", "mynet", *more]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which an import was killed while the fourth of five layers was under way."""
    folder = tmp_path_factory.mktemp("left")
    (folder / "mynet.py").write_text(MODULE.format(channels=CHANNELS), encoding="utf-8")
    stopped = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments()],
        cwd=folder,
        env=environment(folder, SOURCE_DATE_EPOCH="1700000000"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert stopped.returncode == -signal.SIGKILL, stopped.stderr
    assert "mynet.circuit" not in {path.name for path in folder.iterdir()}
    return folder


@pytest.fixture
def killed(left: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(left, tmp_path / "killed"))


def go_on(folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[Bundle, list[str]]:
    """Give the same command again, in this process, and listen."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.syspath_prepend(folder)
    sys.modules.pop("mynet", None)
    notes = Notes()
    given: dict[str, Any] = {"network": "mynet", "input_shape": (3, 12, 12), "progress": notes}
    bundle = import_torch("mynet:build", out=folder / "mynet.circuit", **{**given, **options})
    return bundle, notes.said


def test_a_block_above_the_budget_is_refused_by_name_before_anything_is_computed_or_written(tmp_path: Path) -> None:
    with pytest.raises(BlockTooLargeError) as caught:
        import_torch(network(), network="n", out=tmp_path / "n.circuit", input_shape=(3, 12, 12), max_block_bytes=4_000)
    assert caught.value.message.startswith("expanding n/7 -> n/9: 12 x 11 kernels of 3x3")
    assert "take 4,752 bytes, the limit is 4,000" in caught.value.message
    assert "--max-block 4752" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_the_plan_of_an_import_says_what_the_bundle_takes_and_writes_nothing(tmp_path: Path) -> None:
    plan = plan_import(import_torch, network(), network="n", out=tmp_path / "n.circuit", input_shape=(3, 12, 12))
    assert list(tmp_path.iterdir()) == []
    assert [(pair.up, pair.down, pair.bytes) for pair in plan.pairs] == [
        (f"n/{2 * i - 1}" if i else "n/input", f"n/{2 * i + 1}", 4 * 9 * up * down)
        for i, (up, down) in enumerate(itertools.pairwise(CHANNELS))
    ]
    assert plan.largest is not None
    assert (plan.largest.down, plan.refused, plan.approximations) == ("n/9", (), ())
    bundle = import_torch(network(), network="n", out=tmp_path / "n.circuit", input_shape=(3, 12, 12))
    assert plan.bytes == sum(bundle.block(*pair).kernels.nbytes for pair in bundle.pairs)


def test_what_cannot_be_expanded_is_left_out_and_listed_where_that_is_asked_for(tmp_path: Path) -> None:
    given: dict[str, Any] = {"network": "n", "out": tmp_path / "n.circuit", "input_shape": (3, 12, 12)}
    with pytest.raises(UnsupportedOperationError, match="tanh"):
        import_torch(Bounded(), **given)
    assert list(tmp_path.iterdir()) == []
    notes = Notes()
    bundle = import_torch(Bounded(), skip_refused=True, progress=notes, **given)
    assert any("1 of 3 layers cannot be expanded" in said and "tanh" in said for said in notes.said)
    assert bundle.pairs == (("n/input", "n/relu1"), ("n/relu2", "n/relu3"))
    assert [(pair.up, pair.down) for pair in bundle.refused] == [("n/relu1", "n/relu2")]
    assert "tanh" in bundle.refused[0].reason
    assert verify_bundle(bundle).differences == ()
    # what is not known is not told as zero
    assert np.isnan(bundle.bias("relu2")).all()
    assert not bundle.units["is_dead"].to_numpy(zero_copy_only=False)[7:12].any()
    assert np.isfinite(bundle.bias("relu3")).all()
    tables = {table.name: table for table in describe_network(bundle)}
    assert [(row["up"], row["down"]) for row in tables["refused"].rows] == [("relu1", "relu2")]
    with Bundle.open(bundle.path) as again:
        assert again.refused == bundle.refused


def test_an_import_of_which_nothing_is_left_is_refused_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(BlockTooLargeError) as caught:
        import_torch(
            network(),
            network="n",
            out=tmp_path / "n.circuit",
            input_shape=(3, 12, 12),
            max_block_bytes=1,
            skip_refused=True,
        )
    assert caught.value.__notes__ == ["Layers that cannot be expanded either: 4."]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_killed_import_goes_on_where_it_was_and_ends_with_the_same_bytes(
    killed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = killed / "mynet.circuit.partial" / "kernels"
    before = {file.name: file.stat().st_mtime_ns for file in kernels.iterdir()}
    assert len(before) == 4
    bundle, said = go_on(killed, monkeypatch)
    assert "going on with an interrupted import: 3 of 5 layers done" in said
    again = [name for name, moment in before.items() if (bundle.path / "kernels" / name).stat().st_mtime_ns != moment]
    assert again == ["00040000.npy"], "only the layer that was under way is computed again"
    whole = tmp_path / "whole"
    whole.mkdir()
    shutil.copy(killed / "mynet.py", whole)
    other, _ = go_on(whole, monkeypatch)
    assert contents(bundle.path) == contents(other.path)
    assert sorted(path.name for path in killed.iterdir() if path.name.startswith("mynet.c")) == ["mynet.circuit"]


@pytest.mark.parametrize(
    ("options", "other"),
    [
        ({"kwargs": {"bias": False}}, "weights, options, network"),
        ({"units": ["1", "5", "9"]}, "options, layers"),
        ({"input_shape": (3, 14, 14)}, "info, layers, network"),
    ],
)
def test_what_another_import_left_is_not_gone_on_with_and_that_is_said(
    killed: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], other: str
) -> None:
    bundle, said = go_on(killed, monkeypatch, **options)
    assert f"what is left of an interrupted import is not of this one (other {other}): begun anew" in said
    assert verify_bundle(bundle).differences == ()


def test_a_finished_layer_that_was_damaged_meanwhile_is_made_again(
    killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = killed / "mynet.circuit.partial" / "kernels" / "00020000.npy"
    damaged = bytearray(file.read_bytes())
    damaged[-1] ^= 1
    file.write_bytes(bytes(damaged))
    (killed / "mynet.circuit.partial" / "edges" / "0001.parquet").write_bytes(b"")
    bundle, said = go_on(killed, monkeypatch)
    assert "going on with an interrupted import: 1 of 5 layers done" in said
    assert verify_bundle(bundle).differences == ()


@pytest.mark.slow
def test_a_disk_that_fills_up_leaves_the_bundle_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "mynet.py").write_text(MODULE.format(channels=CHANNELS) + FILLED, encoding="utf-8")
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-Urm", "true"], check=False).returncode:
        pytest.skip("a small full disk needs `unshare -Urm`; the writer's test with RLIMIT_FSIZE stands in")
    mount = 'mkdir disk && mount -t tmpfs -o size=400k tmpfs disk && exec "$@"'
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", mount, "sh", sys.executable, "mynet.py"],
        cwd=tmp_path,
        env=environment(tmp_path, PYTHONPATH=str(Path(__file__).parents[2])),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "no room left on the target" in done.stdout
    assert done.stdout.endswith("['other', 'x.circuit'] True []\n")


@pytest.mark.slow
def test_two_imports_of_the_same_weights_differ_in_the_moment_they_were_made_and_in_nothing_else(
    tmp_path: Path,
) -> None:
    made = []
    for number, more in enumerate(
        (
            {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "USER": "ada"},
            {
                "PYTHONHASHSEED": "2",
                "OMP_NUM_THREADS": "2",
                "OPENBLAS_NUM_THREADS": "2",
                "USER": "grace",
                "TZ": "Asia/Tokyo",
            },
        )
    ):
        folder = tmp_path / f"folder{number}"
        folder.mkdir()
        (folder / "mynet.py").write_text(MODULE.format(channels=(3, 64, 96, 128)), encoding="utf-8")
        done = subprocess.run(
            [str(COMMAND), *arguments("--units", "1,5", "--quiet")],
            cwd=folder,
            env=environment(folder, **more),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        made.append(contents(folder / "mynet.circuit"))
    one, other = ({**files, "manifest.json": without_moment(files["manifest.json"])} for files in made)
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []
    assert not any(str(tmp_path).encode() in content for content in one.values())


def without_moment(manifest: bytes) -> bytes:
    content = json.loads(manifest)
    del content["created"]
    return json.dumps(content, indent=1).encode()
