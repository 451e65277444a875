"""What ``circuitgraph import`` is told of steps that are not linear, and what it says of the rule for layers."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from importers import Linearisation, import_torch
from importers.unit_layers import UnitRuleWarning
from tests.cli.calling import Call, caller

MODULE = """
import torch
from torch import nn

class Bottleneck(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.inner, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1)
        self.narrow, self.act, self.gate = nn.Conv2d(4, 4, 1), nn.SiLU(), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        x = self.act(self.first(x))
        inner = self.act(self.inner(x))
        inner = inner * torch.sigmoid(self.gate(inner.mean((2, 3), keepdim=True)))
        return self.last(x + self.narrow(inner))
"""
ARGUMENTS = ("torch", "smoothnet:Bottleneck", "--input", "3x12x12", "--network", "n", "--fidelity", "0")


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    (tmp_path / "smoothnet.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return caller(tmp_path, capsys, monkeypatch, group="import")


def options_of(folder: Path) -> dict:
    manifest = json.loads((folder / "n.circuit" / "manifest.json").read_text(encoding="utf-8"))
    return (manifest.get("info") or manifest["network"])["options"]


def test_choices_are_recorded_and_the_rule_that_gave_way_is_told_in_one_line(call: Call, tmp_path: Path) -> None:
    code, out, err = call(*ARGUMENTS, "--smooth", "identity", "--gate", "0.25")
    assert code == 0, err
    assert "n.circuit: n, 4 layers" in out
    (line,) = [line for line in err.splitlines() if "would leave" in line]
    assert line.startswith("warning: n: the rule 'auto' would leave")
    assert "linear bottlenecks" in line
    assert ".py" not in line
    assert options_of(tmp_path)["gate"] == 0.25
    assert "silu=identity: silu is taken at slope 1" in err
    assert "gate=0.25: gates are taken as 0.25" in err


def test_a_gate_is_measured_on_images_that_are_given_and_on_nothing_else(call: Call, tmp_path: Path) -> None:
    code, _, err = call(*ARGUMENTS, "--smooth", "identity", "--gate", "mean")
    assert code == 2
    assert "--gate mean --images FOLDER" in err
    np.save(tmp_path / "images.npy", np.random.default_rng(0).standard_normal((2, 3, 12, 12)).astype(np.float32))
    code, _, err = call(*ARGUMENTS, "--smooth", "identity", "--gate", "mean", "--images", str(tmp_path / "images.npy"))
    assert code == 0, err
    options = options_of(tmp_path)
    assert len(options["gate"]["mul"]) == 4
    assert options["gate_measured"]["images"] == 2


def test_without_a_choice_nothing_is_written(call: Call, tmp_path: Path) -> None:
    code, _, err = call(*ARGUMENTS)
    assert code == 1
    assert "--smooth identity" in err
    assert not list(tmp_path.glob("*.circuit*"))


def test_the_library_warns_as_python_does(call: Call, tmp_path: Path) -> None:
    with pytest.warns(UnitRuleWarning, match="linear bottlenecks"):
        bundle = import_torch(
            "smoothnet:Bottleneck",
            network="n",
            input_shape=(3, 12, 12),
            out=tmp_path / "library.circuit",
            linearisation=Linearisation(smooth="identity", gate=0.5),
            fidelity=0,
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bundle.block("act#1", "last").approximations == ("gate=0.5",)
