"""Tracing with torch.export, at one input shape: for a forward that looks at sizes.

Everything that depends on the input's size (branches, loops, "same" padding) is fixed
as it is at that shape. The exported operations are brought back to the form that
torch.fx gives: the modules that torch ships are one operation each, under their own
path, so that both front ends give the same steps and the same names.

References
----------
torch.export, https://docs.pytorch.org/docs/stable/export.html
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import fx, nn

from importers import torch_ops as ops
from importers.operation_graph import Call, Trace

__all__ = ["trace_with_export"]

_MARK = torch.ops.aten.alias.default


def trace_with_export(twin: nn.Module, module: nn.Module, example: torch.Tensor) -> Trace:
    """Trace a module with torch.export.

    Parameters
    ----------
    twin
        A copy that is traced; it is changed.
    module
        A copy with the weights' values.
    example
        An input; its size is taken to be that of all inputs.

    Raises
    ------
    Exception
        Whatever torch.export raises, for example where the forward branches on values.
    """
    for path, part in twin.named_modules():
        if path:
            part.register_forward_hook(_mark)
    with torch.no_grad():
        exported = torch.export.export(twin, (example,), strict=False)
    return _Converter(exported, module).convert()


def _mark(module: nn.Module, args: Any, output: Any) -> Any:  # noqa: ARG001
    """Mark in the exported graph what a module returned."""
    return _MARK(output) if isinstance(output, torch.Tensor) else output


class _Converter:
    """Makes a graph like those of torch.fx out of an exported one."""

    def __init__(self, exported: Any, module: nn.Module) -> None:
        self.exported = exported
        self.graph = fx.Graph()
        self.trace = Trace(self.graph, module, "export")
        self.nodes: dict[fx.Node, fx.Node] = {}
        self.calls: dict[str, Call] = {}
        self.first_path = {
            id(part): path for path, part in reversed(list(module.named_modules(remove_duplicate=False)))
        }
        self.lifted: dict[str, fx.Node] = {}
        self.marked = 0

    def convert(self) -> Trace:
        """Make the graph."""
        self._inputs()
        nodes = [node for node in self.exported.graph.nodes if node.op != "placeholder"]
        stacks = {node: self._stack(node) for node in nodes}
        whole = self._whole_calls(nodes, stacks)
        for node in nodes:
            if node.op == "output":
                self.graph.output(fx.node.map_arg(node.args[0], self._converted))
                continue
            stack = stacks[node]
            call = next((c for c in stack if c in whole), None)
            if call is not None:
                if node is whole[call][1]:
                    self._add_whole(node, call, whole[call][0], stack)
                continue
            if node.target is _MARK and stack and stack[-1].result is node.args[0]:
                self.nodes[node] = self._converted(node.args[0])
                continue
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), self._converted)
            self.nodes[node] = made = self.graph.create_node(node.op, node.target, args, kwargs)
            made.meta["stack_trace"] = node.meta.get("stack_trace")
            self.trace.stacks[made] = stack
        for call in self.calls.values():
            call.result = None if call.result is None else self.nodes.get(call.result)
        self.trace.calls = list(self.calls.values())
        return self.trace

    def _inputs(self) -> None:
        signature = self.exported.graph_signature
        kinds = {spec.arg.name: spec for spec in signature.input_specs}
        for node in self.exported.graph.nodes:
            if node.op != "placeholder":
                continue
            spec = kinds[node.name]
            kind = spec.kind.name
            if kind == "USER_INPUT":
                self.nodes[node] = made = self.graph.placeholder(node.name)
            else:
                path = str(spec.target)
                if kind not in ("PARAMETER", "BUFFER"):
                    path = f"_exported_{path.replace('.', '_')}"
                    self.trace.constants[path] = self.exported.constants[spec.target]
                self.nodes[node] = made = self.graph.create_node("get_attr", path)
                self.lifted[node.name] = node
            self.trace.stacks[made] = ()

    def _stack(self, node: fx.Node) -> tuple[Call, ...]:
        stack = []
        for key, (path, _) in (node.meta.get("nn_module_stack") or {}).items():
            if key not in self.calls:
                part = _submodule(self.trace.module, path)
                if part is None or not path:
                    continue
                self.calls[key] = Call(self.first_path[id(part)], part)
            stack.append(self.calls[key])
        if node.target is _MARK and stack:
            # the last mark that a call made is of what it returned
            stack[-1].result = node.args[0]
            stack[-1].place = self.marked = self.marked + 1
        return tuple(stack)

    def _whole_calls(
        self, nodes: Iterable[fx.Node], stacks: Mapping[fx.Node, tuple[Call, ...]]
    ) -> dict[Call, tuple[fx.Node, fx.Node]]:
        """Find calls of torch's own modules that read one tensor and give one: its node, and the last of the call."""
        inside: dict[Call, list[fx.Node]] = {}
        for node in nodes:
            for call in stacks[node]:
                if _is_whole(call):
                    inside.setdefault(call, []).append(node)
                    break
        whole = {}
        for call, own in inside.items():
            members = set(own)
            reads = [n for node in own for n in node.all_input_nodes if n not in members and n.name not in self.lifted]
            read = list(dict.fromkeys(reads))
            marked = own[-1].target is _MARK and own[-1].args[0] is call.result
            leaks = any(user not in members for node in own[:-1] for user in node.users)
            if marked and not leaks and len(read) == 1:
                whole[call] = (read[0], own[-1])
        return whole

    def _add_whole(self, node: fx.Node, call: Call, read: fx.Node, stack: tuple[Call, ...]) -> None:
        made = self.graph.call_module(call.path, (self._converted(read),))
        made.meta["stack_trace"] = node.meta.get("stack_trace")
        self.nodes[node] = made
        call.result = node
        self.trace.stacks[made] = stack[: stack.index(call) + 1]

    def _converted(self, node: fx.Node) -> fx.Node:
        return self.nodes[node]


def _is_whole(call: Call) -> bool:
    kind = type(call.module)
    if kind in ops.MODULES or kind in ops.REPLAYED_MODULES:
        return True
    if not fx.Tracer().is_leaf_module(call.module, call.path):
        return False
    needed = [p for p in inspect.signature(kind.forward).parameters.values() if p.default is inspect.Parameter.empty]
    return len(needed) == 2


def _submodule(module: nn.Module, path: str) -> nn.Module | None:
    path = path.removeprefix("L['self']").removeprefix(".")
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None
