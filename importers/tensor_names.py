"""What users call the tensors of a traced module: paths of modules, call numbers, names of functions.

By the rules of `importers.unit_layers`; names of the traced graph's own are shown nowhere.
"""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from torch import fx, nn
from torch._ops import OpOverload
from torch.nn.utils.parametrize import type_before_parametrizations

from importers import torch_ops as ops
from importers.aten_ops import aten_name
from importers.index_replay import is_whole
from importers.linear_ops import Name, NameKind, Node
from importers.operation_graph import Call, Trace
from importers.torch_ops import Traced

__all__ = ["function_name", "tensor_names"]


def tensor_names(
    trace: Trace,
    *,
    nodes: Mapping[str, Node],
    kept: Iterable[str],
    made: Mapping[fx.Node, Traced],
    creator: Mapping[str, fx.Node],
) -> dict[str, tuple[Name, ...]]:
    """Gather every path that names a tensor, innermost and earliest first.

    Parameters
    ----------
    trace
        The traced module.
    nodes
        The linear steps made of it, by name.
    kept
        Names of those that are asked for.
    made
        What each operation of the trace gave.
    creator
        The operation in which each linear step was made.
    """
    said: list[tuple[str, fx.Node, Call | None]] = []
    returned: dict[fx.Node, list[Call]] = {}
    leaves: dict[fx.Node, Call] = {}
    for call in trace.calls:
        if not call.path or call.result is None:
            continue
        if call.result.op == "call_module" and str(call.result.target) == call.path:
            leaves[call.result] = call
        else:
            returned.setdefault(call.result, []).append(call)
    for node in trace.graph.nodes:
        if node in leaves:
            said.append((leaves[node].path, node, leaves[node]))
        elif node.op in ("call_function", "call_method") and node.target is not operator.getitem:
            stack = trace.stacks[node]
            prefix = stack[-1].path + "." if stack and stack[-1].path else ""
            said.append((prefix + function_name(node), node, None))
        # an inner module returns before an outer one
        said.extend((call.path, node, call) for call in sorted(returned.get(node, []), key=lambda call: call.place))
    totals, seen = Counter(path for path, _, _ in said), Counter[str]()
    names: dict[str, list[Name]] = {name: [] for name in kept}
    for path, node, own_call in said:
        label = f"{path}#{seen[path]}" if totals[path] > 1 else path
        seen[path] += 1
        value = made.get(node)
        tensor = None if value is None else _alias(value, nodes)
        if tensor in names:
            kind = _kind(own_call, creator[tensor], trace)
            names[tensor].append(Name(re.sub(r"[^A-Za-z0-9_.#\-]", "_", label), kind))
    return {name: tuple(dict.fromkeys(found)) for name, found in names.items()}


def function_name(node: fx.Node) -> str:
    """Return what users call the function or method of an operation."""
    if node.op == "call_method":
        return str(node.target).rstrip("_")
    if isinstance(node.target, OpOverload):
        return aten_name(node.target)
    return ops.FUNCTION_NAMES.get(node.target) or getattr(node.target, "__name__", str(node.target)).rstrip("_")


def _alias(x: Traced, nodes: Mapping[str, Node]) -> str | None:
    if x.index is None or is_whole(x, nodes[x.base]):
        return x.base
    return x.settled


def _kind(call: Call | None, creator: fx.Node, trace: Trace) -> NameKind:
    if call is None:
        return "function"
    kind = type_before_parametrizations(call.module)
    if kind in ops.ACTIVATION_MODULES:
        return "activation"
    if kind in ops.POOL_MODULES:
        return "pool"
    has_own_forward = getattr(kind, "forward", None) is not nn.Sequential.forward and kind not in ops.PASSING_MODULES
    was_made_in = call in trace.stacks[creator]
    return "module" if has_own_forward and was_made_in else "other"
