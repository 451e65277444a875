"""A torch module as a graph of linear steps: traced with torch.fx, shapes from one run.

The module is traced as a copy that shares nothing but the weights, in eval mode and
without hooks; the caller's stays as it was. Names are module paths, by the rules of
`importers.unit_layers`.
"""

from __future__ import annotations

import copy
import operator
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from circuitgraph.errors import TraceError, UnsupportedOperationError
from importers import torch_ops as ops
from importers.linear_ops import (
    Flatten,
    Gather,
    Input,
    LinearGraph,
    MapShape,
    Name,
    NameKind,
    Node,
    Op,
    Unsupported,
)
from importers.torch_ops import Step, Traced

__all__ = ["linearise"]

_HEADS = {"softmax", "log_softmax", "sigmoid", "Softmax", "LogSoftmax", "Sigmoid"}


def linearise(module: nn.Module, input_shape: MapShape) -> LinearGraph:
    """Write a module as linear steps.

    Parameters
    ----------
    module
        Takes one batch of maps; it is not changed.
    input_shape
        (channel, row, col). Adaptive pools and flattening depend on it, kernels in general do not.

    Returns
    -------
    LinearGraph
        Steps with no linear form are in it as `Unsupported`: they are refused when weights across them are asked for.

    Raises
    ------
    TraceError
        The module cannot be traced, or does not run on that shape.
    """
    traced = _trace(module, input_shape)
    return _Builder(module, traced, input_shape).build()


@dataclass(eq=False)
class _Call:
    """One call of a module while it is traced."""

    path: str
    module: nn.Module
    result: Any = None


@dataclass
class _Trace:
    graph: fx.Graph
    root: nn.Module
    calls: list[_Call] = field(default_factory=list)
    stacks: dict[fx.Node, tuple[_Call, ...]] = field(default_factory=dict)
    results: dict[fx.Node, Any] = field(default_factory=dict)


