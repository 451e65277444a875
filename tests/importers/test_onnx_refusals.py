"""What an ONNX file may not be or hold: our own error names the place, the operation and the next step."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from circuitgraph.cli.main import cli
from circuitgraph.errors import (
    CircuitGraphError,
    MissingFileError,
    NonFiniteError,
    ShapeError,
    TraceError,
    UnsafeFileError,
    UnsupportedOperationError,
    WeightsError,
)
from importers import import_onnx
from importers.onnx_file import read_onnx
from importers.onnx_graph import linearise_onnx
from tests.importers.onnx_models import Model, expand


def refused(path, tmp_path, kind=CircuitGraphError, **options):
    out = tmp_path / "out.circuit"
    with pytest.raises(kind) as caught:
        import_onnx(path, out=out, **options)
    assert not list(tmp_path.glob("out.circuit*"))
    return caught.value


def around(*steps, channels=4, shape=(1, 4, 8, 8), opset=20):
    """Make a network with operations between two convolutions: (op, inputs besides the data, attributes)."""
    model = Model(shape, opset=opset)
    x = model.op("Relu", "act", model.conv("first", model.input, 4, 4, 3, 3, pads=[1, 1, 1, 1]))
    for place, (op, inputs, attributes) in enumerate(steps):
        given = [x if value is None else model.constant(value) for value in (inputs or [None])]
        x = model.op(op, f"body.{place}", *given, **attributes)
    model.conv("last", x, 2, channels, 1, 1)
    return model


FLOAT = np.float32
REFUSED = {
    "ConvTranspose": ([None, np.ones((4, 4, 2, 2), FLOAT)], {"strides": [2, 2]}, "its stride is a fraction"),
    "Resize": ([None, np.zeros(0, FLOAT), np.array([1, 1, 2, 2], FLOAT)], {}, "its stride is a fraction"),
    "DepthToSpace": (None, {"blocksize": 2}, "its stride is a fraction"),
    "SpaceToDepth": (None, {"blocksize": 2}, "no slice, padding or choice of channels"),
    "Tanh": (None, {}, "nowhere the identity"),
    "Sigmoid": (None, {}, "a sigmoid is nowhere the identity"),
    "Softmax": (None, {"axis": 1}, "divides by what all channels do"),
    "Selu": (None, {}, "not the identity above zero"),
    "InstanceNormalization": ([None, np.ones(4, FLOAT), np.ones(4, FLOAT)], {}, "differs from image to image"),
    "LpPool": (None, {"kernel_shape": [2, 2]}, "a mean of powers"),
    "GlobalMaxPool": (None, {}, "a maximum over the whole map"),
    "MaxPool": (None, {"kernel_shape": [2, 2], "dilations": [2, 2]}, "a dilated pool"),
    "Clip": ([None, FLOAT(-1), FLOAT(1)], {}, "it cuts at -1, not at 0"),
    "Pad": ([None, np.array([0, 0, 1, 1, 0, 0, 1, 1])], {"mode": "reflect"}, "padding with 'reflect'"),
    "QuantizeLinear": ([None, FLOAT(0.1), np.uint8(0)], {}, "as a quantised network does"),
    "Det": (None, {}, "the operation Det has no linear form here"),
    "Max": ([None, np.full((1, 4, 1, 1), 2, FLOAT)], {}, "a maximum"),
    "Mul": ([None, np.random.default_rng(0).normal(size=(8, 8)).astype(FLOAT)], {}, "differs by position"),
    "Transpose": (None, {"perm": [1, 0, 2, 3]}, "mixes the batch with other axes"),
    "CumSum": ([None, np.array(1)], {}, "has no linear form"),
    "Conv": ([None, np.ones((4, 3, 3, 3), FLOAT)], {}, "does not fit 4 channels"),
    "Cast": (None, {"to": 6}, "whole numbers"),
}


@pytest.mark.parametrize("op", REFUSED)
def test_what_is_not_linear_is_refused_by_name(op, tmp_path):
    inputs, attributes, reason = REFUSED[op]
    model = around((op, inputs, attributes), channels={"DepthToSpace": 1, "SpaceToDepth": 16}.get(op, 4))
    error = refused(model.write(tmp_path / "net.onnx"), tmp_path, UnsupportedOperationError)
    assert reason in error.message
    assert f"{op} at 'body.0'" in error.message
    assert error.hint


OPTIONAL = {
    "LeakyRelu": (None, {"alpha": 0.1}, "--leaky identity"),
    "PRelu": ([None, np.full((4, 1, 1), 0.1, FLOAT)], {}, "--leaky identity"),
    "Elu": (None, {}, "--smooth identity"),
    "HardSwish": (None, {}, "--smooth identity"),
    "Gelu": (None, {}, "--smooth identity"),
    "LRN": (None, {"size": 3}, "--norm-gain"),
}


@pytest.mark.parametrize("op", OPTIONAL)
def test_what_an_option_admits_is_refused_without_it(op, tmp_path):
    inputs, attributes, option = OPTIONAL[op]
    path = around((op, inputs, attributes)).write(tmp_path / "net.onnx")
    error = refused(path, tmp_path, UnsupportedOperationError)
    assert f"{op} at 'body.0'" in error.message
    assert option in error.hint


def test_a_quantised_convolution_is_refused_by_name(tmp_path):
    model = Model((1, 4, 8, 8))
    scale, zero = model.constant(FLOAT(0.1)), model.constant(np.uint8(0))
    x = model.op("QuantizeLinear", "q", model.input, scale, zero)
    weight = model.constant(np.ones((2, 4, 3, 3), np.uint8))
    x = model.op("QLinearConv", "conv", x, scale, zero, weight, scale, zero, scale, zero)
    model.op("DequantizeLinear", "back", x, scale, zero)
    error = refused(model.write(tmp_path / "net.onnx"), tmp_path, UnsupportedOperationError)
    assert "QuantizeLinear at 'q'" in error.message
    assert "before it is quantised" in error.hint


def test_weights_that_are_quantised_are_refused_by_name(tmp_path):
    model = Model((1, 4, 8, 8))
    packed = model.constant(np.ones((2, 4, 3, 3), np.int8))
    weight = model.op("DequantizeLinear", "unpacked", packed, model.constant(FLOAT(0.1)))
    model.op("Conv", "conv", model.input, weight)
    error = refused(model.write(tmp_path / "net.onnx"), tmp_path, UnsupportedOperationError)
    assert "Conv at 'conv': its weight cannot be had" in error.message
    assert "DequantizeLinear 'unpacked'" in error.message


def test_a_layer_that_is_refused_may_be_left_out(tmp_path):
    model = around(("Tanh", None, {}))
    model.op("Relu", "end", "last")
    bundle = import_onnx(model.write(tmp_path / "net.onnx"), out=tmp_path / "out.circuit", skip_refused=True)
    assert bundle.pairs == (("net/input", "net/act"),)
    assert [pair.down for pair in bundle.refused] == ["net/end"]


def test_a_product_of_two_activations_is_refused(tmp_path):
    model = Model((1, 4, 8, 8))
    x = model.conv("a", model.input, 4, 4, 3, 3)
    model.op("Mul", "product", x, model.conv("b", model.input, 4, 4, 3, 3))
    error = refused(model.write(tmp_path / "net.onnx"), tmp_path, UnsupportedOperationError)
    assert "Mul at 'product': a product of two activations is not linear" in error.message


def test_a_product_with_a_sigmoid_of_the_opposite_is_a_gate_and_no_silu(tmp_path):
    model = Model((1, 4, 8, 8))
    x = model.conv("a", model.input, 4, 4, 3, 3)
    product = model.op("Mul", "product", x, model.op("Sigmoid", "s", model.op("Neg", "opposite", x)))
    model.conv("last", product, 2, 4, 1, 1)
    error = refused(model.write(tmp_path / "net.onnx"), tmp_path, UnsupportedOperationError)
    assert "the gate" in error.message


def test_sequences_and_volumes_are_refused(tmp_path):
    for sides in ((1, 4, 9), (1, 4, 9, 9, 9)):
        model = Model(sides)
        model.op("Relu", "act", model.input)
        error = refused(model.write(tmp_path / "net.onnx"), tmp_path, TraceError)
        assert f"{len(sides)} axes" in error.message


def test_several_inputs_are_refused_and_named(tmp_path):
    model = Model((1, 3, 8, 8))
    model.op("Add", "sum", model.input, "other")
    onnx.save(model.proto("sum", cut={"x": (1, 3, 8, 8), "other": (1, 3, 8, 8)}), tmp_path / "net.onnx")
    error = refused(tmp_path / "net.onnx", tmp_path, TraceError)
    assert "2 inputs (x, other)" in error.message


def test_several_outputs_are_all_taken(tmp_path):
    model = Model((1, 3, 8, 8))
    x = model.op("Relu", "act", model.conv("first", model.input, 4, 3, 3, 3))
    model.conv("one", x, 2, 4, 1, 1)
    model.conv("two", x, 3, 4, 1, 1)
    model.op("Identity", "told", model.constant(FLOAT(1)))
    path = model.write(tmp_path / "net.onnx", "one", "two", "told")
    assert set(expand(path)[0]) == {"act", "one", "two"}
    assert linearise_onnx(path).notes == ("the output 'told' is left out: it does not depend on the input",)


def test_the_shape_of_an_open_input_must_be_given_and_fit(tmp_path):
    model = Model(("n", 3, "h", "w"))
    model.op("Relu", "act", model.conv("first", model.input, 4, 3, 3, 3))
    path = model.write(tmp_path / "net.onnx")
    error = refused(path, tmp_path, ShapeError)
    assert "?x3x?x?" in error.message
    assert "--input 3x224x224" in error.hint
    error = refused(path, tmp_path, ShapeError, input_shape=(4, 8, 8))
    assert "4x8x8" in error.message
    assert "3x?x?" in error.message
    refused(path, tmp_path, ShapeError, input_shape=(3, 8))
    assert import_onnx(path, out=tmp_path / "fine.circuit", input_shape=(3, 8, 8)).info.input_shape == (3, 8, 8)


def test_what_is_no_onnx_file_is_said_to_be_none(tmp_path):
    whole = around().write(tmp_path / "whole.onnx").read_bytes()
    contents = {
        "cut.onnx": whole[: len(whole) // 2],
        "text.onnx": b"this is no protobuf, but a few words",
        "empty.onnx": b"",
        "zeros.onnx": bytes(4096),
        "picture.onnx": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
        error = refused(tmp_path / name, tmp_path, WeightsError)
        assert name in error.message
        assert f"{len(data):,} bytes" in error.message
    refused(tmp_path / "none.onnx", tmp_path, MissingFileError)
    (tmp_path / "folder.onnx").mkdir()
    assert "a folder" in refused(tmp_path / "folder.onnx", tmp_path, WeightsError).message


def test_a_damaged_file_gives_no_error_but_ours(tmp_path):
    whole = around(("MaxPool", None, {"kernel_shape": [2, 2]})).write(tmp_path / "whole.onnx").read_bytes()
    rng = np.random.default_rng(0)
    outcomes = set()
    for place in range(150):
        data = bytearray(whole)
        for _ in range(3):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        path = tmp_path / "damaged.onnx"
        path.write_bytes(bytes(data[: int(rng.integers(1, len(data) + 1))] if place % 3 == 0 else data))
        try:
            expand(path)
            outcomes.add("read")
        except CircuitGraphError as error:
            outcomes.add(type(error).__name__)
    assert {"read", "WeightsError"} <= outcomes


def test_nan_in_the_weights_is_found_and_placed(tmp_path):
    model = around()
    model.constants["k0"][1, 2, 0, 1] = np.nan
    error = refused(model.write(tmp_path / "net.onnx"), tmp_path, NonFiniteError)
    assert "k0 has nan at [1, 2, 0, 1]" in error.message


def beside(tmp_path, **told):
    """Write a network whose kernels are in another file, and change what is said of that file."""
    model = Model((1, 3, 8, 8))
    model.op("Relu", "act", model.op("Conv", "conv", model.input, model.normal(4, 3, 3, 3)))
    folder = tmp_path / "folder"
    folder.mkdir(exist_ok=True)
    path = folder / "net.onnx"
    onnx.save(model.proto("act"), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    proto = onnx.load(path, load_external_data=False)
    for entry in proto.graph.initializer[0].external_data:
        entry.value = str(told.get(entry.key, entry.value))
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "", "sub/../../w.bin"])
def test_constants_are_not_read_from_outside_the_folder(tmp_path, location):
    (tmp_path / "w.bin").write_bytes(bytes(432))
    error = refused(beside(tmp_path, location=location), tmp_path, UnsafeFileError)
    assert f"k0 is kept in {location!r}" in error.message


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    path = beside(tmp_path)
    (tmp_path / "w.bin").write_bytes((path.parent / "w.bin").read_bytes())
    (path.parent / "w.bin").unlink()
    (path.parent / "w.bin").symlink_to(tmp_path / "w.bin")
    refused(path, tmp_path, UnsafeFileError)


def test_constants_beside_the_file_must_be_there_and_long_enough(tmp_path):
    path = beside(tmp_path)
    assert expand(path)[0]["act"]
    (path.parent / "w.bin").unlink()
    error = refused(path, tmp_path, MissingFileError)
    assert "k0 is kept in w.bin, which is not beside it" in error.message
    for told in ({"offset": 10**15}, {"offset": -1}, {"offset": "x"}, {"length": 4}):
        refused(beside(tmp_path, **told), tmp_path, WeightsError)


def test_what_a_constant_claims_is_compared_with_what_is_there(tmp_path):
    for dims in ([4, 3, 3, 2], [10**9, 10**9], [-1, 3, 3, 3], [1] * 40):
        model = Model((1, 3, 8, 8))
        model.op("Relu", "act", model.op("Conv", "conv", model.input, model.normal(4, 3, 3, 3)))
        proto = model.proto("act")
        del proto.graph.initializer[0].dims[:]
        proto.graph.initializer[0].dims.extend(dims)
        (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
        error = refused(tmp_path / "net.onnx", tmp_path, WeightsError)
        assert "k0" in error.message


def test_a_constant_that_would_fill_the_memory_is_not_computed(tmp_path):
    model = Model((1, 3, 8, 8))
    wide = model.op("ConstantOfShape", "wide", model.constant(np.array([10**6, 10**6])))
    tiled = model.op("Tile", "tiled", model.constant(np.ones(4, FLOAT)), model.constant(np.array([10**12])))
    counted = model.op("Range", "counted", *(model.constant(np.int64(n)) for n in (0, 10**12, 1)))
    x = model.conv("first", model.input, 4, 3, 3, 3)
    for name in (wide, tiled, counted):
        x = model.op("Add", f"plus_{name}", x, name)
    error = refused(model.write(tmp_path / "net.onnx"), tmp_path, UnsupportedOperationError)
    assert "gives more than 268,435,456 numbers" in error.message


def test_operations_out_of_order_are_said(tmp_path):
    model = around()
    model.nodes.reverse()
    proto = model.proto("last")
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    error = refused(tmp_path / "net.onnx", tmp_path, WeightsError)
    assert "Conv 'last' reads 'act'" in error.message


def test_strings_and_sparse_tensors_only_matter_where_they_are_needed(tmp_path):
    model = around()
    proto = model.proto("last")
    proto.graph.initializer.append(numpy_helper.from_array(np.array([b"cat", b"dog"], dtype=object), "names"))
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("thin", TensorProto.FLOAT, [1], [1.0]),
        helper.make_tensor("at", TensorProto.INT64, [1], [0]),
        [4],
    )
    proto.graph.sparse_initializer.append(sparse)
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    assert read_onnx(tmp_path / "net.onnx").weights.keys() == {"k0", "k1", "k2", "k3"}
    assert expand(tmp_path / "net.onnx")[0]


def test_the_command_writes_a_bundle_or_says_why_not(tmp_path):
    path = around(("HardSwish", None, {})).write(tmp_path / "net.onnx")
    out = str(tmp_path / "net.circuit")
    runner = CliRunner()
    failed = runner.invoke(cli, ["import", "onnx", str(path), "-o", out])
    assert failed.exit_code != 0
    assert not (tmp_path / "net.circuit").exists()
    plain = around().write(tmp_path / "plain.onnx")
    done = runner.invoke(cli, ["import", "onnx", str(plain), "-o", out, "--input", "4x8x8"])
    assert done.exit_code == 0, done.output
    assert "3 layers, 10 units, 2 pairs" in done.output
