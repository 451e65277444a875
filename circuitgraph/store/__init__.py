"""The graph database: a store to load bundles into and to ask in Cypher."""

from __future__ import annotations

from circuitgraph.result import Result
from circuitgraph.store.neo4j import Store

__all__ = ["Result", "Store"]
