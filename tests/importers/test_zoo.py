"""Every network of torchvision's classification zoo is expanded or refused by name; each family against autograd."""

from __future__ import annotations

import dataclasses
import time
import warnings

import numpy as np
import pytest
import torch
from torchvision import models

from circuitgraph.errors import BlockTooLargeError, UnsupportedOperationError
from importers.expand import Expansion
from importers.gates import measure_gates
from importers.linearisation import Linearisation
from importers.linearise import linearise
from importers.unit_layers import UnitRuleWarning, choose_unit_layers
from tests.importers.autograd import compare, linear_twin, run_cut
from tests.importers.zoo import input_shape, small_convnext, taken_linearly, zoo_network

CHOICES = Linearisation(smooth="identity", gate=0.5, norm_gain=0.8)
ATTENTION = ("vit_", "swin_", "maxvit_")
FALLS_BACK = ("convnext", "densenet", "efficientnet", "mnasnet", "mobilenet", "shufflenet", "swin", "maxvit")


pytestmark = pytest.mark.usefixtures("one_thread")


def expansion_of(module, shape, units="auto", choices=CHOICES):
    graph = linearise(module, shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitRuleWarning)
        layers, rule = choose_unit_layers(graph, "net", units)
    names = {own.tensor: own.layer.name for own in layers}
    return Expansion(graph, names, linearisation=choices), rule


@dataclasses.dataclass(frozen=True)
class Row:
    """A network, by which rule its layers are to be chosen, how many, and which are compared."""

    name: str
    rule: str
    layers: int
    every: int = 1
    is_quick: bool = False
    functional: str = ""


ROWS = [
    Row("alexnet", "auto", 10),
    Row("vgg11", "auto", 13),
    Row("vgg11_bn", "auto", 13),
    Row("resnet18", "auto", 11),
    Row("resnet50", "auto", 19),
    Row("wide_resnet50_2", "auto", 19),
    Row("resnext50_32x4d", "auto", 19),
    Row("squeezenet1_0", "auto", 11),
    Row("squeezenet1_1", "auto", 11),
    Row("googlenet", "auto", 14),
    Row("inception_v3", "auto", 18),
    Row("densenet121", "activations", 123, every=9, functional="relu"),
    Row("mobilenet_v2", "activations", 37),
    Row("mobilenet_v3_small", "activations", 26, is_quick=True),
    Row("mobilenet_v3_large", "activations", 34),
    Row("mnasnet0_5", "activations", 37),
    Row("mnasnet1_0", "activations", 37),
    Row("shufflenet_v2_x0_5", "activations", 39, is_quick=True),
    Row("shufflenet_v2_x1_0", "activations", 39),
    Row("regnet_x_400mf", "auto", 25),
    Row("regnet_y_400mf", "auto", 19),
    Row("efficientnet_b0", "activations", 35),
    Row("efficientnet_v2_s", "activations", 74, every=5),
]


@pytest.mark.parametrize(
    "row", [pytest.param(r, id=r.name, marks=[] if r.is_quick else pytest.mark.slow) for r in ROWS]
)
def test_a_family_of_the_zoo_agrees_with_autograd(row):
    module, shape = zoo_network(row.name), input_shape(row.name)
    expansion, rule = expansion_of(module, shape)
    assert (rule, len(expansion.layers)) == (row.rule, row.layers)
    targets = expansion.targets[:: 6 if row.is_quick else row.every]
    began = time.perf_counter()
    expanded = {expansion.layers[target]: expansion.expand_layer(target) for target in targets}
    seconds = time.perf_counter() - began
    compared = list(expanded)
    # what is not compared is cut all the same
    expanded = {expansion.layers[target]: expanded.get(expansion.layers[target]) for target in expansion.targets}
    verdict = compare(
        taken_linearly(module, gate=0.5, norm_gain=0.8),
        expanded,
        shape,
        channels=1,
        only=compared,
        functional={0: row.functional} if row.functional else None,
    )
    kernels = sum(
        len(b.kernels) if b.form == "diagonal" else b.kernels.shape[0] * b.kernels.shape[1]
        for name in compared
        for b in expanded[name][1]
    )
    # the table of the zoo: pytest -m slow -s tests/importers/test_zoo.py
    print(
        f"\n| {row.name} | {rule} | {row.layers} | {len(verdict.pairs)} | {kernels:,} | {seconds:.2f} "
        f"| {verdict.kernel:.1e} | {verdict.bias:.1e} |"
    )
    assert {(b.up, name) for name in compared for b in expanded[name][1]} == verdict.pairs
    assert verdict.kernel < 1e-5
    assert verdict.bias < 1e-4


