"""Networks and weights as users have them: factories in packages and files, checkpoints of training code."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from circuitgraph.errors import (
    ArchitectureError,
    CircuitGraphError,
    MappingError,
    MissingFileError,
    NonFiniteError,
    ShapeError,
    WeightsError,
)
from importers import import_torch
from importers.weights.architecture import build_architecture
from importers.weights.checkpoint import read_tensors
from importers.weights.loading import load_tensors

FACTORY = """
import torch
from torch import nn
from {parts} import block

print("imported")

def small(width=4, *, classes=2):
    print("called")
    return nn.Sequential(block(3, width), nn.Conv2d(width, classes, 1))

def failing(width):
    raise RuntimeError("no room for " + str(width))

def plain():
    raise RuntimeError("no disk")

def pair():
    return small(), "its transform"
"""
PARTS = """
from torch import nn

def block(before, after):
    return nn.Sequential(nn.Conv2d(before, after, 3), nn.ReLU())
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Factories: in a package with relative imports, and in a file beside the one it imports."""
    package = tmp_path / "nets_of_mine" / "zoo"
    package.mkdir(parents=True)
    for path in (package, package.parent):
        (path / "__init__.py").touch()
    (package / "tiny.py").write_text(FACTORY.format(parts=".parts"))
    (package / "parts.py").write_text(PARTS)
    (tmp_path / "loose").mkdir()
    (tmp_path / "loose" / "tiny.py").write_text(FACTORY.format(parts="loose_parts"))
    (tmp_path / "loose" / "loose_parts.py").write_text(PARTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.startswith(("nets_of_mine", "loose_parts", "_imported_tiny")):
            del sys.modules[name]


@pytest.mark.parametrize(
    "path", ["nets_of_mine.zoo.tiny:small", "nets_of_mine/zoo/tiny.py:small", "loose/tiny.py:small"]
)
def test_a_factory_is_found_in_packages_and_files_and_keeps_stdout_clean(path, folder, capfd):
    bundle = import_torch(path, kwargs={"classes": 3}, input_shape=(3, 8, 8), out="small.circuit", fidelity=0)
    assert (bundle.network, bundle.info.architecture) == ("small", path)
    assert [layer.unit_count for layer in bundle.layers] == [3, 4, 3]
    out, err = capfd.readouterr()
    assert out == ""
    assert err.split() == ["imported", "called"]


@pytest.mark.parametrize(
    ("path", "fact", "hint"),
    [
        ("nets_of_mine.zoo.tiny:failing", "no room for 4", r"It takes (width)"),
        ("nets_of_mine.zoo.tiny:plain", "no disk", "It takes no arguments: the factory itself"),
        ("nets_of_mine.zoo.tiny:pair", "gave tuple", "returns the module alone"),
        ("nets_of_mine.zoo.tiny:smal", "Did you mean small?", ""),
        ("nets_of_mine/zoo/tinny.py:small", "there is no file", "FILE.py:FACTORY"),
        ("nets_of_mine.zoo.nothing:small", "there is no such module", "PYTHONPATH"),
        ("not a name:small", "is not the name of a Python module", "FILE.py:FACTORY"),
    ],
)
def test_a_factory_that_gives_no_module_is_refused(path, fact, hint, folder):
    kwargs = {"width": 4} if path.endswith("failing") else {}
    with pytest.raises(ArchitectureError) as caught:
        build_architecture(path, kwargs)
    assert fact in caught.value.message
    assert path in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_module_of_a_package_named_without_it_is_refused_with_its_package(folder, monkeypatch):
    monkeypatch.chdir(folder / "nets_of_mine" / "zoo")
    with pytest.raises(ArchitectureError, match="no known parent package") as caught:
        build_architecture("tiny:small", {})
    assert "PACKAGE.tiny:small" in caught.value.hint
    sys.modules.pop("tiny", None)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).relu().mean((2, 3)))


class Wrapped(nn.Module):
    """A network of the user's that is itself called `model` inside."""

    def __init__(self):
        super().__init__()
        self.model = Net()

    def forward(self, x):
        return self.model(x)


