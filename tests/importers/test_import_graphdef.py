"""Frozen TensorFlow graphs: the kernels are those of the graph run by other code, and what cannot be read is said."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from circuitgraph.errors import (
    UnsupportedOperationError,
)
from importers import Linearisation, import_graphdef, import_torch
from importers.expand import Expansion
from importers.graphdef_file import read_graphdef
from importers.graphdef_linearise import linearise_graph
from importers.unit_layers import choose_unit_layers
from tests.importers.graph_oracle import worst_errors
from tests.importers.graphs import SIZES, Graph, inception_v1
from tests.importers.inception_torch import InceptionV1

TOLERANCE = 1e-6
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
def test_inception_agrees_with_gradients(tmp_path, options):
    graph, _, path = inception(tmp_path, **options)
    expanded, _ = expand(path, (3, 224, 224))
    # 7x7 maps have no position that a 7x7 window leaves free
    for name in ("mixed5a", "mixed5b"):
        del expanded[name]
    del expanded["softmax2_pre_activation"]
    kernel, bias, pairs = worst_errors(graph, expanded, "input", (3, 224, 224), rows=1)
    assert len(pairs) == len(expanded) == 10
    assert kernel <= TOLERANCE
    assert bias <= TOLERANCE


def test_a_local_response_norm_needs_a_choice(tmp_path):
    _, _, path = inception(tmp_path, thin=16, classes=4, head=4)
    with pytest.raises(UnsupportedOperationError) as caught:
        import_graphdef(path, out=tmp_path / "out.circuit", input_shape=(3, 224, 224))
    assert "LRN at 'localresponsenorm0'" in caught.value.message
    assert "--norm-gain 1" in caught.value.hint
    assert not (tmp_path / "out.circuit").exists()
