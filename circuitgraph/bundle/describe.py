"""Tables that tell what is in a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from circuitgraph.bundle.approximations import approximation_notes
from circuitgraph.bundle.read import Bundle
from circuitgraph.records import Layer

__all__ = ["EDGE_COLUMNS", "STRONG", "Description", "describe_layer", "describe_network", "describe_unit"]

_LAYER_COLUMNS = (
    "layer",
    "kind",
    "units",
    "map",
    "stride",
    "receptive_field",
    "in_norm",
    "dead_units",
    "aliases",
)
_PAIR_COLUMNS = (
    "up",
    "down",
    "form",
    "kernels",
    "window",
    "offset",
    "stride",
    "l1",
    "l2",
    "zero_share",
    "cancellation",
    "approximations",
)
_UNIT_COLUMNS = ("uid", "bias", "in_norm", "out_norm", "is_dead", "family")
EDGE_COLUMNS = ("unit", "sum", "l1", "l2", "top", "bottom", "left", "right", "centre", "share_in", "strong")
STRONG = ("excites", "inhibits", "mixes")


@dataclass(frozen=True, slots=True)
class Description:
    """A titled table, and what a reader must know of it.

    Attributes
    ----------
    rows
        Values as they are: a pair is a list (row, col), and what differs between the blocks of one pair is a
        list with one item for each.
    key_columns
        How many of the first columns say what a row is about.
    joints
        For a column of pairs: what stands between row and col when it is shown to a reader.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = ()
    key_columns: int = 1
    joints: Mapping[str, str] = field(default_factory=dict)


def describe_network(bundle: Bundle) -> list[Description]:
    """Describe the layers and the pairs of layers with kernels between them."""
    info, counts = bundle.info, bundle.manifest.counts
    title = f"{bundle.network} ({info.architecture}): {counts['layers']} layers, {counts['units']:,} units"
    layers = Description(
        "layers",
        title,
        _LAYER_COLUMNS,
        [_layer_row(bundle, layer) for layer in bundle.layers],
        joints=dict.fromkeys(("map", "stride", "receptive_field"), "x"),
    )
    approximations = ", ".join(info.approximations) or "none"
    notes = [
        f"{counts['pairs']} pairs, {counts['edges']:,} kernels; weights {info.weights_sha256[:12]} from {info.source}; "
        f"approximations: {approximations}"
    ]
    if bundle.directions.count:
        notes.append(f"{bundle.directions.count:,} directions besides; `circuitgraph direction list` shows them")
    tables = [layers, _pairs_table("pairs of layers", bundle, bundle.pairs, notes)]
    if bundle.refused:
        tables.append(_refused_table(bundle))
    return tables


def _refused_table(bundle: Bundle) -> Description:
    rows = [
        {"up": pair.up.partition("/")[2], "down": pair.down.partition("/")[2], "reason": pair.reason}
        for pair in bundle.refused
    ]
    hints = tuple(dict.fromkeys(pair.hint for pair in bundle.refused if pair.hint))
    title = "pairs left out of this bundle (--skip-refused)"
    return Description("refused", title, ("up", "down", "reason"), rows, hints, key_columns=2)


def _layer_row(bundle: Bundle, layer: Layer) -> dict[str, Any]:
    own = _units_of(bundle, layer)
    return {
        "layer": layer.name,
        "kind": layer.kind,
        "units": layer.unit_count,
        "map": list(layer.size),
        "stride": list(layer.stride),
        "receptive_field": list(layer.receptive_field),
        "in_norm": float(np.sqrt(np.square(own["in_norm"].to_numpy().astype(float)).sum())),
        "dead_units": int(pc.sum(own["is_dead"]).as_py() or 0),
        "aliases": list(layer.aliases),
    }


def _units_of(bundle: Bundle, layer: Layer) -> pa.Table:
    units = bundle.units
    return units.filter(pc.and_(pc.equal(units["layer"], layer.uid), pc.equal(units["kind"], "neuron")))


def _pairs_table(
    title: str, bundle: Bundle, pairs: Sequence[tuple[str, str]], notes: Sequence[str] = ()
) -> Description:
    rows = [_pair_row(bundle, up, down) for up, down in pairs]
    joints = {"window": "x", "stride": "x", "offset": ","}
    return Description("pairs", title, _PAIR_COLUMNS, rows, notes, key_columns=2, joints=joints)


