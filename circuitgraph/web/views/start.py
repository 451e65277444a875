"""The start page: the networks that are open, what the catalogue knows besides, and where to begin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from circuitgraph.catalogue import Catalogue
from circuitgraph.catalogue.circuits import CircuitRecord
from circuitgraph.catalogue.documents import current_documents
from circuitgraph.catalogue.finding import known_networks
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.labelled import claims_by_layer
from circuitgraph.web.memory import remembered
from circuitgraph.web.page import Asked, Page, Route, Ways
from circuitgraph.web.versions import catalogue_state, versions_of
from circuitgraph.web.writing import bundle_name, python_text, shell_text

__all__ = ["ROUTES", "view_start"]

_CIRCUITS_SHOWN = 12
_NETWORKS_SHOWN = 100


def view_start(explorer: Explorer, asked: Asked) -> Page:  # noqa: ARG001
    """Return the start page."""
    networks = [
        {
            "uid": bundle.network,
            "title": bundle.info.title,
            "architecture": bundle.info.architecture,
            "layers": bundle.manifest.counts["layers"],
            "units": bundle.manifest.counts["units"],
            "kernels": bundle.manifest.counts["edges"],
            "labelled": sum(each.labelled for each in claims_by_layer(explorer, bundle.network).values()),
        }
        for bundle in explorer.bundles.values()
    ]
    catalogue = explorer.catalogue
    said = None
    if catalogue is not None:
        said = remembered(explorer, ("start", catalogue_state(explorer)), lambda: _said(explorer, catalogue))
    names = [bundle_name(bundle) for bundle in explorer.bundles.values()]
    return Page(
        "start",
        "/",
        "Networks",
        {"networks": networks, "catalogue": said},
        ways=Ways(
            "MATCH (n:Network) RETURN n.uid AS uid, n.architecture AS architecture ORDER BY uid",
            "from circuitgraph import Bundle\n"
            f"[Bundle.open(name).info for name in [{', '.join(map(python_text, names))}]]",
            "\n".join(f"circuitgraph inspect {shell_text(name)} --table layers" for name in names),
        ),
        versions=versions_of(explorer, *explorer.bundles),
    )


def _said(explorer: Explorer, catalogue: Catalogue) -> dict[str, Any]:
    ((claims,),) = catalogue.index.rows("SELECT COUNT(*) FROM claims")
    others: Sequence[str] = [each for each in known_networks(catalogue) if each not in explorer.bundles]
    circuits = current_documents(catalogue.documents(CircuitRecord))
    rows = sorted(circuits.items(), key=lambda pair: (pair[1].title.casefold(), pair[0]))
    return {
        "claims": claims,
        "features": sum(1 for _ in catalogue.vocabulary()),
        "circuits": len(rows),
        "some_circuits": [
            {"uid": uid, "title": circuit.title, "units": len(circuit.units)} for uid, circuit in rows[:_CIRCUITS_SHOWN]
        ],
        "networks": [
            {"uid": uid, "claims": sum(each.claims for each in claims_by_layer(explorer, uid).values())}
            for uid in others[:_NETWORKS_SHOWN]
        ],
        "networks_count": len(others),
    }


ROUTES = (Route("/", view_start),)
