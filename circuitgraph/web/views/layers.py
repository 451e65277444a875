"""Pages of layers: their units a page at a time, in one of several orders, and what leads to and from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.describe_directions import describe_directions
from circuitgraph.catalogue.neighbours import labels_of
from circuitgraph.catalogue.page import show_subject
from circuitgraph.catalogue.wording import Words
from circuitgraph.draw import Picture
from circuitgraph.errors import UnknownLayerError
from circuitgraph.figures import layer_figure
from circuitgraph.figures.families import FoundFamily
from circuitgraph.ids import LayerId
from circuitgraph.records import Layer
from circuitgraph.web.asking import Paging, choice, table_values, whole_number
from circuitgraph.web.citing import cite_weights
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.labelled import LayerClaims, claims_by_layer, labelled_units
from circuitgraph.web.memory import remembered
from circuitgraph.web.page import Asked, Page, Route, Ways, address_of, with_query
from circuitgraph.web.versions import catalogue_state, versions_of
from circuitgraph.web.views.networks import families_of, network_tables
from circuitgraph.web.writing import bundle_name, cypher_text, python_text, shell_text

__all__ = ["ROUTES", "view_layer"]

_UNITS = 40
_MOST_UNITS = 200
_DRAWN = 24
_OF_A_FAMILY = 8
_DIRECTIONS_SHOWN = 40
_CLAIMS_SHOWN = 20
_NUMBERS = ("bias", "in_norm", "out_norm")
_ORDERS = ("channel", *_NUMBERS, *(f"-{name}" for name in ("channel", *_NUMBERS)))


def view_layer(explorer: Explorer, asked: Asked) -> Page:
    """Return a layer: ``sort`` orders its units (channel, in_norm, -bias, ...), ``first`` and ``limit`` choose some."""
    name = asked.parts["uid"]
    own = LayerId.parse(name)
    bundle = explorer.bundle_if_any(name)
    if bundle is None:
        return _of_catalogue(explorer, own)
    layer = bundle.layer(name)
    sort = choice(asked, "sort", _ORDERS, "channel")
    limit = whole_number(asked, "limit", _UNITS, least=1, most=_MOST_UNITS)
    paging = Paging(whole_number(asked, "first", 0, most=10**9), layer.unit_count, limit)
    address = with_query(
        address_of(layer.uid),
        sort="" if sort == "channel" else sort,
        limit="" if limit == _UNITS else str(limit),
        first=str(paging.first or ""),
    )
    families = [each for each in families_of(explorer, own.network) if each.layer == layer.uid]
    claimed = claims_by_layer(explorer, own.network).get(layer.uid, LayerClaims())
    tables = network_tables(explorer, bundle)
    pairs = [row for row in tables["pairs"].rows if layer.name in (row["up"], row["down"])]
    data: dict[str, Any] = {
        "uid": layer.uid,
        "name": layer.name,
        "network": own.network,
        "facts": next(row for row in tables["layers"].rows if row["layer"] == layer.name),
        "place": layer.index,
        "of": len(bundle.layers),
        "previous": bundle.layers[layer.index - 1].uid if layer.index else None,
        "next": bundle.layers[layer.index + 1].uid if layer.index + 1 < len(bundle.layers) else None,
        "upstream": [up for up, down in bundle.pairs if down == layer.uid],
        "downstream": [down for up, down in bundle.pairs if up == layer.uid],
        "claims": {"claims": claimed.claims, "labelled": claimed.labelled, "named": claimed.named},
        "sort": sort,
        "limit": limit,
        "units": {
            "rows": _units(explorer, bundle, layer, sort, paging, families),
            **paging.as_dict(address, "first"),
        },
        "families": [{"family": each.uid, "name": each.name, "members": len(each.members)} for each in families],
        "directions": table_values(describe_directions(bundle, layer.uid, limit=_DIRECTIONS_SHOWN))
        if layer.uid in bundle.directions.layers
        else None,
        "pairs": {**table_values(tables["pairs"]), "rows": pairs, "count": len(pairs)},
        "said": _said(explorer, layer.uid),
    }
    return Page(
        "layer",
        address,
        layer.uid,
        data,
        ways=_ways(bundle, layer, sort, paging),
        citation=cite_weights(explorer, layer.uid),
        versions=versions_of(explorer, layer.uid),
        pictures={"units": _picture(explorer, bundle, layer, data["units"]["rows"], families, sort)},
    )


def _units(
    explorer: Explorer,
    bundle: Bundle,
    layer: Layer,
    sort: str,
    paging: Paging,
    families: list[FoundFamily],
) -> list[dict[str, Any]]:
    start = sum(each.unit_count for each in bundle.layers[: layer.index])
    table = bundle.units.slice(start, layer.unit_count)
    name = sort.removeprefix("-")
    values = np.arange(layer.unit_count) if name == "channel" else table[name].to_numpy().astype(np.float64)
    # a number is shown largest first, channels in their order; equal ones stay in it
    is_rising = (name == "channel") != sort.startswith("-")
    order = np.argsort(values if is_rising else -values, kind="stable")[paging.first : paging.stop]
    rows = table.select(["uid", "channel", *_NUMBERS, "is_dead"]).take(order).to_pylist()
    family_of = {member.unit: each for each in families for member in each.members}
    labels: Mapping[str, Any] = {}
    if (catalogue := explorer.catalogue) is not None:
        labels = labels_of(catalogue, [row["uid"] for row in rows], Words(catalogue.vocabulary()))
    found = []
    for row in rows:
        uid = row.pop("uid")
        said = labels[uid].cells() if uid in labels else {}
        family = family_of.get(uid)
        found.append(
            {
                "unit": uid,
                **row,
                "detects": said.get("detects"),
                "responds_to": said.get("responds_to"),
                "family": family.uid if family else None,
                "family_name": family.name if family else None,
            }
        )
    return found


def _picture(
    explorer: Explorer, bundle: Bundle, layer: Layer, rows: list[dict[str, Any]], families: list[FoundFamily], sort: str
) -> Picture:
    """Draw the units that the table shows; at first those of which something is known, then the strongest.

    Most units of a large layer are blank beside those.
    """
    catalogue = explorer.catalogue
    chosen = [row["unit"] for row in rows][:_DRAWN]
    if sort == "channel" and rows and rows[0]["channel"] == 0:
        chosen = _best_known(explorer, bundle, layer, families)
    key = ("layer picture", bundle.sha256, layer.uid, tuple(chosen), catalogue_state(explorer))
    return remembered(
        explorer, key, lambda: layer_figure(bundle, layer.uid, catalogue=catalogue, units=chosen, limit=_DRAWN)
    )


def _best_known(explorer: Explorer, bundle: Bundle, layer: Layer, families: list[FoundFamily]) -> list[str]:
    known = dict.fromkeys(labelled_units(explorer, layer.uid, most=_DRAWN))
    # a few of each family rather than all of one
    for family in sorted(families, key=lambda each: len(each.members)):
        known |= dict.fromkeys(member.unit for member in family.members[:_OF_A_FAMILY])
    start = sum(each.unit_count for each in bundle.layers[: layer.index])
    norms = bundle.units["in_norm"].slice(start, layer.unit_count).to_numpy().astype(np.float64)
    strongest = [str(layer.unit(int(channel))) for channel in np.argsort(-norms, kind="stable")[:_DRAWN]]
    inside = [uid for uid in known if _is_of(layer, uid)]
    return list(dict.fromkeys([*inside, *strongest]))[:_DRAWN]


def _is_of(layer: Layer, uid: str) -> bool:
    """Say whether a unit that somebody names is a neuron of a layer."""
    name, _, channel = uid.rpartition(":")
    return name == layer.uid and channel.isascii() and channel.isdigit() and int(channel) < layer.unit_count


def _said(explorer: Explorer, uid: str) -> list[dict[str, Any]]:
    """Return the claims about the layer itself."""
    catalogue = explorer.catalogue
    if catalogue is None or not catalogue.about(uid):
        return []
    # not its sections: those read all that is said of its units
    page = show_subject(catalogue, uid, limit=_CLAIMS_SHOWN)
    return [
        table_values(table) for table in page.tables() if table.name in ("claims_for", "claims_against", "responses")
    ]


def _ways(bundle: Bundle, layer: Layer, sort: str, paging: Paging) -> Ways:
    name = sort.removeprefix("-")
    order = "ASC" if (name == "channel") != sort.startswith("-") else "DESC"
    folder = bundle_name(bundle)
    cells = ("channel", *_NUMBERS, "is_dead")
    returned = ", ".join(f"u.{each} AS {each}" for each in cells)
    sql = (
        f"SELECT uid, {', '.join(cells)} FROM units WHERE layer = $layer AND kind = 'neuron' "  # noqa: S608
        f"ORDER BY {name} {order}, channel LIMIT {paging.limit} OFFSET {paging.first}"
    )
    return Ways(
        f"MATCH (u:Neuron {{network: {cypher_text(bundle.network)}, layer: {cypher_text(layer.name)}}})\n"
        f"RETURN u.uid AS unit, {returned} ORDER BY {name} {order}, channel SKIP {paging.first} LIMIT {paging.limit}",
        "from circuitgraph import Bundle\nfrom circuitgraph.bundle.describe import describe_layer\n"
        f"describe_layer(Bundle.open({python_text(folder)}), {python_text(layer.uid)})[1].rows",
        f"circuitgraph inspect {shell_text(folder)} --layer {shell_text(layer.uid)} --table units"
        if (sort, paging.first) == ("channel", 0)
        else f"circuitgraph sql {shell_text(sql)} {shell_text(folder)} -p layer={shell_text(layer.uid)}",
    )


def _of_catalogue(explorer: Explorer, own: LayerId) -> Page:
    """Return the page of a layer of which only claims are known."""
    uid = str(own)
    catalogue = explorer.catalogue
    claimed = claims_by_layer(explorer, own.network).get(uid)
    if catalogue is None or claimed is None:
        raise UnknownLayerError(
            f"layer {uid!r}: no bundle of {own.network} is open here, and no claim is about it.",
            hint="Start the explorer with its bundle: circuitgraph explore NETWORK.circuit",
        )
    page = show_subject(catalogue, uid, limit=_MOST_UNITS)
    return Page(
        "layer",
        address_of(uid),
        uid,
        {
            "uid": uid,
            "name": own.layer,
            "network": own.network,
            "facts": None,
            "families": [],
            "claims": {"claims": claimed.claims, "labelled": claimed.labelled, "named": claimed.named},
            "said": [table_values(table) for table in page.tables()],
        },
        ways=Ways(
            f"MATCH (c:Claim) WHERE c.subject STARTS WITH {cypher_text(uid + ':')}\n"
            "RETURN c.subject AS subject, c.predicate AS says, c.object AS what ORDER BY subject, says, what",
            "from circuitgraph.catalogue import Catalogue, show_subject\n"
            f"show_subject(Catalogue.open(FOLDER), {python_text(uid)}).as_dict()",
            f"circuitgraph catalogue show {shell_text(uid)}",
        ),
        versions=versions_of(explorer, uid),
        notes=(f"No bundle of {own.network} is open here: what is shown is what the catalogue says.",),
    )


ROUTES = (Route("/layer/{uid:path}", view_layer),)
