"""`inspect --approximations`: what is stored, measuring anew on one's own images, and what is asked for wrongly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from circuitgraph.bundle import Bundle
from importers import import_torch
from importers.architectures import resnet20
from tests.cli.calling import Call, caller
from tests.importers.autograd import randomise


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    return caller(tmp_path, capsys, monkeypatch, group="inspect")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    module = randomise(resnet20(), 1)
    file = tmp_path / "weights.npz"
    state = {name: value.numpy() for name, value in module.state_dict().items() if not name.endswith("tracked")}
    np.savez(file, **state)
    import_torch(
        "importers.architectures:resnet20",
        weights=file,
        out=tmp_path / "net.circuit",
        network="net",
        input_shape=(3, 32, 32),
        fidelity=0,
    )
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 255, (3, 3, 32, 32), dtype=np.uint8))
    return file


def test_a_bundle_is_measured_on_a_users_images_and_keeps_it_when_told(call: Call, weights: Path) -> None:
    path = weights.with_name("net.circuit")
    code, out, err = call(path, "--approximations", "--json")
    assert (code, json.loads(out)["tables"]["fidelity"]["rows"]) == (0, [])
    assert "not measured" in err
    images = weights.with_name("images.npy")
    options = ("--weights", weights, "--images", images, "--mean", "0.5", "--std", "0.25", "--count", "2")
    code, out, err = call(path, "--approximations", *options, "--json")
    assert code == 0
    tables = json.loads(out)["tables"]
    assert "measured on 2 images of images.npy (mean 0.5, std 0.25), seed 0" in err
    assert tables["approximations"]["rows"][1]["ignored_activations"] == 1
    assert Bundle.open(path).fidelity is None
    code, again, err = call(path, "--approximations", *options, "--save", "--json")
    assert (code, json.loads(again)["tables"]) == (0, tables)
    assert "the measurement is saved" in err
    code, stored, _ = call(path, "--approximations", "--json")
    assert json.loads(stored)["tables"] == tables
    code, out, _ = call(path, "--approximations", "--table", "fidelity")
    assert code == 0 and "layer3.2" in out


def test_what_does_not_go_together_is_refused_before_anything_is_read(call: Call, tmp_path: Path) -> None:
    for arguments, said in (
        (("--approximations", "--layer", "x"), "give one of --layer"),
        (("--weights", "w"), "--weights goes with --approximations"),
        (("--save",), "--save goes with --approximations"),
        (("--approximations", "--save"), "--save needs something to measure with"),
        (("--approximations", "--mean", "0.5"), "--mean and --std are for --images"),
        (("--approximations", "--images", "x", "--noise-std", "2"), "--noise-std is for noise"),
        (("--approximations", "--images", "x", "--mean", "a"), "is not numbers with commas"),
    ):
        code, _, err = call(tmp_path / "none.circuit", *arguments)
        assert code == 2
        assert said in " ".join(err.split())


def test_other_weights_are_an_error_of_one_line(call: Call, weights: Path) -> None:
    path = weights.with_name("net.circuit")
    arrays = dict(np.load(weights))
    np.savez(weights, **{name: value + 1 for name, value in arrays.items()})
    code, _, err = call(path, "--approximations", "--weights", weights)
    assert code == 1
    assert "the module's weights are" in err
    assert "Traceback" not in err
