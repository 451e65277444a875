"""The graph database: a store to load bundles into and to ask in Cypher."""

from __future__ import annotations

from circuitgraph.store.neo4j import Store
from circuitgraph.store.result import Result

__all__ = ["Result", "Store"]
