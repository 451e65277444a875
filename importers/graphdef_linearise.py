"""A frozen TensorFlow graph as a graph of linear steps.

The operations between the input and the output are walked once, with the shape that
each tensor has for a batch of one: "SAME" padding depends on it. What hangs on
constants alone is computed; what only moves entries is run on the entries' own
numbers and read off. Layers are called as the operations, a dot for each slash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import TraceError, UnsupportedOperationError
from importers.graphdef_constants import MOVES, compute, move, moved_place
from importers.graphdef_ends import find_input, find_outputs
from importers.graphdef_file import GraphNode
from importers.graphdef_ops import ACTIVATIONS, PASSING, POOLS, RULES
from importers.graphdef_steps import FED, RANDOM, Data, Order, Step, moved_step, refuse, scope_of
from importers.linear_ops import Input, LinearGraph, MapShape, Name, NameKind, Node, Op, Unsupported, needed_by

__all__ = ["LinearisedGraph", "linearise_graph"]

_RANDOM = frozenset({"RandomUniform", "RandomStandardNormal", "TruncatedNormal", "RandomUniformInt"})
_FED = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})
_VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp", "ReadVariableOp", "AutoReloadVariable"})
_SCALING = frozenset({"Mul", "RealDiv", "Div"})
# shapes go on after these even where they are refused
_BY_ENTRY = frozenset(
    {
        "Abs", "Erf", "Exp", "Log", "Maximum", "Minimum", "Mul", "Pow", "RealDiv", "Rsqrt", "Selu", "Sigmoid", "Sign",
        "Softmax", "LogSoftmax", "Softplus", "Softsign", "Sqrt", "Square", "SquaredDifference", "Sub", "Tanh", "LRN",
        "LeakyRelu", "Elu", "Add", "AddV2", "BiasAdd", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3",
    }
)  # fmt: skip
_LATER = "it comes after a step whose shape is not known"


class LinearisedGraph:
    """What `linearise_graph` gives.

    Parameters
    ----------
    graph
        The network as linear steps.
    constants
        The constants that its steps read, by name.
    input_shape
        (channel, row, col).
    input_name, output_names
        The operations that were taken as its input and outputs.
    """

    def __init__(
        self,
        graph: LinearGraph,
        constants: Mapping[str, NDArray[Any]],
        input_shape: MapShape,
        input_name: str,
        output_names: Sequence[str],
    ) -> None:
        self.graph = graph
        self.constants = constants
        self.input_shape = input_shape
        self.input_name = input_name
        self.output_names = tuple(output_names)


def linearise_graph(
    nodes: Mapping[str, GraphNode],
    *,
    input_shape: Sequence[int] | None = None,
    input_name: str | None = None,
    output_names: Sequence[str] = (),
) -> LinearisedGraph:
    """Write a frozen graph as linear steps.

    Parameters
    ----------
    nodes
        Its operations by name (`importers.graphdef_file.read_graphdef`).
    input_shape
        (channel, row, col), whatever the graph's order of axes; by default the one that the graph states.
    input_name
        The operation whose output is the network's input; by default its placeholder for images.
    output_names
        The operations at which the network ends; by default the one farthest from the input.

    Returns
    -------
    LinearisedGraph
        Steps with no linear form are in it as `Unsupported`: they are refused when weights across them are asked for.

    Raises
    ------
    MappingError
        A name is not in the graph, or it is not clear which operation is the input.
    ShapeError
        The shape of the input is not known, or is not that of the graph.
    TraceError
        The graph has a loop, or none of its ends depends on the input.
    """
    start, shape, order = find_input(nodes, input_name, input_shape)
    ends, notes = find_outputs(nodes, start, tuple(output_names))
    return _Walk(nodes, start, shape, order, notes).run(ends)


class _Walk:
    """Walks the operations in topological order and makes the nodes of the linear graph."""

    def __init__(
        self, nodes: Mapping[str, GraphNode], start: str, shape: MapShape, order: Order, notes: Iterable[str]
    ) -> None:
        self.graph = nodes
        self.start = start
        self.input_shape = shape
        self.notes = list(notes)
        channels, rows, cols = shape
        own = (1, rows, cols, channels) if order == "NHWC" else (1, channels, rows, cols)
        self.values: dict[str, list[Any]] = {start: [Data("input", own, order)]}
        self.nodes = {"input": Node("input", Input(), (), shape, "", "input")}
        self.constants: dict[str, NDArray[Any]] = {}
        self.names: dict[str, list[Name]] = {"input": []}
        self.paths: set[str] = set()

    def run(self, ends: Sequence[str]) -> LinearisedGraph:
        """Walk to the ends."""
        self._say(self.start, "input", "other")
        for name in _order(self.graph, ends, self.start):
            if name != self.start:
                self._visit(self.graph[name])
        outputs = [self._output(name) for name in ends]
        kept = needed_by(self.nodes, outputs)
        graph = LinearGraph(
            {name: node for name, node in self.nodes.items() if name in kept},
            tuple(dict.fromkeys(outputs)),
            {name: tuple(self.names.get(name, ())) for name in kept},
            tuple(self.notes),
        )
        return LinearisedGraph(graph, self.constants, self.input_shape, self.start, ends)

    def _visit(self, node: GraphNode) -> None:
        try:
            inputs = [self._value(source, place) for source, place in node.inputs]
        except UnsupportedOperationError as error:
            self.values[node.name] = [error]
            return
        failed = next((value for value in inputs if isinstance(value, UnsupportedOperationError)), None)
        data = [value for value in inputs if isinstance(value, Data)]
        try:
            if failed is not None:
                raise failed
            found = self._step(node, inputs) if data else self._constant(node, inputs)
        except UnsupportedOperationError as error:
            found = [self._refused(node, error, inputs)] if data else [error]
        if data and node.op in _SCALING and isinstance(found[0], Data) and found[0].unscaled is None:
            other = next((value for value in inputs if not isinstance(value, Data)), None)
            if other is FED or (isinstance(other, np.ndarray) and other.size == 1):
                found[0].unscaled = (data[0], scope_of(node.name))
        if data and node.op == "Sigmoid" and isinstance(found[0], Data):
            found[0].sigmoid_of = (data[0], node.name)
        self.values[node.name] = found
        for value in found:
            if isinstance(value, Data):
                self._name(node, value)

    def _value(self, source: str, place: int) -> Any:
        found = self.values[source]
        if place < len(found):
            return found[place]
        if isinstance(found[0], UnsupportedOperationError):
            return found[0]
        raise refuse(f"it reads output {place} of {source!r}, which is not made here")

    def _constant(self, node: GraphNode, inputs: Sequence[Any]) -> list[Any]:
        if node.op == "Const":
            value = node.attributes.get("value")
            if value is None:
                raise refuse(f"the constant {node.name!r} holds no numbers")
            if value.dtype.kind == "f":
                self.constants[node.name] = value
            return [value]
        if node.op in _FED:
            return [inputs[0] if inputs else FED]
        if node.op in _RANDOM:
            return [RANDOM]
        if node.op in _VARIABLES:
            raise refuse(
                f"{node.name!r} is a variable, whose values are in another file",
                "Freeze the graph, so that its weights are constants in it.",
            )
        for kind in (RANDOM, FED):
            if any(value is kind for value in inputs):
                return [kind]
        if not inputs:
            raise refuse(f"{node.op} {node.name!r} is not known here")
        return list(compute(node, inputs))

    def _step(self, node: GraphNode, inputs: Sequence[Any]) -> list[Any]:
        """Apply the rule of an operation that reads data."""
        data = [value for value in inputs if isinstance(value, Data)]
        if any(x.shape is None for x in data):
            raise refuse(_LATER)
        if node.op in ("Shape", "Size", "Rank"):
            shape = np.array(data[0].shape, dtype=np.int32)
            return [{"Shape": shape, "Size": np.prod(shape), "Rank": np.array(len(shape), dtype=np.int32)}[node.op]]
        if node.op in MOVES:
            return self._move(node, inputs)
        if node.op not in RULES:
            raise refuse(
                "it has no linear form here",
                "No option admits it; the operations that are expanded are in the documentation.",
            )
        try:
            found = RULES[node.op](node, *inputs)
        except TypeError as error:
            # the rule of an operation takes as many inputs as the operation has
            raise refuse(f"it has {len(inputs)} inputs: {error}") from error
        if isinstance(found, Data):
            return [found]
        steps = [self._settle(x, order, node) for x, order in found.inputs]
        return [self._emit(node, found, steps)]

    def _move(self, node: GraphNode, inputs: Sequence[Any]) -> list[Data]:
        place = moved_place(node)
        x = inputs[place]
        others = [value for at, value in enumerate(inputs) if at != place]
        if not isinstance(x, Data) or not all(isinstance(value, np.ndarray) for value in others):
            raise refuse("where it moves entries to is only known when the graph is run")
        if node.op == "PadV2" and np.any(inputs[2]):
            raise refuse(f"it pads with {np.asarray(inputs[2]).reshape(-1)[0]:g}", "Only zero padding is expanded.")
        entries = x.entries(self.nodes[x.base].shape)
        try:
            # zero stands for zero while it is moved
            moved = move(node, entries + 1, inputs)
        except (ValueError, IndexError, TypeError, OverflowError) as error:
            raise refuse(f"its constants do not fit the shape {x.shape}: {error}") from error
        found = []
        for part in moved:
            if part.ndim < 2 or part.shape[0] != 1 or 0 in part.shape:
                raise refuse(f"it gives the shape {part.shape}, in which the batch is mixed with other axes")
            order = _order_after(node, inputs, x.order, part.ndim)
            found.append(Data(x.base, part.shape, order, part - 1))
        return found

    def _settle(self, x: Data, order: Order, node: GraphNode) -> str:
        """Return the name of a tensor, making the step that moves its entries if there is one."""
        if order not in x.settled:
            op, shape = moved_step(x, order, self.nodes[x.base].shape)
            x.settled[order] = x.base if op is None else self._add(node, op, [x.base], shape)
        return x.settled[order]

    def _emit(self, node: GraphNode, step: Step, inputs: list[str]) -> Data:
        name = self._add(node, step.op, inputs, step.shape)
        channels, rows, cols = step.shape
        by_order: Mapping[Order, tuple[int, ...]] = {
            "NC": (1, channels),
            "NHWC": (1, rows, cols, channels),
            "NCHW": (1, channels, rows, cols),
        }
        return Data(name, by_order[step.order], step.order)

    def _add(self, node: GraphNode, op: Op, inputs: list[str], shape: MapShape) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes[name] = Node(name, op, tuple(inputs), shape, node.name, node.op)
        return name

    def _refused(self, node: GraphNode, error: UnsupportedOperationError, inputs: Sequence[Any]) -> Data:
        data = [value for value in inputs if isinstance(value, Data)]
        bases = list(dict.fromkeys(x.base for x in data))
        shape = _shape_by_entry(node, inputs)
        if shape is None:
            return Data(self._add(node, Unsupported(error.message, error.hint), bases, (1, 1, 1)), None, "NC")
        order = next((x.order for x in data if x.shape == shape), data[0].order)
        sides = dict(zip(order, shape, strict=True)) if len(shape) == len(order) else {}
        own = (sides.get("C", int(np.prod(shape))), sides.get("H", 1), sides.get("W", 1))
        name = self._add(node, Unsupported(error.message, error.hint), bases, own)
        return Data(name, shape, order) if sides else Data(name, None, order)

    def _name(self, node: GraphNode, value: Data) -> None:
        base = self.nodes[value.base]
        is_own = base.where == node.name
        if value.index is not None:
            name = next((value.settled[order] for order in value.settled if value.settled[order] != value.base), None)
            if name is None and not _is_whole(value, base):
                return
            self._say(node.name, name or value.base, "other")
            return
        kind: NameKind = "other"
        if is_own and node.op in ACTIVATIONS:
            kind = "activation"
        elif is_own and node.op in POOLS:
            kind = "pool"
        elif is_own and node.op not in PASSING:
            kind = "module"
        self._say(node.name, value.base, kind)

    def _say(self, name: str, tensor: str, kind: NameKind) -> None:
        path = re.sub(r"[^A-Za-z0-9_.\-]", "_", name.replace("/", ".")).strip(".-") or "op"
        own, place = path, 1
        while own in self.paths:
            place += 1
            own = f"{path}-{place}"
        self.paths.add(own)
        self.names.setdefault(tensor, []).append(Name(own, kind))

    def _output(self, name: str) -> str:
        value = self.values[name][0]
        if isinstance(value, UnsupportedOperationError):
            raise refuse(f"reading a graph: {self.graph[name].op} {name!r}: {value.message}", value.hint)
        if not isinstance(value, Data):
            raise TraceError(
                f"reading a graph: its output {name!r} does not depend on its input {self.start!r}.",
                hint="Name another with --output-name.",
            )
        base = self.nodes[value.base]
        # a flattened map as the output is the map itself
        if value.shape is None or _is_whole(value, base):
            return value.base
        order: Order = "NC" if len(value.shape) == 2 else "NHWC" if value.order == "NC" else value.order
        try:
            return self._settle(value, order, self.graph[name])
        except UnsupportedOperationError as error:
            unsupported = Unsupported(error.message, error.hint)
            return self._add(self.graph[name], unsupported, [value.base], (1, 1, 1))


def _is_whole(x: Data, base: Node) -> bool:
    """Whether data holds each entry of its base once."""
    if x.index is None:
        return True
    flat = x.index.reshape(-1)
    return flat.size == int(np.prod(base.shape)) and np.array_equal(np.sort(flat), np.arange(flat.size))


def _order_after(node: GraphNode, inputs: Sequence[Any], order: Order, rank: int) -> Order:
    """Say in which order the axes are after a move."""
    if rank == 2:
        return "NC"
    if node.op == "Transpose" and rank == 4:
        turn = [int(axis) for axis in inputs[1]]
        if turn == [0, 3, 1, 2] and order == "NHWC":
            return "NCHW"
        if turn == [0, 2, 3, 1] and order == "NCHW":
            return "NHWC"
    # a vector made a map again has its channels last unless a later operation says otherwise
    return "NHWC" if order == "NC" and rank == 4 else order


def _shape_by_entry(node: GraphNode, inputs: Sequence[Any]) -> tuple[int, ...] | None:
    if node.op not in _BY_ENTRY:
        return None
    shapes = [value.shape for value in inputs if isinstance(value, (Data, np.ndarray))]
    if node.op.startswith(("FusedBatchNorm", "BiasAdd")):
        shapes = shapes[:1]
    known = [shape for shape in shapes if shape is not None]
    try:
        return np.broadcast_shapes(*known) if len(known) == len(shapes) else None
    except ValueError:
        return None


def _order(nodes: Mapping[str, GraphNode], ends: Sequence[str], start: str) -> list[str]:
    """Put the operations that the ends need in topological order; nothing before the input is needed."""
    done: dict[str, bool] = {}
    found: list[str] = []
    for end in ends:
        stack: list[tuple[str, int]] = [(end, 0)]
        while stack:
            name, place = stack.pop()
            if place == 0:
                if name in done:
                    if not done[name]:
                        raise TraceError(
                            f"reading a graph: {nodes[name].op} {name!r} is part of a loop.",
                            hint="Only networks that are run through once are expanded.",
                        )
                    continue
                done[name] = False
            sources = () if name == start else nodes[name].inputs
            if place < len(sources):
                stack.append((name, place + 1))
                if not done.get(sources[place][0], False):
                    stack.append((sources[place][0], 0))
            else:
                done[name] = True
                found.append(name)
    return found
