"""Tensors from a file, read without running anything in it.

Checkpoints (``.pth``, ``.pt``, ``.th``) are read with ``weights_only``, arrays without
pickle, and what a file says it holds is bounded before memory is taken for it.
"""

from __future__ import annotations

import argparse
import json
import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray

from circuitgraph.errors import (
    CircuitGraphError,
    MissingExtraError,
    MissingFileError,
    UnsafeFileError,
    WeightsError,
)
from circuitgraph.progress import SILENT, Progress
from importers.weights.shards import check_stand_in, read_shards
from importers.weights.tensors import MAX_BYTES, Tensors, check_finite, weights_sha256

__all__ = ["MAX_BYTES", "Tensors", "check_finite", "read_tensors", "weights_sha256"]

_MAX_JSON_BYTES = 1024**3
_JSON_FORMS = (
    'Wanted is {"NAME": [[numbers]]}, or [{"name": NAME, "weights": [{"bias": number, "weights": [[numbers]]}]}].'
)
# trained weights hardly compress, pruned ones by some tens; deflate reaches a thousand
_MOST_UNPACKED = 100
_SMALL_BYTES = 256 * 1024**2
_MOST_OPCODES = 1_000_000
_CHECKPOINT_PROTOCOL = 2
# the first of these that is there; averages come last
_WRAPPERS = (
    "state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "net_state_dict", "weights",
    "params", "backbone", "student", "state", "ema", "model_ema", "ema_state_dict", "state_dict_ema", "params_ema",
)  # fmt: skip
_CHECKPOINTS = (".pth", ".pt", ".th", ".ckpt", ".bin", ".tar")


