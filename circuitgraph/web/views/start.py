"""The start page: the networks that are open, and what the catalogue holds."""

from __future__ import annotations

from circuitgraph.web.explorer import Explorer
from circuitgraph.web.page import Asked, Page, Route, Ways
from circuitgraph.web.versions import versions_of

__all__ = ["ROUTES", "view_start"]


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
        }
        for bundle in explorer.bundles.values()
    ]
    return Page(
        "start",
        "/",
        "Networks",
        {"networks": networks},
        ways=Ways(
            cypher="MATCH (n:Network) RETURN n.uid, n.architecture ORDER BY n.uid",
            python="Bundle.open(PATH).info",
            command="circuitgraph inspect PATH",
        ),
        versions=versions_of(explorer, *explorer.bundles),
    )


ROUTES = (Route("/", view_start),)
