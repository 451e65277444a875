"""What rules for operations of a frozen graph are made of: data as it is followed, and the step a rule gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import UnsupportedOperationError
from importers.graphdef_file import GraphNode
from importers.linear_ops import Flatten, Gather, MapShape, Op
from importers.moved_entries import as_gather

__all__ = [
    "FED",
    "RANDOM",
    "Data",
    "Step",
    "moved_step",
    "need_map",
    "order_of",
    "per_channel",
    "refuse",
    "scope_of",
    "spatial",
]

Pair = tuple[int, int]
Order = Literal["NHWC", "NCHW", "NC"]


class _Unknown:
    """A value that is not known before the graph is run."""


FED = _Unknown()
"""What is fed in besides the image, such as the share that a dropout keeps."""
RANDOM = _Unknown()
"""Random numbers, and masks made of them."""


@dataclass(slots=True, eq=False)
class Data:
    """A tensor that depends on the input, for a batch of one.

    Parameters
    ----------
    base
        A tensor of the graph of linear steps, a map (channel, row, col).
    shape
        As in TensorFlow, the batch first; None after a step of unknown shape.
    order
        The order of axes it was last known to be in.
    index
        For each entry which flat entry of `base` it is, -1 for zero; None where it is the base in that order.
    unscaled
        What it was before it was multiplied with or divided by one number, and where; a dropout undoes that.
    sigmoid_of
        What a sigmoid was taken of to get it, and the operation's name.
    """

    base: str
    shape: tuple[int, ...] | None
    order: Order
    index: NDArray[np.int64] | None = None
    unscaled: tuple[Data, str] | None = None
    sigmoid_of: tuple[Data, str] | None = None
    settled: dict[Order, str] = field(default_factory=dict)

    def entries(self, base: MapShape) -> NDArray[np.int64]:
        """Return the index, written out."""
        if self.index is not None:
            return self.index
        numbers = np.arange(math.prod(base), dtype=np.int64).reshape(base)
        if self.order == "NC":
            return numbers.reshape(1, -1)
        return numbers[None] if self.order == "NCHW" else numbers.transpose(1, 2, 0)[None]


@dataclass(frozen=True, slots=True)
class Step:
    """A linear step: what it reads, each in which order of axes, and what it gives."""

    op: Op
    inputs: Sequence[tuple[Data, Order]]
    shape: MapShape
    order: Order


def refuse(reason: str, remedy: str = "") -> UnsupportedOperationError:
    """Make the error for an operation that has no linear form."""
    return UnsupportedOperationError(reason, hint=remedy)


def order_of(node: GraphNode) -> Order:
    """Return the order of axes that an operation says its data has."""
    order = node.attributes.get("data_format") or "NHWC"
    if order not in ("NHWC", "NCHW"):
        raise refuse(f"its data_format {order!r} is not known")
    return "NHWC" if order == "NHWC" else "NCHW"


def spatial(node: GraphNode, name: str, order: Order, default: Sequence[int] = (1, 1, 1, 1)) -> Pair:
    """Read an attribute with one number an axis; (row, col)."""
    values = node.attributes.get(name) or default
    if len(values) != 4:
        raise refuse(f"its {name} are {list(values)}; four are wanted")
    by_axis = dict(zip(order, (int(x) for x in values), strict=True))
    if by_axis["N"] != 1 or by_axis["C"] != 1:
        raise refuse(f"its {name} {list(values)} step over channels or images")
    pair = by_axis["H"], by_axis["W"]
    if not all(1 <= side < 2**20 for side in pair):
        raise refuse(f"its {name} are {list(values)}")
    return pair


def scope_of(name: str) -> str:
    """Return the scope that an operation's name puts it in."""
    return name.rpartition("/")[0]


def need_map(x: Any, order: Order) -> MapShape:
    """Return a map's shape (channel, row, col), its axes read in an order."""
    if not isinstance(x, Data) or x.shape is None:
        raise refuse("its first input is not the data")
    if len(x.shape) != 4:
        raise refuse(f"its input has {len(x.shape)} axes; a map of four is wanted")
    _, a, b, c = x.shape
    return (c, a, b) if order == "NHWC" else (a, b, c)


def per_channel(value: NDArray[Any], x: Data) -> NDArray[np.float64]:
    """Read a constant that meets data and is the same at every position, (channel,)."""
    if x.shape is None or len(x.shape) not in (2, 4):
        raise refuse(f"a constant meets data of the shape {x.shape}")
    rank = len(x.shape)
    if value.ndim > rank:
        raise refuse(f"a constant of shape {value.shape} meets data of the shape {x.shape}")
    own = value.reshape((1,) * (rank - value.ndim) + value.shape)
    if any(side not in (1, of) for side, of in zip(own.shape, x.shape, strict=True)):
        raise refuse(f"a constant of shape {value.shape} is spread over data of the shape {x.shape}")
    channel = x.order.index("C")
    for axis in range(rank):
        if axis != channel and own.shape[axis] != 1:
            if not (own == own.take([0], axis=axis)).all():
                raise refuse(
                    f"a constant of shape {value.shape} that differs by position is not expanded",
                    "A mean image is taken away from the input: begin behind it with --input-name.",
                )
            own = own.take([0], axis=axis)
    return np.broadcast_to(own.reshape(-1).astype(np.float64), (x.shape[channel],)).copy()


def moved_step(x: Data, order: Order, base: MapShape) -> tuple[Gather | Flatten | None, MapShape]:
    """Say which step leads from a base to moved entries of it, and to which shape; None where they are the same.

    Raises
    ------
    UnsupportedOperationError
        The entries are moved in a way that is no slice, padding, choice of channels or flattening.
    """
    if x.index is None and x.order == order:
        return None, base
    index = x.entries(base)
    if order == "NC":
        if index.ndim != 2:
            raise refuse(f"its input has {index.ndim} axes; a vector is wanted")
        moved = index.reshape(-1, 1, 1)
    else:
        if index.ndim != 4:
            raise refuse(f"its input has {index.ndim} axes; a map of four is wanted")
        moved = index[0] if order == "NCHW" else index[0].transpose(2, 0, 1)
    shape = (moved.shape[0], moved.shape[1], moved.shape[2])
    if shape == base and np.array_equal(moved.reshape(-1), np.arange(moved.size)):
        return None, base
    if shape[1:] == (1, 1) and base[1:] != (1, 1):
        if order != "NC" and shape[0] <= base[0]:
            # one cell of a map
            return as_gather(moved, base), shape
        return Flatten(np.ascontiguousarray(moved.reshape(-1))), shape
    return as_gather(np.ascontiguousarray(moved), base), shape
