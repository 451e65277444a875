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
from importers.linearise import linearise
from importers.unit_layers import UnitRuleWarning, choose_unit_layers


class Between(nn.Module):
    """A step between two convolutions."""

    def __init__(self, middle, *, channels=4):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.middle = middle
        self.last = nn.Conv2d(channels, 2, 1)

    def forward(self, x):
        return self.last(self.middle(F.relu(self.first(x))))


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


REFUSED = [
    (nn.LeakyReLU(), "LeakyReLU at 'middle'", "below zero"),
    (nn.GELU(), "GELU at 'middle'", "near the identity"),
    (nn.SiLU(), "SiLU at 'middle'", "near the identity"),
    (nn.Sigmoid(), "Sigmoid at 'middle'", "nowhere the identity"),
    (nn.Tanh(), "Tanh at 'middle'", "bounded above and below"),
    (nn.LocalResponseNorm(2), "LocalResponseNorm at 'middle'", "neighbouring channels"),
    (nn.GroupNorm(2, 4), "GroupNorm at 'middle'", "spread of each map"),
    (nn.InstanceNorm2d(4), "InstanceNorm2d at 'middle'", "spread of each map"),
    (nn.BatchNorm2d(4, track_running_stats=False), "BatchNorm2d at 'middle'", "running statistics"),
    (nn.AdaptiveMaxPool2d(2), "AdaptiveMaxPool2d at 'middle'", "several sizes"),
    (nn.AdaptiveAvgPool2d(7), "AdaptiveAvgPool2d at 'middle'", "from 30x30 to 7x7"),
    (nn.MaxPool2d(2, dilation=2), "MaxPool2d at 'middle'", "dilated"),
    (nn.ConvTranspose2d(4, 4, 2), "ConvTranspose2d at 'middle'", "fraction"),
    (nn.Upsample(scale_factor=2), "Upsample at 'middle'", "fraction"),
    (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), "Conv2d at 'middle'", "reflect"),
    (Call(lambda x: x * F.relu(x)), "mul at 'middle'", "product of two activations"),
    (Call(lambda x: x - x.mean()), "mean at 'middle'", "mean"),
    (Call(lambda x: x.softmax(1)), "softmax at 'middle'", "divides by what all channels do"),
    (Call(lambda x: F.pad(x, (1, 1, 1, 1), value=3.0)), "pad at 'middle'", "3.0"),
    (Call(lambda x: x.flip(2)), "at 'last'", "turns round"),
    (Call(lambda x: F.max_pool2d(x, 2) + F.avg_pool2d(x, 3, 2, 1)[:, :, ::2, ::2][:, :, :1, :1]), "add", "shapes"),
    (Call(lambda x: F.adaptive_avg_pool2d(x, 1) + x), "add at 'middle'", "broadcasting"),
]


@pytest.mark.parametrize(("middle", "place", "fact"), REFUSED, ids=lambda value: type(value).__name__[:12])
def test_a_step_without_a_linear_form_is_refused_by_place_and_reason(middle, place, fact, tmp_path):
    out = tmp_path / "net.circuit"
    with pytest.raises(UnsupportedOperationError) as caught:
        import_torch(Between(middle), network="net", input_shape=(3, 32, 32), out=out)
    assert place in caught.value.message
    assert fact in caught.value.message
    assert "net/last" in caught.value.message or "net/middle" in caught.value.message
    assert caught.value.hint
    assert not list(tmp_path.iterdir())


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
