"""Tracing with torch.fx: the modules that torch ships stay whole, everything else is followed into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx, nn

from importers.operation_graph import Call, Trace, attribute

__all__ = ["trace_with_fx"]


class _Tracer(fx.Tracer):
    """Keeps which calls were under way when a node was made, and what each returned."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.stack: list[Call] = []
        self.returned = 0
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
        call.place = self.returned = self.returned + 1
        return result

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        self.stacks[node] = tuple(self.stack)
        return node


def trace_with_fx(twin: nn.Module, module: nn.Module) -> Trace:
    """Trace a module with torch.fx.

    Parameters
    ----------
    twin
        A copy that is traced; it may have no values.
    module
        A copy with the weights' values.

    Raises
    ------
    Exception
        Whatever its forward raises when it is called with a proxy.
    """
    tracer = _Tracer()
    graph = tracer.trace(twin)
    constants = {}
    for node in graph.find_nodes(op="get_attr"):
        path = str(node.target)
        if "." not in path and not hasattr(module, path):
            constants[path] = attribute(tracer.root, path)
    return Trace(graph, module, "fx", tracer.calls, tracer.stacks, constants=constants)
