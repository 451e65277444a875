"""What has no linear form is refused by name, with its place and what to do; what only moves entries is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from circuitgraph.errors import BlockTooLargeError, MappingError, TraceError, UnsupportedOperationError
from importers import import_torch
from importers.expand import Expansion
from importers.linearisation import Linearisation
from importers.linearise import linearise
from importers.unit_layers import UnitRuleWarning, choose_unit_layers
from tests.importers.modules import Call


class Between(nn.Module):
    """A step between two convolutions."""

    def __init__(self, middle, *, channels=4):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.middle = middle
        self.last = nn.Conv2d(channels, 2, 1)

    def forward(self, x):
        return self.last(self.middle(F.relu(self.first(x))))


class ChannelsLast(nn.Module):
    """A step with the channels on the last axis, as ConvNeXt has them."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def forward(self, x):
        return self.step(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Gated(nn.Module):
    """Squeeze-and-excitation in one of the ways it is written."""

    def __init__(self, squash):
        super().__init__()
        self.reduce = nn.Linear(4, 2)
        self.widen = nn.Linear(2, 4)
        self.squash = squash

    def forward(self, x):
        gate = self.squash(self.widen(F.relu(self.reduce(x.mean((2, 3))))))
        return x * gate.view(-1, 4, 1, 1).expand_as(x)


class Attending(nn.Module):
    """Attention over positions."""

    def __init__(self):
        super().__init__()
        self.attend = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        return self.attend(tokens, tokens, tokens)[0].transpose(1, 2).reshape(x.shape)


SMOOTH, LEAKY, GATE, NORM = "--smooth identity", "--leaky identity", "--gate 0.5", "--norm-gain 1"
NONE = "No option admits it"

# each row of the table of refusals in shared/design/expansion.md, group by group
REFUSED = [
    (nn.LeakyReLU(), "LeakyReLU at 'middle'", "below zero", LEAKY),
    (nn.PReLU(4), "PReLU at 'middle'", "below zero", LEAKY),
    (nn.RReLU(), "RReLU at 'middle'", "below zero", LEAKY),
    (nn.GELU(), "GELU at 'middle'", "near the identity", SMOOTH),
    (nn.SiLU(), "SiLU at 'middle'", "near the identity", SMOOTH),
    (nn.Hardswish(), "Hardswish at 'middle'", "near the identity", SMOOTH),
    (nn.ELU(), "ELU at 'middle'", "near the identity", SMOOTH),
    (nn.Mish(), "Mish at 'middle'", "near the identity", SMOOTH),
    (nn.Softplus(), "Softplus at 'middle'", "near the identity", SMOOTH),
    (Call(lambda x: x * torch.sigmoid(1.702 * x)), "mul at 'middle'", "near the identity", SMOOTH),
    (Call(lambda x: x * (F.relu6(x + 3) / 6)), "mul at 'middle'", "near the identity", SMOOTH),
    (Call(lambda x: ((y := x.flip(1)) * torch.sigmoid(y)).flip(1)), "mul at 'middle'", "near the identity", SMOOTH),
    (Gated(nn.Sigmoid()), "mul at 'middle'", "the gate 'middle' depends on the map", GATE),
    (Gated(nn.Hardsigmoid()), "mul at 'middle'", "the gate 'middle' depends on the map", "--gate mean --images"),
    (ChannelsLast(nn.LayerNorm(4)), "LayerNorm at 'middle.step'", "deviation", NORM),
    (nn.LocalResponseNorm(2), "LocalResponseNorm at 'middle'", "neighbouring channels", NORM),
    (nn.Sigmoid(), "Sigmoid at 'middle'", "nowhere the identity", "--gate"),
    (nn.Tanh(), "Tanh at 'middle'", "bounded above and below", NONE),
    (nn.SELU(), "SELU at 'middle'", "slope above zero is not 1", NONE),
    (Call(lambda x: x.softmax(1)), "softmax at 'middle'", "divides by what all channels do", "last step"),
    (Call(lambda x: x * F.relu(x)), "mul at 'middle'", "product of two activations", "--gate"),
    (Call(lambda x: x * torch.sigmoid(-x)), "mul at 'middle'", "the gate 'middle' depends on the map", GATE),
    (Call(lambda x: x * torch.sigmoid(x.flip(1))), "mul at 'middle'", "the gate 'middle' depends on the map", GATE),
    (Call(lambda x: x.to(torch.int32).float()), "to at 'middle'", "whole numbers", NONE),
    (Attending(), "MultiheadAttention at 'middle.attend'", "attention", NONE),
    (Call(lambda x: x @ x.transpose(2, 3)), "matmul at 'middle'", "attention", NONE),
    (nn.GroupNorm(2, 4), "GroupNorm at 'middle'", "spread of each map", NONE),
    (nn.InstanceNorm2d(4), "InstanceNorm2d at 'middle'", "spread of each map", NONE),
    (nn.LayerNorm([4, 30, 30]), "LayerNorm at 'middle'", "positions too", NONE),
    (nn.LayerNorm(30), "LayerNorm at 'middle'", "columns of a map", NONE),
    (nn.BatchNorm2d(4, track_running_stats=False), "BatchNorm2d at 'middle'", "running statistics", NONE),
    (nn.AdaptiveMaxPool2d(2), "AdaptiveMaxPool2d at 'middle'", "several sizes", NONE),
    (nn.AdaptiveAvgPool2d(7), "AdaptiveAvgPool2d at 'middle'", "from 30x30 to 7x7", "--input"),
    (nn.MaxPool2d(2, dilation=2), "MaxPool2d at 'middle'", "dilated", NONE),
    (nn.LPPool2d(2, 2), "LPPool2d at 'middle'", "powers", NONE),
    (nn.ConvTranspose2d(4, 4, 2), "ConvTranspose2d at 'middle'", "fraction", NONE),
    (nn.Upsample(scale_factor=2), "Upsample at 'middle'", "fraction", NONE),
    (Call(lambda x: F.interpolate(x, scale_factor=2.0)), "interpolate at 'middle'", "fraction", NONE),
    (nn.PixelShuffle(2), "PixelShuffle at 'middle'", "fraction", NONE),
    (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), "Conv2d at 'middle'", "'reflect'", NONE),
    (nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), "Conv2d at 'middle'", "'circular'", NONE),
    (nn.ReflectionPad2d(1), "ReflectionPad2d at 'middle'", "zero padding", NONE),
    (nn.ReplicationPad2d(1), "ReplicationPad2d at 'middle'", "zero padding", NONE),
    (Call(lambda x: F.pad(x, (1, 1, 1, 1), value=3.0)), "pad at 'middle'", "3.0", NONE),
    (Call(lambda x: F.pad(x, (1, 1, 1, 1), mode="replicate")), "pad at 'middle'", "'replicate'", NONE),
    (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 3, padding=1)), "at 'middle.1'", "global pool", NONE),
    (nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv3d(1, 1, 1), nn.Flatten(1, 2)), "at 'middle.1'", "volumes", NONE),
    (Call(lambda x: x - x.mean()), "mean at 'middle'", "mean", "mean((2, 3))"),
    (Call(lambda x: x.flip(2)), "at 'last'", "turns round", NONE),
    (Call(lambda x: F.max_pool2d(x, 2) + F.avg_pool2d(x, 3, 2, 1)[:, :, :1, :1]), "add", "shapes", NONE),
    (Call(lambda x: F.adaptive_avg_pool2d(x, 1) + x), "add at 'middle'", "broadcasting", NONE),
]


