"""What torch can do that is refused on purpose, and why.

Anything else without a rule is refused too, but with less to say about it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from importers.torch_nonlinear import refused

__all__ = ["REFUSED_FUNCTIONS", "REFUSED_METHODS", "REFUSED_MODULES", "attention", "reason_for_module"]

attention = refused("attention multiplies activations with each other, which no weights stand for", is_attention=True)

_tanh = refused("it is bounded above and below, so it is nowhere the identity")
_softmax = refused("a softmax divides by what all channels do", "As the last step of the network it is left out.")
_selu = refused("its slope above zero is not 1")
_shrink = refused("it is not the identity above zero")
_statistics = refused("it divides by the spread of each map over its positions, which differs from image to image")
_adaptive_max = refused("its windows are of several sizes, each with a maximum of its own")
_power = refused("a mean of powers is not linear")
_upward = refused("it makes a map finer: its stride is a fraction")
_other_padding = refused("only zero padding is expanded")
_axes = refused("only maps with rows and columns are expanded, not sequences or volumes")
_recurrent = refused("a recurrent layer is not expanded")
_product = refused("a product of two activations is not linear")
_matrix = refused("activations are multiplied with each other, as in attention", is_attention=True)

REFUSED_MODULES: Mapping[type[nn.Module], Callable[..., Any]] = {
    nn.MultiheadAttention: attention,
    nn.TransformerEncoderLayer: attention,
    nn.TransformerEncoder: attention,
    nn.TransformerDecoderLayer: attention,
    nn.Transformer: attention,
    nn.Tanh: _tanh,
    nn.Softsign: _tanh,
    nn.LogSigmoid: _tanh,
    nn.Softmax: _softmax,
    nn.Softmax2d: _softmax,
    nn.LogSoftmax: _softmax,
    nn.SELU: _selu,
    nn.Hardshrink: _shrink,
    nn.Softshrink: _shrink,
    nn.Tanhshrink: _shrink,
    nn.Threshold: _shrink,
    nn.GLU: _product,
    nn.Bilinear: _product,
    nn.GroupNorm: _statistics,
    nn.InstanceNorm2d: _statistics,
    nn.AdaptiveMaxPool2d: _adaptive_max,
    nn.FractionalMaxPool2d: _adaptive_max,
    nn.LPPool2d: _power,
    nn.ConvTranspose2d: _upward,
    nn.Upsample: _upward,
    nn.UpsamplingNearest2d: _upward,
    nn.UpsamplingBilinear2d: _upward,
    nn.PixelShuffle: _upward,
    nn.MaxUnpool2d: _upward,
    nn.ReflectionPad2d: _other_padding,
    nn.ReplicationPad2d: _other_padding,
    nn.CircularPad2d: _other_padding,
    nn.ConstantPad2d: _other_padding,
    nn.Conv1d: _axes,
    nn.Conv3d: _axes,
    nn.BatchNorm3d: _axes,
    nn.MaxPool1d: _axes,
    nn.MaxPool3d: _axes,
    nn.AvgPool1d: _axes,
    nn.AvgPool3d: _axes,
    nn.AdaptiveAvgPool1d: _axes,
    nn.AdaptiveAvgPool3d: _axes,
    nn.RNN: _recurrent,
    nn.LSTM: _recurrent,
    nn.GRU: _recurrent,
}

REFUSED_FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    F.scaled_dot_product_attention: attention,
    F.multi_head_attention_forward: attention,
    torch.matmul: _matrix,
    torch.bmm: _matrix,
    torch.einsum: _matrix,
    operator.matmul: _matrix,
    torch.tanh: _tanh,
    F.tanh: _tanh,
    F.softsign: _tanh,
    F.softmax: _softmax,
    torch.softmax: _softmax,
    F.log_softmax: _softmax,
    torch.log_softmax: _softmax,
    F.selu: _selu,
    F.threshold: _shrink,
    F.glu: _product,
    F.group_norm: _statistics,
    F.instance_norm: _statistics,
    F.adaptive_max_pool2d: _adaptive_max,
    F.lp_pool2d: _power,
    F.conv_transpose2d: _upward,
    F.interpolate: _upward,
    F.pixel_shuffle: _upward,
    F.conv1d: _axes,
    F.conv3d: _axes,
    torch.conv1d: _axes,
    torch.conv3d: _axes,
}

REFUSED_METHODS: Mapping[str, Callable[..., Any]] = {
    "matmul": _matrix,
    "bmm": _matrix,
    "tanh": _tanh,
    "softmax": _softmax,
    "log_softmax": _softmax,
}

_quantised = refused("it is quantised: its weights are integers, and its steps round", "Import the float module.")


def reason_for_module(kind: type[nn.Module]) -> Callable[..., Any] | None:
    """Return the rule of a family of modules that is refused as a whole, if it is of one."""
    return _quantised if ".quantized" in kind.__module__ else None
