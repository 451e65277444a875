"""What each torch operation is as a linear step.

`OPERATIONS` maps functions, methods and module classes to rules. A rule is called
with what torch would be called with, data as `Traced` and everything else as it is,
and gives a linear step, or data that is passed on. To admit another operation is
to add a rule here; what has none is refused when weights are asked for across it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import nn

from circuitgraph.errors import UnsupportedOperationError
from importers.linear_ops import Activation, Add, Concat, Conv, GlobalPool, Op, Pool, Scale

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

Pair = tuple[int, int]


@dataclass(slots=True, eq=False)
class Traced:
    """A tensor that depends on the input.

    `base` names a tensor of the graph of linear steps; `index`, if any, says for each entry which flat entry of
    `base` it is, -1 for zero. `shape` is without the batch axis.
    """

    base: str
    shape: tuple[int, ...]
    index: torch.Tensor | None = None
    settled: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A linear step and what it reads."""

    op: Op
    inputs: Sequence[Traced]


def _refuse(reason: str, remedy: str = "") -> UnsupportedOperationError:
    return UnsupportedOperationError(reason, hint=remedy)


def to_array(value: Any) -> NDArray[np.floating[Any]]:
    """Copy a constant tensor to numpy; what is not float64 becomes float32."""
    if isinstance(value, Traced):
        raise _refuse("its weights depend on the input")
    tensor: torch.Tensor = value.detach()
    return tensor.to(device="cpu", dtype=torch.float64 if tensor.dtype == torch.float64 else torch.float32).numpy()


def _pair(value: Any) -> Pair:
    if isinstance(value, (tuple, list, torch.Size)):
        first, second = (value[0], value[0]) if len(value) == 1 else value
        return int(first), int(second)
    return int(value), int(value)


def _need_map(x: Any) -> Traced:
    if not isinstance(x, Traced):
        raise _refuse("it is called with something that is not the data")
    if len(x.shape) != 3:
        raise _refuse(f"its input has the shape {x.shape} without the batch; (channel, row, col) is wanted")
    return x


