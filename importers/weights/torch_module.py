"""Torch modules, torchvision's zoo by name and users' own factories, to bundles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from circuitgraph.bundle import Bundle
from circuitgraph.errors import ShapeError, WeightsError
from circuitgraph.ids import slugify
from circuitgraph.progress import SILENT, Progress
from circuitgraph.records import Family
from importers.bundling import write_expansion
from importers.expand import MAX_BLOCK_BYTES
from importers.fidelity import IMPORT_IMAGES, measure_at_import
from importers.gates import GateInput, with_measured_gates
from importers.input_shape import check_input_shape
from importers.linear_ops import MapShape
from importers.linearisation import DEFAULT, Linearisation
from importers.linearise import linearise_traced
from importers.module_twin import unwrapped
from importers.planning import Review
from importers.tracing import Tracer
from importers.weights.architecture import Architecture, build_architecture
from importers.weights.checkpoint import read_tensors
from importers.weights.loading import load_tensors, state_of
from importers.weights.tensors import weights_sha256

__all__ = ["import_torch", "write_bundle"]


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
    gate_images: GateInput | None = None,
    fidelity: int = IMPORT_IMAGES,
    tracer: Tracer = "auto",
    progress: Progress = SILENT,
) -> Bundle:
    """Expand a torch module's weights and write them as a bundle.

    Parameters
    ----------
    module
        A module, the name of one of torchvision's, ``package.module:factory`` (the current directory is
        searched too) or ``path/to/file.py:factory``. It is not changed.
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
        Images on which the mean of each gate is measured, to be taken in its place (`importers.gates`).
    fidelity
        On how many images of noise it is measured how well the weights predict the network
        (`importers.measure_fidelity`); 0 for no measurement.
    tracer
        "fx", "export", or "auto": what torch.fx cannot trace is tried with torch.export, which fixes all that
        depends on sizes at `input_shape`. The manifest's options say which it was (``traced_by``).

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
    tensors = None if weights is None else read_tensors(weights, progress=progress)
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
        tracer=tracer,
        progress=progress,
    )


def write_bundle(
    module: nn.Module,
    *,
    input_shape: MapShape,
    source: str,
    linearisation: Linearisation = DEFAULT,
    gate_images: GateInput | None = None,
    fidelity: int = IMPORT_IMAGES,
    tracer: Tracer = "auto",
    options: Mapping[str, Any] | None = None,
    progress: Progress = SILENT,
    **others: Any,
) -> Bundle:
    """Expand a module with its weights in it and write the bundle; `others` are those of `write_expansion`."""
    module = unwrapped(module)
    state = state_of(module, source)
    traced = linearise_traced(module, input_shape, tracer=tracer)
    said = {**(options or {}), "traced_by": traced.trace.traced_by}
    if traced.trace.traced_by == "export":
        progress.note(f"{source} is traced as it is for this input; its padding and branches may depend on the size")
        said["fixed_at_input"] = list(input_shape)
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
        options=said,
        **others,
    )


def _input_shape(given: Sequence[int] | None, made: Architecture) -> MapShape:
    if given is None:
        if made.input_shape is None:
            raise ShapeError(
                f"importing {made.name}: the shape of its input is not known.",
                hint="Give it as channels x rows x columns: --input 3x32x32",
            )
        return made.input_shape
    return check_input_shape(given, f"importing {made.name}")
