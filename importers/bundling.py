"""From a network as linear steps to its bundle: the end that all front ends share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle, BundleWriter
from circuitgraph.errors import BlockTooLargeError, CircuitGraphError
from circuitgraph.ids import check_network_name
from circuitgraph.progress import SILENT, Progress
from circuitgraph.records import Family, Fidelity, NetworkInfo
from importers.expand import MAX_BLOCK_BYTES, Expansion
from importers.linear_ops import LinearGraph, MapShape
from importers.linearisation import DEFAULT, Linearisation
from importers.unit_layers import choose_unit_layers

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
    measure
        Says of the bundle how well its weights predict the network (`importers.fidelity`); by default that is not
        measured.

    Raises
    ------
    MappingError, UnsupportedOperationError, BlockTooLargeError
        The network cannot be expanded as asked.
    BundleExistsError, DiskFullError
        The bundle cannot be written.
    """
    check_network_name(network)
    layers, rule = choose_unit_layers(graph, network, units, names=dict(names or {}))
    expansion = Expansion(
        graph,
        {own.tensor: own.layer.uid for own in layers},
        linearisation=linearisation,
        max_block_bytes=max_block_bytes,
    )
    # everything that will be refused is refused here, before a file is made
    pairs = [pair for target in expansion.targets for pair in expansion.plan(target)]
    approximations = sorted({token for pair in pairs for token in pair.approximations})
    info = NetworkInfo(
        network=network,
        architecture=architecture,
        weights_sha256=sha256,
        source=source,
        input_shape=input_shape,
        importer=importer,
        options={
            "units": rule if rule != "named" else [own.layer.name for own in layers],
            "units_asked": units if isinstance(units, str) else list(units),
            **linearisation.to_options(),
            **(options or {}),
        },
        approximations=(*(_in_words(token) for token in approximations), *graph.notes),
        title=title,
        reference=reference,
    )
    by_uid = {own.layer.uid: own for own in layers}
    writer = BundleWriter(out, info, [own.layer for own in layers], replace=replace, progress=progress)
    with writer, progress.task(f"expanding {network}", total=len(pairs), unit="pair") as task:
        for own in layers[1:]:
            count = sum(pair.down == own.layer.uid for pair in pairs)
            task.describe(own.layer.name)
            if not writer.is_done(own.layer.uid):
                writer.add_target(own.layer.uid, *_expand(expansion, by_uid[own.layer.uid].tensor))
            task.advance(count)
        writer.add_families(families)
        return writer.finish(measure=measure)


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


def _in_words(token: str) -> str:
    known = {
        "max_pool=avg": "max pools are taken as the mean over their window",
        "max_pool=centre": "max pools are taken as the middle cell of their window",
        "border": "terms at the border are dropped before a global pool",
    }
    if token.startswith("ceiling="):
        return f"{token}: the ceiling of a bounded ReLU is ignored"
    return f"{token}: {known[token]}" if token in known else token
