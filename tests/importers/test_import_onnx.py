"""ONNX files of torch modules, from both exporters: the bundle is that of the module itself."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torchvision import models

from circuitgraph.bundle import Bundle
from importers import Linearisation, import_onnx, import_torch
from importers.architectures import resnet20, tiny_vgg
from importers.linear_ops import Gate
from importers.linearise import linearise
from importers.onnx_graph import linearise_onnx
from importers.unit_layers import choose_unit_layers
from tests.importers.autograd import randomise

EXPORTERS = ("older", "newer")
TOLERANCE = 1e-5
FACTS = (
    "up", "down", "row_start", "row_stop", "form", "window", "offset", "stride", "approximations", "ignored_activations"
)  # fmt: skip
ALL_OPTIONS = Linearisation(smooth="identity", leaky="identity", gate=0.25, norm_gain=0.5)


pytestmark = pytest.mark.usefixtures("one_thread")


def export(module, path, shape, exporter, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), (torch.zeros(1, *shape),), path, dynamo=exporter == "newer", verbose=False, **options
        )
    return path


def relative(found, true):
    scale = np.linalg.norm(true.astype(np.float64))
    return float(np.linalg.norm(found.astype(np.float64) - true) / scale) if scale else float(np.any(found))


def compare(ours: Bundle, true: Bundle) -> float:
    """Compare two bundles: everything alike, and kernels and biases close; returns the worst relative error."""
    assert [layer.model_dump(exclude={"aliases"}) for layer in ours.layers] == [
        layer.model_dump(exclude={"aliases"}) for layer in true.layers
    ]
    # a head has its class's name in one of them and its function's in the other
    assert [said.lower() for said in ours.info.approximations] == [said.lower() for said in true.info.approximations]
    assert len(ours.blocks) == len(true.blocks)
    worst = 0.0
    for own, other in zip(ours.blocks, true.blocks, strict=True):
        for fact in FACTS:
            assert getattr(own, fact) == getattr(other, fact), f"{fact} of {own.up} -> {own.down}"
        if own.form == "diagonal":
            assert np.array_equal(ours.up_channels(own), true.up_channels(other))
        worst = max(worst, relative(ours.stored(own), true.stored(other)))
    for layer in true.layers[1:]:
        worst = max(worst, relative(ours.bias(layer.name), true.bias(layer.name)))
    return worst


def bundles(module, shape, tmp_path, exporter, units="auto"):
    """Import a module and its ONNX file."""
    path = export(module, tmp_path / "net.onnx", shape, exporter)
    shared = {"network": "net", "units": units, "linearisation": ALL_OPTIONS}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)
        ours = import_onnx(path, out=tmp_path / "onnx.circuit", **shared)
        true = import_torch(module, out=tmp_path / "torch.circuit", input_shape=shape, fidelity=0, **shared)
    return ours, true


ZOO = [
    ("squeezenet1_1", 10),
    ("resnet18", 10),
    ("googlenet", 13),
    ("mobilenet_v2", 52),
    ("densenet121", 657),
    ("shufflenet_v2_x1_0", 106),
    ("regnet_y_400mf", 18),
    ("efficientnet_b0", 48),
]


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize(
    ("name", "pairs"), [pytest.param(*row, marks=[] if row[0] == "squeezenet1_1" else pytest.mark.slow) for row in ZOO]
)
def test_a_file_of_a_zoo_network_gives_the_bundle_of_the_module(name, pairs, exporter, tmp_path):
    torch.manual_seed(1)
    options = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    module = randomise(getattr(models, name)(weights=None, **options), seed=2)
    ours, true = bundles(module, (3, 224, 224), tmp_path, exporter)
    assert len(ours.pairs) == pairs
    assert compare(ours, true) <= TOLERANCE


class Reused(nn.Module):
    """One ReLU for all, a functional one, and parts that are called twice."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6))
        self.twice = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Conv2d(6, 6, 1), nn.ReLU()) for _ in range(2)])
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        x = self.relu(self.first(x))
        y = self.relu(self.twice(x) + x)
        y = F.relu(self.twice(y)) + y
        for block in self.blocks:
            y = torch.cat([block(y)[:, :3], y[:, 3:]], 1)
        return self.fc(y.mean((2, 3)))


