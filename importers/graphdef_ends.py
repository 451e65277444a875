"""Where the network in a frozen graph begins and ends: its input, with shape and order of axes, and its outputs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import numpy as np

from circuitgraph.errors import MappingError, ShapeError, TraceError
from importers.graphdef_file import GraphNode
from importers.graphdef_ops import HEADS
from importers.graphdef_steps import Order
from importers.linear_ops import MapShape

__all__ = ["find_input", "find_outputs"]

_SHOWN = 5
_MAX_SIDE = 2**16
_WITH_FORMAT = frozenset(
    {"Conv2D", "DepthwiseConv2dNative", "BiasAdd", "MaxPool", "MaxPoolV2", "AvgPool", "FusedBatchNorm",
     "FusedBatchNormV2", "FusedBatchNormV3"}
)  # fmt: skip
# a chain of these at the end says nothing of its own
_RESHAPING = frozenset({"Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "CheckNumerics"})


def find_input(
    nodes: Mapping[str, GraphNode], name: str | None, given: Sequence[int] | None
) -> tuple[str, MapShape, Order]:
    """Find the operation whose output is the network's input, its shape (channel, row, col) and order of axes.

    Raises
    ------
    MappingError
        There is no such operation, or several that may be meant.
    ShapeError
        The shape is not known, or not the one that the graph states.
    """
    users = _users(nodes)
    start = _placeholder(nodes, users) if name is None else _known(nodes, name, "input")
    stated = nodes[start].attributes.get("shape")
    if not isinstance(stated, tuple) or len(stated) != 4:
        stated = None
    hinted = _order_from_users(nodes, users, start)
    if given is None:
        order: Order = hinted
        sides = None if stated is None else _as_map(stated[1:], order)
        if sides is None or min(sides) < 1:
            raise ShapeError(
                f"reading a graph: the shape of its input {start!r} is not known.",
                hint="Give it as channels x rows x columns: --input 3x224x224",
            )
        return start, _checked(sides), order
    shape = _checked(tuple(int(side) for side in given))
    if stated is None:
        return start, shape, hinted
    fitting = [own for own in ("NHWC", "NCHW") if _fits(_as_map(stated[1:], own), shape)]
    if not fitting:
        raise ShapeError(
            f"reading a graph: its input {start!r} is {'x'.join(map(str, stated[1:]))}, which is no order of "
            f"{'x'.join(map(str, shape))} (channels x rows x columns).",
            hint="Give --input as the graph has it, channels first.",
        )
    if hinted in fitting:
        return start, shape, hinted
    return start, shape, "NHWC" if fitting[0] == "NHWC" else "NCHW"


def _checked(shape: tuple[int, ...]) -> MapShape:
    if len(shape) != 3 or not all(1 <= side <= _MAX_SIDE for side in shape):
        raise ShapeError(
            f"reading a graph: the input shape {'x'.join(map(str, shape))} has {len(shape)} sides; "
            f"3 from 1 to {_MAX_SIDE} are wanted.",
            hint="Give it as channels x rows x columns: --input 3x224x224",
        )
    return shape[0], shape[1], shape[2]


def _as_map(sides: Sequence[int], order: str) -> tuple[int, int, int]:
    a, b, c = sides
    return (c, a, b) if order == "NHWC" else (a, b, c)


def _fits(stated: Sequence[int], shape: Sequence[int]) -> bool:
    return all(own in (-1, side) for own, side in zip(stated, shape, strict=True))


def _known(nodes: Mapping[str, GraphNode], name: str, what: str) -> str:
    # a tensor is called as its operation and the number of the output
    own = name.removesuffix(":0")
    if own in nodes:
        return own
    dotted = [known for known in nodes if known.replace("/", ".") == own]
    if len(dotted) == 1:
        return dotted[0]
    close = difflib.get_close_matches(own, nodes, n=3, cutoff=0.5)
    said = f"; did you mean {' or '.join(close)}?" if close else "."
    raise MappingError(
        f"reading a graph: it has no operation called {name!r}, named as its {what}{said}",
        hint="An operation is called by its full name, as in conv2d0_pre_relu/conv.",
    )


def _placeholder(nodes: Mapping[str, GraphNode], users: Mapping[str, Sequence[str]]) -> str:
    found = [node for node in nodes.values() if node.op in ("Placeholder", "PlaceholderV2")]
    if not found:
        found = [node for node in nodes.values() if node.op == "PlaceholderWithDefault"]
    shapes = {node.name: node.attributes.get("shape") for node in found}
    maps = [name for name, shape in shapes.items() if shape is not None and len(shape) == 4]
    # TensorFlow 1 writes an unknown shape as one of no axes
    left = maps or [name for name, shape in shapes.items() if shape in (None, ())]
    if len(left) > 1:
        reached = {name: len(_reached(users, name)) for name in left}
        most = max(reached.values())
        left = [name for name in left if reached[name] == most]
    if len(left) == 1:
        return left[0]
    names = [node.name for node in found]
    some = ", ".join(names[:_SHOWN]) + (f", ... and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    raise MappingError(
        f"reading a graph: {f'any of {some} may be its input' if found else 'it has no placeholder for images'}.",
        hint="Name the operation whose output is the input of the network with --input-name.",
    )


def _users(nodes: Mapping[str, GraphNode]) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {name: [] for name in nodes}
    for node in nodes.values():
        for source in dict.fromkeys(source for source, _ in node.inputs):
            users[source].append(node.name)
    return users


def _reached(users: Mapping[str, Sequence[str]], start: str) -> set[str]:
    """Return what depends on an operation, itself too."""
    reached, stack = {start}, [start]
    while stack:
        for user in users[stack.pop()]:
            if user not in reached:
                reached.add(user)
                stack.append(user)
    return reached


def _order_from_users(nodes: Mapping[str, GraphNode], users: Mapping[str, Sequence[str]], start: str) -> Order:
    """Read the order of axes off the first operations that state one, or turn it."""
    seen, queue = {start}, [start]
    while queue:
        name = queue.pop(0)
        for user in users[name]:
            node = nodes[user]
            if node.op == "Transpose":
                turn = nodes[node.inputs[1][0]].attributes.get("value")
                if isinstance(turn, np.ndarray) and turn.shape == (4,):
                    return "NCHW" if [int(axis) for axis in turn] == [0, 2, 3, 1] else "NHWC"
            if node.op in _WITH_FORMAT:
                return "NCHW" if node.attributes.get("data_format") == "NCHW" else "NHWC"
            if user not in seen:
                seen.add(user)
                queue.append(user)
    return "NHWC"


def find_outputs(
    nodes: Mapping[str, GraphNode], start: str, given: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Find the operations at which the network ends.

    Returns
    -------
    names
        By default the end that is farthest from the input, without softmax and the like behind it.
    notes
        What was left out, in words.

    Raises
    ------
    MappingError
        There is no operation of a name that was given.
    TraceError
        Nothing depends on the input.
    """
    notes: list[str] = []
    users = _users(nodes)
    if given:
        ends = list(dict.fromkeys(_known(nodes, name, "output") for name in given))
    else:
        depth = _depths(nodes, users, start)
        last = [name for name in depth if not users[name] and name != start]
        if not last:
            raise TraceError(
                f"reading a graph: nothing in it depends on its input {start!r}.",
                hint="Name another with --input-name.",
            )
        far = max(depth[name] for name in last)
        ends = [name for name in last if depth[name] == far]
        aside = [name for name in last if depth[name] < far]
        if aside:
            some = ", ".join(aside[:_SHOWN]) + (f", ... and {len(aside) - _SHOWN} more" if len(aside) > _SHOWN else "")
            notes.append(f"ends nearer to the input are left out, and what only they need: {some}")
    kept = []
    for name in ends:
        own = name
        while (head := _head(nodes, own)) is not None:
            notes.append(f"the {nodes[head].op} at the output ({head}) is left out")
            own = nodes[head].inputs[0][0]
        kept.append(own)
    return tuple(dict.fromkeys(kept)), tuple(notes)


def _head(nodes: Mapping[str, GraphNode], name: str) -> str | None:
    """Return the softmax or the like that an end is, or that stands before it."""
    while nodes[name].op in _RESHAPING and nodes[name].inputs:
        name = nodes[name].inputs[0][0]
    return name if nodes[name].op in HEADS and nodes[name].inputs else None


def _depths(nodes: Mapping[str, GraphNode], users: Mapping[str, Sequence[str]], start: str) -> dict[str, int]:
    """For each operation that depends on the input, how many are on the longest way to it; a loop counts for none."""
    reached = _reached(users, start)
    left = {name: sum(source in reached for source in {s for s, _ in nodes[name].inputs}) for name in reached}
    left[start] = 0
    depth, ready = {start: 0}, [start]
    while ready:
        name = ready.pop()
        for user in users[name]:
            if user not in left or user == start:
                continue
            depth[user] = max(depth.get(user, 0), depth[name] + 1)
            left[user] -= 1
            if not left[user]:
                ready.append(user)
    return {name: steps for name, steps in depth.items() if not left[name]} or {start: 0}
