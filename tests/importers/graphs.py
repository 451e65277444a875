"""Frozen graphs made by hand, and InceptionV1's as it was published, with made weights.

The bytes are written here, field by field, so that the reader's own table of fields is checked too.
"""

from __future__ import annotations

import struct

import numpy as np

TYPES = {"float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int64": 9, "bool": 10, "float16": 19}


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def tagged(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def shape_bytes(shape) -> bytes:
    if shape is None:
        return number(3, 1)
    return b"".join(tagged(2, number(1, side)) for side in shape)


def tensor_bytes(array) -> bytes:
    array = np.asarray(array)
    return (
        number(1, TYPES[array.dtype.name])
        + tagged(2, shape_bytes(array.shape))
        + tagged(4, np.ascontiguousarray(array).tobytes())
    )


class Shape(tuple):
    """A shape as an attribute; a plain tuple or list is a list of numbers."""


def attribute(value) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, Shape):
        return tagged(7, shape_bytes(value))
    if isinstance(value, str):
        return tagged(2, value.encode())
    if isinstance(value, bool):
        return number(5, int(value))
    if isinstance(value, int):
        return number(3, value)
    if isinstance(value, float):
        return varint(4 << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, np.ndarray):
        return tagged(8, tensor_bytes(value))
    return tagged(1, tagged(3, b"".join(varint(x) for x in value)))


class Graph:
    """A GraphDef under way. Each method adds an operation and returns its name."""

    def __init__(self) -> None:
        self.nodes: list[bytes] = []
        self.ops: dict[str, tuple[str, tuple[str, ...], dict]] = {}

    def op(self, kind: str, name: str, *inputs: str, **attributes) -> str:
        body = tagged(1, name.encode()) + tagged(2, kind.encode())
        body += b"".join(tagged(3, source.encode()) for source in inputs)
        for key, value in attributes.items():
            body += tagged(5, tagged(1, key.encode()) + tagged(2, attribute(value)))
        self.nodes.append(tagged(1, body))
        self.ops[name] = (kind, inputs, attributes)
        return name

    def const(self, name: str, value) -> str:
        array = np.asarray(value)
        if array.dtype == np.int64 and not isinstance(value, np.ndarray):
            array = array.astype(np.int32)
        return self.op("Const", name, value=array)

    def placeholder(self, name="input", shape=None) -> str:
        return self.op("Placeholder", name, **({} if shape is None else {"shape": Shape(shape)}))

    def conv(self, name, x, weight, *, stride=(1, 1), padding="SAME", kind="Conv2D", form="NHWC", **more) -> str:
        """`weight` as TensorFlow has it: (row, col, up, down)."""
        steps = [1, *stride, 1] if form == "NHWC" else [1, 1, *stride]
        filter = self.const(f"{name}_w", weight)
        return self.op(kind, name, x, filter, strides=steps, padding=padding, data_format=form, **more)

    def bias(self, name, x, value, **more) -> str:
        return self.op("BiasAdd", name, x, self.const(f"{name}_b", value), **more)

    def pool(self, kind, name, x, *, window, stride, padding="SAME", form="NHWC") -> str:
        size = [1, *window, 1] if form == "NHWC" else [1, 1, *window]
        steps = [1, *stride, 1] if form == "NHWC" else [1, 1, *stride]
        return self.op(kind, name, x, ksize=size, strides=steps, padding=padding, data_format=form)

    def write(self, path):
        path.write_bytes(b"".join(self.nodes))
        return path


# 1x1, 3x3 after its bottleneck, 5x5 after its bottleneck, after the pool: as published
WIDTHS = {
    "mixed3a": (64, 96, 128, 16, 32, 32),
    "mixed3b": (128, 128, 192, 32, 96, 64),
    "mixed4a": (192, 96, 204, 16, 48, 64),
    "mixed4b": (160, 112, 224, 24, 64, 64),
    "mixed4c": (128, 128, 256, 24, 64, 64),
    "mixed4d": (112, 144, 288, 32, 64, 64),
    "mixed4e": (256, 160, 320, 32, 128, 128),
    "mixed5a": (256, 160, 320, 48, 128, 128),
    "mixed5b": (384, 192, 384, 48, 128, 128),
}
SIZES = {
    "conv2d0": 64, "conv2d1": 64, "conv2d2": 192, "mixed3a": 256, "mixed3b": 480, "mixed4a": 508, "mixed4b": 512,
    "mixed4c": 512, "mixed4d": 528, "mixed4e": 832, "mixed5a": 832, "mixed5b": 1024,
}  # fmt: skip


