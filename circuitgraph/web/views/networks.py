"""Pages of networks: layers in order, what leads from one to the other, and how much of it is labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.approximations import fidelity_summary
from circuitgraph.bundle.describe import Description, describe_network
from circuitgraph.bundle.fidelity import describe_approximations
from circuitgraph.catalogue.finding import known_layers, known_networks
from circuitgraph.errors import UnknownNetworkError
from circuitgraph.figures.families import FoundFamily, iter_families
from circuitgraph.ids import check_network_name
from circuitgraph.web.asking import table_values
from circuitgraph.web.citing import cite_weights
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.labelled import LayerClaims, claims_by_layer
from circuitgraph.web.memory import remembered
from circuitgraph.web.page import Asked, Page, Route, Ways, address_of
from circuitgraph.web.versions import catalogue_state, versions_of
from circuitgraph.web.writing import bundle_name, cypher_text, python_text, shell_text

__all__ = ["ROUTES", "families_of", "network_tables", "view_network"]

_LAYERS_SHOWN = 400
_PAIRS_SHOWN = 400
_FAMILIES_SHOWN = 24


def view_network(explorer: Explorer, asked: Asked) -> Page:
    """Return a network: its layers and pairs of layers, its families, and what the catalogue holds of it."""
    network = check_network_name(asked.parts["uid"])
    bundle = explorer.bundle_if_any(network)
    claimed = claims_by_layer(explorer, network)
    if bundle is None:
        return _of_catalogue(explorer, network, claimed)
    info = bundle.info
    tables = network_tables(explorer, bundle)
    families = families_of(explorer, network)
    count = len(bundle.layers)
    data: dict[str, Any] = {
        "uid": network,
        "title": info.title,
        "architecture": info.architecture,
        "reference": info.reference,
        "source": info.source,
        "importer": info.importer,
        "weights_sha256": info.weights_sha256,
        "input_shape": list(info.input_shape),
        "approximations": list(info.approximations),
        "fidelity": fidelity_summary(bundle),
        "counts": {**bundle.manifest.counts, "directions": bundle.directions.count},
        "layers": _layers(tables["layers"], network, claimed)[:_LAYERS_SHOWN],
        "pairs": _cut(tables["pairs"], _PAIRS_SHOWN),
        "under_the_weights": _cut(tables["approximations"], _PAIRS_SHOWN),
        "measured": _cut(tables["fidelity"], _LAYERS_SHOWN) if "fidelity" in tables else None,
        "refused": _cut(tables["refused"], _PAIRS_SHOWN) if "refused" in tables else None,
        "families": _family_rows(families[:_FAMILIES_SHOWN]),
        "families_count": len(families),
        "claims": _claims(claimed),
    }
    notes = [] if count <= _LAYERS_SHOWN else [f"showing {_LAYERS_SHOWN:,} of {count:,} layers"]
    return Page(
        "network",
        address_of(network),
        info.title or network,
        data,
        ways=_ways(bundle),
        citation=cite_weights(explorer, network),
        versions=versions_of(explorer, network),
        notes=tuple(notes),
    )


def network_tables(explorer: Explorer, bundle: Bundle) -> Mapping[str, Description]:
    """Return the tables of a bundle by name: layers, pairs, approximations, perhaps fidelity and refused."""

    def make() -> Mapping[str, Description]:
        tables = (*describe_network(bundle), *describe_approximations(bundle))
        return {table.name: _without_folders(table, bundle) for table in tables}

    # a measurement of how well it predicts is not in the hash
    return remembered(explorer, ("tables", bundle.sha256, bundle.manifest.sha256), make)


def _without_folders(table: Description, bundle: Bundle) -> Description:
    """Return a table whose notes name the bundle as others have it too, not where it lies on this machine."""
    return replace(table, notes=[note.replace(str(bundle.path), bundle_name(bundle)) for note in table.notes])


def families_of(explorer: Explorer, network: str) -> Sequence[FoundFamily]:
    """Return the families of a network, by layer."""

    def make() -> Sequence[FoundFamily]:
        bundle = explorer.bundle_if_any(network)
        order = {layer.uid: layer.index for layer in bundle.layers} if bundle is not None else {}
        found = [each for each in iter_families(bundle, explorer.catalogue) if each.uid.startswith(f"{network}/")]
        return sorted(found, key=lambda each: (order.get(each.layer, len(order)), each.uid))

    return remembered(explorer, ("families", network, catalogue_state(explorer)), make)


def _layers(table: Description, network: str, claimed: Mapping[str, LayerClaims]) -> list[dict[str, Any]]:
    nothing = LayerClaims()
    return [
        {
            **row,
            "layer": f"{network}/{row['layer']}",
            "name": row["layer"],
            "labelled": claimed.get(f"{network}/{row['layer']}", nothing).labelled,
            "claims": claimed.get(f"{network}/{row['layer']}", nothing).claims,
        }
        for row in table.rows
    ]


def _cut(table: Description, most: int) -> dict[str, Any]:
    """Return the first rows of a table, with how many there are."""
    values = table_values(table)
    return {**values, "rows": values["rows"][:most], "count": len(table.rows)}


def _family_rows(families: Sequence[FoundFamily]) -> list[dict[str, Any]]:
    return [
        {"family": each.uid, "name": each.name, "layer": each.layer, "members": len(each.members)} for each in families
    ]


def _claims(claimed: Mapping[str, LayerClaims]) -> dict[str, int]:
    return {
        "claims": sum(each.claims for each in claimed.values()),
        "labelled": sum(each.labelled for each in claimed.values()),
        "named": sum(each.named for each in claimed.values()),
    }


def _ways(bundle: Bundle) -> Ways:
    name = bundle_name(bundle)
    return Ways(
        f"MATCH (l:Layer)-[:IN]->(:Network {{uid: {cypher_text(bundle.network)}}})\n"
        "RETURN l.uid AS layer, l.kind AS kind, l.unit_count AS units ORDER BY l.index",
        f"from circuitgraph import Bundle\n"
        f"[(layer.uid, layer.kind, layer.unit_count) for layer in Bundle.open({python_text(name)}).layers]",
        f"circuitgraph inspect {shell_text(name)} --table layers",
    )


def _of_catalogue(explorer: Explorer, network: str, claimed: Mapping[str, LayerClaims]) -> Page:
    """Return the page of a network of which only claims are known."""
    catalogue = explorer.catalogue
    if catalogue is None or network not in known_networks(catalogue):
        try:
            explorer.bundle(network)
        except UnknownNetworkError as error:
            raise UnknownNetworkError(f"{error.message[:-1]}; and no claim is about it.", hint=error.hint) from None
    names = known_layers(catalogue, network) if catalogue is not None else []
    nothing = LayerClaims()
    rows = [
        {
            "layer": f"{network}/{name}",
            "name": name,
            "labelled": claimed.get(f"{network}/{name}", nothing).labelled,
            "claims": claimed.get(f"{network}/{name}", nothing).claims,
        }
        for name in names[:_LAYERS_SHOWN]
        if name
    ]
    families = families_of(explorer, network)
    return Page(
        "network",
        address_of(network),
        network,
        {
            "uid": network,
            "title": "",
            "counts": None,
            "layers": rows,
            "families": _family_rows(families[:_FAMILIES_SHOWN]),
            "families_count": len(families),
            "claims": _claims(claimed),
        },
        ways=Ways(
            f"MATCH (c:Claim {{network: {cypher_text(network)}}})\n"
            "RETURN c.subject AS subject, c.predicate AS says, c.object AS what ORDER BY subject, says, what",
            "from circuitgraph.catalogue import Catalogue, find_claims\n"
            f"find_claims(Catalogue.open(FOLDER), network={python_text(network)})",
            f"circuitgraph catalogue find --network {shell_text(network)}",
        ),
        versions=versions_of(explorer, network),
        notes=(f"No bundle of {network} is open here: what is shown is what the catalogue says.",),
    )


ROUTES = (Route("/network/{uid}", view_network),)
