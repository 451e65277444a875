"""What rules for ONNX operations are made of: data as it is followed, calls of operations, steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from circuitgraph.errors import UnsupportedOperationError
from importers.linear_ops import Node, Op
from importers.onnx_file import Constant, Unread

__all__ = ["NO_OPTION", "Call", "Data", "Step", "pointwise", "refuse"]

NO_OPTION = "No option admits it; --skip-refused (Python: skip_refused=True) imports the other layers."
"""The remedy of what has none."""


@dataclass(slots=True, eq=False)
class Data:
    """A tensor that depends on the input.

    `base` names a tensor of the graph of linear steps; `index`, if any, says for each entry which flat entry of
    `base` it is, -1 for zero. `shape` is without the batch axis. `maker` is the operation that made it.
    """

    base: str
    shape: tuple[int, ...]
    index: NDArray[np.int64] | None = None
    maker: Call | None = None
    settled: str | None = None
    steps: Mapping[str, Node] = field(default_factory=dict, repr=False)

    @property
    def base_shape(self) -> tuple[int, int, int]:
        """(channel, row, col) of `base`."""
        return self.steps[self.base].shape

    @property
    def is_channels_last(self) -> bool:
        """Whether this is the whole of a map with its channels moved to the last axis."""
        shape = self.base_shape
        if self.index is None or len(self.shape) < 2 or self.shape[-1] != shape[0] or self.index.size != np.prod(shape):
            return False
        moved = self.index.reshape(-1, shape[0])
        return bool(np.array_equal(moved.T.ravel(), np.arange(moved.size)))

    def whole(self) -> Data:
        """Return the map that this has the entries of, as it is in the graph."""
        return Data(self.base, self.base_shape, steps=self.steps)


@dataclass(frozen=True, slots=True)
class Step:
    """A linear step and what it reads: data, or another step of the same shape.

    Where `like` is given, the step is taken on the whole maps behind the data, and its result has the channels where
    `like` has them. `gate` is the other factor of a `Gate`.
    """

    op: Op
    inputs: Sequence[Data | Step]
    like: Data | None = None
    gate: Data | None = None


@dataclass(slots=True, eq=False)
class Call:
    """One operation of the file, its place among them, and what it is called with, None for what is left out."""

    node: NodeProto
    place: int
    inputs: Sequence[Data | Constant | None]
    attributes: Mapping[str, Any]
    opset: int

    @property
    def op_type(self) -> str:
        """The name of the operation."""
        return str(self.node.op_type)

    def has(self, place: int) -> bool:
        """Whether there is an input at this place."""
        return place < len(self.inputs) and self.inputs[place] is not None

    def data(self, place: int = 0) -> Data:
        """Return an input that must depend on the network's input."""
        value = self.inputs[place] if self.has(place) else None
        if not isinstance(value, Data):
            raise refuse("it is called with something that is not the data")
        return value

    def map(self, place: int = 0) -> Data:
        """Return an input that must be a map."""
        x = self.data(place)
        if len(x.shape) != 3:
            raise refuse(
                f"its input has the shape {x.shape} without the batch; (channel, row, col) is wanted",
                "Only maps with rows and columns are expanded, not sequences or volumes.",
            )
        return x

    def constant(self, place: int, what: str) -> NDArray[Any]:
        """Return an input that must not depend on the network's input."""
        value = self.inputs[place] if self.has(place) else None
        if isinstance(value, Unread):
            raise refuse(f"its {what} cannot be had: {value.reason}", NO_OPTION)
        if isinstance(value, Data):
            raise refuse(f"its {what} depends on the input", NO_OPTION)
        if value is None:
            raise refuse(f"it has no {what}")
        return value

    def optional(self, place: int, what: str) -> NDArray[Any] | None:
        """Return a constant input, None where it is left out."""
        return self.constant(place, what) if self.has(place) else None

    def one(self, place: int, what: str) -> float | None:
        """Return a single number that is a constant input, None where it is left out."""
        value = self.optional(place, what)
        if value is None:
            return None
        if value.size != 1:
            raise refuse(f"its {what} is {value.size} numbers; 1 is wanted")
        return float(value.reshape(-1)[0])

    def ints(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        """Return an attribute that is a list of whole numbers."""
        return tuple(int(value) for value in self.attributes.get(name, default))


def refuse(reason: str, remedy: str = "") -> UnsupportedOperationError:
    """Make the error for an operation that has no linear form."""
    return UnsupportedOperationError(reason, hint=remedy)


def pointwise(op: Op, x: Data) -> Step:
    """Make a step that treats all positions alike, wherever the file has the channels."""
    return Step(op, [x.whole()], like=x) if x.is_channels_last else Step(op, [x])
