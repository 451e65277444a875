"""ONNX activations: ignored, taken as an option says, or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from importers.linear_ops import Activation, Unsupported
from importers.onnx_steps import NO_OPTION, Call, Data, Step, pointwise, refuse

__all__ = ["ACTIVATIONS", "NONLINEAR", "SQUASHED"]

SQUASHED = Unsupported(
    "a sigmoid is nowhere the identity",
    "As the last step of the network it is left out, as a factor it is a gate, which --gate admits; "
    "elsewhere no option admits it.",
)
"""A (hard) sigmoid. What it is multiplied by is a gated map."""


def _relu(call: Call) -> Step:
    return pointwise(Activation(), call.data())


def _clip(call: Call) -> Step | Data:
    if call.opset < 11:
        low, high = call.attributes.get("min", -np.inf), call.attributes.get("max", np.inf)
    else:
        low, high = call.one(1, "lower bound"), call.one(2, "upper bound")
        low, high = -np.inf if low is None else low, np.inf if high is None else high
    if low == -np.inf and high == np.inf:
        return call.data()
    if low != 0:
        raise refuse(f"it cuts at {low:g}, not at 0, and only ReLU-like functions are ignored", NO_OPTION)
    # older files write no ceiling as the largest number there is
    is_open = high >= np.finfo(np.float32).max
    return pointwise(Activation(() if is_open else (f"ceiling={high:g}",)), call.data())


def _maximum(call: Call) -> Step:
    if len(call.inputs) == 2:
        x, other = call.inputs if isinstance(call.inputs[0], Data) else reversed(call.inputs)
        if isinstance(x, Data) and isinstance(other, np.ndarray) and not np.any(other):
            return pointwise(Activation(), x)
    raise refuse("a maximum of several activations is not linear", NO_OPTION)


def _optional(option: str, kind: str) -> Callable[[Call], Step]:
    op = Activation(option=option, kind=kind)

    def rule(call: Call) -> Step:
        return pointwise(op, call.data())

    return rule


def _gelu(call: Call) -> Step:
    return pointwise(Activation(option="smooth", kind="gelu"), call.data())


def _squashed(call: Call) -> Step:
    return Step(SQUASHED, [call.data()])


def _refused(reason: str, remedy: str = NO_OPTION, *, is_attention: bool = False) -> Callable[[Call], Step]:
    op = Unsupported(reason, remedy, is_attention=is_attention)

    def rule(call: Call) -> Step:
        return Step(op, [value for value in call.inputs if isinstance(value, Data)])

    return rule


_QUANTISED = _refused(
    "it computes with whole numbers, as a quantised network does", "Export the network before it is quantised."
)
_BOUNDED = _refused("it is bounded above and below, so it is nowhere the identity")
_SOFTMAX = _refused("a softmax divides by what all channels do", "As the last step of the network it is left out.")
_SLOPE = _refused("it is not the identity above zero")
_STATISTICS = _refused("it divides by the spread of each map over its positions, which differs from image to image")
_POWER = _refused("a mean of powers is not linear")
_ATTENTION = _refused("attention multiplies activations with each other, which no weights stand for", is_attention=True)
_FINER = _refused("it makes a map finer: its stride is a fraction")
_BRANCH = _refused("what it does depends on values", "Export the network without branches and loops.")

NONLINEAR: Mapping[str, Callable[[Call], Step | Data]] = {
    "Relu": _relu,
    "Clip": _clip,
    "Max": _maximum,
    "LeakyRelu": _optional("leaky", "leaky_relu"),
    "PRelu": _optional("leaky", "prelu"),
    "Gelu": _gelu,
    "Elu": _optional("smooth", "elu"),
    "Celu": _optional("smooth", "celu"),
    "HardSwish": _optional("smooth", "hardswish"),
    "Mish": _optional("smooth", "mish"),
    "Swish": _optional("smooth", "silu"),
    "Softplus": _optional("smooth", "softplus"),
    "Sigmoid": _squashed,
    "HardSigmoid": _squashed,
    "Tanh": _BOUNDED,
    "Softsign": _BOUNDED,
    "Erf": _BOUNDED,
    "Softmax": _SOFTMAX,
    "LogSoftmax": _SOFTMAX,
    "Selu": _SLOPE,
    "ThresholdedRelu": _SLOPE,
    "Shrink": _SLOPE,
    "InstanceNormalization": _STATISTICS,
    "GroupNormalization": _STATISTICS,
    "MeanVarianceNormalization": _STATISTICS,
    "LpPool": _POWER,
    "GlobalLpPool": _POWER,
    "LpNormalization": _POWER,
    "GlobalMaxPool": _refused("a maximum over the whole map is not linear"),
    "Attention": _ATTENTION,
    "MultiHeadAttention": _ATTENTION,
    "QLinearConv": _QUANTISED,
    "QLinearMatMul": _QUANTISED,
    "ConvInteger": _QUANTISED,
    "MatMulInteger": _QUANTISED,
    "QuantizeLinear": _QUANTISED,
    "DequantizeLinear": _QUANTISED,
    "DynamicQuantizeLinear": _QUANTISED,
    "ConvTranspose": _FINER,
    "Resize": _FINER,
    "Upsample": _FINER,
    "MaxUnpool": _FINER,
    "DepthToSpace": _FINER,
    "If": _BRANCH,
    "Loop": _BRANCH,
    "Scan": _BRANCH,
}

ACTIVATIONS = frozenset(
    ["Relu", "Clip", "LeakyRelu", "PRelu", "Gelu", "Elu", "Celu", "HardSwish", "Mish", "Swish", "Softplus", "Sigmoid",
     "HardSigmoid", "Tanh", "Softsign", "Softmax", "LogSoftmax", "Selu", "ThresholdedRelu"]
)  # fmt: skip
