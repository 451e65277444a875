"""Tables that tell what is in a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from circuitgraph.bundle.read import Bundle

__all__ = ["Description", "describe_layer", "describe_network", "describe_unit"]


@dataclass(frozen=True, slots=True)
class Description:
    """A titled table, and what a reader must know of it."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[dict[str, Any]]
    notes: Sequence[str] = ()


def _table(name: str, title: str, rows: Sequence[dict[str, Any]], notes: Sequence[str] = ()) -> Description:
    return Description(name, title, list(rows[0]) if rows else [], rows, notes)


def _by(pair: tuple[int, int]) -> str:
    return f"{pair[0]}x{pair[1]}"


def _at(pair: tuple[int, int]) -> str:
    return f"{pair[0]},{pair[1]}"


def describe_network(bundle: Bundle) -> list[Description]:
    """Describe the layers and the pairs of layers with kernels between them."""
    info, counts = bundle.info, bundle.manifest.counts
    units = bundle.units
    layers = []
    for layer in bundle.layers:
        own = units.filter(pc.equal(units["layer"], layer.uid))
        layers.append(
            {
                "layer": layer.name,
                "kind": layer.kind,
                "units": layer.unit_count,
                "map": _by(layer.size),
                "stride": _by(layer.stride),
                "receptive field": _by(layer.receptive_field),
                "in norm": float(np.sqrt(np.square(own["in_norm"].to_numpy().astype(float)).sum())),
                "dead units": int(pc.sum(own["is_dead"]).as_py() or 0),
                "also called": ", ".join(layer.aliases),
            }
        )
    approximations = ", ".join(info.approximations) or "none"
    notes = [
        f"{counts['pairs']} pairs, {counts['edges']:,} kernels; weights {info.weights_sha256[:12]} from {info.source}; "
        f"approximations: {approximations}"
    ]
    title = f"{bundle.network} ({info.architecture}): {counts['layers']} layers, {counts['units']:,} units"
    pairs = [_pair_row(bundle, up, down) for up, down in bundle.pairs]
    return [_table("layers", title, layers), _table("pairs", "pairs of layers", pairs, notes)]


def _pair_row(bundle: Bundle, up: str, down: str) -> dict[str, Any]:
    parts = [part for part in bundle.blocks if part.up == up and part.down == down]
    edges = sum(part.edge_count for part in parts)
    medians = [part.cancellation_median for part in parts if part.cancellation_median is not None]
    words = dict.fromkeys(word for part in parts for word in part.approximations)
    return {
        "up": up.partition("/")[2],
        "down": down.partition("/")[2],
        "form": " + ".join(dict.fromkeys(part.form for part in parts)),
        "kernels": edges,
        "window": " ".join(dict.fromkeys(_by(part.window) for part in parts)),
        "offset": " ".join(dict.fromkeys(_at(part.offset) for part in parts)),
        "stride": _by(parts[0].stride),
        "l1": sum(part.l1 for part in parts),
        "l2": float(np.sqrt(sum(part.squared for part in parts))),
        "zero": sum(part.zero_count for part in parts) / edges if edges else 0.0,
        "cancellation": float(np.mean(medians)) if medians else None,
        "approximations": ", ".join(words),
    }


def describe_layer(bundle: Bundle, name: str) -> list[Description]:
    """Describe one layer: the pairs it is in, and its units.

    Raises
    ------
    UnknownLayerError
        There is no such layer.
    """
    layer = bundle.layer(name)
    pairs = [_pair_row(bundle, up, down) for up, down in bundle.pairs if layer.uid in (up, down)]
    own = bundle.units.filter(pc.equal(bundle.units["layer"], layer.uid))
    family_of = {member.unit: family.name for family in bundle.families for member in family.members}
    rows = [
        {
            **{name: row[name] for name in ("uid", "bias", "in_norm", "out_norm", "is_dead")},
            "family": family_of.get(row["uid"]),
        }
        for row in own.to_pylist()
    ]
    return [_table("pairs", f"pairs of {layer.uid}", pairs), _table("units", f"units of {layer.uid}", rows)]


def describe_unit(bundle: Bundle, name: str, *, limit: int = 20) -> list[Description]:
    """Describe one unit: its strongest kernels in and out, by l2.

    Raises
    ------
    UnknownUnitError, UnknownLayerError
        There is no such unit or layer.
    """
    unit = bundle.unit(name)
    layer = bundle.layer(str(unit.layer_id))
    into, out = [], []
    for up, down in bundle.pairs:
        if layer.uid not in (up, down):
            continue
        numbers = [part.block for part in bundle.blocks if part.up == up and part.down == down]
        edges = bundle.edges(down)
        edges = edges.filter(pc.is_in(edges["block"], value_set=_values(numbers)))
        axis, other, far, rows = ("down", "up", up, into) if down == layer.uid else ("up", "down", down, out)
        for row in edges.filter(pc.equal(edges[axis], unit.channel)).to_pylist():
            shown = ("sum", "l1", "l2", "top", "bottom", "left", "right", "centre", "share_in")
            strong = [flag for flag in ("excites", "inhibits", "mixes") if row[flag]]
            rows.append(
                {"unit": f"{far}:{row[other]}", **{key: row[key] for key in shown}, "strong": " ".join(strong)}
            )
    tables = []
    for title, rows in ((f"strongest kernels into {unit}", into), (f"strongest kernels out of {unit}", out)):
        rows.sort(key=lambda row: (-row["l2"], row["unit"]))
        notes = [f"showing {limit} of {len(rows)}; more with --limit"] if len(rows) > limit else []
        tables.append(_table("kernels", title, rows[:limit], notes))
    return tables


def _values(numbers: Sequence[int]) -> Any:
    import pyarrow as pa

    return pa.array(numbers, pa.int32())
