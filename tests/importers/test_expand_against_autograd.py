"""Expanded weights agree with gradients of the linearised module, net by net."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torchvision import models

from importers.architectures import resnet20, tiny_vgg
from importers.expand import Expansion
from importers.linearisation import Linearisation
from importers.linearise import linearise
from importers.unit_layers import choose_unit_layers
from importers.weights.checkpoint import read_tensors
from tests.importers.autograd import SIZES, compare, randomise

TOLERANCE = 1e-6


pytestmark = pytest.mark.usefixtures("one_thread")


def expand(module, input_shape, units="auto", max_pool="avg"):
    graph = linearise(module, input_shape)
    layers, _ = choose_unit_layers(graph, "net", units)
    expansion = Expansion(
        graph, {own.tensor: own.layer.name for own in layers}, linearisation=Linearisation(max_pool=max_pool)
    )
    return {expansion.layers[target]: expansion.expand_layer(target) for target in expansion.targets}, layers


def sizes_of(expanded, layers):
    pairs = {(block.up, down) for down, (_, blocks) in expanded.items() for block in blocks}
    kernels = sum(
        int((block.up_channels >= 0).sum()) if block.form == "diagonal" else len(block.kernels) * block.kernels.shape[1]
        for _, blocks in expanded.values()
        for block in blocks
    )
    return len(layers), sum(own.layer.unit_count for own in layers), len(pairs), kernels


ZOO = [
    ("alexnet", "auto", (10, 10_603, 9, 22_172_096)),
    ("vgg11_bn", "auto", (13, 12_459, 12, 23_995_072)),
    ("squeezenet1_1", "auto", (11, 3_627, 10, 1_339_584)),
    ("googlenet", "auto", (14, 6_811, 13, 4_236_480)),
    ("inception_v3", "auto", (18, 11_451, 17, 11_985_024)),
    ("resnet18", "auto", (11, 2_987, 10, 1_036_480)),
    ("resnet18", "activations", (19, 4_907, 26, 1_905_856)),
    ("resnet50", "auto", (19, 16_171, 18, 19_366_080)),
    ("resnext50_32x4d", "auto", (19, 16_171, 18, 19_366_080)),
]
QUICK = {("squeezenet1_1", "auto"), ("resnet18", "activations"), ("googlenet", "auto")}


def zoo_net(name):
    torch.manual_seed(1)
    options = {"init_weights": False, "aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    return randomise(getattr(models, name)(weights=None, **options), seed=2)


@pytest.mark.parametrize(
    ("name", "units", "counts"),
    [pytest.param(*row, id="-".join(row[:2]), marks=[] if row[:2] in QUICK else pytest.mark.slow) for row in ZOO],
)
def test_a_zoo_network_agrees_with_autograd(name, units, counts):
    module = zoo_net(name)
    shape = (3, 299, 299) if name == "inception_v3" else (3, 224, 224)
    expanded, layers = expand(module, shape, units)
    assert sizes_of(expanded, layers) == counts
    verdict = compare(module, expanded, shape, channels=1)
    assert len(verdict.pairs) == counts[2]
    assert verdict.kernel < TOLERANCE
    assert verdict.bias < TOLERANCE


@pytest.mark.parametrize(("units", "counts"), [("auto", (12, 365, 11, 14_256)), ("activations", (21, 701, 29, 30_672))])
def test_the_real_resnet20_agrees_with_autograd(shared_data, units, counts):
    module = resnet20().eval()
    tensors = read_tensors(shared_data / "resnet20_cifar10" / "resnet20-12fca82f.th")
    module.load_state_dict({name: torch.from_numpy(values) for name, values in tensors.items()})
    expanded, layers = expand(module, (3, 32, 32), units)
    assert sizes_of(expanded, layers) == counts
    assert layers[1].layer.name == "relu"
    # the order in which relu is called: the first, then the two of each block
    own = {0: "relu"}
    if units == "activations":
        own |= {2 * i + 1: f"layer{i // 3 + 1}.{i % 3}.relu#0" for i in range(9)}
    verdict = compare(module, expanded, (3, 32, 32), functional=own, channels=3)
    assert len(verdict.pairs) == counts[2]
    assert verdict.kernel < TOLERANCE
    assert verdict.bias < TOLERANCE


def test_the_real_squeezenet_agrees_with_autograd(shared_data):
    module = models.squeezenet1_0(weights=None).eval()
    arrays = list(np.load(shared_data / "squeezenet" / "squeezenet_v1.0_pruned.npz").values())
    # both in network order: conv1, then squeeze, expand 1x1, expand 3x3 of each fire, then the last
    with torch.no_grad():
        for parameter, values in zip(module.parameters(), arrays, strict=True):
            parameter.copy_(torch.from_numpy(values))
    expanded, layers = expand(module, (3, 224, 224))
    assert sizes_of(expanded, layers) == (11, 3_659, 10, 1_343_776)
    verdict = compare(module, expanded, (3, 224, 224), channels=2)
    assert len(verdict.pairs) == 10
    assert verdict.kernel < TOLERANCE
    assert verdict.bias < TOLERANCE


def test_the_real_tiny_vgg_agrees_with_autograd(shared_data):
    module = tiny_vgg().eval()
    tensors = read_tensors(shared_data / "tinyvgg" / "nn_10.json")
    module.load_state_dict({name: torch.from_numpy(values) for name, values in tensors.items()})
    expanded, layers = expand(module, (3, 64, 64))
    assert [own.layer.name for own in layers][-2:] == ["max_pool_3", "output"]
    verdict = compare(module, expanded, (3, 64, 64), channels=4, sizes=(64,))
    assert len(verdict.pairs) == 8
    assert verdict.kernel < TOLERANCE
    assert verdict.bias < TOLERANCE


def test_a_shift_by_one_cell_is_caught():
    module = zoo_net("squeezenet1_1")
    expanded, _ = expand(module, (3, 96, 96))
    bias, blocks = expanded["features.4"]
    for axis, by in ((0, 1), (1, -1)):
        offset = list(blocks[1].offset)
        offset[axis] += by
        wrong = [blocks[0], dataclasses.replace(blocks[1], offset=tuple(offset))]
        verdict = compare(module, expanded | {"features.4": (bias, wrong)}, (3, 96, 96), sizes=SIZES)
        assert verdict.kernel > 0.5


class HandNet(nn.Module):
    """Everything that is odd about windows, in one net."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(4, 8, 3, padding=1)
        self.act = nn.ReLU()
        self.odd = nn.Conv2d(8, 8, (3, 5), stride=(2, 1), dilation=(2, 1), groups=2)
        self.low = nn.Conv2d(3, 6, 4, stride=2)
        self.pool = nn.AvgPool2d(3, 2, ceil_mode=True)
        self.high = nn.Conv2d(5, 6, 2)
        self.mix = nn.Conv2d(11, 5, 2, stride=1, padding=1)
        self.last = nn.ReLU()

    def forward(self, x):
        x = self.act(self.first(x))
        x = self.odd(F.pad(x, (1, 3, 2, 0)))
        low = self.pool(self.low(x[:, :3]))
        high = x[:, 3:, ::2, ::2]
        high = F.avg_pool2d(self.high(high), 2, 2, padding=1)
        high = high[:, 1:, : low.shape[2], : low.shape[3]]
        both = torch.cat([low, high], 1)
        return self.last(self.mix(both))


