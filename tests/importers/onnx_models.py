"""ONNX networks made by hand, and an oracle for them: the file's own operations, run by onnx's reference code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from importers.expand import Expansion
from importers.linearisation import Linearisation
from importers.onnx_graph import linearise_onnx
from importers.unit_layers import choose_unit_layers

IGNORED = {"Relu", "LeakyRelu", "PRelu", "Clip", "Elu", "HardSwish", "Gelu", "Dropout"}


class Model:
    """A network in the making; every operation is called like its first output."""

    def __init__(self, shape: Sequence[int | str], *, opset: int = 20, seed: int = 0, name: str = "x") -> None:
        self.rng = np.random.default_rng(seed)
        self.shape, self.opset, self.input = shape, opset, name
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def normal(self, *shape: int) -> str:
        return self.constant(self.rng.normal(size=shape).astype(np.float32))

    def constant(self, values) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = np.asarray(values)
        return name

    def op(self, kind: str, name: str, *inputs: str, outputs: Sequence[str] = (), **attributes) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [name, *outputs], name=name, **attributes))
        return name

    def conv(self, name: str, x: str, *shape: int, **attributes) -> str:
        return self.op("Conv", name, x, self.normal(*shape), self.normal(shape[0]), **attributes)

    def proto(self, *outputs: str, inputs: Sequence[str] | None = None, cut: Mapping[str, Sequence[int]] | None = None):
        """Make the model; `cut` are tensors that are put in from outside, with their shapes."""
        given = {self.input: self.shape} if cut is None else cut
        graph = helper.make_graph(
            self.nodes,
            "made",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in given.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [numpy_helper.from_array(values, name) for name, values in self.constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)

    def write(self, path, *outputs: str):
        onnx.save(self.proto(*(outputs or self.nodes[-1].output[:1])), path)
        return path

    def computed(self, target: str, sources: Mapping[str, np.ndarray]) -> np.ndarray:
        """Run the linear twin from given sources to a target, with activations taken away and max pools averaged."""
        twin = Model(self.shape, opset=self.opset)
        needed, nodes = {target}, []
        for node in reversed(self.nodes):
            # a layer is what its activation is given, too
            if needed & set(node.output) and (node.output[0] == target or node.output[0] not in sources):
                nodes.append(node)
                needed |= set(node.input)
        twin.nodes = [_linear(node) for node in reversed(nodes)]
        twin.constants = {
            name: values.astype(np.float64) if values.dtype == np.float32 else values
            for name, values in self.constants.items()
        }
        model = twin.proto(target, cut={name: values.shape for name, values in sources.items()})
        (out,) = ReferenceEvaluator(model).run(None, {name: value for name, value in sources.items() if name in needed})
        return out


def _linear(node: onnx.NodeProto) -> onnx.NodeProto:
    if node.op_type in IGNORED:
        return helper.make_node("Identity", [node.input[0]], [node.output[0]])
    if node.op_type == "MaxPool":
        kept = {own.name: helper.get_attribute_value(own) for own in node.attribute}
        return helper.make_node("AveragePool", list(node.input), list(node.output), count_include_pad=1, **kept)
    return node


def expand(path, units="auto", input_shape=None, linearisation=None):
    graph = linearise_onnx(path, input_shape)
    layers, _ = choose_unit_layers(graph, "net", units)
    chosen = linearisation or Linearisation(smooth="identity", leaky="identity")
    expansion = Expansion(graph, {own.tensor: own.layer.name for own in layers}, linearisation=chosen)
    return {expansion.layers[target]: expansion.expand_layer(target) for target in expansion.targets}, layers


def worst_error(model: Model, path, units="auto", *, whole=False, channels_last=()) -> float:
    """Compare what the blocks predict of every layer with what the twin computes, from the same random maps.

    Only positions in the middle half of the map are compared, unless `whole`. `channels_last` are tensors that the
    file has in that order.
    """
    expanded, layers = expand(path, units)
    rng = np.random.default_rng(5)
    maps = {own.layer.name: rng.normal(size=(1, own.layer.unit_count, *own.layer.size)) for own in layers}
    worst = 0.0
    for target, (bias, blocks) in expanded.items():
        sources = {}
        for name in {"input", *(block.up for block in blocks)}:
            own = model.input if name == "input" else name
            value = maps[name].transpose(0, 2, 3, 1) if own in channels_last else maps[name]
            sources[own] = value[:, :, 0, 0] if len(model.shape) == 2 else value
        true = model.computed(target, sources)
        true = true.transpose(0, 3, 1, 2) if target in channels_last else true
        true = true[0].reshape(true.shape[1], -1, 1) if true.ndim == 2 else true[0]
        if true.ndim == 3 and true.shape[1:] != maps[target].shape[2:]:
            true = true.reshape(maps[target].shape[1:])
        guessed, known = _predicted(bias, blocks, maps, true.shape)
        for axis in (1, 2):
            quarter = 0 if whole else true.shape[axis] // 4
            at = np.arange(true.shape[axis])
            inside = (at >= quarter) & (at < true.shape[axis] - quarter)
            known &= inside[:, None] if axis == 1 else inside[None, :]
        assert known.any(), f"no position of {target} to compare"
        error = np.linalg.norm((guessed - true)[:, known]) / np.linalg.norm(true[:, known])
        worst = max(worst, float(error))
    return worst


def _predicted(bias, blocks, maps, shape):
    out = np.tile(bias.astype(np.float64)[:, None, None], (1, *shape[1:]))
    known = np.ones(shape[1:], dtype=bool)
    for block in blocks:
        source, kernels = maps[block.up][0], block.kernels.astype(np.float64)
        rows = slice(block.row_start, block.row_start + len(kernels))
        if block.form == "global":
            out[rows] += (kernels.reshape(len(kernels), -1) @ source.mean(axis=(1, 2)))[:, None, None]
            continue
        if block.form == "spatial":
            out[rows] += np.einsum("oiuv,iuv->o", kernels, source)[:, None, None]
            continue
        height, width = kernels.shape[-2:]
        for row in range(shape[1]):
            for col in range(shape[2]):
                top, left = block.offset[0] + block.stride[0] * row, block.offset[1] + block.stride[1] * col
                if top < 0 or left < 0 or top + height > source.shape[1] or left + width > source.shape[2]:
                    known[row, col] = False
                    continue
                window = source[:, top : top + height, left : left + width]
                if block.form == "diagonal":
                    picked = np.where((block.up_channels >= 0)[:, None, None], window[block.up_channels], 0)
                    out[rows, row, col] += (kernels * picked).sum(axis=(1, 2))
                else:
                    out[rows, row, col] += np.einsum("oiuv,iuv->o", kernels, window)
    return out, known