@pytest.mark.parametrize(
    ("middle", "place", "fact", "remedy"), REFUSED, ids=[f"{row[1].split()[0]}-{n}" for n, row in enumerate(REFUSED)]
)
def test_a_step_without_a_linear_form_is_refused_by_place_reason_and_remedy(middle, place, fact, remedy, tmp_path):
    channels = 1 if isinstance(middle, nn.PixelShuffle) else 4
    net = Between(middle, channels=channels)
    if isinstance(middle, Attending):
        net.first.stride = (4, 4)
    with pytest.raises(UnsupportedOperationError) as caught:
        import_torch(net, network="net", input_shape=(3, 32, 32), out=tmp_path / "net.circuit")
    assert place in caught.value.message
    assert fact in caught.value.message
    assert caught.value.message.startswith("expanding net/")
    assert remedy in caught.value.hint
    assert not list(tmp_path.iterdir())


OPTIONS = {SMOOTH: {"smooth": "identity"}, LEAKY: {"leaky": "identity"}, GATE: {"gate": 0.3}, NORM: {"norm_gain": 0.7}}
ADMITTED = [row for row in REFUSED if row[3] in OPTIONS]
RECORDED = {
    "LeakyReLU": ("leaky_relu=identity",),
    "PReLU": ("prelu=identity",),
    "RReLU": ("rrelu=identity",),
    "GELU": ("gelu=identity",),
    "SiLU": ("silu=identity",),
    "Hardswish": ("hardswish=identity",),
    "ELU": ("elu=identity",),
    "Mish": ("mish=identity",),
    "Softplus": ("softplus=identity",),
    "Gated": ("gate=0.3",),
    "ChannelsLast": ("norm_gain=0.7",),
    "LocalResponseNorm": ("norm_gain=0.7",),
}