def test_a_small_convnext_agrees_with_autograd_as_a_whole():
    module = small_convnext()
    expansion, rule = expansion_of(module, (3, 64, 64))
    assert (rule, len(expansion.layers)) == ("activations", 6)
    expanded = {expansion.layers[target]: expansion.expand_layer(target) for target in expansion.targets}
    twin = taken_linearly(module, norm_gain=0.8)
    names = [name for name in expanded if name != "classifier.2"]
    verdict = compare(twin, expanded, (3, 64, 64), channels=2, only=names)
    assert len(verdict.pairs) == 10
    assert verdict.kernel < 1e-5
    assert verdict.bias < 1e-4
    widest = max((block for name in names for block in expanded[name][1]), key=lambda b: b.kernels.shape[-1])
    assert widest.approximations == ("gelu=identity", "norm_gain=0.8")

    # before the mean over positions are wide kernels, so that what they say holds away from the border only
    bias, blocks = expanded["classifier.2"]
    run = run_cut(linear_twin(twin), ["input", *expanded], (3, 768, 768), {})
    logits = run.computed["classifier.2"][0]
    assert len(blocks) == 5
    for block in blocks:
        leaf = run.leaves[block.up]
        gradient = torch.autograd.grad(logits[3], leaf, retain_graph=True)[0][0].numpy()
        rows, cols = leaf.shape[2:]
        # cells are read differently by their place in a stride, so the mean over a stride of 32 input cells counts
        step = 32 * rows // 768
        top, left = rows // 2 // step * step, cols // 2 // step * step
        inner = gradient[:, top : top + step, left : left + step].mean(axis=(1, 2)) * rows * cols
        kernel = block.kernels[3, :, 0, 0]
        assert block.form == "global"
        assert np.linalg.norm(inner - kernel) < 1e-5 * np.linalg.norm(kernel)
        assert ("border" in block.approximations) == (block.up != "features.5.0.block.4")
    assert np.allclose(bias, logits.detach().numpy(), rtol=0.2)


@pytest.mark.slow
def test_the_first_stage_of_convnext_agrees_with_autograd():
    module = zoo_network("convnext_tiny")
    expansion, _ = expansion_of(module, (3, 224, 224))
    began = time.perf_counter()
    names = [expansion.layers[target] for target in expansion.targets]
    expanded = dict.fromkeys(names)
    for target in expansion.targets[:3]:
        expanded[expansion.layers[target]] = expansion.expand_layer(target)
    seconds = time.perf_counter() - began
    verdict = compare(taken_linearly(module, norm_gain=0.8), expanded, (3, 224, 224), channels=1, only=names[:3])
    print(f"\n| convnext_tiny, first 3 | {len(verdict.pairs)} pairs | {seconds:.2f} s | {verdict.kernel:.1e} "
          f"| {verdict.bias:.1e} |")  # fmt: skip
    assert len(verdict.pairs) == 6
    assert verdict.kernel < 1e-5
    assert verdict.bias < 1e-4


def test_measured_gates_agree_with_hooks_and_with_autograd():
    module, shape = zoo_network("mobilenet_v3_small"), (3, 64, 64)
    images = np.random.default_rng(4).standard_normal((2, *shape)).astype(np.float32)
    seen = {}
    twin = zoo_network("mobilenet_v3_small")
    for path, part in twin.named_modules():
        if type(part).__name__ == "SqueezeExcitation":
            part.scale_activation.register_forward_hook(
                lambda _module, _args, out, path=path: seen.setdefault(path, []).append(out.mean(dim=(0, 2, 3)))
            )
    with torch.no_grad():
        twin(torch.from_numpy(images))
    gates = measure_gates(module, images)
    assert set(gates) == set(seen)
    for path, (mean,) in seen.items():
        assert np.allclose(gates[path], mean.numpy(), rtol=1e-4)
    expansion, _ = expansion_of(module, shape, choices=Linearisation(smooth="identity", gate=gates))
    targets = [target for target in expansion.targets if ".block.0.2" in expansion.layers[target]][:4]
    expanded = {expansion.layers[t]: expansion.expand_layer(t) if t in targets else None for t in expansion.targets}
    names = [expansion.layers[target] for target in targets]
    verdict = compare(taken_linearly(module, gate=dict(gates)), expanded, shape, channels=2, only=names)
    assert verdict.kernel < 1e-5
    assert any("gate=mean" in block.approximations for name in names for block in expanded[name][1])


