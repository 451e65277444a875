"""Questions to the graph: Cypher that is shipped, and what reads it."""

from __future__ import annotations

from queries.shelf import ShelfQuery, get_query, list_queries, run

__all__ = ["ShelfQuery", "get_query", "list_queries", "run"]