def _pair_row(bundle: Bundle, up: str, down: str) -> dict[str, Any]:
    parts = [part for part in bundle.blocks if part.up == up and part.down == down]
    edges = sum(part.edge_count for part in parts)
    medians = [part.cancellation_median for part in parts if part.cancellation_median is not None]
    ways = list(dict.fromkeys((part.form, part.window, part.offset) for part in parts))
    return {
        "up": up.partition("/")[2],
        "down": down.partition("/")[2],
        "form": [form for form, _, _ in ways],
        "kernels": edges,
        "window": [list(window) for _, window, _ in ways],
        "offset": [list(offset) for _, _, offset in ways],
        "stride": list(parts[0].stride),
        "l1": sum(part.l1 for part in parts),
        "l2": float(np.sqrt(sum(part.squared for part in parts))),
        "zero_share": sum(part.zero_count for part in parts) / edges if edges else 0.0,
        "cancellation": float(np.mean(medians)) if medians else None,
        "approximations": list(dict.fromkeys(word for part in parts for word in part.approximations)),
    }


def describe_layer(bundle: Bundle, name: str) -> list[Description]:
    """Describe one layer: the pairs it is in, and its units.

    Raises
    ------
    UnknownLayerError
        There is no such layer.
    """
    layer = bundle.layer(name)
    family_of = {member.unit: family.name for family in bundle.families for member in family.members}
    rows = [
        {
            **{column: row[column] for column in _UNIT_COLUMNS if column != "family"},
            "family": family_of.get(row["uid"]),
        }
        for row in _units_of(bundle, layer).to_pylist()
    ]
    return [
        _pairs_table(f"pairs of {layer.uid}", bundle, [pair for pair in bundle.pairs if layer.uid in pair]),
        Description("units", f"units of {layer.uid}", _UNIT_COLUMNS, rows),
    ]


def describe_unit(bundle: Bundle, name: str, *, limit: int = 20) -> list[Description]:
    """Describe one unit: its strongest kernels in and out, by l2.

    Those of a neuron are to and from neurons; for a direction see `describe_direction`.

    Raises
    ------
    UnknownUnitError, UnknownLayerError
        There is no such unit or layer.
    """
    unit = bundle.unit(name)
    if unit.channel is None:
        from circuitgraph.bundle.describe_directions import describe_direction

        return describe_direction(bundle, unit, limit=limit)
    layer, channel = str(unit.layer_id), unit.channel
    into = [row for pair in bundle.pairs if pair[1] == layer for row in _edge_rows(bundle, pair, "down", channel)]
    out = [row for pair in bundle.pairs if pair[0] == layer for row in _edge_rows(bundle, pair, "up", channel)]
    tables = []
    for what, title, rows in (
        ("kernels_in", f"strongest kernels into {unit}", into),
        ("kernels_out", f"strongest kernels out of {unit}", out),
    ):
        rows.sort(key=lambda row: (-row["l2"], row["unit"]))
        notes = [f"{title}: {limit} of {len(rows)} shown; more with --limit"] if len(rows) > limit else []
        far = dict.fromkeys(row["unit"].rpartition(":")[0] for row in rows[:limit])
        pairs = [(other, layer) if what == "kernels_in" else (layer, other) for other in far]
        notes += approximation_notes(bundle, pairs)
        tables.append(Description(what, title, EDGE_COLUMNS, rows[:limit], notes))
    return tables


def _edge_rows(
    bundle: Bundle, pair: tuple[str, str], near: Literal["up", "down"], channel: int
) -> list[dict[str, Any]]:
    """Return the edges of one pair that have the unit `channel` at their `near` end."""
    up, down = pair
    far, far_layer = ("up", up) if near == "down" else ("down", down)
    edges = bundle.edges(down)
    numbers = pa.array([part.block for part in bundle.blocks if (part.up, part.down) == pair], pa.int32())
    own = edges.filter(pc.and_(pc.is_in(edges["block"], value_set=numbers), pc.equal(edges[near], channel)))
    return [
        {
            "unit": f"{far_layer}:{row[far]}",
            **{column: row[column] for column in EDGE_COLUMNS[1:-1]},
            "strong": [flag for flag in STRONG if row[flag]],
        }
        for row in own.to_pylist()
    ]
