"""Pages of families: the list of a network's, and one with its ring, its members, and its kernels to another family."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.approximations import notes_between
from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.catalogue.page import show_subject
from circuitgraph.draw import Picture
from circuitgraph.errors import UnknownUnitError
from circuitgraph.figures import family_figure, grid_figure
from circuitgraph.figures.families import FoundFamily, find_family, iter_families
from circuitgraph.figures.labels import names_of
from circuitgraph.ids import FamilyId, check_network_name
from circuitgraph.records import Family
from circuitgraph.web.asking import table_values, whole_number
from circuitgraph.web.citing import cite_thing
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.memory import remembered
from circuitgraph.web.page import Asked, Page, Route, Ways, address_of, with_query
from circuitgraph.web.versions import catalogue_state, versions_of
from circuitgraph.web.writing import OPEN_CATALOGUE, bundle_name, cypher_text, python_text, shell_text

__all__ = ["ROUTES", "view_families", "view_family"]

_FAMILIES_SHOWN = 200
_MEMBERS_SHOWN = 200
_OTHERS_SHOWN = 60
_CELLS, _MOST_CELLS = 16, 24


def view_families(explorer: Explorer, asked: Asked) -> Page:
    """Return the families of a network: those of the catalogue, and those that came with its bundle."""
    network = check_network_name(asked.parts["network"])
    bundle = explorer.bundle_if_any(network)
    catalogue = explorer.catalogue
    found = [family for family in iter_families(bundle, catalogue) if family.uid.startswith(f"{network}/")]
    if bundle is None and not found:
        # nothing of it is known here, which this says
        explorer.bundle(network)
    order = {layer.uid: layer.index for layer in bundle.layers} if bundle is not None else {}
    found.sort(key=lambda family: (order.get(family.layer, len(order)), family.uid))
    held = _by_uid(bundle)
    rows = [
        {
            "family": family.uid,
            "name": family.name,
            "members": len(family.members),
            "with_angles": sum(member.angle_deg is not None for member in family.members),
            **_standing(family, held),
        }
        for family in found[:_FAMILIES_SHOWN]
    ]
    python = ""
    if bundle is not None:
        opened = f"Bundle.open({python_text(bundle_name(bundle))})"
        python = f"from circuitgraph import Bundle\n[(family.uid, len(family.members)) for family in {opened}.families]"
    ways = Ways(
        f"MATCH (f:Family) WHERE f.uid STARTS WITH {cypher_text(network + '/')} "
        f"RETURN f.uid, f.name, COUNT {{ (:Unit)-[:MEMBER_OF]->(f) }} AS members "
        f"ORDER BY f.uid LIMIT {_FAMILIES_SHOWN}",
        python,
        "" if catalogue is None else f"circuitgraph catalogue families --network {shell_text(network)}",
    )
    notes = []
    if len(found) > len(rows):
        notes.append(f"Showing {len(rows):,} of {len(found):,} families.")
    return Page(
        "families",
        f"/families/{network}",
        f"Families of {network}",
        {"network": network, "rows": rows, "count": len(found), "shown": len(rows)},
        ways=ways,
        versions=versions_of(explorer, network),
        notes=tuple(notes),
    )


def view_family(explorer: Explorer, asked: Asked) -> Page:
    """Return one family: ``with`` names another, whose kernels are shown, ``turned=1`` turns each upright.

    ``limit`` says how many rows and columns of kernels are drawn at most.
    """
    uid = str(FamilyId.parse(asked.parts["uid"]))
    network = uid.partition("/")[0]
    bundle, catalogue = explorer.bundle_if_any(network), explorer.catalogue
    family = find_family(uid, bundle, catalogue)
    other, turned = asked.query.get("with", ""), asked.query.get("turned", "") in ("1", "on")
    limit = whole_number(asked, "limit", _CELLS, least=1, most=_MOST_CELLS)
    names = names_of(catalogue, [member.unit for member in family.members[:_MEMBERS_SHOWN]])
    pictures: dict[str, Picture] = {}
    data: dict[str, Any] = {
        "uid": uid,
        "name": family.name,
        "description": family.description,
        "layer": family.layer,
        **_standing(family, _by_uid(bundle)),
        "count": len(family.members),
        "members": [
            {
                "position": member.position,
                "unit": member.unit,
                "angle_deg": member.angle_deg,
                "detects": _own_name(names.get(member.unit, "")),
            }
            for member in family.members[:_MEMBERS_SHOWN]
        ],
        "with": other,
        "turned": turned,
        "limit": limit,
        "others": [],
        "grid": None,
    }
    notes = []
    if len(family.members) > _MEMBERS_SHOWN:
        notes.append(f"Showing {_MEMBERS_SHOWN:,} of {len(family.members):,} members.")
    state = (bundle.sha256 if bundle is not None else "", catalogue_state(explorer))
    if family.members:
        pictures["ring"] = remembered(
            explorer, ("ring", uid, *state), lambda: family_figure(uid, bundle, catalogue=catalogue)
        )
    if bundle is not None and family.members:
        data["others"] = _others(bundle, catalogue, family)
        if other:
            data["grid"], pictures["grid"], said = _grid(explorer, bundle, family, other, turned=turned, limit=limit)
            notes += said
    data["claims"] = None if catalogue is None else _claims(catalogue, uid, bundle, data["members"])
    chosen = {"with": other, "turned": "1" if turned else "", "limit": limit if limit != _CELLS else None}
    address = with_query(address_of(uid), **chosen)
    return Page(
        "family",
        address,
        f"{family.name} ({uid})",
        data,
        ways=_ways(uid, bundle, other, turned=turned, limit=limit, is_named=catalogue is not None),
        citation=cite_thing(explorer, uid),
        versions=versions_of(explorer, uid),
        pictures=pictures,
        notes=tuple(notes),
    )


def _own_name(name: str) -> str | None:
    # that it is of this family is what the page is about
    return None if not name or name.startswith("family: ") else name


def _by_uid(bundle: Bundle | None) -> dict[str, Family]:
    return {} if bundle is None else {family.uid: family for family in bundle.families}


def _standing(family: FoundFamily, held: dict[str, Family]) -> dict[str, str | None]:
    """Say who made the record of the catalogue that is shown, if there is one, and what the bundle has."""
    own = held.get(family.uid)
    if own is not None and family.source == "came with the weights":
        return {"catalogue": None, "bundle": "as shown"}
    bundle = None
    if own is not None:
        is_same = {(m.unit, m.position) for m in own.members} == {(m.unit, m.position) for m in family.members}
        bundle = "the same" if is_same else f"another, of {len(own.members):,}"
    return {"catalogue": family.source, "bundle": bundle}


def _others(bundle: Bundle, catalogue: BaseCatalogue | None, family: FoundFamily) -> list[dict[str, Any]]:
    """Return the families to which kernels lead from this one, or from which they come."""
    ways = {up: "upstream" for up, down in bundle.pairs if down == family.layer}
    ways |= {down: "downstream" for up, down in bundle.pairs if up == family.layer}
    order = {layer.uid: layer.index for layer in bundle.layers}
    found = [each for each in iter_families(bundle, catalogue) if each.layer in ways and each.members]
    found.sort(key=lambda each: (order[each.layer], -len(each.members), each.uid))
    own = _has_angles(family)
    return [
        {
            "family": each.uid,
            "name": each.name,
            "way": ways[each.layer],
            "members": len(each.members),
            "can_turn": own and _has_angles(each),
        }
        for each in islice(found, _OTHERS_SHOWN)
    ]


def _has_angles(family: FoundFamily) -> bool:
    return all(member.angle_deg is not None for member in family.members)


def _grid(
    explorer: Explorer, bundle: Bundle, family: FoundFamily, other: str, *, turned: bool, limit: int
) -> tuple[dict[str, Any], Picture, list[str]]:
    catalogue = explorer.catalogue
    far = find_family(other, bundle, catalogue)
    if not far.members:
        raise UnknownUnitError(f"drawing {far.uid}: it has 0 members, 1 or more are wanted.")
    ups, downs = (far, family) if (far.layer, family.layer) in bundle.pairs else (family, far)
    picture = remembered(
        explorer,
        ("grid", ups.uid, downs.uid, turned, limit, bundle.sha256, catalogue_state(explorer)),
        lambda: grid_figure(bundle, ups.uid, downs.uid, catalogue=catalogue, turned=turned, limit=limit),
    )
    up_units = [member.unit for member in ups.members[:limit]]
    down_units = [member.unit for member in downs.members[:limit]]
    sums = [[float(bundle.kernel(up, down).sum(dtype=np.float64)) for up in up_units] for down in down_units]
    ends = [(up, down) for up in up_units for down in down_units]
    said = list(notes_between(bundle, ends))
    shown, whole = len(ends), len(ups.members) * len(downs.members)
    if shown < whole:
        said.insert(0, f"Showing {shown:,} of {whole:,} kernels between the two families.")
    grid = {
        "up": ups.uid,
        "down": downs.uid,
        "up_units": up_units,
        "down_units": down_units,
        "sums": sums,
        "count": whole,
    }
    return grid, picture, said


def _claims(catalogue: BaseCatalogue, uid: str, bundle: Bundle | None, members: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what is said of a family; what is said of its members goes to their rows."""
    page = show_subject(catalogue, uid, bundle=bundle, limit=_MEMBERS_SHOWN)
    tables = page.tables()
    said = {row["unit"]: row for table in tables if table.name == "members" for row in table.rows}
    for member in members:
        own = said.get(member["unit"], {})
        member |= {"status": own.get("status"), "by": own.get("by")}
    return {
        "arguments_made": list(page.matrix.made),
        "superseded": page.superseded_count,
        "tables": [table_values(table) for table in tables if table.name != "members"],
    }


