"""A traced module: its operations one by one, the calls they were made in, and what each gave at one input shape."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import fx, nn

from importers.linear_ops import MapShape
from importers.module_twin import make_twin

__all__ = ["Call", "FrontEnd", "Trace", "attribute", "example_input", "recorded", "runnable", "with_constants"]

FrontEnd = Literal["fx", "export"]


@dataclass(eq=False)
class Call:
    """One call of a module while it is traced, and the node of what it returned where that is one tensor.

    `place` orders calls by when they returned.
    """

    path: str
    module: nn.Module
    result: Any = None
    place: int = 0


@dataclass
class Trace:
    """What tracing found.

    Parameters
    ----------
    graph
        The operations. Placeholders are inputs; weights are attributes of the module.
    module
        A copy of the module that has the weights' values; not for writing.
    traced_by
        "fx", or "export", where everything that depends on sizes was fixed at the input shape.
    calls, stacks
        The calls of modules in order, and for each operation those that were under way, outermost first.
    results
        What each operation gave: tensors on the meta device (for their shapes) and everything else as it is.
    constants
        Attributes that only tracing made, by name.
    notes
        What was left out, in words.
    """

    graph: fx.Graph
    module: nn.Module
    traced_by: FrontEnd
    calls: list[Call] = field(default_factory=list)
    stacks: dict[fx.Node, tuple[Call, ...]] = field(default_factory=dict)
    results: dict[fx.Node, Any] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def attribute(root: nn.Module, path: str) -> Any:
    """Look up ``layer1.0.weight`` in a module."""
    return functools.reduce(getattr, path.split("."), root)


def with_constants(module: nn.Module, constants: Mapping[str, Any]) -> nn.Module:
    """Give a copy of a module the attributes that tracing made; on the meta device where the module is."""
    parameter = next(module.parameters(), None)
    for name, value in constants.items():
        on_meta = parameter is not None and parameter.is_meta and isinstance(value, torch.Tensor)
        setattr(module, name, value.to("meta") if on_meta else value)
    return module


def runnable(module: nn.Module, trace: Trace) -> fx.GraphModule:
    """Return the operations of a trace with the module's weights, ready to be run on data."""
    return fx.GraphModule(with_constants(make_twin(module), trace.constants), trace.graph)


def example_input(module: nn.Module, input_shape: MapShape) -> torch.Tensor:
    """Make one input of zeros for a module, of its weights' type."""
    floats = (p for p in module.parameters() if p.is_floating_point())
    parameter = next(floats, None)
    if parameter is None:
        return torch.zeros((1, *input_shape))
    return torch.zeros((1, *input_shape), dtype=parameter.dtype, device=parameter.device)


class _Recorder(fx.Interpreter):
    """Runs a traced graph and keeps what each node gave."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.results: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.results[n] = super().run_node(n)
        return self.results[n]


def recorded(graph: fx.Graph, module: nn.Module, example: torch.Tensor) -> dict[fx.Node, Any]:
    """Run a traced graph and return what each node gave."""
    traced = fx.GraphModule(module, graph)
    recorder = _Recorder(traced)
    with torch.no_grad():
        recorder.run(example)
    # a graph that belongs to a module already is copied
    own = dict(zip(traced.graph.nodes, graph.nodes, strict=True))
    return {own[node]: result for node, result in recorder.results.items()}
