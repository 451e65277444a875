"""Ctrl-C in the middle of an import: a real signal, at the same place each time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from circuitgraph import Bundle
from circuitgraph.bundle.verify import verify_bundle
from tests.cli.running import environment, run

MODULE = """
import torch

def build():
    torch.manual_seed(0)
    layers = []
    for up, down in ((3, 4), (4, 5), (5, 6), (6, 7)):
        layers += [torch.nn.Conv2d(up, down, 3, padding=1), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers)
"""

# sends the process the signal of Ctrl-C when two layers are done
INTERRUPTED = """
import os, signal
from circuitgraph.bundle import BundleWriter
from circuitgraph.cli.main import main

# whom a shell began with & does not hear it
signal.signal(signal.SIGINT, signal.default_int_handler)
real, done = BundleWriter.add_target, []

def add_target(self, *arguments, **named):
    real(self, *arguments, **named)
    done.append(1)
    if len(done) == 2:
        os.kill(os.getpid(), signal.SIGINT)

BundleWriter.add_target = add_target
main()
"""


def test_an_interrupted_import_is_exit_code_130_and_the_same_command_goes_on(tmp_path: Path) -> None:
    (tmp_path / "mynet.py").write_text(MODULE, encoding="utf-8")
    arguments = ["import", "torch", "mynet:build", "--input", "3x8x8", "--network", "mynet"]
    stopped = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *arguments],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert stopped.returncode == 130, stopped.stderr
    assert stopped.stdout == ""
    assert "interrupted; the same command goes on where it was." in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not (tmp_path / "mynet.circuit").exists()
    resumed = run(*arguments, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "going on with an interrupted import: 2 of 4 layers done" in resumed.stderr
    with Bundle.open(tmp_path / "mynet.circuit") as bundle:
        assert verify_bundle(bundle).differences == ()
        assert [layer.unit_count for layer in bundle.layers] == [3, 4, 5, 6, 7]
    assert not list(tmp_path.glob("*.partial*")) + list(tmp_path.glob("*.lock"))
