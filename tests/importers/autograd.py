"""An oracle for expanded weights: gradients of the module itself, its nonlinearities taken away."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

SIZES = (64, 96, 160, 224, 352, 512, 768)


def randomise(module: nn.Module, seed: int) -> nn.Module:
    """Give batch norms statistics and gains that a mistake would show in."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(like, low, high):
        return torch.empty_like(like).uniform_(low, high, generator=generator)

    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.copy_(uniform(part.running_mean, -0.5, 0.5))
                part.running_var.copy_(uniform(part.running_var, 0.5, 2.0))
                if part.affine:
                    part.weight.copy_(uniform(part.weight, 0.5, 1.5))
                    part.bias.copy_(uniform(part.bias, -0.5, 0.5))
            elif isinstance(part, (nn.Conv2d, nn.Linear)):
                bound = (3 / part.weight[0].numel()) ** 0.5
                part.weight.copy_(uniform(part.weight, -bound, bound))
                if part.bias is not None:
                    part.bias.copy_(uniform(part.bias, -0.5, 0.5))
    return module.eval()


def linear_twin(module: nn.Module) -> nn.Module:
    """Copy a module in float64 with activations made identities and max pools averages."""
    twin = copy.deepcopy(module).double().eval()
    for parent in list(twin.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, (nn.ReLU, nn.ReLU6, nn.Dropout)):
                setattr(parent, name, nn.Identity())
            elif isinstance(child, nn.MaxPool2d) and child.dilation == 1:
                pool = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode)
                setattr(parent, name, pool)
    return twin


def gross_twin(twin: nn.Module) -> nn.Module:
    """Copy a linear twin with all weights made positive: its gradients are what could have cancelled."""
    gross = copy.deepcopy(twin)
    with torch.no_grad():
        for part in gross.modules():
            if isinstance(part, (nn.Conv2d, nn.Linear, nn.BatchNorm2d)) and part.weight is not None:
                part.weight.abs_()
    return gross


@dataclass
class Run:
    """What one forward pass gave: each layer as it was computed, and the leaf that was put in its place."""

    computed: dict[str, torch.Tensor] = field(default_factory=dict)
    leaves: dict[str, torch.Tensor] = field(default_factory=dict)


