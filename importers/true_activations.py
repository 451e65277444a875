"""The true activations of layers of units: what a module gives there for an input, nonlinearities and all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from circuitgraph.errors import TraceError
from importers.linear_ops import MapShape
from importers.linearise import LinearTrace
from importers.operation_graph import runnable

__all__ = ["Forward"]


class Forward:
    """A module that is run for the activations of some of its tensors; it is not changed.

    Parameters
    ----------
    module, traced
        The module, and what `importers.linearise.linearise_traced` read of it.
    tensors
        Names of tensors of the linear graph.

    Raises
    ------
    TraceError
        No operation of the module gives one of the tensors.
    """

    def __init__(self, module: nn.Module, traced: LinearTrace, tensors: Iterable[str]) -> None:
        self._program = runnable(module, traced.trace)
        self._wanted: dict[fx.Node, list[_Wanted]] = {}
        parameter = next(module.parameters(), None)
        self._like = torch.empty(0) if parameter is None else parameter
        nodes = {node.name: node for node in self._program.graph.nodes}
        for name in tensors:
            maker, wanted = _maker(traced, name)
            self._wanted.setdefault(nodes[maker.name], []).append(wanted)

    def __call__(self, image: np.ndarray[Any, Any]) -> dict[str, torch.Tensor]:
        """Run one input, (channel, row, col), and return the activations by tensor, (unit, row, col) float32 each."""
        batch = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None]
        run = _Run(self._program, self._wanted)
        with torch.no_grad():
            run.run(batch.to(device=self._like.device, dtype=self._like.dtype))
        return run.found


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A tensor of the linear graph, and which of its entries an operation's result holds, in order."""

    name: str
    shape: MapShape
    index: torch.Tensor | None = None


def _maker(traced: LinearTrace, name: str) -> tuple[fx.Node, _Wanted]:
    """Find the first operation whose result is the tensor, or all of its entries in another order."""
    shape = traced.graph.nodes[name].shape
    size = int(np.prod(shape))
    for node in traced.trace.graph.nodes:
        value = traced.made.get(node)
        if value is None:
            continue
        if value.settled == name and value.base != name:
            return node, _Wanted(name, shape)
        if value.base != name:
            continue
        if value.index is None:
            return node, _Wanted(name, shape)
        flat = value.index.reshape(-1)
        if flat.numel() == size and torch.equal(flat.sort().values, torch.arange(size)):
            return node, _Wanted(name, shape, flat)
    where = traced.graph.nodes[name]
    raise TraceError(f"running the module: none of its operations gives {where}.")


class _Run(fx.Interpreter):
    """Runs operations and copies the wanted results before a later one can overwrite them."""

    def __init__(self, program: fx.GraphModule, wanted: Mapping[fx.Node, list[_Wanted]]) -> None:
        super().__init__(program)
        self.wanted = wanted
        self.found: dict[str, torch.Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        for want in self.wanted.get(n, ()):
            value = result.detach().to(device="cpu", dtype=torch.float32, copy=True).reshape(-1)
            if want.index is not None:
                value = torch.empty_like(value).index_copy_(0, want.index, value)
            self.found[want.name] = value.reshape(want.shape)
        return result
