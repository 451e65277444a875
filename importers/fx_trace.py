"""A module's operations, one by one, as torch.fx traces them, with what each gave at one input shape.

The module is traced as a copy that shares nothing but the weights, in eval mode and
without hooks; the caller's stays as it was.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn

from circuitgraph.errors import TraceError
from importers.linear_ops import MapShape

__all__ = ["Call", "Trace", "attribute", "runnable", "trace_module"]


@dataclass(eq=False)
class Call:
    """One call of a module while it is traced."""

    path: str
    module: nn.Module
    result: Any = None


@dataclass
class Trace:
    """What tracing found: the operations, the calls they were made in and what they gave.

    `results` holds tensors (for their shapes) and everything else as it is.
    """

    graph: fx.Graph
    root: nn.Module
    calls: list[Call] = field(default_factory=list)
    stacks: dict[fx.Node, tuple[Call, ...]] = field(default_factory=dict)
    results: dict[fx.Node, Any] = field(default_factory=dict)


def trace_module(module: nn.Module, input_shape: MapShape) -> Trace:
    """Trace a module.

    Raises
    ------
    TraceError
        It cannot be traced, or does not run on that shape.
    """
    try:
        return _trace_once(module, input_shape, on_meta=True)
    except Exception:
        # a forward that reads a weight's value, or mixes in tensors of its own, needs the real ones
        return _trace_real(module, input_shape)


def attribute(root: nn.Module, path: str) -> Any:
    """Look up ``layer1.0.weight`` in a module."""
    value: Any = root
    for part in path.split("."):
        value = getattr(value, part)
    return value


def runnable(module: nn.Module, trace: Trace) -> fx.GraphModule:
    """Return the operations of a trace with the module's weights, ready to be run on data."""
    twin = _stand_in(module, on_meta=False)
    for node in trace.graph.find_nodes(op="get_attr"):
        # a constant that only tracing made
        path = str(node.target)
        if "." not in path and not hasattr(twin, path):
            setattr(twin, path, attribute(trace.root, path))
    return fx.GraphModule(twin, trace.graph)


class _Tracer(fx.Tracer):
    """Keeps which calls were under way when a node was made, and what each returned."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.stack: list[Call] = []
        self.stacks: dict[fx.Node, tuple[Call, ...]] = {}

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = Call(self.path_of_module(m), m)
        self.calls.append(call)
        self.stack.append(call)
        result = super().call_module(m, forward, args, kwargs)
        self.stack.pop()
        call.result = result.node if isinstance(result, fx.Proxy) else None
        return result

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        self.stacks[node] = tuple(self.stack)
        return node


class _Recorder(fx.Interpreter):
    """Runs a traced graph and keeps what each node gave: shapes of tensors, values of everything else."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.results: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.results[n] = super().run_node(n)
        return self.results[n]


def _stand_in(module: nn.Module, *, on_meta: bool) -> nn.Module:
    """Copy a module without its weights' values ("meta"), or sharing them."""
    memo: dict[int, Any] = {}
    for tensor in [*module.parameters(), *module.buffers()]:
        own = tensor
        if on_meta:
            empty = torch.empty_like(tensor, device="meta")
            own = nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty
        memo[id(tensor)] = own
    twin = copy.deepcopy(module, memo).eval()
    for part in twin.modules():
        for hooks in (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks):
            hooks.clear()
    return twin


def _trace_real(module: nn.Module, input_shape: MapShape) -> Trace:
    try:
        return _trace_once(module, input_shape, on_meta=False)
    except Exception as error:
        name = type(module).__name__
        fact = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise TraceError(
            f"tracing {name} with an input of {'x'.join(map(str, input_shape))}: {fact}",
            hint="Its forward must take one tensor and not branch on values, and the --input shape must fit; "
            "try it with torch.fx.symbolic_trace(module).",
        ) from error


def _trace_once(module: nn.Module, input_shape: MapShape, *, on_meta: bool) -> Trace:
    twin = _stand_in(module, on_meta=on_meta)
    tracer = _Tracer()
    graph = tracer.trace(twin)
    recorder = _Recorder(fx.GraphModule(tracer.root, graph))
    parameter = next(twin.parameters(), None)
    dtype = parameter.dtype if parameter is not None else torch.float32
    device = "meta" if on_meta else parameter.device if parameter is not None else "cpu"
    with torch.no_grad():
        recorder.run(torch.zeros((1, *input_shape), dtype=dtype, device=device))
    return Trace(graph, tracer.root, tracer.calls, tracer.stacks, recorder.results)
