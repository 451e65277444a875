"""Frozen TensorFlow graphs to bundles, without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from circuitgraph.bundle import Bundle
from circuitgraph.ids import slugify
from circuitgraph.progress import SILENT, Progress
from importers.bundling import write_expansion
from importers.expand import MAX_BLOCK_BYTES
from importers.graphdef_file import read_graphdef
from importers.graphdef_linearise import linearise_graph
from importers.linearisation import DEFAULT, Linearisation
from importers.planning import Review
from importers.weights.tensors import check_finite, weights_sha256

__all__ = ["import_graphdef"]


def import_graphdef(
    path: str | Path,
    *,
    out: str | Path,
    network: str | None = None,
    input_shape: Sequence[int] | None = None,
    input_name: str | None = None,
    output_names: Sequence[str] = (),
    units: str | Sequence[str] = "auto",
    linearisation: Linearisation = DEFAULT,
    max_block_bytes: int = MAX_BLOCK_BYTES,
    title: str = "",
    reference: str = "",
    replace: bool = False,
    skip_refused: bool = False,
    review: Review | None = None,
    progress: Progress = SILENT,
) -> Bundle:
    """Expand the weights of a frozen TensorFlow graph and write them as a bundle.

    Parameters
    ----------
    path
        A binary GraphDef whose weights are constants in it (``.pb``).
    out
        Where the bundle is to stand, by custom ``NAME.circuit``.
    network
        The network's id; by default the file's name.
    input_shape
        (channel, row, col), whatever the graph's order of axes; by default the one that the graph states.
        Padding of kind "SAME" depends on it, so the bundle records it.
    input_name
        The operation whose output is the network's input; by default the placeholder for images.
    output_names
        The operations at which the network ends; by default the one farthest from the input.
    units
        Which layers are layers of units: "auto", "activations", or names of operations, with a dot or a slash
        between their parts.
    linearisation, max_block_bytes, title, reference, replace, skip_refused, review, progress
        As for `importers.import_torch`.

    Returns
    -------
    Bundle
        Opened.

    Raises
    ------
    MissingFileError, MissingExtraError, WeightsError, NonFiniteError
        The file cannot be read.
    MappingError, ShapeError, TraceError
        It is not clear where the network begins and ends, or the shape of its input is not known.
    UnsupportedOperationError, BlockTooLargeError
        The network cannot be expanded.
    BundleExistsError, DiskFullError
        The bundle cannot be written.

    Notes
    -----
    Far from the border nothing depends on how a pool counts its padding. The parts of a module that TensorFlow
    puts side by side keep their order, so the units of InceptionV1's layers are numbered as in the articles.
    """
    path = Path(path)
    found = linearise_graph(
        read_graphdef(path), input_shape=input_shape, input_name=input_name, output_names=output_names
    )
    check_finite(found.constants, path.name)
    names = [units] if isinstance(units, str) else list(units)
    dotted = [name.replace("/", ".") for name in names]
    return write_expansion(
        found.graph,
        out=out,
        network=network or slugify(path.stem),
        architecture=path.stem,
        source=path.name,
        sha256=weights_sha256(found.constants),
        input_shape=found.input_shape,
        importer="graphdef",
        units=dotted[0] if isinstance(units, str) else dotted,
        linearisation=linearisation,
        max_block_bytes=max_block_bytes,
        options={"input_name": found.input_name, "output_names": list(found.output_names)},
        title=title,
        reference=reference,
        replace=replace,
        skip_refused=skip_refused,
        review=review,
        progress=progress,
    )
