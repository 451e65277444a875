"""Which rule each torch operation has.

`MODULES`, `FUNCTIONS` and `METHODS` map module classes, functions and methods to
rules. A rule is called with what torch would be called with (a module's with the
module before), data as `Traced` and everything else as it is, and gives a linear
step, or data that is passed on. To admit another operation is to add a rule to a
table here; what has none is refused when weights are asked for across it.
"""

from __future__ import annotations

import math
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
    layer_norm,
    linear_layer,
    local_response_norm,
    max_pool,
    max_pool_module,
    mean,
)
from importers.torch_moves import REPLAYED_FUNCTIONS, REPLAYED_METHODS, REPLAYED_MODULES
from importers.torch_nonlinear import activation, clamp, hardtanh, leaky, sigmoid, smooth
from importers.torch_refusals import REFUSED_FUNCTIONS, REFUSED_METHODS, REFUSED_MODULES, attention
from importers.torch_steps import Step, Traced, cast, need_data, of_module, pass_on, to_array

__all__ = [
    "ACTIVATION_MODULES",
    "FUNCTIONS",
    "FUNCTION_NAMES",
    "METHODS",
    "MODULES",
    "NAMED_FUNCTIONS",
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
    nn.LayerNorm: of_module(layer_norm, "normalized_shape", "weight", "bias"),
    nn.LocalResponseNorm: of_module(local_response_norm),
    nn.CrossMapLRN2d: of_module(local_response_norm),
    nn.LeakyReLU: leaky("leaky_relu"),
    nn.PReLU: leaky("prelu"),
    nn.RReLU: leaky("rrelu"),
    nn.GELU: smooth("gelu"),
    nn.SiLU: smooth("silu"),
    nn.Hardswish: smooth("hardswish"),
    nn.ELU: smooth("elu"),
    nn.CELU: smooth("celu"),
    nn.Mish: smooth("mish"),
    nn.Softplus: smooth("softplus"),
    nn.Sigmoid: sigmoid,
    nn.Hardsigmoid: sigmoid,
    **REFUSED_MODULES,
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
    F.layer_norm: layer_norm,
    torch.layer_norm: layer_norm,
    F.local_response_norm: local_response_norm,
    F.leaky_relu: leaky("leaky_relu"),
    F.prelu: leaky("prelu"),
    torch.prelu: leaky("prelu"),
    F.rrelu: leaky("rrelu"),
    F.gelu: smooth("gelu"),
    F.silu: smooth("silu"),
    F.hardswish: smooth("hardswish"),
    F.elu: smooth("elu"),
    F.celu: smooth("celu"),
    F.mish: smooth("mish"),
    F.softplus: smooth("softplus"),
    F.sigmoid: sigmoid,
    torch.sigmoid: sigmoid,
    F.hardsigmoid: sigmoid,
    **REFUSED_FUNCTIONS,
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
    "sigmoid": sigmoid,
    "expand_as": lambda x, other: _expanded(need_data(x), need_data(other)),
    **REFUSED_METHODS,
    "contiguous": pass_on,
    "clone": pass_on,
    "detach": pass_on,
    "float": pass_on,
    "to": cast,
}
"""By name without the underscore that marks the in-place form."""

NAMED_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "stochastic_depth": pass_on,
    "shifted_window_attention": attention,
}
"""Functions of torchvision that a trace keeps whole, by name."""


def _expanded(x: Traced, other: Traced) -> Traced:
    """Repeat a tensor along axes of size 1 until it has another's shape."""
    index = torch.arange(math.prod(x.shape)).reshape(x.shape) if x.index is None else x.index
    return Traced(x.base, other.shape, index.expand(other.shape), steps=x.steps)


ACTIVATION_MODULES = (
    nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.GELU, nn.SiLU, nn.ELU, nn.CELU, nn.Mish,
    nn.Hardswish, nn.Softplus, nn.Tanh, nn.Sigmoid, nn.Hardsigmoid, nn.Softmax, nn.LogSoftmax,
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
