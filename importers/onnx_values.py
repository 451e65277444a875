"""What ONNX operations give without a rule of ours: shapes, constants, moved entries.

Shapes are inferred by the onnx package by the file's own version of each operation.
What depends on no input is computed by its reference implementation, and so are
operations that only move entries, on the entries' own numbers.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, OperatorSetIdProto, TensorProto, TypeProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from importers.onnx_file import Constant, OnnxFile, Unread
from importers.onnx_steps import NO_OPTION, Call, Data, refuse

__all__ = ["MOST_ENTRIES", "MOST_MOVED", "Evaluator"]

MOST_ENTRIES = 2**28
"""The most numbers that a tensor which is computed from constants may have."""

MOST_MOVED = 2**26
"""The most entries, of all samples of the batch, that may be moved."""

# as shapes, axes and slices are
_SMALL = 4096
_RANDOM = frozenset(
    ["RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"]
)
_QUANTISED = frozenset(["DequantizeLinear", "QuantizeLinear", "DynamicQuantizeLinear"])


class Evaluator:
    """Evaluates operations of one file.

    Parameters
    ----------
    file
        The file.
    batch
        The size of the batch that shapes are for.
    """

    def __init__(self, file: OnnxFile, batch: int) -> None:
        self.batch = batch
        self.opsets: Sequence[OperatorSetIdProto] = file.opsets
        self.ir_version = file.ir_version
        self.versions = {("" if own.domain == "ai.onnx" else own.domain): int(own.version) for own in file.opsets}

    def shapes(self, call: Call) -> list[tuple[int, ...] | None]:
        """Infer the shapes of what an operation gives, with the batch; None where they cannot be told."""
        node = call.node
        unknown: list[tuple[int, ...] | None] = [None] * len(node.output)
        types: dict[str, TypeProto] = {}
        values: dict[str, TensorProto] = {}
        for name, value in zip(node.input, call.inputs, strict=True):
            if value is None:
                continue
            if isinstance(value, Unread):
                return unknown
            if isinstance(value, Data):
                types[name] = helper.make_tensor_type_proto(TensorProto.FLOAT, (self.batch, *value.shape))
                continue
            kind = helper.np_dtype_to_tensor_dtype(value.dtype)
            # halves were widened, and double constants meet data that is declared as float here
            kind = TensorProto.FLOAT if kind == TensorProto.DOUBLE else kind
            types[name] = helper.make_tensor_type_proto(kind, value.shape)
            if value.size <= _SMALL:
                own = value.astype(np.float32) if value.dtype == np.float64 else value
                values[name] = numpy_helper.from_array(np.ascontiguousarray(own), name)
        version = self.versions.get(node.domain)
        if version is None:
            return unknown
        try:
            schema = onnx.defs.get_schema(node.op_type, version, node.domain)
            found = shape_inference.infer_node_outputs(
                schema, node, types, values, opset_imports=list(self.opsets), ir_version=self.ir_version
            )
        except Exception:
            # no such operation, or inputs that do not fit it; who needs the shape says so
            return unknown
        return [_sides(found.get(name)) for name in node.output]

    def fold(self, call: Call) -> list[Constant]:
        """Compute what an operation on constants gives."""
        node = call.node
        named = f"{node.op_type} {node.name!r}"
        for value in call.inputs:
            if isinstance(value, Unread):
                return [value] * len(node.output)
        if node.op_type in _QUANTISED:
            reason = f"it comes of {named}, as in a quantised network; export the network before it is quantised"
            return [Unread(reason)] * len(node.output)
        if node.op_type in _RANDOM:
            return [Unread(f"{named} draws it at random")] * len(node.output)
        constants = [value for value in call.inputs if isinstance(value, np.ndarray)]
        if self._entries(call, constants) > MOST_ENTRIES:
            return [Unread(f"{named} gives more than {MOST_ENTRIES:,} numbers")] * len(node.output)
        try:
            named_inputs = zip(node.input, call.inputs, strict=True)
            given = {name: value for name, value in named_inputs if isinstance(value, np.ndarray)}
            return [_widened(np.asarray(value)) for value in self._run(node, given)]
        except Exception as error:
            # the reference implementation raises almost anything on what does not fit
            words = str(error).strip().splitlines()
            reason = f"{named} cannot be computed: {words[0][:160] if words else type(error).__name__}"
            return [Unread(reason)] * len(node.output)

    def _entries(self, call: Call, constants: Sequence[NDArray[Any]]) -> float:
        """Bound how many numbers an operation on constants gives, before it is run."""
        shapes = self.shapes(call)
        if all(shape is not None for shape in shapes):
            return sum(math.prod(shape) for shape in shapes if shape is not None)
        if call.op_type in (
            "Range",
            "ConstantOfShape",
            "Expand",
            "Tile",
            "Resize",
            "Upsample",
            "OneHot",
            "Pad",
            "Loop",
        ):
            return math.inf
        # what is left is about as large as what it is made of; a matrix product at most its square
        return float(max((value.size for value in constants), default=1)) ** (2 if call.op_type == "Einsum" else 1)

    def replay(self, call: Call) -> list[Data]:
        """Run an operation that only moves entries on the entries' own numbers.

        Raises
        ------
        UnsupportedOperationError
            It reads several tensors of data, fills in what is not zero, or mixes the batch with other axes.
        """
        node = call.node
        sources = [value for value in call.inputs if isinstance(value, Data)]
        if len(sources) != 1 or call.inputs[0] is not sources[0]:
            raise refuse("where it puts its entries depends on the input", NO_OPTION)
        source = sources[0]
        given: dict[str, NDArray[Any]] = {}
        for place, name in enumerate(node.input):
            if name and place:
                given[name] = call.constant(place, "second input")
        if node.op_type == "Pad":
            _check_padding(call)
        size = math.prod(source.base_shape)
        shapes = [shape for shape in self.shapes(call) if shape is not None]
        most = max(math.prod(shape) for shape in [(self.batch, *source.shape), *shapes])
        if most > MOST_MOVED:
            raise refuse(
                f"it moves {most:,} entries; the limit is {MOST_MOVED:,}",
                "Give a smaller --input, or export the network with a batch of 1.",
            )
        own = source.index
        if own is None:
            own = np.arange(math.prod(source.shape), dtype=np.int64).reshape(source.shape)
        # zero is for what is filled in; every sample of the batch has numbers of its own
        samples = [np.where(own < 0, 0, own + 1 + place * size) for place in range(self.batch)]
        given[node.input[0]] = np.stack(samples)
        try:
            moved = self._run(node, given)
        except Exception as error:
            words = str(error).strip().splitlines()
            raise refuse(f"its entries cannot be moved: {words[0][:160] if words else type(error).__name__}") from error
        return [self._first_sample(part, size, source) for part in moved]

    def _first_sample(self, part: NDArray[np.int64], size: int, source: Data) -> Data:
        if part.ndim < 1 or part.shape[0] != self.batch or part[:1].max(initial=0) > size:
            raise refuse("it mixes the batch with other axes", NO_OPTION)
        index = np.ascontiguousarray(part[0]).astype(np.int64) - 1
        return Data(source.base, tuple(index.shape), index, steps=source.steps)

    def _run(self, node: NodeProto, given: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        graph = helper.make_graph(
            [node],
            "one",
            [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in given],
            [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in node.output],
        )
        model = helper.make_model(graph, opset_imports=list(self.opsets), ir_version=self.ir_version)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return list(ReferenceEvaluator(model).run(None, dict(given)))


def _widened(values: NDArray[Any]) -> NDArray[Any]:
    """Halves (bfloat16 is no kind of numpy's own) as float32."""
    is_half = values.dtype == np.float16 or values.dtype.name == "bfloat16"
    return values.astype(np.float32) if is_half else values


def _check_padding(call: Call) -> None:
    mode = call.attributes.get("mode", b"constant").decode()
    value = call.attributes.get("value", 0.0) if call.opset < 11 else call.one(2, "value")
    if mode != "constant" or value:
        raise refuse(f"padding with {value if mode == 'constant' else mode!r}", "Only zero padding is expanded.")


def _sides(kind: TypeProto | None) -> tuple[int, ...] | None:
    if kind is None or not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    sides = kind.tensor_type.shape.dim
    if not all(side.HasField("dim_value") for side in sides):
        return None
    return tuple(int(side.dim_value) for side in sides)
