"""Torch modules, torchvision's zoo by name and users' own factories, to bundles."""

from __future__ import annotations

import copy
import difflib
import importlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from circuitgraph.bundle import Bundle
from circuitgraph.errors import (
    ArchitectureError,
    MappingError,
    ShapeError,
    WeightsError,
)
from circuitgraph.ids import slugify
from circuitgraph.progress import SILENT, Progress
from circuitgraph.records import Family
from importers.bundling import write_expansion
from importers.expand import MAX_BLOCK_BYTES
from importers.fidelity import IMPORT_IMAGES, measure_at_import
from importers.gates import with_measured_gates
from importers.linear_ops import MapShape
from importers.linearisation import DEFAULT, Linearisation
from importers.linearise import linearise_traced
from importers.planning import Review
from importers.weights.checkpoint import Tensors, check_finite, read_tensors, weights_sha256

__all__ = ["Architecture", "build_architecture", "import_torch", "load_tensors", "state_of", "write_bundle"]

_ZOO_INPUT: MapShape = (3, 224, 224)
_ZOO_INPUTS: Mapping[str, MapShape] = {"inception_v3": (3, 299, 299)}
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Architecture:
    """A module to import, before or after its weights are in it."""

    module: nn.Module
    name: str
    short_name: str
    input_shape: MapShape | None
    has_weights: bool


def import_torch(
    module: nn.Module | str,
    *,
    out: str | Path,
    network: str | None = None,
    weights: str | Path | None = None,
    input_shape: Sequence[int] | None = None,
    units: str | Sequence[str] = "auto",
    linearisation: Linearisation = DEFAULT,
    max_block_bytes: int = MAX_BLOCK_BYTES,
    kwargs: Mapping[str, Any] | None = None,
    families: Iterable[Family] = (),
    title: str = "",
    reference: str = "",
    replace: bool = False,
    skip_refused: bool = False,
    review: Review | None = None,
    gate_images: NDArray[np.floating[Any]] | None = None,
    fidelity: int = IMPORT_IMAGES,
    progress: Progress = SILENT,
) -> Bundle:
    """Expand a torch module's weights and write them as a bundle.

    Parameters
    ----------
    module
        A module, the name of one of torchvision's, or ``package.module:factory`` (the current directory is
        searched too). It is not changed.
    out
        Where the bundle is to stand, by custom ``NAME.circuit``.
    network
        The network's id; by default the architecture's name.
    weights
        A file of weights (`importers.weights.checkpoint.read_tensors`). Needed where torchvision's name is given.
    input_shape
        (channel, row, col); known for torchvision's.
    units
        Which layers are layers of units: "auto", "activations", or names (`importers.unit_layers`).
    linearisation
        What is taken for steps that are not linear (`importers.linearisation`); recorded on each edge.
    max_block_bytes
        The largest array of kernels that may be made.
    kwargs
        What to call the factory with.
    families, title, reference
        Families of units and words that go into the bundle.
    replace
        Whether a bundle that is there may be replaced.
    skip_refused
        Whether layers that cannot be expanded are left out, and named in the manifest, instead of ending the import.
    review
        Shown the plan before anything is computed or written (`importers.planning`).
    gate_images
        (image, channel, row, col), on which the mean of each gate is measured, to be taken in its place
        (`importers.measure_gates`).
    fidelity
        On how many images of noise it is measured how well the weights predict the network
        (`importers.measure_fidelity`); 0 for no measurement.

    Returns
    -------
    Bundle
        Opened.

    Raises
    ------
    ArchitectureError
        The module cannot be found or built.
    WeightsError, UnsafeFileError, MissingFileError, NonFiniteError
        The weights cannot be read.
    MappingError, ShapeError
        The weights are another architecture's.
    TraceError, UnsupportedOperationError, BlockTooLargeError
        The module cannot be expanded.
    BundleExistsError, DiskFullError
        The bundle cannot be written.
    """
    tensors = None if weights is None else read_tensors(weights)
    made = build_architecture(module, kwargs or {}, tensors)
    if tensors is None and not made.has_weights:
        raise WeightsError(
            f"importing {made.name}: it comes without weights.",
            hint=f"Give a file of them: circuitgraph import torch {made.name} --weights FILE",
        )
    own = made.module
    if tensors is None and isinstance(module, str):
        progress.note(f"no weights file was given: the values are those that {made.name} begins with, random as a rule")
    if tensors is not None:
        own = load_tensors(made, tensors, Path(str(weights)).name)
    source = made.name if weights is None else Path(weights).name
    return write_bundle(
        own,
        out=out,
        network=network or slugify(made.short_name),
        architecture=made.name,
        source=source,
        input_shape=_input_shape(input_shape, made),
        importer="torch",
        units=units,
        linearisation=linearisation,
        max_block_bytes=max_block_bytes,
        options={"kwargs": dict(kwargs)} if kwargs else {},
        families=families,
        title=title,
        reference=reference,
        replace=replace,
        skip_refused=skip_refused,
        review=review,
        gate_images=gate_images,
        fidelity=fidelity,
        progress=progress,
    )