def state(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def prefixed(prefix, values):
    return {prefix + name: value for name, value in values.items()}


def of_averages(net):
    return AveragedModel(net).state_dict()


WRAPPINGS = {
    "bare": state,
    "state_dict": lambda net: {"state_dict": state(net), "epoch": 3},
    "model": lambda net: {"model": state(net), "optimizer": {"state": {}}},
    "model_state_dict": lambda net: {"model_state_dict": state(net)},
    "net": lambda net: {"net": state(net), "acc": 93.1},
    "ema beside it": lambda net: {"ema": prefixed("module.", state(Net())), "state_dict": state(net)},
    "ema alone": lambda net: {"ema": {"module": state(net)}},
    "an averaged model": of_averages,
    "module.": lambda net: prefixed("module.", state(net)),
    "_orig_mod.": lambda net: prefixed("_orig_mod.", state(net)),
    "module._orig_mod.": lambda net: {"state_dict": prefixed("module._orig_mod.", state(net))},
    "model. of Lightning": lambda net: {"state_dict": prefixed("model.", state(net)), "hyper_parameters": {"lr": 0.1}},
    "net.": lambda net: prefixed("net.", state(net)),
}


@pytest.mark.parametrize("case", WRAPPINGS)
def test_checkpoints_are_unwrapped(case, tmp_path):
    torch.manual_seed(0)
    net = Net()
    torch.save(WRAPPINGS[case](net), tmp_path / "w.pth")
    loaded = load_tensors(build_architecture(Net(), {}), read_tensors(tmp_path / "w.pth"), "w.pth").state_dict()
    for name, value in net.state_dict().items():
        assert torch.equal(loaded[name], value), name


def test_a_prefix_stays_where_the_network_has_it(tmp_path):
    net = Wrapped()
    torch.save(net.state_dict(), tmp_path / "w.pth")
    loaded = load_tensors(build_architecture(Wrapped(), {}), read_tensors(tmp_path / "w.pth"), "w.pth").state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in net.state_dict().items())


def test_which_of_several_entries_was_read_is_said(tmp_path):
    class Notes:
        said: list[str] = []  # noqa: RUF012

        def note(self, text):
            self.said.append(text)

    torch.save({"state_dict_ema": state(Net()), "state_dict": state(Net())}, tmp_path / "w.pth")
    read_tensors(tmp_path / "w.pth", progress=Notes())
    assert Notes.said == ["w.pth: 'state_dict' is read; left are 'state_dict_ema'"]


def into_net(tmp_path, values):
    torch.save(values, tmp_path / "w.pth")
    return load_tensors(build_architecture(Net(), {}), read_tensors(tmp_path / "w.pth"), "w.pth")


def test_missing_and_left_over_tensors_are_counted_and_the_closest_named(tmp_path):
    values = {name.replace("norm", "bn"): value for name, value in state(Net()).items()}
    with pytest.raises(MappingError) as caught:
        into_net(tmp_path, values)
    text = caught.value.message
    assert "4 of 8 tensors are missing (norm.bias, norm.running_mean" in text
    assert "4 do not belong to it (bn.bias" in text
    assert "is bn.bias its norm.bias" in text


def test_a_prefix_on_most_names_is_not_taken_off_and_said(tmp_path):
    with pytest.raises(MappingError) as caught:
        into_net(tmp_path, {**prefixed("model.", state(Net())), "loss.weight": torch.zeros(2)})
    assert "9 of the file's 10 names begin with 'model.'" in caught.value.hint


def test_tensors_of_another_shape_or_without_a_value_are_refused_by_name(tmp_path):
    with pytest.raises(ShapeError, match=r"fc\.weight is 10x4 in the file, 2x4 in the architecture"):
        into_net(tmp_path, {**state(Net()), "fc.weight": torch.zeros(10, 4)})
    broken = state(Net())
    broken["conv.weight"][1, 2, 0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match=r"conv.weight has nan at \[1, 2, 0, 0\]"):
        into_net(tmp_path, broken)


