"""The figure of a family: its units around a ring, with a kernel of each and, where they are known, tuning curves."""

from __future__ import annotations

from collections.abc import Sequence

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.ranked_edges import rank_edges
from circuitgraph.bundle.unit_edges import read_edge
from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.catalogue.families import FamilyRecord
from circuitgraph.draw import Picture
from circuitgraph.draw.family import MOST_ON_RING, RingMember, draw_family
from circuitgraph.errors import UnknownUnitError
from circuitgraph.figures.families import FoundFamily, find_family
from circuitgraph.figures.labels import names_of, short_name
from circuitgraph.figures.tuning import tuning_of
from circuitgraph.graph import CircuitEdge
from circuitgraph.ids import UnitId
from circuitgraph.records import Family, Member

__all__ = ["family_figure"]


def family_figure(
    family: str | Family | FamilyRecord,
    bundle: Bundle | None = None,
    *,
    catalogue: BaseCatalogue | None = None,
    up: str | None = None,
    limit: int = MOST_ON_RING,
    title: str = "",
) -> Picture:
    """Draw a family in order of orientation.

    Parameters
    ----------
    family
        One at hand; or its uid, or ``layer!name``, looked for in the catalogue, then in the bundle.
    bundle
        Where kernels are taken from; none are drawn without it.
    catalogue
        Where names are taken from, and tuning curves: those of the file that the family's claims rest on.
    up
        Draw the kernel from this unit to each member; from the strongest upstream unit of each, by l2, if None.
    limit
        Most units on the ring, at most 32; the picture says how many there are.

    Raises
    ------
    UnknownUnitError, UnknownLayerError
        There is no such family, or a member is not in the bundle.
    """
    found = find_family(family, bundle, catalogue)
    if not found.members:
        raise UnknownUnitError(f"drawing family {found.uid}: it has 0 members, 1 or more are wanted.")
    curves, _ = tuning_of(catalogue, found.uid)
    names = names_of(catalogue, [member.unit for member in found.members])
    shown = _shown(found.members, limit)
    kernels = {} if bundle is None else {member.unit: _kernel(bundle, member.unit, up) for member in shown}
    ring = []
    for member in found.members:
        edge = kernels.get(member.unit)
        ring.append(
            RingMember(
                member.unit,
                _label(found, names.get(member.unit, "")),
                member.angle_deg,
                None if edge is None else edge.kernel,
                curves.get(member.unit),
                source="" if edge is None or up is not None else short_name(edge.up),
            )
        )
    said = title or f"{found.name} of {short_name(found.layer)}"
    return draw_family(ring, title=said, limit=limit, note=_note([edge for edge in kernels.values() if edge], up))


def _note(edges: Sequence[CircuitEdge], up: str | None) -> str:
    """Say which kernels are drawn."""
    if not edges:
        return ""
    if up is not None:
        return f"Kernels: from {short_name(edges[0].up)}."
    layers = {short_name(str(UnitId.parse(edge.up).layer_id)) for edge in edges}
    where = f"unit of {layers.pop()}" if len(layers) == 1 else "upstream unit"
    return f"Kernels: from the {where} that is strongest for each by l2; it stands below the kernel, after ←."


def _shown(members: Sequence[Member], limit: int) -> list[Member]:
    """Return the members that the ring shows: kernels of others are not read."""
    turned = [member for member in members if member.angle_deg is not None]
    return sorted(turned, key=lambda member: ((member.angle_deg or 0.0) % 360, member.unit))[: min(limit, MOST_ON_RING)]


def _label(family: FoundFamily, name: str) -> str:
    """Return what to call a member: its name, unless that is the family's, which all of them share."""
    own = name.removeprefix("family: ").casefold()
    return "" if own in family.name.casefold() else name


def _kernel(bundle: Bundle, unit: str, up: str | None) -> CircuitEdge | None:
    if up is not None:
        return read_edge(bundle, up, unit)
    best = rank_edges(bundle, unit, "upstream", limit=1).rows
    return read_edge(bundle, best[0]["unit"], unit) if best else None
