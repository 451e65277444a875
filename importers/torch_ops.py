"""Which rule each torch operation has.

`MODULES`, `FUNCTIONS` and `METHODS` map module classes, functions and methods to
rules. A rule is called with what torch would be called with (a module's with the
module before), data as `Traced` and everything else as it is, and gives a linear
step, or data that is passed on. To admit another operation is to add a rule to a
table here; what has none is refused when weights are asked for across it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from importers.torch_arithmetic import add, concatenate, divide, multiply, negate, subtract
from importers.torch_layers import (
    adaptive_average_pool,
    average_pool,
    average_pool_module,
    batch_norm,
    batch_norm_module,
    convolution,
    convolution_module,
    linear_layer,
    max_pool,
    max_pool_module,
    mean,
)
from importers.torch_moves import REPLAYED_FUNCTIONS, REPLAYED_METHODS, REPLAYED_MODULES
from importers.torch_nonlinear import LEAKY, PRODUCT, SMOOTH, activation, clamp, hardtanh
from importers.torch_steps import Step, Traced, of_module, pass_on, to_array

__all__ = [
    "ACTIVATION_MODULES",
    "FUNCTIONS",
    "FUNCTION_NAMES",
    "METHODS",
    "MODULES",
    "PASSING_MODULES",
    "POOL_MODULES",
    "REPLAYED_FUNCTIONS",
    "REPLAYED_METHODS",
    "REPLAYED_MODULES",
    "Step",
    "Traced",
    "to_array",
]

MODULES: Mapping[type[nn.Module], Callable[..., Any]] = {
    nn.Conv2d: convolution_module,
    nn.Linear: of_module(linear_layer, "weight", "bias"),
    nn.BatchNorm2d: batch_norm_module,
    nn.BatchNorm1d: batch_norm_module,
    nn.ReLU: of_module(activation),
    nn.ReLU6: lambda _, x: hardtanh(x, 0.0, 6.0),
    nn.Hardtanh: of_module(hardtanh, "min_val", "max_val"),
    nn.Dropout: of_module(pass_on),
    nn.Dropout2d: of_module(pass_on),
    nn.AlphaDropout: of_module(pass_on),
    nn.Identity: of_module(pass_on),
    nn.MaxPool2d: max_pool_module,
    nn.AvgPool2d: average_pool_module,
    nn.AdaptiveAvgPool2d: of_module(adaptive_average_pool, "output_size"),
    nn.LeakyReLU: LEAKY,
    nn.PReLU: LEAKY,
    nn.GELU: SMOOTH,
    nn.SiLU: SMOOTH,
    nn.ELU: SMOOTH,
    nn.Mish: SMOOTH,
    nn.Hardswish: SMOOTH,
    nn.Tanh: PRODUCT,
    nn.Sigmoid: PRODUCT,
    nn.Softmax: PRODUCT,
    nn.LogSoftmax: PRODUCT,
}

FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    F.conv2d: convolution,
    torch.conv2d: convolution,
    F.linear: linear_layer,
    F.batch_norm: batch_norm,
    F.relu: activation,
    torch.relu: activation,
    torch.relu_: activation,
    F.relu_: activation,
    F.relu6: lambda input, *_, **__: hardtanh(input, 0.0, 6.0),
    F.hardtanh: hardtanh,
    torch.clamp: clamp,
    F.dropout: pass_on,
    torch.dropout: pass_on,
    F.dropout2d: pass_on,
    F.max_pool2d: max_pool,
    torch.max_pool2d: max_pool,
    F.avg_pool2d: average_pool,
    F.adaptive_avg_pool2d: adaptive_average_pool,
    torch.mean: mean,
    torch.cat: concatenate,
    torch.concat: concatenate,
    torch.add: add,
    operator.add: add,
    operator.iadd: add,
    torch.sub: subtract,
    operator.sub: subtract,
    operator.isub: subtract,
    torch.mul: multiply,
    operator.mul: multiply,
    operator.imul: multiply,
    torch.div: divide,
    operator.truediv: divide,
    operator.itruediv: divide,
    torch.neg: negate,
    operator.neg: negate,
    F.leaky_relu: LEAKY,
    F.gelu: SMOOTH,
    F.silu: SMOOTH,
    F.elu: SMOOTH,
    torch.sigmoid: PRODUCT,
    torch.tanh: PRODUCT,
    F.softmax: PRODUCT,
    torch.softmax: PRODUCT,
    F.log_softmax: PRODUCT,
    torch.log_softmax: PRODUCT,
}

METHODS: Mapping[str, Callable[..., Any]] = {
    "relu": activation,
    "clamp": clamp,
    "mean": mean,
    "add": add,
    "sub": subtract,
    "mul": multiply,
    "div": divide,
    "neg": negate,
    "contiguous": pass_on,
    "clone": pass_on,
    "detach": pass_on,
    "float": pass_on,
    "to": pass_on,
}
"""By name without the underscore that marks the in-place form."""

ACTIVATION_MODULES = (
    nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.LeakyReLU, nn.PReLU, nn.GELU, nn.SiLU, nn.ELU, nn.Mish, nn.Hardswish,
    nn.Tanh, nn.Sigmoid, nn.Softmax, nn.LogSoftmax,
)  # fmt: skip

POOL_MODULES = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)

PASSING_MODULES = (nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.Identity, *REPLAYED_MODULES)

# what torch calls these in a traced graph is not what users call them
FUNCTION_NAMES: Mapping[Any, str] = {
    F.max_pool2d: "max_pool2d",
    operator.iadd: "add",
    operator.isub: "sub",
    operator.imul: "mul",
    operator.itruediv: "div",
    operator.truediv: "div",
    torch.concat: "cat",
}