class _Tracer(fx.Tracer):
    """Keeps which calls were under way when a node was made, and what each returned."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[_Call] = []
        self.stack: list[_Call] = []
        self.stacks: dict[fx.Node, tuple[_Call, ...]] = {}

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = _Call(self.path_of_module(m), m)
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


def _trace(module: nn.Module, input_shape: MapShape) -> _Trace:
    try:
        return _trace_once(module, input_shape, on_meta=True)
    except Exception:
        # a forward that reads a weight's value, or mixes in tensors of its own, needs the real ones
        return _trace_real(module, input_shape)


def _trace_real(module: nn.Module, input_shape: MapShape) -> _Trace:
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


def _trace_once(module: nn.Module, input_shape: MapShape, *, on_meta: bool) -> _Trace:
    twin = _stand_in(module, on_meta=on_meta)
    tracer = _Tracer()
    graph = tracer.trace(twin)
    recorder = _Recorder(fx.GraphModule(tracer.root, graph))
    parameter = next(twin.parameters(), None)
    dtype = parameter.dtype if parameter is not None else torch.float32
    device = "meta" if on_meta else parameter.device if parameter is not None else "cpu"
    with torch.no_grad():
        recorder.run(torch.zeros((1, *input_shape), dtype=dtype, device=device))
    return _Trace(graph, tracer.root, tracer.calls, tracer.stacks, recorder.results)


def _attribute(root: nn.Module, path: str) -> Any:
    value: Any = root
    for part in path.split("."):
        value = getattr(value, part)
    return value


def _is_in_place(node: fx.Node, module: nn.Module | None) -> bool:
    if module is not None:
        return bool(getattr(module, "inplace", False))
    if node.op == "call_method":
        return str(node.target).endswith("_") and not str(node.target).endswith("__")
    name = getattr(node.target, "__name__", "")
    is_marked = (name.endswith("_") and not name.endswith("__")) or node.target in _IN_PLACE_OPERATORS
    return is_marked or node.kwargs.get("inplace") is True


_IN_PLACE_OPERATORS = (operator.iadd, operator.isub, operator.imul, operator.itruediv)


class _Builder:
    """Walks a traced graph once and makes the nodes of the linear one."""

    def __init__(self, module: nn.Module, trace: _Trace, input_shape: MapShape) -> None:
        self.module = module
        self.trace = trace
        self.input_shape = input_shape
        self.nodes: dict[str, Node] = {}
        self.creator: dict[str, fx.Node] = {}
        self.values: dict[fx.Node, Any] = {}
        self.made: dict[fx.Node, Traced] = {}
        self.notes: list[str] = []

    def build(self) -> LinearGraph:
        """Make the graph."""
        outputs: list[str] = []
        with torch.no_grad():
            for node in self.trace.graph.nodes:
                if node.op == "output":
                    outputs = self._outputs(node)
                    continue
                self._visit(node)
        outputs = [self._without_head(name) for name in outputs]
        kept = self._needed(outputs)
        names = self._names(kept)
        nodes = {name: node for name, node in self.nodes.items() if name in kept}
        return LinearGraph(nodes, tuple(dict.fromkeys(outputs)), names, tuple(self.notes))

    def _visit(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            self._placeholder(node)
            return
        if node.op == "get_attr":
            path = str(node.target)
            try:
                self.values[node] = _attribute(self.module, path)
            except AttributeError:
                self.values[node] = _attribute(self.trace.root, path)
            return
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: self.values[n])
        result = self.trace.results[node]
        if not _has_data((args, kwargs)):
            self.values[node] = self._constant(node, args, kwargs)
        elif not _is_tensor(result):
            # a size or another fact about the data
            self.values[node] = result
        else:
            self._data(node, args, kwargs)

    def _placeholder(self, node: fx.Node) -> None:
        if "input" not in self.nodes:
            self.nodes["input"] = Node("input", Input(), (), self.input_shape, "", "input")
            self.creator["input"] = node
            self.values[node] = self.made[node] = Traced("input", self.input_shape)
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
        return _attribute(self.module, str(node.target))(*args, **kwargs)

    def _data(self, node: fx.Node, args: Any, kwargs: Any) -> None:
        module = _attribute(self.module, str(node.target)) if node.op == "call_module" else None
        # an in-place step on constants is no business of ours, one on data is seen by later readers
        try:
            value = self._rule(node, module, args, kwargs)
            if isinstance(value, Step):
                value = self._emit(node, value.op, [self._settle(x, node) for x in value.inputs])
        except UnsupportedOperationError as error:
            inputs = [x.base for x in _traced((args, kwargs))]
            value = self._emit(node, Unsupported(error.message, error.hint), inputs)
        self.values[node] = value
        if isinstance(value, Traced):
            self.made[node] = value
        if _is_in_place(node, module) and node.args and isinstance(node.args[0], fx.Node):
            self.values[node.args[0]] = value

    def _rule(self, node: fx.Node, module: nn.Module | None, args: Any, kwargs: Any) -> Any:
        """Find and apply what the operation is."""
        if module is not None:
            kind = type(module)
            if kind in ops.REPLAYED_MODULES:
                return self._replay(lambda *a, **k: ops.REPLAYED_MODULES[kind](module, *a, **k), args, kwargs)
            if kind in ops.MODULES:
                return ops.MODULES[kind](module, *args, **kwargs)
        elif node.op == "call_method":
            name = str(node.target).rstrip("_")
            if name in ops.REPLAYED_METHODS:
                # an index has other strides than the data, so a view of it may need a copy
                own = "reshape" if name == "view" else name
                return self._replay(lambda x, *a, **k: getattr(x, own)(*a, **k), args, kwargs)
            if name in ops.METHODS:
                return ops.METHODS[name](*args, **kwargs)
        elif node.target is operator.getitem and isinstance(args[0], (tuple, list)):
            return args[0][args[1]]
        elif node.target in ops.REPLAYED_FUNCTIONS:
            return self._replay(ops.REPLAYED_FUNCTIONS[node.target], args, kwargs)
        elif node.target in ops.FUNCTIONS:
            return ops.FUNCTIONS[node.target](*args, **kwargs)
        elif getattr(node.target, "__name__", "") == "stochastic_depth":
            return args[0]
        raise UnsupportedOperationError(
            "it has no linear form here",
            hint="No option admits it; the operations that are expanded are in the documentation.",
        )

    def _emit(self, node: fx.Node, op: Op, inputs: list[str]) -> Traced:
        result = self.trace.results[node]
        shape = tuple(result.shape[1:]) if isinstance(result, torch.Tensor) else ()
        if len(shape) not in (1, 3):
            refused = (
                op if isinstance(op, Unsupported) else Unsupported(f"it gives the shape {shape} without the batch")
            )
            return self._add(node, refused, inputs, (max(1, int(np.prod(shape))), 1, 1), shape)
        return self._add(node, op, inputs, _map_shape(shape), shape)

    def _add(self, node: fx.Node, op: Op, inputs: list[str], shape: MapShape, torch_shape: tuple[int, ...]) -> Traced:
        name = f"t{len(self.nodes)}"
        path = ".".join(call.path for call in self.trace.stacks[node][-1:])
        where = str(node.target) if node.op == "call_module" else path
        self.nodes[name] = Node(name, op, tuple(inputs), shape, where, self._what(node))
        self.creator[name] = node
        return Traced(name, torch_shape)

    def _what(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return type(_attribute(self.module, str(node.target))).__name__
        return _function_name(node)

    def _replay(self, run: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run an operation that only moves entries on the entries' own numbers."""
        found = _traced((args, kwargs))
        if len(found) != 1:
            raise UnsupportedOperationError("it moves entries of several tensors at once")
        source = found[0]
        index = source.index
        if index is None:
            index = torch.arange(int(np.prod(source.shape))).reshape(source.shape)
        on_index = _swap((args, kwargs), lambda _: index[None])
        moved = run(*on_index[0], **on_index[1])

        def wrap(part: torch.Tensor) -> Traced:
            if part.ndim < 1 or part.shape[0] != 1:
                raise UnsupportedOperationError("it mixes the batch with other axes")
            return Traced(source.base, tuple(part.shape[1:]), part[0])

        return tuple(wrap(part) for part in moved) if isinstance(moved, (tuple, list)) else wrap(moved)

    def _settle(self, x: Any, node: fx.Node) -> str:
        """Return the name of a tensor, making the step that moves its entries if there is one."""
        if not isinstance(x, Traced):
            raise UnsupportedOperationError("it is called with something that is not the data")
        if x.index is None:
            return x.base
        if x.settled is None:
            x.settled = self._moved(x, x.index, node)
        return x.settled

    def _moved(self, x: Traced, moved: torch.Tensor, node: fx.Node) -> str:
        base = self.nodes[x.base]
        if len(x.shape) not in (1, 3):
            raise UnsupportedOperationError(f"its input has the shape {x.shape} without the batch")
        index = moved.numpy().astype(np.int64)
        is_same = index.size == int(np.prod(base.shape)) and np.array_equal(index.ravel(), np.arange(index.size))
        if is_same and _map_shape(x.shape) == base.shape:
            return x.base
        maker = next((n for n, value in self.made.items() if value is x), node)
        if len(x.shape) == 1 and base.shape[1:] != (1, 1):
            return self._add(maker, Flatten(index), [x.base], (index.size, 1, 1), x.shape).base
        op = _as_gather(index.reshape(_map_shape(x.shape)), base.shape)
        return self._add(maker, op, [x.base], _map_shape(x.shape), x.shape).base

    def _outputs(self, node: fx.Node) -> list[str]:
        found = _traced(fx.node.map_arg(node.args, lambda n: self.values[n]))
        if not found:
            raise TraceError(f"tracing {type(self.module).__name__}: its output does not depend on its input.")
        # a flattened map as the output is the map itself
        return [
            x.base if len(x.shape) == 1 and _is_whole(x, self.nodes[x.base]) else self._settle(x, node) for x in found
        ]

    def _without_head(self, name: str) -> str:
        node = self.nodes[name]
        if isinstance(node.op, Unsupported) and node.what in _HEADS and len(node.inputs) == 1:
            self.notes.append(f"the {node.what} at the output is left out")
            return node.inputs[0]
        return name

    def _needed(self, outputs: list[str]) -> set[str]:
        needed, stack = {"input", *outputs}, list(outputs)
        while stack:
            for source in self.nodes[stack.pop()].inputs:
                if source not in needed:
                    needed.add(source)
                    stack.append(source)
        return needed

    def _names(self, kept: set[str]) -> dict[str, tuple[Name, ...]]:
        """Gather every path that names a tensor, innermost and earliest first."""
        said: list[tuple[str, fx.Node, _Call | None]] = []
        returned: dict[fx.Node, list[_Call]] = {}
        leaves: dict[fx.Node, _Call] = {}
        for call in self.trace.calls:
            if not call.path or call.result is None:
                continue
            if call.result.op == "call_module" and str(call.result.target) == call.path:
                leaves[call.result] = call
            else:
                returned.setdefault(call.result, []).append(call)
        for node in self.trace.graph.nodes:
            if node in leaves:
                said.append((leaves[node].path, node, leaves[node]))
            elif node.op in ("call_function", "call_method") and node.target is not operator.getitem:
                stack = self.trace.stacks[node]
                prefix = stack[-1].path + "." if stack and stack[-1].path else ""
                said.append((prefix + _function_name(node), node, None))
            # an inner module returns before an outer one, but was called after it
            said.extend((call.path, node, call) for call in reversed(returned.get(node, [])))
        totals, seen = Counter(path for path, _, _ in said), Counter[str]()
        names: dict[str, list[Name]] = {name: [] for name in kept}
        for path, node, own_call in said:
            label = f"{path}#{seen[path]}" if totals[path] > 1 else path
            seen[path] += 1
            value = self.made.get(node)
            tensor = None if value is None else self._alias(value)
            if tensor in names:
                kind = self._kind(own_call, tensor, node)
                names[tensor].append(Name(re.sub(r"[^A-Za-z0-9_.#\-]", "_", label), kind))
        return {name: tuple(dict.fromkeys(found)) for name, found in names.items()}

    def _alias(self, x: Traced) -> str | None:
        if x.index is None or _is_whole(x, self.nodes[x.base]):
            return x.base
        return x.settled

    def _kind(self, call: _Call | None, tensor: str, node: fx.Node) -> NameKind:
        if call is None:
            return "function"
        kind = type(call.module)
        if kind in ops.ACTIVATION_MODULES:
            return "activation"
        if kind in ops.POOL_MODULES:
            return "pool"
        has_own_forward = kind.forward is not nn.Sequential.forward and kind not in ops.PASSING_MODULES
        creator = self.creator[tensor]
        was_made_in = creator is node or call in self.trace.stacks[creator]
        return "module" if has_own_forward and was_made_in else "other"


