"""Both front ends follow any forward alike, or refuse it by place; the caller's module is left as it was."""

from __future__ import annotations

import dataclasses
import math
import random
import threading
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.nn.utils import parametrizations, prune

from circuitgraph.errors import CircuitGraphError, TraceError, UnsupportedOperationError, WeightsError
from importers import import_torch
from importers.expand import Expansion
from importers.linearise import linearise, linearise_traced
from importers.unit_layers import choose_unit_layers
from tests.importers.autograd import compare, randomise
from tests.importers.modules import Call


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow does it: by the size of its input, more behind than in front."""

    def forward(self, x):
        total = [
            max((math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
            for size, stride, kernel, dilation in zip(
                x.shape[-2:], self.stride, self.kernel_size, self.dilation, strict=True
            )
        ]
        if total[0] > 0 or total[1] > 0:
            x = F.pad(x, [total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2])
        return F.conv2d(x, self.weight, self.bias, self.stride, (0, 0), self.dilation, self.groups)


class Between(nn.Module):
    """A step between two convolutions."""

    def __init__(self, middle=None, *, channels=4):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.relu = nn.ReLU()
        self.middle = middle or nn.ReLU()
        self.last = nn.Conv2d(channels, 2, 1)

    def forward(self, x):
        return self.last(self.middle(self.relu(self.first(x))))


def relu_once_per_ten_columns(x):
    for _ in range(0, x.shape[-1], 10):
        x = F.relu(x)
    return x


class Everything(nn.Module):
    """Functions and methods of torch, each on the way to the output."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.named = nn.Sequential()
        self.named.add_module("squeeze", nn.Conv2d(8, 8, 1))
        self.named.add_module("act", nn.ReLU(inplace=True))
        self.steps = nn.ModuleList(nn.Conv2d(8, 8, 3, padding="same") for _ in range(2))
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.3)
        self.skip = nn.Identity()
        self.weight = nn.Parameter(torch.randn(8, 4, 3, 3))
        self.register_buffer("gain", torch.rand(1, 8, 1, 1) + 0.5)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(64, 5)

    def forward(self, x):
        x = self.named(self.stem(x * 2 - 0.5))
        for step in self.steps:
            y = self.act(step(x))
            x = x + self.skip(self.drop(y))
        x = F.conv2d(x, self.weight, stride=2, padding=(2, 1), dilation=(2, 1), groups=2) * self.gain / 3
        x = F.batch_norm(x, self.norm.running_mean, self.norm.running_var, self.norm.weight, self.norm.bias, False)
        a, b = x.relu().chunk(2, dim=1)
        c, d = torch.split(F.max_pool2d(F.pad(torch.cat([b, a], 1), (1, 0, 0, 1)), 2), 4, dim=1)
        x = torch.cat((d, c), dim=1).clamp(min=0)
        n, k, h, w = x.size()
        x = x.view(n, 2, k // 2, h, w).transpose(1, 2).reshape(n, k, h, w)
        x = F.avg_pool2d(x.permute(0, 2, 3, 1).permute(0, 3, 1, 2)[:, :, :4, :4], 2)
        x = F.adaptive_avg_pool2d(F.dropout(x, 0.5, self.training), 2)
        return self.head(torch.flatten(torch.cat([x, -x], 1), 1))


def same_graphs(one, other):
    """List the tensors in which two linear graphs differ; names of bare functions need not be the same."""

    def step(graph, node):
        parts = {field.name: getattr(node.op, field.name) for field in dataclasses.fields(node.op)}
        names = [(name.path, name.kind) for name in graph.names[node.name] if name.kind != "function"]
        arrays = {key: value.tobytes() for key, value in parts.items() if isinstance(value, np.ndarray)}
        plain = {key: value for key, value in parts.items() if not isinstance(value, np.ndarray)}
        return (node.name, type(node.op), arrays, plain, node.inputs, node.shape, node.where, names)

    assert len(one.nodes) == len(other.nodes)
    pairs = zip(one.nodes.values(), other.nodes.values(), strict=True)
    return [(str(a), str(b)) for a, b in pairs if step(one, a) != step(other, b)] + list(
        set(one.outputs) ^ set(other.outputs)
    )


def expand(module, shape, units="activations", **options):
    graph = linearise(module, shape, **options)
    layers, _ = choose_unit_layers(graph, "net", units)
    expansion = Expansion(graph, {own.tensor: own.layer.name for own in layers})
    return {expansion.layers[target]: expansion.expand_layer(target) for target in expansion.targets}


def test_both_front_ends_give_the_same_steps_and_names():
    torch.manual_seed(0)
    net = randomise(Everything(), 0)
    one, other = (linearise(net, (3, 20, 20), tracer=tracer) for tracer in ("fx", "export"))
    assert same_graphs(one, other) == []
    names = {name.path for names in other.names.values() for name in names}
    assert {"stem", "named.squeeze", "named.act", "steps.1", "act#0", "act#1", "skip#1", "drop#0", "head"} <= names


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["resnet18", "googlenet", "squeezenet1_1", "mobilenet_v2", "densenet121", "shufflenet_v2_x0_5"]
)
def test_both_front_ends_give_the_same_steps_on_the_zoo(name):
    from torchvision import models

    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    torch.manual_seed(0)
    net = randomise(models.get_model(name, weights=None, **options), 0)
    assert same_graphs(*(linearise(net, (3, 224, 224), tracer=tracer) for tracer in ("fx", "export"))) == []