def write_bundle(
    module: nn.Module,
    *,
    input_shape: MapShape,
    source: str,
    linearisation: Linearisation = DEFAULT,
    gate_images: NDArray[np.floating[Any]] | None = None,
    fidelity: int = IMPORT_IMAGES,
    progress: Progress = SILENT,
    **options: Any,
) -> Bundle:
    """Expand a module with its weights in it and write the bundle; `options` are those of `write_expansion`."""
    state = state_of(module, source)
    traced = linearise_traced(module, input_shape)
    if gate_images is not None:
        linearisation = with_measured_gates(
            module, traced, linearisation, gate_images, input_shape=input_shape, progress=progress
        )
    return write_expansion(
        traced.graph,
        linearisation=linearisation,
        measure=measure_at_import(module, traced, count=fidelity, progress=progress),
        progress=progress,
        input_shape=input_shape,
        source=source,
        sha256=weights_sha256(state),
        **options,
    )


def state_of(module: nn.Module, source: str) -> Tensors:
    """Read a module's parameters and buffers, all finite.

    Raises
    ------
    WeightsError
        A tensor has no values yet.
    NonFiniteError
        A value is NaN or infinite.
    """
    state: Tensors = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if not isinstance(tensor, torch.Tensor):
            continue
        if isinstance(tensor, (nn.UninitializedParameter, nn.parameter.UninitializedBuffer)):
            raise WeightsError(
                f"importing {source}: {name} has no shape yet.", hint="Run the module forward once first."
            )
        if name.endswith("num_batches_tracked"):
            continue
        if tensor.is_meta:
            raise WeightsError(f"importing {source}: {name} has no values (it is on the meta device).")
        own = tensor.detach().cpu()
        wide = own.float() if own.is_floating_point() and own.dtype != torch.float64 else own
        state[name] = wide.numpy()
    check_finite(state, source)
    return state


def _input_shape(given: Sequence[int] | None, made: Architecture) -> MapShape:
    if given is None:
        if made.input_shape is None:
            raise ShapeError(
                f"importing {made.name}: the shape of its input is not known.",
                hint="Give it as channels x rows x columns: --input 3x32x32",
            )
        return made.input_shape
    shape = tuple(int(side) for side in given)
    if len(shape) != 3 or min(shape) < 1:
        raise ShapeError(
            f"importing {made.name}: the input shape {'x'.join(map(str, shape))} has {len(shape)} sides, "
            f"the smallest {min(shape, default=0)}; 3 of at least 1 are wanted.",
            hint="Give it as channels x rows x columns: --input 3x32x32",
        )
    return (shape[0], shape[1], shape[2])


def build_architecture(
    module: nn.Module | str, kwargs: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]] | None = None
) -> Architecture:
    """Find or build a module.

    Parameters
    ----------
    module
        A module, a torchvision name, or ``package.module:factory``.
    kwargs
        What to call the factory with.
    tensors
        The weights that will be put in, which tell whether auxiliary heads are wanted.

    Raises
    ------
    ArchitectureError
        There is no such module, or its factory fails.
    """
    if isinstance(module, nn.Module):
        name = type(module).__name__
        return Architecture(module, f"{type(module).__module__}:{name}", name.lower(), None, has_weights=True)
    if ":" in module:
        factory = _find_factory(module)
        built = _call(factory, module, kwargs)
        return Architecture(built, module, module.rpartition(":")[2].lower(), None, has_weights=True)
    return _from_zoo(module, kwargs, tensors)


def _from_zoo(name: str, kwargs: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]] | None) -> Architecture:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3)
        said = f" Did you mean {', '.join(close)}?" if close else ""
        raise ArchitectureError(
            f"importing {name}: torchvision has no model of that name.{said}",
            hint="Your own is named as PACKAGE.MODULE:FACTORY, for example mymodels.resnet:resnet20.",
        )
    builder = models.get_model_builder(name)
    options: dict[str, Any] = {"weights": None, **kwargs}
    if name in ("googlenet", "inception_v3"):
        options.setdefault("init_weights", False)
        # the heads that are only used in training are in some files and not in others
        has_heads = tensors is not None and any(key.startswith(("aux", "AuxLogits")) for key in tensors)
        options.setdefault("aux_logits", has_heads)
    shape = _ZOO_INPUTS.get(name, _ZOO_INPUT)
    try:
        with torch.device("meta"):
            built = builder(**options)
    except Exception:
        # some constructors compute with values; then the initial ones are made and thrown away
        built = _call(builder, name, options)
    return Architecture(built, name, name, shape, has_weights=False)


