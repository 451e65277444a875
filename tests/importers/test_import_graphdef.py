"""Frozen TensorFlow graphs: the kernels are those of the graph run by other code, and what cannot be read is said."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest

from circuitgraph.errors import (
    CircuitGraphError,
    MappingError,
    MissingExtraError,
    MissingFileError,
    NonFiniteError,
    ShapeError,
    TraceError,
    UnsupportedOperationError,
    WeightsError,
)
from importers import Linearisation, import_graphdef, import_torch
from importers.expand import Expansion
from importers.graphdef_file import _message_class, read_graphdef
from importers.graphdef_linearise import linearise_graph
from importers.unit_layers import choose_unit_layers
from tests.importers.graph_oracle import worst_errors
from tests.importers.graphs import SIZES, Graph, inception_v1, number, shape_bytes, tagged
from tests.importers.inception_torch import InceptionV1

TOLERANCE = 1e-6
FLOAT = number(6, 1)
DROPPED = Linearisation(norm_gain=1.0)


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def expand(path, shape, units="auto", linearisation=DROPPED, **options):
    found = linearise_graph(read_graphdef(path), input_shape=shape, **options)
    layers, _ = choose_unit_layers(found.graph, "net", units)
    operations = {name.replace("/", "."): name for name in read_graphdef(path)}
    names = {own.tensor: operations.get(own.layer.name, own.layer.name) for own in layers}
    expansion = Expansion(found.graph, names, linearisation=linearisation)
    return {names[target]: expansion.expand_layer(target) for target in expansion.targets}, found


def check(graph, tmp_path, shape, units="auto", *, form="NHWC"):
    """Compare a graph's kernels with gradients; returns the blocks by pair."""
    path = graph.write(tmp_path / "graph.pb")
    expanded, found = expand(path, shape, units)
    kernel, bias, pairs = worst_errors(graph, expanded, found.input_name, shape, form=form)
    assert pairs
    assert kernel <= TOLERANCE
    assert bias <= TOLERANCE
    return {(block.up, layer): block for layer, (_, blocks) in expanded.items() for block in blocks}