def _conv(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Step:
    x = _need_map(input)
    kernel, dilation = to_array(weight), _pair(dilation)
    if padding == "valid":
        pad = (0, 0)
    elif padding == "same":
        # torch puts the extra cell of an even window at the end
        pad = (dilation[0] * (kernel.shape[2] - 1) // 2, dilation[1] * (kernel.shape[3] - 1) // 2)
    else:
        pad = _pair(padding)
    own_bias = None if bias is None else to_array(bias)
    return Step(Conv(kernel, own_bias, _pair(stride), pad, dilation, int(groups)), [x])


def _conv_module(module: nn.Conv2d, input: Any) -> Step:
    if module.padding_mode != "zeros":
        raise _refuse(
            f"padding with {module.padding_mode!r} is not linear by position", "Only zero padding is expanded."
        )
    return _conv(input, module.weight, module.bias, module.stride, module.padding, module.dilation, module.groups)


def _linear(input: Any, weight: Any, bias: Any = None) -> Step:
    if not isinstance(input, Traced) or len(input.shape) != 1:
        raise _refuse("a linear layer over the last of several axes (as in attention) is not expanded")
    return Step(Conv(to_array(weight)[:, :, None, None], None if bias is None else to_array(bias)), [input])


def _batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,  # noqa: ARG001
    eps: float = 1e-5,
) -> Step:
    if running_mean is None or running_var is None or training:
        raise _refuse("a batch norm without running statistics depends on the batch")
    mean, variance = (to_array(value).astype(np.float64) for value in (running_mean, running_var))
    if (variance + eps <= 0).any():
        place = int(np.argmin(variance))
        raise _refuse(
            f"its running variance is {variance[place]:g} at [{place}], which no data can give",
            "Take another checkpoint; this one is damaged.",
        )
    gain = 1 / np.sqrt(variance + eps)
    if weight is not None:
        gain = gain * to_array(weight).astype(np.float64)
    shift = -mean * gain
    if bias is not None:
        shift = shift + to_array(bias).astype(np.float64)
    return Step(Scale(gain, shift), [input])


def _batch_norm_module(module: Any, input: Any) -> Step:
    return _batch_norm(
        input, module.running_mean, module.running_var, module.weight, module.bias, eps=float(module.eps)
    )


def _activation(input: Any, *_: Any, **__: Any) -> Step:
    return Step(Activation(), [input])


def _clamped(input: Any, min_val: float = -1.0, max_val: float = 1.0, *_: Any, **__: Any) -> Step:
    if min_val != 0:
        raise _refuse(f"it cuts at {min_val}, not at 0", "Only ReLU-like functions are ignored by expanded weights.")
    return Step(Activation((f"ceiling={max_val:g}",)), [input])


def _clamp(input: Any, min: Any = None, max: Any = None) -> Step:
    if min is None or min != 0:
        raise _refuse(f"it cuts at {min}, not at 0", "Only ReLU-like functions are ignored by expanded weights.")
    return Step(Activation(() if max is None else (f"ceiling={max:g}",)), [input])


def _pass(input: Any, *_: Any, **__: Any) -> Traced:
    if not isinstance(input, Traced):
        raise _refuse("it is called with something that is not the data")
    return input


def _max_pool(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,  # noqa: ARG001
    return_indices: bool = False,
) -> Step:
    x = _need_map(input)
    if _pair(dilation) != (1, 1) or return_indices:
        raise _refuse("a dilated max pool, or one that returns indices, is not expanded")
    window = _pair(kernel_size)
    return Step(Pool(window, _pair(stride) if stride else window, _pair(padding), is_max=True), [x])


def _max_pool_module(module: nn.MaxPool2d, input: Any) -> Step:
    m = module
    return _max_pool(input, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, m.return_indices)


def _avg_pool(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,  # noqa: ARG001
    count_include_pad: bool = True,  # noqa: ARG001
    divisor_override: int | None = None,
) -> Step | Traced:
    # ceil_mode and count_include_pad change positions at the border only
    x = _need_map(input)
    window, pad = _pair(kernel_size), _pair(padding)
    if window == x.shape[1:] and pad == (0, 0) and divisor_override is None:
        return _pass(x) if window == (1, 1) else Step(GlobalPool(), [x])
    gain = 1 / (divisor_override or window[0] * window[1])
    return Step(Pool(window, _pair(stride) if stride else window, pad, is_max=False, gain=gain), [x])


def _avg_pool_module(module: nn.AvgPool2d, input: Any) -> Step | Traced:
    m = module
    return _avg_pool(input, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override)


def _adaptive_avg_pool(input: Any, output_size: Any) -> Step | Traced:
    x = _need_map(input)
    size = (x.shape[1], x.shape[2])
    wanted = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    out = (size[0] if wanted[0] is None else int(wanted[0]), size[1] if wanted[1] is None else int(wanted[1]))
    if out == size:
        return x
    if out == (1, 1):
        return Step(GlobalPool(), [x])
    if size[0] % out[0] or size[1] % out[1]:
        raise _refuse(
            f"an adaptive pool from {size[0]}x{size[1]} to {out[0]}x{out[1]} has windows of several sizes",
            "Give an --input whose map is a multiple of the pool's output.",
        )
    window = (size[0] // out[0], size[1] // out[1])
    return Step(Pool(window, window, (0, 0), is_max=False, gain=1 / (window[0] * window[1])), [x])


def _mean(input: Any, dim: Any = None, keepdim: bool = False, **_: Any) -> Step:  # noqa: ARG001
    x = _need_map(input)
    axes = {int(axis) % 4 for axis in (dim if isinstance(dim, (tuple, list)) else [dim] if dim is not None else [])}
    if axes != {2, 3}:
        raise _refuse("a mean over other axes than (row, col) is not expanded", "Write it as mean((2, 3)).")
    return Step(GlobalPool(), [x])


def _constant(value: Any, channels: int) -> NDArray[np.float64]:
    """Read a constant that is the same at every position, (channel,)."""
    if not isinstance(value, torch.Tensor):
        return np.full(channels, float(value))
    array = to_array(value).astype(np.float64)
    squeezed = array.reshape(-1)
    plain = array.size == 1 or (array.size == channels and _channel_axis_is_all(array.shape, channels))
    if not plain:
        raise _refuse(f"a constant of shape {array.shape} that differs by position is not expanded")
    return np.full(channels, float(squeezed[0])) if array.size == 1 else squeezed


def _channel_axis_is_all(shape: tuple[int, ...], channels: int) -> bool:
    return shape in {(channels, 1, 1), (1, channels, 1, 1), (channels,), (1, channels)}


def _scaled(x: Traced, gain: Any = 1.0, shift: Any = 0.0) -> Step:
    channels = x.shape[0]
    for value in (gain, shift):
        if isinstance(value, torch.Tensor) and value.ndim == 1 and value.numel() > 1 and len(x.shape) != 1:
            raise _refuse("a constant that differs along the columns of a map is not expanded")
    return Step(Scale(_constant(gain, channels), _constant(shift, channels)), [x])


def _add(input: Any, other: Any, *, alpha: Any = 1) -> Step:
    if not isinstance(input, Traced):
        input, other = other, input
        if alpha != 1:
            raise _refuse("a sum with alpha is not expanded")
    if not isinstance(other, Traced):
        return _scaled(input, shift=other * alpha)
    if alpha != 1:
        raise _refuse("a sum with alpha is not expanded")
    if input.shape != other.shape:
        raise _refuse(f"shapes {input.shape} and {other.shape} are added by broadcasting")
    return Step(Add(), [input, other])


def _sub(input: Any, other: Any) -> Step:
    if isinstance(input, Traced) and not isinstance(other, Traced):
        return _scaled(input, shift=-other)
    if isinstance(other, Traced) and not isinstance(input, Traced):
        return _scaled(other, gain=-1.0, shift=input)
    raise _refuse("a difference of two activations is not expanded", "Write it as a + (-1) * b.")


def _mul(input: Any, other: Any) -> Step:
    if isinstance(input, Traced) and isinstance(other, Traced):
        raise _refuse("a product of two activations is not linear")
    return _scaled(input, gain=other) if isinstance(input, Traced) else _scaled(other, gain=input)


def _div(input: Any, other: Any, **_: Any) -> Step:
    if isinstance(other, Traced) or not isinstance(input, Traced):
        raise _refuse("a division by an activation is not linear")
    return _scaled(input, gain=1 / other)


def _neg(input: Any) -> Step:
    return _scaled(input, gain=-1.0)


def _cat(tensors: Any, dim: int = 0, **_: Any) -> Step:
    parts = list(tensors)
    if not all(isinstance(part, Traced) for part in parts):
        raise _refuse("a constant is put beside an activation")
    rank = len(parts[0].shape) + 1
    if dim % rank != 1:
        raise _refuse(f"concatenation along axis {dim}, not along channels")
    return Step(Concat(), parts)


def _not_identity(why: str) -> Callable[..., Step]:
    def rule(*_: Any, **__: Any) -> Step:
        raise _refuse(why, "No option admits it yet; expanded weights ignore only ReLU-like functions.")

    return rule


def _module(rule: Callable[..., Any], *attributes: str) -> Callable[..., Any]:
    """Make a module's rule of a function's, called with the module's attributes."""

    def of_module(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return rule(*args, *(getattr(module, name) for name in attributes), **kwargs)

    return of_module


_SMOOTH = _not_identity("it is not the identity above zero")
_LEAKY = _not_identity("it has a slope below zero too, so ignoring it would change more than the sign")
_PRODUCT = _not_identity("it is not linear in its input")

MODULES: Mapping[type[nn.Module], Callable[..., Any]] = {
    nn.Conv2d: _conv_module,
    nn.Linear: _module(_linear, "weight", "bias"),
    nn.BatchNorm2d: _batch_norm_module,
    nn.BatchNorm1d: _batch_norm_module,
    nn.ReLU: _module(_activation),
    nn.ReLU6: lambda _, x: _clamped(x, 0.0, 6.0),
    nn.Hardtanh: _module(_clamped, "min_val", "max_val"),
    nn.Dropout: _module(_pass),
    nn.Dropout2d: _module(_pass),
    nn.AlphaDropout: _module(_pass),
    nn.Identity: _module(_pass),
    nn.MaxPool2d: _max_pool_module,
    nn.AvgPool2d: _avg_pool_module,
    nn.AdaptiveAvgPool2d: _module(_adaptive_avg_pool, "output_size"),
    nn.LeakyReLU: _LEAKY,
    nn.PReLU: _LEAKY,
    nn.GELU: _SMOOTH,
    nn.SiLU: _SMOOTH,
    nn.ELU: _SMOOTH,
    nn.Mish: _SMOOTH,
    nn.Hardswish: _SMOOTH,
    nn.Tanh: _PRODUCT,
    nn.Sigmoid: _PRODUCT,
    nn.Softmax: _PRODUCT,
    nn.LogSoftmax: _PRODUCT,
}

FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    F.conv2d: _conv,
    torch.conv2d: _conv,
    F.linear: _linear,
    F.batch_norm: _batch_norm,
    F.relu: _activation,
    torch.relu: _activation,
    torch.relu_: _activation,
    F.relu_: _activation,
    F.relu6: lambda input, *_, **__: _clamped(input, 0.0, 6.0),
    F.hardtanh: _clamped,
    torch.clamp: _clamp,
    F.dropout: _pass,
    torch.dropout: _pass,
    F.dropout2d: _pass,
    F.max_pool2d: _max_pool,
    torch.max_pool2d: _max_pool,
    F.avg_pool2d: _avg_pool,
    F.adaptive_avg_pool2d: _adaptive_avg_pool,
    torch.mean: _mean,
    torch.cat: _cat,
    torch.concat: _cat,
    torch.add: _add,
    operator.add: _add,
    operator.iadd: _add,
    torch.sub: _sub,
    operator.sub: _sub,
    operator.isub: _sub,
    torch.mul: _mul,
    operator.mul: _mul,
    operator.imul: _mul,
    torch.div: _div,
    operator.truediv: _div,
    operator.itruediv: _div,
    torch.neg: _neg,
    operator.neg: _neg,
    F.leaky_relu: _LEAKY,
    F.gelu: _SMOOTH,
    F.silu: _SMOOTH,
    F.elu: _SMOOTH,
    torch.sigmoid: _PRODUCT,
    torch.tanh: _PRODUCT,
    F.softmax: _PRODUCT,
    torch.softmax: _PRODUCT,
    F.log_softmax: _PRODUCT,
    torch.log_softmax: _PRODUCT,
}

METHODS: Mapping[str, Callable[..., Any]] = {
    "relu": _activation,
    "clamp": _clamp,
    "mean": _mean,
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "contiguous": _pass,
    "clone": _pass,
    "detach": _pass,
    "float": _pass,
    "to": _pass,
}
"""By name without the underscore that marks the in-place form."""

# these only move entries, so they are run on the entries' own numbers and read off (`importers.linearise`)
REPLAYED_FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    torch.flatten: torch.flatten,
    torch.reshape: torch.reshape,
    torch.permute: torch.permute,
    torch.transpose: torch.transpose,
    torch.squeeze: torch.squeeze,
    torch.unsqueeze: torch.unsqueeze,
    torch.chunk: torch.chunk,
    torch.split: torch.split,
    torch.unbind: torch.unbind,
    torch.narrow: torch.narrow,
    torch.select: torch.select,
    torch.flip: torch.flip,
    torch.channel_shuffle: lambda input, groups: _shuffle(input, groups),
    F.pad: lambda input, pad, mode="constant", value=None: _pad(input, pad, mode, value),
    operator.getitem: operator.getitem,
}
REPLAYED_METHODS: frozenset[str] = frozenset(
    [
        "flatten",
        "reshape",
        "view",
        "permute",
        "transpose",
        "squeeze",
        "unsqueeze",
        "chunk",
        "split",
        "unbind",
        "narrow",
        "select",
        "flip",
    ]
)
REPLAYED_MODULES: Mapping[type[nn.Module], Callable[..., Any]] = {
    nn.Flatten: lambda module, input: torch.flatten(input, module.start_dim, module.end_dim),
    nn.Unflatten: lambda module, input: input.unflatten(module.dim, module.unflattened_size),
    nn.ZeroPad2d: lambda module, input: _pad(input, module.padding, "constant", 0),
    nn.ChannelShuffle: lambda module, input: _shuffle(input, module.groups),
}


def _shuffle(input: torch.Tensor, groups: int) -> torch.Tensor:
    batch, channels, *size = input.shape
    return input.reshape(batch, groups, channels // groups, *size).transpose(1, 2).reshape(batch, channels, *size)


def _pad(input: torch.Tensor, pad: Sequence[int], mode: str, value: Any) -> torch.Tensor:
    if mode != "constant" or value:
        raise _refuse(f"padding with {value if mode == 'constant' else mode!r}", "Only zero padding is expanded.")
    return F.pad(input, list(pad), value=-1)


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
