"""Kernels from files land on a named architecture, whatever their names and axes; what does not fit is said."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn
from torchvision import models

from circuitgraph.errors import CircuitGraphError, MappingError, MissingFileError, ShapeError
from importers import import_kernels, import_torch
from importers.linearise import linearise
from importers.unit_layers import choose_unit_layers
from importers.weights.mapping import shipped_mappings

MAPPING = """
architecture = "importers.architectures:tiny_vgg"
network = "tiny"
input_shape = [3, 44, 44]
layout = "{layout}"
[kwargs]
width = 4
classes = 3
size = 44
[parameters]
kernel = "weight"
[tensors]
"top/b" = "output.bias"
"top/w" = "output.weight"
[flatten]
"output.weight" = {{ order = "{order}", map = [4, 2, 2] }}
[layers]
early = "relu_1_1"
"""
CONVS = [f"conv_{stage}_{place}" for stage in (1, 2, 3) for place in (1, 2)]


def arrays(rng, layout):
    axes = {"OIHW": (0, 1, 2, 3), "HWIO": (2, 3, 1, 0), "OHWI": (0, 2, 3, 1)}[layout]
    truth, written = {}, {}
    for place, name in enumerate(CONVS):
        truth[name] = rng.normal(size=(4, 4 if place else 3, 3, 3)).astype(np.float32)
        written[f"{name}.kernel"] = np.ascontiguousarray(truth[name].transpose(axes))
        written[f"{name}.bias"] = rng.normal(size=4).astype(np.float32)
    truth["output"] = rng.normal(size=(3, 16)).astype(np.float32)
    written["top/w"] = truth["output"].T.copy() if layout == "HWIO" else truth["output"]
    written["top/b"] = np.zeros(3, dtype=np.float32)
    return truth, written


@pytest.fixture
def mapping(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(MAPPING.format(layout="OIHW", order="HWC"))
    return path


@pytest.mark.parametrize("layout", ["OIHW", "HWIO", "OHWI"])
def test_every_order_of_axes_gives_the_same_kernels(tmp_path, mapping, layout):
    truth, written = arrays(np.random.default_rng(0), layout)
    mapping.write_text(MAPPING.format(layout=layout, order="CHW"))
    np.savez(tmp_path / "k.npz", **written)
    with import_kernels(tmp_path / "k.npz", mapping=mapping, out=tmp_path / "k.circuit") as bundle:
        assert [layer.name for layer in bundle.layers][:3] == ["input", "early", "relu_1_2"]
        assert "relu_1_1" in bundle.layers[1].aliases
        assert np.array_equal(bundle.block("tiny/input", "tiny/early").kernels, truth["conv_1_1"])
        assert np.array_equal(bundle.block("early", "relu_1_2").kernels, truth["conv_1_2"])
        assert np.array_equal(bundle.block("max_pool_3", "output").kernels.reshape(3, 16), truth["output"])
        assert np.array_equal(bundle.bias("relu_2_1"), written["conv_2_1.bias"])
        assert bundle.info.options["layout"] == layout


def test_a_map_flattened_position_by_position_is_put_in_order(shared_data, tmp_path):
    path = shared_data / "tinyvgg" / "nn_10.json"
    with import_kernels(path, arch="importers.architectures:tiny_vgg", out=tmp_path / "t.circuit") as bundle:
        kernels = bundle.block("max_pool_3", "output").kernels
    flat = np.array([unit["weights"] for unit in json.loads(path.read_text())[-1]["weights"]], dtype=np.float32)
    for row, col, channel in ((0, 0, 0), (0, 0, 7), (0, 3, 1), (2, 1, 9)):
        assert np.array_equal(kernels[:, channel, row, col], flat[:, (row * 4 + col) * 10 + channel])


def test_the_same_weights_hash_alike_from_every_kind_of_file(tmp_path, mapping):
    _, written = arrays(np.random.default_rng(1), "OIHW")
    np.savez(tmp_path / "k.npz", **written)
    save_file(written, tmp_path / "k.safetensors")
    torch.save({"state_dict": {k: torch.from_numpy(v) for k, v in written.items()}}, tmp_path / "k.pth")
    hashes = {
        import_kernels(tmp_path / name, mapping=mapping, out=tmp_path / f"{name}.circuit").info.weights_sha256
        for name in ("k.npz", "k.safetensors", "k.pth")
    }
    assert len(hashes) == 1


def spoilt(change):
    _, written = arrays(np.random.default_rng(2), "OIHW")
    change(written)
    return written


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("conv_2_1.bias"), "1 of its parameters have no tensor: conv_2_1.bias"),
        (lambda w: w.update(extra=np.zeros(2)), "1 of 15 tensors have no place in it: extra"),
        (
            lambda w: w.update({"conv_2_1.kernel": np.zeros((4, 5, 3, 3), "f4")}),
            "conv_2_1.kernel has 5 inputs, but conv_2_1.weight takes 4",
        ),
        (
            lambda w: w.update({"conv_2_1.kernel": np.zeros((6, 4, 3, 3), "f4")}),
            "conv_2_1.kernel has 6 units, but conv_2_1.weight has 4",
        ),
        (
            lambda w: w.update({"conv_2_1.kernel": np.zeros((4, 4, 5, 5), "f4")}),
            "conv_2_1.kernel is 4x4x5x5, but conv_2_1.weight is 4x4x3x3",
        ),
        (lambda w: w.update({"conv_1_1.weight": w["conv_1_1.kernel"]}), "are both conv_1_1.weight"),
        (
            lambda w: w.update({"top/w": np.zeros((3, 5), "f4")}),
            "it takes 5 inputs, but a flattened map of 4x2x2 has 16",
        ),
    ],
)
def test_a_file_that_does_not_fit_its_mapping_is_refused(tmp_path, mapping, change, said):
    np.savez(tmp_path / "k.npz", **spoilt(change))
    with pytest.raises(MappingError) as caught:
        import_kernels(tmp_path / "k.npz", mapping=mapping, out=tmp_path / "k.circuit")
    assert said in caught.value.message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k.npz", "tiny.toml"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("architecture = ", "reading the mapping bad.toml: "),
        ('architecture = "alexnet"\nlayuot = "OIHW"', "layuot"),
        ('architecture = "alexnet"\nlayout = "IHWO"', "layout"),
        ('network = "x"', "architecture"),
    ],
)
def test_a_mapping_that_cannot_be_read_is_refused(tmp_path, text, said):
    np.savez(tmp_path / "k.npz", a=np.zeros(1))
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(MappingError, match=said):
        import_kernels(tmp_path / "k.npz", mapping=tmp_path / "bad.toml", out=tmp_path / "k.circuit")


def test_without_an_architecture_or_a_mapping_nothing_is_guessed(tmp_path):
    np.savez(tmp_path / "k.npz", a=np.zeros(1))
    with pytest.raises(MappingError, match="which architecture"):
        import_kernels(tmp_path / "k.npz", out=tmp_path / "k.circuit")
    with pytest.raises(MissingFileError) as caught:
        import_kernels(tmp_path / "k.npz", mapping="none.toml", out=tmp_path / "k.circuit")
    assert all(name in caught.value.hint for name in shipped_mappings())


def test_squeezenet_put_onto_its_newer_sister_is_refused_with_what_does_not_fit(shared_data, tmp_path):
    path = shared_data / "squeezenet" / "squeezenet_v1.0_pruned.npz"
    with pytest.raises(CircuitGraphError) as caught:
        import_kernels(path, mapping="squeezenet1_0_caffe", arch="squeezenet1_1", out=tmp_path / "s.circuit")
    assert "onto squeezenet1_1: 12 of 52 tensors have no place in it: fire4.squeeze1x1.W" in caught.value.message
    assert "12 of its parameters have no tensor: features.6.squeeze.weight" in caught.value.message


def names_of(module, shape, units="auto"):
    layers, _ = choose_unit_layers(linearise(module, shape), "net", units)
    return {own.layer.name: own.layer for own in layers}


def test_layers_are_named_by_the_modules_that_return_them():
    squeezenet = names_of(models.squeezenet1_1(weights=None), (3, 224, 224))
    assert list(squeezenet)[:5] == ["input", "features.1", "features.3", "features.4", "features.6"]
    assert "classifier.3" in squeezenet["classifier.2"].aliases
    googlenet = names_of(models.googlenet(weights=None, init_weights=False, aux_logits=False), (3, 224, 224))
    assert list(googlenet)[1:6] == ["conv1", "conv2", "conv3", "inception3a", "inception3b"]
    resnet = names_of(models.resnet18(weights=None), (3, 224, 224))
    assert "layer1" in resnet["layer1.1"].aliases
    assert "layer1.1.relu#1" in resnet["layer1.1"].aliases
    assert resnet["layer2.0"].stride == (8, 8)
    alexnet = names_of(models.alexnet(weights=None), (3, 224, 224))
    assert alexnet["avgpool"].kind == "pooled"
    assert {"features.12", "features", "flatten"} <= set(alexnet["avgpool"].aliases)


def test_the_shape_of_the_input_is_asked_for_where_it_is_not_known(tmp_path):
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    with pytest.raises(ShapeError) as caught:
        import_torch(net, network="n", out=tmp_path / "n.circuit")
    assert "--input 3x32x32" in caught.value.hint