def _find_factory(path: str) -> Any:
    module_name, _, factory_name = path.partition(":")
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise ArchitectureError(
            f"importing {path}: {module_name!r} is not the name of a Python module.",
            hint="Name it as PACKAGE.MODULE:FACTORY, for example mymodels.resnet:resnet20.",
        )
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        # as `python -m` does
        sys.path.insert(0, here)
    try:
        found = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ModuleNotFoundError) and (error.name or "") in _parents(module_name)
        fact = "there is no such module" if missing else _first_line(error)
        raise ArchitectureError(
            f"importing {path}: {module_name}: {fact}.",
            hint=f"Run the command in the folder that holds {module_name.replace('.', os.sep)}.py, or set PYTHONPATH.",
        ) from error
    factory = getattr(found, factory_name, None)
    if factory is None or not callable(factory):
        names = [name for name, value in vars(found).items() if callable(value) and not name.startswith("_")]
        close = difflib.get_close_matches(factory_name, names, n=3)
        said = f" Did you mean {', '.join(close)}?" if close else ""
        raise ArchitectureError(f"importing {path}: {module_name} has no factory {factory_name!r}.{said}")
    return factory


def _parents(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:count]) for count in range(1, len(parts) + 1)}


def _first_line(error: BaseException) -> str:
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {words[0][:300]}" if words else type(error).__name__


def _call(factory: Any, name: str, kwargs: Mapping[str, Any]) -> nn.Module:
    if isinstance(factory, nn.Module):
        return factory
    try:
        built = factory(**kwargs)
    except (Exception, SystemExit) as error:
        raise ArchitectureError(
            f"importing {name}: its factory failed with {_first_line(error)}",
            hint="Arguments for it are given as --kwargs '{\"classes\": 10}'.",
        ) from error
    if not isinstance(built, nn.Module):
        raise ArchitectureError(
            f"importing {name}: its factory gave {type(built).__name__}, a torch.nn.Module is wanted."
        )
    return built


def load_tensors(made: Architecture, tensors: Mapping[str, NDArray[Any]], source: str) -> nn.Module:
    """Return a copy of a module with these weights in it.

    Raises
    ------
    MappingError
        Tensors are missing or left over.
    ShapeError
        A tensor has another shape than the module's.
    """
    own = made.module.state_dict()
    needed = {name for name in own if not name.endswith("num_batches_tracked")}
    missing = sorted(needed - set(tensors))
    extra = sorted(name for name in set(tensors) - set(own) if not name.endswith("num_batches_tracked"))
    if missing or extra:
        parts = [_listed(f"{len(missing)} tensors are missing", missing)] if missing else []
        parts += [_listed(f"{len(extra)} do not belong to it", extra)] if extra else []
        close = difflib.get_close_matches(missing[0], extra, n=1) if missing and extra else []
        said = f" (is {close[0]} its {missing[0]}?)" if close else ""
        raise MappingError(
            f"importing {source} into {made.name}: {'; '.join(parts)}{said}.",
            hint="The file is of another architecture, or of other arguments (--kwargs).",
        )
    for name in sorted(needed):
        if tuple(own[name].shape) != tensors[name].shape:
            raise ShapeError(
                f"importing {source} into {made.name}: {name} is {_sides(tensors[name].shape)} in the file, "
                f"{_sides(own[name].shape)} in the architecture.",
                hint="The file is of another architecture, or of other arguments (--kwargs).",
            )
    check_finite({name: tensors[name] for name in sorted(needed)}, source)
    return _with_values(made.module, {name: tensors[name] for name in needed})


def _with_values(module: nn.Module, tensors: Mapping[str, NDArray[Any]]) -> nn.Module:
    twin = copy.deepcopy(module)
    values = {name: torch.from_numpy(np.array(array)) for name, array in tensors.items()}
    twin.load_state_dict(values, strict=False, assign=True)
    for name, buffer in twin.named_buffers():
        if buffer.is_meta and name.endswith("num_batches_tracked"):
            parent, _, last = name.rpartition(".")
            twin.get_submodule(parent).register_buffer(last, torch.zeros((), dtype=torch.long))
    return twin


def _listed(what: str, names: Sequence[str]) -> str:
    more = f", ... and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{what} ({', '.join(names[:_SHOWN])}{more})"


def _sides(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a single number"
