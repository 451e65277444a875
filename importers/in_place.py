"""Steps that write over what they read: what other names of the same memory hold afterwards."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch._ops import OpOverload

from importers.aten_ops import is_written_in_place
from importers.torch_steps import Traced

__all__ = ["is_in_place", "other_views", "writes_on_constants"]

_OPERATORS = (operator.iadd, operator.isub, operator.imul, operator.itruediv)


def is_in_place(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether an operation, or the module it calls, writes over its first input."""
    if module is not None:
        return bool(getattr(module, "inplace", False))
    if isinstance(node.target, OpOverload):
        return is_written_in_place(node.target)
    if node.op == "call_method":
        return str(node.target).endswith("_") and not str(node.target).endswith("__")
    name = getattr(node.target, "__name__", "")
    is_marked = (name.endswith("_") and not name.endswith("__")) or node.target in _OPERATORS
    return is_marked or node.kwargs.get("inplace") is True


def writes_on_constants(graph: fx.Graph) -> bool:
    """Whether a step of a traced module writes over a weight, a buffer or what is computed of them alone."""
    data: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "placeholder" or any(source in data for source in node.all_input_nodes):
            data.add(node)
        elif node.op in ("call_function", "call_method") and is_in_place(node, None):
            return True
    return False


def other_views(
    written: fx.Node, by: fx.Node, *, values: Mapping[fx.Node, Any], results: Mapping[fx.Node, Any]
) -> Iterator[tuple[fx.Node, bool]]:
    """Find the other names of memory that a step writes over and that are read after it.

    Parameters
    ----------
    written, by
        The operation whose result is written over, and the one that does it.
    values
        What is known of each operation's result before.
    results
        The tensors that they gave, for the memory they are in.

    Yields
    ------
    The name, and whether it holds just what `written` does. Others hold a part of it, or more.
    """
    memory = _memory(results.get(written))
    old = values.get(written)
    if memory is None or not isinstance(old, Traced):
        return
    for other, value in values.items():
        if other is written or not isinstance(value, Traced) or _memory(results.get(other)) != memory:
            continue
        if not any(by < user for user in other.users):
            continue
        if value is old:
            yield other, True
        elif value.base != old.base or _overlap(value, old):
            yield other, False


def _memory(result: Any) -> int | None:
    return int(result.untyped_storage()._cdata) if isinstance(result, torch.Tensor) else None


def _overlap(one: Traced, other: Traced) -> bool:
    if one.index is None or other.index is None:
        return True
    return bool(np.intersect1d(one.index.numpy(), other.index.numpy()).max(initial=-1) >= 0)
