"""What users call the tensors of an ONNX file.

Files from torch say in which module each operation was made; their layers have the
names that the module's own would have (`importers.unit_layers`). The older exporter
says it in the names of operations (``/layer1/layer1.0/relu_1/Relu``), the newer in
their metadata. Tensors of other files are called by their operation's name, else by
their own, with ``.`` for ``/`` and ``_`` for what a name may not hold.

Two things are not in such files. A module of children with names and nothing else is
taken for one with a forward of its own, not for an ``nn.Sequential`` of named parts.
The older exporter writes the second call of ``relu`` as ``relu_1``, which may be a
module too: it is one where it holds weights, or where nothing is called ``relu``.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from onnx import NodeProto

from importers.linear_ops import Activation, Name, NameKind, Node, Pool
from importers.onnx_nonlinear import ACTIVATIONS
from importers.onnx_ops import POOLS

__all__ = ["Scope", "read_scopes", "tensor_names"]

_SCOPES, _CLASSES = "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy"
_MOST_METADATA = 100_000
_LONGEST = 200
_PASSING = frozenset(["Dropout", "Identity", "Flatten", "Reshape", "Pad", "Transpose", "Squeeze", "Unsqueeze"])
_UNNAMED = frozenset(["Slice", "Gather", "Shape", "Cast", "Constant", "Identity"])
_CONTAINERS = ("torch.nn.modules.container.",)
_FUNCTIONS: Mapping[str, str] = {
    "Concat": "cat",
    "MaxPool": "max_pool2d",
    "AveragePool": "avg_pool2d",
    "GlobalAveragePool": "adaptive_avg_pool2d",
    "ReduceMean": "mean",
    "Clip": "clamp",
    "Conv": "conv2d",
    "Gemm": "linear",
    "MatMul": "matmul",
    "BatchNormalization": "batch_norm",
    "LayerNormalization": "layer_norm",
    "LeakyRelu": "leaky_relu",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an operation was made: paths of the modules it is in, outermost first, and what tells calls apart."""

    modules: tuple[str, ...]
    classes: tuple[str, ...]
    function: str
    call: str

    @property
    def path(self) -> str:
        """The innermost module's path."""
        return self.modules[-1] if self.modules else ""


@dataclass(eq=False, slots=True)
class _Called:
    """One call of a module."""

    path: str
    kind_name: str
    key: str = ""
    nodes: list[int] = field(default_factory=list)
    own: list[int] = field(default_factory=list)
    children: list[_Called] = field(default_factory=list)


def read_scopes(nodes: Sequence[NodeProto], producer: str, constants: Iterable[str]) -> list[Scope] | None:
    """Read the module in which each operation was made; None for a file that does not say."""
    told = [{entry.key: entry.value for entry in node.metadata_props} for node in nodes]
    if any(_SCOPES in entry for entry in told):
        return [_from_metadata(node, entry) for node, entry in zip(nodes, told, strict=True)]
    if producer == "pytorch" and sum(node.name.startswith("/") for node in nodes) * 2 > len(nodes):
        return _from_paths([node.name for node in nodes], list(constants))
    return None


def _from_metadata(node: NodeProto, told: Mapping[str, str]) -> Scope:
    paths, classes = _words(told.get(_SCOPES, "")), _words(told.get(_CLASSES, ""))
    if not paths:
        return Scope((), (), _function(node.op_type), "")
    modules, kinds = [], []
    for place, path in enumerate(paths[:-1]):
        if path:
            modules.append(path.partition("@")[0])
            kinds.append(classes[place] if place < len(classes) else "")
    call = paths[-2] if len(paths) > 1 and "@" in paths[-2] else ""
    if not call and kinds and kinds[-1].startswith("torch.nn.modules.") and not kinds[-1].startswith(_CONTAINERS):
        # a module of torch's own is one operation to the exporter, so each operation is a call
        call = paths[-1]
    return Scope(tuple(modules), tuple(kinds), re.sub(r"_\d+$", "", paths[-1]).rstrip("_"), call)


def _words(text: str) -> list[str]:
    if not text or len(text) > _MOST_METADATA:
        return []
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    return [str(word) for word in found] if isinstance(found, list) else []