def test_a_hand_made_network_of_odd_windows_agrees_with_autograd():
    torch.manual_seed(3)
    module = randomise(HandNet(), seed=4)
    expanded, layers = expand(module, (4, 96, 96))
    assert [own.layer.name for own in layers] == ["input", "act", "last"]
    verdict = compare(module, expanded, (4, 96, 96), channels=5)
    assert verdict.kernel < TOLERANCE
    assert verdict.bias < TOLERANCE
    # by hand: odd is 5x5 at (-2, -1), stride (2, 1). On it low is 19x12 at (-2, -1), high 13x9 at (-6, -3), both with
    # stride (8, 4); mix adds a cell and reads from one before: 27x16 at (-10, -5) and 21x13 at (-14, -7)
    bias, (block,) = expanded["last"]
    assert (block.offset, block.stride, block.kernels.shape) == ((-14, -7), (8, 4), (5, 8, 31, 18))
    for offset in ((-13, -7), (-14, -8)):
        wrong = {**expanded, "last": (bias, [dataclasses.replace(block, offset=offset)])}
        assert compare(module, wrong, (4, 96, 96), only=["last"]).kernel > 0.5


def test_a_pool_of_two_then_a_convolution_of_three_gives_six_by_six():
    torch.manual_seed(5)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3, padding=1), nn.ReLU()
    ).eval()
    expanded, _ = expand(module, (3, 32, 32))
    (block,) = expanded["4"][1]
    assert block.kernels.shape == (5, 4, 6, 6)
    assert (block.offset, block.stride) == ((-2, -2), (2, 2))
    weight = module[3].weight.detach().numpy()
    assert np.allclose(block.kernels, np.kron(weight, np.ones((2, 2))) / 4, atol=1e-7)
    assert block.approximations == ("max_pool=avg",)