@pytest.mark.parametrize("size", [(16, 16), (17, 17), (18, 21), (15, 20)])
@pytest.mark.parametrize(
    ("window", "stride", "dilation"),
    [((7, 7), (2, 2), 1), ((3, 3), (2, 2), 1), ((2, 2), (2, 1), 1), ((5, 3), (1, 3), 1), ((3, 3), (1, 1), 2)],
)
def test_same_padding_depends_on_the_size(tmp_path, size, window, stride, dilation):
    rng, graph = np.random.default_rng(sum(size) + sum(window)), Graph()
    x = graph.conv(
        "c", graph.placeholder(), normal(rng, *window, 2, 3), stride=stride, dilations=[1, *[dilation] * 2, 1]
    )
    x = graph.op("Relu", "first", graph.bias("b", x, normal(rng, 3)))
    x = graph.pool("MaxPool", "p", x, window=(3, 3), stride=(2, 2))
    graph.conv("last", x, normal(rng, 1, 1, 3, 2))
    blocks = check(graph, tmp_path, (2, *size))
    for axis in (0, 1):
        reach = dilation * (window[axis] - 1) + 1
        steps = -(-size[axis] // stride[axis])
        before = max((steps - 1) * stride[axis] + reach - size[axis], 0) // 2
        assert blocks["input", "first"].offset[axis] == -before


def test_the_offsets_of_inceptions_first_steps_at_224(tmp_path):
    rng, graph = np.random.default_rng(0), Graph()
    x = graph.conv("c", graph.placeholder(), normal(rng, 7, 7, 3, 4), stride=(2, 2))
    x = graph.pool("MaxPool", "p", graph.op("Relu", "first", x), window=(3, 3), stride=(2, 2))
    graph.op("Relu", "second", graph.conv("d", x, normal(rng, 1, 1, 4, 2)))
    blocks = check(graph, tmp_path, (3, 224, 224))
    assert blocks["input", "first"].offset == (-2, -2)
    assert blocks["first", "second"].offset == (0, 0)
    assert blocks["first", "second"].stride == (2, 2)


@pytest.mark.parametrize("form", ["NHWC", "NCHW"])
def test_a_net_of_every_step_agrees_with_gradients_in_both_orders_of_axes(tmp_path, form):
    rng, graph = np.random.default_rng(3), Graph()
    sides = [1, -1, -1, 3] if form == "NHWC" else [1, 3, -1, -1]
    around = [0, 0, 0, 2, 1, 0, 0, 0] if form == "NHWC" else [0, 0, 0, 0, 0, 2, 1, 0]
    axis = 3 if form == "NHWC" else 1
    x = graph.op("Sub", "centred", graph.placeholder("image", sides), graph.const("mean", np.float32(117)))
    x = graph.conv(
        "c0", x, normal(rng, 3, 5, 3, 6), stride=(2, 1), padding="EXPLICIT", form=form, explicit_paddings=around
    )
    x = graph.op("Relu6", "a", graph.bias("b0", x, normal(rng, 6), data_format=form))
    depthwise = graph.conv("c1", x, normal(rng, 3, 3, 6, 2), kind="DepthwiseConv2dNative", form=form)
    values = [graph.const(f"n{i}", rng.uniform(0.5, 2, size=12).astype(np.float32)) for i in range(4)]
    x = graph.op(
        "FusedBatchNormV3",
        "norm",
        depthwise,
        *values,
        epsilon=0.001,
        is_training=False,
        data_format=form,
        exponential_avg_factor=1.0,
    )
    x = graph.op("CheckNumerics", "checked", graph.op("Relu", "b", x), message="bad")
    left, right = (
        graph.op("Relu", f"r{i}", graph.conv(f"s{i}", x, normal(rng, i, i, 12, 4), form=form)) for i in (1, 3)
    )
    x = graph.op("ConcatV2", "both", left, right, graph.const("axis", axis))
    grouped = graph.conv("g", x, normal(rng, 3, 3, 4, 8), padding="VALID", form=form)
    begin, extent = ([0, 1, 1, 0], [1, 16, 27, 8]) if form == "NHWC" else ([0, 0, 1, 1], [1, 8, 16, 27])
    cropped = graph.op("Slice", "crop", x, graph.const("at", begin), graph.const("of", extent))
    x = graph.op("Relu", "sum", graph.op("AddV2", "plus", grouped, cropped))
    x = graph.pool("AvgPool", "avg", x, window=(2, 2), stride=(2, 2), padding="VALID", form=form)
    x = graph.op("Relu", "top", graph.conv("t", x, normal(rng, 1, 1, 8, 5), form=form))
    x = graph.op("Mean", "mean_of_map", x, graph.const("axes", [1, 2] if form == "NHWC" else [2, 3]), keep_dims=False)
    x = graph.op("MatMul", "logits", x, graph.const("w", normal(rng, 4, 5)), transpose_b=True)
    graph.op("Softmax", "probabilities", graph.bias("logits_b", x, normal(rng, 4)))
    blocks = check(graph, tmp_path, (3, 36, 32), ["a", "b", "both", "sum", "top"], form=form)
    assert blocks["input", "a"].offset == (0, -1)
    assert blocks["input", "a"].stride == (2, 1)
    assert {("both", "sum"), ("top", "logits_b")} <= set(blocks)


def inception(tmp_path, **options):
    graph, weights = inception_v1(np.random.default_rng(11), **options)
    return graph, weights, graph.write(tmp_path / "inceptionv1.pb")


THIN = pytest.param({"thin": 8, "classes": 10, "head": 16}, id="thin")
WHOLE = pytest.param({}, id="whole", marks=pytest.mark.slow)


@pytest.mark.parametrize("options", [THIN, WHOLE])
def test_inception_has_the_layers_of_the_articles_and_the_kernels_of_the_same_network_in_torch(tmp_path, options):
    _, weights, path = inception(tmp_path, **options)
    given = {"input_shape": (3, 224, 224), "linearisation": DROPPED}
    units = [*SIZES, "softmax2_pre_activation"]
    module = InceptionV1(weights).eval()
    with (
        import_graphdef(path, out=tmp_path / "tf.circuit", **given) as ours,
        import_torch(module, network="inceptionv1", out=tmp_path / "torch.circuit", units=units, **given) as other,
    ):
        assert [layer.name for layer in ours.layers] == ["input", *SIZES, "softmax2_pre_activation"]
        if not options:
            assert [layer.unit_count for layer in ours.layers] == [3, *SIZES.values(), 1008]
        assert [layer.size for layer in ours.layers] == [layer.size for layer in other.layers]
        names = [layer.name for layer in ours.layers]
        for up, down in itertools.pairwise(names):
            own, wanted = ours.block(up, down), other.block(up, down)
            assert (own.form, own.offset, own.stride) == (wanted.form, wanted.offset, wanted.stride)
            assert np.linalg.norm(own.kernels - wanted.kernels) <= 1e-6 * np.linalg.norm(wanted.kernels)
            assert np.allclose(ours.bias(down), other.bias(down), rtol=1e-5, atol=1e-6)
        said = " ".join(ours.info.approximations)
        assert "output, output1" in said
        assert "softmax2" in said
        assert ours.info.input_shape == (3, 224, 224)
        assert ours.info.options["norm_gain"] == 1.0


@pytest.mark.parametrize("options", [THIN, WHOLE])
@pytest.mark.parametrize(("size", "layers"), [(224, list(SIZES)[:10]), (448, list(SIZES))])
def test_inception_agrees_with_gradients(tmp_path, options, size, layers):
    graph, _, path = inception(tmp_path, **options)
    # at 224 the last maps are 7x7 and have no position that a window leaves free
    expanded, _ = expand(path, (3, size, size), output_names=["mixed5b"])
    assert list(expanded) == list(SIZES)
    own = {layer: expanded[layer] for layer in layers}
    kernel, bias, pairs = worst_errors(graph, own, "input", (3, size, size), rows=1)
    assert [down for _, down in sorted(pairs, key=lambda pair: layers.index(pair[1]))] == layers
    assert kernel <= TOLERANCE
    assert bias <= TOLERANCE


def test_a_local_response_norm_needs_a_choice(tmp_path):
    _, _, path = inception(tmp_path, thin=16, classes=4, head=4)
    with pytest.raises(UnsupportedOperationError) as caught:
        import_graphdef(path, out=tmp_path / "out.circuit", input_shape=(3, 224, 224))
    assert "LRN at 'localresponsenorm0'" in caught.value.message
    assert "--norm-gain 1" in caught.value.hint
    assert not (tmp_path / "out.circuit").exists()


def test_a_kernel_shifted_by_one_cell_does_not_agree(tmp_path):
    rng, graph = np.random.default_rng(5), Graph()
    graph.op("Relu", "last", graph.conv("c", graph.placeholder(), normal(rng, 3, 3, 2, 3), stride=(2, 2)))
    expanded, _ = expand(graph.write(tmp_path / "g.pb"), (2, 16, 16))
    bias, (block,) = expanded["last"]
    shifted = dataclasses.replace(block, offset=(block.offset[0] + 1, block.offset[1]))
    assert worst_errors(graph, {"last": (bias, [block])}, "input", (2, 16, 16))[0] <= TOLERANCE
    assert worst_errors(graph, {"last": (bias, [shifted])}, "input", (2, 16, 16))[0] > 0.5


def test_a_map_flattened_position_by_position_is_read_in_its_own_order(tmp_path):
    rng, graph = np.random.default_rng(6), Graph()
    x = graph.op("Relu", "first", graph.conv("c", graph.placeholder(), normal(rng, 3, 3, 2, 4)))
    x = graph.pool("MaxPool", "pooled", x, window=(2, 2), stride=(2, 2))
    sides = graph.op("StridedSlice", "batch", graph.op("Shape", "shape", x), *bounds(graph, 0, 1), shrink_axis_mask=1)
    sides = graph.op("Pack", "sides", sides, graph.const("rest", -1), axis=0)
    x = graph.op("MatMul", "full", graph.op("Reshape", "flat", x, sides), graph.const("w", normal(rng, 3 * 5 * 4, 7)))
    graph.op("Identity", "out", graph.op("BiasAdd", "logits", x, graph.const("b", normal(rng, 7))))
    # the oracle is told the shape, the importer works it out
    graph.ops = {name: op for name, op in graph.ops.items() if name not in ("shape", "batch", "sides")}
    graph.ops["flat"] = ("Reshape", ("pooled", "plain"), {})
    graph.ops = {"plain": ("Const", (), {"value": np.array([1, 60])}), **graph.ops}
    blocks = check(graph, tmp_path, (2, 6, 10))
    assert blocks["pooled", "logits"].form == "spatial"


def bounds(graph, begin, end):
    return [
        graph.const(f"{what}_{begin}_{end}", [value]) for what, value in (("begin", begin), ("end", end), ("step", 1))
    ]


def test_a_channel_shuffle_and_chunks_are_read_off(tmp_path):
    rng, graph = np.random.default_rng(7), Graph()
    x = graph.op("Relu", "first", graph.conv("c", graph.placeholder(), normal(rng, 3, 3, 2, 6)))
    x = graph.op("Reshape", "grouped", x, graph.const("s0", [-1, 12, 12, 2, 3]))
    x = graph.op("Transpose", "turned", x, graph.const("s1", [0, 1, 2, 4, 3]))
    x = graph.op("Reshape", "shuffled", x, graph.const("s2", [1, 12, 12, 6]))
    graph.op("Split", "chunks", graph.const("axis", 3), x, num_split=2)
    left = graph.conv("left", "chunks", normal(rng, 3, 3, 3, 2))
    right = graph.op("Pad", "around", "chunks:1", graph.const("by", [[0, 0], [2, 1], [0, 3], [0, 0]]))
    right = graph.conv("right", right, normal(rng, 4, 4, 3, 2), padding="VALID")
    graph.op("Relu", "last", graph.op("Add", "sum", left, right))
    check(graph, tmp_path, (2, 12, 12))


def test_a_graph_that_turns_its_axes_on_the_way_is_followed(tmp_path):
    rng, graph = np.random.default_rng(8), Graph()
    x = graph.op("Transpose", "turn", graph.placeholder("x"), graph.const("to_first", [0, 3, 1, 2]))
    x = graph.op("Relu", "first", graph.conv("c", x, normal(rng, 3, 3, 3, 4), form="NCHW"))
    x = graph.op("Transpose", "back", x, graph.const("to_last", [0, 2, 3, 1]))
    graph.op("Relu", "last", graph.conv("d", x, normal(rng, 3, 3, 4, 5), stride=(2, 2)))
    path = graph.write(tmp_path / "g.pb")
    expanded, found = expand(path, (3, 12, 14))
    assert found.graph.nodes["input"].shape == (3, 12, 14)
    # kernels alone: the oracle lays all maps out in one order
    straight = Graph()
    y = straight.op("Relu", "first", straight.conv("c", straight.placeholder("x"), graph.ops["c_w"][2]["value"]))
    straight.op("Relu", "last", straight.conv("d", y, graph.ops["d_w"][2]["value"], stride=(2, 2)))
    kernel, _, pairs = worst_errors(straight, expanded, "x", (3, 12, 14))
    assert kernel <= TOLERANCE
    assert len(pairs) == 2


@pytest.mark.parametrize("way", ["divided and masked", "multiplied and masked", "chosen", "with a share that is fed"])
def test_a_dropout_that_remains_in_the_graph_does_nothing(tmp_path, way):
    rng, graph = np.random.default_rng(9), Graph()
    kernel = normal(rng, 3, 3, 2, 4)
    x = graph.op("Relu", "first", graph.conv("c", graph.placeholder(shape=[-1, 8, 8, 2]), kernel))
    fed = way == "with a share that is fed"
    keep = graph.placeholder("keep") if fed else graph.const("keep", np.float32(0.5))
    noise = graph.op("RandomUniform", "drop/random", graph.op("Shape", "drop/shape", x))
    if way == "chosen":
        mask = graph.op("GreaterEqual", "drop/mask", noise, keep)
        scaled = graph.op("Mul", "drop/scaled", x, graph.const("drop/scale", np.float32(2)))
        x = graph.op("SelectV2", "drop/chosen", mask, scaled, graph.const("drop/zero", np.float32(0)))
    elif way == "multiplied and masked":
        mask = graph.op("Cast", "drop/cast", graph.op("GreaterEqual", "drop/mask", noise, keep), DstT=FLOAT)
        scaled = graph.op("Mul", "drop/scaled", x, graph.const("drop/scale", np.float32(2)))
        x = graph.op("Mul", "drop/masked", scaled, mask)
    else:
        mask = graph.op("Floor", "drop/floor", graph.op("Add", "drop/add", noise, keep))
        x = graph.op("Mul", "drop/masked", graph.op("RealDiv", "drop/div", x, keep), mask)
    graph.op("Relu", "last", graph.conv("d", x, normal(rng, 1, 1, 4, 2)))
    expanded, _ = expand(graph.write(tmp_path / "g.pb"), (2, 8, 8))
    (block,) = expanded["last"][1]
    assert np.array_equal(block.kernels, graph.ops["d_w"][2]["value"].transpose(3, 2, 0, 1))


def test_a_gain_that_is_no_dropouts_stays(tmp_path):
    rng, graph = np.random.default_rng(10), Graph()
    x = graph.op("Relu", "first", graph.conv("c", graph.placeholder(), normal(rng, 3, 3, 2, 4)))
    x = graph.op("Mul", "scale/by", x, graph.const("two", np.float32(2)))
    graph.op("Relu", "last", graph.conv("d", x, normal(rng, 1, 1, 4, 2)))
    blocks = check(graph, tmp_path, (2, 8, 8))
    assert np.allclose(blocks["first", "last"].kernels, 2 * graph.ops["d_w"][2]["value"].transpose(3, 2, 0, 1))


def test_weights_put_together_of_constants_are_computed(tmp_path):
    rng, graph = np.random.default_rng(12), Graph()
    kernel, gain = normal(rng, 3, 3, 2, 4), rng.uniform(0.5, 2, size=4).astype(np.float32)
    half = graph.op("Cast", "wide", graph.const("k", kernel.astype(np.float16)), DstT=FLOAT)
    folded = graph.op("Mul", "folded", graph.op("Identity", "read", half), graph.const("gain", gain))
    x = graph.op("Conv2D", "conv", graph.placeholder(), folded, strides=[1, 1, 1, 1], padding="SAME")
    scale = graph.op("Rsqrt", "rsqrt", graph.const("variance", gain))
    graph.op("Relu", "last", graph.op("Mul", "times", x, scale))
    expanded, _ = expand(graph.write(tmp_path / "g.pb"), (2, 8, 8))
    (block,) = expanded["last"][1]
    wanted = kernel.astype(np.float16).astype(np.float32) * gain / np.sqrt(gain)
    assert np.allclose(block.kernels, wanted.transpose(3, 2, 0, 1), rtol=1e-6)


def single(value, shape, kind=1, field=5):
    """A constant written as its one value, to be repeated, in the list of its type."""
    packed = np.float32(value).tobytes() if field == 5 else bytes([value])
    return tagged(
        8, number(1, kind) + tagged(2, b"".join(tagged(2, number(1, s)) for s in shape)) + tagged(field, packed)
    )


def test_a_constant_written_as_one_value_fills_its_shape(tmp_path):
    graph = Graph()
    graph.op("Const", "w", value=single(0.5, (3, 3, 2, 4)))
    x = graph.op("Conv2D", "conv", graph.placeholder(), "w", strides=[1, 1, 1, 1], padding="SAME")
    graph.op("Relu", "last", x)
    expanded, _ = expand(graph.write(tmp_path / "g.pb"), (2, 8, 8))
    assert np.array_equal(expanded["last"][1][0].kernels, np.full((4, 2, 3, 3), 0.5))


def conv_then(kind, *more, name="step", **attributes):
    def build(graph, rng):
        x = graph.op(
            "Relu", "first", graph.conv("c", graph.placeholder("input", [-1, 16, 16, 3]), normal(rng, 3, 3, 3, 4))
        )
        inputs = [graph.const(f"extra{i}", value) for i, value in enumerate(more)]
        x = graph.op(kind, name, x, *inputs, **attributes)
        graph.op("Relu", "last", graph.conv("d", x, normal(rng, 1, 1, 4, 2)))

    return build


ONES = [1, 1, 1, 1]
SLIDING = {"strides": ONES, "padding": "SAME"}
MEAN_IMAGE = np.arange(256, dtype=np.float32).reshape(16, 16, 1)
REFUSED = [
    (conv_then("Tanh"), "Tanh at 'step'", "no linear form"),
    (conv_then("Sigmoid"), "Sigmoid at 'step'", "no linear form"),
    (conv_then("LRN"), "LRN at 'step'", "neighbouring channels"),
    (conv_then("LeakyRelu"), "LeakyRelu at 'step'", "below zero"),
    (conv_then("Elu"), "Elu at 'step'", "identity"),
    (conv_then("ResizeBilinear", np.array([8, 8], np.int32)), "ResizeBilinear at 'step'", "no linear form"),
    (conv_then("SpaceToBatchND", np.array([2, 2], np.int32)), "SpaceToBatchND at 'step'", "no linear form"),
    (conv_then("MirrorPad", np.zeros((4, 2), np.int32)), "MirrorPad at 'step'", "no linear form"),
    (conv_then("PadV2", np.zeros((4, 2), np.int32), np.float32(3)), "PadV2 at 'step'", "pads with 3"),
    (conv_then("Mean", np.array([3], np.int32), keep_dims=True), "Mean at 'step'", "other axes"),
    (
        conv_then("Add", MEAN_IMAGE),
        "Add at 'step'",
        "differs by position",
    ),
    (conv_then("Transpose", np.array([0, 2, 1, 3], np.int32)), "at 'd'", "turns round"),
    (conv_then("Reshape", np.array([-1, 4], np.int32)), "Reshape at 'step'", "batch"),
    (conv_then("Conv2D", np.ones((3, 3, 4, 4), np.uint8), **SLIDING), "Conv2D at 'step'", "uint8"),
    (
        conv_then("Conv2D", np.ones((3, 3, 3, 4), np.float32), strides=ONES, padding="SAME"),
        "Conv2D at 'step'",
        "3 channels",
    ),
    (
        conv_then("Conv2D", np.ones((3, 3, 4, 4), np.float32), strides=ONES, padding="HALF"),
        "Conv2D at 'step'",
        "'HALF'",
    ),
    (
        conv_then("MaxPool", ksize=[1, 30, 30, 1], strides=ONES, padding="VALID"),
        "MaxPool at 'step'",
        "larger than its map",
    ),
    (conv_then("MaxPool", ksize=[1, 1, 1, 2], strides=ONES, padding="VALID"), "MaxPool at 'step'", "over channels"),
    (conv_then("FusedBatchNorm", *[np.ones(4, np.float32)] * 4), "FusedBatchNorm at 'step'", "in training"),
    (
        conv_then("FusedBatchNorm", *[np.ones(4, np.float32)] * 3, -np.ones(4, np.float32), is_training=False),
        "FusedBatchNorm at 'step'",
        "no data can give",
    ),
    (conv_then("ConcatV2", np.ones((1, 16, 16, 4), np.float32), np.int32(3)), "ConcatV2 at 'step'", "beside"),
]


@pytest.mark.parametrize(
    ("build", "place", "fact"), REFUSED, ids=[place.split()[0] + str(i) for i, (_, place, _) in enumerate(REFUSED)]
)
def test_a_step_without_a_linear_form_is_refused_by_operation_and_name(tmp_path, build, place, fact):
    graph = Graph()
    build(graph, np.random.default_rng(13))
    path = graph.write(tmp_path / "net.pb")
    with pytest.raises(UnsupportedOperationError) as caught:
        import_graphdef(path, out=tmp_path / "net.circuit", network="net")
    assert place in caught.value.message
    assert fact in caught.value.message
    assert caught.value.hint
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.pb"]


def two_of(kind):
    def build(graph, rng):
        x = graph.op("Relu", "first", graph.conv("c", graph.placeholder(), normal(rng, 3, 3, 3, 4)))
        graph.op(kind, "step", x, graph.op("Relu", "other", graph.conv("d", x, normal(rng, 3, 3, 4, 4))))

    return build


@pytest.mark.parametrize(
    ("kind", "fact"),
    [("Mul", "product of two"), ("Sub", "difference of two"), ("RealDiv", "division by an activation")],
)
def test_activations_that_are_multiplied_are_refused(tmp_path, kind, fact):
    graph = Graph()
    two_of(kind)(graph, np.random.default_rng(14))
    with pytest.raises(UnsupportedOperationError, match=f"{kind} at 'step'.*{fact}"):
        import_graphdef(graph.write(tmp_path / "g.pb"), out=tmp_path / "out.circuit", input_shape=(3, 8, 8))


def plain(graph=None, shape=None):
    graph, rng = graph or Graph(), np.random.default_rng(15)
    x = graph.op("Relu", "first", graph.conv("c", graph.placeholder("image", shape), normal(rng, 3, 3, 3, 4)))
    graph.op("Relu", "scope/last", graph.conv("d", x, normal(rng, 1, 1, 4, 2)))
    return graph


def test_the_shape_of_the_input_is_the_graphs_own_or_asked_for(tmp_path):
    path = plain(shape=[-1, 20, 24, 3]).write(tmp_path / "g.pb")
    with import_graphdef(path, out=tmp_path / "g.circuit") as bundle:
        assert bundle.info.input_shape == (3, 20, 24)
        assert bundle.layers[-1].name == "scope.last"
        assert bundle.info.options["output_names"] == ["scope/last"]
    with pytest.raises(ShapeError, match="20x24x3, which is no order of 3x24x21"):
        import_graphdef(path, out=tmp_path / "h.circuit", input_shape=(3, 24, 21))
    path = plain().write(tmp_path / "free.pb")
    with pytest.raises(ShapeError) as caught:
        import_graphdef(path, out=tmp_path / "h.circuit")
    assert "--input 3x224x224" in caught.value.hint
    for wrong in ((3, 24), (0, 8, 8), (3, 8, 10**9)):
        with pytest.raises(ShapeError):
            import_graphdef(path, out=tmp_path / "h.circuit", input_shape=wrong)


def test_a_named_input_and_output_cut_the_graph(tmp_path):
    graph = Graph()
    bytes_in = graph.placeholder("jpeg", [])
    decoded = graph.op("DecodeJpeg", "decoded", bytes_in)
    x = graph.op("Mul", "Mul", graph.op("Cast", "cast", decoded, DstT=FLOAT), graph.const("scale", np.float32(1)))
    rng = np.random.default_rng(16)
    x = graph.op("Relu", "a/first", graph.conv("c", x, normal(rng, 3, 3, 3, 4)))
    x = graph.op("Relu", "a/second", graph.conv("d", x, normal(rng, 1, 1, 4, 2)))
    graph.op("Tanh", "last", x)
    path = graph.write(tmp_path / "g.pb")
    given = {"out": tmp_path / "g.circuit", "input_shape": (3, 9, 9)}
    with import_graphdef(path, input_name="Mul:0", output_names=["a/second"], **given) as bundle:
        assert [layer.name for layer in bundle.layers] == ["input", "a.first", "a.second"]
    with import_graphdef(
        path, input_name="Mul", output_names=["a.second"], units=["a/second"], replace=True, **given
    ) as bundle:
        assert [layer.name for layer in bundle.layers] == ["input", "a.second"]
    with pytest.raises(MappingError, match="did you mean a/second"):
        import_graphdef(path, input_name="Mul", output_names=["a/secnd"], **given)
    with pytest.raises(TraceError, match="does not depend on its input"):
        import_graphdef(path, input_name="a/second", output_names=["a/first"], **given)


def test_several_possible_inputs_are_named(tmp_path):
    graph = Graph()
    left, right = (graph.placeholder(name, [-1, 8, 8, 3]) for name in ("left", "right"))
    graph.op("Add", "sum", left, right)
    with pytest.raises(MappingError, match="any of left, right may be its input") as caught:
        import_graphdef(graph.write(tmp_path / "g.pb"), out=tmp_path / "g.circuit")
    assert "--input-name" in caught.value.hint


def loop():
    graph = plain()
    graph.op("Relu", "round", "about")
    graph.op("Add", "about", "round", "first")
    return graph, {"output_names": ["about"]}


def variable():
    graph = Graph()
    graph.op("VariableV2", "w")
    graph.op("Conv2D", "conv", graph.placeholder(), "w", strides=ONES, padding="SAME")
    return graph, {}


def not_finite():
    graph = Graph()
    graph.conv("c", graph.placeholder(), np.full((1, 1, 3, 2), np.nan, np.float32))
    return graph, {}


def two_of_a_name():
    graph = plain()
    graph.op("Relu", "first", "image")
    return graph, {}


def missing_source():
    graph = Graph()
    graph.op("Relu", "a", "nothing")
    return graph, {}


def wrong_output():
    graph = plain()
    graph.op("Relu", "a", "first:3")
    return graph, {"output_names": ["a"]}


def claims(shape, content=b"1234"):
    body = number(1, 1) + tagged(2, shape_bytes(shape)) + tagged(4, content)
    graph = Graph()
    graph.op("Const", "w", value=tagged(8, body))
    return graph, {}


def repeated(shape):
    graph = Graph()
    graph.op("Const", "w", value=single(1.0, shape))
    return graph, {}


@pytest.mark.parametrize(
    ("made", "error", "fact"),
    [
        (loop, TraceError, "part of a loop"),
        (variable, UnsupportedOperationError, "'w' is a variable"),
        (not_finite, NonFiniteError, "c_w has nan at [0, 0, 0, 0]"),
        (two_of_a_name, WeightsError, "two operations called 'first'"),
        (missing_source, WeightsError, "reads 'nothing', which is not in it"),
        (wrong_output, UnsupportedOperationError, "output 3 of 'first'"),
        (lambda: claims((2, 3)), WeightsError, "claims the shape (2, 3), 24 bytes, but has 4"),
        (lambda: claims((2**40, 2**40)), WeightsError, "claims the shape"),
        (lambda: repeated((2**40,)), WeightsError, "but has 1"),
        (lambda: claims((-5,)), WeightsError, "which none can have"),
        (lambda: (Graph(), {}), WeightsError, "holds no operations"),
    ],
    ids=["loop", "variable", "nan", "twice", "missing", "output", "short", "huge", "filled", "negative", "empty"],
)
def test_a_graph_that_contradicts_itself_is_refused(tmp_path, made, error, fact):
    graph, options = made()
    path = graph.write(tmp_path / "g.pb")
    with pytest.raises(error) as caught:
        import_graphdef(path, out=tmp_path / "g.circuit", input_shape=(3, 8, 8), **options)
    assert fact in caught.value.message
    assert [entry.name for entry in tmp_path.iterdir()] == ["g.pb"]


def test_any_part_of_a_file_is_read_or_refused_with_an_error_of_ours(tmp_path):
    whole = plain(shape=[-1, 8, 8, 3]).write(tmp_path / "g.pb").read_bytes()
    rng = np.random.default_rng(17)
    cut = tmp_path / "cut.pb"
    for _ in range(150):
        bad = bytearray(whole[: int(rng.integers(len(whole)))])
        for place in rng.integers(len(bad) or 1, size=int(rng.integers(3))):
            if bad:
                bad[place] = int(rng.integers(256))
        cut.write_bytes(bad)
        try:
            expand(cut, (3, 8, 8))
        except CircuitGraphError:
            continue


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(MissingFileError):
        read_graphdef(tmp_path / "none.pb")
    with pytest.raises(WeightsError, match="is a folder"):
        read_graphdef(tmp_path)
    (tmp_path / "g.pbtxt").write_text("node { name: 'a' op: 'Relu' }")
    with pytest.raises(WeightsError, match="not a binary GraphDef"):
        read_graphdef(tmp_path / "g.pbtxt")
    # a SavedModel begins with its version and has its graphs further in
    (tmp_path / "saved_model.pb").write_bytes(number(1, 1) + tagged(2, tagged(2, b"".join(plain().nodes))))
    with pytest.raises(WeightsError, match="holds no operations") as caught:
        read_graphdef(tmp_path / "saved_model.pb")
    assert "Freeze" in caught.value.hint


def test_a_map_times_its_own_sigmoid_and_a_gate_are_admitted_by_their_options_only(tmp_path):
    rng, graph = np.random.default_rng(18), Graph()
    x = graph.conv("c", graph.placeholder("input", [-1, 8, 8, 2]), normal(rng, 3, 3, 2, 4))
    x = graph.op("Mul", "swish", x, graph.op("Sigmoid", "sigmoid", x))
    squeezed = graph.op("Mean", "se/squeeze", x, graph.const("axes", [1, 2]), keep_dims=True)
    inner = graph.op("Relu", "se/inner", graph.conv("se/c", squeezed, normal(rng, 1, 1, 4, 2)))
    gate = graph.op("Sigmoid", "se/gate", graph.conv("se/d", inner, normal(rng, 1, 1, 2, 4)))
    x = graph.op("Mul", "se/excite", gate, x)
    graph.op("Relu", "last", graph.conv("d", x, normal(rng, 1, 1, 4, 3)))
    path = graph.write(tmp_path / "g.pb")
    with pytest.raises(UnsupportedOperationError, match=r"'(swish|se/excite)'"):
        import_graphdef(path, out=tmp_path / "g.circuit")
    chosen = Linearisation(smooth="identity", gate=0.5)
    with import_graphdef(path, out=tmp_path / "g.circuit", linearisation=chosen) as bundle:
        assert [layer.name for layer in bundle.layers] == ["input", "swish", "last"]
        own = graph.ops["d_w"][2]["value"].transpose(3, 2, 0, 1)
        assert np.allclose(bundle.block("swish", "last").kernels, 0.5 * own)
        assert any("gate=0.5" in said for said in bundle.info.approximations)
        assert any("silu" in said for said in bundle.info.approximations)
    gates = Linearisation(smooth="identity", gate={"se.gate": np.array([1.0, 2.0, 0.0, 0.5])})
    with import_graphdef(path, out=tmp_path / "g.circuit", linearisation=gates, replace=True) as bundle:
        assert np.allclose(bundle.block("swish", "last").kernels, own * np.array([1, 2, 0, 0.5])[:, None, None])


def test_without_protobuf_the_extra_is_named(tmp_path, monkeypatch):
    path = plain().write(tmp_path / "g.pb")
    _message_class.cache_clear()
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    with pytest.raises(MissingExtraError) as caught:
        read_graphdef(path)
    assert "feature-circuitgraph[graphdef]" in caught.value.hint


def test_a_frozen_graph_is_imported_without_torch_and_tensorflow(tmp_path):
    path = plain(shape=[-1, 8, 8, 3]).write(tmp_path / "g.pb")
    code = (
        "import sys; from importers import import_graphdef; "
        f"import_graphdef({str(path)!r}, out={str(tmp_path / 'g.circuit')!r}); "
        "print(sorted({'torch', 'tensorflow', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
