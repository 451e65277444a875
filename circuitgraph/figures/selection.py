"""Which units a figure is of: units that are named, a family, or a whole layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.errors import IdError, UnknownUnitError
from circuitgraph.figures.families import find_family, is_family_name
from circuitgraph.figures.labels import short_name

__all__ = ["Selection", "select_units"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Units of one layer.

    Attributes
    ----------
    units
        Uids, in order.
    angles_deg
        One a unit, None where a unit has none; None where none has one.
    name
        What they are together, in words.
    """

    layer: str
    units: tuple[str, ...]
    angles_deg: tuple[float | None, ...] | None
    name: str


def select_units(bundle: Bundle, asked: str | Sequence[str], *, catalogue: BaseCatalogue | None = None) -> Selection:
    """Return the units that are asked for.

    Parameters
    ----------
    asked
        A list of units; or one text: a unit, units with commas between, a family (``mixed3b!curves``), or a layer.
    catalogue
        Where families are looked for besides the bundle.

    Raises
    ------
    UnknownUnitError, UnknownLayerError
        There is no such thing.
    IdError
        No unit is named, or they are of two layers.
    """
    if isinstance(asked, str):
        if is_family_name(asked):
            family = find_family(asked, bundle, catalogue)
            angles = tuple(member.angle_deg for member in family.members)
            units = tuple(str(bundle.unit(member.unit)) for member in family.members)
            has_angles = any(angle is not None for angle in angles)
            return Selection(family.layer, units, angles if has_angles else None, family.name)
        if not any(mark in asked for mark in ":@,"):
            layer = bundle.layer(asked)
            return Selection(
                layer.uid, tuple(str(layer.unit(channel)) for channel in range(layer.unit_count)), None, layer.name
            )
        asked = [part.strip() for part in asked.split(",") if part.strip()]
    if not asked:
        raise IdError("choosing units: 0 are named.", hint="Name units as layer:3,layer:5, a family as layer!name.")
    ids = [bundle.unit(_written_out(name, asked[0])) for name in asked]
    layers = list(dict.fromkeys(str(unit.layer_id) for unit in ids))
    if len(layers) > 1:
        raise IdError(
            f"choosing units: {ids[0]} and {next(unit for unit in ids if str(unit.layer_id) == layers[1])} are of two "
            "layers, one is wanted.",
            hint="Draw each pair of layers by itself.",
        )
    if len(set(ids)) < len(ids):
        raise UnknownUnitError(f"choosing units: {len(ids)} are named, {len(set(ids))} are different.")
    uids = tuple(str(unit) for unit in ids)
    return Selection(layers[0], uids, None, short_name(uids[0]) if len(uids) == 1 else f"{short_name(layers[0])}")


def _written_out(name: str, first: str) -> str:
    """Return a channel that stands alone with the layer of the first unit: ``mixed3b:3,5,7``."""
    return f"{first.rpartition(':')[0]}:{name}" if name.isascii() and name.isdigit() and ":" in first else name