def _function_name(node: fx.Node) -> str:
    if node.op == "call_method":
        return str(node.target).rstrip("_")
    return ops.FUNCTION_NAMES.get(node.target) or getattr(node.target, "__name__", str(node.target)).rstrip("_")


def _is_whole(x: Traced, base: Node) -> bool:
    """Whether a vector or map holds each entry of its base once."""
    if x.index is None:
        return True
    if len(x.shape) != 1 and _map_shape(x.shape) != base.shape:
        return False
    flat = x.index.reshape(-1)
    if flat.numel() != int(np.prod(base.shape)):
        return False
    order = flat if len(x.shape) != 1 or base.shape[1:] == (1, 1) else flat.sort().values
    return bool(torch.equal(order, torch.arange(flat.numel())))


def _as_gather(index: NDArray[np.int64], base: MapShape) -> Gather:
    """Read off which channel and cell each entry comes from, or refuse."""
    height, width = base[1:]
    valid = index >= 0
    if not valid.any():
        return Gather(np.full(index.shape[0], -1))
    channel, row, col = index // (height * width), index % (height * width) // width, index % width
    first = np.where(valid, channel, -1).reshape(index.shape[0], -1).max(axis=1)
    _, rows, cols = np.nonzero(valid)
    row_step, row_shift = _line(rows, row[valid], height, index.shape[1])
    col_step, col_shift = _line(cols, col[valid], width, index.shape[2])
    want_row = (np.arange(index.shape[1]) * row_step + row_shift)[:, None]
    want_col = (np.arange(index.shape[2]) * col_step + col_shift)[None, :]
    inside = (want_row >= 0) & (want_row < height) & (want_col >= 0) & (want_col < width)
    wanted = first[:, None, None] * (height * width) + want_row * width + want_col
    wanted = np.where(inside[None] & (first >= 0)[:, None, None], wanted, -1)
    if not np.array_equal(wanted, np.where(valid, index, -1)):
        raise UnsupportedOperationError("it moves entries in a way that is no slice, padding or choice of channels")
    return Gather(first, (row_step, col_step), (row_shift, col_shift))


