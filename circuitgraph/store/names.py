"""What units, layers and families are called in short, in a graph that may hold several networks."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from circuitgraph.errors import IdError, UnknownLayerError, UnknownUnitError
from circuitgraph.ids import FamilyId, UnitId

if TYPE_CHECKING:
    from circuitgraph.store.neo4j import Store

__all__ = ["find_family", "find_layer", "find_unit"]

_LAYERS = (
    "CYPHER 5 MATCH (l:Layer) WHERE $network = '' OR l.network = $network "
    "RETURN l.uid AS uid, l.name AS name, l.unit_count AS unit_count, l['aliases'] AS aliases ORDER BY l.uid"
)
_SHORTEST_ENDING = 2


def find_unit(store: Store, name: str) -> str:
    """Return the uid of the unit called `name`: its uid, or without the network or by the ending of its layer's name.

    ``inceptionv1/mixed4c:447``, ``mixed4c:447`` and ``4c:447`` are one unit, where no other network that is loaded has
    such a layer. A direction is named alike: ``4c@car-2``.

    Raises
    ------
    IdError
        It has the form of no unit.
    UnknownLayerError, UnknownUnitError
        The graph has no such layer, several, or no such unit in it.
    """
    mark = ":" if ":" in name else "@"
    layer, found, last = name.rpartition(mark)
    if not found or not layer or not last:
        raise IdError(
            f"{name[:80]!r} is not the uid of a unit.",
            hint="It has the form network/layer:channel, or short layer:channel, as in 4c:447.",
        )
    row = _layer(store, layer, name)
    unit = UnitId.parse(f"{row['uid']}{mark}{last}")
    if not store.run("CYPHER 5 MATCH (u:Unit {uid: $uid}) RETURN u.uid AS uid", uid=str(unit)):
        raise UnknownUnitError(
            f"unit '{unit}' is not in the graph: {row['uid']} has {row['unit_count']} neurons, 0 to "
            f"{row['unit_count'] - 1}.",
            hint="Channels count from 0; `MATCH (d:Direction) RETURN d.uid` lists directions.",
        )
    return str(unit)


def find_layer(store: Store, name: str) -> str:
    """Return the uid of the layer called `name`: its uid, its name, an alias or an ending that no other has.

    Raises
    ------
    UnknownLayerError
        The graph has no such layer, or several.
    """
    return str(_layer(store, name, name)["uid"])


def find_family(store: Store, name: str) -> str:
    """Return the uid of the family called `name`, ``network/layer!slug`` or short ``layer!slug``.

    Raises
    ------
    IdError
        It has the form of no family.
    UnknownLayerError, UnknownUnitError
        The graph has no such layer, several, or no such family of it.
    """
    layer, found, slug = name.rpartition("!")
    if not found or not layer or not slug:
        raise IdError(
            f"{name[:80]!r} is not the uid of a family.",
            hint="It has the form network/layer!slug, or short layer!slug, as in mixed3b!curves.",
        )
    family = FamilyId.parse(f"{_layer(store, layer, name)['uid']}!{slug}")
    there = store.run(
        "CYPHER 5 MATCH (f:Family) WHERE f.uid STARTS WITH $layer RETURN f.uid AS uid ORDER BY uid",
        layer=f"{family.network}/{family.layer}!",
    )
    if str(family) not in {row["uid"] for row in there}:
        names = ", ".join(row["uid"] for row in there[:5])
        raise UnknownUnitError(
            f"family '{family}' is not in the graph, which has {len(there)} of that layer.",
            hint=f"There are: {names}." if names else "`MATCH (f:Family) RETURN f.uid` lists families.",
        )
    return str(family)


def _layer(store: Store, name: str, whole: str) -> dict[str, Any]:
    network, _, short = name.rpartition("/")
    layers = store.run(_LAYERS, network=network)
    if not layers:
        raise UnknownLayerError(
            f"{whole[:80]!r}: the graph has no network {network!r}." if network else f"{whole[:80]!r}: it is empty.",
            hint="`circuitgraph load BUNDLE` loads a network.",
        )
    exact = [row for row in layers if short == row["name"] or short in (row["aliases"] or ())]
    ends = [row for row in layers if len(short) >= _SHORTEST_ENDING and row["name"].endswith(short)]
    found = exact or ends
    if len(found) == 1:
        return found[0]
    if found:
        uids = ", ".join(row["uid"] for row in found[:5])
        raise UnknownLayerError(
            f"{whole[:80]!r}: {len(found)} layers of the graph are called or end so: {uids}.",
            hint=f"Write it out, as in {found[0]['uid']}{whole[len(name) :]}.",
        )
    close = difflib.get_close_matches(short, [row["name"] for row in layers], n=3)
    raise UnknownLayerError(
        f"{whole[:80]!r}: none of the {len(layers)} layers of {network or 'the graph'} is called or ends so.",
        hint=f"Did you mean {' or '.join(close)}?" if close else "`MATCH (l:Layer) RETURN l.uid` lists them.",
    )