def test_both_front_ends_give_the_same_bundle(tmp_path):
    torch.manual_seed(0)
    net = randomise(Between(nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))), 0)
    made = [
        import_torch(net, network="net", input_shape=(3, 16, 16), out=tmp_path / tracer, tracer=tracer, fidelity=0)
        for tracer in ("fx", "export")
    ]
    files = [{p.relative_to(own.path): p.read_bytes() for p in own.path.rglob("*.npy")} for own in made]
    assert files[0] == files[1]
    assert files[0]
    assert [own.info.options["traced_by"] for own in made] == ["fx", "export"]
    assert made[1].info.options["fixed_at_input"] == [3, 16, 16]


@pytest.mark.parametrize(("size", "offset"), [(64, -1), (65, -2)])
def test_padding_that_depends_on_the_size_is_followed_at_that_size(size, offset, tmp_path):
    torch.manual_seed(size)
    net = randomise(nn.Sequential(SameConv(3, 4, 5, stride=2), nn.ReLU(), SameConv(4, 6, 3), nn.ReLU()), size)
    expanded = expand(net, (3, size, size))
    (block,) = expanded["1"][1]
    assert (block.offset, block.stride) == ((offset, offset), (2, 2))
    verdict = compare(net, expanded, (3, size, size), sizes=())
    assert verdict.kernel <= 1e-6
    assert verdict.bias <= 1e-6
    bundle = import_torch(net, network="net", input_shape=(3, size, size), out=tmp_path / "net.circuit", fidelity=0)
    assert bundle.info.options["traced_by"] == "export"


@pytest.mark.parametrize(
    ("function", "relus"),
    [
        (lambda x: F.relu(x) if x.shape[-1] > 16 else -x, 1),
        (relu_once_per_ten_columns, 3),
        # no error in torch.fx, whose proxies are no tensors: what it finds is compared with what the module does
        (lambda x: F.relu(x) if isinstance(x, torch.Tensor) else -x, 1),
    ],
    ids=["a branch on the shape", "a loop over sizes", "a branch on the type"],
)
def test_a_forward_that_looks_at_its_input_is_exported(function, relus):
    traced = linearise_traced(Between(Call(function)), (3, 32, 32))
    assert traced.trace.traced_by == "export"
    assert sum(node.what == "relu" for node in traced.graph.nodes.values()) == relus


class TakesDict(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, batch):
        return self.conv(batch["image"])


class TakesTwo(TakesDict):
    def forward(self, x, y):
        return self.conv(x) + y


class Quantised(nn.Module):
    def forward(self, x):
        return x


Quantised.__module__ = "torch.ao.nn.quantized.modules.conv"


def with_parameter(values):
    net = Between()
    net.extra = nn.Parameter(values, requires_grad=False)
    return net


def with_lock():
    net = Between()
    net.lock = threading.Lock()
    return net


def on_meta():
    with torch.device("meta"):
        return nn.Conv2d(3, 4, 3)


def scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(Between())


def branches_on_values():
    return Between(Call(lambda x: x if x.sum() > 0 else -x))


def slices_by_values():
    return Between(Call(lambda x: x[:, :, : int(x.sum())]))


def of_complex_numbers():
    return with_parameter(torch.zeros(2, dtype=torch.complex64))


