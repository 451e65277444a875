"""The rules for ATen operations, which torch.export gives: those of the torch functions of the same name.

Where ATen orders arguments otherwise than the function that users call, they are put
in its order here; operations that only move entries are run on the entries' numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch._ops import OpOverload

from circuitgraph.errors import UnsupportedOperationError
from importers import torch_ops as ops
from importers.index_replay import replay
from importers.torch_steps import NOTHING_ADMITS_IT, cast

__all__ = ["aten_name", "carry_over", "is_written_in_place"]

# what leaves the data as it is, or turns it to another type
_PASSED_ON = frozenset(
    ["alias", "clone", "contiguous", "detach", "lift_fresh_copy", "feature_dropout", "alpha_dropout"]
)
_REPLAYED = frozenset(
    [
        "chunk", "expand", "flatten", "flip", "index", "index_select", "movedim", "narrow", "permute", "reshape",
        "select", "slice", "split", "split_with_sizes", "squeeze", "swapaxes", "t", "tile", "transpose", "unbind",
        "unflatten", "unsafe_chunk", "unsafe_split", "unsqueeze",
    ]
)  # fmt: skip
# an index has other strides than the data, so a view of it may need a copy
_RESHAPED = frozenset(["view", "_unsafe_view", "_reshape_alias", "view_as", "reshape_as"])


def aten_name(target: OpOverload) -> str:
    """Return ``relu`` for ``aten.relu_.default``."""
    return str(target._schema.name).rpartition("::")[2].rstrip("_")


def is_written_in_place(target: OpOverload) -> bool:
    """Whether an operation writes over its first argument."""
    arguments = target._schema.arguments
    return bool(arguments and arguments[0].alias_info is not None and arguments[0].alias_info.is_write)


def _batch_norm(
    x: Any, weight: Any, bias: Any, mean: Any, variance: Any, training: bool, momentum: float, eps: float, *_: Any
) -> Any:
    return ops.FUNCTIONS[F.batch_norm](x, mean, variance, weight, bias, training, momentum, eps)


def _reversed_subtraction(x: Any, other: Any, alpha: Any = 1) -> Any:
    return ops.FUNCTIONS[torch.sub](other, x) if alpha == 1 else _unknown()


def _clamp_min(x: Any, min: Any) -> Any:
    return ops.FUNCTIONS[torch.clamp](x, min)


def _convolution(
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,  # noqa: ARG001
    groups: int,
) -> Any:
    rule = ops.FUNCTIONS[F.conv_transpose2d if transposed else F.conv2d]
    return rule(x, weight, bias, stride, padding, dilation, groups)


def _unknown(*_: Any, **__: Any) -> Any:
    raise UnsupportedOperationError("it has no linear form here", hint=NOTHING_ADMITS_IT)


_REORDERED: Mapping[str, Callable[..., Any]] = {
    "batch_norm": _batch_norm,
    "rsub": _reversed_subtraction,
    "clamp_min": _clamp_min,
    "to": cast,
    "_to_copy": cast,
    "convolution": _convolution,
    "constant_pad_nd": lambda x, pad, value=0: replay(ops.REPLAYED_FUNCTIONS[F.pad], (x, pad, "constant", value), {}),
}


def carry_over(target: OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Find and apply the rule of an ATen operation.

    Raises
    ------
    UnsupportedOperationError
        It has none, or what it is called with has no linear form.
    """
    name = aten_name(target)
    if name in _PASSED_ON:
        return args[0]
    if name in _REORDERED:
        return _REORDERED[name](*args, **kwargs)
    if name in _REPLAYED:
        return replay(target, args, kwargs)
    if name in _RESHAPED:
        return replay(torch.reshape, args, kwargs)
    for functions in (torch, F):
        function = getattr(functions, name, None)
        if function in ops.REPLAYED_FUNCTIONS:
            return replay(ops.REPLAYED_FUNCTIONS[function], args, kwargs)
        if function in ops.FUNCTIONS:
            return ops.FUNCTIONS[function](*args, **kwargs)
    return ops.METHODS.get(name, _unknown)(*args, **kwargs)
