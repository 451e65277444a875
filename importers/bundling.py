"""From a network as linear steps to its bundle: the end that all front ends share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from circuitgraph.bundle import Bundle, BundleWriter
from circuitgraph.errors import BlockTooLargeError, CircuitGraphError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.records import Family, Fidelity, NetworkInfo
from importers.expand import MAX_BLOCK_BYTES, Expansion
from importers.linear_ops import NOTHING_ADMITS_IT, LinearGraph, MapShape
from importers.linearisation import DEFAULT, Linearisation
from importers.planning import ExpansionPlan, Review, in_words, plan_expansion

__all__ = ["write_expansion"]


def write_expansion(
    graph: LinearGraph,
    *,
    out: str | Path,
    network: str,
    architecture: str,
    source: str,
    sha256: str,
    input_shape: MapShape,
    importer: str,
    units: str | Sequence[str] = "auto",
    names: Mapping[str, str] | None = None,
    linearisation: Linearisation = DEFAULT,
    max_block_bytes: int = MAX_BLOCK_BYTES,
    options: Mapping[str, Any] | None = None,
    families: Iterable[Family] = (),
    title: str = "",
    reference: str = "",
    replace: bool = False,
    skip_refused: bool = False,
    review: Review | None = None,
    measure: Callable[[Bundle], Fidelity | None] | None = None,
    progress: Progress = SILENT,
) -> Bundle:
    """Expand a network that a front end has read, and write the bundle.

    Parameters
    ----------
    graph
        The network as linear steps.
    out
        Where the bundle is to stand, by custom ``NAME.circuit``.
    network, architecture, source, sha256, input_shape, importer
        What the bundle says of itself; `sha256` is that of the weights.
    units
        Which layers are layers of units: "auto", "activations", or names (`importers.unit_layers`).
    names
        Names for layers, each with the module path it is given to.
    linearisation
        What is taken for steps that are not linear.
    max_block_bytes
        The largest array of kernels that may be made.
    options
        What else the front end was told, for the manifest.
    families, title, reference
        Families of units and words that go into the bundle.
    replace
        Whether a bundle that is there may be replaced.
    skip_refused
        Whether layers that cannot be expanded are left out, and named in the manifest, instead of ending the import.
    review
        Shown the plan before anything is computed or written (`importers.planning`).
    measure
        Says of the bundle how well its weights predict the network (`importers.fidelity`); by default that is not
        measured.

    Raises
    ------
    MappingError, UnsupportedOperationError, BlockTooLargeError
        The network cannot be expanded as asked; nothing was computed or written.
    BundleExistsError, DiskFullError
        The bundle cannot be written.
    """
    plan = plan_expansion(
        graph,
        network,
        units=units,
        names=names,
        linearisation=linearisation,
        max_block_bytes=max_block_bytes,
        progress=progress,
    )
    if review is not None:
        review(plan)
    _accept(plan, skip_refused=skip_refused, progress=progress)
    info = NetworkInfo(
        network=network,
        architecture=architecture,
        weights_sha256=sha256,
        source=source,
        input_shape=input_shape,
        importer=importer,
        options={
            "units": plan.units if plan.units != "named" else [layer.name for layer in plan.layers],
            "units_asked": units if isinstance(units, str) else list(units),
            **linearisation.to_options(),
            **(options or {}),
        },
        approximations=(*(in_words(token) for token in plan.approximations), *graph.notes),
        title=title,
        reference=reference,
    )
    writer = BundleWriter(
        out,
        info,
        plan.layers,
        replace=replace,
        fingerprint=plan.fingerprint,
        refused=plan.refused,
        progress=progress,
    )
    # the number of threads in a matrix product changes the last bits of what comes out
    with (
        writer,
        threadpool_limits(1, user_api="blas"),
        progress.task(f"expanding {network}", total=plan.bytes, unit="bytes") as task,
    ):
        for own in plan.unit_layers[1:]:
            uid = own.layer.uid
            if uid in plan.refused_layers:
                continue
            into = [pair for pair in plan.pairs if pair.down == uid]
            task.describe(f"{own.layer.name} ({', '.join(pair.up.partition('/')[2] for pair in into[:3])})")
            if not writer.is_done(uid):
                writer.add_target(uid, *_expand(plan.expansion, own.tensor))
            task.advance(sum(pair.bytes for pair in into))
        writer.add_families(families)
        return writer.finish(measure=measure)


def _accept(plan: ExpansionPlan, *, skip_refused: bool, progress: Progress) -> None:
    """Raise what was refused, or say how much of it is left out; then say what the rest takes."""
    if plan.is_refused(skip_refused=skip_refused):
        # what no option admits is not told last, after one option was tried after the other
        first = next((error for error in plan.errors if NOTHING_ADMITS_IT in str(error)), plan.errors[0])
        others = len(plan.errors) - 1
        if others:
            first.add_note(f"Layers that cannot be expanded either: {others}.")
        raise first
    if plan.errors:
        progress.note(
            f"warning: {len(plan.errors)} of {len(plan.layers) - 1} layers cannot be expanded, and are left out with "
            f"the {len(plan.refused)} pairs into them; the first: {plan.errors[0].message}"
        )
    if plan.largest is not None:
        progress.note(
            f"{len(plan.pairs)} pairs of layers, {plan.bytes:,} bytes of kernels; the largest, {plan.largest.up} -> "
            f"{plan.largest.down}, takes {plan.largest.bytes:,}"
        )


def _expand(expansion: Expansion, tensor: str) -> tuple[NDArray[np.float32], Any]:
    try:
        return expansion.expand_layer(tensor)
    except MemoryError as error:
        if isinstance(error, CircuitGraphError):
            raise
        raise BlockTooLargeError(
            f"expanding {expansion.layers[tensor]}: the machine has no memory left for it.",
            hint="Take layers in between with --units activations.",
        ) from error
