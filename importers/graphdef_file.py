"""A TensorFlow GraphDef read from its file without TensorFlow, into plain values.

Only the fields that a frozen network's graph needs are declared; protobuf passes over
all others. What a file says of sizes is bounded before memory is taken for it.

References
----------
TensorFlow, ``tensorflow/core/framework``: graph.proto, node_def.proto, attr_value.proto, tensor.proto.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import MissingExtraError, MissingFileError, WeightsError
from importers.weights.tensors import MAX_BYTES

__all__ = ["MAX_FILE_BYTES", "GraphNode", "read_graphdef"]

MAX_FILE_BYTES = 2 * 1024**3
"""The most that one protobuf message can take."""

_MAX_RANK = 8
# a constant may be written as its last value, repeated; weights are not
_MOST_REPEATED = 2**26

_FREEZE = "Freeze the graph to one file of constants first (convert_variables_to_constants)."

_ARRAYS: Mapping[int, tuple[str, str]] = {
    # DataType: how its bytes are read, the field that lists single values
    1: ("<f4", "float_val"),
    2: ("<f8", "double_val"),
    3: ("<i4", "int_val"),
    4: ("<u1", "int_val"),
    5: ("<i2", "int_val"),
    6: ("<i1", "int_val"),
    9: ("<i8", "int64_val"),
    10: ("?", "bool_val"),
    14: ("<u2", "half_val"),
    17: ("<u2", "int_val"),
    19: ("<f2", "half_val"),
}
_BFLOAT16, _HALF = 14, 19

# field names, numbers and types as in TensorFlow's .proto files; "*" is repeated, "@" is one of our messages
_MESSAGES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "Dim": {"size": (1, "int64")},
    "Shape": {"dim": (2, "*@Dim"), "unknown_rank": (3, "bool")},
    "Tensor": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "@Shape"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "*float"),
        "double_val": (6, "*double"),
        "int_val": (7, "*int32"),
        "int64_val": (10, "*int64"),
        "bool_val": (11, "*bool"),
        "half_val": (13, "*int32"),
    },
    "List": {"s": (2, "*bytes"), "i": (3, "*int64"), "f": (4, "*float"), "b": (5, "*bool")},
    "Attr": {
        "list": (1, "@List"),
        "s": (2, "bytes"),
        "i": (3, "int64"),
        "f": (4, "float"),
        "b": (5, "bool"),
        "type": (6, "int32"),
        "shape": (7, "@Shape"),
        "tensor": (8, "@Tensor"),
    },
    # a map is a list of such entries on the wire
    "Entry": {"key": (1, "bytes"), "value": (2, "@Attr")},
    "Node": {"name": (1, "bytes"), "op": (2, "bytes"), "input": (3, "*bytes"), "attr": (5, "*@Entry")},
    "Graph": {"node": (1, "*@Node")},
}


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One operation of a GraphDef.

    `inputs` are names of operations with the number of the output that is read; control inputs are left out.
    `attributes` are plain values: bool, int, float, text, lists of these, shapes as tuples (-1 for an unknown
    side, None for an unknown rank) and arrays. A string tensor is None.
    """

    name: str
    op: str
    inputs: tuple[tuple[str, int], ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


def read_graphdef(path: str | Path) -> dict[str, GraphNode]:
    """Read the operations of a frozen graph, by name and in the order of the file.

    Parameters
    ----------
    path
        A binary GraphDef (``.pb``).

    Returns
    -------
    dict
        Operations by name. Their inputs are among them.

    Raises
    ------
    MissingFileError
        No such file.
    MissingExtraError
        protobuf is not installed.
    WeightsError
        It is cut short, of another kind, too large, or contradicts itself.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"reading a graph: {path} does not exist.", hint="Check the path.")
    if path.is_dir():
        raise WeightsError(
            f"reading a graph: {path} is a folder; a file with one frozen graph is wanted.",
            hint=f"A SavedModel holds its weights in other files. {_FREEZE}",
        )
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise WeightsError(f"reading a graph: {path.name} has {size:,} bytes, the limit is {MAX_FILE_BYTES:,}.")
    message = _message_class("Graph")()
    try:
        message.ParseFromString(path.read_bytes())
    except PermissionError as error:
        raise WeightsError(f"reading a graph: {path.name}: {error.strerror}.") from error
    except Exception as error:
        # protobuf's classes of errors are its own
        hint = "Fetch it again and compare its size or sha256 with the source's."
        if path.suffix == ".pbtxt":
            hint = "A graph as text is not read: write it as a binary GraphDef."
        raise WeightsError(
            f"reading a graph: {path.name} ({size:,} bytes) is cut short or not a binary GraphDef.", hint=hint
        ) from error
    if not message.node:
        hint = "It is called a file of ONNX: use `circuitgraph import onnx`." if path.suffix == ".onnx" else _FREEZE
        raise WeightsError(f"reading a graph: {path.name} ({size:,} bytes) holds no operations.", hint=hint)
    nodes: dict[str, GraphNode] = {}
    budget = MAX_BYTES
    for written in message.node:
        node = _node(written, path.name)
        if node.name in nodes:
            raise WeightsError(f"reading a graph: {path.name} has two operations called {node.name!r}.")
        nodes[node.name] = node
        value = node.attributes.get("value")
        # a repeated value takes no memory of its own
        budget -= value.nbytes if isinstance(value, np.ndarray) and 0 not in value.strides else 0
        if budget < 0:
            raise WeightsError(f"reading a graph: the constants of {path.name} take more than {MAX_BYTES:,} bytes.")
    for node in nodes.values():
        for source, _ in node.inputs:
            if source not in nodes:
                raise WeightsError(
                    f"reading a graph: in {path.name} {node.op} {node.name!r} reads {source!r}, which is not in it.",
                    hint="The file is part of a graph; write the whole of it.",
                )
    return nodes


@cache
def _message_class(name: str) -> Any:
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError:
        raise MissingExtraError(
            "reading a graph: GraphDef files need the package protobuf, which is not installed.",
            hint="pip install 'feature-circuitgraph[graphdef]'",
        ) from None
    file = descriptor_pb2.FileDescriptorProto(
        name="circuitgraph/graphdef.proto", package="circuitgraph", syntax="proto3"
    )
    kinds = descriptor_pb2.FieldDescriptorProto
    for title, fields in _MESSAGES.items():
        message = file.message_type.add(name=title)
        for own, (number, kind) in fields.items():
            is_list, base = kind.startswith("*"), kind.removeprefix("*")
            one = message.field.add(name=own, number=number)
            one.label = kinds.LABEL_REPEATED if is_list else kinds.LABEL_OPTIONAL
            if base.startswith("@"):
                one.type, one.type_name = kinds.TYPE_MESSAGE, f".circuitgraph.{base[1:]}"
            else:
                one.type = getattr(kinds, f"TYPE_{base.upper()}")
        if title == "Attr":
            # which of them was written matters, zero or not
            message.oneof_decl.add(name="value")
            for one in message.field:
                one.oneof_index = 0
    # a pool of our own, so that TensorFlow's messages may be there too
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"circuitgraph.{name}"))


def _node(written: Any, file: str) -> GraphNode:
    name, op = _text(written.name), _text(written.op)
    inputs = []
    for source in map(_text, written.input):
        if source.startswith("^"):
            continue
        base, _, number = source.partition(":")
        if number and not (number.isascii() and number.isdigit() and len(number) < 6):
            raise WeightsError(f"reading a graph: in {file} {op} {name!r} reads {source!r}, which is no output.")
        inputs.append((base, int(number or 0)))
    attributes = {_text(entry.key): _attribute(entry.value, f"{op} {name!r} in {file}") for entry in written.attr}
    return GraphNode(name, op, tuple(inputs), attributes)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _attribute(value: Any, where: str) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    own = getattr(value, kind)
    if kind == "s":
        return _text(own)
    if kind == "shape":
        return _shape(own, where)
    if kind == "tensor":
        return _array(own, where)
    if kind == "list":
        return [*map(_text, own.s), *own.i, *own.f, *own.b]
    return own


def _shape(shape: Any, where: str) -> tuple[int, ...] | None:
    if shape.unknown_rank:
        return None
    sides = tuple(int(dim.size) for dim in shape.dim)
    if len(sides) > _MAX_RANK or any(side < -1 for side in sides):
        raise WeightsError(f"reading a graph: {where} has the shape {sides[: _MAX_RANK + 1]}, which none can have.")
    return sides


def _array(tensor: Any, where: str) -> NDArray[Any] | None:
    """Read a tensor; None for one of strings or of a type that holds no weights."""
    if tensor.dtype not in _ARRAYS:
        return None
    code, listed = _ARRAYS[tensor.dtype]
    shape = _shape(tensor.tensor_shape, where)
    if shape is None or -1 in shape:
        raise WeightsError(f"reading a graph: the constant of {where} has no shape.")
    count = math.prod(shape)
    if tensor.tensor_content:
        wanted = count * np.dtype(code).itemsize
        if len(tensor.tensor_content) != wanted:
            raise WeightsError(
                f"reading a graph: the constant of {where} claims the shape {shape}, {wanted:,} bytes, "
                f"but has {len(tensor.tensor_content):,}.",
                hint="Fetch the file again and compare its size or sha256 with the source's.",
            )
        values = np.frombuffer(tensor.tensor_content, dtype=code)
    else:
        own = getattr(tensor, listed)
        if tensor.dtype in (_BFLOAT16, _HALF):
            values = (np.asarray(own, dtype=np.int64) & 0xFFFF).astype("<u2").view(code)
        else:
            values = np.asarray(own).astype(code)
        if len(values) > count:
            raise WeightsError(
                f"reading a graph: the constant of {where} claims the shape {shape}, {count:,} values, "
                f"but has {len(values):,}."
            )
    if tensor.dtype == _BFLOAT16:
        values = (values.astype("<u4") << 16).view("<f4")
    elif tensor.dtype == _HALF:
        values = values.astype("<f4")
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    return _filled(values, shape, where)


def _filled(values: NDArray[Any], shape: tuple[int, ...], where: str) -> NDArray[Any]:
    """Lay values out in a shape; those that are not written are the last one again."""
    count = math.prod(shape)
    if len(values) == count:
        return values.reshape(shape)
    if count > _MOST_REPEATED:
        raise WeightsError(
            f"reading a graph: the constant of {where} claims the shape {shape}, {count:,} values, "
            f"but has {len(values):,}.",
            hint="Fetch the file again and compare its size or sha256 with the source's.",
        )
    if len(values) < 2:
        return np.broadcast_to(values[0] if len(values) else np.zeros((), values.dtype), shape)
    return np.concatenate([values, np.full(count - len(values), values[-1])]).reshape(shape)