def _ways(uid: str, bundle: Bundle | None, other: str, *, turned: bool, limit: int, is_named: bool) -> Ways:
    cypher = (
        f"MATCH (u:Unit)-[m:MEMBER_OF]->(:Family {{uid: {cypher_text(uid)}}}) "
        "RETURN u.uid, m.position, m.angle_deg ORDER BY m.position"
    )
    if bundle is None:
        return Ways(cypher, command=f"circuitgraph catalogue show {shell_text(uid)}")
    name = bundle_name(bundle)
    opened = f"Bundle.open({python_text(name)})"
    imports, names = (OPEN_CATALOGUE, ", catalogue=catalogue") if is_named else ("", "")
    if not other:
        return Ways(
            cypher,
            f"from circuitgraph import Bundle\nfrom circuitgraph.figures import family_figure\n{imports}"
            f"family_figure({python_text(uid)}, {opened}{names})",
            _shell(["circuitgraph", "draw", "family", name, uid, "-o", "family.svg"]),
        )
    up, down = (other, uid)
    if (_layer_of(other), _layer_of(uid)) not in bundle.pairs:
        up, down = uid, other
    cypher = (
        f"MATCH (:Family {{uid: {cypher_text(up)}}})<-[:MEMBER_OF]-(up:Unit)-[e:CONNECTS]->(down:Unit)"
        f"-[:MEMBER_OF]->(:Family {{uid: {cypher_text(down)}}}) RETURN up.uid, down.uid, e.sum, e.kernel"
    )
    more = f", limit={limit}" + (", turned=True" if turned else "")
    words = ["circuitgraph", "draw", "grid", name, "--up", up, "--down", down, "--limit", str(limit)]
    return Ways(
        cypher,
        f"from circuitgraph import Bundle\nfrom circuitgraph.figures import grid_figure\n{imports}"
        f"grid_figure({opened}, {python_text(up)}, {python_text(down)}{more}{names})",
        _shell([*words, *(["--turned"] if turned else []), "-o", "grid.svg"]),
    )


def _layer_of(uid: str) -> str:
    own = FamilyId.parse(uid)
    return f"{own.network}/{own.layer}"


def _shell(words: Sequence[str]) -> str:
    return " ".join(shell_text(word) for word in words)


ROUTES = (
    Route("/families/{network}", view_families),
    Route("/family/{uid:path}", view_family),
)
