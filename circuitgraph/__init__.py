"""A typed graph database of neural-network features and circuits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circuitgraph.errors import CircuitGraphError
from circuitgraph.ids import FamilyId, LayerId, UnitId

if TYPE_CHECKING:
    from circuitgraph.bundle import Bundle
    from circuitgraph.store import Store

__all__ = ["Bundle", "CircuitGraphError", "FamilyId", "LayerId", "Store", "UnitId", "__version__"]

__version__ = "0.1.0"

# loaded on first use, so that `import circuitgraph` stays light and needs no extra
_LAZY = {"Bundle": "circuitgraph.bundle", "Store": "circuitgraph.store"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
