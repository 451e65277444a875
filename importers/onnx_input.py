"""What goes into an ONNX file's network: its shape, and where its channels are."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import helper

from circuitgraph.errors import ShapeError, TraceError
from importers.input_shape import check_input_shape
from importers.linear_ops import MapShape
from importers.onnx_file import OnnxFile

__all__ = ["has_channels_last", "settle_input"]

_IMAGE_CHANNELS = (1, 3, 4)


def has_channels_last(file: OnnxFile) -> bool:
    """Whether the file's input is (batch, row, col, channel), as files from TensorFlow have it."""
    sides = file.declared
    if sides is None or len(sides) != 4:
        return False
    readers = [node for node in file.nodes if file.input in node.input]
    turned = [
        node.op_type == "Transpose" and list(helper.get_attribute_value(own)) == [0, 3, 1, 2]
        for node in readers
        for own in node.attribute[:1]
    ]
    if readers and len(turned) == len(readers) and all(turned):
        return True
    return sides[3] in _IMAGE_CHANNELS and sides[1] not in _IMAGE_CHANNELS


def settle_input(file: OnnxFile, given: Sequence[int] | None) -> MapShape:
    """Return the input's (channel, row, col).

    Parameters
    ----------
    file
        The file.
    given
        What the user says of it, needed where the file leaves it open.

    Raises
    ------
    TraceError
        The input is no batch of maps or vectors.
    ShapeError
        Its shape is open, or another than the one given.
    """
    name, sides = file.path.name, file.declared
    shown = "x".join("?" if side is None else str(side) for side in sides or ())
    if sides is not None and len(sides) not in (2, 4):
        raise TraceError(
            f"reading {name}: its input {file.input!r} has {len(sides)} axes ({shown}); "
            "4 are wanted (batch, channel, row, col), or 2 (batch, entry).",
            hint="Sequences, volumes and networks without a batch are not expanded.",
        )
    own: tuple[int | None, ...]
    if sides is None:
        own = (None, None, None)
    elif len(sides) == 2:
        own = (sides[1], 1, 1)
    else:
        own = (sides[3], sides[1], sides[2]) if has_channels_last(file) else sides[1:]
    if given is None:
        found = tuple(side for side in own if side is not None)
        if len(found) != 3:
            raise ShapeError(
                f"reading {name}: the shape of its input {file.input!r} is open ({shown or 'none is told'}).",
                hint="Give it as channels x rows x columns: --input 3x224x224",
            )
        return found[0], found[1], found[2]
    shape = check_input_shape(given, f"reading {name}")
    if any(side is not None and side != asked for side, asked in zip(own, shape, strict=True)):
        raise ShapeError(
            f"reading {name}: an input of {'x'.join(map(str, shape))} is asked for, the file fixes "
            f"{'x'.join('?' if side is None else str(side) for side in own)}.",
            hint="Leave --input out, or export the network with open rows and columns (dynamic axes).",
        )
    return shape
