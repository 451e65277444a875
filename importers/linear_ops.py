"""A network as linear steps: what front ends make and the algebra of expansion consumes.

A front end (`importers.linearise` for torch modules) turns its network into a
`LinearGraph`. Every tensor is a map ``(channel, row, col)``; a vector of n numbers
is ``(n, 1, 1)``. Nothing here knows any framework: parameters are numpy arrays.

A new step is a new class here and one rule in `importers.expand`; a new front end
only has to make these nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NOTHING_ADMITS_IT",
    "Activation",
    "Add",
    "ChannelNorm",
    "Concat",
    "Conv",
    "Flatten",
    "Gate",
    "Gather",
    "GlobalPool",
    "Input",
    "LinearGraph",
    "LocalResponseNorm",
    "MapShape",
    "Name",
    "NameKind",
    "Node",
    "Op",
    "Pool",
    "Scale",
    "Unsupported",
    "needed_by",
    "without_head",
]

NOTHING_ADMITS_IT = "No option admits it; --skip-refused (Python: skip_refused=True) imports the other layers."
"""The remedy for a step that has none of its own."""

_HEADS = frozenset({"softmax", "log_softmax", "sigmoid", "Softmax", "LogSoftmax", "Sigmoid"})

Pair = tuple[int, int]
MapShape = tuple[int, int, int]
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Input:
    """The network's input."""


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution (cross-correlation, row 0 at the top); a linear layer on a vector is one of 1x1.

    `weight` is (down, up / groups, row, col); `pad` counts the zero cells in front, (row, col).
    Cells behind the map change border positions only and are not kept.
    """

    weight: Floats
    bias: Floats | None
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1


@dataclass(frozen=True, slots=True)
class Scale:
    """``gain * x + shift`` channel by channel, (channel,) each: batch norm in use, arithmetic with constants."""

    gain: NDArray[np.float64]
    shift: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool over a sliding window.

    `is_max` pools are not linear: they are taken as `importers.expand` is told. `gain` is the weight of one
    cell of an average pool.
    """

    window: Pair
    stride: Pair
    pad: Pair
    is_max: bool
    gain: float = 0.0


@dataclass(frozen=True, slots=True)
class GlobalPool:
    """The mean over all positions."""


@dataclass(frozen=True, slots=True)
class Add:
    """The sum of all inputs."""


@dataclass(frozen=True, slots=True)
class Concat:
    """The inputs' channels one after the other."""


@dataclass(frozen=True, slots=True)
class Gather:
    """Channels picked from one map, -1 for a channel of zeros: ``out[c, p] = in[channels[c], stride * p + shift]``.

    Slices, chunks, shuffles, padding and permutations come to this.
    """

    channels: NDArray[np.int64]
    stride: Pair = (1, 1)
    shift: Pair = (0, 0)


@dataclass(frozen=True, slots=True)
class Flatten:
    """A map laid out as a vector: entry f is the map's flat ``(channel, row, col)`` entry ``order[f]``, -1 for zero."""

    order: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Activation:
    """A nonlinearity that is ignored.

    ReLU is, as the definition of expanded weights says. `option` names the choice of
    `importers.linearisation.Linearisation` that any other needs ("smooth", "leaky"); then `kind` is its name in the
    record of approximations (``gelu``).
    """

    approximations: tuple[str, ...] = ()
    option: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """The input times a gate in (0, 1) that is computed from the map itself (squeeze-and-excitation).

    Only the gated map is an input of the node: the gate's branch is not walked. `path` is the gate's module path,
    by which a constant for it may be given.
    """

    path: str


@dataclass(frozen=True, slots=True)
class ChannelNorm:
    """LayerNorm over channels: ``gain * (x - mean over channels) / deviation + shift``, (channel,) each.

    Taking the mean away is linear; 1 / deviation is a constant that must be chosen.
    """

    gain: NDArray[np.float64]
    shift: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LocalResponseNorm:
    """The input over a power of what its neighbour channels do; a constant factor must be chosen for it."""


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A step with no linear form here; it is refused when the weights on its path are asked for.

    `is_attention` marks what makes a network another kind of network: it is named before any other step that is
    refused on the same way.
    """

    reason: str
    remedy: str = ""
    is_attention: bool = False


Op = (
    Input
    | Conv
    | Scale
    | Pool
    | GlobalPool
    | Add
    | Concat
    | Gather
    | Flatten
    | Activation
    | Gate
    | ChannelNorm
    | LocalResponseNorm
    | Unsupported
)


@dataclass(frozen=True, slots=True)
class Node:
    """One tensor.

    `where` is the module path it was made in or by (``layer1.0.conv1``), `what` the module's class or the
    function's name; both are for messages. `shape` is for an input of the shape the front end was given.
    `approximations` are recorded on every edge that it lies under (`importers.linearisation.taken_as`).
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    shape: MapShape
    where: str
    what: str
    approximations: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.what} at {self.where!r}" if self.where else self.what


NameKind = str
"""How a name stands to its tensor: "module" (with a forward of its own, in which the tensor was made), "activation",
"pool", "function", or "other" (a container, a module that passes the tensor on)."""


@dataclass(frozen=True, slots=True)
class Name:
    """A path by which users may call a tensor, the innermost first."""

    path: str
    kind: NameKind


def without_head(nodes: Mapping[str, Node], name: str, notes: list[str]) -> str:
    """Return the tensor that a softmax or the like at the output is made from, and note that; else the output."""
    node = nodes[name]
    if isinstance(node.op, Unsupported) and node.what in _HEADS and len(node.inputs) == 1:
        notes.append(f"the {node.what} at the output is left out")
        return node.inputs[0]
    return name


def needed_by(nodes: Mapping[str, Node], outputs: Iterable[str]) -> set[str]:
    """Return the names of the input, of `outputs`, and of all tensors that they are made from."""
    stack = list(outputs)
    needed = {"input", *stack}
    while stack:
        for source in nodes[stack.pop()].inputs:
            if source not in needed:
                needed.add(source)
                stack.append(source)
    return needed


@dataclass(frozen=True)
class LinearGraph:
    """A network's tensors in topological order, the input first.

    Parameters
    ----------
    nodes
        By name, in topological order; only those that the outputs need.
    outputs
        Names of the tensors that the network returns.
    names
        For each tensor every path that names it.
    notes
        What the front end left out, in words.
    """

    nodes: Mapping[str, Node]
    outputs: tuple[str, ...]
    names: Mapping[str, tuple[Name, ...]]
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def users(self) -> Mapping[str, tuple[str, ...]]:
        """For each tensor the names of those made from it."""
        users: dict[str, list[str]] = {name: [] for name in self.nodes}
        for node in self.nodes.values():
            for source in dict.fromkeys(node.inputs):
                users[source].append(node.name)
        return {name: tuple(found) for name, found in users.items()}

    @cached_property
    def order(self) -> Mapping[str, int]:
        """For each tensor its place in topological order."""
        return {name: place for place, name in enumerate(self.nodes)}