def read_tensors(path: str | Path, *, progress: Progress = SILENT) -> Tensors:
    """Read the tensors of a weights file by name.

    Parameters
    ----------
    path
        ``.pth``, ``.pt``, ``.th`` (torch), ``.safetensors``, ``.npz``, ``.npy`` or ``.json``, or the
        ``.index.json`` of weights in several files. Wrappers such as ``state_dict`` are taken off, and
        ``module.`` and ``_orig_mod.`` where every name starts with it.
    progress
        Is told which entry was taken of a checkpoint that has several.

    Returns
    -------
    dict
        float32 or float64 arrays (halves are widened) and integers, in the file's layout.

    Raises
    ------
    MissingFileError
        No such file.
    UnsafeFileError
        It would run code when read; nothing was run.
    WeightsError
        It is cut short, of another kind, or too large.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"reading weights: {path} does not exist.", hint="Check the path given to --weights.")
    if path.is_dir():
        raise WeightsError(
            f"reading weights: {path} is a folder, a file is wanted.",
            hint="Give the file of weights in it to --weights.",
        )
    suffix = path.suffix.lower()
    readers = {".npz": _read_npz, ".npy": _read_npy, ".json": _read_json, ".safetensors": _read_safetensors}
    reader: Any = _read_checkpoint if suffix in _CHECKPOINTS else readers.get(suffix)
    if reader is None:
        known = ", ".join([*_CHECKPOINTS[:3], *readers])
        raise WeightsError(
            f"reading weights: {path.name} ends in {suffix or 'nothing'}; known are {known}.",
            hint="Rename or convert it.",
        )
    if path.stat().st_size > MAX_BYTES:
        raise WeightsError(
            f"reading weights: {path.name} has {path.stat().st_size:,} bytes, the limit is {MAX_BYTES:,}."
        )
    check_stand_in(path)
    try:
        if path.name.endswith(".index.json"):
            tensors = read_shards(path, lambda shard: read_tensors(shard, progress=progress))
        elif reader is _read_checkpoint:
            tensors = _read_checkpoint(path, progress)
        else:
            tensors = reader(path)
    except CircuitGraphError:
        raise
    except PermissionError as error:
        raise WeightsError(f"reading weights: {path.name}: {error.strerror}.") from error
    except Exception as error:
        # the readers of these formats raise almost anything on half a file
        fact = _fact(error)
        raise WeightsError(
            f"reading weights: {path.name} ({path.stat().st_size:,} bytes) is cut short or not a {suffix} file: {fact}",
            hint="Fetch it again and compare its size or sha256 with the source's.",
        ) from error
    if not tensors:
        raise WeightsError(
            f"reading weights: {path.name} ({path.stat().st_size:,} bytes) holds no tensors.",
            hint="Fetch it again and compare its size or sha256 with the source's.",
        )
    return _without_prefix(tensors)


def _fact(error: Exception) -> str:
    words = str(error).strip()
    if words.startswith("Weights only load failed"):
        # torch's advice to load it unsafely is not passed on
        found = re.search(r"WeightsUnpickler error:\s*(.+)", words)
        return f"it is no checkpoint of tensors ({found[1] if found else 'torch does not read it'})"
    if isinstance(error, KeyError) or not words:
        return f"{type(error).__name__} {words}".strip()
    return words.splitlines()[0].partition(". This is an internal")[0][:200]


def _without_prefix(tensors: Tensors) -> Tensors:
    # beside an averaged model its count is kept
    named = {name: values for name, values in tensors.items() if name != "n_averaged"}
    for prefix in ("module.", "_orig_mod.", "module.", "_orig_mod."):
        if named and all(name.startswith(prefix) for name in named):
            tensors = named = {name.removeprefix(prefix): values for name, values in named.items()}
    return tensors


def _read_checkpoint(path: Path, progress: Progress) -> Tensors:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _check_sizes(path, [(entry.filename, entry.file_size) for entry in archive.infolist()])
    else:
        _refuse_code(path)
    tensors = _unwrapped(_load_weights_only(path), path, progress)
    return {name: _widened(tensor, f"{name} in {path.name}") for name, tensor in tensors.items()}


def _refuse_code(path: Path) -> None:
    """Say which code a pickle that is no checkpoint asks for; torch only says that it cannot read it."""
    asked = ""
    words: list[str] = []
    try:
        with path.open("rb") as stream:
            # walks over the opcodes and runs none of them; a checkpoint of tensors begins with protocol 2
            for place, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
                if place > _MOST_OPCODES:
                    return
                if opcode.name == "PROTO" and argument == _CHECKPOINT_PROTOCOL:
                    return
                if opcode.name in ("GLOBAL", "INST"):
                    asked = str(argument).replace(" ", ".")
                elif opcode.name == "STACK_GLOBAL":
                    asked = ".".join(words[-2:])
                elif isinstance(argument, str):
                    words.append(argument)
                if asked:
                    break
    except Exception:
        # not a pickle at all; the reader says so
        return
    if asked:
        raise _unsafe(path, asked)


def _unsafe(path: Path, asked: str) -> UnsafeFileError:
    return UnsafeFileError(
        f"reading weights: {path.name} is a pickle that asks for {asked[:80]}, which could run code; nothing was run.",
        hint="Where you trust it, save only its weights: torch.save(model.state_dict(), 'weights.pth').",
    )


def _load_weights_only(path: Path) -> Any:
    # plain numbers and settings that training scripts keep beside the weights; none of them runs code
    harmless: list[Any] = [
        np.dtype,
        np.ndarray,
        argparse.Namespace,
        np.float64(0).__reduce__()[0],
        np.zeros(0).__reduce__()[0],
        *{type(np.dtype(code)) for code in ("f8", "f4", "f2", "i8", "i4", "u1", "?")},
    ]
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(harmless):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        asked = re.search(r"GLOBAL ([\w.]+)|global:? `?([\w.]+)`? was not|class ([\w.]+)", str(error))
        if "Weights only load failed" in str(error) and asked:
            name = next(group for group in asked.groups() if group)
            raise _unsafe(path, name) from None
        raise


def _unwrapped(loaded: Any, path: Path, progress: Progress, *, depth: int = 0) -> dict[str, torch.Tensor]:
    if isinstance(loaded, Mapping):
        tensors = {str(name): value for name, value in loaded.items() if isinstance(value, torch.Tensor)}
        inner = [name for name in _WRAPPERS if isinstance(loaded.get(name), Mapping) and _has_tensors(loaded[name])]
        # a wrapper may hold a few tensors beside the weights
        if inner and depth < 3:
            if len(inner) > 1:
                progress.note(f"{path.name}: {inner[0]!r} is read; left are {', '.join(map(repr, inner[1:]))}")
            return _unwrapped(loaded[inner[0]], path, progress, depth=depth + 1)
        if tensors:
            return tensors
    keys = ", ".join(map(str, list(loaded)[:5])) if isinstance(loaded, Mapping) else type(loaded).__name__
    raise WeightsError(
        f"reading weights: {path.name} holds no table of tensors, but {keys or 'nothing'}.",
        hint="Save the weights with torch.save(model.state_dict(), 'weights.pth').",
    )


def _has_tensors(value: Any, depth: int = 0) -> bool:
    if isinstance(value, Mapping):
        return depth < 3 and any(_has_tensors(part, depth + 1) for part in value.values())
    return isinstance(value, torch.Tensor)


def _widened(tensor: torch.Tensor, where: str) -> NDArray[Any]:
    if tensor.is_meta:
        raise WeightsError(
            f"reading weights: {where} has no values (it is on the meta device).", hint="Save it with its values."
        )
    if tensor.is_quantized or tensor.is_complex():
        raise WeightsError(
            f"reading weights: {where} is {tensor.dtype}; floats are wanted.", hint="Save it as float32."
        )
    if tensor.is_sparse:
        tensor = tensor.to_dense()
    if tensor.is_floating_point() and tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float()
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    return array


def _read_safetensors(path: Path) -> Tensors:
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise MissingExtraError(
            "reading weights: .safetensors files need the package safetensors.",
            hint="pip install 'feature-circuitgraph[torch]'",
        ) from None
    return {name: _widened(tensor, f"{name} in {path.name}") for name, tensor in load_file(path).items()}


def _check_sizes(path: Path, sizes: list[tuple[str, int]]) -> None:
    total = sum(size for _, size in sizes)
    if total > MAX_BYTES:
        name, size = max(sizes, key=lambda entry: entry[1])
        raise WeightsError(
            f"reading weights: {path.name} unpacks to {total:,} bytes ({name}: {size:,}), the limit is {MAX_BYTES:,}."
        )
    packed = path.stat().st_size
    if total > max(_SMALL_BYTES, _MOST_UNPACKED * packed):
        raise WeightsError(
            f"reading weights: {path.name} has {packed:,} bytes and unpacks to {total:,}, "
            f"more than {_MOST_UNPACKED} times as many; weights do not.",
            hint="Where you trust it, write it again uncompressed: numpy.savez('weights.npz', **numpy.load(FILE)).",
        )


def _read_npz(path: Path) -> Tensors:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        _check_sizes(path, [(entry.filename, entry.file_size) for entry in entries])
        tensors: Tensors = {}
        for entry in entries:
            with archive.open(entry) as stream:
                name = entry.filename.removesuffix(".npy")
                tensors[name] = _read_array(stream, path, name, entry.file_size)  # type: ignore[arg-type]
    return tensors


def _read_npy(path: Path) -> Tensors:
    with path.open("rb") as stream:
        return {path.stem: _read_array(stream, path, path.stem, path.stat().st_size)}


def _read_array(stream: BinaryIO, path: Path, name: str, size: int) -> NDArray[Any]:
    """Read one array, after what its header claims is compared with the bytes there are."""
    major = npy.read_magic(stream)[0]
    shape, fortran, dtype = (npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0)(stream)
    if dtype.hasobject:
        raise UnsafeFileError(
            f"reading weights: {name} in {path.name} is an array of pickled objects; nothing was run.",
            hint="Save arrays of numbers only.",
        )
    wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if wanted > size or any(side < 0 for side in shape):
        raise WeightsError(
            f"reading weights: {name} in {path.name} claims the shape {shape}, {wanted:,} bytes, but has {size:,}.",
            hint="Fetch the file again and compare its size or sha256 with the source's.",
        )
    data = stream.read(wanted)
    values = np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    if values.dtype.kind not in "fiub":
        raise WeightsError(f"reading weights: {name} in {path.name} is of {values.dtype}; numbers are wanted.")
    return values.astype(
        np.float32 if values.dtype.kind == "f" and values.dtype.itemsize < 8 else values.dtype.newbyteorder("=")
    )


def _read_json(path: Path) -> Tensors:
    size = path.stat().st_size
    if size > _MAX_JSON_BYTES:
        raise WeightsError(
            f"reading weights: {path.name} has {size:,} bytes of JSON, the limit is {_MAX_JSON_BYTES:,}."
        )
    loaded = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(loaded, list):
        return _layers_of_units(loaded, path)
    if not isinstance(loaded, dict):
        raise WeightsError(
            f"reading weights: {path.name} holds {type(loaded).__name__}, a table of arrays is wanted.",
            hint=_JSON_FORMS,
        )
    return {name: _numbers(values, path, name) for name, values in loaded.items()}


def _layers_of_units(layers: list[Any], path: Path) -> Tensors:
    """Read ``[{name, weights: [{bias, weights}, ...]}, ...]``, one entry a unit."""
    tensors: Tensors = {}
    for place, layer in enumerate(layers):
        if not isinstance(layer, dict) or not isinstance(layer.get("name"), str):
            raise WeightsError(f"reading weights: layer {place} of {path.name} has no name.", hint=_JSON_FORMS)
        units, name = layer.get("weights"), layer["name"]
        if not units:
            continue
        if not isinstance(units, list) or not all(
            isinstance(unit, dict) and {"bias", "weights"} <= set(unit) for unit in units
        ):
            raise WeightsError(
                f"reading weights: {name} in {path.name} has a unit without 'bias' and 'weights'.", hint=_JSON_FORMS
            )
        tensors[f"{name}.weight"] = _numbers([unit["weights"] for unit in units], path, f"{name}.weight")
        tensors[f"{name}.bias"] = _numbers([unit["bias"] for unit in units], path, f"{name}.bias")
    return tensors


def _numbers(values: Any, path: Path, name: str) -> NDArray[Any]:
    try:
        return np.asarray(values, dtype=np.float64).astype(np.float32)
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"reading weights: {name} in {path.name} is not an array of numbers: {error}", hint=_JSON_FORMS
        ) from error
