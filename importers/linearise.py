"""A torch module as a graph of linear steps.

`importers.tracing` finds its operations, `importers.torch_ops` has the rule for each, `importers.index_replay`
reads off those that only move entries, and `importers.tensor_names` says what users call the tensors.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch._ops import OpOverload
from torch.nn.utils.parametrize import type_before_parametrizations

from circuitgraph.errors import TraceError, UnsupportedOperationError
from importers import torch_ops as ops
from importers.aten_ops import carry_over
from importers.in_place import is_in_place, other_views, writes_on_constants
from importers.index_replay import is_whole, map_shape, moved_step, replay, traced_in
from importers.linear_ops import Gate, Input, LinearGraph, MapShape, Node, Op, Unsupported, needed_by, without_head
from importers.module_twin import make_twin
from importers.operation_graph import Trace, attribute
from importers.tensor_names import function_name, tensor_names
from importers.torch_nonlinear import SQUASHED
from importers.torch_ops import Step, Traced
from importers.torch_refusals import reason_for_module
from importers.torch_steps import NOTHING_ADMITS_IT, need_data
from importers.tracing import Tracer, trace_module

__all__ = ["GateSource", "LinearTrace", "linearise", "linearise_traced"]

_READERS = {"item", "tolist", "equal", "allclose", "is_nonzero", "_local_scalar_dense", "numpy"}


def linearise(module: nn.Module, input_shape: MapShape, *, tracer: Tracer = "auto") -> LinearGraph:
    """Write a module as linear steps.

    Parameters
    ----------
    module
        Takes one batch of maps; it is not changed.
    input_shape
        (channel, row, col). Adaptive pools and flattening depend on it, kernels in general do not.
    tracer
        "fx", "export" (then all that depends on sizes is fixed at that shape), or "auto": the first that traces it.

    Returns
    -------
    LinearGraph
        Steps with no linear form are in it as `Unsupported`: they are refused when weights across them are asked for.

    Raises
    ------
    TraceError
        The module cannot be traced, or does not run on that shape.
    WeightsError
        It has no weights that could be expanded.
    """
    return linearise_traced(module, input_shape, tracer=tracer).graph


@dataclass(frozen=True, slots=True)
class LinearTrace:
    """A module as linear steps, and the operations that they were read from, so that these can be run.

    `made` says which tensor of `graph` each operation gives, or what part of it; `gates` by its path which operation
    gives a gate.
    """

    graph: LinearGraph
    trace: Trace
    made: Mapping[fx.Node, Traced]
    gates: Mapping[str, GateSource]


@dataclass(frozen=True, slots=True)
class GateSource:
    """The operation that gives a gate, and whether its channels are on the last axis."""

    node: fx.Node
    channels_last: bool


def linearise_traced(module: nn.Module, input_shape: MapShape, *, tracer: Tracer = "auto") -> LinearTrace:
    """Write a module as linear steps, as `linearise` does, and keep what they were read from."""
    trace = trace_module(module, input_shape, tracer=tracer)
    builder = _Builder(trace, input_shape)
    # constants are computed as the forward does, which may draw some
    with torch.random.fork_rng(devices=[]):
        return LinearTrace(builder.build(), trace, builder.made, builder.gates)


class _Builder:
    """Walks a traced graph once and makes the nodes of the linear one."""

    def __init__(self, trace: Trace, input_shape: MapShape) -> None:
        # a forward that writes over its weights is followed on a copy of them
        self.module = make_twin(trace.module, own_values=True) if writes_on_constants(trace.graph) else trace.module
        self.trace = trace
        self.input_shape = input_shape
        self.nodes: dict[str, Node] = {}
        self.creator: dict[str, fx.Node] = {}
        self.values: dict[fx.Node, Any] = {}
        self.made: dict[fx.Node, Traced] = {}
        self.notes: list[str] = list(trace.notes)
        self.gates: dict[str, GateSource] = {}

    def build(self) -> LinearGraph:
        """Make the graph."""
        outputs: list[str] = []
        with torch.no_grad():
            for node in self.trace.graph.nodes:
                if node.op == "output":
                    outputs = self._outputs(node)
                    continue
                self._visit(node)
        outputs = [without_head(self.nodes, name, self.notes) for name in outputs]
        kept = needed_by(self.nodes, outputs)
        names = tensor_names(self.trace, nodes=self.nodes, kept=kept, made=self.made, creator=self.creator)
        nodes = {name: node for name, node in self.nodes.items() if name in kept}
        return LinearGraph(nodes, tuple(dict.fromkeys(outputs)), names, tuple(self.notes))

    def _visit(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            self._placeholder(node)
            return
        if node.op == "get_attr":
            self.values[node] = attribute(self.module, str(node.target))
            return
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: self.values[n])
        result = self.trace.results[node]
        if not traced_in((args, kwargs)):
            self.values[node] = self._constant(node, args, kwargs)
        elif not _is_tensor(result) and not _reads_values(node):
            # a size or another fact about the data
            self.values[node] = result
        else:
            self._data(node, args, kwargs)

    def _placeholder(self, node: fx.Node) -> None:
        if "input" not in self.nodes:
            self.nodes["input"] = Node("input", Input(), (), self.input_shape, "", "input")
            self.creator["input"] = node
            self.values[node] = self.made[node] = Traced("input", self.input_shape, steps=self.nodes)
        elif node.args:
            self.values[node] = node.args[0]
        else:
            raise TraceError(
                f"tracing {type(self.module).__name__}: its forward takes a second input, {node.target!r}.",
                hint="Wrap it in a module whose forward takes one batch of maps.",
            )

    def _constant(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        if node.op == "call_function":
            return node.target(*args, **kwargs)  # type: ignore[operator]
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        return attribute(self.module, str(node.target))(*args, **kwargs)

    def _data(self, node: fx.Node, args: Any, kwargs: Any) -> None:
        module = attribute(self.module, str(node.target)) if node.op == "call_module" else None
        # an in-place step on constants is no business of ours, one on data is seen by later readers
        try:
            value = self._rule(node, module, args, kwargs)
            if isinstance(value, Step):
                value = self._carry_out(value, node)
        except UnsupportedOperationError as error:
            inputs = [x.base for x in traced_in((args, kwargs))]
            value = self._emit(node, Unsupported(error.message, error.hint), inputs)
        self.values[node] = value
        if isinstance(value, Traced):
            self.made[node] = value
        if is_in_place(node, module) and node.args and isinstance(node.args[0], fx.Node):
            self._overwrite(node.args[0], node, value)

    def _overwrite(self, written: fx.Node, by: fx.Node, value: Any) -> None:
        """Let a step in place be seen by all that is read after it."""
        views = list(other_views(written, by, values=self.values, results=self.trace.results))
        for other, is_same in views:
            if other is by:
                continue
            if is_same:
                self.values[other] = value
                continue
            reason = f"it is read after {self._what(by)} at {self._where(by)!r} wrote in place over a part of it"
            remedy = f"{NOTHING_ADMITS_IT} Or write the step in the forward without 'inplace'."
            inputs = [x.base for x in traced_in(self.values[other])]
            self.values[other] = self._emit(other, Unsupported(reason, remedy), inputs)
        self.values[written] = value

    def _rule(self, node: fx.Node, module: nn.Module | None, args: Any, kwargs: Any) -> Any:
        """Find and apply what the operation is."""
        if module is not None:
            kind = type_before_parametrizations(module)
            if kind in ops.REPLAYED_MODULES:
                return replay(lambda *a, **k: ops.REPLAYED_MODULES[kind](module, *a, **k), args, kwargs)
            rule = ops.MODULES.get(kind) or reason_for_module(kind)
            if rule is not None:
                return rule(module, *args, **kwargs)
        elif node.op == "call_method":
            name = str(node.target).rstrip("_")
            if name in ops.REPLAYED_METHODS:
                # an index has other strides than the data, so a view of it may need a copy
                own = "reshape" if name == "view" else name
                return replay(lambda x, *a, **k: getattr(x, own)(*a, **k), args, kwargs)
            if name in ops.METHODS:
                return ops.METHODS[name](*args, **kwargs)
        elif node.target is operator.getitem and isinstance(args[0], (tuple, list)):
            return args[0][args[1]]
        elif isinstance(node.target, OpOverload):
            return carry_over(node.target, args, kwargs)
        elif node.target in ops.REPLAYED_FUNCTIONS:
            return replay(ops.REPLAYED_FUNCTIONS[node.target], args, kwargs)
        elif node.target in ops.FUNCTIONS:
            return ops.FUNCTIONS[node.target](*args, **kwargs)
        elif getattr(node.target, "__name__", "") in ops.NAMED_FUNCTIONS:
            return ops.NAMED_FUNCTIONS[node.target.__name__](*args, **kwargs)  # type: ignore[union-attr]
        raise UnsupportedOperationError("it has no linear form here", hint=NOTHING_ADMITS_IT)

    def _carry_out(self, step: Step, node: fx.Node) -> Traced:
        if isinstance(step.op, Unsupported) and not self._may_be_gate(step):
            return self._emit(node, step.op, [x.base for x in traced_in(step.inputs)])
        op = step.op
        if isinstance(op, Gate):
            path = self._where(node) or "mul"
            count = sum(other.partition("#")[0] == path for other in self.gates)
            op = Gate(f"{path}#{count}" if count else path)
            source = next(n for n in node.all_input_nodes if self.values[n] is step.gate)
            self.gates[op.path] = GateSource(source, step.channels_last)
        inputs = [self._settle(x, node) for x in step.inputs]
        if not step.channels_last:
            return self._emit(node, op, inputs)
        rows, cols, channels = tuple(self.trace.results[node].shape[1:])
        made = self._add(node, op, inputs, (channels, rows, cols), (rows, cols, channels))
        made.index = torch.arange(rows * cols * channels).reshape(channels, rows, cols).permute(1, 2, 0)
        return made

    def _may_be_gate(self, step: Step) -> bool:
        """Whether it is a sigmoid of a map or vector: what it was taken of must be known by its own name."""
        found = traced_in(step.inputs)
        if step.op is not SQUASHED or len(found) != 1:
            return False
        is_vector = len(found[0].shape) == 1 and self.nodes[found[0].base].shape[1:] == (1, 1)
        return is_vector or len(found[0].shape) == 3

    def _emit(self, node: fx.Node, op: Op, inputs: list[str]) -> Traced:
        result = self.trace.results[node]
        shape = tuple(result.shape[1:]) if isinstance(result, torch.Tensor) else ()
        if len(shape) not in (1, 3):
            refused = (
                op if isinstance(op, Unsupported) else Unsupported(f"it gives the shape {shape} without the batch")
            )
            return self._add(node, refused, inputs, (max(1, int(np.prod(shape))), 1, 1), shape)
        return self._add(node, op, inputs, map_shape(shape), shape)

    def _add(self, node: fx.Node, op: Op, inputs: list[str], shape: MapShape, torch_shape: tuple[int, ...]) -> Traced:
        name = f"t{len(self.nodes)}"
        self.nodes[name] = Node(name, op, tuple(inputs), shape, self._where(node), self._what(node))
        self.creator[name] = node
        return Traced(name, torch_shape, steps=self.nodes)

    def _where(self, node: fx.Node) -> str:
        path = ".".join(call.path for call in self.trace.stacks[node][-1:])
        return str(node.target) if node.op == "call_module" else path

    def _what(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return type(attribute(self.module, str(node.target))).__name__
        return function_name(node)

    def _settle(self, x: Traced | Step, node: fx.Node) -> str:
        """Return the name of a tensor, making the step that moves its entries if there is one."""
        if isinstance(x, Step):
            return self._carry_out(x, node).base
        x = need_data(x)
        if x.index is None:
            return x.base
        if x.settled is None:
            base = self.nodes[x.base]
            op = moved_step(x, base)
            if op is None:
                x.settled = x.base
            else:
                maker = next((n for n, value in self.made.items() if value is x), node)
                x.settled = self._add(maker, op, [x.base], map_shape(x.shape), x.shape).base
        return x.settled

    def _outputs(self, node: fx.Node) -> list[str]:
        found = traced_in(fx.node.map_arg(node.args, lambda n: self.values[n]))
        if not found:
            raise TraceError(f"tracing {type(self.module).__name__}: its output does not depend on its input.")
        # a flattened map as the output is the map itself
        return [
            x.base if len(x.shape) == 1 and is_whole(x, self.nodes[x.base]) else self._settle(x, node) for x in found
        ]


def _reads_values(node: fx.Node) -> bool:
    """Whether an operation makes a number, a truth or a list of the values of the data."""
    name = function_name(node)
    return name in _READERS or getattr(node.target, "__name__", "") in ("bool", "float", "int")


def _is_tensor(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(_is_tensor(part) for part in value)
    return isinstance(value, torch.Tensor)
