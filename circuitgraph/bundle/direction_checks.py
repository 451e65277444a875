"""Proving that the kernels and edges of directions follow from their coefficients and the neurons' kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from circuitgraph.bundle import format as fmt
from circuitgraph.bundle.blocks import DirectionBlockInfo
from circuitgraph.bundle.direction_kernels import (
    DirectionWeights,
    Group,
    Held,
    Kinds,
    block_info,
    direction_edges,
    groups_into,
)
from circuitgraph.bundle.read import Bundle
from circuitgraph.records import Layer

__all__ = ["compare_directions"]


def compare_directions(bundle: Bundle) -> list[str]:
    """Make the kernels and edges of all directions again, and say what differs from what is stored."""
    shelf = bundle.directions
    held = {uid: Held(shelf.names(uid), shelf.sources(uid), shelf.coefficients(uid)) for uid in shelf.layers}
    weights = DirectionWeights(bundle, held)
    differences = _compare_units(bundle)
    stored = {part.block: part for part in shelf.blocks}
    count = 0
    for layer in bundle.layers[1:]:
        groups = groups_into(bundle, layer)
        wanted = [(group, kinds) for group in groups for kinds in weights.kinds_of(group)]
        parts = [stored.pop(group.block_number(kinds), None) for group, kinds in wanted]
        missing = [group for (group, _), part in zip(wanted, parts, strict=True) if part is None]
        if missing:
            differences.append(f"directions of {missing[0].up.uid} -> {layer.uid}: a block is missing")
            continue
        there = [(group, kinds, part) for (group, kinds), part in zip(wanted, parts, strict=True) if part is not None]
        for group in groups:
            differences += _compare_kernels(weights, group, [each for each in there if each[0] is group])
        found, wrong = _compare_edges(weights, layer, there)
        count += found
        differences += wrong
    if stored:
        differences.append(f"{len(stored)} blocks of directions lead between layers that have none")
    if count != bundle.manifest.counts.get("direction_edges", 0):
        differences.append(f"{count} edges of directions, the manifest says another count")
    return differences


def _compare_units(bundle: Bundle) -> list[str]:
    kinds = bundle.units["kind"]
    listed = bundle.units.filter(pc.equal(kinds, "direction"))["uid"].to_pylist()
    named = [uid for layer in bundle.directions.layers for uid in bundle.directions.uids(layer)]
    return [] if listed == named else [f"units.parquet lists other directions than {fmt.DIRECTIONS_FILE}"]


def _compare_kernels(
    weights: DirectionWeights, group: Group, own: Sequence[tuple[Group, Kinds, DirectionBlockInfo]]
) -> list[str]:
    files = {kinds: weights.bundle.stored(part) for _, kinds, part in own}
    wrong = []
    for kinds, kernels in files.items():
        shape = (weights.count(group.down, kinds[1]), weights.count(group.up, kinds[0]), *group.window)
        if kernels.shape != shape:
            wrong.append(f"directions of {group.up.uid} -> {group.down.uid}: kernels are {kernels.shape}, not {shape}")
    if wrong:
        return wrong
    at = dict.fromkeys(files, 0)
    bad = dict.fromkeys(files, 0)
    for kinds, rows in weights.iter_rows(group, list(files)):
        start = at[kinds]
        at[kinds] += len(rows)
        bad[kinds] += _count_different(rows, files[kinds][start : start + len(rows)])
    return [
        f"directions of {group.up.uid} -> {group.down.uid} ({up} to {down}): {count} weights do not follow"
        for (up, down), count in bad.items()
        if count
    ]


def _count_different(made: NDArray[np.floating], stored: NDArray[np.floating]) -> int:
    # another numpy may add up in another order
    near = 1e-6 * max(1e-30, float(np.abs(stored).max(initial=0)))
    return int((~np.isclose(made, stored, rtol=1e-4, atol=near)).sum())


def _compare_edges(
    weights: DirectionWeights, layer: Layer, there: Sequence[tuple[Group, Kinds, DirectionBlockInfo]]
) -> tuple[int, list[str]]:
    bundle = weights.bundle
    table = bundle.directions.edges(layer.uid)
    totals = weights.totals(
        layer, [bundle.stored(part) for _, kinds, part in there if kinds == ("neuron", "direction")]
    )
    start, wrong = 0, dict.fromkeys(fmt.DIRECTION_EDGES_SCHEMA.names, 0)
    for group, kinds, part in there:
        kernels = bundle.stored(part)
        again = block_info(group, kinds, len(kernels), part.file)
        for rows in direction_edges(again, kernels, weights.ends(group, kinds, totals[kinds[1]])):
            own = table.slice(start, rows.num_rows)
            start += rows.num_rows
            if own.num_rows != rows.num_rows:
                return table.num_rows, [f"edges of directions into {layer.uid}: {table.num_rows}, too few"]
            for name in wrong:
                if name.endswith("_uid"):
                    wrong[name] += own[name].cast("string").to_pylist() != rows[name].cast("string").to_pylist()
                else:
                    wrong[name] += _count_different(
                        rows[name].to_numpy().astype(float), own[name].to_numpy().astype(float)
                    )
    if start != table.num_rows:
        return table.num_rows, [f"edges of directions into {layer.uid}: {table.num_rows}, {start} follow"]
    # where rounding moves a cut by a bit, a few flags turn
    allowed = {name: 1e-3 * start if name in ("excites", "inhibits", "mixes") else 0 for name in wrong}
    return start, [
        f"edges of directions into {layer.uid}: column {name} does not follow from the kernels"
        for name, count in wrong.items()
        if count > allowed[name]
    ]
