"""Tables that tell which directions a bundle has, and what one of them is connected with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc

from circuitgraph.bundle.approximations import approximation_notes
from circuitgraph.bundle.describe import EDGE_COLUMNS, STRONG, Description
from circuitgraph.bundle.read import Bundle
from circuitgraph.ids import UnitId

__all__ = ["describe_direction", "describe_directions"]

_COLUMNS = ("uid", "neurons", "length", "bias", "in_norm", "out_norm", "is_dead", "source")
_COMBINED = ("unit", "weight", "squared_share")


def describe_directions(bundle: Bundle, layer: str | None = None, *, limit: int | None = None) -> Description:
    """Describe all directions of a bundle, or of one layer.

    Returns
    -------
    Description
        One row a direction: how many neurons it combines, its l2 norm, its bias ``n . b``, its norms as those of units.

    Raises
    ------
    UnknownLayerError
        There is no such layer.
    """
    shelf = bundle.directions
    wanted = shelf.layers if layer is None else (bundle.layer(layer).uid,)
    rows = [row for uid in wanted for row in _rows(bundle, uid)]
    shown = rows if limit is None else rows[:limit]
    notes = [f"{len(shown)} of {len(rows)} directions shown; more with --limit"] if len(shown) < len(rows) else []
    where = bundle.network if layer is None else wanted[0]
    return Description("directions", f"directions of {where}: {len(rows)}", _COLUMNS, shown, notes)


def _rows(bundle: Bundle, layer: str) -> Iterator[dict[str, Any]]:
    shelf, units = bundle.directions, bundle.units
    own = units.filter(pc.and_(pc.equal(units["layer"], layer), pc.equal(units["kind"], "direction"))).to_pylist()
    coefficients = shelf.coefficients(layer)
    for unit, vector, source in zip(own, coefficients, shelf.sources(layer), strict=True):
        yield {
            **{name: unit[name] for name in ("uid", "bias", "in_norm", "out_norm", "is_dead")},
            "neurons": int(np.count_nonzero(vector)),
            "length": float(np.sqrt(np.square(vector.astype(np.float64)).sum())),
            "source": source,
        }


def describe_direction(bundle: Bundle, unit: UnitId, *, limit: int = 20) -> list[Description]:
    """Describe one direction: the neurons it combines, and its strongest kernels in and out, by l2.

    The kernels are those to and from neurons and directions alike. `share_in` is of all that leads from neurons to the
    target: above 1 where a direction upstream is longer than the neurons.
    """
    place, layer = bundle.directions.place(unit), str(unit.layer_id)
    vector = bundle.directions.coefficients(layer)[place].astype(np.float64)
    order = [int(channel) for channel in np.lexsort((np.arange(len(vector)), -np.abs(vector))) if vector[channel]]
    whole = float(np.square(vector).sum())
    combined = [
        {
            "unit": f"{layer}:{channel}",
            "weight": float(vector[channel]),
            "squared_share": float(vector[channel] ** 2 / whole),
        }
        for channel in order[:limit]
    ]
    title = f"neurons that {unit} combines"
    tables = [_table("combines", title, _COMBINED, combined, len(order))]
    downs = [each for each in bundle.layers if any(up == layer and down == each.uid for up, down in bundle.pairs)]
    into = list(_edges(bundle, layer, layer, "down", place))
    out = [row for down in downs for row in _edges(bundle, down.uid, layer, "up", place)]
    for name, title, rows, near in (
        ("kernels_in", f"strongest kernels into {unit}", into, 1),
        ("kernels_out", f"strongest kernels out of {unit}", out, 0),
    ):
        rows.sort(key=lambda row: (-row["l2"], row["unit"]))
        pairs = [pair for pair in bundle.pairs if pair[near] == layer]
        notes = approximation_notes(bundle, pairs)
        tables.append(_table(name, title, EDGE_COLUMNS, rows[:limit], len(rows), notes))
    return tables


def _table(
    name: str, title: str, columns: tuple[str, ...], rows: list[dict[str, Any]], count: int, notes: Sequence[str] = ()
) -> Description:
    cut = [f"{title}: {len(rows)} of {count} shown; more with --limit"] if len(rows) < count else []
    return Description(name, title, columns, rows, [*cut, *notes])


def _edges(bundle: Bundle, down: str, layer: str, near: str, place: int) -> Iterator[dict[str, Any]]:
    """Yield the edges into layer `down` that have a direction of `layer` at their `near` end."""
    far = "up" if near == "down" else "down"
    numbers = {
        part.block
        for part in bundle.directions.blocks
        if part.down == down and getattr(part, near) == layer and getattr(part, f"{near}_kind") == "direction"
    }
    edges = bundle.directions.edges(down)
    own = edges.filter(pc.equal(edges[near], place))
    row: Mapping[str, Any]
    for row in own.to_pylist():
        if row["block"] in numbers:
            yield {
                "unit": row[f"{far}_uid"],
                **{column: row[column] for column in EDGE_COLUMNS[1:-1]},
                "strong": [flag for flag in STRONG if row[flag]],
            }
