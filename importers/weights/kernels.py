"""Kernels in npz, safetensors, JSON, flat files or a checkpoint, put onto a named architecture."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import nn

from circuitgraph.bundle import Bundle
from circuitgraph.errors import MappingError, ShapeError
from circuitgraph.ids import slugify
from circuitgraph.progress import SILENT, Progress
from importers.expand import MAX_BLOCK_BYTES
from importers.fidelity import IMPORT_IMAGES
from importers.gates import GateInput
from importers.input_shape import check_input_shape
from importers.linear_ops import MapShape
from importers.linearisation import DEFAULT, Linearisation
from importers.planning import Review
from importers.weights.architecture import Architecture, build_architecture
from importers.weights.checkpoint import read_tensors
from importers.weights.layouts import KernelLayout, Layout, choose_layout, fitting_layouts
from importers.weights.loading import load_tensors
from importers.weights.mapping import KernelMapping, find_mapping, read_mapping
from importers.weights.raw import read_raw
from importers.weights.tensors import check_finite
from importers.weights.torch_module import write_bundle

__all__ = ["import_kernels", "read_kernels"]

_SHOWN = 5
_TORCHS_OWN = (".pth", ".pt", ".th", ".ckpt", ".bin", ".tar")


def import_kernels(
    path: str | Path,
    *,
    out: str | Path,
    arch: str | None = None,
    mapping: str | Path | None = None,
    layout: Layout | None = None,
    network: str | None = None,
    input_shape: Sequence[int] | None = None,
    units: str | Sequence[str] = "auto",
    linearisation: Linearisation = DEFAULT,
    max_block_bytes: int = MAX_BLOCK_BYTES,
    replace: bool = False,
    skip_refused: bool = False,
    review: Review | None = None,
    gate_images: GateInput | None = None,
    fidelity: int = IMPORT_IMAGES,
    progress: Progress = SILENT,
) -> Bundle:
    """Expand the kernels of a file on a named architecture and write them as a bundle.

    Parameters
    ----------
    path
        ``.npz``, ``.safetensors``, ``.json``, a torch checkpoint, or a flat file ``.dat`` (or a folder with one for
        each tensor) whose shapes the mapping declares.
    out
        Where the bundle is to stand, by custom ``NAME.circuit``.
    arch
        A torchvision name or ``package.module:factory``; by default the mapping's.
    mapping
        A mapping file (`importers.weights.mapping`) or the name of one that ships. By default the one that ships
        for `arch` and fits the names in the file, else none: then the names are the architecture's own.
    layout
        The order of axes of convolutions, "OIHW", "HWIO" or "OHWI" (down, up, row, column); by default the
        mapping's, else torch's in a checkpoint, else the one that fits the architecture's shapes.
    network
        The network's id; by default the mapping's, else the architecture's name.
    input_shape
        (channel, row, col); by default the mapping's, else the architecture's.
    units, linearisation, max_block_bytes, replace, skip_refused, review, gate_images, fidelity
        As for `importers.import_torch`.

    Returns
    -------
    Bundle
        Opened.

    Raises
    ------
    MappingError
        The file and the architecture do not fit; the message names a tensor and both counts. Or several orders of
        axes fit.
    ShapeError
        A tensor has another shape than the architecture's, or the shape of the input is not known.
    CircuitGraphError
        All that `importers.import_torch` raises.
    """
    module, chosen, made = read_kernels(path, arch=arch, mapping=mapping, layout=layout)
    source = Path(path).name
    options: dict[str, Any] = {"layout": chosen.layout, "linear_layout": chosen.linear_layout}
    if chosen.input_channels:
        options["input_channels"] = chosen.input_channels
    if chosen.flatten:
        options["flatten"] = {key: how.order for key, how in chosen.flatten.items()}
    if chosen.kwargs:
        options["kwargs"] = dict(chosen.kwargs)
    if chosen.input_std is not None:
        options["input_std"] = chosen.input_std
    return write_bundle(
        module,
        out=out,
        network=network or chosen.network or slugify(made.short_name),
        architecture=made.name,
        source=source,
        input_shape=_input_shape(input_shape, chosen, made),
        importer="kernels",
        units=units,
        names=dict(chosen.layers) if units == "auto" else {},
        linearisation=linearisation,
        max_block_bytes=max_block_bytes,
        options=options,
        title=chosen.title,
        reference=chosen.reference,
        replace=replace,
        skip_refused=skip_refused,
        review=review,
        gate_images=gate_images,
        fidelity=fidelity,
        progress=progress,
    )


def read_kernels(
    path: str | Path, *, arch: str | None = None, mapping: str | Path | None = None, layout: Layout | None = None
) -> tuple[nn.Module, KernelMapping, Architecture]:
    """Read the kernels of a file into a named architecture; parameters and errors are those of `import_kernels`.

    Returns
    -------
    module
        With the kernels in it.
    mapping, architecture
        What was followed, its layouts those that were found, and the module without them.
    """
    source = Path(path).name
    if layout not in (None, "OIHW", "HWIO", "OHWI"):
        raise MappingError(f"importing {source}: layout is {layout!r}; 'OIHW', 'HWIO' or 'OHWI' is wanted.")
    given = None if mapping is None else read_mapping(mapping)
    raw = None if given is None else given.raw
    is_flat = raw is not None or Path(path).suffix.lower() == ".dat"
    tensors = read_raw(path, raw) if is_flat else read_tensors(path)
    if given is not None:
        chosen = given if arch is None else given.model_copy(update={"architecture": arch})
    elif arch is not None:
        chosen = find_mapping(arch, tensors)
    else:
        raise MappingError(
            f"importing {source}: it does not say which architecture its kernels are of.",
            hint="Name it with --arch, for example --arch squeezenet1_0, or give a --mapping.",
        )
    own: Layout | None = "OIHW" if Path(path).suffix.lower() in _TORCHS_OWN else None
    chosen = chosen.model_copy(update={"layout": layout or chosen.layout or own})
    made = build_architecture(chosen.architecture, chosen.kwargs)
    check_finite(tensors, source)
    fitted, how = _fitted(chosen, made, tensors, source)
    chosen = chosen.model_copy(update={"layout": how.layout, "linear_layout": how.linear})
    return load_tensors(made, fitted, source), chosen, made


def _input_shape(given: Sequence[int] | None, mapping: KernelMapping, made: Architecture) -> MapShape:
    shape = tuple(given) if given is not None else mapping.input_shape or made.input_shape
    if shape is None:
        raise ShapeError(
            f"importing onto {made.name}: the shape of its input is not known.",
            hint="Give it as channels x rows x columns: --input 3x32x32",
        )
    return check_input_shape(shape, f"importing onto {made.name}")


def _fitted(
    mapping: KernelMapping, made: Architecture, tensors: Mapping[str, NDArray[Any]], source: str
) -> tuple[dict[str, NDArray[Any]], KernelLayout]:
    """Bring the file's arrays to the architecture's names and axes, or say which does not fit."""
    own = made.module.state_dict()
    keys = {tensor: mapping.key(tensor) for tensor in tensors}
    unknown = [tensor for tensor, key in keys.items() if key not in own]
    missing = [key for key in own if key not in keys.values() and not key.endswith("num_batches_tracked")]
    if unknown or missing:
        parts = []
        if unknown:
            close = difflib.get_close_matches(keys[unknown[0]], list(own), n=1)
            said = f" (did you mean {close[0]}?)" if close else ""
            parts.append(
                f"{len(unknown)} of {len(tensors)} tensors have no place in it: {_some(unknown)}; "
                f"{unknown[0]} would be {keys[unknown[0]]}{said}"
            )
        if missing:
            parts.append(f"{len(missing)} of its parameters have no tensor: {_some(missing)}")
        raise MappingError(
            f"importing {source} onto {made.name}: {'; '.join(parts)}.",
            hint="Name the right architecture with --arch, or say how the names fit in a --mapping file.",
        )
    twice = [key for key in keys.values() if list(keys.values()).count(key) > 1]
    if twice:
        same = [tensor for tensor, key in keys.items() if key == twice[0]]
        raise MappingError(f"importing {source} onto {made.name}: {' and '.join(same)} are both {twice[0]}.")
    shapes = {
        tensor: (tensors[tensor].shape, tuple(own[key].shape))
        for tensor, key in keys.items()
        if not key.endswith("num_batches_tracked")
    }
    how = choose_layout(shapes, layout=mapping.layout, linear=mapping.linear_layout, source=source)
    fitted = {keys[tensor]: mapping.fitted(keys[tensor], values, how) for tensor, values in tensors.items()}
    for tensor, (_, want) in shapes.items():
        have = fitted[keys[tensor]].shape
        if have == want:
            continue
        others = fitting_layouts(shapes)
        if others:
            file = "x".join(map(str, tensors[tensor].shape))
            raise MappingError(
                f"importing {source} onto {made.name}: {tensor} is {file}, which read as {how} is "
                f"{'x'.join(map(str, have))}, but {keys[tensor]} is {'x'.join(map(str, want))}.",
                hint=f"Read as {others[0]} it fits: say --layout {others[0].layout}, or declare no layout.",
            )
        raise MappingError(
            f"importing {source} onto {made.name}: {_difference(tensor, keys[tensor], have, want)}.",
            hint="The file may come from another architecture; name it with --arch. No order of axes fits.",
        )
    return fitted, how


def _difference(tensor: str, key: str, have: tuple[int, ...], want: tuple[int, ...]) -> str:
    if len(have) == len(want) and len(have) >= 2 and have[1] != want[1] and have[2:] == want[2:]:
        return f"{tensor} has {have[1]} inputs, but {key} takes {want[1]}"
    if len(have) == len(want) and have[0] != want[0] and have[1:] == want[1:]:
        return f"{tensor} has {have[0]} units, but {key} has {want[0]}"
    return f"{tensor} is {'x'.join(map(str, have))}, but {key} is {'x'.join(map(str, want))}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f", ... and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
