"""Files of directions: coefficients over the neurons of a layer, from NMF, PCA, sparse autoencoders or by hand.

CSV comes in three forms, told by the header::

    name,channel,weight        one row a coefficient; channels that are left out are 0
    name,0,1,2,...             one row a direction, one column a channel, all of them
    channel,car,window,...     one row a channel, one column a direction

``.npy`` holds a matrix, ``.npz`` a matrix and, if there, `names`; ``.safetensors``, ``.pt`` and ``.pth`` hold tensors,
of which one is taken: the only matrix, or the one called `key`.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle
from circuitgraph.errors import (
    BundleError,
    CircuitGraphError,
    MissingExtraError,
    MissingFileError,
    ShapeError,
    UnknownUnitError,
    WeightsError,
)
from circuitgraph.records import Layer

__all__ = ["DirectionTable", "read_directions"]

_NAMES = ("name", "direction", "names", "directions")
_WEIGHTS = ("weight", "coefficient", "value")
_CHANNELS = ("channel", "neuron", "unit")
_TENSORS = (".safetensors", ".pt", ".pth", ".th", ".ckpt", ".bin")
_MOST_BYTES = 16 << 30


@dataclass(frozen=True, slots=True)
class DirectionTable:
    """What a file of directions says.

    Attributes
    ----------
    coefficients
        As they lie in the file; a table of CSV is (direction, channel).
    names
        None where the file has none.
    is_oriented
        Whether the file says which axis the directions lie on, so that a square matrix is no riddle.
    """

    coefficients: NDArray[np.floating[Any]]
    names: tuple[str, ...] | None
    is_oriented: bool


def read_directions(path: str | Path, bundle: Bundle, layer: str, *, key: str | None = None) -> DirectionTable:
    """Read the directions of a layer from a file.

    Parameters
    ----------
    path
        ``.csv``, ``.npy``, ``.npz``, ``.safetensors``, ``.pt`` or ``.pth``; see the module's docstring.
    bundle, layer
        Where they are to go; a channel may be written ``3``, ``layer:3`` or ``network/layer:3``.
    key
        Name of the array to take, where a file holds several matrices.

    Raises
    ------
    MissingFileError, UnsafeFileError
        There is no such file; it would run code when read, and nothing was run.
    WeightsError
        It is cut short, of another kind, or holds no matrix or several.
    ShapeError, UnknownUnitError, BundleError
        Rows of CSV are of different lengths; it names a channel that is not there, or one twice.
    UnknownLayerError
        There is no such layer.
    """
    path, home = Path(path), bundle.layer(layer)
    if not path.is_file():
        raise MissingFileError(f"reading directions: {path} is no file.", hint="Check its path.")
    suffix = path.suffix.lower()
    if path.stat().st_size > _MOST_BYTES:
        raise WeightsError(f"reading directions: {path.name} has {path.stat().st_size:,} bytes, too many.")
    if suffix in (".csv", ".tsv"):
        return _Table(path, bundle, home).read("\t" if suffix == ".tsv" else ",")
    names: tuple[str, ...] | None = None
    if suffix in (".npy", ".npz"):
        arrays, names = _read_numpy(path)
    elif suffix in _TENSORS:
        arrays = _read_tensors(path)
    else:
        raise WeightsError(
            f"reading directions: {path.name} ends in {suffix or 'nothing'}; known are .csv, .npy, .npz, "
            ".safetensors, .pt and .pth.",
            hint="Save the coefficients as one of these.",
        )
    return DirectionTable(_only(arrays, path, key), names, is_oriented=False)


def _only(arrays: Mapping[str, NDArray[Any]], path: Path, key: str | None) -> NDArray[np.floating[Any]]:
    shapes = ", ".join(f"{name} {array.shape}" for name, array in list(arrays.items())[:8])
    if key is not None:
        if key not in arrays:
            raise WeightsError(
                f"reading directions: {path.name} holds no {key!r}, but {shapes}.", hint="Give another --key."
            )
        return arrays[key]
    wanted = {name: array for name, array in arrays.items() if array.ndim == 2}
    wanted = wanted or {name: array for name, array in arrays.items() if array.ndim == 1}
    if len(wanted) != 1:
        raise WeightsError(
            f"reading directions: {path.name} holds {len(wanted)} matrices ({shapes or 'nothing'}), one is wanted.",
            hint=f"Name it, as in --key {next(iter(wanted), 'decoder.weight')}.",
        )
    return next(iter(wanted.values()))


def _read_numpy(path: Path) -> tuple[dict[str, NDArray[Any]], tuple[str, ...] | None]:
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as stream:
                return {path.stem: _read_array(stream, path.stat().st_size)}, None
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
                raise ValueError(f"it unpacks to more than {_MOST_BYTES:,} bytes")
            arrays = {}
            for entry in archive.infolist():
                with archive.open(entry) as stream:
                    arrays[entry.filename.removesuffix(".npy")] = _read_array(stream, entry.file_size)  # type: ignore[arg-type]
    except Exception as error:
        # the readers of these formats raise almost anything on half a file
        raise WeightsError(
            f"reading directions: {path.name} ({path.stat().st_size:,} bytes) is cut short or no {path.suffix} file: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}.",
            hint="Save it again with numpy.savez(FILE, coefficients=..., names=[...]).",
        ) from error
    words = {name: array for name, array in arrays.items() if array.dtype.kind == "U"}
    numbers = {name: array for name, array in arrays.items() if array.dtype.kind in "fiu"}
    named = next((words[name] for name in _NAMES if name in words), next(iter(words.values()), None))
    return numbers, None if named is None else tuple(str(name) for name in named.reshape(-1))


def _read_array(stream: BinaryIO, size: int) -> NDArray[Any]:
    major = npy.read_magic(stream)[0]
    shape, fortran, dtype = (npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0)(stream)
    wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if dtype.hasobject:
        raise ValueError("it holds pickled objects; nothing was run")
    if wanted > size:
        raise ValueError(f"it claims the shape {shape}, {wanted:,} bytes, but has {size:,}")
    data = stream.read(wanted)
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran else "C")


def _read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    try:
        from importers.weights.checkpoint import read_tensors
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"reading directions: {path.name} needs the package {error.name!r}, which is not installed.",
            hint="pip install 'feature-circuitgraph[torch]'",
        ) from error
    try:
        return dict(read_tensors(path))
    except WeightsError as error:
        bare = _bare_tensor(path)
        if bare is None:
            raise error.__class__(
                error.message.replace("reading weights", "reading directions"), hint=error.hint
            ) from None
        return {path.stem: bare}


def _bare_tensor(path: Path) -> NDArray[Any] | None:
    """Read a file that is one tensor, not a table of them."""
    import torch

    if path.suffix.lower() == ".safetensors":
        return None
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        # what is wrong with it was said when it was read as a table
        return None
    if not isinstance(loaded, torch.Tensor) or not loaded.is_floating_point() or loaded.is_meta:
        return None
    array: NDArray[Any] = loaded.detach().double().numpy()
    return array


class _Table:
    """A CSV file of directions."""

    def __init__(self, path: Path, bundle: Bundle, home: Layer) -> None:
        self.path, self.bundle, self.home = path, bundle, home

    def _at(self, line: int) -> str:
        return f"reading directions: {self.path.name}, line {line}"

    def read(self, delimiter: str) -> DirectionTable:
        try:
            with self.path.open(newline="", encoding="utf-8-sig") as stream:
                reader = csv.reader(stream, delimiter=delimiter, strict=True)
                lines = [
                    (reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))
                ]
        except (csv.Error, UnicodeDecodeError) as error:
            raise WeightsError(f"reading directions: {self.path.name} is no CSV ({error}).") from error
        if len(lines) < 2:
            raise WeightsError(
                f"reading directions: {self.path.name} has {len(lines)} lines; a header and rows are wanted.",
                hint="Head it with name,channel,weight, or with name and the layer's channels.",
            )
        (first, header), rows = lines[0], lines[1:]
        for line, row in rows:
            if len(row) != len(header):
                raise ShapeError(f"{self._at(line)}: {len(row)} cells, the header has {len(header)}.")
        words = [word.lower() for word in header]
        places = [
            next((words.index(word) for word in group if word in words), None)
            for group in (_NAMES, _CHANNELS, _WEIGHTS)
        ]
        if None not in places and len(header) == 3:
            return self._long(rows, *(place for place in places if place is not None))
        if words[0] in _CHANNELS:
            return self._by_channel(header, rows)
        if all(_is_number(word) for word in words) and not all(word.isdecimal() for word in words):
            raise ShapeError(
                f"{self._at(first)}: it is all numbers; a header is wanted.",
                hint="Write name,channel,weight, or name,0,1,2,... above the rows; or save the matrix as .npy.",
            )
        return self._by_direction(first, header, rows)

    def _channel(self, text: str, line: int) -> int:
        if text.isdecimal() and text.isascii() and len(text) < 10:
            channel, layer = int(text), self.home.uid
        else:
            try:
                unit = self.bundle.neuron(text)
            except CircuitGraphError as error:
                raise UnknownUnitError(
                    f"{self._at(line)}: {text[:80]!r} is no channel of {self.home.uid}.",
                    hint=f"Write it as 3, or as {self.home.uid}:3. ({error.message})",
                ) from None
            channel, layer = unit.channel or 0, str(unit.layer_id)
        if layer != self.home.uid or channel >= self.home.unit_count:
            raise UnknownUnitError(
                f"{self._at(line)}: {text!r} is not in {self.home.uid}, which has the channels 0 to "
                f"{self.home.unit_count - 1}.",
                hint="Channels count from 0.",
            )
        return channel

    def _number(self, text: str, line: int) -> float:
        try:
            return float(text)
        except ValueError:
            raise WeightsError(f"{self._at(line)}: {text[:80]!r} is no number.") from None

    def _long(self, rows: Sequence[tuple[int, list[str]]], name: int, channel: int, weight: int) -> DirectionTable:
        names: dict[str, int] = {}
        cells: dict[tuple[int, int], float] = {}
        for line, row in rows:
            at = (names.setdefault(row[name], len(names)), self._channel(row[channel], line))
            if at in cells:
                raise BundleError(f"{self._at(line)}: {row[name]} has channel {at[1]} twice.", hint="Keep one of them.")
            cells[at] = self._number(row[weight], line)
        matrix = np.zeros((len(names), self.home.unit_count))
        for at, value in cells.items():
            matrix[at] = value
        return DirectionTable(matrix, tuple(names), is_oriented=True)

    def _all_channels(self, found: Sequence[int], where: str) -> list[int]:
        twice = next((channel for channel in found if found.count(channel) > 1), None)
        if twice is not None:
            raise BundleError(f"{where}: channel {twice} is named twice.", hint="Keep one of them.")
        if len(found) != self.home.unit_count:
            raise ShapeError(
                f"{where}: {len(found)} channels are named, {self.home.uid} has {self.home.unit_count}.",
                hint="Name all of them, or give only what is not 0 as name,channel,weight.",
            )
        return list(found)

    def _by_direction(self, first: int, header: list[str], rows: Sequence[tuple[int, list[str]]]) -> DirectionTable:
        is_named = header[0].lower() in ("", *_NAMES)
        columns = [self._channel(text, first) for text in header[is_named:]]
        channels = self._all_channels(columns, self._at(first))
        matrix = np.zeros((len(rows), self.home.unit_count))
        for place, (line, row) in enumerate(rows):
            matrix[place, channels] = [self._number(text, line) for text in row[is_named:]]
        return DirectionTable(matrix, tuple(row[0] for _, row in rows) if is_named else None, is_oriented=True)

    def _by_channel(self, header: list[str], rows: Sequence[tuple[int, list[str]]]) -> DirectionTable:
        channels = self._all_channels(
            [self._channel(row[0], line) for line, row in rows], f"reading directions: {self.path.name}"
        )
        matrix = np.zeros((len(header) - 1, self.home.unit_count))
        for channel, (line, row) in zip(channels, rows, strict=True):
            matrix[:, channel] = [self._number(text, line) for text in row[1:]]
        return DirectionTable(matrix, tuple(header[1:]), is_oriented=True)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