class Gated(nn.Module):
    """Squeeze-and-excitation, SiLU, and ReLU6 between depthwise convolutions."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.SiLU())
        self.deep = nn.Sequential(nn.Conv2d(8, 8, 5, padding=2, groups=8), nn.BatchNorm2d(8), nn.ReLU6())
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 2, 1), nn.ReLU(), nn.Conv2d(2, 8, 1))
        self.last = nn.Sequential(nn.Conv2d(8, 5, 1), nn.Hardswish(), nn.Dropout())

    def forward(self, x):
        x = self.deep(self.stem(x))
        return torch.softmax(self.last(x * torch.sigmoid(self.squeeze(x))).mean((2, 3)), 1)


class LastAxis(nn.Module):
    """A block with its channels on the last axis, as ConvNeXt has them."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 4, stride=4), nn.GELU())
        self.deep = nn.Conv2d(6, 6, 7, padding=3, groups=6)
        self.norm = nn.LayerNorm(6)
        self.wide = nn.Linear(6, 12)
        self.act = nn.GELU()
        self.back = nn.Linear(12, 6)
        self.scale = nn.Parameter(torch.rand(6, 1, 1) + 0.5)
        self.head = nn.Conv2d(6, 3, 1)

    def forward(self, x):
        x = self.stem(x)
        y = self.norm(self.deep(x).permute(0, 2, 3, 1))
        return self.head(x + self.scale * self.back(self.act(self.wide(y))).permute(0, 3, 1, 2))


SMALL = {
    "reused": (Reused, (3, 32, 32), "activations"),
    "gated": (Gated, (3, 64, 64), "auto"),
    "last axis": (LastAxis, (3, 64, 64), "activations"),
    "sequential": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.PReLU(), nn.Flatten(),
            nn.Linear(4 * 13 * 13, 5), nn.ReLU(), nn.Linear(5, 2),
        ),
        (3, 32, 32),
        "auto",
    ),
    "tiny_vgg": (lambda: tiny_vgg(width=4, size=44), (3, 44, 44), "auto"),
    "resnet20": (resnet20, (3, 32, 32), "activations"),
}  # fmt: skip


# the newer exporter takes seconds on any network
QUICK = [(name, "older") for name in SMALL] + [("reused", "newer")]


@pytest.mark.parametrize(
    ("name", "exporter"),
    [
        pytest.param(name, exporter, marks=[] if (name, exporter) in QUICK else pytest.mark.slow)
        for name in SMALL
        for exporter in EXPORTERS
    ],
)
def test_a_file_of_a_small_network_gives_the_bundle_of_the_module(name, exporter, tmp_path):
    make, shape, units = SMALL[name]
    torch.manual_seed(3)
    ours, true = bundles(randomise(make(), seed=4), shape, tmp_path, exporter, units)
    assert compare(ours, true) <= TOLERANCE


def test_a_gate_is_called_by_its_module_as_in_torch(tmp_path):
    module = randomise(models.mobilenet_v3_small(weights=None), seed=1)
    paths = []
    for graph in (
        linearise(module, (3, 64, 64)),
        linearise_onnx(export(module, tmp_path / "net.onnx", (3, 64, 64), "older")),
    ):
        paths.append([node.op.path for node in graph.nodes.values() if isinstance(node.op, Gate)])
    assert paths[0] == paths[1]
    assert paths[0][0] == "features.1.block.1"


def test_rows_and_columns_that_are_left_open_are_given_at_import(tmp_path):
    torch.manual_seed(5)
    module = randomise(nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3)), seed=6)
    path = export(
        module,
        tmp_path / "open.onnx",
        (3, 32, 32),
        "older",
        input_names=["images"],
        dynamic_axes={"images": {0: "batch", 2: "rows", 3: "cols"}},
    )
    graph = linearise_onnx(path, (3, 48, 40))
    assert graph.nodes[graph.outputs[0]].shape == (2, 22, 18)


def test_files_from_elsewhere_call_layers_by_their_operations(tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.ReLU())
    model = onnx.load(export(module, tmp_path / "net.onnx", (3, 16, 16), "older"))
    model.producer_name = "another"
    for node, name in zip(model.graph.node, ["", "stem/Relu:0", "", "stem/Relu 0"], strict=True):
        node.name = name
    onnx.save(model, tmp_path / "net.onnx")
    layers, _ = choose_unit_layers(linearise_onnx(tmp_path / "net.onnx"), "net")
    assert [own.layer.name for own in layers] == ["input", "stem.Relu_0", "stem.Relu_0-2"]


def test_the_manifest_says_where_the_weights_are_from(tmp_path):
    path = export(randomise(Gated(), seed=1), tmp_path / "my net.onnx", (3, 32, 32), "older")
    bundle = import_onnx(path, out=tmp_path / "a.circuit", linearisation=ALL_OPTIONS)
    again = import_onnx(path, out=tmp_path / "b.circuit", linearisation=ALL_OPTIONS)
    assert bundle.network == "my-net"
    assert (bundle.info.importer, bundle.info.source) == ("onnx", "my net.onnx")
    assert bundle.info.options["producer"] == "pytorch"
    assert "the Softmax at the output is left out" in bundle.info.approximations
    assert bundle.sha256 == again.sha256


def test_torch_is_not_needed(tmp_path):
    path = export(tiny_vgg(width=4, size=44), tmp_path / "net.onnx", (3, 44, 44), "older")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from importers import import_onnx\n"
        f"print(len(import_onnx({str(path)!r}, out={str(tmp_path / 'n.circuit')!r}).layers))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "9"