def test_a_centred_max_pool_reads_its_middle_cell():
    torch.manual_seed(6)
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(4, 5, 1), nn.ReLU()).eval()
    expanded, _ = expand(module, (3, 32, 32), max_pool="centre")
    (block,) = expanded["4"][1]
    assert block.kernels.shape == (5, 4, 1, 1)
    assert (block.offset, block.stride) == ((1, 1), (2, 2))
    assert block.approximations == ("max_pool=centre",)


def test_a_multiplied_out_bottleneck_keeps_its_factors_and_gross_weights():
    module = zoo_net("squeezenet1_1")
    expanded, _ = expand(module, (3, 96, 96))
    narrow, wide = expanded["features.4"][1]
    fire = module.features[4]
    before = fire.squeeze.weight.detach().numpy()
    after = fire.expand3x3.weight.detach().numpy()
    assert np.allclose(wide.factors[0], after)
    assert np.allclose(wide.factors[1], before)
    assert np.allclose(np.einsum("omrc,mi->oirc", after, before[:, :, 0, 0]), wide.kernels, atol=1e-6)
    gross = np.einsum("omrc,mi->oi", np.abs(after), np.abs(before[:, :, 0, 0]))
    assert np.allclose(wide.gross, gross, rtol=1e-5)
    assert (narrow.row_start, wide.row_start) == (0, 64)
    assert wide.form == "row block"


class _MeanOfAMap(nn.Module):
    """A linear layer on the mean of what a function makes of a map."""

    def __init__(self, middle):
        super().__init__()
        self.conv, self.relu, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Linear(4, 5)
        self.middle = middle

    def forward(self, x):
        return self.fc(self.middle(self.relu(self.conv(x))).mean((2, 3)))


@pytest.mark.parametrize(
    ("middle", "is_exact"),
    [
        (lambda x: x.flip(1), True),
        (lambda x: x[:, :, :6, :6], False),
        (lambda x: F.pad(x, (0, 2, 0, 2)), False),
        (lambda x: x[:, :, ::2, ::2], False),
    ],
    ids=["whole", "cropped behind", "padded behind", "every other cell"],
)
def test_a_mean_is_exact_over_the_whole_map_only_and_says_where_it_is_not(middle, is_exact):
    module = randomise(_MeanOfAMap(middle), seed=5)
    expanded, _ = expand(module, (3, 9, 9))
    (block,) = expanded["fc"][1]
    assert ("border" in block.approximations) != is_exact
    if is_exact:
        verdict = compare(module, expanded, (3, 9, 9), sizes=())
        assert verdict.kernel < TOLERANCE
        assert verdict.bias < TOLERANCE
