"""Pages of units and of single kernels: what a unit is said to be, and what leads into it and out of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, get_args

import numpy as np

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.approximations import approximation_notes
from circuitgraph.bundle.ranked_edges import (
    RANKINGS,
    RankedEdges,
    Side,
    edge_share,
    rank_edges,
    ranks_upwards,
    say_ranking,
)
from circuitgraph.bundle.unit_edges import read_edge
from circuitgraph.bundle.unit_view import Strength, unit_row
from circuitgraph.bundle.unit_view import view_unit as view_of
from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.catalogue.page import SubjectPage, show_subject
from circuitgraph.draw import Picture
from circuitgraph.errors import IdError, UnknownUnitError
from circuitgraph.figures import kernel_figure, unit_figure
from circuitgraph.figures.labels import names_of, short_name
from circuitgraph.ids import UnitId, kind_of
from circuitgraph.kernels import SCALARS, summarise
from circuitgraph.web.asking import Paging, choice, table_values, wanted_number, whole_number
from circuitgraph.web.citing import cite_thing
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.memory import remembered
from circuitgraph.web.page import Asked, Page, Route, Ways, address_of, with_query
from circuitgraph.web.versions import catalogue_state, versions_of
from circuitgraph.web.writing import bundle_name, cypher_text, python_text, shell_text

__all__ = ["ROUTES", "view_edge", "view_unit"]

_ROWS = 12
_MOST_ROWS = 200
_DRAWN = 8
_CLAIMS_SHOWN = 20
_WHOLE_KERNEL = 400
_ORDERS = (*RANKINGS, *(f"-{name}" for name in RANKINGS))
_COLUMNS = ("sum", "l2", "top", "bottom", "left", "right", "share_in")
_FACTS = ("bias", "in_norm", "out_norm", "is_dead")
_SIDES: tuple[tuple[Side, str], ...] = (("upstream", "up_from"), ("downstream", "down_from"))


def view_unit(explorer: Explorer, asked: Asked) -> Page:
    """Return a unit: ``by`` orders its edges (top, -top, share_in, ...), ``limit`` says how many are shown."""
    bundle, unit = _unit(explorer, asked.parts["uid"])
    uid = str(unit)
    by = choice(asked, "by", _ORDERS, "l2")
    limit = wanted_number(asked, "limit", _ROWS, least=1, most=_MOST_ROWS)
    catalogue = explorer.catalogue
    said = None if catalogue is None else show_subject(catalogue, uid, limit=_CLAIMS_SHOWN)
    edges = {} if bundle is None else {side: _edges(bundle, uid, side, by, limit, asked, at) for side, at in _SIDES}
    label = names_of(catalogue, [uid], *([] if bundle is None else [bundle])).get(uid, "")
    families = [] if bundle is None else _families(bundle, uid)
    called = label.removeprefix("family: ")
    own = {"by": "" if by == "l2" else by, "limit": "" if limit == _ROWS else str(limit)}
    from_where = {at: str(edges[side].offset or "") for side, at in _SIDES if side in edges}
    address = with_query(address_of(uid), **own, **from_where)
    data: dict[str, Any] = {
        "uid": uid,
        "short": short_name(uid),
        "network": unit.network,
        "layer": str(unit.layer_id),
        "called": called,
        "label": label,
        "by": by,
        "drawn_by": say_ranking(_drawn_by(by)),
        "orders": list(RANKINGS),
        "limit": limit,
        "facts": {} if bundle is None else _facts(bundle, unit),
        "families": families,
        **dict.fromkeys(("upstream", "downstream")),
        "claims": None if said is None else _claims(said),
        "has_motifs": bundle is not None,
        "around": "" if bundle is None else f"/around/{address_of(uid).removeprefix('/unit/')}",
    }
    if bundle is not None:
        data |= {side: _side(bundle, catalogue, edges[side], limit, address, at) for side, at in _SIDES}
    return Page(
        "unit",
        address,
        f"{called} ({short_name(uid)})" if called else short_name(uid),
        data,
        ways=_unit_ways(bundle, uid, by, limit),
        citation=cite_thing(explorer, uid),
        versions=versions_of(explorer, uid),
        pictures={} if bundle is None else {"unit": _picture(explorer, bundle, uid, by, edges)},
        notes=_notes(bundle, unit, edges, said),
    )


def _unit(explorer: Explorer, name: str) -> tuple[Bundle | None, UnitId]:
    """Return a unit and its bundle; without a bundle, one that the catalogue may speak of.

    Raises
    ------
    UnknownUnitError, UnknownLayerError
        Its bundle has no such unit.
    UnknownNetworkError
        There is neither a bundle of its network nor a catalogue.
    IdError
        It is not the uid of a unit.
    """
    unit = UnitId.parse(name)
    bundle = explorer.bundle_if_any(str(unit))
    if bundle is not None:
        return bundle, bundle.unit(name)
    if explorer.catalogue is None:
        explorer.bundle(name)
    elif not explorer.catalogue.about(name):
        raise UnknownUnitError(
            f"unit {name!r}: no bundle of {unit.network} is open here, and no claim is about it.",
            hint="Start the explorer with its bundle: circuitgraph explore NETWORK.circuit",
        )
    return None, unit


def _edges(bundle: Bundle, uid: str, side: Side, by: str, limit: int, asked: Asked, at: str) -> RankedEdges:
    first = whole_number(asked, at, 0, most=10**9)
    found = rank_edges(bundle, uid, side, by=by, limit=limit, offset=first)
    # past the end one begins again
    return found if found.rows or not first else rank_edges(bundle, uid, side, by=by, limit=limit)


def _side(
    bundle: Bundle, catalogue: BaseCatalogue | None, ranked: RankedEdges, limit: int, address: str, at: str
) -> dict[str, Any]:
    names = names_of(catalogue, [row["unit"] for row in ranked.rows], bundle)
    rows = []
    for row in ranked.rows:
        ends = (row["unit"], ranked.unit) if ranked.side == "upstream" else (ranked.unit, row["unit"])
        rows.append({"label": names.get(row["unit"]), **row, "edge": " -> ".join(ends)})
    return {"rows": rows, "columns": list(_COLUMNS), **Paging(ranked.offset, ranked.count, limit).as_dict(address, at)}


def _facts(bundle: Bundle, unit: UnitId) -> dict[str, Any]:
    layer = bundle.layer(str(unit.layer_id))
    if unit.channel is None:
        # those of a layer are few
        others = bundle.directions.uids(layer.uid)
        place, count = others.index(str(unit)), len(others)
    else:
        others = []
        place, count = unit.channel, layer.unit_count
    row = unit_row(bundle, unit)

    def at(index: int) -> str | None:
        if not 0 <= index < count:
            return None
        return others[index] if others else str(layer.unit(index))

    return {
        "kind": row["kind"],
        "place": place,
        "of": count,
        **{name: row[name] for name in _FACTS},
        "previous": at(place - 1),
        "next": at(place + 1),
    }


def _families(bundle: Bundle, uid: str) -> list[dict[str, Any]]:
    return [
        {
            "family": family.uid,
            "name": family.name,
            "position": member.position,
            "angle_deg": member.angle_deg,
            "members": len(family.members),
        }
        for family in bundle.families
        if family.uid.startswith(uid.rpartition(":")[0] + "!")
        for member in family.members
        if member.unit == uid
    ]


def _claims(said: SubjectPage) -> dict[str, Any]:
    tables = [table_values(table) for table in said.tables()]
    return {
        "title": said.title,
        "arguments_made": list(said.matrix.made),
        "count": len(said.claims),
        "is_silent": not any(row.items for row in said.matrix.rows) and not said.claims,
        "superseded": said.superseded_count,
        "tables": tables,
    }


def _picture(explorer: Explorer, bundle: Bundle, uid: str, by: str, edges: Mapping[Side, RankedEdges]) -> Picture:
    strength = _drawn_by(by)
    # what is ranked already is not ranked again
    is_at_hand = strength == by and all(
        each.offset == 0 and len(each.rows) >= min(_DRAWN, each.count) for each in edges.values()
    )
    catalogue = explorer.catalogue

    def make() -> Picture:
        view = view_of(bundle, uid, top=_DRAWN, by=strength, ranked=edges if is_at_hand else None)
        return unit_figure(bundle, uid, catalogue=catalogue, view=view)

    return remembered(explorer, ("unit picture", bundle.sha256, uid, strength, catalogue_state(explorer)), make)


def _drawn_by(by: str) -> Strength:
    """Return what the picture's kernels are chosen by: the weakest are not drawn."""
    return cast("Strength", by) if by in get_args(Strength) else "l2"


