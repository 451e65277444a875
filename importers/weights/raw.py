"""Flat files of numbers (``.dat``), whose shapes a mapping declares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from circuitgraph.errors import MappingError, MissingFileError, WeightsError
from importers.weights.tensors import MAX_BYTES, Tensors

__all__ = ["RawTensors", "read_raw"]

_MAX_RANK = 4


class RawTensors(BaseModel):
    """What a mapping says of flat files: little-endian numbers, one tensor after the other in the order of `shapes`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: Literal["float32", "float64"] = "float32"
    skip: int = Field(default=0, ge=0)
    shapes: Mapping[str, tuple[int, ...]]


def read_raw(path: str | Path, raw: RawTensors | None) -> Tensors:
    """Read the tensors of a flat file, or of a folder with a file ``NAME.dat`` for each.

    Parameters
    ----------
    path
        The file or folder.
    raw
        What the mapping's ``[raw]`` says of it.

    Returns
    -------
    dict
        Arrays by name, in the file's layout.

    Raises
    ------
    MissingFileError
        There is no such file.
    MappingError
        Its shapes are not declared, or are none.
    WeightsError
        It is longer or shorter than its shapes.
    """
    path = Path(path)
    if raw is None or not raw.shapes:
        raise MappingError(
            f"importing {path.name}: a flat file does not say which tensors it holds.",
            hint="Declare them in a --mapping file, in the order of the file: "
            '[raw] shapes = { "conv1.weight" = [64, 3, 7, 7], "conv1.bias" = [64] }',
        )
    for name, shape in raw.shapes.items():
        if not 1 <= len(shape) <= _MAX_RANK or min(shape) < 1:
            raise MappingError(
                f"importing {path.name}: [raw] gives {name} the shape {list(shape)}; "
                f"1 to {_MAX_RANK} sides of at least 1 are wanted."
            )
    if path.is_dir():
        return {name: _read(path / _file_name(name), {name: shape}, raw)[name] for name, shape in raw.shapes.items()}
    return _read(path, raw.shapes, raw)


def _file_name(name: str) -> str:
    if Path(name).name != name:
        raise MappingError(f"importing a folder: [raw] names a tensor {name!r}, which is no name of a file.")
    return f"{name}.dat"


def _read(path: Path, shapes: Mapping[str, tuple[int, ...]], raw: RawTensors) -> Tensors:
    if not path.is_file():
        raise MissingFileError(f"reading weights: {path} does not exist.", hint="Check the path, and [raw] shapes.")
    counts = {name: math.prod(shape) for name, shape in shapes.items()}
    size = np.dtype(raw.dtype).itemsize
    wanted, have = raw.skip + size * sum(counts.values()), path.stat().st_size
    if wanted > MAX_BYTES:
        raise WeightsError(f"reading weights: {path.name} would have {wanted:,} bytes, the limit is {MAX_BYTES:,}.")
    if wanted != have:
        other = "float64" if raw.dtype == "float32" else "float32"
        fits = raw.skip + np.dtype(other).itemsize * sum(counts.values()) == have
        raise WeightsError(
            f"reading weights: {path.name} has {have:,} bytes, but {sum(counts.values()):,} numbers of {raw.dtype} "
            f"{f'after {raw.skip:,} bytes ' if raw.skip else ''}take {wanted:,}.",
            hint=f"As {other} it would fit: say dtype = '{other}' in [raw]."
            if fits
            else "Mend the shapes in the mapping's [raw], or fetch the file again.",
        )
    try:
        flat = np.fromfile(path, dtype=np.dtype(raw.dtype).newbyteorder("<"), offset=raw.skip)
    except OSError as error:
        raise WeightsError(f"reading weights: {path.name}: {error.strerror or error}.") from error
    flat = flat.astype(raw.dtype, copy=False)
    tensors: Tensors = {}
    at = 0
    for name, shape in shapes.items():
        tensors[name] = flat[at : at + counts[name]].reshape(shape)
        at += counts[name]
    return tensors
