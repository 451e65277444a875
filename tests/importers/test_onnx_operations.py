"""Hand-made ONNX files: kernels predict what onnx's own reference code computes, operation by operation."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from importers.onnx_graph import linearise_onnx
from tests.importers.onnx_models import Model, expand, worst_error

TOLERANCE = 1e-5


def check(model, tmp_path, units="auto", **options):
    path = model.write(tmp_path / "made.onnx")
    assert worst_error(model, path, units, **options) < TOLERANCE
    return expand(path, units)[0]


CONVS = {
    "pads that differ on all sides": {"pads": [1, 0, 3, 2]},
    "strides and dilations that differ": {"strides": [2, 1], "dilations": [1, 2], "pads": [2, 1, 0, 3]},
    "groups": {"group": 2, "pads": [1, 1, 1, 1]},
    "as much in front as behind": {"auto_pad": "SAME_UPPER"},
    "the odd cell behind": {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    "the odd cell in front": {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    "none": {"auto_pad": "VALID", "strides": [2, 3]},
    "padding of a dilated window": {"auto_pad": "SAME_LOWER", "dilations": [3, 2]},
}


@pytest.mark.parametrize("attributes", CONVS.values(), ids=CONVS)
@pytest.mark.parametrize("size", [(17, 20), (18, 19)])
def test_convolutions_are_padded_as_they_say(tmp_path, attributes, size):
    model = Model((1, 4, *size))
    x = model.conv("first", model.input, 6, 4 // attributes.get("group", 1), 3, 4, **attributes)
    x = model.op("Relu", "act", x)
    model.conv("last", x, 3, 6, 2, 2)
    check(model, tmp_path)


def test_same_padding_gives_the_offsets_that_the_size_asks_for(tmp_path):
    offsets = {}
    for rule in ("SAME_UPPER", "SAME_LOWER"):
        model = Model((1, 3, 224, 224))
        model.op("Relu", "act", model.conv("first", model.input, 2, 3, 7, 7, auto_pad=rule, strides=[2, 2]))
        (block,) = expand(model.write(tmp_path / "made.onnx"))[0]["act"][1]
        offsets[rule] = block.offset
    # 5 cells in all: 2 in front and 3 behind, or the other way round
    assert offsets == {"SAME_UPPER": (-2, -2), "SAME_LOWER": (-3, -3)}


POOLS = {
    "max": ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 2]}),
    "max of an odd map, rounded up": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    "max, padded in front": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 0, 0]}),
    "max, same": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "mean": ("AveragePool", {"kernel_shape": [2, 3], "strides": [1, 2], "pads": [1, 0, 0, 2]}),
    "mean, padding counted": (
        "AveragePool",
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1, "ceil_mode": 1},
    ),
    "mean, same": ("AveragePool", {"kernel_shape": [2, 2], "strides": [1, 1], "auto_pad": "SAME_LOWER"}),
}


@pytest.mark.parametrize(("kind", "attributes"), POOLS.values(), ids=POOLS)
def test_pools_slide_as_they_say(tmp_path, kind, attributes):
    model = Model((1, 3, 24, 27))
    x = model.op("Relu", "act", model.conv("first", model.input, 4, 3, 3, 3, pads=[1, 1, 1, 1]))
    x = model.op(kind, "pool", x, **attributes)
    model.conv("last", x, 5, 4, 3, 3, pads=[1, 1, 1, 1])
    check(model, tmp_path)


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("kind", ["GlobalAveragePool", "ReduceMean", "AveragePool"])
def test_a_mean_over_the_map_is_global(tmp_path, opset, keepdims, kind):
    model = Model((1, 3, 8, 8), opset=opset)
    x = model.op("Relu", "act", model.conv("first", model.input, 4, 3, 1, 1))
    if kind == "AveragePool":
        x = model.op(kind, "mean", x, kernel_shape=[8, 8])
    elif kind == "GlobalAveragePool":
        x = model.op(kind, "mean", x)
    elif opset == 13:
        x = model.op(kind, "mean", x, axes=[2, -1], keepdims=keepdims)
    else:
        x = model.op(kind, "mean", x, model.constant(np.array([-2, 3])), keepdims=keepdims)
    if kind != "ReduceMean" or keepdims:
        x = model.op("Flatten", "flat", x)
    model.op("Gemm", "fc", x, model.normal(5, 4), model.normal(5), transB=1)
    (block,) = check(model, tmp_path, whole=True)["fc"][1]
    assert block.form == "global"


def test_linear_layers_in_all_their_forms(tmp_path):
    model = Model((1, 6))
    x = model.op("Gemm", "a", model.input, model.normal(6, 5), model.normal(1, 5), alpha=0.5, beta=2.0)
    x = model.op("Gemm", "b", model.op("Relu", "ra", x), model.normal(7, 5), model.constant(np.float32(1)), transB=1)
    x = model.op("MatMul", "c", model.op("Relu", "rb", x), model.normal(7, 4))
    x = model.op("Relu", "rc", model.op("Add", "d", model.normal(4), x))
    model.op("Gemm", "e", x, model.normal(4, 3))
    check(model, tmp_path, "activations", whole=True)


def test_a_flattened_map_is_laid_out_by_channel_row_and_column(tmp_path):
    model = Model(("batch", 2, 6, 5))
    x = model.op("Relu", "act", model.conv("first", model.input, 3, 2, 3, 3))
    sides = model.op("Shape", "sides", x)
    batch = model.op("Gather", "batch_side", sides, model.constant(np.array(0)))
    batch = model.op("Unsqueeze", "batch_list", batch, model.constant(np.array([0])))
    shape = model.op("Concat", "wanted", batch, model.constant(np.array([-1])), axis=0)
    x = model.op("Reshape", "flat", x, shape)
    model.op("Gemm", "fc", x, model.normal(36, 4))
    blocks = check(model, tmp_path, whole=True)["fc"][1]
    assert [block.form for block in blocks] == ["spatial"]


def test_arithmetic_with_constants_and_of_two_maps(tmp_path):
    model = Model((1, 4, 9, 9))
    a = model.conv("a", model.input, 4, 4, 3, 3, pads=[1, 1, 1, 1])
    b = model.conv("b", model.input, 4, 4, 1, 1)
    a = model.op("Mul", "gain", a, model.normal(4, 1, 1))
    a = model.op("Add", "shift", model.normal(1, 4, 1, 1), a)
    b = model.op("Div", "half", b, model.constant(np.float32(2)))
    b = model.op("Sub", "turned", model.constant(np.float32(3)), b)
    x = model.op("Sub", "both", a, b)
    x = model.op("Sum", "three", x, model.op("Neg", "minus", a), b)
    x = model.op("Mean", "mean", x, a)
    statistics = [
        model.normal(4),
        model.normal(4),
        model.normal(4),
        model.constant(model.rng.uniform(0.5, 2, 4).astype("f")),
    ]
    x = model.op("BatchNormalization", "norm", x, *statistics, epsilon=0.01)
    model.op("Relu", "act", x)
    check(model, tmp_path)


def test_moved_entries_are_read_off(tmp_path):
    def at(*values):
        return model.constant(np.array(values))

    model = Model((1, 6, 12, 13))
    x = model.op("Relu", "act", model.conv("first", model.input, 8, 6, 3, 3, pads=[1, 1, 1, 1]))
    model.op("Split", "low", x, at(3, 5), outputs=["high"], axis=1)
    low = model.conv("mixed", "low", 4, 3, 3, 3)
    high = model.op("Slice", "cut", "high", at(1, 1), at(11, 12), at(2, 3))
    high = model.op("Gather", "picked", high, at(4, 0, 0, 2), axis=1)
    both = model.op("Concat", "both", low, high, axis=1)
    # a shuffle of two groups
    both = model.op("Reshape", "grouped", both, at(0, 2, 4, 10, 11))
    both = model.op("Transpose", "crossed", both, perm=[0, 2, 1, 3, 4])
    both = model.op("Reshape", "shuffled", both, at(1, -1, 10, 11))
    both = model.op("Pad", "padded", both, at(0, 1, 2, 0, 0, 2, 0, 1))
    both = model.op("Slice", "thinned", both, at(0, 1), at(100, 100), at(2, 3), at(2, 2))
    both = model.op("Unsqueeze", "wide", both, at(1))
    both = model.op("Squeeze", "narrow", both, at(1))
    model.conv("last", both, 3, 11, 2, 2)
    check(model, tmp_path)


def test_a_shortcut_of_a_strided_slice_and_padded_channels(tmp_path):
    model = Model((1, 3, 16, 16))
    x = model.op("Relu", "act", model.conv("first", model.input, 4, 3, 3, 3, pads=[1, 1, 1, 1]))
    long = model.conv("long", x, 8, 4, 3, 3, pads=[1, 1, 1, 1], strides=[2, 2])
    short = model.op("Slice", "short", x, *(model.constant(np.array(v)) for v in ([0, 0], [16, 16], [2, 3], [2, 2])))
    short = model.op("Pad", "wide", short, model.constant(np.array([0, 2, 0, 0, 0, 2, 0, 0])))
    model.op("Relu", "out", model.op("Add", "sum", long, short))
    check(model, tmp_path)


def test_channels_on_the_last_axis(tmp_path):
    model = Model((1, 14, 15, 3), name="images")
    x = model.op("Transpose", "turned", model.input, perm=[0, 3, 1, 2])
    x = model.op("Relu", "act", model.conv("first", x, 5, 3, 3, 3))
    x = model.op("Transpose", "back", x, perm=[0, 2, 3, 1])
    x = model.op("MatMul", "mix", x, model.normal(5, 6))
    x = model.op("Add", "bias", x, model.normal(6))
    x = model.op("LeakyRelu", "leaky", x, alpha=0.1)
    y = model.op("Mul", "gain", x, model.normal(6))
    x = model.op("Concat", "both", x, y, axis=3)
    x = model.op("ReduceMean", "mean", x, model.constant(np.array([1, 2])), keepdims=0)
    model.op("Gemm", "fc", x, model.normal(12, 4))
    path = model.write(tmp_path / "made.onnx")
    graph = linearise_onnx(path)
    assert graph.nodes["input"].shape == (3, 14, 15)
    assert graph.notes == ("the file's input is in the order (row, col, channel)",)
    assert worst_error(model, path, whole=True, channels_last=("images", "leaky")) < TOLERANCE


WRITTEN_OUT = {
    "silu": [("Sigmoid", "s", "x"), ("Mul", "out", "x", "s")],
    "hardswish": [("HardSigmoid", "s", "x"), ("Mul", "out", "s", "x")],
    "gelu": [
        ("Div", "d", "x", np.float32(2**0.5)), ("Erf", "e", "d"), ("Add", "p", "e", np.float32(1)),
        ("Mul", "m", "x", "p"), ("Mul", "out", "m", np.float32(0.5)),
    ],
    "mish": [("Softplus", "s", "x"), ("Tanh", "t", "s"), ("Mul", "out", "x", "t")],
}  # fmt: skip


@pytest.mark.parametrize("kind", WRITTEN_OUT)
def test_an_activation_that_is_written_out_is_one_step(tmp_path, kind):
    model = Model((1, 3, 10, 10))
    model.conv("x", model.input, 4, 3, 3, 3)
    for op, name, *inputs in WRITTEN_OUT[kind]:
        model.op(op, name, *(i if isinstance(i, str) else model.constant(i) for i in inputs))
    model.conv("last", "out", 2, 4, 1, 1)
    expanded, layers = expand(model.write(tmp_path / "made.onnx"))
    assert [own.layer.name for own in layers] == ["input", "out", "last"]
    (block,) = expanded["last"][1]
    assert np.allclose(block.kernels, model.constants["k" + str(len(model.constants) - 2)], atol=1e-6)
    assert block.approximations == ()
    assert expanded["out"][1][0].approximations == (f"{kind}=identity",)


def test_constants_are_found_wherever_the_file_keeps_them(tmp_path):
    weight = np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32)
    outside = tmp_path / "outside"
    outside.mkdir()
    kernels = {}
    for how in ("initialiser", "input too", "operation", "beside", "half", "computed"):
        model = Model((1, 3, 9, 9))
        name = model.constant(weight.astype(np.float16) if how == "half" else weight)
        if how == "computed":
            name = model.op("Identity", "same", name)
        if how == "half":
            name = model.op("Cast", "wide", name, to=TensorProto.FLOAT)
        model.op("Relu", "act", model.op("Conv", "conv", model.input, name))
        proto = model.proto("act")
        if how == "input too":
            proto.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, weight.shape))
        if how == "operation":
            proto.graph.node.insert(0, helper.make_node("Constant", [], [name], value=proto.graph.initializer[0]))
            del proto.graph.initializer[:]
        path = outside / f"{how}.onnx"
        if how == "beside":
            onnx.save(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
            assert path.stat().st_size < 600
        else:
            onnx.save(proto, path)
        kernels[how] = expand(path)[0]["act"][1][0].kernels
    for how, found in kernels.items():
        assert np.allclose(found, weight, atol=2e-3 if how == "half" else 0), how


def test_a_batch_that_the_file_fixes_is_no_trouble(tmp_path):
    model = Model((4, 3, 8, 8))
    x = model.op("Relu", "act", model.conv("first", model.input, 6, 3, 3, 3))
    for name, shape in (("grouped", [4, 2, 3, 6, 6]), ("back", [4, 6, 6, 6])):
        x = model.op("Reshape", name, x, model.constant(np.array(shape)))
        if name == "grouped":
            x = model.op("Transpose", "crossed", x, perm=[0, 2, 1, 3, 4])
    model.conv("last", x, 2, 6, 1, 1)
    expanded, _ = expand(model.write(tmp_path / "made.onnx"))
    weight = model.constants[model.nodes[-1].input[1]]
    assert np.array_equal(expanded["last"][1][0].kernels, weight[:, [0, 2, 4, 1, 3, 5]])


def test_functions_of_the_file_are_put_in_place(tmp_path):
    model = Model((1, 3, 8, 8))
    model.conv("first", model.input, 4, 3, 3, 3)
    model.nodes.append(helper.make_node("Block", ["first"], ["out"], name="out", domain="own"))
    proto = model.proto("out")
    proto.opset_import.append(helper.make_opsetid("own", 1))
    body = [helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Identity", ["b"], ["c"])]
    proto.functions.append(helper.make_function("own", "Block", ["a"], ["c"], body, [helper.make_opsetid("", 20)]))
    onnx.save(proto, tmp_path / "made.onnx")
    _, layers = expand(tmp_path / "made.onnx")
    assert len(layers) == 2
    assert layers[1].layer.kind == "activation"