def _notes(
    bundle: Bundle | None, unit: UnitId, edges: Mapping[Side, RankedEdges], said: SubjectPage | None
) -> tuple[str, ...]:
    if bundle is None:
        return (f"No bundle of {unit.network} is open here: what is shown is what the catalogue says.",)
    notes = []
    for side, ranked in edges.items():
        if len(ranked.rows) < ranked.count:
            notes.append(
                f"{side}: showing {ranked.offset + 1:,} to {ranked.offset + len(ranked.rows):,} of {ranked.count:,} "
                f"kernels, by {ranked.by}"
            )
    layer = str(unit.layer_id)
    shown = [(row["unit"], ranked.side) for ranked in edges.values() for row in ranked.rows]
    pairs = [
        (str(UnitId.parse(far).layer_id), layer) if side == "upstream" else (layer, str(UnitId.parse(far).layer_id))
        for far, side in shown
    ]
    notes += approximation_notes(bundle, pairs)
    if said is not None and not said.claims:
        notes.append(f"no claim is about {unit} yet")
    return tuple(notes)


def _unit_ways(bundle: Bundle | None, uid: str, by: str, limit: int) -> Ways:
    name, order = by.removeprefix("-"), "ASC" if ranks_upwards(by) else "DESC"
    columns = ", ".join(f"e.{each} AS {each}" for each in ("sum", "l1", "l2", "top", "bottom", "left", "right"))
    is_neuron = UnitId.parse(uid).channel is not None
    # equal ones in the order of layers and channels
    kind, ties = (":Neuron", "e.block, up.channel") if is_neuron else ("", "unit")
    cypher = (
        f"MATCH (up:Unit{kind})-[e:CONNECTS]->(:Unit {{uid: {cypher_text(uid)}}}) WHERE e.l1 > 0\n"
        f"RETURN up.uid AS unit, {columns}, e.share_in AS share_in ORDER BY e.{name} {order}, {ties} LIMIT {limit}"
    )
    if bundle is None:
        return Ways(
            f"MATCH (c:Claim)-[:ABOUT]->(:Unit {{uid: {cypher_text(uid)}}}) RETURN c.predicate, c.object, c.author",
            "from circuitgraph.catalogue import Catalogue, show_subject\n"
            f"show_subject(Catalogue.open(FOLDER), {python_text(uid)}).as_dict()",
            f"circuitgraph catalogue show {shell_text(uid)}",
        )
    folder = bundle_name(bundle)
    cells = 'up, sum, l1, l2, top, bottom, "left", "right", share_in'
    ranking = f'ORDER BY "{name}" {order}, block, up_channel LIMIT {limit}'
    # the names are those of our own columns
    sql = f"SELECT {cells} FROM edges WHERE down = $unit AND l1 > 0 {ranking}"  # noqa: S608
    return Ways(
        cypher,
        "from circuitgraph import Bundle\nfrom circuitgraph.bundle.ranked_edges import rank_edges\n"
        f"rank_edges(Bundle.open({python_text(folder)}), {python_text(uid)}, 'upstream', "
        f"by={python_text(by)}, limit={limit}).rows",
        f"circuitgraph inspect {shell_text(folder)} --unit {shell_text(uid)} --limit {limit}"
        if by == "l2"
        else f"circuitgraph sql {shell_text(sql)} {shell_text(folder)} -p unit={shell_text(uid)}",
    )


