"""Which linear step each ONNX operation is.

A rule is called with a `Call` and gives a step, or data that is passed on. To admit
another operation is to add a rule to `RULES`; what has none is refused when weights
are asked for across it. Activations, sums and products have a file of their own.

References
----------
ONNX Operators, https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from onnx import TensorProto

from importers.linear_ops import (
    ChannelNorm,
    Concat,
    Conv,
    GlobalPool,
    LocalResponseNorm,
    Pool,
    Scale,
)
from importers.onnx_arithmetic import ARITHMETIC
from importers.onnx_nonlinear import NONLINEAR
from importers.onnx_steps import NO_OPTION, Call, Data, Step, pointwise, refuse

__all__ = ["POOLS", "REPLAYED", "RULES", "Rule"]

Pair = tuple[int, int]
_FLOATS = frozenset([TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16])
Rule = Callable[[Call], Step | Data]

POOLS = frozenset(["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "GlobalLpPool"])

REPLAYED = frozenset(
    ["Reshape", "Flatten", "Transpose", "Slice", "Split", "Gather", "Pad", "Squeeze", "Unsqueeze", "Expand", "Tile",
     "SpaceToDepth"]
)  # fmt: skip
"""These only move entries, so they are run on the entries' own numbers and read off."""


def _pads(call: Call, size: Pair, window: Pair, stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """Return the cells in front of and behind (row, col)."""
    rule = call.attributes.get("auto_pad", b"NOTSET").decode()
    if rule == "VALID":
        return (0, 0), (0, 0)
    if rule == "NOTSET":
        top, left, bottom, right = call.ints("pads", (0, 0, 0, 0))
        return (top, left), (bottom, right)
    front, behind = [], []
    for n, k, s, d in zip(size, window, stride, dilation, strict=True):
        # as much as the last window needs, which depends on the size of the map
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        less, more = total // 2, total - total // 2
        front.append(less if rule == "SAME_UPPER" else more)
        behind.append(more if rule == "SAME_UPPER" else less)
    return (front[0], front[1]), (behind[0], behind[1])


def _pair(values: tuple[int, ...]) -> Pair:
    if len(values) != 2:
        raise refuse(
            f"it has {len(values)} axes of positions, rows and columns are wanted",
            "Only maps with rows and columns are expanded, not sequences or volumes.",
        )
    return values[0], values[1]


def _conv(call: Call) -> Step:
    weight, bias = call.constant(1, "weight"), call.optional(2, "bias")
    if weight.ndim != 4:
        _pair(weight.shape[2:])
    x = call.map()
    size, window = (x.shape[1], x.shape[2]), (weight.shape[2], weight.shape[3])
    stride, dilation = _pair(call.ints("strides", (1, 1))), _pair(call.ints("dilations", (1, 1)))
    pad, _ = _pads(call, size, window, stride, dilation)
    groups = int(call.attributes.get("group", 1))
    if groups < 1 or weight.shape[0] % groups or weight.shape[1] * groups != x.shape[0]:
        raise refuse(f"its weight of shape {weight.shape} in {groups} groups does not fit {x.shape[0]} channels")
    return Step(Conv(weight, bias, stride, pad, dilation, groups), [x])


def _gemm(call: Call) -> Step:
    x, weight = call.data(), call.constant(1, "weight")
    if call.attributes.get("transA", 0) or len(x.shape) != 1:
        raise refuse("it is a product with more than vectors", NO_OPTION)
    if not call.attributes.get("transB", 0):
        weight = weight.T
    weight = weight * np.asarray(call.attributes.get("alpha", 1.0), dtype=weight.dtype)
    bias = call.optional(2, "bias")
    if bias is not None:
        bias = np.broadcast_to(bias * np.asarray(call.attributes.get("beta", 1.0), bias.dtype), (1, len(weight)))[0]
    return Step(Conv(weight[:, :, None, None], bias), [x])


def _matmul(call: Call) -> Step:
    if all(isinstance(value, Data) for value in call.inputs):
        raise refuse("activations are multiplied with each other, as in attention", NO_OPTION)
    if isinstance(call.inputs[1], Data):
        # written as W x^T
        raise refuse("a product with the data on the right is not expanded", NO_OPTION)
    x, weight = call.data(), call.constant(1, "weight")
    if weight.ndim != 2:
        raise refuse(f"its weight has the shape {weight.shape}; two axes are wanted", NO_OPTION)
    op = Conv(weight.T[:, :, None, None], None)
    if len(x.shape) == 1:
        return Step(op, [x])
    if x.is_channels_last:
        return Step(op, [x.whole()], like=x)
    raise refuse("a product over the last of several axes, which holds no channels, is not expanded", NO_OPTION)


def _batch_norm(call: Call) -> Step:
    if call.attributes.get("training_mode", 0) or not call.attributes.get("spatial", 1):
        raise refuse("a batch norm without running statistics depends on the batch")
    names = ("scale", "bias", "mean", "variance")
    gain, shift, mean, variance = (call.constant(i + 1, name).astype(np.float64) for i, name in enumerate(names))
    epsilon = float(call.attributes.get("epsilon", 1e-5))
    if (variance + epsilon <= 0).any():
        place = int(np.argmin(variance))
        raise refuse(
            f"its running variance is {variance[place]:g} at [{place}], which no data can give",
            "Take another checkpoint; this one is damaged.",
        )
    gain = gain / np.sqrt(variance + epsilon)
    return Step(Scale(gain, shift - mean * gain), [call.data()])


def _pool(call: Call) -> Step | Data:
    is_max = call.op_type == "MaxPool"
    window = _pair(call.ints("kernel_shape", ()))
    x = call.map()
    stride, dilation = _pair(call.ints("strides", (1, 1))), _pair(call.ints("dilations", (1, 1)))
    if dilation != (1, 1) or len(call.node.output) > 1:
        raise refuse("a dilated pool, or one that returns places too, is not expanded", NO_OPTION)
    size = (x.shape[1], x.shape[2])
    # ceil_mode and count_include_pad change positions at the border only
    pad, behind = _pads(call, size, window, stride, dilation)
    if window == (1, 1) == stride and pad == behind == (0, 0):
        return x
    if not is_max and window == size and pad == behind == (0, 0):
        return Step(GlobalPool(), [x])
    return Step(Pool(window, stride, pad, is_max=is_max, gain=0.0 if is_max else 1 / (window[0] * window[1])), [x])


def _global_pool(call: Call) -> Step | Data:
    x = call.map()
    return x if x.shape[1:] == (1, 1) else Step(GlobalPool(), [x])


def _mean(call: Call) -> Step | Data:
    x = call.data()
    given = call.optional(1, "axes")
    axes = call.attributes.get("axes", ()) if given is None else given.reshape(-1).tolist()
    rank = len(x.shape) + 1
    found = {int(axis) % rank for axis in axes}
    if x.is_channels_last and found == set(range(1, rank - 1)):
        return Step(GlobalPool(), [x.whole()])
    if rank != 4 or found != {2, 3}:
        raise refuse("a mean over other axes than (row, col) is not expanded", NO_OPTION)
    return Step(GlobalPool(), [x])


def _concat(call: Call) -> Step:
    if not all(isinstance(value, Data) for value in call.inputs):
        raise refuse("a constant is put beside an activation", NO_OPTION)
    parts = [call.data(place) for place in range(len(call.inputs))]
    rank = len(parts[0].shape) + 1
    axis = int(call.attributes.get("axis", 1)) % rank
    if axis == rank - 1 and rank > 2 and all(part.is_channels_last for part in parts):
        return Step(Concat(), [part.whole() for part in parts], like=parts[0])
    if axis != 1:
        raise refuse(f"concatenation along axis {axis}, not along channels", NO_OPTION)
    return Step(Concat(), parts)


def _layer_norm(call: Call) -> Step:
    x = call.data()
    axis = int(call.attributes.get("axis", -1)) % (len(x.shape) + 1)
    on_channels = axis == len(x.shape) and (x.is_channels_last or len(x.shape) == 1)
    if not on_channels:
        raise refuse("it divides by the spread over positions too, which differs from image to image", NO_OPTION)
    channels = x.base_shape[0] if x.is_channels_last else x.shape[0]
    gain = np.broadcast_to(call.constant(1, "scale").astype(np.float64), (channels,))
    shift = call.optional(2, "bias")
    shift = np.zeros(channels) if shift is None else np.broadcast_to(shift.astype(np.float64), (channels,))
    return pointwise(ChannelNorm(gain, shift), x)


def _pass(call: Call) -> Data:
    return call.data()


def _cast(call: Call) -> Data:
    if call.attributes.get("to") not in _FLOATS:
        raise refuse("it cuts the data to whole numbers", NO_OPTION)
    return call.data()


def _dropout(call: Call) -> Data:
    if call.one(2, "training mode"):
        raise refuse("it drops at random")
    return call.data()


RULES: Mapping[str, Rule] = {
    **NONLINEAR,
    **ARITHMETIC,
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _batch_norm,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _global_pool,
    "ReduceMean": _mean,
    "Concat": _concat,
    "LayerNormalization": _layer_norm,
    "LRN": lambda call: Step(LocalResponseNorm(), [call.map()]),
    "Identity": _pass,
    "Cast": _cast,
    "CastLike": _pass,
    "Dropout": _dropout,
}