@pytest.mark.parametrize(
    ("middle", "place", "_fact", "remedy"), ADMITTED, ids=[f"{row[1].split()[0]}-{n}" for n, row in enumerate(ADMITTED)]
)
def test_what_an_option_admits_is_recorded_and_agrees_with_autograd(middle, place, _fact, remedy, tmp_path):
    torch.manual_seed(7)
    net = Between(nn.Sequential(nn.Conv2d(4, 4, 3), middle, nn.Conv2d(4, 4, 3))).eval()
    with torch.no_grad():
        if isinstance(middle, ChannelsLast):
            middle.step.weight.uniform_(0.5, 1.5)
            middle.step.bias.uniform_(-0.5, 0.5)
    out = tmp_path / "net.circuit"
    options = Linearisation(**OPTIONS[remedy])
    bundle = import_torch(
        net, network="net", input_shape=(3, 24, 24), out=out, units=["relu"], linearisation=options, fidelity=0
    )
    block = bundle.block("relu", "last")
    # a SiLU and a Hardswish that are written out, and products with a sigmoid of something else
    written_out = ("gate=0.3",) if remedy == GATE else ("silu=identity", "hardswish=identity")
    tokens = RECORDED.get(type(middle).__name__, written_out)
    (token,) = block.approximations
    assert token in tokens
    assert any(token in said for said in bundle.info.approximations)
    assert bundle.info.options.items() >= OPTIONS[remedy].items()

    class Linear(nn.Module):
        def forward(self, x):
            if remedy == GATE:
                return x * 0.3
            if isinstance(middle, ChannelsLast):
                centred = x - x.mean(1, keepdim=True)
                return 0.7 * centred * middle.step.weight[:, None, None] + middle.step.bias[:, None, None]
            return x * 0.7 if remedy == NORM else x

    twin = nn.Sequential(net.middle[0], Linear(), net.middle[2], net.last).double()
    leaf = torch.zeros((1, 4, 22, 22), dtype=torch.float64, requires_grad=True)
    result = twin(leaf)[0, :, 8, 8]
    assert np.allclose(block.bias, result.detach().numpy(), rtol=1e-4)
    for row in range(2):
        gradient = torch.autograd.grad(result[row], leaf, retain_graph=True)[0][0].numpy()
        expected = np.zeros_like(gradient)
        top, left = (8 * block.stride[axis] + block.offset[axis] for axis in (0, 1))
        height, width = block.kernels.shape[2:]
        expected[:, top : top + height, left : left + width] = block.kernels[row]
        assert np.linalg.norm(expected - gradient) < 1e-5 * np.linalg.norm(gradient)


