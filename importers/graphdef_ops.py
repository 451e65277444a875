"""Which linear step each operation of a frozen TensorFlow graph is.

A rule is called with the operation and its inputs, data as `Data` and constants as
arrays, and gives a step, or data that is passed on. To admit another operation is to
add a rule to `RULES`; what has none is refused when weights are asked for across it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from importers.graphdef_constants import axes_of
from importers.graphdef_file import GraphNode
from importers.graphdef_steps import (
    FED,
    RANDOM,
    Data,
    Order,
    Pair,
    Step,
    need_map,
    order_of,
    per_channel,
    refuse,
    scope_of,
    spatial,
)
from importers.linear_ops import (
    Activation,
    Add,
    Concat,
    Conv,
    Gate,
    GlobalPool,
    LocalResponseNorm,
    Pool,
    Scale,
)

__all__ = ["ACTIVATIONS", "HEADS", "PASSING", "POOLS", "RULES", "same_padding"]

_NO_OPTION = "No option admits it; the operations that are expanded are in the documentation."
_CONSTANT = "Freeze the graph, so that its weights are constants in it."


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """Return the cells that "SAME" puts in front of an axis, and how long the axis gets.

    Parameters
    ----------
    size, window, stride
        Of one axis; `window` with its dilation.

    Notes
    -----
    The padding depends on the size: TensorFlow pads just as much as the last window needs, the odd cell behind.

    Examples
    --------
    >>> same_padding(224, 7, 2), same_padding(224, 3, 2), same_padding(225, 3, 2)
    ((2, 112), (0, 112), (1, 113))
    """
    length = -(-size // stride)
    return max((length - 1) * stride + window - size, 0) // 2, length


def _windows(node: GraphNode, sides: Pair, window: Pair, stride: Pair, order: Order) -> tuple[Pair, Pair]:
    """Return the padding in front and the size after an operation that slides a window."""
    padding = node.attributes.get("padding")
    if padding == "SAME":
        found = [same_padding(*axis) for axis in zip(sides, window, stride, strict=True)]
        return (found[0][0], found[1][0]), (found[0][1], found[1][1])
    if padding == "VALID":
        around = ((0, 0), (0, 0))
    elif padding == "EXPLICIT":
        listed = [int(x) for x in node.attributes.get("explicit_paddings") or ()]
        if len(listed) != 8 or not all(0 <= x < 2**20 for x in listed):
            raise refuse(f"its explicit_paddings are {listed}; eight, none below 0, are wanted")
        pairs = dict(zip(order, zip(listed[::2], listed[1::2], strict=True), strict=True))
        if any(pairs["N"]) or any(pairs["C"]):
            raise refuse(f"its explicit_paddings {listed} pad channels or images")
        around = (pairs["H"], pairs["W"])
    else:
        raise refuse(f"its padding is {padding!r}; SAME, VALID and EXPLICIT are known")
    lengths = [
        (side + sum(both) - reach) // step + 1
        for side, both, reach, step in zip(sides, around, window, stride, strict=True)
    ]
    if min(lengths) < 1:
        raise refuse(
            f"its window of {window[0]}x{window[1]} is larger than its map of {sides[0]}x{sides[1]}",
            "Give a larger --input.",
        )
    return (around[0][0], around[1][0]), (lengths[0], lengths[1])


def _weights(value: Any, rank: int, what: str) -> NDArray[Any]:
    if not isinstance(value, np.ndarray):
        raise refuse(f"its {what} is no constant", _CONSTANT)
    if value.ndim != rank or 0 in value.shape:
        raise refuse(f"its {what} has the shape {value.shape}; {rank} axes are wanted")
    if value.dtype.kind != "f":
        raise refuse(f"its {what} is of {value.dtype}", "Quantised graphs are not expanded; take the one of floats.")
    return value


def _slide(node: GraphNode, x: Any, weight: NDArray[Any], groups: int) -> Step:
    """Make a convolution with weights (down, up / groups, row, col)."""
    order = order_of(node)
    channels, rows, cols = need_map(x, order)
    if weight.shape[1] * groups != channels:
        raise refuse(f"its filter takes {weight.shape[1] * groups} channels, its input has {channels}")
    stride, dilation = spatial(node, "strides", order), spatial(node, "dilations", order)
    reach = dilation[0] * (weight.shape[2] - 1) + 1, dilation[1] * (weight.shape[3] - 1) + 1
    pad, size = _windows(node, (rows, cols), reach, stride, order)
    op = Conv(np.ascontiguousarray(weight), None, stride, pad, dilation, groups)
    return Step(op, [(x, order)], (weight.shape[0], *size), order)


def _convolution(node: GraphNode, x: Any, filter: Any) -> Step:
    weight = _weights(filter, 4, "filter").transpose(3, 2, 0, 1)
    channels = need_map(x, order_of(node))[0]
    groups, rest = divmod(channels, weight.shape[1])
    if rest or not groups or weight.shape[0] % groups:
        raise refuse(f"its filter takes {weight.shape[1]} channels, its input has {channels}")
    return _slide(node, x, weight, groups)


def _depthwise(node: GraphNode, x: Any, filter: Any) -> Step:
    own = _weights(filter, 4, "filter")
    rows, cols, channels, times = own.shape
    return _slide(node, x, own.transpose(2, 3, 0, 1).reshape(channels * times, 1, rows, cols), channels)


def _matmul(node: GraphNode, x: Any, weight: Any) -> Step:
    if not isinstance(x, Data):
        raise refuse("it multiplies from the left", _NO_OPTION)
    own = _weights(weight, 2, "matrix")
    if node.attributes.get("transpose_a") or x.shape is None or len(x.shape) != 2:
        raise refuse(f"a matrix product over data of the shape {x.shape} is not expanded")
    own = own if node.attributes.get("transpose_b") else own.T
    if own.shape[1] != x.shape[1]:
        raise refuse(f"its matrix takes {own.shape[1]} inputs, its input has {x.shape[1]}")
    kernel = np.ascontiguousarray(own)[:, :, None, None]
    return Step(Conv(kernel, None), [(x, "NC")], (own.shape[0], 1, 1), "NC")


def _like(op: Any, x: Data) -> Step:
    """Make a step that keeps the shape of its input."""
    if x.shape is None or len(x.shape) not in (2, 4):
        raise refuse(f"its input has the shape {x.shape}")
    shape = (x.shape[1], 1, 1) if len(x.shape) == 2 else need_map(x, x.order)
    return Step(op, [(x, x.order)], shape, x.order)


def _scaled(x: Data, gain: Any = 1.0, shift: Any = 0.0) -> Step:
    return _like(Scale(*(per_channel(np.asarray(value), x) for value in (gain, shift))), x)


def _bias(node: GraphNode, x: Any, bias: Any) -> Step:
    own = _weights(bias, 1, "bias")
    if not isinstance(x, Data):
        raise refuse("its first input is not the data")
    if x.shape is not None and len(x.shape) == 4:
        order = order_of(node)
        return _scaled(_in_order(x, order), shift=own if order == "NHWC" else own[:, None, None])
    return _scaled(x, shift=own)


def _in_order(x: Data, order: Order) -> Data:
    """Return the same data with its axes read in another order."""
    return x if x.order == order else Data(x.base, x.shape, order, x.index)


def _sum(_: GraphNode, *inputs: Any) -> Step:
    data: list[Data] = [x for x in inputs if isinstance(x, Data)]
    constants = [x for x in inputs if not isinstance(x, Data)]
    if constants:
        if len(data) != 1 or len(constants) != 1:
            raise refuse("constants and several activations are added at once")
        return _scaled(data[0], shift=constants[0])
    shapes = list(dict.fromkeys(x.shape for x in data))
    if len(shapes) > 1:
        raise refuse(f"shapes {shapes[0]} and {shapes[1]} are added by broadcasting")
    like = _like(Add(), data[0])
    return Step(Add(), [(x, like.order) for x in data], like.shape, like.order)


def _difference(_: GraphNode, a: Any, b: Any) -> Step:
    if isinstance(a, Data) and isinstance(b, Data):
        raise refuse("a difference of two activations is not expanded", "Write it as a + (-1) * b.")
    return _scaled(a, shift=-b) if isinstance(a, Data) else _scaled(b, gain=-1.0, shift=a)


def _product(node: GraphNode, a: Any, b: Any) -> Step | Data:
    if isinstance(a, Data) and isinstance(b, Data):
        return _gated(a, b) or _gated(b, a) or _no_product()
    x, factor = (a, b) if isinstance(a, Data) else (b, a)
    if factor is RANDOM:
        return _without_dropout(node, x)
    if factor is FED:
        raise refuse("it multiplies with what is only known when the graph is run", _CONSTANT)
    return _scaled(x, gain=factor)


def _gated(x: Data, gate: Data) -> Step | None:
    """Make the step for a map times a sigmoid of itself, or of what squeeze-and-excitation makes of it."""
    if gate.sigmoid_of is None or x.shape is None or gate.shape is None:
        return None
    source, name = gate.sigmoid_of
    if source.base == x.base and source.shape == x.shape and source.index is x.index:
        return _like(Activation(option="smooth", kind="silu"), x)
    channel = x.order.index("C")
    is_one_a_channel = len(gate.shape) == len(x.shape) == 4 and all(
        side == (x.shape[axis] if axis == channel else 1) for axis, side in enumerate(gate.shape)
    )
    return _like(Gate(name.replace("/", ".")), x) if is_one_a_channel else None


def _no_product() -> Step:
    raise refuse("a product of two activations is not linear")


def _quotient(_: GraphNode, a: Any, b: Any) -> Step:
    if not isinstance(a, Data) or isinstance(b, Data):
        raise refuse("a division by an activation is not linear")
    if b is FED or b is RANDOM:
        raise refuse("it divides by what is only known when the graph is run", _CONSTANT)
    if not np.all(b):
        raise refuse("it divides by zero")
    return _scaled(a, gain=1 / np.asarray(b, dtype=np.float64))


def _without_dropout(node: GraphNode, x: Data) -> Data:
    """Undo the gain that a dropout has besides its mask: in use it does nothing."""
    if x.unscaled is not None and x.unscaled[1] == scope_of(node.name):
        return x.unscaled[0]
    return x


def _select(node: GraphNode, mask: Any, a: Any, b: Any) -> Data:
    if mask is not RANDOM or not isinstance(a, Data) or isinstance(b, Data) or np.any(b):
        raise refuse("it chooses between values", _NO_OPTION)
    return _without_dropout(node, a)


def _activation(op: Activation) -> Callable[..., Step]:
    def rule(_: GraphNode, x: Any) -> Step:
        return _like(op, x)

    return rule


def _larger(_: GraphNode, a: Any, b: Any) -> Step:
    x, bound = (a, b) if isinstance(a, Data) else (b, a)
    if not isinstance(bound, np.ndarray) or np.any(bound):
        raise refuse("it takes the larger of two values", "Only ReLU-like functions are ignored by expanded weights.")
    return _like(Activation(), x)


def _batch_norm(node: GraphNode, x: Any, scale: Any, offset: Any, mean: Any, variance: Any) -> Step:
    if node.attributes.get("is_training", True):
        raise refuse("it is a batch norm in training, which depends on the batch", "Freeze the graph for inference.")
    # TensorFlow's own default where none is written
    return _normed(x, order_of(node), scale, offset, mean, variance, float(node.attributes.get("epsilon", 1e-4)))


def _old_batch_norm(node: GraphNode, x: Any, mean: Any, variance: Any, offset: Any, scale: Any) -> Step:
    used = scale if node.attributes.get("scale_after_normalization") else np.ones_like(scale)
    return _normed(x, "NHWC", used, offset, mean, variance, float(node.attributes.get("variance_epsilon") or 0.0))


def _normed(x: Any, order: Order, scale: Any, offset: Any, mean: Any, variance: Any, epsilon: float) -> Step:
    channels = need_map(x, order)[0]
    named = {"scale": scale, "offset": offset, "mean": mean, "variance": variance}
    values = {name: _weights(value, 1, name).astype(np.float64) for name, value in named.items()}
    for name, value in values.items():
        if value.shape != (channels,):
            raise refuse(f"its {name} has {value.size} values, its input {channels} channels")
    if (values["variance"] + epsilon <= 0).any():
        place = int(np.argmin(values["variance"]))
        raise refuse(f"its variance is {values['variance'][place]:g} at [{place}], which no data can give")
    gain = values["scale"] / np.sqrt(values["variance"] + epsilon)
    return _like(Scale(gain, values["offset"] - values["mean"] * gain), _in_order(x, order))


def _pool(node: GraphNode, x: Any, *sizes: Any, is_max: bool) -> Step:
    order = order_of(node)
    channels, rows, cols = need_map(x, order)
    if sizes:
        # the second version takes them as inputs
        node = GraphNode(
            node.name,
            node.op,
            node.inputs,
            {**node.attributes, "ksize": list(np.atleast_1d(sizes[0])), "strides": list(np.atleast_1d(sizes[1]))},
        )
    window, stride = spatial(node, "ksize", order), spatial(node, "strides", order)
    pad, size = _windows(node, (rows, cols), window, stride, order)
    is_whole = size == (1, 1) and all(
        front + side <= reach for front, side, reach in zip(pad, (rows, cols), window, strict=True)
    )
    if not is_max and is_whole:
        # only cells inside the map are counted
        return x if (rows, cols) == (1, 1) else Step(GlobalPool(), [(x, order)], (channels, 1, 1), order)
    gain = 0.0 if is_max else 1 / (window[0] * window[1])
    return Step(Pool(window, stride, pad, is_max=is_max, gain=gain), [(x, order)], (channels, *size), order)


def _max_pool(node: GraphNode, x: Any, *sizes: Any) -> Step:
    return _pool(node, x, *sizes, is_max=True)


def _average_pool(node: GraphNode, x: Any) -> Step:
    return _pool(node, x, is_max=False)


def _mean(node: GraphNode, x: Any, axes: Any) -> Step:
    if not isinstance(x, Data) or x.shape is None or not isinstance(axes, np.ndarray):
        raise refuse("a mean over axes that are not known is not expanded")
    over = set(axes_of(axes, len(x.shape)))
    if len(x.shape) != 4 or over not in ({1, 2}, {2, 3}):
        raise refuse("a mean over other axes than (row, col) is not expanded")
    order: Order = "NHWC" if over == {1, 2} else "NCHW"
    channels = need_map(x, order)[0]
    keep = node.attributes.get("keep_dims")
    return Step(GlobalPool(), [(x, order)], (channels, 1, 1), order if keep else "NC")


def _local_response(_: GraphNode, x: Any) -> Step:
    channels, rows, cols = need_map(x, "NHWC")
    return Step(LocalResponseNorm(), [(x, "NHWC")], (channels, rows, cols), "NHWC")


def _concatenation(node: GraphNode, *inputs: Any) -> Step | Data:
    axis, parts = (inputs[0], inputs[1:]) if node.op == "Concat" else (inputs[-1], inputs[:-1])
    if not isinstance(axis, np.ndarray):
        raise refuse("the axis of concatenation is no constant", _CONSTANT)
    if not all(isinstance(part, Data) and part.shape is not None for part in parts):
        raise refuse("a constant is put beside an activation")
    ranks = {len(part.shape) for part in parts}
    if len(ranks) != 1 or not ranks <= {2, 4}:
        raise refuse("data of several numbers of axes is put together")
    rank = ranks.pop()
    at = axes_of(axis, rank)[0]
    if rank == 2:
        order: Order = "NC"
    else:
        order = "NHWC" if at == 3 else "NCHW"
    if at != order.index("C") or (rank == 4 and any(part.index is None and part.order != order for part in parts)):
        raise refuse(f"concatenation along axis {at}, not along channels")
    shapes = [(part.shape[1], 1, 1) if rank == 2 else need_map(part, order) for part in parts]
    if len({shape[1:] for shape in shapes}) != 1:
        raise refuse(f"maps of {shapes[0][1:]} and another size are put together")
    if len(parts) == 1:
        only: Data = parts[0]
        return only
    return Step(Concat(), [(part, order) for part in parts], (sum(s[0] for s in shapes), *shapes[0][1:]), order)


def _pass(_: GraphNode, x: Any, *__: Any) -> Any:
    return x


def _cast(node: GraphNode, x: Any) -> Any:
    if node.attributes.get("DstT") not in (1, 2, 14, 19):
        raise refuse("it cuts the data to whole numbers")
    return x


def _negate(_: GraphNode, x: Any) -> Step:
    return _scaled(x, gain=-1.0)


RULES: Mapping[str, Callable[..., Any]] = {
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _depthwise,
    "MatMul": _matmul,
    "BiasAdd": _bias,
    "Add": _sum,
    "AddV2": _sum,
    "AddN": _sum,
    "Sub": _difference,
    "Mul": _product,
    "RealDiv": _quotient,
    "Div": _quotient,
    "Neg": _negate,
    "Maximum": _larger,
    "Relu": _activation(Activation()),
    "Relu6": _activation(Activation(("ceiling=6",))),
    "LeakyRelu": _activation(Activation(option="leaky", kind="leaky_relu")),
    "Elu": _activation(Activation(option="smooth", kind="elu")),
    "MaxPool": _max_pool,
    "MaxPoolV2": _max_pool,
    "AvgPool": _average_pool,
    "Mean": _mean,
    "LRN": _local_response,
    "Concat": _concatenation,
    "ConcatV2": _concatenation,
    "FusedBatchNorm": _batch_norm,
    "FusedBatchNormV2": _batch_norm,
    "FusedBatchNormV3": _batch_norm,
    "BatchNormWithGlobalNormalization": _old_batch_norm,
    "Select": _select,
    "SelectV2": _select,
    "Cast": _cast,
    "Identity": _pass,
    "StopGradient": _pass,
    "PreventGradient": _pass,
    "CheckNumerics": _pass,
    "Snapshot": _pass,
    "PlaceholderWithDefault": _pass,
    "EnsureShape": _pass,
}

ACTIVATIONS = frozenset({"Relu", "Relu6", "LeakyRelu", "Elu", "Maximum"})
POOLS = frozenset({"MaxPool", "MaxPoolV2", "AvgPool", "Mean"})
PASSING = frozenset(name for name, rule in RULES.items() if rule in (_pass, _cast))
HEADS = frozenset({"Softmax", "LogSoftmax", "Sigmoid", "ArgMax", "TopK", "TopKV2"})
"""Operations that are left out at the output."""
