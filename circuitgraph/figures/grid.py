"""The figure of all kernels between some units of two layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.unit_edges import read_edge
from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.draw import Picture
from circuitgraph.draw.grid import draw_grid
from circuitgraph.draw.image import EvidenceImage
from circuitgraph.errors import ShapeError, UnknownPairError
from circuitgraph.figures.evidence import evidence_images
from circuitgraph.figures.labels import names_of, short_name
from circuitgraph.figures.selection import Selection, select_units
from circuitgraph.ids import UnitId

__all__ = ["grid_figure"]

_LIMIT = 24


def grid_figure(
    bundle: Bundle,
    up_units: str | Sequence[str],
    down_units: str | Sequence[str],
    *,
    catalogue: BaseCatalogue | None = None,
    turned: bool = False,
    scale: float | None = None,
    limit: int = _LIMIT,
    title: str = "",
) -> Picture:
    """Draw the kernels between two families, or any units of two layers.

    Parameters
    ----------
    up_units, down_units
        Units, a family or a layer, as `circuitgraph.figures.selection.select_units` takes them; families stand in
        their order.
    catalogue
        Where names are taken from and families looked for besides the bundle, and pictures of the units among the
        evidence of their claims: the first of each stands at the margin.
    turned
        Turn each kernel back by the angle of its downstream unit, and put columns in order of relative angle: both
        must be families with angles.
    limit
        Most rows and columns; what is left out is said in the picture, and is not read.

    Raises
    ------
    UnknownUnitError, UnknownLayerError, UnknownPairError
        There is no such thing, or no weights lead from one layer to the other.
    ShapeError
        Kernels are to be turned and a unit has no angle, or `scale` is not a finite number above 0.
    """
    up = select_units(bundle, up_units, catalogue=catalogue)
    down = select_units(bundle, down_units, catalogue=catalogue)
    if (up.layer, down.layer) not in bundle.pairs:
        _refuse(bundle, up, down)
    if turned:
        _check_angles(up, down, limit)
    names = names_of(catalogue, [*up.units[:limit], *down.units[:limit]], bundle)
    kernels, anchor = _kernels(bundle, up.units[:limit], down.units[:limit])
    return draw_grid(
        kernels,
        down_names=[short_name(uid) for uid in down.units],
        up_names=[short_name(uid) for uid in up.units],
        down_labels=_labels(down, names),
        up_labels=() if turned else _labels(up, names),
        down_angles_deg=down.angles_deg,
        up_angles_deg=up.angles_deg,
        down_images=_images(catalogue, down.units, limit),
        up_images=() if turned else _images(catalogue, up.units, limit),
        turned=turned,
        title=title or f"{_said(up, names)} → {_said(down, names)}{', turned upright' if turned else ''}",
        scale=scale,
        anchor=anchor,
        limit=limit,
    )


def _images(catalogue: BaseCatalogue | None, units: Sequence[str], limit: int) -> list[EvidenceImage | None]:
    """Return a picture of each unit, or None; only those that are drawn are read."""
    if catalogue is None:
        return []
    # most units have no claim, which one question tells of all
    heads = catalogue.heads_about(units[:limit])
    found = [evidence_images(catalogue, uid).images if heads.get(uid) else () for uid in units[:limit]]
    return [*(images[0] if images else None for images in found), *(None for _ in units[limit:])]


def _kernels(
    bundle: Bundle, ups: Sequence[str], downs: Sequence[str]
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Return (down, up, row, col) and the anchor; only what is asked for is read."""
    first = read_edge(bundle, ups[0], downs[0])
    columns, rows = ([bundle.unit(uid) for uid in side] for side in (ups, downs))
    parts = [part for part in bundle.blocks if (part.up, part.down) == _layers(columns[0], rows[0])]
    is_whole = len(parts) == 1 and parts[0].up_file is None
    has_rows = is_whole and all(parts[0].row_start <= (unit.channel or 0) < parts[0].row_stop for unit in rows)
    if has_rows and all(unit.channel is not None for unit in (*columns, *rows)):
        # one file holds them all; opening it for each kernel is what would take long
        places = np.array([unit.channel for unit in columns])
        stored = bundle.stored(parts[0])
        own = [np.array(stored[(unit.channel or 0) - parts[0].row_start][places]) for unit in rows]
        return np.array(own), first.anchor
    edges = [[read_edge(bundle, up, down) for up in ups] for down in downs]
    return np.array([[edge.kernel for edge in row] for row in edges]), first.anchor


def _layers(up: UnitId, down: UnitId) -> tuple[str, str]:
    return str(up.layer_id), str(down.layer_id)


def _labels(selection: Selection, names: Mapping[str, str]) -> list[str]:
    """Return what each unit is called; "" where that is only the family that the picture is of."""
    shared = f"family: {selection.name}"
    return ["" if names.get(uid, shared).casefold() == shared.casefold() else names[uid] for uid in selection.units]


def _said(selection: Selection, names: Mapping[str, str]) -> str:
    layer = short_name(selection.layer)
    if len(selection.units) == 1 and selection.units[0] in names:
        return f"{names[selection.units[0]]} ({short_name(selection.units[0])})"
    return selection.name if selection.name.startswith(layer) else f"{selection.name} of {layer}"


def _check_angles(up: Selection, down: Selection, limit: int) -> None:
    for side, which in ((down, "down"), (up, "up")):
        angles = (side.angles_deg or (None,) * len(side.units))[:limit]
        if missing := [uid for uid, angle in zip(side.units, angles, strict=False) if angle is None]:
            raise ShapeError(
                f"drawing a grid: to turn it, every unit needs an angle; {len(missing)} of {len(angles)} {which}stream "
                f"units have none, the first is {missing[0]}.",
                hint=f"Name a family that has angles for --{which} (as in 'mixed3b!curves'), or draw without --turned "
                "(turned=False).",
            )


def _refuse(bundle: Bundle, up: Selection, down: Selection) -> None:
    sources = [short_name(a) for a, b in bundle.pairs if b == down.layer]
    raise UnknownPairError(
        f"drawing kernels: no weights lead from {up.layer} to {down.layer} without passing another layer of units.",
        hint=f"Layers with kernels into {short_name(down.layer)}: {', '.join(sources) or 'none'}.",
    )