def test_ways_of_different_stride_are_refused():
    class Uneven(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
            self.halved = nn.Conv2d(3, 3, 1, stride=2)

        def forward(self, x):
            return self.halved(F.relu(self.conv(x))) + F.relu(self.conv(x))[:, :, 8:, 8:]

    with pytest.raises(UnsupportedOperationError, match=r"different stride meet, \(2, 2\).*\(1, 1\)"):
        expand(Uneven(), (3, 16, 16))


def expand(module, shape, units="auto", **options):
    graph = linearise(module, shape)
    layers, _ = choose_unit_layers(graph, "net", units)
    expansion = Expansion(graph, {own.tensor: own.layer.name for own in layers}, **options)
    for target in expansion.targets:
        expansion.plan(target)
    return {expansion.layers[target]: expansion.expand_layer(target) for target in expansion.targets}


def test_a_block_above_the_limit_is_refused_before_it_is_made():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 5), nn.ReLU())
    with pytest.raises(BlockTooLargeError) as caught:
        expand(net, (3, 32, 32), max_block_bytes=4 * 16 * 8 * 25 - 1)
    assert (
        "1 -> 3: 16 x 8 kernels of 5x5, made by Conv2d at '2', take 12,800 bytes, the limit is 12,799"
        in caught.value.message
    )
    assert "--max-block 12800" in caught.value.hint
    assert expand(net, (3, 32, 32), max_block_bytes=4 * 16 * 8 * 25)


def test_a_forward_that_branches_on_values_cannot_be_traced():
    net = Between(Call(lambda x: x if x.sum() > 0 else -x))
    with pytest.raises(TraceError, match=r"tracing Between with an input of 3x32x32: .*control flow"):
        linearise(net, (3, 32, 32))


def test_the_callers_module_is_left_as_it_was():
    net = Between(nn.Sequential(nn.Dropout(), nn.BatchNorm2d(4), nn.ReLU(inplace=True))).train()
    seen = []
    net.first.register_forward_hook(lambda *_: seen.append(1))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    linearise(net, (3, 32, 32))
    assert net.training
    assert net.middle[2].inplace
    assert not seen
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in net.parameters())


def test_an_in_place_activation_is_seen_by_later_readers():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
            self.act = nn.ReLU(inplace=True)

        def forward(self, x):
            x = self.conv(x)
            y = self.act(x)
            # in torch `x` is now the activation too
            return y + x

    expanded = expand(Shared(), (3, 8, 8), units=["act"])
    (block,) = next(blocks for layer, (_, blocks) in expanded.items() if layer != "act")
    assert block.up == "act"
    assert np.allclose(block.kernels.squeeze(), 2 if block.form == "diagonal" else 2 * np.eye(3))


def test_too_many_activations_in_series_fall_back_with_a_warning():
    class Long(nn.Module):
        def __init__(self):
            super().__init__()
            self.convs = nn.ModuleList(nn.Conv2d(3, 3, 1) for _ in range(6))

        def forward(self, x):
            out = x
            for conv in self.convs:
                out = F.relu(conv(out))
            return out + x

    with pytest.warns(UnitRuleWarning, match="6 activations in series"):
        layers, rule = choose_unit_layers(linearise(Long(), (3, 8, 8)), "net", "auto")
    assert rule == "activations"
    assert [own.layer.name for own in layers] == ["input", *(f"relu#{i}" for i in range(6)), "add"]


def test_a_layer_that_is_not_there_is_named_with_close_names():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU())
    with pytest.raises(MappingError, match="no tensor is called '7'"):
        choose_unit_layers(linearise(net, (3, 8, 8)), "net", ["7"])
    twice = nn.ReLU()
    net = nn.Sequential(nn.Conv2d(3, 4, 3), twice, nn.Conv2d(4, 4, 3), twice, nn.Conv2d(4, 4, 1))
    with pytest.raises(MappingError, match="did you mean 1#0 or 1#1"):
        choose_unit_layers(linearise(net, (3, 8, 8)), "net", ["1"])
    layers, rule = choose_unit_layers(linearise(net, (3, 8, 8)), "net", ["1#1"])
    assert ([own.layer.name for own in layers], rule) == (["input", "1#1", "4"], "named")