def _line(places: NDArray[np.int64], read: NDArray[np.int64], size: int, out_size: int) -> tuple[int, int]:
    """Fit ``read = step * place + shift`` through the first and last place."""
    low, high = int(places.argmin()), int(places.argmax())
    span = int(places[high] - places[low])
    # a single line does not tell its stride; the ratio of sizes does
    step = int(read[high] - read[low]) // span if span else max(1, size // out_size)
    if step < 1:
        raise UnsupportedOperationError("it repeats or turns round a map")
    return step, int(read[low]) - step * int(places[low])


def _map_shape(shape: tuple[int, ...]) -> MapShape:
    return (shape[0], 1, 1) if len(shape) == 1 else (shape[0], shape[1], shape[2])


def _is_tensor(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(_is_tensor(part) for part in value)
    return isinstance(value, torch.Tensor)


def _traced(value: Any) -> list[Traced]:
    if isinstance(value, Traced):
        return [value]
    if isinstance(value, (tuple, list)):
        return [found for part in value for found in _traced(part)]
    if isinstance(value, dict):
        return [found for part in value.values() for found in _traced(part)]
    return []


def _has_data(value: Any) -> bool:
    return bool(_traced(value))


def _swap(value: Any, change: Callable[[Traced], Any]) -> Any:
    if isinstance(value, Traced):
        return change(value)
    if isinstance(value, (tuple, list)) and type(value) in (tuple, list, fx.immutable_collections.immutable_list):
        parts = [_swap(part, change) for part in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    if isinstance(value, dict):
        return {key: _swap(part, change) for key, part in value.items()}
    return value