def inception_v1(rng, *, thin: int = 1, classes: int = 1008, head: int = 1024):
    """Build InceptionV1's graph with the published names of operations; all widths over `thin`.

    Returns the graph and the weights by name: convolutions (row, col, up, down).
    """
    graph, weights = Graph(), {}

    def conv(name, x, up, down, side, stride=1):
        bound = (3 / (up * side * side)) ** 0.5
        weights[f"{name}_w"] = rng.uniform(-bound, bound, size=(side, side, up, down)).astype(np.float32)
        weights[f"{name}_b"] = rng.uniform(-0.5, 0.5, size=down).astype(np.float32)
        graph.const(f"{name}_w", weights[f"{name}_w"])
        graph.const(f"{name}_b", weights[f"{name}_b"])
        steps = [1, stride, stride, 1]
        made = graph.op("Conv2D", f"{name}_pre_relu/conv", x, f"{name}_w", strides=steps, padding="SAME")
        made = graph.op("BiasAdd", f"{name}_pre_relu", made, f"{name}_b")
        return graph.op("Relu", name, made)

    def full(name, x, up, down, last):
        weights[f"{name}_w"] = (rng.normal(size=(up, down)) / up**0.5).astype(np.float32)
        weights[f"{name}_b"] = rng.normal(size=down).astype(np.float32)
        graph.const(f"{name}_w", weights[f"{name}_w"])
        graph.const(f"{name}_b", weights[f"{name}_b"])
        middle = "pre_activation" if last == "Softmax" else "pre_relu"
        made = graph.op("MatMul", f"{name}_{middle}/matmul", x, f"{name}_w")
        made = graph.op("BiasAdd", f"{name}_{middle}", made, f"{name}_b")
        return graph.op(last, name, made)

    def reshape(name, x, width):
        return graph.op("Reshape", f"{name}/reshape", x, graph.const(f"{name}/reshape/shape", [-1, width]))

    def lrn(name, x):
        return graph.op("LRN", name, x, depth_radius=4, bias=1.0, alpha=1e-4, beta=0.5)

    def mixed(name, x, up):
        one, three_in, three, five_in, five, pooled = (max(1, width // thin) for width in WIDTHS[name])
        parts = [conv(f"{name}_1x1", x, up, one, 1)]
        parts.append(conv(f"{name}_3x3", conv(f"{name}_3x3_bottleneck", x, up, three_in, 1), three_in, three, 3))
        parts.append(conv(f"{name}_5x5", conv(f"{name}_5x5_bottleneck", x, up, five_in, 1), five_in, five, 5))
        pool = graph.pool("MaxPool", f"{name}_pool", x, window=(3, 3), stride=(1, 1))
        parts.append(conv(f"{name}_pool_reduce", pool, up, pooled, 1))
        graph.const(f"{name}/concat_dim", 3)
        return graph.op("Concat", name, f"{name}/concat_dim", *parts), one + three + five + pooled

    def head_of(number, x, up):
        pool = graph.pool("AvgPool", f"head{number}_pool", x, window=(5, 5), stride=(3, 3), padding="VALID")
        width = 128 // thin
        made = conv(f"head{number}_bottleneck", pool, up, width, 1)
        made = full(f"nn{number}", reshape(f"head{number}_bottleneck", made, 16 * width), 16 * width, head, "Relu")
        made = full(f"softmax{number}", reshape(f"nn{number}", made, head), head, classes, "Softmax")
        graph.op("Identity", f"output{number or ''}", made)

    first, third = 64 // thin, 192 // thin
    x = conv("conv2d0", graph.placeholder("input"), 3, first, 7, 2)
    x = lrn("localresponsenorm0", graph.pool("MaxPool", "maxpool0", x, window=(3, 3), stride=(2, 2)))
    x = conv("conv2d2", conv("conv2d1", x, first, first, 1), first, third, 3)
    x = graph.pool("MaxPool", "maxpool1", lrn("localresponsenorm1", x), window=(3, 3), stride=(2, 2))
    width, tapped = third, {}
    for name in WIDTHS:
        if name in ("mixed4a", "mixed5a"):
            before = "maxpool4" if name == "mixed4a" else "maxpool10"
            x = graph.pool("MaxPool", before, x, window=(3, 3), stride=(2, 2))
        x, width = mixed(name, x, width)
        tapped[name] = width
    last = graph.pool("AvgPool", "avgpool0", x, window=(7, 7), stride=(1, 1), padding="VALID")
    head_of(0, "mixed4a", tapped["mixed4a"])
    head_of(1, "mixed4d", tapped["mixed4d"])
    made = full("softmax2", reshape("avgpool0", last, width), width, classes, "Softmax")
    graph.op("Identity", "output2", made)
    return graph, weights