@pytest.mark.parametrize("axis", [0, 1])
def test_a_kernel_that_lies_one_cell_off_is_caught(axis):
    module, shape = zoo_network("shufflenet_v2_x0_5"), (3, 96, 96)
    expansion, _ = expansion_of(module, shape)
    target = expansion.targets[2]
    name = expansion.layers[target]
    bias, blocks = expansion.expand_layer(target)
    offset = list(blocks[0].offset)
    offset[axis] += 1
    wrong = (bias, [dataclasses.replace(blocks[0], offset=tuple(offset)), *blocks[1:]])
    expanded = {expansion.layers[t]: None for t in expansion.targets} | {name: wrong}
    assert compare(module, expanded, shape, only=[name]).kernel > 0.5
    assert compare(module, expanded | {name: (bias, blocks)}, shape, only=[name]).kernel < 1e-5


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("mobilenet_v2", "sums without an activation (linear bottlenecks)"),
        ("mobilenet_v3_small", "sums without an activation (linear bottlenecks)"),
        ("mnasnet0_5", "sums without an activation (linear bottlenecks)"),
        ("shufflenet_v2_x0_5", "15 activations in series"),
        ("densenet121", "ways jump over whole blocks"),
        ("convnext_tiny", "no activation is passed by all ways"),
    ],
)
def test_a_network_that_auto_does_not_suit_falls_back_and_says_why(name, why):
    graph = linearise(zoo_network(name, is_random=False), (3, 64, 64))
    with pytest.warns(UnitRuleWarning) as caught:
        _, rule = choose_unit_layers(graph, "net", "auto")
    assert rule == "activations"
    assert why in str(caught[0].message)
    assert "'activations' is taken instead" in str(caught[0].message)


@pytest.mark.parametrize("name", ["resnet18", "regnet_y_400mf", "googlenet", "squeezenet1_1"])
def test_auto_stays_where_it_suits(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnitRuleWarning)
        _, rule = choose_unit_layers(linearise(zoo_network(name, is_random=False), (3, 96, 96)), "net", "auto")
    assert rule == "auto"


def plan_all(name):
    """Plan each layer; what was refused, and the sums of what was not."""
    expansion, rule = expansion_of(zoo_network(name, is_random=False), input_shape(name))
    refused, pairs = [], []
    for target in expansion.targets:
        try:
            pairs += expansion.plan(target)
        except (UnsupportedOperationError, BlockTooLargeError) as error:
            refused.append(error)
    return rule, expansion, pairs, refused


SLOWLY = [pytest.param(name, marks=pytest.mark.slow) for name in ("swin_v2_t", "maxvit_t")]


@pytest.mark.parametrize("name", ["vit_b_32", "swin_t", *SLOWLY])
def test_attention_is_refused_in_one_line_that_names_it(name):
    _, _, _, refused = plan_all(name)
    assert refused
    for error in refused:
        assert isinstance(error, UnsupportedOperationError)
        assert "attention" in error.message
        assert "\n" not in error.message
        assert "No option admits it" in error.hint


@pytest.mark.slow
@pytest.mark.parametrize("name", models.list_models(module=models))
def test_every_network_of_the_zoo_is_planned_or_refused_by_name(name):
    began = time.perf_counter()
    rule, expansion, pairs, refused = plan_all(name)
    seconds = time.perf_counter() - began
    first = refused[0].message if refused else ""
    print(
        f"\n| {name} | {rule} | {len(expansion.layers)} | {len(pairs)} | {sum(p.bytes for p in pairs) / 1e6:,.0f} "
        f"| {seconds:.1f} | {len(refused)} | {first} |"
    )
    assert rule == ("activations" if name.startswith(FALLS_BACK) else "auto")
    if name.startswith(ATTENTION):
        assert refused
        assert all("attention" in error.message for error in refused)
    elif name.startswith("convnext"):
        # its windows grow with the residual stream: 56x56 kernels at the end
        assert all(isinstance(error, BlockTooLargeError) for error in refused)
    else:
        assert not refused
    assert pairs or name.startswith(ATTENTION)
