"""Rules for torch's layers with weights, norms and pools."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from importers.linear_ops import ChannelNorm, Conv, GlobalPool, LocalResponseNorm, Pool, Scale
from importers.torch_steps import (
    NOTHING_ADMITS_IT,
    Step,
    Traced,
    channels_first,
    is_channels_last,
    need_data,
    need_map,
    pass_on,
    pointwise,
    refuse,
    to_array,
    to_pair,
)

__all__ = [
    "adaptive_average_pool",
    "average_pool",
    "average_pool_module",
    "batch_norm",
    "batch_norm_module",
    "convolution",
    "convolution_module",
    "layer_norm",
    "linear_layer",
    "local_response_norm",
    "max_pool",
    "max_pool_module",
    "mean",
]


def convolution(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Step:
    """Make a convolution of a map."""
    x = need_map(input)
    kernel, dilation = to_array(weight), to_pair(dilation)
    if padding == "valid":
        pad = (0, 0)
    elif padding == "same":
        # torch puts the extra cell of an even window at the end
        pad = (dilation[0] * (kernel.shape[2] - 1) // 2, dilation[1] * (kernel.shape[3] - 1) // 2)
    else:
        pad = to_pair(padding)
    own_bias = None if bias is None else to_array(bias)
    return Step(Conv(kernel, own_bias, to_pair(stride), pad, dilation, int(groups)), [x])


def convolution_module(module: nn.Conv2d, input: Any) -> Step:
    """Make a module's convolution."""
    if module.padding_mode != "zeros":
        raise refuse(f"padding with {module.padding_mode!r}: only zero padding is expanded", NOTHING_ADMITS_IT)
    return convolution(input, module.weight, module.bias, module.stride, module.padding, module.dilation, module.groups)


def linear_layer(input: Any, weight: Any, bias: Any = None) -> Step:
    """Make a linear layer."""
    conv = Conv(to_array(weight)[:, :, None, None], None if bias is None else to_array(bias))
    x = need_data(input)
    return _over_channels(conv, x, "a linear layer")


def _over_channels(op: Conv | ChannelNorm, x: Traced, what: str) -> Step:
    """Make a step over the last axis, which must hold the channels."""
    if len(x.shape) == 1:
        return Step(op, [x])
    if len(x.shape) == 3 and x.index is not None:
        return Step(op, [channels_first(x)], channels_last=True)
    axes = "the columns of a map" if len(x.shape) == 3 else f"the last of the axes {x.shape}"
    raise refuse(f"{what} over {axes} is not expanded", NOTHING_ADMITS_IT)


def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, *_: Any, **__: Any) -> Step:
    """Make a layer norm over channels."""
    x = need_data(input)
    axes = tuple(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
    if len(axes) != 1:
        raise refuse(f"a layer norm over the shape {axes}, positions too, is not linear", NOTHING_ADMITS_IT)
    gain = np.ones(axes[0]) if weight is None else to_array(weight).astype(np.float64)
    shift = np.zeros(axes[0]) if bias is None else to_array(bias).astype(np.float64)
    return _over_channels(ChannelNorm(gain, shift), x, "a layer norm")


def local_response_norm(input: Any, *_: Any, **__: Any) -> Step:
    """Make a local response norm."""
    return pointwise(LocalResponseNorm(), need_map(input))


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,  # noqa: ARG001
    eps: float = 1e-5,
) -> Step:
    """Make a batch norm in use a gain and a shift, computed in float64."""
    if running_mean is None or running_var is None or training:
        raise refuse("a batch norm without running statistics depends on the batch", NOTHING_ADMITS_IT)
    mean, variance = (to_array(value).astype(np.float64) for value in (running_mean, running_var))
    if (variance + eps <= 0).any():
        place = int(np.argmin(variance))
        raise refuse(
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


def batch_norm_module(module: Any, input: Any) -> Step:
    """Make a module's batch norm."""
    return batch_norm(input, module.running_mean, module.running_var, module.weight, module.bias, eps=float(module.eps))


def max_pool(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,  # noqa: ARG001
    return_indices: bool = False,
) -> Step:
    """Make a max pool."""
    x = need_map(input)
    if to_pair(dilation) != (1, 1) or return_indices:
        raise refuse("a dilated max pool, or one that returns indices, is not expanded", NOTHING_ADMITS_IT)
    window = to_pair(kernel_size)
    return Step(Pool(window, to_pair(stride) if stride else window, to_pair(padding), is_max=True), [x])


def max_pool_module(module: nn.MaxPool2d, input: Any) -> Step:
    """Make a module's max pool."""
    m = module
    return max_pool(input, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, m.return_indices)


def average_pool(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,  # noqa: ARG001
    count_include_pad: bool = True,  # noqa: ARG001
    divisor_override: int | None = None,
) -> Step | Traced:
    """Make an average pool; one over the whole map is a global pool."""
    # ceil_mode and count_include_pad change positions at the border only
    x = need_map(input)
    window, pad = to_pair(kernel_size), to_pair(padding)
    if window == x.shape[1:] and pad == (0, 0) and divisor_override is None:
        return pass_on(x) if window == (1, 1) else Step(GlobalPool(), [x])
    gain = 1 / (divisor_override or window[0] * window[1])
    return Step(Pool(window, to_pair(stride) if stride else window, pad, is_max=False, gain=gain), [x])


def average_pool_module(module: nn.AvgPool2d, input: Any) -> Step | Traced:
    """Make a module's average pool."""
    m = module
    return average_pool(input, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override)


def adaptive_average_pool(input: Any, output_size: Any) -> Step | Traced:
    """Make an adaptive average pool, whose windows must all be of one size."""
    x = need_map(input)
    size = (x.shape[1], x.shape[2])
    wanted = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    out = (size[0] if wanted[0] is None else int(wanted[0]), size[1] if wanted[1] is None else int(wanted[1]))
    if out == size:
        return x
    if out == (1, 1):
        return Step(GlobalPool(), [x])
    if size[0] % out[0] or size[1] % out[1]:
        raise refuse(
            f"an adaptive pool from {size[0]}x{size[1]} to {out[0]}x{out[1]} has windows of several sizes",
            "Give an --input whose map is a multiple of the pool's output.",
        )
    window = (size[0] // out[0], size[1] // out[1])
    return Step(Pool(window, window, (0, 0), is_max=False, gain=1 / (window[0] * window[1])), [x])


def mean(input: Any, dim: Any = None, keepdim: bool = False, **_: Any) -> Step:
    """Make a mean over rows and columns a global pool."""
    x = need_map(input)
    axes = {int(axis) % 4 for axis in (dim if isinstance(dim, (tuple, list)) else [dim] if dim is not None else [])}
    if axes == {1, 2} and is_channels_last(x):
        return Step(GlobalPool(), [channels_first(x)], channels_last=keepdim)
    if axes != {2, 3} or is_channels_last(x):
        raise refuse("a mean over other axes than rows and columns is not expanded", "Write it as mean((2, 3)).")
    return Step(GlobalPool(), [x])
