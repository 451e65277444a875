"""An oracle for frozen graphs: they are run operation by operation, linearised, and gradients are taken.

Written for the tests alone, on torch tensors in TensorFlow's own order of axes, with all padding written out.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from tests.importers.autograd import expected_gradient, interior
from tests.importers.graphs import Graph


def same(size: int, reach: int, stride: int) -> tuple[int, int]:
    total = max((math.ceil(size / stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def first(x: torch.Tensor, form: str) -> torch.Tensor:
    return x.permute(0, 3, 1, 2) if form == "NHWC" else x


def back(x: torch.Tensor, form: str) -> torch.Tensor:
    return x.permute(0, 2, 3, 1) if form == "NHWC" else x


def padded(x, attributes, reach, stride, form):
    kind = attributes["padding"]
    if kind == "SAME":
        rows, cols = (same(x.shape[2 + a], reach[a], stride[a]) for a in (0, 1))
    elif kind == "VALID":
        rows = cols = (0, 0)
    else:
        listed = attributes["explicit_paddings"]
        at = 2 if form == "NHWC" else 4
        rows, cols = listed[at : at + 2], listed[at + 2 : at + 4]
    return F.pad(x, (*cols, *rows))


def slide(x, attributes, weight, groups):
    form = attributes.get("data_format", "NHWC")
    at = slice(1, 3) if form == "NHWC" else slice(2, 4)
    stride = attributes["strides"][at]
    dilation = attributes.get("dilations", [1, 1, 1, 1])[at]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    x = padded(first(x, form), attributes, reach, stride, form)
    return back(F.conv2d(x, weight, stride=stride, dilation=dilation, groups=groups), form)


def pooled(x, attributes):
    form = attributes.get("data_format", "NHWC")
    at = slice(1, 3) if form == "NHWC" else slice(2, 4)
    window, stride = attributes["ksize"][at], attributes["strides"][at]
    # zeros are counted at the border, which TensorFlow does not do; only the interior is looked at
    return back(F.avg_pool2d(padded(first(x, form), attributes, window, stride, form), window, stride), form)


def run(graph: Graph, start: str, leaves: dict, cut: set[str]):
    """Run a graph on `leaves[start]`; what a cut operation gives is kept, and a leaf of zeros goes on."""
    values, computed = {start: leaves[start]}, {}
    for name, (kind, inputs, attributes) in graph.ops.items():
        if name in values:
            continue
        x = [values.get(source.partition(":")[0]) for source in inputs]
        x = [v[int(s.partition(":")[2] or 0)] if isinstance(v, list) else v for v, s in zip(x, inputs, strict=True)]
        if any(value is None for value in x):
            continue
        values[name] = apply(kind, x, attributes)
        if name in cut:
            computed[name] = values[name]
            leaves[name] = torch.zeros_like(values[name]).requires_grad_()
            values[name] = leaves[name]
    return computed


def apply(kind, x, attributes):
    keep = attributes.get("keep_dims", False)
    form = attributes.get("data_format", "NHWC")
    match kind:
        case "Const":
            value = torch.from_numpy(np.array(attributes["value"]))
            return value.double() if value.is_floating_point() else value
        case "Conv2D":
            up = x[0].shape[3 if form == "NHWC" else 1]
            return slide(x[0], attributes, x[1].permute(3, 2, 0, 1), up // x[1].shape[2])
        case "DepthwiseConv2dNative":
            rows, cols, up, times = x[1].shape
            return slide(x[0], attributes, x[1].permute(2, 3, 0, 1).reshape(up * times, 1, rows, cols), up)
        case "BiasAdd":
            return x[0] + (x[1] if form == "NHWC" else x[1][:, None, None])
        case "Add" | "AddV2" | "AddN":
            return sum(x[1:], start=x[0])
        case "Sub":
            return x[0] - x[1]
        case "Mul":
            return x[0] * x[1]
        case "RealDiv":
            return x[0] / x[1]
        case "Relu" | "Relu6" | "Identity" | "CheckNumerics" | "LRN":
            return x[0]
        case "MaxPool" | "AvgPool":
            return pooled(x[0], attributes)
        case "Concat":
            return torch.cat(x[1:], int(x[0]))
        case "ConcatV2":
            return torch.cat(x[:-1], int(x[-1]))
        case "MatMul":
            return x[0] @ (x[1].T if attributes.get("transpose_b") else x[1])
        case "Reshape":
            return x[0].reshape([int(side) for side in x[1]])
        case "Squeeze":
            return x[0].squeeze([int(a) for a in attributes["squeeze_dims"]])
        case "Transpose":
            return x[0].permute([int(a) for a in x[1]])
        case "Pad":
            return F.pad(x[0], [int(side) for pair in reversed(x[1].tolist()) for side in pair])
        case "Slice":
            return x[0][tuple(slice(int(b), int(b + s)) for b, s in zip(x[1], x[2], strict=True))]
        case "StridedSlice":
            return x[0][tuple(slice(int(b), int(e), int(s)) for b, e, s in zip(*x[1:], strict=True))]
        case "Split":
            return list(torch.chunk(x[1], attributes["num_split"], int(x[0])))
        case "Mean":
            return x[0].mean([int(a) for a in x[1]], keepdim=keep)
        case "FusedBatchNorm" | "FusedBatchNormV3":
            scale, offset, mean, variance = (v if form == "NHWC" else v[:, None, None] for v in x[1:])
            return (x[0] - mean) / torch.sqrt(variance + attributes["epsilon"]) * scale + offset
        case "Softmax":
            return x[0]
    raise NotImplementedError(kind)


def as_map(x: torch.Tensor, form: str) -> torch.Tensor:
    """Lay a tensor out as (1, channel, row, col)."""
    return first(x, form) if x.ndim == 4 else x[:, :, None, None]


def worst_errors(graph: Graph, expanded: dict, start: str, shape, *, form: str = "NHWC", seed: int = 0, rows: int = 3):
    """Return the worst relative errors (kernels, bias) against gradients, and the pairs compared.

    `expanded` is {layer: (bias, blocks)} with layers called as operations.
    """
    rng = np.random.default_rng(seed)
    channels, height, width = shape
    own = (1, height, width, channels) if form == "NHWC" else (1, channels, height, width)
    leaves = {start: torch.zeros(own, dtype=torch.float64, requires_grad=True)}
    computed = run(graph, start, leaves, set(expanded))
    kernel = bias_error = 0.0
    pairs = set()
    maps = {name: as_map(leaf, form) for name, leaf in leaves.items()}
    maps["input"] = maps[start]
    for layer, (bias, blocks) in expanded.items():
        target = as_map(computed[layer], form)
        sliding = [block for block in blocks if block.form not in ("global", "spatial")]
        place = interior(target, sliding, maps)
        assert place is not None, f"{layer}: no position is interior at {shape}"
        at = target[0, :, place[0], place[1]]
        true = at.detach().numpy()
        bias_error = max(bias_error, float(np.linalg.norm(bias - true) / max(np.linalg.norm(true), 1e-12)))
        chosen = {int(rng.integers(b.row_start, b.row_start + len(b.kernels))) for b in blocks}
        chosen |= set(rng.integers(len(bias), size=rows).tolist())
        ups = sorted({block.up for block in blocks})
        for row in chosen:
            wanted = [leaves[start if up == "input" else up] for up in ups]
            gradients = torch.autograd.grad(at[row], wanted, retain_graph=True, allow_unused=True)
            for up, gradient, leaf in zip(ups, gradients, wanted, strict=True):
                own_map = as_map(torch.zeros_like(leaf) if gradient is None else gradient, form)[0].numpy()
                expected = np.zeros(own_map.shape)
                for block in blocks:
                    if block.up == up and block.row_start <= row < block.row_start + len(block.kernels):
                        expected += expected_gradient(block, row, place, own_map.shape)
                size = np.linalg.norm(own_map)
                if size:
                    kernel = max(kernel, float(np.linalg.norm(expected - own_map) / size))
                else:
                    assert not expected.any()
                pairs.add((up, layer))
        # nothing else leads there
        seen = {start if up == "input" else up for up in ups} | {layer}
        others = [leaf for name, leaf in leaves.items() if name not in seen]
        if others:
            for gradient in torch.autograd.grad(at.sum(), others, retain_graph=True, allow_unused=True):
                assert gradient is None or not gradient.any()
    return kernel, bias_error, pairs
