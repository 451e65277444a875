"""Proving that a bundle is what its manifest says, and that its edges follow from its kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from circuitgraph.bundle import format as fmt
from circuitgraph.bundle.direction_checks import compare_directions
from circuitgraph.bundle.edges import BlockEdges, TargetEdges
from circuitgraph.bundle.read import Bundle
from circuitgraph.errors import BundleCorruptError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.records import Layer

__all__ = ["VerifyReport", "verify_bundle"]


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was looked at."""

    files: int
    bytes: int
    edges: int
    differences: Sequence[str]

    def raise_if_corrupt(self, bundle: Bundle) -> None:
        """Raise `BundleCorruptError` naming the first differences, if there are any."""
        if self.differences:
            shown = "; ".join(self.differences[:3])
            more = f"; and {len(self.differences) - 3} more" if len(self.differences) > 3 else ""
            raise BundleCorruptError(f"verifying {bundle.path}: {shown}{more}.", hint="Import the network again.")


def verify_bundle(bundle: Bundle, *, progress: Progress = SILENT) -> VerifyReport:
    """Hash every file again, look for strangers, and make the edges again from the kernels.

    `cancellation` needs both factors and is not made again; the file's hash vouches for it.
    """
    differences = []
    total = sum(entry.bytes for entry in bundle.manifest.files.values())
    with progress.task("hashing", total, "bytes") as task:
        for name, entry in bundle.manifest.files.items():
            task.describe(name)
            try:
                is_same = fmt.file_sha256(bundle.path / name) == entry.sha256
            except OSError as error:
                differences.append(f"{name} cannot be read ({error.strerror or error})")
            else:
                if not is_same:
                    differences.append(f"{name} is not what the manifest says (sha256 differs)")
            task.advance(entry.bytes)
    differences += [
        f"{name} is not in the manifest"
        for name in fmt.iter_files(bundle.path)
        if name != fmt.MANIFEST and name not in bundle.manifest.files
    ]
    edge_count = 0
    if not differences:
        with progress.task("making edges again", len(bundle.layers) - 1, "layer") as task:
            for layer in bundle.layers[1:]:
                task.describe(layer.uid)
                differences += _compare_edges(bundle, layer)
                edge_count += bundle.edges(layer.uid).num_rows
                task.advance()
        if edge_count != bundle.manifest.counts["edges"]:
            differences.append(f"{edge_count} edges, the manifest says {bundle.manifest.counts['edges']}")
        if bundle.directions.count:
            differences += compare_directions(bundle)
            edge_count += bundle.manifest.counts["direction_edges"]
    return VerifyReport(len(bundle.manifest.files), total, edge_count, tuple(differences))


def _compare_edges(bundle: Bundle, layer: Layer) -> list[str]:
    parts = [part for part in bundle.blocks if part.down == layer.uid]
    made = TargetEdges(
        [
            BlockEdges(
                bundle.stored(part),
                form=part.form,
                row_start=part.row_start,
                offset=part.offset,
                up_channels=None if part.up_file is None else bundle.up_channels(part),
                gross=None,
                number=part.block,
                source=part.up,
            )
            for part in parts
        ],
        layer.unit_count,
        strong_share=bundle.manifest.strong_share,
    )
    stored = bundle.edges(layer.uid)
    count = sum(block.count for block in made.blocks)
    if count != stored.num_rows:
        return [f"{stored.num_rows} edges into {layer.uid} are stored, its kernels have {count}"]
    different = dict.fromkeys(fmt.EDGES_SCHEMA.names, 0.0)
    start = 0
    for rows in made.iter_slices():
        own = stored.slice(start, rows.num_rows)
        start += rows.num_rows
        for name in different:
            different[name] += _count_different(rows[name].to_numpy(), own[name].to_numpy())
    return [
        f"edges into {layer.uid}: column {name} does not follow from the kernels"
        for name, bad in different.items()
        # where rounding moves a cut by a bit, a few flags turn
        if name != "cancellation"
        and bad > (1e-3 * count if pa.types.is_boolean(fmt.EDGES_SCHEMA.field(name).type) else 0)
    ]


def _count_different(made: NDArray[Any], stored: NDArray[Any]) -> int:
    if made.dtype.kind != "f":
        return int(np.count_nonzero(made != stored))
    # another numpy may add up in another order
    atol = 1e-6 * max(1e-30, float(np.abs(stored).max(initial=0)))
    return int(np.count_nonzero(~np.isclose(made, stored, rtol=1e-4, atol=atol)))
