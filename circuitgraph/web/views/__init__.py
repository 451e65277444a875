"""Views: from a question to the explorer to a page, with no web in between; one module for each kind of thing."""

from __future__ import annotations

from circuitgraph.web.page import Action, Route
from circuitgraph.web.views import (
    circuits,
    claims,
    curating,
    cypher,
    drafts,
    families,
    features,
    layers,
    motifs,
    networks,
    search,
    start,
    units,
)

__all__ = ["ACTIONS", "ROUTES"]

_MODULES = (
    start,
    search,
    networks,
    layers,
    units,
    families,
    drafts,
    circuits,
    features,
    claims,
    curating,
    cypher,
    motifs,
)

ROUTES: tuple[Route, ...] = tuple(route for module in _MODULES for route in module.ROUTES)
ACTIONS: tuple[Action, ...] = tuple(action for module in _MODULES for action in getattr(module, "ACTIONS", ()))