def sharded(folder, net, **changes):
    values = {name: value.contiguous() for name, value in net.state_dict().items()}
    halves = [dict(list(values.items())[::2]), dict(list(values.items())[1::2])]
    places = {}
    for place, half in enumerate(halves, 1):
        file = f"model-0000{place}-of-00002.safetensors"
        save_file(half, folder / file)
        places |= dict.fromkeys(half, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {**places, **changes}}))
    return index


def test_weights_in_several_files_are_read_by_their_index(tmp_path):
    net = Net()
    tensors = read_tensors(sharded(tmp_path, net))
    assert set(tensors) == set(net.state_dict())
    assert np.array_equal(tensors["fc.weight"], net.fc.weight.detach().numpy())
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(MissingFileError, match=r"1 of the 2 files .* for example model-00002-of-00002"):
        read_tensors(tmp_path / "model.safetensors.index.json")


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"fc.weight": "../elsewhere.safetensors"}, "is no file of weights beside it"),
        ({"fc.scale": "model-00001-of-00002.safetensors"}, "fc.scale is not in model-00001-of-00002"),
        ({"fc.weight": 3}, "no 'weight_map'"),
        ({"fc.weight": "model.safetensors.index.json"}, "is no file of weights beside it"),
    ],
)
def test_an_index_that_does_not_fit_its_files_is_refused(changes, fact, tmp_path):
    with pytest.raises(WeightsError, match=fact):
        read_tensors(sharded(tmp_path, Net(), **changes))


@pytest.mark.parametrize(
    ("name", "content", "fact"),
    [
        ("w.pth", b"", "is empty"),
        ("w.pth", b"\n<!doctype HTML><title>Sign in</title>", "is a web page"),
        ("w.safetensors", b"<html><body>404</body></html>", "is a web page"),
        (
            "w.pth",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1234567\n",
            "is a git LFS pointer, not the file of the 1,234,567 bytes",
        ),
    ],
)
def test_what_a_download_leaves_in_the_place_of_weights_is_refused(name, content, fact, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=fact) as caught:
        read_tensors(tmp_path / name)
    assert caught.value.hint


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_half_a_download_is_refused(ending, tmp_path):
    path = tmp_path / f"w{ending}"
    (torch.save if ending == ".pth" else save_file)(Net().state_dict(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsError, match="cut short"):
        read_tensors(path)


class Blocks(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = nn.Sequential(Block(), Block())
        self.layer2 = nn.Sequential(Block())

    def forward(self, x):
        return self.layer2(self.layer1(x))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 3, 3, padding=1)
        self.conv2 = nn.Conv2d(3, 3, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.conv2(self.relu(self.conv1(x))) + x)


@pytest.mark.parametrize("tracer", ["fx", "export"])
def test_layers_are_chosen_by_the_paths_and_call_numbers_that_users_know(tracer, tmp_path):
    bundle = import_torch(
        nn.DataParallel(Blocks()),
        network="net",
        input_shape=(3, 8, 8),
        units=["layer1.0", "layer2.0.relu#0"],
        out=tmp_path / "net.circuit",
        tracer=tracer,
        fidelity=0,
    )
    assert [layer.name for layer in bundle.layers] == ["input", "layer1.0", "layer2.0.relu#0", "layer2.0"]
    assert "layer1.0.relu#1" in bundle.layers[1].aliases
    with pytest.raises(MappingError, match=r"layer1\.0\.relu#2.*did you mean"):
        import_torch(
            Blocks(), network="net", input_shape=(3, 8, 8), units="layer1.0.relu#2", out=tmp_path / "other.circuit"
        )


def test_what_fails_leaves_nothing_behind_and_no_foreign_error(folder):
    (folder / "w.pth").write_bytes(b"<html>")
    before = sorted(folder.iterdir())
    for weights, kwargs in (("w.pth", {}), ("none.pth", {}), (None, {"width": "three"})):
        with pytest.raises(CircuitGraphError):
            import_torch(
                "loose/tiny.py:small", weights=weights, kwargs=kwargs, input_shape=(3, 8, 8), out="small.circuit"
            )
    assert [path for path in sorted(folder.iterdir()) if path.name != "__pycache__"] == before