def _from_paths(names: Sequence[str], constants: Sequence[str]) -> list[Scope]:
    split = [tuple(name.split("/")[1:-1]) if name.startswith("/") else () for name in names]
    seen = set(split)
    tops = {_joined(parts) for parts in seen}
    holders = {name.rpartition(".")[0] for name in constants} & tops
    scopes = []
    for name, parts in zip(names, split, strict=True):
        own = _without_call(parts, seen, holders)
        modules = tuple(_joined(own[:count]) for count in range(1, len(own) + 1))
        function = _function(re.sub(r"_\d+$", "", name.rpartition("/")[2]))
        scopes.append(Scope(modules, ("",) * len(modules), function, "/".join(parts)))
    return scopes


def _without_call(parts: tuple[str, ...], seen: set[tuple[str, ...]], holders: set[str]) -> tuple[str, ...]:
    """Take the number of a second call off, if there were those before it."""
    found = re.fullmatch(r"(.+)_([1-9]\d{0,4})", parts[-1]) if parts else None
    if found is None or _joined(parts) in holders:
        return parts
    before = [found[1], *(f"{found[1]}_{count}" for count in range(1, int(found[2])))]
    return (*parts[:-1], found[1]) if all((*parts[:-1], last) in seen for last in before) else parts


def _joined(parts: Sequence[str]) -> str:
    """Join names of modules to a path; each begins with the last word of its parent that is no number."""
    path = ""
    for part in parts:
        words = path.split(".")
        last = next((place for place in reversed(range(len(words))) if not words[place].isdigit()), 0)
        tail = ".".join(words[last:])
        if tail and part.startswith(f"{tail}."):
            path += part[len(tail) :]
        else:
            path = f"{path}.{part}" if path else part
    return path


def _function(op_type: str) -> str:
    return _FUNCTIONS.get(op_type, op_type.lower())


def tensor_names(
    nodes: Sequence[NodeProto],
    scopes: Sequence[Scope] | None,
    *,
    is_data: Sequence[bool],
    tensors: Callable[[str], str | None],
    steps: Mapping[str, Node],
    creators: Mapping[str, int],
    outputs: Sequence[str],
    kept: Iterable[str],
) -> dict[str, tuple[Name, ...]]:
    """Gather every path that names a tensor, innermost and earliest first.

    Parameters
    ----------
    nodes, scopes
        The file's operations, and where they were made if it says so.
    is_data
        For each operation whether it depends on the input.
    tensors
        For a name of the file's the tensor that it is the whole of, if any.
    steps, creators
        The linear steps, and the operation in which each was made.
    outputs
        Names of the file's outputs.
    kept
        The tensors that names are asked for.
    """
    names: dict[str, list[Name]] = {name: [] for name in kept}
    if scopes is None:
        _plain_names(nodes, is_data, tensors, steps, names)
    else:
        _module_names(nodes, scopes, is_data, tensors, steps, creators, outputs, names)
    used = Counter(name.path for found in names.values() for name in found)
    for tensor, found in names.items():
        if not found and tensor != "input":
            # a step that is part of an operation
            node = steps[tensor]
            path = _clean(f"{node.where}.{_function(node.what)}" if node.where else _function(node.what))
            used[path] += 1
            found.append(Name(path if used[path] == 1 else f"{path}-{used[path]}", "other"))
    return {tensor: tuple(dict.fromkeys(found)) for tensor, found in names.items()}


def _clean(path: str) -> str:
    """Make a path that ids allow of any text."""
    plain = re.sub(r"[^A-Za-z0-9_.\-]", "_", path.replace("/", ".")).strip("-.")
    return re.sub(r"\.{2,}", ".", plain)[-_LONGEST:].strip("-.") or "tensor"


def _plain_names(
    nodes: Sequence[NodeProto],
    is_data: Sequence[bool],
    tensors: Callable[[str], str | None],
    steps: Mapping[str, Node],
    names: dict[str, list[Name]],
) -> None:
    used: Counter[str] = Counter()

    def say(text: str, tensor: str | None, kind: NameKind) -> None:
        path = _clean(text)
        used[path] += 1
        if tensor in names:
            names[tensor].append(Name(path if used[path] == 1 else f"{path}-{used[path]}", kind))

    for place, node in enumerate(nodes):
        if not is_data[place]:
            continue
        for output in node.output:
            tensor = tensors(output)
            own = steps[tensor].op if tensor else None
            kind = "activation" if isinstance(own, Activation) else "pool" if isinstance(own, Pool) else "function"
            if node.name and output == node.output[0]:
                say(node.name, tensor, kind)
            if _clean(node.name) != _clean(output):
                say(output, tensor, "other" if node.name else kind)