REFUSED = {
    "a branch on values": (branches_on_values, TraceError, "Call at 'middle' (", "values of the data"),
    "a number read as int": (slices_by_values, TraceError, "Call at 'middle' (", "values of the data"),
    "a dictionary": (TakesDict, TraceError, "TakesDict (", "IndexError"),
    "two inputs": (TakesTwo, TraceError, "TakesTwo", "a second input, 'y'"),
    "no forward": (lambda: nn.ModuleList([nn.Conv2d(3, 3, 1)]), TraceError, "ModuleList", "no forward"),
    "wrong channels": (lambda: nn.Sequential(nn.ReLU(), nn.Conv2d(5, 2, 1)), TraceError, "Conv2d at '1'", "5 channels"),
    "sequences": (lambda: nn.Conv1d(3, 4, 3), TraceError, "Conv1d", "conv1d"),
    "volumes": (lambda: nn.Conv3d(3, 4, 3), TraceError, "Conv3d", "3x16x16"),
    "a lazy module": (lambda: Between(nn.LazyConv2d(4, 3)), WeightsError, "middle.weight", "no shape"),
    "the meta device": (on_meta, WeightsError, "weight", "no values"),
    "complex numbers": (of_complex_numbers, WeightsError, "extra", "complex64"),
    "a quantised module": (lambda: Between(Quantised()), UnsupportedOperationError, "at 'middle'", "is quantised"),
    "TorchScript": (scripted, TraceError, "ScriptModule", "TorchScript"),
    "what cannot be copied": (with_lock, TraceError, "Between", "lock"),
}


@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_traced_is_refused_by_place_and_remedy(case, capfd):
    make, kind, place, fact = REFUSED[case]
    with pytest.raises(kind) as caught:
        linearise(make(), (3, 16, 16))
    assert place in caught.value.message
    assert fact in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 500
    assert caught.value.hint
    if "(" in place:
        # the line of the user's own code
        assert "test_tracing.py:" in caught.value.message
    # torch's own reports of what it cannot export are not passed on
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "function",
    [lambda x: x * x.max().item(), lambda x: (x[:, :2].relu_(), x)[1]],
    ids=["a number read off the data", "a part written in place"],
)
@pytest.mark.parametrize("tracer", ["fx", "export"])
def test_a_step_that_depends_on_values_or_hides_a_change_is_refused(function, tracer):
    with pytest.raises(UnsupportedOperationError, match=r"expanding last: .* at 'middle'"):
        expand(Between(Call(function)), (3, 16, 16), tracer=tracer)


def written_over(x):
    y = x
    y += 1.0
    return y + x


@pytest.mark.parametrize("tracer", ["auto", "export"])
def test_a_sum_in_place_is_seen_under_its_other_names(tracer):
    net = nn.Sequential(nn.Conv2d(3, 3, 1), Call(written_over))
    (bias, (block,)) = expand(net, (3, 8, 8), tracer=tracer)["1"]
    own = dict(net[0].named_parameters())
    assert np.allclose(block.kernels, 2 * own["weight"].detach().numpy())
    assert np.allclose(bias, 2 * own["bias"].detach().numpy() + 2)


def weight_norm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.utils.weight_norm(nn.Conv2d(4, 2, 3))


def pruned():
    conv = nn.Conv2d(4, 2, 3)
    prune.l1_unstructured(conv, "weight", 0.5)
    return conv


@pytest.mark.parametrize(
    "make",
    [
        lambda: parametrizations.weight_norm(nn.Conv2d(4, 2, 3)),
        lambda: parametrizations.spectral_norm(nn.Conv2d(4, 2, 3)),
        weight_norm,
        pruned,
        lambda: nn.Conv2d(4, 2, 3).half(),
        lambda: nn.Conv2d(4, 2, 3).bfloat16(),
        lambda: nn.DataParallel(nn.Conv2d(4, 2, 3)),
        lambda: torch.compile(nn.Conv2d(4, 2, 3)),
    ],
    ids=["weight_norm", "spectral_norm", "old weight_norm", "pruned", "half", "bfloat16", "DataParallel", "compiled"],
)
def test_weights_are_taken_as_the_module_applies_them(make):
    torch.manual_seed(0)
    module = make().eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    (_, (block,)) = next(iter(expand(module, (4, 8, 8), units=[]).values()))
    probe = torch.eye(4 * 9).reshape(36, 4, 3, 3).to(next(module.parameters()).dtype)
    plain = getattr(module, "_orig_mod", getattr(module, "module", module))
    zero = torch.zeros((1, 4, 3, 3), dtype=probe.dtype)
    with torch.no_grad():
        applied = (plain(probe).double() - plain(zero).double()).reshape(4, 3, 3, 2).permute(3, 0, 1, 2)
    tolerance = 1e-6 if probe.dtype == torch.float32 else 1e-2
    assert np.abs(block.kernels - applied.numpy()).max() < tolerance
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_tied_weights_reused_activations_and_several_outputs_are_followed():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 1)
            self.one = nn.Conv2d(4, 4, 3)
            self.two = nn.Conv2d(4, 4, 3)
            self.two.weight = self.one.weight
            self.act = nn.ReLU()

        def forward(self, x):
            x = self.act(self.stem(x))
            y = self.act(self.one(x))
            return {"early": y, "late": self.two(y)}

    net = Net()
    for tracer in ("fx", "export"):
        expanded = expand(net, (3, 12, 12), tracer=tracer)
        assert list(expanded) == ["act#0", "act#1", "two"]
        weight = net.one.weight.detach().numpy()
        assert np.array_equal(expanded["act#1"][1][0].kernels, weight)
        assert np.array_equal(expanded["two"][1][0].kernels, weight)


