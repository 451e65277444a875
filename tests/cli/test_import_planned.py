"""What ``circuitgraph import`` says of what it would do, and of what it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.calling import Call, caller

MODULE = """
import torch
from torch import nn

class Bounded(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.third = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3), nn.Conv2d(5, 6, 3)
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, x):
        x = self.relu2(torch.tanh(self.second(self.relu1(self.first(x)))))
        return self.relu3(self.third(x))
"""
ARGUMENTS = ("torch", "boundednet:Bounded", "--input", "3x12x12", "--network", "n", "--fidelity", "0")


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    (tmp_path / "boundednet.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return caller(tmp_path, capsys, monkeypatch, group="import")


def test_a_dry_run_lists_pairs_sizes_and_refusals_and_writes_nothing(call: Call, tmp_path: Path) -> None:
    code, out, err = call(*ARGUMENTS, "--dry-run")
    assert code == 1, "the import would stop"
    assert "n: 4 layers by the rule 'auto', 2 pairs, 1,512 bytes of kernels" in out
    assert "relu1  relu2" in out
    assert "tanh" in out
    assert "nothing was written" in err
    code, out, _ = call(*ARGUMENTS, "--dry-run", "--skip-refused", "--json")
    assert code == 0
    plan = json.loads(out)
    assert (plan["schema"], plan["bytes"]) == ("circuitgraph/plan", 1512)
    assert [(row["up"], row["bytes"]) for row in plan["tables"]["pairs"]["rows"]] == [("input", 432), ("relu2", 1080)]
    assert [row["down"] for row in plan["tables"]["refused"]["rows"]] == ["relu2"]
    assert not list(tmp_path.glob("*.circuit*"))


def test_a_refusal_ends_an_import_with_status_1_and_nothing_written(call: Call, tmp_path: Path) -> None:
    code, out, err = call(*ARGUMENTS)
    assert (code, out) == (1, "")
    assert "error: expanding n/relu2:" in err
    assert "tanh" in err
    assert not list(tmp_path.glob("*.circuit*"))


def test_skipped_refusals_are_counted_and_listed_and_the_status_is_0(call: Call) -> None:
    code, out, err = call(*ARGUMENTS, "--skip-refused")
    assert code == 0
    assert "n.circuit: n, 4 layers" in out
    assert "left out: n/relu1 -> n/relu2: expanding n/relu2:" in err
    assert "warning: what could not be expanded is left out: pairs 1, layers 1" in err
    code, out, _ = call("n.circuit", group="inspect")
    assert code == 0
    assert "pairs left out of this bundle (--skip-refused)" in out
    assert "tanh" in out


def test_the_largest_block_is_told_beforehand_and_one_above_the_budget_is_named(call: Call) -> None:
    code, _, err = call(*ARGUMENTS, "--skip-refused")
    assert "2 pairs of layers, 1,512 bytes of kernels; the largest, n/relu2 -> n/relu3, takes 1,080" in err
    code, _, err = call(*ARGUMENTS, "--replace", "--skip-refused", "--max-block", "500")
    assert code == 0
    assert "left out: n/relu2 -> n/relu3: expanding n/relu2 -> n/relu3: 6 x 5 kernels of 3x3" in err
    assert "the limit is 500" in err