def _module_names(
    nodes: Sequence[NodeProto],
    scopes: Sequence[Scope],
    is_data: Sequence[bool],
    tensors: Callable[[str], str | None],
    steps: Mapping[str, Node],
    creators: Mapping[str, int],
    outputs: Sequence[str],
    names: dict[str, list[Name]],
) -> None:
    calls = _calls(scopes, is_data)
    returned = _returned(nodes, calls, is_data, outputs)
    inside = {id(call): set(call.nodes) for call in calls}
    leaf_of = {place: call for call in calls if not call.children for place in call.nodes}
    said: list[tuple[str, str, NameKind]] = []
    for place, node in enumerate(nodes):
        if not is_data[place] or not node.output:
            continue
        leaf, scope = leaf_of.get(place), scopes[place]
        is_function = leaf is None or (len(leaf.nodes) > 1 and not leaf.kind_name.startswith("torch.nn.modules."))
        if is_function and node.op_type not in _UNNAMED:
            path = f"{scope.path}.{scope.function}" if scope.path else scope.function
            said.append((path, node.output[0], "function"))
        # an inner module returns before an outer one, but was called after it
        for call in reversed(returned.get(place, [])):
            tensor = tensors(node.output[0])
            was_made_in = tensor is not None and creators.get(tensor) in inside[id(call)]
            kind = _kind(call, nodes, steps[tensor] if tensor else None)
            said.append((call.path, node.output[0], kind if kind != "module" or was_made_in else "other"))
    totals, seen = Counter(path for path, _, _ in said), Counter[str]()
    for path, output, kind in said:
        clean = _clean(path)
        label = f"{clean}#{seen[path]}" if totals[path] > 1 else clean
        seen[path] += 1
        tensor = tensors(output)
        if tensor in names:
            names[tensor].append(Name(label, kind))


def _calls(scopes: Sequence[Scope], is_data: Sequence[bool]) -> list[_Called]:
    """Group operations into calls of modules, in the order in which they began."""
    calls: list[_Called] = []
    open_calls: list[_Called] = []
    for place, scope in enumerate(scopes):
        if not is_data[place]:
            continue
        depth = 0
        while depth < min(len(open_calls), len(scope.modules)) and open_calls[depth].path == scope.modules[depth]:
            innermost = depth == len(scope.modules) - 1
            if innermost and open_calls[depth].key not in ("", scope.call):
                break
            depth += 1
        del open_calls[depth:]
        for level in range(depth, len(scope.modules)):
            call = _Called(scope.modules[level], scope.classes[level])
            if open_calls:
                open_calls[-1].children.append(call)
            open_calls.append(call)
            calls.append(call)
        for call in open_calls:
            call.nodes.append(place)
        if open_calls:
            open_calls[-1].own.append(place)
            open_calls[-1].key = scope.call
    return calls


def _returned(
    nodes: Sequence[NodeProto], calls: Sequence[_Called], is_data: Sequence[bool], outputs: Sequence[str]
) -> dict[int, list[_Called]]:
    """For each operation the calls whose only result it gives."""
    users: dict[str, set[int]] = {}
    for place, node in enumerate(nodes):
        for name in node.input:
            if is_data[place]:
                users.setdefault(name, set()).add(place)
    found: dict[int, list[_Called]] = {}
    for call in calls:
        inside = set(call.nodes)
        given = [
            place
            for place in call.nodes
            if any(name in outputs or users.get(name, set()) - inside for name in nodes[place].output)
        ]
        if len(given) == 1:
            found.setdefault(given[0], []).append(call)
    return found


def _kind(call: _Called, nodes: Sequence[NodeProto], step: Node | None) -> NameKind:
    if call.kind_name.startswith("torch.nn.modules.activation."):
        return "activation"
    if call.kind_name.startswith("torch.nn.modules.pooling."):
        return "pool"
    if call.kind_name.startswith(("torch.nn.modules.container.Sequential", "torch.nn.modules.dropout.")):
        return "other"
    made = {nodes[place].op_type for place in call.nodes}
    if call.children:
        numbered = all(child.path.removeprefix(f"{call.path}.").isdigit() for child in call.children)
        return "other" if numbered and not call.own else "module"
    if made <= _PASSING:
        return "other"
    if made <= POOLS | {"ReduceMean"}:
        return "pool"
    is_active = step is not None and isinstance(step.op, Activation)
    return "activation" if is_active and (made <= ACTIVATIONS or made <= ACTIVATIONS | _WRITTEN_OUT) else "module"


_WRITTEN_OUT = frozenset(["Add", "Mul", "Div", "Erf", "Identity"])