@contextmanager
def _functions(run: Run, functional: dict[int, str]) -> Iterator[None]:
    relu, max_pool, dropout = F.relu, F.max_pool2d, F.dropout
    calls = iter(range(10**6))

    def straight(x, inplace=False):
        name = functional.get(next(calls))
        return x if name is None else _cut(run, name, x)

    def averaged(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        if dilation != 1:
            return max_pool(x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
        return F.avg_pool2d(x, kernel_size, stride, padding, ceil_mode)

    F.relu, F.max_pool2d, F.dropout = straight, averaged, lambda x, *_, **__: x
    try:
        yield
    finally:
        F.relu, F.max_pool2d, F.dropout = relu, max_pool, dropout


def _cut(run: Run, name: str, x: torch.Tensor) -> torch.Tensor:
    run.computed[name] = x
    run.leaves[name] = torch.zeros_like(x).requires_grad_()
    # a copy: what is added to it in place must not be added to the leaf
    return run.leaves[name].clone()


def run_cut(twin: nn.Module, layers: list[str], input_shape: tuple[int, ...], functional: dict[int, str]) -> Run:
    """Run a linear twin on zeros with every layer of units cut: what comes after it sees a leaf of zeros."""
    run, handles = Run(), []
    for layer in layers[1:]:
        path, _, call = layer.partition("#")
        if layer in functional.values():
            continue
        count = iter(range(10**6))

        def hook(_module, _args, output, layer=layer, count=count, call=call):
            return _cut(run, layer, output) if next(count) == int(call or 0) else None

        handles.append(twin.get_submodule(path).register_forward_hook(hook))
    run.leaves["input"] = torch.zeros((1, *input_shape), dtype=torch.float64, requires_grad=True)
    try:
        with _functions(run, functional):
            twin(run.leaves["input"])
    finally:
        for handle in handles:
            handle.remove()
    return run


def interior(
    target: torch.Tensor, blocks: list, leaves: dict[str, torch.Tensor], margin: int = 0
) -> tuple[int, int] | None:
    """Find a position of the target whose windows all lie inside their sources, `margin` of them before and after."""
    if target.ndim == 2:
        return (0, 0)
    place = []
    for axis in (0, 1):
        size = target.shape[2 + axis]
        fits = [
            p
            for p in range(size)
            if all(
                b.offset[axis] + b.stride[axis] * p >= 0
                and b.offset[axis] + b.stride[axis] * p + b.kernels.shape[-2 + axis] <= leaves[b.up].shape[2 + axis]
                for b in blocks
            )
        ]
        fits = fits[margin : len(fits) - margin]
        if not fits:
            return None
        place.append(fits[len(fits) // 2])
    return place[0], place[1]


def expected_gradient(block, row: int, place: tuple[int, int], shape: torch.Size) -> np.ndarray:
    """Lay a block's kernels for one target channel over the whole map of its source."""
    expected = np.zeros(shape)
    own = row - block.row_start
    if block.form == "diagonal":
        kernels = np.zeros((shape[0], *block.kernels.shape[1:]))
        if block.up_channels[own] >= 0:
            kernels[block.up_channels[own]] = block.kernels[own]
    else:
        kernels = block.kernels[own]
    if block.form == "global":
        expected[:] = kernels / (shape[1] * shape[2])
    elif block.form == "spatial":
        expected[:] = kernels
    else:
        top, left = (block.stride[a] * place[a] + block.offset[a] for a in (0, 1))
        expected[:, top : top + kernels.shape[1], left : left + kernels.shape[2]] = kernels
    return expected


def _gradient(run: Run, layer: str, row: int, place: tuple[int, int], up: str) -> np.ndarray:
    computed = run.computed[layer][0]
    at = computed[(row, *place)] if computed.ndim == 3 else computed[row]
    return torch.autograd.grad(at, run.leaves[up])[0].numpy()


@dataclass
class Verdict:
    """The worst relative L2 errors over what was compared."""

    kernel: float = 0.0
    bias: float = 0.0
    pairs: set = field(default_factory=set)
    unplaced: set = field(default_factory=set)


def compare(
    module: nn.Module,
    expanded: dict[str, tuple[np.ndarray, list]],
    input_shape: tuple[int, int, int],
    *,
    functional: dict[int, str] | None = None,
    channels: int = 2,
    seed: int = 0,
    sizes: tuple[int, ...] = SIZES,
    only: Collection[str] | None = None,
    margin: int = 0,
    may_be_unplaced: bool = False,
    may_cancel: bool = False,
) -> Verdict:
    """Compare blocks, {layer: (bias, blocks)} with bare layer names, with gradients of the linear twin.

    Pairs without an interior position are tried again at the next size; those over a whole map only at `input_shape`.
    Layers that are not in `only` are cut but not compared. A layer of which no block is given must have no gradient.
    With `may_cancel` an error is relative to at least a tenth of what the kernel would be if nothing cancelled, since
    float32 knows no better.
    """
    twin, rng, verdict = linear_twin(module), np.random.default_rng(seed), Verdict()
    layers = ["input", *expanded]
    left = set(expanded if only is None else only)
    for size in dict.fromkeys((input_shape[1], *(s for s in sizes if s > input_shape[1]))):
        shape = input_shape if size == input_shape[1] else (input_shape[0], size, size)
        if not left:
            break
        run = run_cut(twin, layers, shape, functional or {})
        for layer in sorted(left, key=layers.index):
            bias, blocks = expanded[layer]
            computed = run.computed[layer]
            place = interior(computed, [b for b in blocks if b.form not in ("global", "spatial")], run.leaves, margin)
            if place is None:
                continue
            left.discard(layer)
            flat = computed[0] if computed.ndim == 4 else computed[0][:, None, None]
            at = flat[:, place[0], place[1]]
            true_bias = at.detach().numpy()
            scale = np.linalg.norm(true_bias)
            if scale:
                verdict.bias = max(verdict.bias, float(np.linalg.norm(bias - true_bias) / scale))
            else:
                assert not np.any(bias)
            # one channel of every block at least
            rows = {int(rng.integers(b.row_start, b.row_start + len(b.kernels))) for b in blocks}
            rows |= set(rng.integers(len(bias), size=channels).tolist())
            for row in rows:
                ups = [name for name in run.leaves if name != layer]
                grads = torch.autograd.grad(at[row], [run.leaves[u] for u in ups], retain_graph=True, allow_unused=True)
                for up, grad in zip(ups, grads, strict=True):
                    leaf = run.leaves[up]
                    leaf_shape = leaf.shape[1:] if leaf.ndim == 4 else (leaf.shape[1], 1, 1)
                    true = np.zeros(leaf_shape) if grad is None else grad[0].numpy().reshape(leaf_shape)
                    ours = np.zeros(leaf_shape)
                    for b in blocks:
                        if b.up == up and b.row_start <= row < b.row_start + len(b.kernels):
                            ours = ours + expected_gradient(b, row, place, leaf_shape)
                    error = np.linalg.norm(ours - true) / max(np.linalg.norm(true), 1e-300)
                    if not np.any(true):
                        error = float(np.any(ours))
                    if may_cancel and np.any(true) and error > 1e-6:
                        gross = run_cut(gross_twin(twin), layers, shape, functional or {})
                        most = np.linalg.norm(_gradient(gross, layer, row, place, up))
                        error *= np.linalg.norm(true) / max(np.linalg.norm(true), most / 10)
                    verdict.kernel = max(verdict.kernel, float(error))
                    if any(b.up == up for b in blocks):
                        verdict.pairs.add((up, layer))
    verdict.unplaced = left
    assert may_be_unplaced or not left, f"no interior position for {sorted(left)}"
    return verdict
