"""Mapping files: how the arrays of a weights file fit a named architecture.

::

    architecture = "squeezenet1_0"       # torchvision's name, or package.module:factory
    network = "squeezenet1_0"            # the id it gets unless told otherwise
    input_shape = [3, 224, 224]
    layout = "OIHW"                      # or HWIO, OHWI: the axes of convolutions; by default read off the shapes
    linear_layout = "OI"                 # or IO; by default IO with HWIO, else OI, unless only the other fits
    input_channels = "BGR"               # in words, recorded; no weight is moved
    input_std = 60                       # standard deviation of the inputs it was trained on, for noise to try it with
    [kwargs]                             # what to call the factory with
    [modules]
    fire2 = "features.3"                 # start of a tensor's name -> module path
    [parameters]
    W = "weight"                         # rest of a tensor's name -> rest of the path
    [tensors]
    "conv1.kernel" = "conv1.weight"      # whole names, which beat the two tables above
    [flatten]
    "fc.weight" = { order = "HWC", map = [10, 4, 4] }  # how the map was flattened, its shape (channel, row, col)
    [layers]
    fire2 = "features.3"                 # name to give -> module path
    [raw]                                # of flat files (.dat): little-endian numbers, tensor after tensor
    dtype = "float32"                    # or float64
    skip = 0                             # bytes before the first tensor
    shapes = { "conv1.kernel" = [7, 7, 3, 64], "conv1.b" = [64] }
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from circuitgraph.errors import MappingError, MissingFileError
from importers.weights.layouts import KernelLayout, Layout, LinearLayout, in_our_order
from importers.weights.raw import RawTensors

__all__ = ["KernelMapping", "find_mapping", "read_mapping", "shipped_mappings"]


class _Flattened(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    order: Literal["CHW", "HWC"]
    map: tuple[int, int, int]


class KernelMapping(BaseModel):
    """What a mapping file says; without one, names are the architecture's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: str
    network: str = ""
    title: str = ""
    reference: str = ""
    input_shape: tuple[int, int, int] | None = None
    layout: Layout | None = None
    linear_layout: LinearLayout | None = None
    input_channels: str = ""
    input_std: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    kwargs: Mapping[str, Any] = {}
    modules: Mapping[str, str] = {}
    parameters: Mapping[str, str] = {}
    tensors: Mapping[str, str] = {}
    flatten: Mapping[str, _Flattened] = {}
    layers: Mapping[str, str] = {}
    raw: RawTensors | None = None

    def key(self, tensor: str) -> str:
        """Return the architecture's name of a tensor of the file."""
        if tensor in self.tensors:
            return self.tensors[tensor]
        # the longest start that is listed
        starts = [start for start in self.modules if tensor.startswith(f"{start}.")]
        start = max(starts, key=len, default="")
        rest = tensor.removeprefix(f"{start}.") if start else tensor
        if rest in self.parameters:
            rest = self.parameters[rest]
        else:
            inner, dot, last = rest.rpartition(".")
            rest = f"{inner}{dot}{self.parameters.get(last, last)}"
        return f"{self.modules[start]}.{rest}" if start else rest

    def fitted(self, key: str, values: NDArray[Any], how: KernelLayout) -> NDArray[Any]:
        """Turn an array of the file's layout into (down, up, row, col) or (down, up)."""
        values = in_our_order(values, how)
        if values.ndim == 2 and key in self.flatten:
            flat = self.flatten[key]
            channels, rows, cols = flat.map
            if values.shape[1] != channels * rows * cols:
                raise MappingError(
                    f"mapping {key}: it takes {values.shape[1]} inputs, but a flattened map of "
                    f"{channels}x{rows}x{cols} has {channels * rows * cols}.",
                    hint="Mend its entry in the mapping's [flatten].",
                )
            if flat.order == "HWC":
                values = values.reshape(-1, rows, cols, channels).transpose(0, 3, 1, 2).reshape(len(values), -1)
        return np.ascontiguousarray(values)


def read_mapping(path: str | Path) -> KernelMapping:
    """Read a mapping file.

    Raises
    ------
    MissingFileError
        There is no such file, nor a mapping of that name that ships.
    MappingError
        It is not TOML, or says something that is not known.
    """
    path = Path(path)
    shipped = shipped_mappings()
    if not path.exists() and str(path) in shipped:
        return shipped[str(path)]
    if not path.is_file():
        raise MissingFileError(
            f"reading the mapping {path}: no such file.", hint=f"These ship: {', '.join(sorted(shipped))}."
        )
    try:
        return _parsed(path.read_text(encoding="utf-8"), path.name)
    except UnicodeDecodeError as error:
        raise MappingError(f"reading the mapping {path.name}: it is not text.") from error


def _parsed(text: str, name: str) -> KernelMapping:
    try:
        return KernelMapping(**tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise MappingError(f"reading the mapping {name}: {error}", hint="It is a TOML file.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise MappingError(
            f"reading the mapping {name}: {place}: {first['msg']}.", hint="See importers/mappings for examples."
        ) from None


def shipped_mappings() -> dict[str, KernelMapping]:
    """Return the mappings that ship, by name."""
    folder = files("importers") / "mappings"
    return {
        entry.name.removesuffix(".toml"): _parsed(entry.read_text(encoding="utf-8"), entry.name)
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }


def find_mapping(architecture: str, tensors: Iterable[str]) -> KernelMapping:
    """Return the shipped mapping that is for an architecture and for a file with these tensors.

    Where none is, the file's names are taken as the architecture's own.
    """
    names = list(tensors)
    for mapping in shipped_mappings().values():
        starts = (*mapping.tensors, *(f"{start}." for start in mapping.modules))
        # one without tables of names is for files that use the architecture's own
        if mapping.architecture == architecture and (not starts or all(name.startswith(starts) for name in names)):
            return mapping
    return KernelMapping(architecture=architecture)
