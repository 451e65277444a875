"""An ``.onnx`` file as plain values: its operations, its constants, what goes in and what comes out.

Nothing in the file is run, and what it says of sizes is compared with the bytes that
are there. Constants in files beside it are read only from its own folder.

References
----------
Open Neural Network Exchange, ``onnx.proto`` and "External Data". https://onnx.ai/onnx/repo-docs/ExternalData.html
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import NodeProto, OperatorSetIdProto, TensorProto, helper, inliner, numpy_helper

from circuitgraph.errors import MissingFileError, TraceError, UnsafeFileError, WeightsError
from importers.weights.tensors import MAX_BYTES

__all__ = ["MAX_FILE_BYTES", "Constant", "OnnxFile", "Unread", "read_onnx"]

MAX_FILE_BYTES = 2 * 1024**3
"""The most that one protobuf message can take."""

_FETCH = "Fetch the file again and compare its size or sha256 with the source's."
_MAX_RANK = 16
_FLOATS = {TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE}
_WHOLE = {
    TensorProto.BOOL, TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64,
    TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unread:
    """A constant that is of no use here, and why; who needs it is refused."""

    reason: str


Constant = NDArray[Any] | Unread


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """What an ``.onnx`` file holds.

    `declared` is the shape of the input with the batch first, None where it may be any; None in its place where the
    file says nothing of it.
    """

    path: Path
    nodes: Sequence[NodeProto]
    opsets: Sequence[OperatorSetIdProto]
    ir_version: int
    producer: str
    input: str
    declared: tuple[int | None, ...] | None
    outputs: tuple[str, ...]
    constants: Mapping[str, Constant]

    @property
    def opset(self) -> int:
        """The version of the standard operations."""
        return next(int(own.version) for own in self.opsets if own.domain in ("", "ai.onnx"))

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        """The constants that are fractions."""
        return {
            name: value
            for name, value in self.constants.items()
            if isinstance(value, np.ndarray) and value.dtype.kind == "f"
        }


def read_onnx(path: str | Path) -> OnnxFile:
    """Read an ``.onnx`` file.

    Parameters
    ----------
    path
        The file; constants kept in files of their own are looked for in its folder.

    Raises
    ------
    MissingFileError
        There is no such file, or not one that it names.
    UnsafeFileError
        It names a file outside its folder.
    WeightsError
        It is cut short, no ONNX file, or its constants are not what it says.
    TraceError
        It has no input, or several.
    """
    path = Path(path)
    model = _parse(path)
    if model.functions:
        # operations made of others, as some exporters write them
        try:
            model = inliner.inline_local_functions(model)
        except Exception as error:
            raise WeightsError(f"reading {path.name}: its functions cannot be put in place: {_fact(error)}.") from error
    if not any(own.domain in ("", "ai.onnx") for own in model.opset_import):
        raise WeightsError(f"reading {path.name}: it does not say which version of the ONNX operations it uses.")
    graph = model.graph
    reader = _Reader(path)
    constants = {tensor.name: reader.read(tensor, tensor.name) for tensor in graph.initializer}
    constants |= {
        sparse.values.name: Unread("it is kept as a sparse tensor, which is not read")
        for sparse in graph.sparse_initializer
    }
    constants |= {
        node.output[0]: reader.read(own.t, node.output[0])
        for node in graph.node
        for own in node.attribute
        if node.op_type == "Constant" and own.name == "value" and node.output
    }
    name, declared = _input(graph, constants, path)
    _check_order(graph, {name, *constants}, path)
    return OnnxFile(
        path,
        tuple(graph.node),
        tuple(model.opset_import),
        model.ir_version,
        model.producer_name,
        name,
        declared,
        tuple(value.name for value in graph.output),
        constants,
    )


def _parse(path: Path) -> Any:
    if not path.exists():
        raise MissingFileError(f"reading {path}: it does not exist.", hint="Check the path of the .onnx file.")
    if not path.is_file():
        raise WeightsError(f"reading {path}: it is a folder, a file is wanted.", hint="Give the .onnx file in it.")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise WeightsError(
            f"reading {path.name}: it has {size:,} bytes, an ONNX file has at most {MAX_FILE_BYTES:,}.",
            hint="Save it with external data (onnx.save(model, path, save_as_external_data=True)).",
        )
    try:
        model = onnx.ModelProto.FromString(path.read_bytes())
    except DecodeError as error:
        raise WeightsError(
            f"reading {path.name} ({size:,} bytes): it is cut short or no ONNX file.", hint=_FETCH
        ) from error
    except OSError as error:
        raise WeightsError(f"reading {path.name}: {error.strerror}.") from error
    if not all(isinstance(word, str) for word in _words(model)):
        raise WeightsError(f"reading {path.name} ({size:,} bytes): a name in it is no text.", hint=_FETCH)
    if not model.graph.node or not model.graph.output:
        raise WeightsError(f"reading {path.name} ({size:,} bytes): it holds no network.", hint=_FETCH)
    return model


def _words(model: Any) -> Iterator[Any]:
    """Go through the names in a file; protobuf gives those that are no UTF-8 as bytes."""
    graph = model.graph
    yield model.producer_name
    for own in model.opset_import:
        yield own.domain
    for value in (*graph.input, *graph.output, *graph.initializer):
        yield value.name
    for tensor in graph.initializer:
        yield from (word for entry in tensor.external_data for word in (entry.key, entry.value))
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (own.name for own in node.attribute)
        yield from (word for entry in node.metadata_props for word in (entry.key, entry.value))


def _input(graph: Any, constants: Mapping[str, Constant], path: Path) -> tuple[str, tuple[int | None, ...] | None]:
    # older files list their constants among the inputs too
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise TraceError(
            f"reading {path.name}: it has {len(inputs)} inputs ({', '.join(value.name for value in inputs)}), "
            "1 is wanted: a batch of maps.",
            hint="Export the part of the network that takes maps only.",
        )
    kind = inputs[0].type
    if not kind.HasField("tensor_type"):
        raise TraceError(f"reading {path.name}: its input {inputs[0].name!r} is no tensor.")
    if not kind.tensor_type.HasField("shape"):
        return inputs[0].name, None
    sides = kind.tensor_type.shape.dim
    return inputs[0].name, tuple(
        int(side.dim_value) if side.HasField("dim_value") and side.dim_value > 0 else None for side in sides
    )


def _check_order(graph: Any, known: set[str], path: Path) -> None:
    """Check that whatever is read was made before, so that one pass over the operations is enough."""
    for node in graph.node:
        for name in node.input:
            if name and name not in known:
                raise WeightsError(
                    f"reading {path.name}: {node.op_type} {node.name!r} reads {name!r}, which nothing before it makes.",
                    hint=_FETCH,
                )
        known.update(node.output)
    missing = [value.name for value in graph.output if value.name not in known]
    if missing:
        raise WeightsError(f"reading {path.name}: nothing makes its output {missing[0]!r}.", hint=_FETCH)


class _Reader:
    """Reads constants out of a file and those beside it, `importers.weights.tensors.MAX_BYTES` in all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left = MAX_BYTES

    def read(self, tensor: TensorProto, name: str) -> Constant:
        """Read one constant; halves are widened to float32.

        Raises
        ------
        WeightsError
            Its bytes are not what its shape says, or there are too many.
        MissingFileError, UnsafeFileError
            The file that it is kept in is not there, or is none of the network's.
        """
        kind = tensor.data_type
        if kind not in _FLOATS | _WHOLE:
            known = kind in TensorProto.DataType.values()
            return Unread(f"{name} is of type {TensorProto.DataType.Name(kind) if known else kind}, which is not read")
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind))
        wanted = math.prod(tensor.dims) * dtype.itemsize
        if any(side < 0 for side in tensor.dims) or len(tensor.dims) > _MAX_RANK or wanted > self.left:
            raise WeightsError(
                f"reading {self.path.name}: {name} claims the shape {tuple(tensor.dims)}, {wanted:,} bytes; "
                f"{self.left:,} are left of the limit of {MAX_BYTES:,}.",
                hint=_FETCH,
            )
        self.left -= wanted
        if tensor.data_location == TensorProto.EXTERNAL:
            values = np.frombuffer(self._external(tensor, name, wanted), dtype=dtype.newbyteorder("<"))
            values = values.astype(dtype, copy=False).reshape(tuple(tensor.dims))
        else:
            values = self._inline(tensor, name, wanted)
        if kind in (TensorProto.FLOAT16, TensorProto.BFLOAT16):
            return values.astype(np.float32)
        return values

    def _inline(self, tensor: TensorProto, name: str, wanted: int) -> NDArray[Any]:
        if tensor.HasField("raw_data") and len(tensor.raw_data) != wanted:
            raise WeightsError(
                f"reading {self.path.name}: {name} of shape {tuple(tensor.dims)} takes {wanted:,} bytes, "
                f"it has {len(tensor.raw_data):,}.",
                hint=_FETCH,
            )
        try:
            return numpy_helper.to_array(tensor)
        except (ValueError, TypeError) as error:
            raise WeightsError(
                f"reading {self.path.name}: {name} of shape {tuple(tensor.dims)}: {_fact(error)}.", hint=_FETCH
            ) from error

    def _external(self, tensor: TensorProto, name: str, wanted: int) -> bytes:
        told = {entry.key: entry.value for entry in tensor.external_data}
        location = told.get("location", "")
        try:
            offset, length = int(told.get("offset") or 0), int(told.get("length") or wanted)
        except ValueError:
            offset = length = -1
        if offset < 0 or length != wanted:
            raise WeightsError(
                f"reading {self.path.name}: {name} of shape {tuple(tensor.dims)} takes {wanted:,} bytes, "
                f"it is said to be {told.get('length')!r} bytes from {told.get('offset')!r} of {location!r}.",
                hint=_FETCH,
            )
        file = self._beside(location, name)
        size = file.stat().st_size
        if offset + length > size:
            raise WeightsError(
                f"reading {self.path.name}: {name} ends at byte {offset + length:,} of {location}, which has {size:,}.",
                hint=_FETCH,
            )
        with file.open("rb") as stream:
            stream.seek(offset)
            return stream.read(length)

    def _beside(self, location: str, name: str) -> Path:
        folder = self.path.parent.resolve()
        try:
            file = (folder / location).resolve()
            outside = not location or Path(location).is_absolute() or not file.is_relative_to(folder)
        except (ValueError, OSError):
            outside = True
        if outside:
            raise UnsafeFileError(
                f"reading {self.path.name}: {name} is kept in {location!r}, which is not in the folder of the file; "
                "it was not opened.",
                hint="Copy the .onnx file and its data into one folder, without links.",
            )
        if not file.is_file():
            raise MissingFileError(
                f"reading {self.path.name}: {name} is kept in {location}, which is not beside it.",
                hint=f"Put {location} into the folder of {self.path.name}.",
            )
        return file


def _fact(error: Exception) -> str:
    words = str(error).strip().splitlines()
    return words[0][:200] if words else type(error).__name__
