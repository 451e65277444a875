"""Saying before it runs whether Cypher only reads.

The server plans the query (``EXPLAIN``) in a read session and nothing runs unless
the plan is a reading one. A read session alone would let some procedures and
commands through (design/neo4j.md, section 4), hence the lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from circuitgraph.errors import QueryRefusedError

__all__ = ["check_plan", "plan_operators"]

# procedures that only look at the graph's own data and schema
_PROCEDURES = frozenset(
    {
        "db.labels",
        "db.relationshiptypes",
        "db.propertykeys",
        "db.schema.visualization",
        "db.schema.nodetypeproperties",
        "db.schema.reltypeproperties",
        "db.index.fulltext.querynodes",
        "db.index.fulltext.queryrelationships",
        "db.index.vector.querynodes",
    }
)
_HINT = "Only reading is allowed here; data come in through `circuitgraph load`."
_REFUSED_PREFIXES = ("Show", "Terminate", "LoadCSV", "Create", "Drop", "Alter", "Set", "Remove", "Delete", "Merge")


def plan_operators(plan: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Yield (operator, details) of a plan, root first."""
    if plan:
        name = str(plan.get("operatorType", "")).partition("@")[0]
        yield name, str(plan.get("args", {}).get("Details", ""))
        for child in plan.get("children", []):
            yield from plan_operators(child)


def check_plan(query_type: str | None, plan: dict[str, Any] | None) -> dict[str, Any]:
    """Return a plan that only reads the graph.

    Raises
    ------
    QueryRefusedError
        It writes, changes the schema, reads a file or an address, calls a procedure that is not known
        to only read, or looks at or ends what others run.
    """
    for operator, details in plan_operators(plan):
        if operator.startswith("ProcedureCall"):
            name = details.partition("(")[0].strip()
            if name.lower() not in _PROCEDURES:
                raise QueryRefusedError(
                    f"the query was not run: procedure {name or '(unnamed)'} is not on the list.",
                    hint="Allowed are " + ", ".join(sorted(_PROCEDURES)) + ".",
                )
        elif operator.startswith(_REFUSED_PREFIXES):
            raise QueryRefusedError(f"the query was not run: its plan has the step {operator}.", hint=_HINT)
    if query_type != "r" or plan is None:
        raise QueryRefusedError("the query was not run: the server plans it as more than reading.", hint=_HINT)
    return plan
