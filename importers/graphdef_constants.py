"""Operations of a frozen graph on constants, computed with numpy: shapes, and weights that are put together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import UnsupportedOperationError
from importers.graphdef_file import GraphNode

__all__ = ["MOVES", "axes_of", "compute", "move", "moved_place"]

Array = NDArray[Any]

_MOST_ENTRIES = 2**28


def compute(node: GraphNode, values: Sequence[Array]) -> list[Array]:
    """Compute an operation whose inputs are all constants.

    Returns
    -------
    list
        Its outputs.

    Raises
    ------
    UnsupportedOperationError
        It is none of those known, or the constants do not fit it.
    """
    try:
        if node.op in MOVES:
            return move(node, values[moved_place(node)], values)
        if node.op in _COMPUTED:
            if node.op in _BROADCAST and math.prod(np.broadcast_shapes(*(v.shape for v in values))) > _MOST_ENTRIES:
                raise UnsupportedOperationError(f"it makes more than {_MOST_ENTRIES:,} entries of constants")
            with np.errstate(all="ignore"):
                return [np.asarray(_COMPUTED[node.op](node, *values))]
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise UnsupportedOperationError(f"its constants do not fit: {_first_line(error)}") from error
    raise UnsupportedOperationError("it computes with constants in a way that is not known here")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def axes_of(value: Array, rank: int) -> tuple[int, ...]:
    """Read axes from a constant, counted from the front."""
    return tuple(int(axis) % rank for axis in np.atleast_1d(value))


def moved_place(node: GraphNode) -> int:
    """Return which input of an operation in `MOVES` is moved."""
    return 1 if node.op == "Split" else 0


def move(node: GraphNode, data: Array, values: Sequence[Any]) -> list[Array]:
    """Apply an operation of `MOVES`; of `values`, its inputs, all but the one that is moved are read."""
    moved = MOVES[node.op](node, data, values)
    return moved if isinstance(moved, list) else [moved]


def _slices(node: GraphNode, values: Sequence[Array], rank: int) -> tuple[Any, ...]:
    """Read the index that a StridedSlice takes, as numpy would write it."""
    begin, end, step = ([int(x) for x in np.atleast_1d(value)] for value in values[1:4])
    masks = {name: int(node.attributes.get(f"{name}_mask") or 0) for name in _MASKS}
    index: list[Any] = []
    for place in range(len(begin)):
        bit = 1 << place
        if masks["ellipsis"] & bit:
            index.append(Ellipsis)
        elif masks["new_axis"] & bit:
            index.append(None)
        elif masks["shrink_axis"] & bit:
            index.append(begin[place])
        else:
            first = None if masks["begin"] & bit else begin[place]
            last = None if masks["end"] & bit else end[place]
            index.append(slice(first, last, step[place]))
    if sum(part is not None and part is not Ellipsis for part in index) > rank:
        raise ValueError(f"{len(index)} slices of {rank} axes")
    return tuple(index)


_MASKS = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")


def _reshape(_: GraphNode, data: Array, values: Sequence[Array]) -> Array:
    return data.reshape([int(side) for side in np.atleast_1d(values[1])])


def _squeeze(node: GraphNode, data: Array, _: Sequence[Array]) -> Array:
    axes = node.attributes.get("squeeze_dims") or node.attributes.get("axis")
    return np.squeeze(data, tuple(int(axis) for axis in axes) if axes else None)


def _expand(_: GraphNode, data: Array, values: Sequence[Array]) -> Array:
    return np.expand_dims(data, int(np.asarray(values[1]).reshape(())))


def _transpose(_: GraphNode, data: Array, values: Sequence[Array]) -> Array:
    return np.transpose(data, [int(axis) for axis in values[1]])


def _pad(node: GraphNode, data: Array, values: Sequence[Array]) -> Array:
    fill = 0 if node.op == "Pad" else np.asarray(values[2]).reshape(())[()]
    widths = [(int(before), int(behind)) for before, behind in values[1]]
    if min(min(pair) for pair in widths) < 0 or max(max(pair) for pair in widths) > 2**20:
        raise ValueError(f"padding by {widths}")
    return np.pad(data, widths, constant_values=fill)


def _slice(_: GraphNode, data: Array, values: Sequence[Array]) -> Array:
    begin, size = ([int(x) for x in np.atleast_1d(value)] for value in values[1:3])
    if len(begin) != data.ndim or any(b < 0 for b in begin):
        raise ValueError(f"a slice that begins at {begin} of {data.ndim} axes")
    return data[tuple(slice(b, None if s == -1 else b + s) for b, s in zip(begin, size, strict=True))]


def _strided(node: GraphNode, data: Array, values: Sequence[Array]) -> Array:
    return np.asarray(data[_slices(node, values, data.ndim)])


def _split(node: GraphNode, data: Array, values: Sequence[Array]) -> list[Array]:
    axis = int(np.asarray(values[0]).reshape(()))
    count = int(node.attributes.get("num_split") or 1)
    return list(np.split(data, count, axis))


def _split_by_sizes(_: GraphNode, data: Array, values: Sequence[Array]) -> list[Array]:
    axis, sizes = int(np.asarray(values[2]).reshape(())), [int(size) for size in values[1]]
    if -1 in sizes:
        sizes[sizes.index(-1)] = data.shape[axis] - sum(sizes) - 1
    return list(np.split(data, np.cumsum(sizes)[:-1], axis))


def _gather(node: GraphNode, data: Array, values: Sequence[Array]) -> Array:
    if node.attributes.get("batch_dims"):
        raise ValueError("a gather by batch")
    axis = int(np.asarray(values[2]).reshape(())) if len(values) > 2 else 0
    return np.take(data, np.asarray(values[1]).astype(np.int64), axis=axis)


def _unpack(node: GraphNode, data: Array, _: Sequence[Array]) -> list[Array]:
    axis = int(node.attributes.get("axis") or 0)
    return [np.take(data, place, axis=axis) for place in range(data.shape[axis])]


MOVES: Mapping[str, Callable[[GraphNode, Array, Sequence[Array]], Array | list[Array]]] = {
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "ExpandDims": _expand,
    "Transpose": _transpose,
    "Pad": _pad,
    "PadV2": _pad,
    "Slice": _slice,
    "StridedSlice": _strided,
    "Split": _split,
    "SplitV": _split_by_sizes,
    "Gather": _gather,
    "GatherV2": _gather,
    "Unpack": _unpack,
}
"""Operations that only move entries: given the operation, the array moved and all inputs."""


def _reduced(function: Callable[..., Any]) -> Callable[..., Any]:
    def rule(node: GraphNode, data: Array, axes: Array) -> Any:
        keep = bool(node.attributes.get("keep_dims"))
        return function(data, axis=axes_of(axes, data.ndim) if data.ndim else None, keepdims=keep)

    return rule


def _cast(node: GraphNode, data: Array) -> Array:
    kinds = {1: np.float32, 2: np.float64, 3: np.int32, 9: np.int64, 10: np.bool_}
    kind = kinds.get(int(node.attributes.get("DstT") or 0))
    if kind is None:
        raise ValueError("a cast to a type of no weights")
    return data.astype(kind)


def _fill(_: GraphNode, sides: Array, value: Array) -> Array:
    shape = tuple(int(side) for side in np.atleast_1d(sides))
    if math.prod(shape) > _MOST_ENTRIES:
        raise ValueError(f"a constant of shape {shape}")
    return np.full(shape, value)


def _range(_: GraphNode, first: Array, last: Array, step: Array) -> Array:
    begin, end, by = (np.asarray(x).reshape(()).item() for x in (first, last, step))
    if not by or abs((end - begin) / by) > _MOST_ENTRIES:
        raise ValueError(f"a range from {begin} to {end} by {by}")
    return np.arange(begin, end, by, dtype=first.dtype)


def _concatenate(node: GraphNode, *values: Array) -> Array:
    axis, parts = (values[0], values[1:]) if node.op == "Concat" else (values[-1], values[:-1])
    return np.concatenate([np.atleast_1d(part) for part in parts], axis=int(np.asarray(axis).reshape(())))


def _two(function: Callable[[Array, Array], Any]) -> Callable[..., Any]:
    return lambda _, a, b: function(a, b)


def _one(function: Callable[[Array], Any]) -> Callable[..., Any]:
    return lambda _, a: function(a)


_BROADCAST: Mapping[str, Callable[..., Any]] = {
    "Add": _two(np.add),
    "AddV2": _two(np.add),
    "BiasAdd": _two(np.add),
    "Sub": _two(np.subtract),
    "Mul": _two(np.multiply),
    "RealDiv": _two(np.true_divide),
    "Div": _two(lambda a, b: a // b if a.dtype.kind in "iu" else a / b),
    "FloorDiv": _two(np.floor_divide),
    "FloorMod": _two(np.mod),
    "Maximum": _two(np.maximum),
    "Minimum": _two(np.minimum),
    "Pow": _two(np.power),
}

_COMPUTED: Mapping[str, Callable[..., Any]] = {
    **_BROADCAST,
    "Identity": _one(lambda a: a),
    "StopGradient": _one(lambda a: a),
    "Cast": _cast,
    "Neg": _one(np.negative),
    "Sqrt": _one(np.sqrt),
    "Rsqrt": _one(lambda a: (1 / np.sqrt(a)).astype(a.dtype)),
    "Square": _one(np.square),
    "Reciprocal": _one(np.reciprocal),
    "Shape": _one(lambda a: np.array(a.shape, dtype=np.int32)),
    "Size": _one(lambda a: np.array(a.size, dtype=np.int32)),
    "Rank": _one(lambda a: np.array(a.ndim, dtype=np.int32)),
    "Fill": _fill,
    "Range": _range,
    "Pack": lambda node, *values: np.stack(values, axis=int(node.attributes.get("axis") or 0)),
    "Concat": _concatenate,
    "ConcatV2": _concatenate,
    "Prod": _reduced(np.prod),
    "Sum": _reduced(np.sum),
    "Mean": _reduced(np.mean),
    "Max": _reduced(np.max),
}
