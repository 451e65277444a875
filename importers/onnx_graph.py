"""An ONNX file as a graph of linear steps.

Files of both of torch's exporters and of other programs are read. Operations that only
move entries are replayed on the entries' own numbers (`importers.onnx_values`), all
others have a rule each (`importers.onnx_ops`). Torch is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from circuitgraph.bundle import Bundle
from circuitgraph.errors import TraceError, UnsupportedOperationError
from circuitgraph.ids import slugify
from circuitgraph.progress import SILENT, Progress
from importers.bundling import write_expansion
from importers.expand import MAX_BLOCK_BYTES
from importers.linear_ops import (
    Flatten,
    Gate,
    Input,
    LinearGraph,
    MapShape,
    Node,
    Op,
    Unsupported,
    needed_by,
    without_head,
)
from importers.linearisation import DEFAULT, Linearisation
from importers.moved_entries import as_gather
from importers.onnx_file import Constant, OnnxFile, Unread, read_onnx
from importers.onnx_input import has_channels_last, settle_input
from importers.onnx_names import Scope, read_scopes, tensor_names
from importers.onnx_ops import REPLAYED, RULES
from importers.onnx_steps import NO_OPTION, Call, Data, Step, refuse
from importers.onnx_values import Evaluator
from importers.planning import Review
from importers.weights.tensors import check_finite, weights_sha256

__all__ = ["import_onnx", "linearise_onnx"]


def import_onnx(
    path: str | Path,
    *,
    out: str | Path,
    network: str | None = None,
    input_shape: Sequence[int] | None = None,
    units: str | Sequence[str] = "auto",
    linearisation: Linearisation = DEFAULT,
    max_block_bytes: int = MAX_BLOCK_BYTES,
    title: str = "",
    reference: str = "",
    replace: bool = False,
    skip_refused: bool = False,
    review: Review | None = None,
    progress: Progress = SILENT,
) -> Bundle:
    """Expand the weights of an ONNX file and write them as a bundle.

    Parameters
    ----------
    path
        The ``.onnx`` file; constants kept in files beside it are read from its folder only.
    out
        Where the bundle is to stand, by custom ``NAME.circuit``.
    network
        The network's id; by default the file's name.
    input_shape
        (channel, row, col), for a file that leaves rows and columns open.
    units
        Which layers are layers of units: "auto", "activations", or names (`importers.unit_layers`). Files from torch
        give the names that the module's layers have.
    linearisation
        What is taken for steps that are not linear (`importers.linearisation`); recorded on each edge.
    max_block_bytes
        The largest array of kernels that may be made.
    title, reference
        Words that go into the bundle.
    replace
        Whether a bundle that is there may be replaced.
    skip_refused
        Whether layers that cannot be expanded are left out, and named in the manifest, instead of ending the import.
    review
        Shown the plan before anything is computed or written (`importers.planning`).

    Returns
    -------
    Bundle
        Opened.

    Raises
    ------
    MissingFileError, UnsafeFileError, WeightsError, NonFiniteError
        The file cannot be read, or its weights are no weights.
    TraceError, ShapeError
        It takes something else than one batch of maps, or of another shape.
    MappingError, UnsupportedOperationError, BlockTooLargeError
        The network cannot be expanded as asked.
    BundleExistsError, DiskFullError
        The bundle cannot be written.
    """
    file = read_onnx(path)
    shape = settle_input(file, input_shape)
    # a single number may bound an activation by infinity
    check_finite({name: value for name, value in file.weights.items() if value.size > 1}, file.path.name)
    return write_expansion(
        _Builder(file, shape).build(),
        out=out,
        network=network or slugify(file.path.stem),
        architecture=f"onnx:{file.path.name}",
        source=file.path.name,
        sha256=weights_sha256(file.weights),
        input_shape=shape,
        importer="onnx",
        units=units,
        linearisation=linearisation,
        max_block_bytes=max_block_bytes,
        options={"opset": file.opset, "producer": file.producer},
        title=title,
        reference=reference,
        replace=replace,
        skip_refused=skip_refused,
        review=review,
        progress=progress,
    )


def linearise_onnx(path: str | Path, input_shape: Sequence[int] | None = None) -> LinearGraph:
    """Write the network of an ONNX file as linear steps.

    Parameters
    ----------
    path
        The file.
    input_shape
        (channel, row, col), for a file that leaves rows and columns open.

    Raises
    ------
    MissingFileError, UnsafeFileError, WeightsError, TraceError
        The file cannot be read, or takes something else than one batch of maps.
    ShapeError
        The shape of its input is open, or another than the one given.
    """
    file = read_onnx(path)
    return _Builder(file, settle_input(file, input_shape)).build()


class _Builder:
    """Walks over the operations once and makes the linear steps."""

    def __init__(self, file: OnnxFile, input_shape: MapShape) -> None:
        self.file = file
        self.input_shape = input_shape
        batch = file.declared[0] if file.declared else None
        self.evaluator = Evaluator(file, batch or 1)
        self.scopes: list[Scope] | None = read_scopes(file.nodes, file.producer, file.constants)
        self.nodes: dict[str, Node] = {}
        self.creators: dict[str, int] = {}
        self.values: dict[str, Data | Constant] = dict(file.constants)
        self.is_data: list[bool] = []
        self.notes: list[str] = []
        self.gates: list[str] = []

    def build(self) -> LinearGraph:
        """Make the graph."""
        self._input()
        for place, node in enumerate(self.file.nodes):
            self._visit(node, place)
        outputs = self._outputs()
        kept = needed_by(self.nodes, outputs)
        names = tensor_names(
            self.file.nodes,
            self.scopes,
            is_data=self.is_data,
            tensors=self._tensor,
            steps=self.nodes,
            creators=self.creators,
            outputs=self.file.outputs,
            kept=kept,
        )
        nodes = {name: node for name, node in self.nodes.items() if name in kept}
        return LinearGraph(nodes, outputs, names, tuple(self.notes))

    def _input(self) -> None:
        channels, rows, cols = self.input_shape
        self.nodes["input"] = Node("input", Input(), (), self.input_shape, "", "input")
        x = Data("input", self.input_shape, steps=self.nodes)
        if self.file.declared is not None and len(self.file.declared) == 2:
            x = Data("input", (channels,), steps=self.nodes)
        elif has_channels_last(self.file):
            x.index = np.arange(channels * rows * cols).reshape(self.input_shape).transpose(1, 2, 0)
            x.shape = (rows, cols, channels)
            self.notes.append("the file's input is in the order (row, col, channel)")
        self.values[self.file.input] = x

    def _visit(self, node: NodeProto, place: int) -> None:
        attributes = {own.name: helper.get_attribute_value(own) for own in node.attribute if own.type}
        inputs = [self.values[name] if name else None for name in node.input]
        call = Call(node, place, inputs, attributes, self.file.opset)
        on_data = any(isinstance(value, Data) for value in inputs)
        made: Sequence[Data | Constant]
        if node.op_type == "Constant" and node.output[0] in self.values:
            made = [self.values[node.output[0]]]
        elif not on_data:
            made = self.evaluator.fold(call)
        elif node.op_type == "Shape" and isinstance(inputs[0], Data):
            made = [self._sides(inputs[0], attributes)]
            on_data = False
        elif node.op_type == "Size" and isinstance(inputs[0], Data):
            made = [np.asarray(self._sides(inputs[0], {}).prod())]
            on_data = False
        else:
            made = self._data(call)
        self.is_data.append(on_data)
        for name, value in zip(node.output, made, strict=False):
            if isinstance(value, Data) and value.maker is None:
                value.maker = call
            self.values[name] = value

    def _sides(self, x: Data, attributes: Mapping[str, Any]) -> NDArray[np.int64]:
        sides = np.array([self.evaluator.batch, *x.shape], dtype=np.int64)
        return sides[slice(attributes.get("start", 0), attributes.get("end"))]

    def _data(self, call: Call) -> Sequence[Data | Constant]:
        others: list[Data | Constant] = [
            Unread(f"it is another result of {call.op_type}") for _ in call.node.output[1:]
        ]
        try:
            if call.node.domain in ("", "ai.onnx") and call.op_type in REPLAYED:
                return self.evaluator.replay(call)
            return [self._ruled(call), *others]
        except UnsupportedOperationError as error:
            refused = Unsupported(error.message, error.hint)
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
            # attributes and shapes that no operation of this kind has
            words = str(error).strip().splitlines()
            refused = Unsupported(f"it cannot be read: {words[0][:160] if words else type(error).__name__}")
        bases = [value.base for value in call.inputs if isinstance(value, Data)]
        return [self._emit(call, refused, bases, place) for place in range(max(1, len(call.node.output)))]

    def _ruled(self, call: Call) -> Data:
        rule = RULES.get(call.op_type) if call.node.domain in ("", "ai.onnx") else None
        if rule is None:
            domain = f" of {call.node.domain}" if call.node.domain not in ("", "ai.onnx") else ""
            raise refuse(f"the operation {call.op_type}{domain} has no linear form here", NO_OPTION)
        found = rule(call)
        return self._carry_out(call, found) if isinstance(found, Step) else found

    def _carry_out(self, call: Call, step: Step) -> Data:
        op = step.op
        if isinstance(op, Unsupported):
            return self._emit(call, op, [x.base for x in step.inputs if isinstance(x, Data)])
        if isinstance(op, Gate):
            path = self._where(call) or "mul"
            count = self.gates.count(path)
            self.gates.append(path)
            op = Gate(f"{path}#{count}" if count else path)
        inputs = [self._settle(call, x) for x in step.inputs]
        if step.like is None:
            return self._emit(call, op, inputs)
        rows, cols = step.like.base_shape[1:]
        wanted = self._shape(call)
        channels = wanted[-1] if wanted else step.like.shape[-1]
        made = self._add(call, op, inputs, (channels, rows, cols))
        made.shape = (*step.like.shape[:-1], channels)
        made.index = np.arange(rows * cols * channels).reshape(channels, -1).T.reshape(made.shape)
        return made

    def _shape(self, call: Call, place: int = 0) -> tuple[int, ...] | None:
        """Return the shape without the batch of what an operation gives."""
        shapes = self.evaluator.shapes(call)
        shape = shapes[place] if place < len(shapes) else None
        return None if not shape or shape[0] != self.evaluator.batch else shape[1:]

    def _emit(self, call: Call, op: Op, inputs: Sequence[str], place: int = 0) -> Data:
        shape = self._shape(call, place)
        if shape is not None and len(shape) in (1, 3) and min(shape) > 0:
            made = self._add(call, op, inputs, _map_shape(shape))
            made.shape = shape
            return made
        refused = op
        if not isinstance(op, Unsupported):
            refused = Unsupported(
                "the shape that it gives cannot be told"
                if shape is None
                else f"it gives the shape {shape} without the batch"
            )
        made = self._add(call, refused, inputs, (max(1, int(np.prod(shape or ()))), 1, 1))
        made.shape = shape or ()
        return made

    def _add(self, call: Call, op: Op, inputs: Sequence[str], shape: MapShape) -> Data:
        name = f"t{len(self.nodes)}"
        self.nodes[name] = Node(name, op, tuple(inputs), shape, self._where(call), call.op_type)
        self.creators[name] = call.place
        return Data(name, shape, maker=call, steps=self.nodes)

    def _where(self, call: Call) -> str:
        if self.scopes is not None:
            return self.scopes[call.place].path
        return str(call.node.name or next(iter(call.node.output), ""))

    def _settle(self, call: Call, x: Data | Step) -> str:
        """Return the name of a tensor, making the steps that it stands for."""
        if isinstance(x, Step):
            inputs = [self._settle(call, source) for source in x.inputs]
            return self._add(call, x.op, inputs, self.nodes[inputs[0]].shape).base
        if x.settled is None:
            try:
                x.settled = self._moved(call, x)
            except UnsupportedOperationError as error:
                # it is what moved the entries that is refused, not what reads them
                refused = Unsupported(error.message, error.hint)
                shape = _map_shape(x.shape) if len(x.shape) in (1, 3) else (max(1, int(np.prod(x.shape))), 1, 1)
                x.settled = self._add(x.maker or call, refused, [x.base], shape).base
        return x.settled

    def _moved(self, call: Call, x: Data) -> str:
        base = x.base_shape
        if len(x.shape) not in (1, 3):
            raise refuse(f"its input has the shape {x.shape} without the batch")
        if x.index is None:
            return x.base
        shape, flat = _map_shape(x.shape), x.index.ravel()
        if shape == base and np.array_equal(flat, np.arange(flat.size)):
            return x.base
        is_flattened = len(x.shape) == 1 and base[1:] != (1, 1)
        op: Op = Flatten(flat) if is_flattened else as_gather(x.index.reshape(shape), base)
        return self._add(x.maker or call, op, [x.base], shape).base

    def _tensor(self, name: str) -> str | None:
        """Return the tensor that a name of the file's is the whole of, if any."""
        value = self.values.get(name)
        if not isinstance(value, Data):
            return None
        return value.base if self._is_whole(value) else value.settled

    def _is_whole(self, x: Data) -> bool:
        if x.index is None or x.is_channels_last:
            return True
        if len(x.shape) != 1 and (len(x.shape) != 3 or _map_shape(x.shape) != x.base_shape):
            return False
        flat = x.index.ravel()
        if flat.size != np.prod(x.base_shape):
            return False
        order = flat if len(x.shape) != 1 or x.base_shape[1:] == (1, 1) else np.sort(flat)
        return bool(np.array_equal(order, np.arange(flat.size)))

    def _outputs(self) -> tuple[str, ...]:
        outputs: list[str] = []
        for name in self.file.outputs:
            value = self.values[name]
            if not isinstance(value, Data):
                self.notes.append(f"the output {name!r} is left out: it does not depend on the input")
                continue
            outputs.append(self._without_head(value))
        if not outputs:
            raise TraceError(f"reading {self.file.path.name}: its output does not depend on its input.")
        return tuple(dict.fromkeys(outputs))

    def _without_head(self, x: Data) -> str:
        # a flattened map as the output is the map itself
        if x.base == "input" or x.maker is None:
            raise TraceError(f"reading {self.file.path.name}: its output is its input, or entries of it.")
        name = x.base if self._is_whole(x) else self._settle(x.maker, x)
        return without_head(self.nodes, name, self.notes)


def _map_shape(shape: tuple[int, ...]) -> MapShape:
    return (shape[0], 1, 1) if len(shape) == 1 else (shape[0], shape[1], shape[2])
