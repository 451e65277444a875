"""Views: from a question to the explorer to a page, with no web in between; one module for each kind of thing."""

from __future__ import annotations

from circuitgraph.web.page import Action, Route
from circuitgraph.web.views import circuits, drafts, families, layers, networks, start, units

__all__ = ["ACTIONS", "ROUTES"]

_MODULES = (start, networks, layers, units, families, drafts, circuits)

ROUTES: tuple[Route, ...] = tuple(route for module in _MODULES for route in module.ROUTES)
ACTIONS: tuple[Action, ...] = tuple(action for module in _MODULES for action in getattr(module, "ACTIONS", ()))