def view_edge(explorer: Explorer, asked: Asked) -> Page:
    """Return the kernel between two units, large, with what lies under it and what is said of it."""
    given = asked.parts["uid"]
    if kind_of(given) != "edge":
        raise IdError(f"{given[:80]!r} is not the uid of an edge.", hint="It has the form UNIT -> UNIT.")
    first, _, second = given.partition(" -> ")
    bundle = explorer.bundle(first)
    up, down = str(bundle.unit(first)), str(bundle.unit(second))
    uid = f"{up} -> {down}"
    catalogue = explorer.catalogue
    edge = read_edge(bundle, up, down)
    scalars = summarise(edge.kernel[np.newaxis], edge.anchor)
    pair = tuple(str(UnitId.parse(each).layer_id) for each in (up, down))
    parts = [part for part in bundle.blocks if (part.up, part.down) == pair]
    names = names_of(catalogue, [up, down], bundle)
    said = None if catalogue is None else show_subject(catalogue, uid, limit=_CLAIMS_SHOWN)
    data: dict[str, Any] = {
        "uid": uid,
        "up": up,
        "down": down,
        "up_label": names.get(up, ""),
        "down_label": names.get(down, ""),
        "scalars": {name: scalars[name][0].item() for name in SCALARS},
        "share_in": edge_share(bundle, up, down),
        "shape": list(edge.kernel.shape),
        "anchor": list(edge.anchor),
        "offset": [list(offset) for offset in dict.fromkeys(part.offset for part in parts)],
        "stride": edge.attributes["stride"],
        "form": list(dict.fromkeys(part.form for part in parts)),
        "approximations": edge.attributes["approximations"],
        # as JSON and in the page's table; a larger kernel is read with Python
        "kernel": edge.kernel.tolist() if edge.kernel.size <= _WHOLE_KERNEL else None,
        "claims": None if said is None else _claims(said),
    }
    folder = python_text(bundle_name(bundle))
    return Page(
        "edge",
        address_of(uid),
        f"{names.get(up) or short_name(up)} → {names.get(down) or short_name(down)}",
        data,
        ways=Ways(
            f"MATCH (:Unit {{uid: {cypher_text(up)}}})-[e:CONNECTS]->(:Unit {{uid: {cypher_text(down)}}})\n"
            "RETURN e.kernel, e.kh, e.kw, e.sum, e.share_in",
            f"from circuitgraph import Bundle\nBundle.open({folder}).kernel({python_text(up)}, {python_text(down)})",
            f"circuitgraph draw kernel {shell_text(bundle_name(bundle))} {shell_text(up)} {shell_text(down)} "
            "-o kernel.svg",
        ),
        citation=cite_thing(explorer, uid),
        versions=versions_of(explorer, uid),
        pictures={"kernel": kernel_figure(bundle, up, down, catalogue=catalogue)},
        notes=tuple(approximation_notes(bundle, [(pair[0], pair[1])])),
    )


ROUTES = (
    Route("/unit/{uid:path}", view_unit),
    Route("/edge/{uid:path}", view_edge),
)