class Restless(nn.Module):
    """Counts its calls, draws numbers, prints and writes over its weights."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout()
        self.act = nn.ReLU(inplace=True)
        self.register_buffer("calls", torch.zeros(1))
        self.last = parametrizations.spectral_norm(nn.Conv2d(4, 2, 1))

    def forward(self, x):
        self.calls += 1
        self.conv.weight.data.clamp_(-0.1, 0.1)
        print("called", torch.rand(1).shape)
        return self.last(self.drop(self.act(self.norm(self.conv(x)))))


def fingerprint(net):
    """Say all that a caller could see change."""
    state = net.state_dict(keep_vars=True)
    tensors = {name: (value.clone(), value.requires_grad, value.grad) for name, value in state.items()}
    parts = [
        (
            name,
            id(part),
            part.training,
            getattr(part, "inplace", None),
            tuple(part._forward_hooks),
            tuple(part._forward_pre_hooks),
            tuple(part._backward_hooks),
            sorted(vars(part)),
        )
        for name, part in net.named_modules()
    ]
    ids = [id(value) for value in (*net.parameters(), *net.buffers())]
    here = (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),
    )
    return tensors, parts, ids, here


def assert_unchanged(before, after):
    for name, (value, wants_grad, grad) in before[0].items():
        assert torch.equal(value, after[0][name][0]), name
        assert (wants_grad, grad) == after[0][name][1:]
    assert before[1:] == after[1:]


@pytest.mark.parametrize("tracer", ["fx", "export"])
def test_the_callers_module_is_left_as_it_was(tracer, tmp_path, capsys):
    net = Restless().train()
    net.act.register_forward_hook(lambda *_: pytest.fail("a hook of the caller's was called"))
    net.conv.weight.requires_grad_(False)
    net.norm.eval()
    before = fingerprint(net)
    try:
        bundle = import_torch(
            net, network="net", input_shape=(3, 12, 12), out=tmp_path / "net.circuit", tracer=tracer, fidelity=0
        )
        assert "forward hooks on 'act' are left out" in bundle.info.approximations
    except CircuitGraphError:
        # torch.export does not follow a write over a weight
        assert tracer == "export"
    assert_unchanged(before, fingerprint(net))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "middle",
    [Call(lambda x: x if x.sum() > 0 else -x), nn.GroupNorm(2, 4), nn.Conv2d(5, 4, 1)],
    ids=["control flow", "a refused step", "another shape"],
)
def test_the_callers_module_is_left_as_it_was_by_an_import_that_fails(middle, tmp_path):
    net = Between(nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(inplace=True), middle)).train()
    before = fingerprint(net)
    with pytest.raises(CircuitGraphError):
        import_torch(net, network="net", input_shape=(3, 12, 12), out=tmp_path / "net.circuit")
    assert_unchanged(before, fingerprint(net))
    assert not list(tmp_path.iterdir())


def test_a_forward_that_writes_over_a_weight_is_followed_as_it_runs():
    net = Restless().eval()
    with torch.no_grad():
        net.conv.weight.mul_(3)
    expanded = expand(net, (3, 12, 12))
    gain = (net.norm.weight / (net.norm.running_var + net.norm.eps).sqrt()).detach()[:, None, None, None]
    expected = net.conv.weight.detach().clamp(-0.1, 0.1) * gain
    assert np.allclose(expanded["act"][1][0].kernels, expected.numpy(), atol=1e-7)


def test_modules_that_were_made_for_training_are_imported_as_they_are_used():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.ReLU())
    randomise(net, 0)
    used, training = (expand(own, (3, 12, 12)) for own in (net.eval(), net.train()))
    assert np.array_equal(used["3"][1][0].kernels, training["3"][1][0].kernels)
    assert np.array_equal(used["3"][0], training["3"][0])
